#include "training_options.h"

#include <sstream>

#include "common.h"
#include "images.h"
#include "vizoo/core/error.h"
#include "vizoo/training/loss.h"

namespace vizoo::app {
namespace {

template <class Enum>
CLI::IsMember members() {
  std::vector<std::string> names;
  for (const auto& entry : EnumNames<Enum>::table) names.emplace_back(entry.second);
  return CLI::IsMember(names);
}

// CLI::Range lets NaN pass.
CLI::Validator between(double least, double most) {
  std::ostringstream range;
  range << '[' << least << ", " << most << ']';
  return CLI::Validator(
      [=, text = range.str()](const std::string& value) -> std::string {
        double number = 0.0;
        if (CLI::detail::lexical_cast(value, number) && number >= least && number <= most) {
          return "";
        }
        return "Value " + value + " not in range " + text;
      },
      "FLOAT in " + range.str());
}

const auto kNonNegative = between(0.0, 1e30);
const auto kFraction = between(0.0, 1.0);
const auto kCount = CLI::Range(int64_t{1}, int64_t{1} << 40);

// A flag that may be absent, NAME, or its opposite. CLI11's own flags count, so that with an optional
// absent would be false and the opposite, -1, true.
void add_switch(CLI::App& group,
                const std::string& name,
                std::optional<bool>& value,
                const std::string& description) {
  group.add_flag_function(
      "--" + name + ",!--no-" + name,
      [&value](int64_t count) { value = count > 0; },
      description);
}

void add_data_options(CLI::App& command, TrainingOptions& options) {
  auto* group = command.add_option_group("Model and data");
  auto* model = group->add_option("--model", options.model, "Checkpoint to begin with");
  auto* config = group->add_option(
      "--config", options.config, "Folder of a config.json to begin from, with fresh weights");
  model->type_name("DIR")->excludes(config);
  config->type_name("DIR");
  group->add_option("--class", options.class_name, "Model class (default: by config.json)")
      ->type_name("NAME");
  group
      ->add_option("--train",
                   options.training_data,
                   "Folder of one folder of images for each class; for OWLv2 a COCO JSON file; for "
                   "optical flow a folder or a list of frame pairs; for masked language modelling "
                   "a file of lines")
      ->type_name("PATH")
      ->required();
  group->add_option("--evaluation", options.evaluation_data, "The same, to measure on")
      ->type_name("PATH");
  group
      ->add_option("--train-images",
                   options.training_images,
                   "Images of a COCO JSON file (default: its own folder)")
      ->type_name("DIR");
  group->add_option("--evaluation-images", options.evaluation_images, "The same, of --evaluation")
      ->type_name("DIR");
  group->add_option("--output", options.output, "Folder for the trained model, checkpoints and logs")
      ->type_name("DIR")
      ->required();
  group->add_flag("--resume", options.resume, "Go on from the newest checkpoint of --output");
}

void add_recipe_options(CLI::App& command, TrainingOptions& options) {
  auto* group = command.add_option_group("Recipe");
  std::vector<std::string> names;
  for (const auto& recipe : recipes()) names.push_back(recipe.name);
  group
      ->add_option("--recipe",
                   options.recipe,
                   "Where numbers that are not given come from (default: by model and data)")
      ->check(CLI::IsMember(names));
  auto* epochs = group->add_option("--epochs", options.epochs, "Passes over the data");
  epochs->check(kCount);
  group->add_option("--steps", options.steps, "Optimizer steps, instead of epochs")
      ->check(kCount)
      ->excludes(epochs);
  group->add_option("--batch", options.batch, "Samples of a step, over all processes")
      ->check(kCount);
  group
      ->add_option("--accumulation",
                   options.accumulation,
                   "Parts that a process runs its share of a batch in, to save memory (default: as "
                   "many as leave 32 samples in a part)")
      ->check(kCount);
  group->add_option("--optimizer", options.optimizer, "adamw or sgd")
      ->check(members<OptimizerType>());
  group->add_option("--momentum", options.momentum, "Of sgd")->check(kFraction);
  group
      ->add_option("--learning-rate",
                   options.learning_rate,
                   "The highest rate; not scaled with the batch if it is given")
      ->check(kNonNegative);
  group
      ->add_option("--minimal-learning-rate", options.minimal_learning_rate, "The rate at the end")
      ->check(kNonNegative);
  group->add_option("--schedule", options.schedule, "cosine, linear or constant")
      ->check(members<ScheduleType>());
  auto* warmup_steps =
      group->add_option("--warmup-steps", options.warmup_steps, "Steps until the highest rate");
  warmup_steps->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  group->add_option("--warmup-epochs", options.warmup_epochs, "Epochs until the highest rate")
      ->check(kNonNegative)
      ->excludes(warmup_steps);
  group
      ->add_option("--weight-decay",
                   options.weight_decay,
                   "Of all but biases, norms, positions and learned tokens")
      ->check(kNonNegative);
  group
      ->add_option("--layer-decay",
                   options.layer_decay,
                   "Factor of the rate for each block further from the head")
      ->check(kFraction);
  group
      ->add_option("--learning-rate-scale",
                   options.learning_rate_scales,
                   "Factor of the rate of some parameters, such as 'owlv2.text_model.*=0.04'; may "
                   "be repeated")
      ->type_name("PATTERN=FACTOR")
      ->allow_extra_args(false);
  group->add_option("--clip", options.clip, "Highest norm of the gradient; 0: any")
      ->check(kNonNegative);
  group
      ->add_option("--ema",
                   options.ema,
                   "Decay of an average of the weights, which is then evaluated and saved")
      ->check(kFraction);
  group->add_flag("--ema-warmup", options.ema_warmup, "The average follows faster at first");
  group
      ->add_option("--freeze",
                   options.frozen,
                   "Parameters that are not trained, such as 'dinov2.*'; may be repeated")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  add_switch(*group, "linear-probe", options.linear_probe, "Train the head only");
}

void add_image_options(CLI::App& command, TrainingOptions& options) {
  auto* group = command.add_option_group("Images and labels");
  group->add_option("--loss", options.loss, "cross-entropy or binary-cross-entropy")
      ->check(members<ClassificationLoss>());
  group->add_option("--label-smoothing", options.label_smoothing, "Share of all classes in a label")
      ->check(between(0.0, 0.999));
  group->add_option("--mixup", options.mixup, "Alpha of mixup; 0: none")->check(kNonNegative);
  group->add_option("--cutmix", options.cutmix, "Alpha of cutmix; 0: none")->check(kNonNegative);
  add_switch(*group,
             "random-resized-crop",
             options.random_resized_crop,
             "Train on random parts of the images");
  group->add_option("--min-scale", options.min_scale, "Least share of an image in such a part")
      ->check(between(1e-6, 1.0));
  add_switch(*group, "flip", options.horizontal_flip, "Mirror every other image");
  group->add_option("--teacher", options.teacher, "Classifier to learn from as well")
      ->type_name("DIR");
  group->add_option("--distillation", options.distillation, "hard or soft")
      ->check(members<Distillation>())
      ->capture_default_str();
  group->add_option("--distillation-weight", options.distillation_weight, "Share of the teacher")
      ->check(kFraction);
  group->add_option("--temperature", options.temperature, "Of soft distillation")
      ->check(between(1e-6, 1e6));
  add_image_backend_option(*group, options.image_backend);
}

void add_run_options(CLI::App& command, TrainingOptions& options) {
  auto* group = command.add_option_group("Run");
  add_dtype_option(*group, options.dtype);
  group
      ->add_option("--autocast",
                   options.autocast,
                   "Matrix products and convolutions in this type: bfloat16, or float16, whose loss "
                   "is scaled")
      ->check(CLI::IsMember(std::vector<std::string>{"bfloat16", "float16"}));
  add_device_option(*group, options.device);
  add_threads_option(*group, options.threads);
  group->add_option("--workers", options.workers, "Threads that read the data")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  group->add_option("--seed", options.seed, "Of weights, order, augmentation and dropout")
      ->capture_default_str();
  group->add_flag(
      "--deterministic", options.deterministic, "Refuse operations whose results vary, on CUDA");
  group->add_flag("--sync-batch-norm",
                  options.sync_batch_norm,
                  "Batch norms see the batches of all processes");
  group->add_option("--save-every", options.save_every, "Steps between checkpoints; 0: each epoch")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  group->add_option("--evaluate-every", options.evaluate_every, "Epochs between evaluations")
      ->check(kCount)
      ->capture_default_str();
  group->add_option("--keep-last", options.keep_last, "Newest checkpoints to keep, and the best")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  group
      ->add_option("--max-non-finite",
                   options.max_non_finite,
                   "Steps in a row without a finite loss before training gives up")
      ->check(kCount)
      ->capture_default_str();
  group->add_option("--timeout", options.timeout_minutes, "Minutes to wait for other processes")
      ->check(between(0.02, 100000.0))
      ->capture_default_str();
}

LearningRateScale parse_learning_rate_scale(const std::string& text) {
  const auto equals = text.rfind('=');
  LearningRateScale result;
  if (equals == std::string::npos || equals == 0 ||
      !CLI::detail::lexical_cast(text.substr(equals + 1), result.scale) ||
      !(result.scale >= 0.0 && result.scale <= 1e30)) {
    throw UsageError("usage",
                     "--learning-rate-scale",
                     "PATTERN=FACTOR with a factor of at least 0",
                     quote(text));
  }
  result.pattern = text.substr(0, equals);
  return result;
}

}  // namespace

void add_training_options(CLI::App& command, TrainingOptions& options) {
  add_data_options(command, options);
  add_recipe_options(command, options);
  add_image_options(command, options);
  add_set_option(command, options.settings, "config.json");
  add_run_options(command, options);
}

void check_options(const TrainingOptions& options, Task task) {
  const bool labels = task == Task::image_classification;
  const bool detection = task == Task::zero_shot_object_detection;
  const auto refuse = [&](bool given, bool fits, const char* name, const char* expected) {
    if (given && !fits) throw UsageError("usage", name, expected, enum_name(task));
  };
  const char* const classifier = "a classifier of images";
  const char* const detector = "a detector";
  refuse(options.loss.has_value(), labels, "--loss", classifier);
  refuse(options.label_smoothing.has_value(), labels, "--label-smoothing", classifier);
  refuse(options.mixup.has_value(), labels, "--mixup", classifier);
  refuse(options.cutmix.has_value(), labels, "--cutmix", classifier);
  refuse(options.random_resized_crop.has_value(), labels, "--random-resized-crop", classifier);
  refuse(options.min_scale.has_value(), labels, "--min-scale", classifier);
  refuse(options.horizontal_flip.has_value(),
         labels || detection,
         "--flip",
         "a classifier of images or a detector");
  refuse(!options.teacher.empty(), labels, "--teacher", classifier);
  refuse(!options.training_images.empty(), detection, "--train-images", detector);
  refuse(!options.evaluation_images.empty(), detection, "--evaluation-images", detector);
  const auto needs = [](bool given, bool there, const char* name, const char* other) {
    if (given && !there) throw UsageError("usage", name, other, "none");
  };
  const bool soft = options.distillation == enum_name(Distillation::soft);
  needs(options.distillation_weight.has_value(),
        !options.teacher.empty(),
        "--distillation-weight",
        "a --teacher");
  needs(options.temperature.has_value(),
        !options.teacher.empty() && soft,
        "--temperature",
        "a --teacher and --distillation soft");
  needs(options.ema_warmup, options.ema.has_value(), "--ema-warmup", "a decay by --ema");
}

Recipe apply_options(const Recipe& recipe, const TrainingOptions& options) {
  Recipe used = recipe;
  if (options.batch) {
    const double scale =
        recipe.scales_with_batch
            ? static_cast<double>(*options.batch) / static_cast<double>(recipe.batch)
            : 1.0;
    used.batch = *options.batch;
    used.learning_rate *= scale;
  }
  if (options.epochs || options.steps) {
    used.epochs = options.epochs.value_or(0);
    used.steps = options.steps.value_or(0);
  }
  if (!options.learning_rate_scales.empty()) {
    used.learning_rate_scales.clear();
    for (const auto& text : options.learning_rate_scales) {
      used.learning_rate_scales.push_back(parse_learning_rate_scale(text));
    }
  }
  if (options.optimizer) used.optimizer = *enum_value<OptimizerType>(*options.optimizer);
  if (options.schedule) used.schedule = *enum_value<ScheduleType>(*options.schedule);
  const auto take = [](auto& target, const auto& given) {
    if (given) target = *given;
  };
  take(used.momentum, options.momentum);
  take(used.learning_rate, options.learning_rate);
  take(used.minimal_learning_rate, options.minimal_learning_rate);
  take(used.weight_decay, options.weight_decay);
  take(used.layer_decay, options.layer_decay);
  take(used.clip_gradient_norm, options.clip);
  take(used.linear_probe, options.linear_probe);
  take(used.label_smoothing, options.label_smoothing);
  take(used.mixup_alpha, options.mixup);
  take(used.cutmix_alpha, options.cutmix);
  take(used.random_resized_crop, options.random_resized_crop);
  take(used.horizontal_flip, options.horizontal_flip);
  if (used.minimal_learning_rate > used.learning_rate) {
    used.minimal_learning_rate = used.learning_rate;
  }
  return used;
}

}  // namespace vizoo::app
