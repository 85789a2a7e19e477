#include "vizoo/training/data/image_augmentation.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/nn/torch.h"
#include "vizoo/vision/pixel_table.h"

namespace vizoo {
namespace {

constexpr int kTries = 10;

// Sizes of two black squares; a processor that brings squares to one size makes both alike.
constexpr int kProbeSizes[] = {32, 48};

void check_pair(double low, double high, bool valid, const char* subject, const char* expected) {
  if (valid) return;
  throw UsageError(
      "training", subject, expected, std::to_string(low) + " and " + std::to_string(high));
}

ImageSize output_size(const ImageProcessor& processor) {
  std::vector<ImageSize> sizes;
  for (const int side : kProbeSizes) {
    const cv::Mat square(side, side, CV_8UC3, cv::Scalar::all(0));
    const at::Tensor pixels = processor(square).images.at(0);
    sizes.push_back({pixels.size(1), pixels.size(2)});
  }
  if (sizes[0] == sizes[1]) return sizes[0];
  throw ConfigError("training",
                    "image processor",
                    "one that brings images to one size",
                    processor.type_name() + ", which keeps their sizes",
                    "Say which size crops are to have");
}

}  // namespace

void check_augmentation(const ImageAugmentationOptions& options) {
  const double min_scale = options.min_scale();
  const double max_scale = options.max_scale();
  check_pair(min_scale,
             max_scale,
             0.0 < min_scale && min_scale <= max_scale && max_scale <= 1.0,
             "scale of the crop",
             "0 < lowest <= highest <= 1");
  const double min_ratio = options.min_ratio();
  const double max_ratio = options.max_ratio();
  check_pair(min_ratio,
             max_ratio,
             0.0 < min_ratio && min_ratio <= max_ratio && std::isfinite(max_ratio),
             "ratio of the crop",
             "0 < lowest <= highest");
  if (!(options.horizontal_flip() >= 0.0 && options.horizontal_flip() <= 1.0)) {
    throw UsageError("training",
                     "horizontal_flip",
                     "a probability from 0 to 1",
                     std::to_string(options.horizontal_flip()));
  }
  if (options.size()) check_crop_size(*options.size(), "size of the crop");
}

ImageRegion random_resized_crop(const ImageSize& image,
                                const ImageAugmentationOptions& options,
                                RandomStream& random) {
  const auto height = static_cast<double>(image.height);
  const auto width = static_cast<double>(image.width);
  const double low = std::log(options.min_ratio());
  const double high = std::log(options.max_ratio());
  for (int i = 0; i < kTries; ++i) {
    const double area = height * width * random.uniform(options.min_scale(), options.max_scale());
    const double ratio = std::exp(random.uniform(low, high));
    const double crop_width = std::nearbyint(std::sqrt(area * ratio));
    const double crop_height = std::nearbyint(std::sqrt(area / ratio));
    if (crop_width < 1.0 || crop_width > width || crop_height < 1.0 || crop_height > height) {
      continue;
    }
    ImageRegion region;
    region.height = static_cast<int64_t>(crop_height);
    region.width = static_cast<int64_t>(crop_width);
    region.top = random.integer(image.height - region.height + 1);
    region.left = random.integer(image.width - region.width + 1);
    return region;
  }
  ImageRegion region{0, 0, image.height, image.width};
  const double ratio = width / height;
  if (ratio < options.min_ratio()) {
    region.height =
        std::min(static_cast<int64_t>(std::nearbyint(width / options.min_ratio())), image.height);
  } else if (ratio > options.max_ratio()) {
    region.width =
        std::min(static_cast<int64_t>(std::nearbyint(height * options.max_ratio())), image.width);
  }
  region.height = std::max<int64_t>(region.height, 1);
  region.width = std::max<int64_t>(region.width, 1);
  region.top = (image.height - region.height) / 2;
  region.left = (image.width - region.width) / 2;
  return region;
}

void mirror(cv::Mat& image) {
  for (int y = 0; y < image.rows; ++y) {
    auto* row = image.ptr<cv::Vec3b>(y);
    std::reverse(row, row + image.cols);
  }
}

ImageAugmentation::ImageAugmentation(std::shared_ptr<const ImageProcessor> processor,
                                     const ImageAugmentationOptions& options)
    : processor_(std::move(processor)), options_(options), settings_(processor_->settings()) {
  check_augmentation(options);
  if (!options.random_resized_crop()) return;
  if (settings_.do_pad.value_or(false)) {
    throw ConfigError("training",
                      "image processor",
                      "one that does not pad, for random crops",
                      processor_->type_name() + " with do_pad");
  }
  size_ = options.size() ? *options.size() : output_size(*processor_);
  table_ = std::make_shared<const detail::PixelTable>(
      settings_, processor_->backend, 3, /*scaled_by_255=*/false);
}

at::Tensor ImageAugmentation::crop(std::string_view bytes,
                                   std::string_view name,
                                   RandomStream& random) const {
  const auto choose = [&](const ImageSize& size) {
    return random_resized_crop(size, options_, random);
  };
  cv::Mat image = resize(decode_image_region(bytes, name, choose),
                         size_,
                         settings_.resample,
                         processor_->backend,
                         {InstructionSet::best, processor_->pass_order});
  if (random.chance(options_.horizontal_flip())) mirror(image);
  at::Tensor pixels = at::empty({3, size_.height, size_.width}, at::kFloat);
  table_->write_channels_first(image_view(image), pixels.mutable_data_ptr<float>());
  return pixels;
}

at::Tensor ImageAugmentation::operator()(std::string_view bytes,
                                         std::string_view name,
                                         RandomStream& random) const {
  if (options_.random_resized_crop()) return crop(bytes, name, random);
  at::Tensor pixels = (*processor_)(decode_image(bytes, name)).images.at(0);
  return random.chance(options_.horizontal_flip()) ? pixels.flip(2) : pixels;
}

}  // namespace vizoo
