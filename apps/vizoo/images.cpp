#include "images.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <opencv2/imgcodecs.hpp>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/vision/image_transforms.h"

namespace vizoo::app {
namespace {

namespace fs = std::filesystem;

bool is_image_name(const fs::path& path) {
  auto extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  constexpr std::array<std::string_view, 8> kExtensions = {
      ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jpe"};
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

std::vector<fs::path> images_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_image_name(entry.path()) && !entry.is_directory()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    throw UsageError("usage",
                     printable(folder.string()),
                     "a folder with images (jpg, png, bmp, webp, tif)",
                     error ? quote(error.message()) : "none");
  }
  return files;
}

std::vector<fs::path> matches(const std::string& pattern) {
  glob_t found{};
  std::vector<fs::path> files;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
  if (files.empty()) {
    throw UsageError("usage", printable(pattern), "a pattern that matches files", "no match");
  }
  return files;
}

}  // namespace

CLI::Option* add_images_argument(CLI::App& command, std::vector<std::string>& images) {
  return command.add_option("images", images, "Image files, folders, or patterns in quotes")
      ->required()
      ->type_name("IMAGE...");
}

void add_image_backend_option(CLI::App& command, std::string& backend) {
  command
      .add_option("--image-backend",
                  backend,
                  "pil (as Transformers 4.37) or torchvision (as its fast processors)")
      ->check(CLI::IsMember({"pil", "torchvision"}))
      ->capture_default_str();
}

std::vector<fs::path> expand_images(const std::vector<std::string>& arguments) {
  std::vector<fs::path> files;
  const auto append = [&](const std::vector<fs::path>& more) {
    files.insert(files.end(), more.begin(), more.end());
  };
  for (const auto& argument : arguments) {
    std::error_code error;
    if (fs::is_directory(argument, error)) {
      append(images_in(argument));
    } else if (!fs::exists(argument, error) && argument.find_first_of("*?[") != std::string::npos) {
      append(matches(argument));
    } else {
      files.emplace_back(argument);
    }
  }
  return files;
}

std::string error_of_image(const std::exception& error, const std::filesystem::path& path) {
  std::string line = error.what();
  line.resize(std::min(line.find('\n'), line.size()));
  const std::string name = printable(path.string());
  const std::string end_of_where = "] ";
  const auto found = line.find(end_of_where);
  if (found == std::string::npos || line.find(name) != std::string::npos) return line;
  return line.insert(found + end_of_where.size(), name + ": ");
}

cv::Mat undo_normalization(const torch::Tensor& pixel_values,
                           const std::vector<double>& mean,
                           const std::vector<double>& std,
                           double scale) {
  const auto column = [](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat32).reshape({-1, 1, 1});
  };
  auto pixels = pixel_values.to(torch::kFloat32) * column(std) + column(mean);
  pixels = (pixels / scale).round().clamp(0, 255).to(torch::kByte);
  // [C, H, W] -> [H, W, 3]
  pixels = pixels.expand({3, pixels.size(1), pixels.size(2)}).permute({1, 2, 0}).contiguous();
  const cv::Mat view(static_cast<int>(pixels.size(0)),
                     static_cast<int>(pixels.size(1)),
                     CV_8UC3,
                     pixels.data_ptr());
  return view.clone();
}

cv::Mat side_by_side(const cv::Mat& original, const cv::Mat& processed) {
  const int height = std::max({original.rows, processed.rows, 1});
  const auto scaled = [&](const cv::Mat& image) {
    const int width = std::max(1, static_cast<int>(int64_t{image.cols} * height / image.rows));
    return resize(image, {height, width}, Resample::bicubic);
  };
  const auto left = scaled(original);
  const auto right = scaled(processed);
  constexpr int kGap = 8;
  cv::Mat picture(height, left.cols + kGap + right.cols, CV_8UC3, cv::Scalar::all(255));
  left.copyTo(picture(cv::Rect(0, 0, left.cols, height)));
  right.copyTo(picture(cv::Rect(left.cols + kGap, 0, right.cols, height)));
  return picture;
}

void write_png(const fs::path& path, const cv::Mat& image) {
  cv::Mat bgr = image.clone();
  for (int y = 0; y < bgr.rows; ++y) {
    auto* row = bgr.ptr<cv::Vec3b>(y);
    for (int x = 0; x < bgr.cols; ++x) std::swap(row[x][0], row[x][2]);
  }
  std::vector<unsigned char> bytes;
  cv::imencode(".png", bgr, bytes);
  write_file_atomically(path,
                        std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                        FileKind::image);
}

}  // namespace vizoo::app
