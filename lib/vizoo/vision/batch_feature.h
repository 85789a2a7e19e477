#pragma once

#include <vector>

#include "vizoo/vision/image_processor.h"
#include "vizoo/vision/work_image.h"

// The second half of the image processors' pipeline: from cropped images to tensors.
namespace vizoo::detail {

/// Rescales, normalises and pads the images as `settings` say, lays them out and stacks them as
/// `options` say. Throws ConfigError for settings that do not fit the images, ShapeError for
/// ReturnForm::stacked of different sizes.
BatchFeature assemble(const std::vector<WorkImage>& images,
                      const ProcessorSettings& settings,
                      const PreprocessOptions& options,
                      ImageBackend backend);

}  // namespace vizoo::detail
