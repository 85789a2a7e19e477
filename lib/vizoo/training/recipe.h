#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vizoo/training/image_classification_task.h"
#include "vizoo/training/optimizer.h"
#include "vizoo/training/parameter_groups.h"
#include "vizoo/training/schedule.h"

namespace vizoo {

/// The numbers of a published way to train. `vizoo train` takes from it all that is not given.
struct Recipe {
  std::string name;    ///< "fine-tune"
  std::string source;  ///< whose it is, and where it is written down
  std::string leaves_out;  ///< what the source does besides and this does not; may be empty

  int64_t epochs = 0;  ///< or `steps`; the other is 0
  int64_t steps = 0;
  int64_t batch = 0;  ///< samples of a step, over all processes
  OptimizerType optimizer = OptimizerType::adamw;
  double beta2 = 0.999;
  double momentum = 0.9;
  /// The highest rate, for `batch` samples a step. With another batch `scales_with_batch` recipes
  /// use learning_rate * batch' / batch (Goyal et al. 2017, https://arxiv.org/abs/1706.02677).
  double learning_rate = 0.0;
  bool scales_with_batch = false;
  double minimal_learning_rate = 0.0;  ///< does not scale
  /// Factors of the rate, see ParameterGroupOptions.
  std::vector<LearningRateScale> learning_rate_scales;
  ScheduleType schedule = ScheduleType::cosine;
  double warmup = 0.0;  ///< share of the steps
  double weight_decay = 0.0;
  double layer_decay = 1.0;
  bool linear_probe = false;
  double clip_gradient_norm = 0.0;  ///< 0: none

  // Images with labels; of the others, detection mirrors too.
  double label_smoothing = 0.0;
  double mixup_alpha = 0.0;
  double cutmix_alpha = 0.0;
  bool random_resized_crop = false;
  bool horizontal_flip = false;
};

/// All recipes, in the order of the documentation.
const std::vector<Recipe>& recipes();

/// The recipe of a name. Throws UsageError, naming those there are.
const Recipe& find_recipe(const std::string& name);

}  // namespace vizoo
