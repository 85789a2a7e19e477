#pragma once

#include <ATen/core/Tensor.h>

#include "vizoo/vision/image_processor.h"
#include "vizoo/vision/work_image.h"

// The steps of Owlv2ImageProcessor for one image. `canvas`: the size after padding; `target`: after
// resizing, the canvas if it is not resized.
namespace vizoo::detail {

/// As Transformers 4.37.2, written to `out`, [C, H, W] of any strides and of pil_type's dtype.
void owlv2_pil(const WorkImage& image,
               const ImageSize& canvas,
               const ImageSize& target,
               const ProcessorSettings& settings,
               at::Tensor& out);

at::ScalarType owlv2_pil_type(const WorkImage& image, const ProcessorSettings& settings);

/// As Transformers 5.17: a new tensor [C, H, W]. Throws ConfigError where the blur reaches over the
/// whole image, which torchvision refuses, and where it would take very long.
at::Tensor owlv2_torchvision(const WorkImage& image,
                             const ImageSize& canvas,
                             const ImageSize& target,
                             const ProcessorSettings& settings);

}  // namespace vizoo::detail
