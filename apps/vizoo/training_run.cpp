#include "training_run.h"

#include <algorithm>
#include <cmath>
#include <iostream>

#include "commands.h"
#include "common.h"
#include "training_report.h"
#include "training_setup.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/io/file.h"
#include "vizoo/io/sha256.h"
#include "vizoo/training/batch_norm.h"
#include "vizoo/training/head_labels.h"
#include "vizoo/training/signals.h"

namespace vizoo::app {
namespace {

constexpr int64_t kPart = 32;  // samples that run together, unless --accumulation says otherwise

std::string default_recipe(Task task, const TrainingOptions& options) {
  switch (task) {
    case Task::zero_shot_object_detection:
      return "detection";
    case Task::optical_flow:
      return "optical-flow";
    case Task::masked_language_modeling:
      return "fill-mask";
    default:
      break;
  }
  if (options.linear_probe.value_or(false)) return "linear-probe";
  return options.config.empty() ? "fine-tune" : "from-scratch";
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + printable(names[i], 40);
  }
  return names.size() > kShown ? text + ", ..." : text;
}

int64_t share_of(int64_t batch, int64_t processes) { return (batch + processes - 1) / processes; }

// Everything of one run, from the options to the end.
class Training {
 public:
  Training(const TrainingOptions& options,
           const std::string& options_text,
           std::shared_ptr<ProcessGroup> processes)
      : options_(options),
        options_text_(options_text),
        processes_(std::move(processes)),
        folder_(options.config.empty() ? options.model : options.config) {}

  int run();

 private:
  bool is_first() const { return processes_->rank() == 0; }
  void say(const std::string& line) const {
    if (is_first()) std::cerr << line << std::endl;
  }

  void claim_output();
  void load_data();
  void load_model();
  void make_loaders();
  int64_t warmup_steps() const;
  TrainerOptions trainer_options() const;
  std::string config_hash() const;
  void save_final();

