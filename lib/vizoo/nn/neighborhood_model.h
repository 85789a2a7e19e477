#pragma once

// Model, classifier and backbone as NAT and DiNAT have them: each class of a family derives from
// one of these and adds its config, its name and its dilations.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/nn/neighborhood_encoder.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Constructor arguments of NatModel and DinatModel beside the config.
struct NeighborhoodModelArguments {
  /// Whether there is a `pooler_output`.
  TORCH_ARG(bool, add_pooling_layer) = true;

 public:
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("add_pooling_layer", self.add_pooling_layer());
  }
};

/// The bare model. last_hidden_state: [B, H', W', C], H' = ceil(H / 2^(stages + 1)) and likewise
/// W', after the final norm; pooler_output: [B, C], its mean over H' and W'; hidden_states: stem
/// and each stage after its down-sampling, [B, H_i, W_i, C_i]; reshaped_hidden_states: the same as
/// [B, C_i, H_i, W_i]; attentions: the map of the last layer of each stage,
/// [B, heads, H_i, W_i, kernel_size^2], on the grid that was padded to the window.
class NeighborhoodModelImpl : public VisionModelImpl {
 public:
  /// pixel_values: [B, num_channels, H, W] of any size. Throws ShapeError for anything else.
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const ForwardOptions& options = {}) override;

  torch::Tensor feature_map(const BaseModelOutputWithPooling& output,
                            const torch::Tensor& pixel_values) const override;

  using Arguments = NeighborhoodModelArguments;
  Arguments arguments;
  nn::NeighborhoodEmbeddings embeddings{nullptr};
  nn::NeighborhoodEncoder encoder{nullptr};
  nn::LayerNorm layernorm{nullptr};

 protected:
  /// Makes the parts; `dilations` are those of NeighborhoodEncoder.
  void build(const NeighborhoodConfig& config,
             const Dilations& dilations,
             const Arguments& model_arguments);

 private:
  int64_t num_channels_ = 0;
};

/// The model with a linear head on the pooled features: logits [B, num_labels].
class NeighborhoodClassifierImpl : public ImageClassifierImpl {
 public:
  /// As NeighborhoodModelImpl; `options.labels()` adds the loss (nn/loss.h).
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options = {}) override;

  nn::Linear classifier{nullptr};  ///< absent with zero labels: logits are the pooled features

 protected:
  /// Makes the head on `model`, which the class has registered.
  void build(const NeighborhoodConfig& config, std::shared_ptr<NeighborhoodModelImpl> model);

 private:
  std::shared_ptr<NeighborhoodModelImpl> model_;
};

/// Feature maps of the stages in `out_features`, before down-sampling, each after a norm of its
/// own: [B, C_i, H_i, W_i]. hidden_states are all stages without it, [B, H_i, W_i, C_i].
class NeighborhoodBackboneImpl : public BackboneImpl {
 public:
  /// As NeighborhoodModelImpl.
  BackboneOutput forward(const torch::Tensor& pixel_values,
                         const ForwardOptions& options = {}) override;
  std::vector<int64_t> channels() const override { return channels_; }

  nn::NeighborhoodEmbeddings embeddings{nullptr};
  nn::NeighborhoodEncoder encoder{nullptr};
  torch::nn::ModuleDict hidden_states_norms;

 protected:
  /// As NeighborhoodModelImpl.
  void build(const NeighborhoodConfig& config, const Dilations& dilations);

 private:
  int64_t num_channels_ = 0;
  std::vector<std::string> stage_names_;
  std::vector<int64_t> channels_;
};

}  // namespace vizoo
