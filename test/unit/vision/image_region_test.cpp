#include "vizoo/vision/image_region.h"

#include <cmath>
#include <filesystem>
#include <random>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/support/jpeg_writer.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using test::fnv;
using test::jpeg_bytes;
using test::JpegForm;
using test::message_of;

// Smooth, with edges: neighbouring blocks and colours differ everywhere.
cv::Mat photo(int height, int width) {
  cv::Mat image(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int disc = std::hypot(x - width / 2, y - height / 2) < height / 3 ? 80 : 0;
      image.at<cv::Vec3b>(y, x) = {static_cast<uint8_t>(127 + 120 * std::sin(0.07 * x + 0.02 * y)),
                                   static_cast<uint8_t>(100 + 60 * std::cos(0.11 * y) + disc),
                                   static_cast<uint8_t>((x * 5 + y * 3 + disc) % 200)};
    }
  }
  return image;
}

cv::Mat part(const cv::Mat& image, const ImageRegion& region) {
  return image(cv::Rect(static_cast<int>(region.left),
                        static_cast<int>(region.top),
                        static_cast<int>(region.width),
                        static_cast<int>(region.height)));
}

cv::Mat decode_part(const std::string& bytes, const ImageRegion& region) {
  return decode_image_region(bytes, "a.jpg", [&](const ImageSize&) { return region; });
}

void check_parts(const std::string& bytes, unsigned seed, int count) {
  const cv::Mat whole = decode_image(bytes, "a.jpg");
  std::mt19937 random(seed);
  const auto below = [&](int bound) { return static_cast<int>(random() % bound); };
  for (int i = 0; i < count; ++i) {
    ImageRegion region;
    region.height = 1 + below(whole.rows);
    region.width = 1 + below(whole.cols);
    region.top = below(whole.rows - static_cast<int>(region.height) + 1);
    region.left = below(whole.cols - static_cast<int>(region.width) + 1);
    CAPTURE(region.top, region.left, region.height, region.width);
    const cv::Mat got = decode_part(bytes, region);
    REQUIRE(got.rows == region.height);
    REQUIRE(got.cols == region.width);
    REQUIRE(fnv(got) == fnv(part(whole, region)));
  }
}

TEST_CASE("a part of a JPEG has the bytes that it has in the whole image") {
  struct Sampling {
    int horizontal;
    int vertical;
  };
  for (const auto& [horizontal, vertical] :
       {Sampling{1, 1}, Sampling{2, 1}, Sampling{1, 2}, Sampling{2, 2}, Sampling{4, 1}}) {
    for (const bool progressive : {false, true}) {
      for (const int restart_rows : {0, 2}) {
        CAPTURE(horizontal, vertical, progressive, restart_rows);
        JpegForm form{horizontal, vertical, false, progressive, restart_rows};
        check_parts(jpeg_bytes(photo(97, 131), form), 1, 60);
        check_parts(jpeg_bytes(photo(64, 48), form), 2, 30);
        check_parts(jpeg_bytes(photo(5, 300), form), 3, 20);
      }
    }
  }
  check_parts(jpeg_bytes(photo(97, 131), {1, 1, true}), 4, 60);
  check_parts(jpeg_bytes(photo(1, 1)), 5, 2);
}

TEST_CASE("a part of every other file has the bytes that it has in the whole image") {
  const ImageRegion region{3, 5, 11, 20};
  int files = 0;
  for (const char* name : {"cmyk.jpg",
                           "gray.jpg",
                           "progressive.jpg",
                           "orientation6.jpg",
                           "rgb.png",
                           "palette_alpha.png",
                           "rgb.bmp",
                           "lossy.webp",
                           "lzw.tif"}) {
    CAPTURE(name);
    const auto path = std::filesystem::path("test/fixtures/images") / name;
    const std::string bytes = test::read_bytes(path);
    const cv::Mat got = decode_image_region(bytes, name, [&](const ImageSize& size) {
      CHECK(size == ImageSize{22, 31});
      return region;
    });
    CHECK(fnv(got) == fnv(part(read_image(path), region)));
    ++files;
  }
  CHECK(files == 9);
}

TEST_CASE("a JPEG that ends early is an error whatever its part") {
  const std::string bytes = jpeg_bytes(photo(160, 120));
  for (const double share : {0.3, 0.6, 0.9, 0.999}) {
    CAPTURE(share);
    const auto size = static_cast<std::size_t>(share * static_cast<double>(bytes.size()));
    CHECK(message_of<ImageError>([&] {
            decode_part(bytes.substr(0, size), {0, 0, 1, 1});
          }) == "[image] a.jpg: expected a complete JPEG, got a file that ends early.");
  }
}

TEST_CASE("damaged JPEGs give an image or an ImageError, never more") {
  const std::string bytes = jpeg_bytes(photo(80, 96), {2, 2, false, false, 1});
  std::mt19937 random(8);
  int errors = 0;
  for (int i = 0; i < 400; ++i) {
    std::string damaged = bytes;
    for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
    try {
      const cv::Mat got =
          decode_image_region(damaged, "a.jpg", [](const ImageSize& size) -> ImageRegion {
            return {size.height / 2, size.width / 3, (size.height + 3) / 4, (size.width + 3) / 4};
          });
      CHECK(got.total() > 0);
    } catch (const ImageError&) {
      ++errors;
    }
  }
  CHECK(errors > 0);
  CHECK(errors < 400);
}

TEST_CASE("parts outside of the image are refused") {
  const std::string jpeg = jpeg_bytes(photo(20, 30));
  const std::string png = test::read_bytes("test/fixtures/images/rgb.png");
  for (const auto& bytes : {jpeg, png}) {
    for (const ImageRegion& region : {ImageRegion{0, 0, 0, 5},
                                      ImageRegion{0, 0, 5, 0},
                                      ImageRegion{-1, 0, 5, 5},
                                      ImageRegion{0, -1, 5, 5},
                                      ImageRegion{18, 0, 5, 5},
                                      ImageRegion{0, 29, 5, 5},
                                      ImageRegion{INT64_MAX, 0, 5, 5}}) {
      CHECK_THROWS_AS(decode_part(bytes, region), UsageError);
    }
  }
  CHECK(message_of<UsageError>([&] {
          decode_part(jpeg, {18, 0, 5, 5});
        }) ==
        "[image] a.jpg: expected a part of the image, 20 x 30, got 5 x 5 from row 18, column 0.");
  ImageDecodeOptions upright;
  upright.apply_exif_orientation = true;
  const auto whole = [](const ImageSize& size) {
    return ImageRegion{0, 0, size.height, size.width};
  };
  CHECK_THROWS_AS(decode_image_region(jpeg, "a.jpg", whole, upright), UsageError);
  ImageDecodeOptions small;
  small.max_pixels = 599;
  CHECK_THROWS_AS(decode_image_region(jpeg, "a.jpg", whole, small), ImageError);
}

}  // namespace
}  // namespace vizoo
