#pragma once

#include <vector>

#include "vizoo/vision/image_processor.h"
#include "vizoo/vision/work_image.h"

// The second half of the image processors' pipeline: from cropped images to tensors.
namespace vizoo::detail {

/// What one image becomes, in the layout of the result.
struct ImageForm {
  std::vector<int64_t> shape;
  at::ScalarType type = at::kFloat;
};

/// A batch whose images are to be written: one tensor of all if their forms are equal, else a list,
/// or what `options` ask for. Throws ShapeError for ReturnForm::stacked of different sizes.
BatchFeature empty_batch(const std::vector<ImageForm>& forms, const PreprocessOptions& options);

/// Moves a written batch to the device of `options`.
void finish_batch(BatchFeature& feature, const PreprocessOptions& options);

/// Rescales, normalises and pads the images as `settings` say, lays them out and stacks them as
/// `options` say. Throws ConfigError for settings that do not fit the images, ShapeError for
/// ReturnForm::stacked of different sizes.
BatchFeature assemble(const std::vector<WorkImage>& images,
                      const ProcessorSettings& settings,
                      const PreprocessOptions& options,
                      ImageBackend backend);

}  // namespace vizoo::detail