  const TrainingOptions& options_;
  const std::string& options_text_;
  std::shared_ptr<ProcessGroup> processes_;
  std::filesystem::path folder_;
  std::unique_ptr<Checkpointer> checkpointer_;
  LoadOptions load_;
  const ModelEntry* entry_ = nullptr;
  Recipe recipe_;
  std::vector<std::string> classes_;
  std::optional<HeadLabels> labels_;
  std::shared_ptr<Dataset> training_data_;
  std::shared_ptr<Dataset> evaluation_data_;
  std::shared_ptr<PretrainedModelImpl> model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<ExponentialMovingAverage> ema_;
  std::unique_ptr<DataLoader> training_loader_;
  std::unique_ptr<DataLoader> evaluation_loader_;
  int64_t steps_ = 0;
};

void Training::claim_output() {
  const bool higher_is_better = entry_->task == Task::image_classification ||
                                entry_->task == Task::zero_shot_object_detection;
  checkpointer_ = std::make_unique<Checkpointer>(
      options_.output,
      CheckpointerOptions().keep_last(options_.keep_last).higher_is_better(higher_is_better));
  if (!is_first()) return;
  checkpointer_->claim();
  if (!options_.resume && !checkpointer_->list().empty()) {
    throw UsageError("usage",
                     "--output",
                     "a folder without checkpoints",
                     quote(options_.output.string()) + ", which has some",
                     "--resume goes on from the newest");
  }
}

void Training::load_data() {
  const auto task = entry_->task;
  DataReader reader(task, folder_, options_.image_backend);
  if (task == Task::optical_flow) {
    const auto own = config_from_json<PerceiverConfig>(load_config(folder_, load_), "config.json");
    reader.set_flow_size(
        {static_cast<int>(own.train_size.at(0)), static_cast<int>(own.train_size.at(1))});
  }
  std::optional<LabelMap> label2id;
  const DataSource training{options_.training_data, options_.training_images};
  if (task == Task::image_classification) {
    classes_ = class_names(*reader.evaluation(training, std::nullopt));
    labels_ = choose_head_labels(folder_, classes_, load_);
    label2id = labels_->label2id;
  }
  training_data_ = reader.training(training, label2id, recipe_, options_.min_scale);
  if (!options_.evaluation_data.empty()) {
    evaluation_data_ =
        reader.evaluation({options_.evaluation_data, options_.evaluation_images}, label2id);
  }
}

void Training::load_model() {
  LoadReport report;
  load_.report(&report);
  torch::manual_seed(options_.seed);  // what is initialised is the same in every run
  const auto labels = labels_.value_or(HeadLabels());
  model_ = options_.config.empty() ? load_with_labels(*entry_, folder_, labels, load_)
                                   : build_model(*entry_, folder_, with_head_labels(load_, labels));
  load_.report(nullptr);
  model_->to(load_.device(), *load_.torch_dtype());
  if (labels.are_new && options_.config.empty()) {
    say("head: new, for " + std::to_string(labels.label2id.size()) + " labels (" +
        listed(classes_) + ")");
  }
  if (is_first()) print_warnings(report);
  if (options_.sync_batch_norm) convert_sync_batch_norm(*model_, processes_);
}

void Training::make_loaders() {
  const auto world = processes_->size();
  const auto share = share_of(recipe_.batch, world);
  const auto options = DataLoaderOptions()
                           .rank(processes_->rank())
                           .world_size(world)
                           .workers(options_.workers)
                           .seed(options_.seed);
  training_loader_ = std::make_unique<DataLoader>(
      training_data_,
      DataLoaderOptions(options)
          .batch(recipe_.batch)
          .accumulation(options_.accumulation.value_or((share + kPart - 1) / kPart)));
  if (evaluation_data_) {
    evaluation_loader_ = std::make_unique<DataLoader>(
        evaluation_data_,
        DataLoaderOptions(options).shuffle(false).batch(std::min(share, kPart) * world));
  }
  steps_ = recipe_.steps > 0 ? recipe_.steps : recipe_.epochs * training_loader_->steps_per_epoch();
}

int64_t Training::warmup_steps() const {
  const auto per_epoch = static_cast<double>(training_loader_->steps_per_epoch());
  const double warmup = options_.warmup_steps    ? static_cast<double>(*options_.warmup_steps)
                        : options_.warmup_epochs ? *options_.warmup_epochs * per_epoch
                                                 : recipe_.warmup * static_cast<double>(steps_);
  return std::min<int64_t>(std::llround(warmup), steps_);
}

TrainerOptions Training::trainer_options() const {
  auto options = TrainerOptions()
                     .schedule(ScheduleOptions()
                                   .type(recipe_.schedule)
                                   .learning_rate(recipe_.learning_rate)
                                   .minimal_learning_rate(recipe_.minimal_learning_rate)
                                   .steps(steps_)
                                   .warmup_steps(warmup_steps()))
                     .save_every(options_.save_every)
                     .evaluate_every(options_.evaluate_every)
                     .max_non_finite(options_.max_non_finite)
                     .sync_batch_norm(options_.sync_batch_norm)
                     .seed(options_.seed)
                     .config_hash(config_hash());
  if (recipe_.clip_gradient_norm > 0) options.clip_gradient_norm(recipe_.clip_gradient_norm);
  if (!options_.autocast.empty()) options.autocast(parse_dtype(options_.autocast));
  return options;
}

// Of what decides the weights that come out, but for the number of processes and parts.
std::string Training::config_hash() const {
  Json scales = Json::array();
  for (const auto& entry : recipe_.learning_rate_scales) {
    scales.push_back({entry.pattern, entry.scale});
  }
  const Json text = {{"config", config_json_text(*model_)},
                     {"samples", training_data_->size()},
                     {"first_sample", training_data_->describe(0)},
                     {"steps", steps_},
                     {"batch", recipe_.batch},
                     {"optimizer", enum_name(recipe_.optimizer)},
                     {"momentum", recipe_.momentum},
                     {"learning_rate", recipe_.learning_rate},
                     {"minimal_learning_rate", recipe_.minimal_learning_rate},
                     {"schedule", enum_name(recipe_.schedule)},
                     {"weight_decay", recipe_.weight_decay},
                     {"layer_decay", recipe_.layer_decay},
                     {"learning_rate_scales", scales},
                     {"clip", recipe_.clip_gradient_norm},
                     {"linear_probe", recipe_.linear_probe},
                     {"frozen", options_.frozen},
                     {"warmup", warmup_steps()},
                     {"ema", options_.ema.value_or(0.0)},
                     {"ema_warmup", options_.ema_warmup},
                     {"loss", options_.loss.value_or("")},
                     {"label_smoothing", recipe_.label_smoothing},
                     {"mixup", recipe_.mixup_alpha},
                     {"cutmix", recipe_.cutmix_alpha},
                     {"crop", recipe_.random_resized_crop},
                     {"min_scale", options_.min_scale.value_or(0.0)},
                     {"flip", recipe_.horizontal_flip},
                     {"image_backend", options_.image_backend},
                     {"teacher", options_.teacher.string()},
                     {"distillation", options_.distillation},
                     {"distillation_weight", options_.distillation_weight.value_or(-1.0)},
                     {"temperature", options_.temperature.value_or(-1.0)},
                     {"dtype", options_.dtype},
                     {"autocast", options_.autocast},
                     {"seed", options_.seed}};
  return sha256(text.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void Training::save_final() {
  if (!is_first()) return;
  std::optional<AppliedAverage> average;
  if (ema_) average.emplace(*ema_, *model_);
  save_pretrained(*model_, options_.output);
  copy_processor_files(folder_, options_.output);
  say("saved " + printable(options_.output.string()));
}

int Training::run() {
  load_ = LoadOptions()
              .torch_dtype(parse_dtype(options_.dtype))
              .device(processes_->device())
              .overrides(parse_settings(options_.settings));
  entry_ = &find_trainable(folder_, options_.class_name, load_);
  check_options(options_, entry_->task);
  const auto& recipe = find_recipe(options_.recipe.empty() ? default_recipe(entry_->task, options_)
                                                           : options_.recipe);
  recipe_ = apply_options(recipe, options_);
  // A recipe for detectors names their parameters.
  if (entry_->task != Task::zero_shot_object_detection && options_.learning_rate_scales.empty()) {
    recipe_.learning_rate_scales.clear();
  }
  claim_output();
  load_data();
  load_model();
  optimizer_ = make_optimizer(
      parameter_groups(*model_,
                       ParameterGroupOptions()
                           .weight_decay(recipe_.weight_decay)
                           .layer_decay(recipe_.layer_decay)
                           .learning_rate_scales(recipe_.learning_rate_scales)
                           .frozen(options_.frozen)
                           .linear_probe(recipe_.linear_probe)),
      OptimizerOptions().type(recipe_.optimizer).beta2(recipe_.beta2).momentum(recipe_.momentum));
  if (options_.ema) {
    ema_ = std::make_unique<ExponentialMovingAverage>(
        *model_, MovingAverageOptions().decay(*options_.ema).warmup(options_.ema_warmup));
  }
  make_loaders();

  auto task_options =
      ImageClassificationTaskOptions().label_smoothing(recipe_.label_smoothing).seed(options_.seed);
  if (options_.loss) task_options.loss(*enum_value<ClassificationLoss>(*options_.loss));
  if (recipe_.mixup_alpha > 0 || recipe_.cutmix_alpha > 0) {
    task_options.mixup(
        MixupOptions().mixup_alpha(recipe_.mixup_alpha).cutmix_alpha(recipe_.cutmix_alpha));
  }
  if (!options_.teacher.empty()) {
    auto distillation =
        DistillationOptions().type(*enum_value<Distillation>(options_.distillation));
    if (distillation.type() == Distillation::soft) distillation.weight(0.1);  // DeiT's, as 0.5 is
    if (options_.distillation_weight) distillation.weight(*options_.distillation_weight);
    if (options_.temperature) distillation.temperature(*options_.temperature);
    task_options.distillation(distillation)
        .teacher(AutoModelForImageClassification::from_pretrained(
            options_.teacher,
            LoadOptions().torch_dtype(load_.torch_dtype()).device(load_.device())));
  }
  const auto task = make_task(model_, entry_->task, task_options, evaluation_data_);

  int64_t trained = 0;
  for (const auto& parameter : optimizer_->parameters()) trained += parameter.numel();
  int64_t all = 0;
  for (const auto& parameter : model_->parameters()) all += parameter.numel();
  say("recipe " + recipe.name + ": " + recipe.source +
      (recipe.leaves_out.empty() ? "" : "; without " + recipe.leaves_out));
  say("model " + entry_->class_name + ": " + human_count(trained) + " of " + human_count(all) +
      " parameters are trained");
  say("data: " + std::to_string(training_data_->size()) + " " + sample_name(entry_->task) +
      (evaluation_data_ ? ", " + std::to_string(evaluation_data_->size()) + " to evaluate on"
                        : "") +
      "; " + std::to_string(recipe_.batch) + " a step, " + std::to_string(steps_) + " steps");

  StopSignals signals;
  TrainerParts parts;
  parts.task = task.get();
  parts.optimizer = optimizer_.get();
  parts.training_data = training_loader_.get();
  parts.evaluation_data = evaluation_loader_.get();
  parts.ema = ema_.get();
  parts.checkpointer = checkpointer_.get();
  parts.processes = processes_;
  parts.save_extra = [this](const auto& folder) { copy_processor_files(folder_, folder); };
  parts.stop_requested = [&signals] { return signals.received() != 0; };
  SilentReport silent(processes_->rank());
  parts.observer = &silent;
  Trainer trainer(parts, trainer_options());
  const bool resumed = options_.resume && trainer.resume();
  if (resumed) {
    say("resumed at step " + std::to_string(trainer.state().step));
  } else if (options_.resume) {
    say("no checkpoint to resume from: training begins");
  }

  std::unique_ptr<TrainingReport> report;
  if (is_first()) {
    write_file_atomically(options_.output / "options.toml", options_text_, FileKind::config);
    report = std::make_unique<TrainingReport>(
        options_.output,
        steps_,
        training_loader_->steps_per_epoch(),
        sample_name(entry_->task),
        trainer.state().step);
    trainer.set_observer(*report);
  }
  const auto end = trainer.run();
  if (end == TrainingEnd::stopped) {
    say("stopped at step " + std::to_string(trainer.state().step) + ", which is saved; " +
        "--resume goes on");
    return kInterrupted;
  }
  save_final();
  if (report) print_metrics(report->last_evaluation());
  return kOk;
}

}  // namespace

int run_training(const TrainingOptions& options,
                 const std::string& options_text,
                 const std::shared_ptr<ProcessGroup>& processes) {
  return Training(options, options_text, processes).run();
}

}  // namespace vizoo::app
