#pragma once

// The Perceiver for optical flow.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/perceiver/perceiver_model.h"

namespace vizoo {

/// Where the pixels of one frame went in the next one.
class PerceiverForOpticalFlowImpl
    : public PretrainedModel<PerceiverForOpticalFlowImpl, PerceiverConfig, PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverForOpticalFlow";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  static constexpr int64_t kFrames = 2;
  static constexpr int64_t kPatchChannels = 27;  ///< 3 colours of 3 x 3 pixels

  explicit PerceiverForOpticalFlowImpl(PerceiverConfig model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  std::vector<std::string> argument_names() const override {
    return {"inputs", "attention_mask", "head_mask"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// inputs: [B, 2, 27, H, W], floating point, of two frames the 3 x 3 neighbourhood of each pixel
  /// (channel 9 y + 3 x + colour), values in [-1, 1]; H x W is train_size. logits: [B, H, W, 2],
  /// the displacement to the right and down, a twentieth of that in pixels. There is no loss, as
  /// upstream. Throws ShapeError for anything else.
  PerceiverClassifierOutput forward(const torch::Tensor& inputs,
                                    const PerceiverOptions& options = {}) const;

  PerceiverModel perceiver{nullptr};
};
TORCH_MODULE(PerceiverForOpticalFlow);

}  // namespace vizoo
