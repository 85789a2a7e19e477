#include "vizoo/training/data/image_augmentation.h"

#include <cmath>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/support/jpeg_writer.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/torch.h"
#include "vizoo/vision/convnext_image_processor.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/levit_image_processor.h"
#include "vizoo/vision/owlv2_image_processor.h"
#include "vizoo/vision/vit_image_processor.h"

namespace vizoo {
namespace {

RandomStream crop_stream(uint64_t index) {
  return RandomStream(1, 2, index, RandomPurpose::sample);
}

std::shared_ptr<ViTImageProcessor> square_processor(int64_t side) {
  ViTImageProcessorConfig config;
  config.size = {{"height", side}, {"width", side}};
  config.image_mean = {0.4, 0.5, 0.6};
  config.image_std = {0.2, 0.3, 0.25};
  return std::make_shared<ViTImageProcessor>(config);
}

TEST_CASE("crops have the areas and ratios that they are to have, at any place") {
  const ImageAugmentationOptions options;
  double areas = 0.0;
  double log_ratios = 0.0;
  double lowest_area = 1.0;
  double highest_area = 0.0;
  constexpr int kCrops = 4000;
  for (int i = 0; i < kCrops; ++i) {
    auto random = crop_stream(static_cast<uint64_t>(i));
    const auto crop = random_resized_crop({375, 500}, options, random);
    CHECK(crop.top >= 0);
    CHECK(crop.left >= 0);
    CHECK(crop.top + crop.height <= 375);
    CHECK(crop.left + crop.width <= 500);
    const double area = static_cast<double>(crop.height * crop.width) / (375.0 * 500.0);
    const double ratio = static_cast<double>(crop.width) / static_cast<double>(crop.height);
    CHECK(area > 0.078);
    CHECK(ratio > 0.74);
    CHECK(ratio < 1.35);
    areas += area;
    log_ratios += std::log(ratio);
    lowest_area = std::min(lowest_area, area);
    highest_area = std::max(highest_area, area);
  }
  // Of torchvision's get_params for this size, 100000 draws; margins: four standard errors.
  CHECK(areas / kCrops == Approx(0.4338).margin(0.016));
  CHECK(log_ratios / kCrops == Approx(0.0310).margin(0.0105));
  CHECK(lowest_area < 0.1);
  CHECK(highest_area > 0.95);
}

TEST_CASE("where no crop fits, it is the largest one around the centre") {
  auto random = crop_stream(0);
  const auto options = ImageAugmentationOptions().min_scale(1.0).max_scale(1.0);
  // As torchvision's get_params for the same sizes.
  CHECK(random_resized_crop({10, 100}, options, random) == ImageRegion{0, 43, 10, 13});
  CHECK(random_resized_crop({100, 10}, options, random) == ImageRegion{43, 0, 13, 10});
  CHECK(random_resized_crop({1, 1}, options, random) == ImageRegion{0, 0, 1, 1});
  const auto square = ImageAugmentationOptions().min_scale(1.0).min_ratio(1.0).max_ratio(1.0);
  CHECK(random_resized_crop({7, 7}, square, random) == ImageRegion{0, 0, 7, 7});
  CHECK(random_resized_crop({1, 5000}, square, random) == ImageRegion{0, 2499, 1, 1});
}

TEST_CASE("a crop is cut out, resized, mirrored and normalised as step by step") {
  const std::string bytes = test::jpeg_bytes(test::pattern_image(60, 84));
  const auto processor = square_processor(24);
  for (const auto backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    processor->backend = backend;
    const ImageAugmentation augmentation(processor, ImageAugmentationOptions());
    int mirrored = 0;
    for (uint64_t i = 0; i < 40; ++i) {
      auto random = crop_stream(i);
      const auto got = augmentation(bytes, "a.jpg", random);
      auto again = crop_stream(i);
      const auto region = random_resized_crop({60, 84}, ImageAugmentationOptions(), again);
      const bool flip = again.chance(0.5);
      const cv::Mat crop = decode_image(bytes, "a.jpg")(cv::Rect(static_cast<int>(region.left),
                                                                 static_cast<int>(region.top),
                                                                 static_cast<int>(region.width),
                                                                 static_cast<int>(region.height)));
      auto expected = (*processor)(crop.clone()).pixel_values[0];
      if (flip) expected = expected.flip(2);
      REQUIRE(got.sizes() == torch::IntArrayRef({3, 24, 24}));
      REQUIRE(torch::equal(got, expected));
      mirrored += flip ? 1 : 0;
    }
    CHECK((mirrored > 8 && mirrored < 32));
  }
}

TEST_CASE("without crops the pixels are the image processor's, mirrored or not") {
  const std::string bytes = test::jpeg_bytes(test::pattern_image(60, 84));
  const auto processor = square_processor(24);
  const auto pixels = (*processor)(decode_image(bytes, "a.jpg")).pixel_values[0];
  const auto make = [&](double flip) {
    const ImageAugmentation augmentation(
        processor, ImageAugmentationOptions().random_resized_crop(false).horizontal_flip(flip));
    auto random = crop_stream(0);
    return augmentation(bytes, "a.jpg", random);
  };
  CHECK(torch::equal(make(0.0), pixels));
  CHECK(torch::equal(make(1.0), pixels.flip(2)));
}

TEST_CASE("crops have the size that each image processor makes of a square") {
  const std::string bytes = test::jpeg_bytes(test::pattern_image(30, 40));
  const auto size_of = [&](std::shared_ptr<const ImageProcessor> processor,
                           const ImageAugmentationOptions& options = {}) {
    auto random = crop_stream(0);
    return ImageAugmentation(std::move(processor), options)(bytes, "a.jpg", random).sizes().vec();
  };
  ConvNextImageProcessorConfig convnext;
  convnext.size = {{"shortest_edge", 160}};
  CHECK(size_of(std::make_shared<ConvNextImageProcessor>(convnext)) ==
        std::vector<int64_t>{3, 160, 160});
  CHECK(size_of(std::make_shared<LevitImageProcessor>()) == std::vector<int64_t>{3, 224, 224});
  CHECK(size_of(square_processor(32)) == std::vector<int64_t>{3, 32, 32});
  CHECK(size_of(square_processor(32), ImageAugmentationOptions().size(ImageSize{8, 12})) ==
        std::vector<int64_t>{3, 8, 12});

  ViTImageProcessorConfig as_it_is;
  as_it_is.do_resize = false;
  const auto keeps_size = std::make_shared<ViTImageProcessor>(as_it_is);
  CHECK(test::message_of<ConfigError>([&] { size_of(keeps_size); }) ==
        "[training] image processor: expected one that brings images to one size, got "
        "ViTImageProcessor, which keeps their sizes. Say which size crops are to have.");
  CHECK(size_of(keeps_size, ImageAugmentationOptions().size(ImageSize{9, 9})) ==
        std::vector<int64_t>{3, 9, 9});
  CHECK_THROWS_AS(size_of(std::make_shared<Owlv2ImageProcessor>()), ConfigError);
}

TEST_CASE("augmentation refuses options out of range") {
  const auto refuse = [](const ImageAugmentationOptions& options) {
    CHECK_THROWS_AS(check_augmentation(options), UsageError);
  };
  refuse(ImageAugmentationOptions().min_scale(0.0));
  refuse(ImageAugmentationOptions().min_scale(0.9).max_scale(0.8));
  refuse(ImageAugmentationOptions().max_scale(1.1));
  refuse(ImageAugmentationOptions().min_ratio(0.0));
  refuse(ImageAugmentationOptions().min_ratio(2.0));
  refuse(ImageAugmentationOptions().max_ratio(INFINITY));
  refuse(ImageAugmentationOptions().horizontal_flip(-0.5));
  refuse(ImageAugmentationOptions().horizontal_flip(NAN));
  CHECK_THROWS_AS(check_augmentation(ImageAugmentationOptions().size(ImageSize{0, 5})),
                  ConfigError);
  CHECK_NOTHROW(check_augmentation(ImageAugmentationOptions()));
}

}  // namespace
}  // namespace vizoo
