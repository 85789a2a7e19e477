#include "vizoo/vision/image_transforms.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>

#include <vector>

#include "test/support/catch.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using test::fnv;
using test::message_of;
using test::pattern_image;

TEST_CASE("the torchvision backend gives ATen's bytes") {
  struct Golden {
    int64_t height, width;
    const char* bilinear;
    const char* bicubic;
  };
  // By an integer emulation of ATen's source.
  static const Golden kGolden[] = {
      {24, 34, "7122A9FC", "9E25D75C"},
      {16, 16, "1D9ADA28", "AACB9007"},
      {60, 47, "84769288", "835200B7"},
      {37, 20, "C8EC98A8", "2D0DB49E"},
      {11, 53, "DCD9671E", "C3387AE8"},
      {1, 1, "8089EDEF", "BB19F336"},
  };
  const cv::Mat image = pattern_image(37, 53);
  for (const Golden& golden : kGolden) {
    const auto hash = [&](Resample filter) {
      return fnv(resize(image, {golden.height, golden.width}, filter, ImageBackend::Torchvision));
    };
    CAPTURE(golden.height, golden.width);
    CHECK(hash(Resample::bicubic) == golden.bicubic);
    if (at::get_cpu_capability() != "DEFAULT") CHECK(hash(Resample::bilinear) == golden.bilinear);
  }
  CHECK(fnv(resize(image, {37, 53}, Resample::bicubic, ImageBackend::Torchvision)) == fnv(image));
}

TEST_CASE("the torchvision backend resizes one channel to one pixel") {
  const cv::Mat out =
      resize(pattern_image(5, 4, 1), {1, 1}, Resample::bilinear, ImageBackend::Torchvision);
  CHECK(out.rows == 1);
  CHECK(out.cols == 1);
  CHECK(out.channels() == 1);
}

TEST_CASE("the torchvision backend has three filters") {
  CHECK(message_of<ConfigError>([] {
          resize(pattern_image(4, 4), {2, 2}, Resample::lanczos, ImageBackend::Torchvision);
        }) ==
        "[processor] /resample: expected nearest, bilinear or bicubic with the torchvision "
        "backend, got lanczos.");
  // nearest-exact: the pixel whose centre is nearest.
  const cv::Mat out =
      resize(pattern_image(4, 6), {2, 3}, Resample::nearest, ImageBackend::Torchvision);
  CHECK(out.at<cv::Vec3b>(0, 0) == pattern_image(4, 6).at<cv::Vec3b>(1, 1));
  CHECK(out.at<cv::Vec3b>(1, 2) == pattern_image(4, 6).at<cv::Vec3b>(3, 5));
}

TEST_CASE("alpha is premultiplied while Pillow resizes") {
  cv::Mat image(37, 53, CV_8UC4);
  cv::Mat gray_alpha(37, 53, CV_8UC2);
  const cv::Mat colours = pattern_image(37, 53);
  for (int y = 0; y < 37; ++y) {
    for (int x = 0; x < 53; ++x) {
      const cv::Vec3b colour = colours.at<cv::Vec3b>(y, x);
      const auto alpha = static_cast<uint8_t>((y * 53 + x) * 5 % 256);
      image.at<cv::Vec4b>(y, x) = cv::Vec4b(colour[0], colour[1], colour[2], alpha);
      gray_alpha.at<cv::Vec2b>(y, x) = cv::Vec2b(colour[2], alpha);
    }
  }
  CHECK(fnv(resize(image, {24, 34}, Resample::bicubic)) == "80F698F0");
  CHECK(fnv(resize(gray_alpha, {24, 34}, Resample::bicubic)) == "FA0BD188");
}

