#include "vizoo/models/owlv2/owlv2_vision.h"

#include <cmath>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/nn/named_arguments.h"
#include "vizoo/ops/image_ops.h"

namespace vizoo {
Owlv2VisionEmbeddingsImpl::Owlv2VisionEmbeddingsImpl(const Owlv2VisionConfig& config)
    : patch_size(config.patch_size), initializer_range(config.initializer_range) {
  const auto size = config.hidden_size;
  class_embedding = register_parameter("class_embedding", nn::empty_parameter({size}));
  nn::normal_(class_embedding, 1.0);
  const auto conv_options =
      nn::Conv2dOptions().kernel_size(patch_size).stride(patch_size).bias(false);
  patch_embedding =
      register_module("patch_embedding", nn::Conv2d(config.num_channels, size, conv_options));
  position_embedding =
      register_module("position_embedding", nn::Embedding(config.num_patches() + 1, size));
}

torch::Tensor Owlv2VisionEmbeddingsImpl::forward(const torch::Tensor& pixel_values,
                                                 bool interpolate_pos_encoding) const {
  const auto pixels = pixel_values.to(patch_embedding->weight.scalar_type());
  // [B, C, H / p, W / p] -> [B, P, C]
  const auto patches = patch_embedding->forward(pixels).flatten(2).transpose(1, 2);
  const auto tokens = at::cat({class_embedding.expand_as(patches.narrow(1, 0, 1)), patches}, 1);
  const auto& positions = position_embedding->weight;
  if (!interpolate_pos_encoding) return tokens + positions;
  return tokens + ops::interpolate_position_embeddings(positions.unsqueeze(0),
                                                       pixel_values,
                                                       patch_size,
                                                       /*offset=*/false,
                                                       /*antialias=*/false,
                                                       /*in_float32=*/false);
}

void Owlv2VisionEmbeddingsImpl::initialize(double factor) {
  const auto size = static_cast<double>(class_embedding.size(0));
  nn::normal_(class_embedding, std::pow(size, -0.5) * factor);
  nn::normal_(patch_embedding->weight, initializer_range * factor);
  nn::normal_(position_embedding->weight, initializer_range * factor);
}

Owlv2VisionTransformerImpl::Owlv2VisionTransformerImpl(Owlv2VisionConfig vision_config)
    : config(std::move(vision_config)) {
  const auto norm = [&](const char* name) {
    return register_module(name, nn::LayerNorm(config.hidden_size, config.layer_norm_eps));
  };
  embeddings = register_module("embeddings", Owlv2VisionEmbeddings(config));
  pre_layernorm = norm("pre_layernorm");
  encoder = register_module("encoder", Owlv2Encoder(Owlv2EncoderOptions(config)));
  post_layernorm = norm("post_layernorm");
}

void Owlv2VisionTransformerImpl::check_images(const torch::Tensor& pixel_values,
                                              const Owlv2Options& options,
                                              const char* name) const {
  check_pixel_values(pixel_values, config.num_channels, config.patch_size, name);
  const auto got = describe_tensor(pixel_values);
  if (pixel_values.size(0) == 0) throw ShapeError("model", name, "at least one image", got);
  const auto rows = pixel_values.size(2) / config.patch_size;
  const auto columns = pixel_values.size(3) / config.patch_size;
  if (options.interpolate_pos_encoding() || rows * columns == config.num_patches()) return;
  const auto side = std::to_string(config.image_size);
  throw ShapeError("model",
                   name,
                   "images of /image_size, " + side + " x " + side,
                   got,
                   "Set interpolate_pos_encoding for other sizes");
}

BaseModelOutputWithPooling Owlv2VisionTransformerImpl::forward(const torch::Tensor& pixel_values,
                                                               const Owlv2Options& options) const {
  check_images(pixel_values, options);
  const auto tokens = embeddings->forward(pixel_values, options.interpolate_pos_encoding());
  auto output =
      encoder->forward(pre_layernorm->forward(tokens),
                       /*mask=*/{},
                       options.output_hidden_states().value_or(config.output_hidden_states),
                       options.output_attentions().value_or(config.output_attentions));
  output.pooler_output = post_layernorm->forward(output.last_hidden_state.select(1, 0));
  return output;
}

Owlv2VisionModelImpl::Owlv2VisionModelImpl(Owlv2VisionConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  vision_model = register_module("vision_model", Owlv2VisionTransformer(config));
  initialize_weights();
}

void Owlv2VisionModelImpl::initialize_module(torch::nn::Module& module) const {
  initialize_owlv2_module(module, config.initializer_factor);
}

bool Owlv2VisionModelImpl::is_ignored_key(const std::string& key) const {
  return key.rfind("vision_model.", 0) != 0 || is_owlv2_derived_key(key);
}

NamedTensors Owlv2VisionModelImpl::forward_named(const NamedArguments& arguments,
                                                 const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, "Owlv2VisionModel.forward", argument_names());
  return named_tensors(
      forward(reader.required("pixel_values"),
              Owlv2Options()
                  .output_hidden_states(options.output_hidden_states())
                  .output_attentions(options.output_attentions())
                  .interpolate_pos_encoding(reader.flag("interpolate_pos_encoding"))));
}

BaseModelOutputWithPooling Owlv2VisionModelImpl::forward(const torch::Tensor& pixel_values,
                                                         const Owlv2Options& options) {
  return vision_model->forward(pixel_values, options);
}

}  // namespace vizoo
