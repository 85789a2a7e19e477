#include "vizoo/training/data/flow_dataset.h"

#include <cmath>

#include <opencv2/imgcodecs.hpp>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/support/sample_stream.h"
#include "test/support/temporary_folder.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"
#include "vizoo/io/flow_file.h"
#include "vizoo/tasks/optical_flow.h"
#include "vizoo/training/data/ppm_file.h"
#include "vizoo/vision/image.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

using test::message_of;
using test::TemporaryFolder;
using vizoo::test::sample_stream;

constexpr int kHeight = 12;
constexpr int kWidth = 17;

// The pattern of pattern.h, moved to the right by `shift`, so that frames differ.
cv::Mat frame(int shift, int height = kHeight, int width = kWidth) {
  return test::pattern_image(height, width + shift)(cv::Rect(shift, 0, width, height)).clone();
}

std::string ppm_bytes(const cv::Mat& image) {
  std::string bytes = "P6\n# a comment\n" + std::to_string(image.cols) + " " +
                      std::to_string(image.rows) + "\n255\n";
  return bytes.append(reinterpret_cast<const char*>(image.data), image.total() * 3);
}

void add_frame(const fs::path& path, const cv::Mat& image) {
  fs::create_directories(path.parent_path());
  if (path.extension() == ".ppm") {
    test::write_bytes(path, ppm_bytes(image));
    return;
  }
  cv::Mat swapped(image.size(), image.type());  // OpenCV writes BGR
  for (int y = 0; y < image.rows; ++y) {
    for (int x = 0; x < image.cols; ++x) {
      const auto pixel = image.at<cv::Vec3b>(y, x);
      swapped.at<cv::Vec3b>(y, x) = {pixel[2], pixel[1], pixel[0]};
    }
  }
  REQUIRE(cv::imwrite(path.string(), swapped));
}

// Flow (x, -y) at column x and row y.
FlowField ramp(int height = kHeight, int width = kWidth) {
  FlowField field{height, width, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      field.values.push_back(static_cast<float>(x));
      field.values.push_back(static_cast<float>(-y));
    }
  }
  return field;
}

void add_flow(const fs::path& path, const FlowField& field = ramp()) {
  fs::create_directories(path.parent_path());
  write_flow(path, field);
}

// Paths below the folder, three a line.
std::string listing(const TemporaryFolder& folder, const fs::path& below = "") {
  std::string text;
  for (const auto& pair : find_flow_files(folder.path() / below)) {
    for (const auto& path : {pair.first, pair.second, pair.flow}) {
      text += path.lexically_relative(folder.path()).string() + " ";
    }
    text.back() = '\n';
  }
  return text;
}

TEST_CASE("pairs are found in the folders of FlyingChairs and Sintel, and in plain ones") {
  TemporaryFolder chairs;
  for (const char* name : {"00002", "00001"}) {
    add_frame(chairs / (std::string(name) + "_img1.ppm"), frame(0));
    add_frame(chairs / (std::string(name) + "_img2.ppm"), frame(1));
    add_flow(chairs / (std::string(name) + "_flow.flo"));
  }
  CHECK(listing(chairs) ==
        "00001_img1.ppm 00001_img2.ppm 00001_flow.flo\n"
        "00002_img1.ppm 00002_img2.ppm 00002_flow.flo\n");

  TemporaryFolder sintel;
  for (const char* pass : {"clean", "final"}) {
    for (const char* name : {"frame_0009.png", "frame_0010.png", "frame_0011.png"}) {
      add_frame(sintel.path() / pass / "alley" / name, frame(0));
    }
  }
  add_flow(sintel / "flow/alley/frame_0009.flo");
  add_flow(sintel / "flow/alley/frame_0010.flo");
  CHECK(listing(sintel) ==
        "clean/alley/frame_0009.png clean/alley/frame_0010.png flow/alley/frame_0009.flo\n"
        "clean/alley/frame_0010.png clean/alley/frame_0011.png flow/alley/frame_0010.flo\n"
        "final/alley/frame_0009.png final/alley/frame_0010.png flow/alley/frame_0009.flo\n"
        "final/alley/frame_0010.png final/alley/frame_0011.png flow/alley/frame_0010.flo\n");

  TemporaryFolder plain;
  for (int i = 1; i <= 2; ++i) add_frame(plain / ("b" + std::to_string(i) + ".bmp"), frame(i));
  add_flow(plain / "b1.flo");
  CHECK(listing(plain) == "b1.bmp b2.bmp b1.flo\n");
}

TEST_CASE("pairs are read from a list, relative to it") {
  TemporaryFolder folder;
  test::write_bytes(folder / "list.txt",
                    "# frames\n\na.png b.png c.flo\r\n  d/e.png f.png g.flo\n");
  CHECK(listing(folder, "list.txt") == "a.png b.png c.flo\nd/e.png f.png g.flo\n");
  test::write_bytes(folder / "list.txt", "with blank.png\tb.png\tc.flo\n");
  CHECK(listing(folder, "list.txt") == "with blank.png b.png c.flo\n");
}

TEST_CASE("lists and folders without pairs are refused") {
  TemporaryFolder folder;
  const auto refusal = [&](const std::string& name) {
    return message_of<UsageError>([&] { find_flow_files(folder / name); });
  };
  CHECK(refusal("absent").find("got nothing of this name.") != std::string::npos);
  test::write_bytes(folder / "list.txt", "# nothing\n");
  CHECK(refusal("list.txt").find("expected at least one pair of frames") != std::string::npos);
  test::write_bytes(folder / "list.txt", "a b c\na b\n");
  CHECK(refusal("list.txt")
            .find("list.txt:2: expected three paths: first frame, second frame, "
                  "flow, got 2.") != std::string::npos);
  fs::create_directories(folder / "empty");
  CHECK(refusal("empty").find("got none.") != std::string::npos);
  add_flow(folder / "lonely/x_flow.flo");
  CHECK(refusal("lonely").find("expected a frame \"x_img1\" with it, got none.") !=
        std::string::npos);
  add_flow(folder / "names/frame.flo");
  CHECK(refusal("names").find("a name that ends in a number") != std::string::npos);
  add_flow(folder / "last/f99.flo");
  CHECK(refusal("last").find("room for the next") != std::string::npos);
}

