#include "detect_output.h"

#include <algorithm>
#include <iomanip>
#include <iostream>

#include "images.h"
#include "vizoo/core/error.h"
#include "vizoo/tasks/draw_detections.h"
#include "vizoo/vision/image.h"

namespace vizoo::app {
namespace {

void print_line(const Json& line) {
  // File names need not be UTF-8; JSON has to be.
  std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_json(const PreparedImage& image, const std::vector<Found>& found) {
  auto detections = Json::array();
  for (const auto& one : found) {
    detections.push_back({{"box", one.box},
                          {"id", one.id ? Json(*one.id) : Json()},
                          {"label", one.id ? Json(one.label) : Json()},
                          {"score", one.score}});
  }
  print_line({{"image", image.path},
              {"height", image.size.height},
              {"width", image.size.width},
              {"detections", detections}});
}

void print_words(const PreparedImage& image, std::vector<Found> found) {
  std::stable_sort(
      found.begin(), found.end(), [](const Found& a, const Found& b) { return a.score > b.score; });
  std::cout << printable(image.path) << '\n';
  for (const auto& one : found) {
    std::cout << "  " << std::fixed << std::setprecision(4) << one.score << std::setprecision(1);
    const char* separator = "  [";
    for (const double side : one.box) {
      std::cout << separator << side;
      separator = ", ";
    }
    std::cout << ']' << (one.label.empty() ? "" : "  ") << printable(one.label) << '\n';
  }
  if (found.empty()) std::cout << "  nothing\n";
}

}  // namespace

std::vector<Found> found_in(const Detections& detections) {
  const auto boxes = detections.boxes.to(torch::kFloat64).contiguous();
  const auto scores = detections.scores.to(torch::kFloat64).contiguous();
  std::vector<Found> found(static_cast<std::size_t>(scores.numel()));
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::copy_n(boxes.const_data_ptr<double>() + 4 * i, 4, found[i].box.begin());
    found[i].score = scores.const_data_ptr<double>()[i];
    if (!detections.labels.defined()) continue;
    found[i].id = detections.labels.const_data_ptr<int64_t>()[i];
    found[i].label = detections.text_labels[i];
  }
  return found;
}

Pictures::Pictures(const std::filesystem::path& path, std::size_t image_count) : path_(path) {
  std::error_code error;
  if (path.empty()) return;
  is_folder_ = image_count > 1 || std::filesystem::is_directory(path, error);
  if (!is_folder_) return;
  std::filesystem::create_directories(path, error);
  if (error) {
    throw ImageError(
        "image", printable(path.string()), "a folder that can be made", quote(error.message()));
  }
}

void Pictures::draw(const std::filesystem::path& image, const std::vector<Found>& found) {
  if (path_.empty()) return;
  std::vector<LabelledBox> boxes;
  for (const auto& one : found) {
    boxes.push_back({one.box, one.label, one.score, one.id.value_or(0)});
  }
  const auto original = read_image(image, ImageDecodeOptions{/*apply_exif_orientation=*/true});
  write_png(is_folder_ ? path_ / file_name(image) : path_, draw_boxes(original, boxes));
}

std::string Pictures::file_name(const std::filesystem::path& image) {
  const std::string stem = image.stem().string();
  std::string name = stem + ".png";
  for (int number = 2; !used_.insert(name).second; ++number) {
    name = stem + "-" + std::to_string(number) + ".png";
  }
  return name;
}

void DetectionPrinter::answer(const PreparedImage& image, const std::vector<Found>& found) {
  progress_.clear();
  as_json_ ? print_json(image, found) : print_words(image, found);
  progress_.step();
}

void DetectionPrinter::failure(const std::string& path, const std::string& error) {
  failed_ = true;
  progress_.clear();
  std::cerr << error << '\n';
  if (as_json_) print_line({{"image", path}, {"error", error}});
  progress_.step();
}

}  // namespace vizoo::app
