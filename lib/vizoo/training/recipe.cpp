#include "vizoo/training/recipe.h"

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

Recipe fine_tune() {
  Recipe recipe;
  recipe.name = "fine-tune";
  recipe.source = "fine-tuning of ConvNeXT (Liu et al. 2022, arxiv.org/abs/2201.03545, table 6)";
  recipe.leaves_out = "RandAugment, random erasing, a head scaled by 0.001";
  recipe.epochs = 30;
  recipe.batch = 512;
  recipe.learning_rate = 5e-5;
  recipe.weight_decay = 1e-8;
  recipe.layer_decay = 0.8;
  recipe.label_smoothing = 0.1;
  recipe.random_resized_crop = true;
  recipe.horizontal_flip = true;
  return recipe;
}

Recipe from_scratch() {
  Recipe recipe;
  recipe.name = "from-scratch";
  recipe.source = "training of DeiT (Touvron et al. 2021, arxiv.org/abs/2012.12877, table 9)";
  recipe.leaves_out =
      "RandAugment, random erasing, repeated augmentation, stochastic depth that config.json lacks";
  recipe.epochs = 300;
  recipe.batch = 1024;
  recipe.learning_rate = 1e-3;  // 0.0005 x batch / 512
  recipe.scales_with_batch = true;
  recipe.minimal_learning_rate = 1e-5;  // main.py of the authors, whatever the batch
  recipe.warmup = 5.0 / 300.0;
  recipe.weight_decay = 0.05;
  recipe.label_smoothing = 0.1;
  recipe.mixup_alpha = 0.8;
  recipe.cutmix_alpha = 1.0;
  recipe.random_resized_crop = true;
  recipe.horizontal_flip = true;
  return recipe;
}

Recipe linear_probe() {
  Recipe recipe;
  recipe.name = "linear-probe";
  recipe.source = "linear evaluation of DINO (Caron et al. 2021, arxiv.org/abs/2104.14294, 4.1)";
  recipe.epochs = 100;
  recipe.batch = 1024;
  recipe.optimizer = OptimizerType::sgd;
  recipe.learning_rate = 0.004;  // 0.001 x batch / 256
  recipe.scales_with_batch = true;
  recipe.linear_probe = true;
  recipe.random_resized_crop = true;
  recipe.horizontal_flip = true;
  return recipe;
}

Recipe detection() {
  Recipe recipe;
  recipe.name = "detection";
  recipe.source =
      "fine-tuning of OWL-ViT (Minderer et al. 2022, arxiv.org/abs/2205.06230; the authors' "
      "projects/owl_vit/configs/clip_b32_finetune.py)";
  recipe.leaves_out =
      "mosaics, random crops, negative queries and prompts, stochastic depth, clipping image by "
      "image instead of step by step";
  recipe.steps = 16000;
  recipe.batch = 256;
  recipe.learning_rate = 5e-5;
  // The tower of texts learns with 2e-6.
  recipe.learning_rate_scales = {{"owlv2.text_model.*", 0.04}, {"owlv2.text_projection.*", 0.04}};
  recipe.clip_gradient_norm = 1.0;
  recipe.warmup = 1000.0 / 16000.0;
  recipe.horizontal_flip = true;
  return recipe;
}

Recipe optical_flow() {
  Recipe recipe;
  recipe.name = "optical-flow";
  recipe.source =
      "fine-tuning of RAFT on Sintel (Teed and Deng 2020, arxiv.org/abs/2003.12039; the authors' "
      "train_standard.sh and train.py)";
  recipe.leaves_out = "colour jitter, occlusions, changes of scale, flips";
  recipe.steps = 100000;
  recipe.batch = 6;
  recipe.learning_rate = 1.25e-4;
  recipe.schedule = ScheduleType::linear;
  recipe.warmup = 0.05;
  recipe.weight_decay = 1e-5;
  recipe.clip_gradient_norm = 1.0;
  return recipe;
}

Recipe masked_language_modeling() {
  Recipe recipe;
  recipe.name = "fill-mask";
  recipe.source =
      "pre-training of BERT (Devlin et al. 2019, arxiv.org/abs/1810.04805, A.2; clipping as in the "
      "authors' optimization.py)";
  recipe.leaves_out = "next-sentence prediction";
  recipe.epochs = 40;
  recipe.batch = 256;
  recipe.learning_rate = 1e-4;
  recipe.schedule = ScheduleType::linear;
  recipe.warmup = 0.01;
  recipe.weight_decay = 0.01;
  recipe.clip_gradient_norm = 1.0;
  return recipe;
}

}  // namespace

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> all = {fine_tune(),
                                          from_scratch(),
                                          linear_probe(),
                                          detection(),
                                          optical_flow(),
                                          masked_language_modeling()};
  return all;
}

const Recipe& find_recipe(const std::string& name) {
  std::string known;
  for (const auto& recipe : recipes()) {
    if (recipe.name == name) return recipe;
    known += (known.empty() ? "" : ", ") + recipe.name;
  }
  throw UsageError("training", "recipe", "one of " + known, quote(name));
}

}  // namespace vizoo
