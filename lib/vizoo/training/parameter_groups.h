#pragma once

#include <torch/arg.h>

#include <map>
#include <string>
#include <vector>

#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Parameters that are updated alike.
struct ParameterGroup {
  std::vector<std::string> names;  ///< of each parameter, as in named_parameters()
  std::vector<torch::Tensor> parameters;
  double learning_rate_scale = 1.0;  ///< factor of the learning rate of a step
  double weight_decay = 0.0;
};

/// A factor of the learning rate of some parameters.
struct LearningRateScale {
  std::string pattern;  ///< of names: * stands for any characters, dots included, ? for one
  double scale = 1.0;   ///< at least 0
};

/// What is trained, and how.
struct ParameterGroupOptions {
  /// Of the parameters that `is_decayed`, at least 0. 0.05 is that of DeiT, ConvNeXt and NAT
  /// (Touvron et al. 2021, table 9; Liu et al. 2022, table 5).
  TORCH_ARG(double, weight_decay) = 0.05;
  /// Factor of the learning rate for each block further from the head, in (0, 1]; 1 is none. BEiT
  /// fine-tunes with 0.65 to 0.9 (Bao et al. 2021, https://arxiv.org/abs/2106.08254, appendix),
  /// ConvNeXt with 0.7 to 0.9 (Liu et al. 2022, https://arxiv.org/abs/2201.03545, table 6).
  TORCH_ARG(double, layer_decay) = 1.0;
  /// Factors beside that of `layer_decay`; of those whose patterns match a name all count.
  TORCH_ARG(std::vector<LearningRateScale>, learning_rate_scales);
  /// Names of what is not trained: * stands for any characters, dots included, ? for one.
  TORCH_ARG(std::vector<std::string>, frozen);
  /// Trains the head only: what `is_head` names.
  TORCH_ARG(bool, linear_probe) = false;
};

/// Whether weight decay applies. It does not to parameters of one dimension or none (biases, norms,
/// layer scales, OWLv2's class_embedding and logit_scale), and to those in whose name one part
/// between dots is
///
/// | part | of |
/// |---|---|
/// | rpb, attention_biases | relative positions: NAT, DiNAT; LeViT |
/// | position_embeddings, position_embedding | tables of positions: DINOv2, Perceiver; OWLv2 |
/// | cls_token, mask_token, latents, padding, mask | learned tokens: DINOv2; Perceiver |
/// | layer_scale_parameters | layer scales of two dimensions: NAT, DiNAT |
///
/// Convolutions, linear layers and tables of words decay. Source: no_weight_decay of timm's and
/// BEiT's vision transformers.
bool is_decayed(const std::string& name, const torch::Tensor& parameter);

/// How many blocks lie between a parameter and the head, plus one; 0 for the head and all behind
/// the last block. The blocks of a tower (OWLv2 has one of texts and one of images) are numbered
/// through its stages; what halves the resolution belongs to the block behind it, and what comes
/// before the first block (embeddings, tokens, positions, Perceiver's preprocessor and latents) is
/// one further.
///
/// | family | blocks |
/// |---|---|
/// | ConvNeXT | encoder.stages.S.layers.L |
/// | LeViT | encoder.stages.S.layers.L: attentions, MLPs and attentions that subsample, each |
/// | NAT, DiNAT | encoder.levels.S.layers.L |
/// | PoolFormer | encoder.block.S.L |
/// | DINOv2 | encoder.layer.L |
/// | OWLv2 | encoder.layers.L |
/// | Perceiver | encoder.cross_attention, then encoder.self_attends.L |
///
/// names: all parameters of a model. Source: BEiT's rule for layer-wise decay
/// (get_num_layer_for_vit), and ConvNeXt V2's "single" for models of stages, where the first block
/// and the layer before it are one.
std::map<std::string, int64_t> distances_from_head(const std::vector<std::string>& names);

/// Whether a parameter belongs to the head: it is not in the base model (base_model_prefix), or in
/// Perceiver's decoder or postprocessor, which its base model holds.
bool is_head(const PretrainedModelImpl& model, const std::string& name);

/// The parameters that are trained, in groups of one weight decay and one learning rate each, those
/// near the head first; no parameter twice, tied or not. Turns requires_grad off for all that the options leave
/// out; what did not require a gradient before is left out too, and nothing is turned on.
///
/// Throws UsageError for options out of range, a pattern that no name matches, a linear probe of a
/// model without a head, and if nothing is left to train.
std::vector<ParameterGroup> parameter_groups(const PretrainedModelImpl& model,
                                             const ParameterGroupOptions& options = {});

/// Training mode for a model of which parts are frozen: modules that have parameters, none of which
/// requires a gradient, are in evaluation mode with all that is in them. So batch norms that are
/// frozen keep their running statistics and use them, and there is neither dropout nor drop path in
/// front of a linear probe (DINO evaluates its features so). The others are in training mode.
void train_unfrozen(torch::nn::Module& model);

}  // namespace vizoo