FlowDataset dataset_of(const TemporaryFolder& folder, bool random_crop, ImageSize size) {
  return FlowDataset(find_flow_files(folder.path()),
                     FlowDatasetOptions().size(size).random_crop(random_crop));
}

void add_pair(const TemporaryFolder& folder, const std::string& suffix = ".png") {
  add_frame(folder / ("a1" + suffix), frame(0));
  add_frame(folder / ("a2" + suffix), frame(3));
  add_flow(folder / "a1.flo");
}

TEST_CASE("inputs are those of the task, and the flow is cut out with the frames") {
  for (const char* suffix : {".png", ".ppm"}) {
    CAPTURE(suffix);
    TemporaryFolder folder;
    add_pair(folder, suffix);
    std::set<std::pair<int64_t, int64_t>> corners;
    for (uint64_t i = 0; i < 60; ++i) {
      const bool random_crop = i > 0;
      auto random = sample_stream(i);
      const auto sample = dataset_of(folder, random_crop, {8, 10}).get(0, random);
      REQUIRE(sample.labels.sizes() == torch::IntArrayRef({8, 10, 2}));
      const auto left = sample.labels[0][0][0].item<int64_t>();
      const auto top = -sample.labels[0][0][1].item<int64_t>();
      if (!random_crop) CHECK((top == 2 && left == 3));
      corners.emplace(top, left);
      const cv::Rect crop(static_cast<int>(left), static_cast<int>(top), 10, 8);
      const cv::Mat first = frame(0)(crop).clone();
      const cv::Mat second = frame(3)(crop).clone();
      const auto expected = flow_patches(torch::stack({tensor_view(first), tensor_view(second)}));
      REQUIRE(torch::equal(sample.arguments.at("inputs"), expected[0]));
      CHECK(sample.labels[7][9][0].item<int64_t>() == left + 9);
      CHECK(sample.labels[7][9][1].item<int64_t>() == -(top + 7));
    }
    CHECK(corners.size() > 20);  // of 5 * 8
  }
}

TEST_CASE("unknown flow is NaN") {
  TemporaryFolder folder;
  add_pair(folder);
  auto field = ramp();
  field.values[0] = 1.7e9F;
  field.values[3] = -INFINITY;
  write_flow(folder / "a1.flo", field);
  auto random = sample_stream();
  const auto flow = dataset_of(folder, false, {kHeight, kWidth}).get(0, random).labels;
  CHECK(std::isnan(flow[0][0][0].item<float>()));
  CHECK(flow[0][0][1].item<float>() == 0.0F);
  CHECK(std::isnan(flow[0][1][1].item<float>()));
  CHECK(flow.isfinite().sum().item<int64_t>() == kHeight * kWidth * 2 - 2);
}

TEST_CASE("frames that do not fit the flow or the crop cannot be used") {
  TemporaryFolder folder;
  add_pair(folder);
  const auto refusal = [&](ImageSize size) {
    return message_of<ImageError>([&] {
      auto random = sample_stream();
      dataset_of(folder, true, size).get(0, random);
    });
  };
  CHECK(
      refusal({13, 10}).find("a1.png: expected at least 13 x 10 pixels, the crop, got 12 x 17.") !=
      std::string::npos);
  add_frame(folder / "a2.png", frame(0, kHeight, 16));
  CHECK(refusal({8, 8}).find("a2.png: expected 12 x 17 pixels as the flow, got 12 x 16.") !=
        std::string::npos);
  test::write_bytes(folder / "a1.flo", "no flow");
  CHECK(refusal({8, 8}).find("a1.flo") != std::string::npos);
  CHECK_THROWS_AS(FlowDataset({}), UsageError);
  CHECK_THROWS_AS(dataset_of(folder, true, {0, 4}), ConfigError);
}

TEST_CASE("portable pixmaps are read, and refused where they are damaged") {
  TemporaryFolder folder;
  const auto path = folder / "a.ppm";
  const auto refusal = [&](const std::string& bytes) {
    test::write_bytes(path, bytes);
    return message_of<ImageError>([&] { detail::read_ppm(path); });
  };
  const std::string whole = ppm_bytes(frame(2));
  test::write_bytes(path, whole);
  const cv::Mat expected = frame(2);
  CHECK(torch::equal(detail::read_ppm(path), tensor_view(expected)));
  CHECK(refusal(whole.substr(0, whole.size() - 1)).find("ends early") != std::string::npos);
  CHECK(refusal("P6 2 2 255").find("ends early") != std::string::npos);
  CHECK(refusal("P5 1 1 255 x").find("a binary PPM image") != std::string::npos);
  CHECK(refusal("P6 1 1 65535 xxxxxx").find("values up to 255, got 65535") != std::string::npos);
  CHECK(refusal("P6 99999 99999 255 x").find("pixels, got more") != std::string::npos);
  for (const char* bytes : {"",
                            "P6",
                            "P6 ",
                            "P6 #",
                            "P6 # never",
                            "P6 a",
                            "P6 -1 2 255 ",
                            "P6 0 2 255 ",
                            "P6 99999999999999999999 1 255 "}) {
    CAPTURE(bytes);
    CHECK(refusal(bytes).find("[image] ") == 0);
  }
}

}  // namespace
}  // namespace vizoo
