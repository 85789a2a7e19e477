#include "image_batches.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <thread>
#include <utility>

#include "images.h"
#include "vizoo/vision/image.h"

namespace vizoo::app {
namespace {

PreparedImage prepare(const std::filesystem::path& path, const ImageProcessor& processor) {
  PreparedImage item;
  item.path = path.string();
  try {
    // As Transformers' pipeline, which turns photos upright.
    const auto image = read_image(path, ImageDecodeOptions{/*apply_exif_orientation=*/true});
    item.size = {image.rows, image.cols};
    item.pixel_values =
        processor(image, PreprocessOptions().return_form(ReturnForm::stacked)).pixel_values;
  } catch (const std::exception& error) {
    item.error = error_of_image(error, path);
  }
  return item;
}

std::size_t worker_count(int threads) {
  if (threads > 0) return static_cast<std::size_t>(threads);
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

ImageBatches::ImageBatches(std::vector<std::filesystem::path> paths,
                           const ImageProcessor& processor,
                           int64_t batch_size,
                           int threads)
    : batch_size_(static_cast<std::size_t>(batch_size)),
      prefetch_(
          paths.size(), worker_count(threads), batch_size_ * 2, [paths, &processor](std::size_t i) {
            return prepare(paths[i], processor);
          }) {}

void ImageBatches::for_each(const RunBatch& run, const Fail& fail) {
  while (!prefetch_.done()) {
    auto item = prefetch_.next();
    if (!item.error.empty()) {
      flush(run);  // keeps the answers in order
      fail(item);
      continue;
    }
    if (!pending_.empty() && item.pixel_values.sizes() != pending_.front().pixel_values.sizes()) {
      flush(run);
    }
    pending_.push_back(std::move(item));
    if (pending_.size() >= batch_size_) flush(run);
  }
  flush(run);
}

void ImageBatches::flush(const RunBatch& run) {
  if (pending_.empty()) return;
  std::vector<torch::Tensor> pixel_values;
  for (const auto& item : pending_) pixel_values.push_back(item.pixel_values);
  run(pending_, torch::cat(pixel_values));
  pending_.clear();
}

}  // namespace vizoo::app
