#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "vizoo/models/perceiver/perceiver_optical_flow.h"

namespace vizoo {

/// Pixels for each unit of PerceiverForOpticalFlow's logits (FLOW_SCALE_FACTOR of the notebook).
constexpr double kFlowScale = 20.0;

/// A model of optical flow, however it is run.
struct FlowModel {
  /// One that must live as long as this.
  FlowModel(const PerceiverForOpticalFlowImpl& model);  // NOLINT: meant to convert
  /// `call` takes the neighbourhoods of two tiles, float32 on the CPU, [B, 2, 27, height, width],
  /// and returns logits [B, height, width, 2].
  FlowModel(int64_t tile_height,
            int64_t tile_width,
            std::function<torch::Tensor(const torch::Tensor& patches)> call);

  int64_t height;  ///< of a tile
  int64_t width;
  std::function<torch::Tensor(const torch::Tensor& patches)> forward;
};

/// Options of optical_flow.
struct OpticalFlowOptions {
  /// Pixels by which neighbouring tiles overlap at least; less where a tile has no more than twice
  /// as many, which no published model has.
  TORCH_ARG(int64_t, min_overlap) = 20;
  /// Tiles that run together. At least 1.
  TORCH_ARG(int64_t, batch) = 1;
  /// Called after each tile.
  TORCH_ARG(std::function<void()>, on_tile);
};

/// Where tiles of `tile` pixels begin that cover `size` pixels: every `tile - min_overlap`, the
/// last ones moved back so that they end within the frame, none twice. 436 and 368: 0, 68. The
/// notebook moves the very last one only, and fails for sizes such as 1920 and 496. Throws
/// UsageError unless 0 <= min_overlap < tile, and ShapeError for a size below `tile`.
std::vector<int64_t> tile_starts(int64_t size, int64_t tile, int64_t min_overlap);

/// What PerceiverForOpticalFlow takes. frames: uint8, [2, H, W, 3], RGB; returns float32, [1, 2,
/// 27, H, W]: of each pixel the 3 x 3 neighbourhood (channel 9 y + 3 x + colour) of values in [-1,
/// 1], 0 beyond the border. Throws ShapeError for another shape or dtype.
torch::Tensor flow_patches(const torch::Tensor& frames);

/// Weights of a tile's pixels: the distance to the next border, 1 at it. float64, [height, width].
torch::Tensor tile_weights(int64_t height, int64_t width);

/// Tiles that optical_flow runs. Throws as it does.
int64_t flow_tile_count(const FlowModel& model,
                        int64_t height,
                        int64_t width,
                        const OpticalFlowOptions& options = {});

/// Where each pixel of the first frame went in the second one, by tiles of the model's size that
/// are blended by tile_weights in float64. Frames: uint8, [H, W, 3], RGB, of one size. Returns
/// float32, [H, W, 2], on the CPU: pixels to the right and pixels down.
/// Throws ShapeError for frames that differ in size or are smaller than a tile.
/// Source: the notebook of Perceiver IO for optical flow, of DeepMind and of Transformers.
torch::Tensor optical_flow(const FlowModel& model,
                           const torch::Tensor& first,
                           const torch::Tensor& second,
                           const OpticalFlowOptions& options = {});

}  // namespace vizoo
