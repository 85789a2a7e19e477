#include "vizoo/models/owlv2/owlv2_detection.h"

#include <algorithm>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/nn/named_arguments.h"
#include "vizoo/ops/image_ops.h"

namespace vizoo {
namespace {

// As the class head normalises. Text queries, which have length 1 already, go through it as well.
torch::Tensor normalize_with_epsilon(const torch::Tensor& embeds) {
  constexpr double kEpsilon = 1e-6;
  const auto norm = at::linalg_vector_norm(embeds, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
  return embeds / (norm + kEpsilon);
}

// Log odds with a margin, so that 0 and 1 have some.
torch::Tensor box_logit(const torch::Tensor& coordinate) {
  constexpr double kMargin = 1e-4;
  return at::log(coordinate + kMargin) - at::log1p(-coordinate + kMargin);
}

void check_queries(const torch::Tensor& input_ids,
                   const torch::Tensor& pixel_values,
                   const Owlv2Config& config) {
  if (config.projection_dim != config.text_config.hidden_size) {
    throw ConfigError("config",
                      "/projection_dim",
                      "/text_config/hidden_size " + std::to_string(config.text_config.hidden_size) +
                          " to detect what texts describe",
                      std::to_string(config.projection_dim));
  }
  if (!input_ids.defined() || !pixel_values.defined() || input_ids.dim() < 2) return;
  if (pixel_values.dim() == 0 || pixel_values.size(0) == 0) return;  // the towers say what is wrong
  const auto texts = input_ids.numel() / std::max<int64_t>(input_ids.size(-1), 1);
  if (texts > 0 && texts % pixel_values.size(0) == 0) return;
  throw ShapeError("model",
                   "input_ids",
                   "the same number of texts for each of the " +
                       std::to_string(pixel_values.size(0)) + " images",
                   describe_tensor(input_ids));
}

}  // namespace

torch::Tensor owlv2_box_bias(const torch::Tensor& feature_map) {
  // [h, w]: 1, 2, ... along a row and along a column; the last is their number.
  const auto ones = at::ones_like(feature_map.select(0, 0).select(-1, 0),
                                  feature_map.options().dtype(torch::kFloat));
  const auto column = ones.cumsum(1);
  const auto row = ones.cumsum(0);
  const auto columns = column.slice(1, -1);
  const auto rows = row.slice(0, -1);
  // Each [h w, 2], x first.
  const auto corner = at::stack({column / columns, row / rows}, -1).flatten(0, 1);
  const auto size = at::stack({ones / columns, ones / rows}, -1).flatten(0, 1);
  return at::cat({box_logit(corner), box_logit(size)}, -1);
}

Owlv2BoxPredictionHeadImpl::Owlv2BoxPredictionHeadImpl(const Owlv2Config& config,
                                                       int64_t out_size) {
  const auto width = config.vision_config.hidden_size;
  dense0 = register_module("dense0", nn::Linear(width, width));
  dense1 = register_module("dense1", nn::Linear(width, width));
  dense2 = register_module("dense2", nn::Linear(width, out_size));
}

torch::Tensor Owlv2BoxPredictionHeadImpl::forward(const torch::Tensor& image_features) const {
  const auto x = at::gelu(dense0->forward(image_features));
  return dense2->forward(at::gelu(dense1->forward(x)));
}

Owlv2ClassPredictionHeadImpl::Owlv2ClassPredictionHeadImpl(const Owlv2Config& config) {
  const auto width = config.vision_config.hidden_size;
  dense0 = register_module("dense0", nn::Linear(width, config.text_config.hidden_size));
  logit_shift = register_module("logit_shift", nn::Linear(width, 1));
  logit_scale = register_module("logit_scale", nn::Linear(width, 1));
}

Owlv2ClassPrediction Owlv2ClassPredictionHeadImpl::forward(const torch::Tensor& image_embeds,
                                                           const torch::Tensor& query_embeds,
                                                           const torch::Tensor& query_mask) const {
  constexpr double kMasked = -1e6;
  const auto class_embeds = dense0->forward(image_embeds);
  if (!query_embeds.defined()) {
    const auto options = image_embeds.options().dtype(torch::kFloat).requires_grad(false);
    return {at::zeros_like(image_embeds, options), class_embeds};
  }
  const auto image = normalize_with_epsilon(class_embeds);
  const auto query = normalize_with_epsilon(query_embeds);
  const auto shift = logit_shift->forward(image_embeds);                 // [B, P, 1]
  const auto scale = at::elu(logit_scale->forward(image_embeds)) + 1.0;  // [B, P, 1]
  auto logits = (at::matmul(image, query.transpose(-1, -2)) + shift) * scale;
  if (query_mask.defined()) {
    logits = logits.to(torch::kFloat).masked_fill(query_mask.logical_not().unsqueeze(-2), kMasked);
  }
  return {logits, image};
}

Owlv2ForObjectDetectionImpl::Owlv2ForObjectDetectionImpl(Owlv2Config model_config)
    : PretrainedModel(std::move(model_config)) {
  owlv2 = register_module("owlv2", Owlv2Model(config));
  class_head = register_module("class_head", Owlv2ClassPredictionHead(config));
  box_head = register_module("box_head", Owlv2BoxPredictionHead(config, 4));
  objectness_head = register_module("objectness_head", Owlv2BoxPredictionHead(config, 1));
  const auto& vision = config.vision_config;
  layer_norm =
      register_module("layer_norm", nn::LayerNorm(vision.hidden_size, vision.layer_norm_eps));
  // No initialize_weights: as upstream the heads keep the values of their constructors.
}

void Owlv2ForObjectDetectionImpl::initialize_module(torch::nn::Module& module) const {
  // The heads keep the values of torch.nn.Linear, of which a checkpoint without them knows nothing.
  if (auto* linear = dynamic_cast<nn::LinearImpl*>(&module)) linear->reset_parameters();
  owlv2->initialize_module(module);
}

bool Owlv2ForObjectDetectionImpl::is_ignored_key(const std::string& key) const {
  return is_owlv2_derived_key(key);
}

std::vector<std::string> Owlv2ForObjectDetectionImpl::argument_names() const {
  return {"input_ids", "pixel_values", "attention_mask", "interpolate_pos_encoding"};
}

NamedTensors Owlv2ForObjectDetectionImpl::forward_named(const NamedArguments& arguments,
                                                        const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(
      arguments, "Owlv2ForObjectDetection.forward", argument_names());
  return named_tensors(
      forward(reader.required("input_ids"),
              reader.required("pixel_values"),
              reader.tensor("attention_mask"),
              Owlv2Options()
                  .output_hidden_states(options.output_hidden_states())
                  .output_attentions(options.output_attentions())
                  .interpolate_pos_encoding(reader.flag("interpolate_pos_encoding"))));
}

NamedTensors Owlv2ForObjectDetectionImpl::call_named(const std::string& method,
                                                     const NamedArguments& arguments,
                                                     const ForwardOptions& options) {
  const auto reader = [&](const std::vector<std::string>& known) {
    return nn::NamedArgumentReader(arguments, "Owlv2ForObjectDetection." + method, known);
  };
  const auto flags = [](const nn::NamedArgumentReader& given) {
    return Owlv2Options().interpolate_pos_encoding(given.flag("interpolate_pos_encoding"));
  };
  if (method == "image_guided_detection") {
    const auto given = reader({"pixel_values", "query_pixel_values", "interpolate_pos_encoding"});
    return named_tensors(image_guided_detection(
        given.required("pixel_values"), given.required("query_pixel_values"), flags(given)));
  }
  if (method == "image_embedder") {
    const auto given = reader({"pixel_values", "interpolate_pos_encoding"});
    return named_tensors(image_embedder(given.required("pixel_values"), flags(given)));
  }
  return PretrainedModelImpl::call_named(method, arguments, options);
}

torch::Tensor Owlv2ForObjectDetectionImpl::feature_map(
    const BaseModelOutputWithPooling& vision_output,
    const torch::Tensor& pixel_values,
    bool interpolate_pos_encoding) const {
  const auto tokens = owlv2->vision_model->post_layernorm->forward(vision_output.last_hidden_state);
  const auto features = layer_norm->forward(tokens.slice(1, 1) * tokens.narrow(1, 0, 1));
  const auto& vision = config.vision_config;
  if (interpolate_pos_encoding) {
    return ops::unflatten_patches(features, pixel_values, vision.patch_size);
  }
  return features.unflatten(1, {vision.grid_size(), vision.grid_size()});
}

Owlv2ImageEmbedding Owlv2ForObjectDetectionImpl::image_embedder(const torch::Tensor& pixel_values,
                                                                const Owlv2Options& options) {
  const bool interpolate = options.interpolate_pos_encoding();
  Owlv2ImageEmbedding output;
  output.vision_model_output = owlv2->vision_model->forward(
      pixel_values, Owlv2Options().interpolate_pos_encoding(interpolate));
  output.image_embeds = feature_map(output.vision_model_output, pixel_values, interpolate);
  return output;
}

Owlv2ClassPrediction Owlv2ForObjectDetectionImpl::class_predictor(
    const torch::Tensor& image_feats,
    const torch::Tensor& query_embeds,
    const torch::Tensor& query_mask) const {
  return class_head->forward(image_feats, query_embeds, query_mask);
}

torch::Tensor Owlv2ForObjectDetectionImpl::box_predictor(const torch::Tensor& image_feats,
                                                         const torch::Tensor& feature_map) const {
  const auto boxes = box_head->forward(image_feats);
  return at::sigmoid((boxes + owlv2_box_bias(feature_map)).to(boxes.scalar_type()));
}

torch::Tensor Owlv2ForObjectDetectionImpl::objectness_predictor(
    const torch::Tensor& image_feats) const {
  return objectness_head->forward(image_feats.detach()).select(-1, 0);
}

Owlv2ObjectDetectionOutput Owlv2ForObjectDetectionImpl::forward(const torch::Tensor& input_ids,
                                                                const torch::Tensor& pixel_values,
                                                                const torch::Tensor& attention_mask,
                                                                const Owlv2Options& options) {
  check_queries(input_ids, pixel_values, config);
  const auto tower_options =
      Owlv2Options(options)
          .output_hidden_states(
              options.output_hidden_states().value_or(config.output_hidden_states))
          .output_attentions(options.output_attentions().value_or(config.output_attentions));
  Owlv2ObjectDetectionOutput output;
  output.vision_model_output = owlv2->vision_model->forward(pixel_values, tower_options);
  output.text_model_output = owlv2->text_model->forward(input_ids, attention_mask, tower_options);
  const auto texts =
      owlv2_normalize(owlv2->text_projection->forward(output.text_model_output.pooler_output));
  output.image_embeds =
      feature_map(output.vision_model_output, pixel_values, options.interpolate_pos_encoding());
  const auto image_feats = output.image_embeds.flatten(1, 2);  // [B, h, w, V] -> [B, P, V]

  output.text_embeds = ops::unflatten_batch_like(texts, image_feats);  // [B Q, X] -> [B, Q, X]
  const auto first_ids = input_ids.flatten(0, -2).select(-1, 0);       // [B Q]
  const auto query_mask = ops::unflatten_batch_like(first_ids, image_feats).gt(0);
  auto prediction = class_predictor(image_feats, output.text_embeds, query_mask);
  output.logits = std::move(prediction.logits);
  output.class_embeds = std::move(prediction.class_embeds);
  output.objectness_logits = objectness_predictor(image_feats);
  output.pred_boxes = box_predictor(image_feats, output.image_embeds);
  return output;
}

}  // namespace vizoo
