#include "vizoo/models/perceiver/perceiver_optical_flow.h"

#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_image_preprocessor.h"

namespace vizoo {
namespace {

void check_frames(const torch::Tensor& inputs, const PerceiverConfig& config) {
  using Model = PerceiverForOpticalFlowImpl;
  const auto height = config.train_size[0];
  const auto width = config.train_size[1];
  if (inputs.defined() && inputs.dim() == 5 && inputs.is_floating_point() &&
      inputs.size(1) == Model::kFrames && inputs.size(2) == Model::kPatchChannels &&
      inputs.size(3) == height && inputs.size(4) == width) {
    return;
  }
  throw ShapeError("model",
                   "inputs",
                   "two frames of 3 x 3 patches, floating point [B, 2, 27, " +
                       std::to_string(height) + ", " + std::to_string(width) +
                       "], as /train_size says",
                   inputs.defined() ? describe_tensor(inputs) : "none",
                   "Larger frames are cut into tiles");
}

}  // namespace

PerceiverForOpticalFlowImpl::PerceiverForOpticalFlowImpl(PerceiverConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  PerceiverFourierOptions positions;
  positions.num_bands = 64;
  positions.max_resolution = config.train_size;

  PerceiverImagePreprocessorOptions image;
  image.prep_type = PerceiverPrepType::patches;
  image.spatial_downsample = 1;
  image.temporal_downsample = kFrames;
  image.conv_after_patching = true;
  image.conv_after_patching_in_channels = kFrames * kPatchChannels;
  image.fourier_position_encoding_kwargs = positions;
  const auto preprocessor = std::make_shared<PerceiverImagePreprocessorImpl>(config, image);

  PerceiverOpticalFlowDecoderOptions flow;
  flow.num_channels = preprocessor->num_channels();
  flow.output_image_shape = config.train_size;
  flow.position_encoding_type = PerceiverPositionEncodingType::fourier;
  flow.fourier_position_encoding_kwargs = positions;
  perceiver = register_module(
      "perceiver",
      PerceiverModel(
          config, preprocessor, std::make_shared<PerceiverOpticalFlowDecoderImpl>(config, flow)));
  initialize_weights();
}

void PerceiverForOpticalFlowImpl::initialize_module(torch::nn::Module& module) const {
  perceiver->initialize_module(module);
}

NamedTensors PerceiverForOpticalFlowImpl::forward_named(const NamedArguments& arguments,
                                                        const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, class_name() + ".forward", argument_names());
  return named_tensors(forward(reader.required("inputs"), perceiver_options(reader, options)));
}

PerceiverClassifierOutput PerceiverForOpticalFlowImpl::forward(
    const torch::Tensor& inputs, const PerceiverOptions& options) const {
  check_frames(inputs, config);
  return perceiver_classifier_output(perceiver->forward(inputs, with_defaults(options, config)));
}

}  // namespace vizoo
