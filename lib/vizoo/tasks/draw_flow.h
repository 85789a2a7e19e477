#pragma once

#include <cstdint>
#include <utility>

#include <opencv2/core.hpp>

#include "vizoo/core/config.h"
#include "vizoo/nn/torch.h"

namespace vizoo {

/// How a displacement becomes a colour. Still is white (black for the unknown: not finite or beyond
/// 1e9 pixels, as the Middlebury benchmark marks it).
enum class FlowColors {
  /// The wheel of the Middlebury benchmark: right is red, down yellow, left cyan-blue, up violet;
  /// the longer the more saturated, darker beyond max_flow. Baker et al., "A Database and
  /// Evaluation Methodology for Optical Flow", https://vision.middlebury.edu/flow/.
  middlebury,
  hsv,  ///< the angle as hue from red (right) by yellow to green, in 8 bits as OpenCV has it
  /// As hsv with red and blue exchanged: what the notebook of Perceiver IO shows.
  notebook,
};

template <>
struct EnumNames<FlowColors> {
  static constexpr std::pair<FlowColors, const char*> table[] = {
      {FlowColors::middlebury, "middlebury"},
      {FlowColors::hsv, "hsv"},
      {FlowColors::notebook, "notebook"},
  };
};

/// Options of the functions below.
struct FlowPictureOptions {
  TORCH_ARG(FlowColors, colors) = FlowColors::middlebury;
  /// Length in pixels that has the full colour. 0: that of the longest known displacement, for
  /// middlebury; 24, as in the notebook, for the others.
  TORCH_ARG(double, max_flow) = 0.0;
};

/// Length of the longest known displacement, 0 if none is known. flow: floating point, [H, W, 2].
double longest_flow(const torch::Tensor& flow);

/// A colour for each displacement. flow: floating point, [H, W, 2], pixels to the right and down.
/// Returns 8-bit RGB. Throws ShapeError for another shape; UsageError for a max_flow that is
/// negative or not finite.
cv::Mat flow_colors(const torch::Tensor& flow, const FlowPictureOptions& options = {});

/// The same with a legend on a white stripe at its right: the wheel of colours, where a point's
/// place tells which displacement it stands for, and the length at its rim in pixels.
cv::Mat draw_flow(const torch::Tensor& flow, const FlowPictureOptions& options = {});

}  // namespace vizoo
