#include "vizoo/vision/image.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "test/support/catch.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using test::fnv;
using test::message_of;

const std::filesystem::path kFolder = "test/fixtures/images";

std::string describe(const cv::Mat& image) {
  return std::to_string(image.rows) + " " + std::to_string(image.cols) + " " + fnv(image);
}

TEST_CASE("every fixture decodes to Pillow's bytes, as stored and upright") {
  std::ifstream list(kFolder / "expected.txt");
  REQUIRE(list.good());
  int files = 0;
  std::string line;
  while (std::getline(list, line)) {
    std::istringstream words(line);
    std::string name, height, width, hash, upright_height, upright_width, upright_hash;
    words >> name >> height >> width >> hash >> upright_height >> upright_width >> upright_hash;
    CAPTURE(name);
    CHECK(describe(read_image(kFolder / name)) == height + " " + width + " " + hash);
    ImageDecodeOptions options;
    options.apply_exif_orientation = true;
    CHECK(describe(read_image(kFolder / name, options)) ==
          upright_height + " " + upright_width + " " + upright_hash);
    ++files;
  }
  CHECK(files == 40);
}

TEST_CASE("read_image names what is no image file") {
  CHECK(message_of<ImageError>([] { read_image("test/fixtures/images/absent.png"); }) ==
        "[image] test/fixtures/images/absent.png: expected an image file, got no such file.");
  CHECK(message_of<ImageError>([] { read_image("test/fixtures/images"); }) ==
        "[image] test/fixtures/images: expected an image file, got a folder or special file.");
  CHECK(message_of<ImageError>([] { read_image("test/fixtures/images/expected.txt"); }) ==
        "[image] test/fixtures/images/expected.txt: expected a JPEG, PNG, BMP, WebP or TIFF image, "
        "got something else.");
}

TEST_CASE("the pixel limit counts before anything is decoded") {
  ImageDecodeOptions options;
  options.max_pixels = 22 * 31 - 1;
  for (const char* name : {"rgb.png", "rgb.jpg", "rgb.bmp", "lossy.webp", "rgb.tif"}) {
    CHECK(message_of<ImageError>([&] { read_image(kFolder / name, options); }) ==
          "[image] test/fixtures/images/" + std::string(name) +
              ": expected at most 681 pixels, got 31 x 22.");
  }
  options.max_pixels = 22 * 31;
  CHECK_NOTHROW(read_image(kFolder / "rgb.png", options));
}

TEST_CASE("image_view takes 8-bit images only") {
  const cv::Mat image(3, 4, CV_8UC2);
  const ImageView view = image_view(image);
  CHECK(view.height == 3);
  CHECK(view.width == 4);
  CHECK(view.channels == 2);
  CHECK(view.row_stride == 8);
  CHECK(message_of<ImageError>([] { image_view(cv::Mat(3, 4, CV_16UC1)); }) ==
        "[image] cv::Mat: expected a two-dimensional 8-bit image of 1 to 4 channels, got "
        "CV_16UC1.");
}

}  // namespace
}  // namespace vizoo
