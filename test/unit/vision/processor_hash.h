#pragma once

#include <ATen/ATen.h>

#include <string>

#include "test/unit/vision/pattern.h"
#include "vizoo/vision/image_processor.h"

namespace vizoo::test {

/// FNV-1a-32 of a tensor's bytes in row-major order.
inline std::string hash_of(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.contiguous();
  return fnv(whole.const_data_ptr(), whole.nbytes());
}

/// The same of the first image that `processor` makes of `images`.
template <class Images>
std::string hash_of(const ImageProcessor& processor,
                    const Images& images,
                    const PreprocessOptions& options = {}) {
  return hash_of(processor(images, options).images[0]);
}

/// Sizes of a result, as in `3 x 24 x 24`.
inline std::string shape_of(const at::Tensor& tensor) {
  std::string text;
  for (const int64_t size : tensor.sizes()) {
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  }
  return text;
}

}  // namespace vizoo::test
