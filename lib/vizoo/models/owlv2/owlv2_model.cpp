#include "vizoo/models/owlv2/owlv2_model.h"

#include <cmath>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/nn/named_arguments.h"

namespace vizoo {
namespace {

double projection_deviation(int64_t hidden_size) {
  return std::pow(static_cast<double>(hidden_size), -0.5);
}

// Without the outputs that nobody asked for.
Owlv2Options features_only(const Owlv2Options& options) {
  return Owlv2Options(options).output_hidden_states(false).output_attentions(false);
}

}  // namespace

torch::Tensor owlv2_normalize(const torch::Tensor& embeds) {
  return embeds / at::linalg_vector_norm(embeds, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
}

torch::Tensor owlv2_loss(const torch::Tensor& similarity) {
  if (similarity.dim() != 2 || similarity.size(0) != similarity.size(1)) {
    throw ShapeError("loss",
                     "similarity",
                     "as many texts as images, [B, B]",
                     describe_tensor(similarity),
                     "return_loss pairs text i with image i");
  }
  const auto targets = at::ones_like(similarity.select(1, 0)).to(torch::kLong).cumsum(0) - 1;
  const auto caption_loss = at::cross_entropy_loss(similarity, targets);
  const auto image_loss = at::cross_entropy_loss(similarity.t(), targets);
  return (caption_loss + image_loss) / 2.0;
}

Owlv2ModelImpl::Owlv2ModelImpl(Owlv2Config model_config)
    : PretrainedModel(std::move(model_config)) {
  const auto projection = [&](const char* name, int64_t size) {
    return register_module(name, nn::Linear(size, config.projection_dim, /*with_bias=*/false));
  };
  text_model = register_module("text_model", Owlv2TextTransformer(config.text_config));
  vision_model = register_module("vision_model", Owlv2VisionTransformer(config.vision_config));
  visual_projection = projection("visual_projection", config.vision_config.hidden_size);
  text_projection = projection("text_projection", config.text_config.hidden_size);
  logit_scale = register_parameter(
      "logit_scale", torch::scalar_tensor(config.logit_scale_init_value, torch::kFloat32));
  initialize_weights();
}

void Owlv2ModelImpl::initialize_module(torch::nn::Module& module) const {
  auto* const model = dynamic_cast<Owlv2ModelImpl*>(&module);
  if (model == nullptr) return initialize_owlv2_module(module, config.initializer_factor);
  nn::normal_(model->text_projection->weight,
              projection_deviation(config.text_config.hidden_size) * config.initializer_factor);
  nn::normal_(model->visual_projection->weight,
              projection_deviation(config.vision_config.hidden_size) * config.initializer_factor);
}

bool Owlv2ModelImpl::is_ignored_key(const std::string& key) const {
  return is_owlv2_derived_key(key);
}

std::vector<std::string> Owlv2ModelImpl::argument_names() const {
  return {"input_ids",
          "pixel_values",
          "attention_mask",
          "return_loss",
          "return_base_image_embeds",
          "interpolate_pos_encoding"};
}

NamedTensors Owlv2ModelImpl::forward_named(const NamedArguments& arguments,
                                           const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, "Owlv2Model.forward", argument_names());
  return named_tensors(
      forward(reader.required("input_ids"),
              reader.required("pixel_values"),
              reader.tensor("attention_mask"),
              Owlv2Options()
                  .output_hidden_states(options.output_hidden_states())
                  .output_attentions(options.output_attentions())
                  .return_loss(reader.flag("return_loss"))
                  .return_base_image_embeds(reader.flag("return_base_image_embeds"))
                  .interpolate_pos_encoding(reader.flag("interpolate_pos_encoding"))));
}

NamedTensors Owlv2ModelImpl::call_named(const std::string& method,
                                        const NamedArguments& arguments,
                                        const ForwardOptions& options) {
  const auto reader = [&](const std::vector<std::string>& known) {
    return nn::NamedArgumentReader(arguments, "Owlv2Model." + method, known);
  };
  if (method == "get_text_features") {
    const auto given = reader({"input_ids", "attention_mask"});
    return {{"text_features",
             get_text_features(given.required("input_ids"), given.tensor("attention_mask"))}};
  }
  if (method == "get_image_features") {
    const auto given = reader({"pixel_values", "interpolate_pos_encoding"});
    return {{"image_features",
             get_image_features(
                 given.required("pixel_values"),
                 Owlv2Options().interpolate_pos_encoding(given.flag("interpolate_pos_encoding")))}};
  }
  return PretrainedModelImpl::call_named(method, arguments, options);
}

Owlv2Output Owlv2ModelImpl::forward(const torch::Tensor& input_ids,
                                    const torch::Tensor& pixel_values,
                                    const torch::Tensor& attention_mask,
                                    const Owlv2Options& options) {
  const auto tower_options =
      Owlv2Options(options)
          .output_hidden_states(
              options.output_hidden_states().value_or(config.output_hidden_states))
          .output_attentions(options.output_attentions().value_or(config.output_attentions));
  Owlv2Output output;
  // In upstream's order, which is that of the random stream where attention drops.
  output.vision_model_output = vision_model->forward(pixel_values, tower_options);
  output.text_model_output = text_model->forward(input_ids, attention_mask, tower_options);
  const auto projected = text_projection->forward(output.text_model_output.pooler_output);
  output.text_embeds = owlv2_normalize(projected);
  output.image_embeds =
      owlv2_normalize(visual_projection->forward(output.vision_model_output.pooler_output));
  output.logits_per_text =
      at::matmul(output.text_embeds, output.image_embeds.t()) * logit_scale.exp();
  output.logits_per_image = output.logits_per_text.t();
  if (options.return_loss()) output.loss = owlv2_loss(output.logits_per_text);
  if (options.return_base_image_embeds()) {
    output.text_embeds = projected;
    output.image_embeds =
        vision_model->post_layernorm->forward(output.vision_model_output.last_hidden_state);
  }
  return output;
}

torch::Tensor Owlv2ModelImpl::get_text_features(const torch::Tensor& input_ids,
                                                const torch::Tensor& attention_mask) {
  const auto output = text_model->forward(input_ids, attention_mask, features_only({}));
  return text_projection->forward(output.pooler_output);
}

torch::Tensor Owlv2ModelImpl::get_image_features(const torch::Tensor& pixel_values,
                                                 const Owlv2Options& options) {
  const auto output = vision_model->forward(pixel_values, features_only(options));
  return visual_projection->forward(output.pooler_output);
}

}  // namespace vizoo
