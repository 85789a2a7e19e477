#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "vizoo/core/thread.h"
#include "vizoo/nn/torch.h"
#include "vizoo/vision/image_processor.h"

namespace vizoo::app {

/// One image on its way through: either pixel values or the reason why there are none.
struct PreparedImage {
  std::string path;
  ImageSize size;              ///< upright, before preprocessing
  torch::Tensor pixel_values;  ///< [1, C, H, W]
  std::string error;           ///< one line; empty if all is well
};

/// Decodes and preprocesses image files on worker threads, upright as their EXIF orientation says,
/// and hands them out in order: images that came out in one size together.
class ImageBatches {
 public:
  /// Begins at once, so that the first batch can be ready when the model is. At most `batch_size`
  /// images run together; `threads` workers, 0 for one on each core. `processor` must outlive this.
  ImageBatches(std::vector<std::filesystem::path> paths,
               const ImageProcessor& processor,
               int64_t batch_size,
               int threads);

  using RunBatch = std::function<void(const std::vector<PreparedImage>& images,
                                      const torch::Tensor& pixel_values)>;
  using Fail = std::function<void(const PreparedImage& image)>;

  /// Calls `run` for each batch, with its pixel values [B, C, H, W], and `fail` for each bad image,
  /// in the order of the images.
  void for_each(const RunBatch& run, const Fail& fail);

 private:
  void flush(const RunBatch& run);

  std::size_t batch_size_;
  OrderedPrefetch<PreparedImage> prefetch_;
  std::vector<PreparedImage> pending_;
};

}  // namespace vizoo::app