TEST_CASE("resize refuses sizes without allocating them") {
  CHECK(message_of<ImageError>([] {
          resize(pattern_image(4, 4), {int64_t{1} << 40, 3}, Resample::bicubic);
        }) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 1099511627776 x 3 "
        "(height x width).");
  CHECK(message_of<ImageError>([] {
          resize(pattern_image(4, 4), {0, 3}, Resample::bicubic, ImageBackend::Torchvision);
        }) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 0 x 3 (height x "
        "width).");
  CHECK(message_of<ImageError>([] {
          resize(cv::Mat(), {2, 3}, Resample::bicubic);
        }) ==
        "[image] cv::Mat: expected a two-dimensional 8-bit image of 1 to 4 channels, got an empty "
        "one.");
  CHECK(message_of<ImageError>([] {
          resize(cv::Mat(2, 2, CV_32FC3), {2, 3}, Resample::bicubic);
        }) ==
        "[image] cv::Mat: expected a two-dimensional 8-bit image of 1 to 4 channels, got "
        "CV_32FC3.");
}

TEST_CASE("the longer side follows the shorter one, truncated") {
  CHECK(shortest_edge_size({480, 640}, 256) == ImageSize{256, 341});
  CHECK(shortest_edge_size({427, 640}, 256) == ImageSize{256, 383});
  CHECK(shortest_edge_size({640, 427}, 256) == ImageSize{383, 256});
  CHECK(shortest_edge_size({7, 7}, 3) == ImageSize{3, 3});
  CHECK(shortest_edge_size({1, 100}, 18) == ImageSize{18, 1800});
}

TEST_CASE("center_crop cuts, and pads by the rule of its backend") {
  const cv::Mat image = pattern_image(21, 31);
  // Too low by an odd number: the slow rule loses a row.
  const cv::Mat slow = center_crop(image, {24, 24}, ImageBackend::Pil);
  CHECK(slow.rows == 23);
  CHECK(slow.cols == 24);
  CHECK(slow.at<cv::Vec3b>(0, 0) == cv::Vec3b(0, 0, 0));
  CHECK(slow.at<cv::Vec3b>(1, 0) == image.at<cv::Vec3b>(0, 3));
  CHECK(slow.at<cv::Vec3b>(21, 23) == image.at<cv::Vec3b>(20, 26));
  CHECK(slow.at<cv::Vec3b>(22, 5) == cv::Vec3b(0, 0, 0));
  const cv::Mat fast = center_crop(image, {24, 24}, ImageBackend::Torchvision);
  CHECK(fast.rows == 24);
  CHECK(fast.at<cv::Vec3b>(1, 0) == image.at<cv::Vec3b>(0, 3));
  const cv::Mat even = center_crop(image, {25, 31}, ImageBackend::Pil);
  CHECK(even.rows == 25);
  CHECK(even.at<cv::Vec3b>(2, 0) == image.at<cv::Vec3b>(0, 0));
  CHECK(fnv(center_crop(image, {21, 31}, ImageBackend::Pil)) == fnv(image));
  CHECK(message_of<ConfigError>([&] {
          center_crop(image, {0, 3}, ImageBackend::Pil);
        }) == "[processor] /crop_size: expected 1 to 178956970 pixels, got 0 x 3.");
}

TEST_CASE("rescale rounds once for bytes and stays in float32 for float32") {
  const at::Tensor bytes = at::arange(256, at::kInt).to(at::kByte);
  CHECK(rescale(bytes, 1.0 / 255.0).equal(bytes.to(at::kFloat) / 255.0f));
  const at::Tensor floats = bytes.to(at::kFloat);
  CHECK(rescale(floats, 1.0 / 255.0).equal(floats * static_cast<float>(1.0 / 255.0)));
  CHECK(rescale(floats.to(at::kDouble), 1.0 / 255.0).scalar_type() == at::kFloat);
}

TEST_CASE("normalize works in both layouts and checks its numbers") {
  const at::Tensor image = at::arange(24, at::kFloat).reshape({3, 2, 4});
  const std::vector<double> mean{1, 2, 3};
  const std::vector<double> std{2, 4, 8};
  const at::Tensor first = normalize(image, mean, std, ChannelDimension::first);
  CHECK(first[1][0][1].item<float>() == (9.0f - 2.0f) / 4.0f);
  const at::Tensor last =
      normalize(image.permute({1, 2, 0}), mean, std, ChannelDimension::last).permute({2, 0, 1});
  CHECK(last.equal(first));
  CHECK(normalize(image, {1}, {2}, ChannelDimension::first).equal((image - 1) / 2));
  CHECK(message_of<ConfigError>([&] {
          normalize(image, {1, 2}, std, ChannelDimension::first);
        }) ==
        "[processor] /image_mean: expected one number, or one for each of the image's 3 channels, "
        "got 2 numbers.");
}

TEST_CASE("the layout of tensors is guessed as in Transformers") {
  const auto guess = [](std::vector<int64_t> shape) {
    return infer_channel_dimension(at::empty(shape, at::kByte));
  };
  CHECK(guess({3, 20, 30}) == ChannelDimension::first);
  CHECK(guess({1, 20, 30}) == ChannelDimension::first);
  CHECK(guess({20, 30, 3}) == ChannelDimension::last);
  CHECK(guess({20, 30, 1}) == ChannelDimension::last);
  CHECK(guess({3, 20, 3}) == ChannelDimension::first);  // misread, and known to be
  CHECK(message_of<ImageError>([&] {
          guess({20, 30, 4});
        }) ==
        "[image] tensor: expected 1 or 3 channels on the first or last axis, got [20, 30, 4]. Give "
        "input_data_format for other numbers of channels.");
  CHECK(message_of<ImageError>([&] {
          guess({20, 30});
        }) ==
        "[image] tensor: expected three dimensions for one image, four for a batch, got [20, 30].");
}

TEST_CASE("sizes are dicts with known keys") {
  CHECK(size_dict(224, true) == SizeDict{{"height", 224}, {"width", 224}});
  CHECK(size_dict(224, false) == SizeDict{{"shortest_edge", 224}});
  CHECK_NOTHROW(check_size_dict({{"longest_edge", 5}, {"shortest_edge", 4}}, "/size"));
  CHECK(message_of<ConfigError>([] {
          check_size_dict({{"height", 5}}, "/size");
        }) ==
        "[processor] /size: expected the keys {height, width}, {shortest_edge}, {shortest_edge, "
        "longest_edge}, {longest_edge} or {max_height, max_width}, got {height}.");
  CHECK(message_of<ConfigError>([] {
          check_size_dict({{"shortest_edge", 0}}, "/size");
        }) == "[processor] /size/shortest_edge: expected a length of at least 1, got 0.");
}

}  // namespace
}  // namespace vizoo
