#include "vizoo/training/trainer.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/small_convnext.h"
#include "test/support/temporary_folder.h"
#include "vizoo/training/image_classification_task.h"

namespace vizoo {
namespace {

using test::contains;
using test::error_message;

// Images of noise that belong to their samples, with labels.
class NoiseDataset : public Dataset {
 public:
  int64_t size() const override { return 10; }

  Sample get(int64_t index, RandomStream& random) const override {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(index));
    Sample sample;
    sample.arguments["pixel_values"] =
        torch::randn({3, 32, 32}, generator) + 0.1 * random.uniform();
    sample.labels = torch::tensor(index % 5, torch::kInt64);
    return sample;
  }

  std::string describe(int64_t index) const override { return std::to_string(index); }
};

// The loss is NaN in the steps that are named.
class BrokenTask : public ImageClassificationTask {
 public:
  using ImageClassificationTask::ImageClassificationTask;
  WeightedLoss loss(const Batch& batch, const StepPosition& position) override {
    auto loss = ImageClassificationTask::loss(batch, position);
    loss.sum = loss.sum * factor;
    if (position.step >= first && position.step < end) {
      loss.sum = loss.sum * std::numeric_limits<double>::quiet_NaN();
    }
    return loss;
  }
  int64_t first = 0;
  int64_t end = 0;
  double factor = 1.0;
};

class Recorder : public TrainingObserver {
 public:
  void on_step(const StepReport& report) override { steps.push_back(report); }
  void on_evaluation(const EvaluationReport& report) override { evaluations.push_back(report); }
  void on_warning(const std::string& message) override { warnings.push_back(message); }
  std::vector<StepReport> steps;
  std::vector<EvaluationReport> evaluations;
  std::vector<std::string> warnings;
};

// A small run of 3 steps an epoch: 4, 4 and 2 samples.
struct RunOfTest {
  explicit RunOfTest(const std::filesystem::path& folder, int64_t steps = 6, int64_t parts = 1)
      : checkpointer(folder) {
    auto config = test::small_convnext_config();
    config.drop_path_rate = parts == 1 ? 0.3 : 0.0;
    torch::manual_seed(5);
    model = ConvNextForImageClassification(config);
    const auto data = std::make_shared<NoiseDataset>();
    const auto loading = DataLoaderOptions().batch(4).workers(1).seed(3);
    training_data =
        std::make_unique<DataLoader>(data, DataLoaderOptions(loading).accumulation(parts));
    evaluation_data = std::make_unique<DataLoader>(data, DataLoaderOptions(loading).shuffle(false));
    task = std::make_unique<BrokenTask>(
        ImageClassifier(std::static_pointer_cast<ImageClassifierImpl>(model.ptr())),
        ImageClassificationTaskOptions());
    optimizer = make_optimizer(parameter_groups(*model));
    average = std::make_unique<ExponentialMovingAverage>(*model, MovingAverageOptions().decay(0.9));
    options.schedule(ScheduleOptions().learning_rate(1e-2).steps(steps)).seed(7).config_hash("a");
    checkpointer.claim();
  }

  TrainerParts all() {
    TrainerParts all;
    all.task = task.get();
    all.optimizer = optimizer.get();
    all.training_data = training_data.get();
    all.evaluation_data = evaluation_data.get();
    all.ema = average.get();
    all.checkpointer = &checkpointer;
    all.observer = &recorder;
    all.stop_requested = [this] {
      return static_cast<int64_t>(recorder.steps.size()) == stop_after;
    };
    return all;
  }

  ConvNextForImageClassification model{nullptr};
  std::unique_ptr<DataLoader> training_data;
  std::unique_ptr<DataLoader> evaluation_data;
  std::unique_ptr<BrokenTask> task;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<ExponentialMovingAverage> average;
  Checkpointer checkpointer;
  Recorder recorder;
  TrainerOptions options;
  int64_t stop_after = -1;
};

bool same_bits(const NamedTensors& ours, const NamedTensors& theirs) {
  if (ours.size() != theirs.size()) return false;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ours[i].first != theirs[i].first || !torch::equal(ours[i].second, theirs[i].second)) {
      return false;
    }
  }
  return true;
}

NamedTensors weights(const RunOfTest& run) {
  NamedTensors weights;
  for (const auto& parameter : run.model->named_parameters()) {
    weights.emplace_back(parameter.key(), parameter.value().detach().clone());
  }
  return weights;
}

TEST_CASE("a run that is stopped anywhere and resumed ends with the same bits", "[training]") {
  const test::TemporaryFolder folder;
  RunOfTest whole(folder / "whole");
  Trainer trainer(whole.all(), whole.options);
  REQUIRE(trainer.run() == TrainingEnd::finished);
  REQUIRE(whole.recorder.steps.size() == 6);
  CHECK(whole.recorder.steps[2].samples == 2);
  CHECK(whole.recorder.steps[3].epoch == 1);
  CHECK(trainer.state().samples_seen == 20);
  REQUIRE(whole.recorder.evaluations.size() == 2);
  CHECK(whole.recorder.evaluations[0].best);

  for (int64_t stop_after = 1; stop_after < 6; ++stop_after) {
    const auto name = std::to_string(stop_after);
    {
      RunOfTest first(folder / name);
      first.stop_after = stop_after;
      Trainer stopped(first.all(), first.options);
      REQUIRE(stopped.run() == TrainingEnd::stopped);
      CHECK(stopped.state().step == stop_after);
    }
    RunOfTest second(folder / name);
    torch::manual_seed(999);  // nothing may depend on what is restored
    Trainer resumed(second.all(), second.options);
    REQUIRE(resumed.resume());
    REQUIRE(resumed.run() == TrainingEnd::finished);
    CHECK(same_bits(weights(second), weights(whole)));
    CHECK(same_bits(second.average->state(), whole.average->state()));
    CHECK(same_bits(second.optimizer->state(), whole.optimizer->state()));
    CHECK(second.recorder.steps.back().loss == whole.recorder.steps.back().loss);
    CHECK(second.recorder.evaluations.back().values == whole.recorder.evaluations.back().values);
  }
}

TEST_CASE("parts of a step change rounding only", "[training]") {
  const test::TemporaryFolder folder;
  std::vector<std::vector<double>> losses;
  for (const int64_t parts : {2, 3}) {
    RunOfTest run(folder / std::to_string(parts), 6, parts);
    Trainer(run.all(), run.options).run();
    losses.emplace_back();
    for (const auto& step : run.recorder.steps) losses.back().push_back(step.loss);
  }
  REQUIRE(losses[0].size() == 6);
  for (std::size_t i = 0; i < 6; ++i) CHECK(losses[0][i] == Approx(losses[1][i]).epsilon(1e-5));
}

TEST_CASE("a step that is not finite is left out, and many in a row are an error", "[training]") {
  const test::TemporaryFolder folder;
  RunOfTest run(folder / "run");
  run.task->first = 1;
  run.task->end = 3;
  Trainer trainer(run.all(), run.options.max_non_finite(3));
  CHECK(trainer.run() == TrainingEnd::finished);
  CHECK(run.recorder.steps[1].skipped);
  CHECK(run.recorder.steps[2].skipped);
  CHECK_FALSE(run.recorder.steps[3].skipped);
  CHECK(trainer.state().non_finite_steps == 2);
  CHECK(trainer.state().non_finite_in_a_row == 0);
  CHECK(run.recorder.warnings.size() == 2);
  for (const auto& [name, weight] : weights(run)) CHECK(weight.isfinite().all().item<bool>());

  RunOfTest broken(folder / "broken");
  broken.task->end = 100;
  const auto before = weights(broken);
  const auto message =
      error_message([&] { Trainer(broken.all(), broken.options.max_non_finite(2)).run(); });
  CHECK(contains(message,
                 "[training] step 2: loss or gradients were not finite in 2 steps in a row"));
  CHECK(contains(message, " in module classifier gives NaN"));
  CHECK(same_bits(weights(broken), before));
}

TEST_CASE("in float16 the loss is scaled, and a resumed run keeps the scale", "[training]") {
  const test::TemporaryFolder folder;
  const auto prepare = [](RunOfTest& run) {
    run.task->factor = 2e3;  // gradients of the first steps are beyond float16
    run.options.autocast(torch::kFloat16);
  };
  RunOfTest whole(folder / "whole", 12);
  prepare(whole);
  Trainer trainer(whole.all(), whole.options);
  REQUIRE(trainer.run() == TrainingEnd::finished);
  const auto& steps = whole.recorder.steps;
  CHECK(steps.front().skipped);
  CHECK_FALSE(steps.back().skipped);
  int64_t skipped = 0;
  for (const auto& step : steps) skipped += step.skipped ? 1 : 0;
  CHECK(trainer.state().loss_scale == 65536.0 / std::pow(2.0, skipped));
  CHECK(trainer.state().non_finite_steps == 0);  // what the scale is for is no error
  CHECK(whole.recorder.warnings.empty());

  // Unscaled gradients: those of float32, up to float16's rounding.
  RunOfTest plain(folder / "plain", 1);
  RunOfTest half(folder / "half", 1);
  half.options.autocast(torch::kFloat16);
  Trainer(plain.all(), plain.options).run();
  Trainer(half.all(), half.options).run();
  CHECK(half.recorder.steps[0].gradient_norm ==
        Approx(plain.recorder.steps[0].gradient_norm).epsilon(0.01));

  {
    RunOfTest first(folder / "stopped", 12);
    prepare(first);
    first.stop_after = 5;
    REQUIRE(Trainer(first.all(), first.options).run() == TrainingEnd::stopped);
  }
  RunOfTest second(folder / "stopped", 12);
  prepare(second);
  Trainer resumed(second.all(), second.options);
  REQUIRE(resumed.resume());
  REQUIRE(resumed.run() == TrainingEnd::finished);
  CHECK(same_bits(weights(second), weights(whole)));
  CHECK(resumed.state().loss_scale == trainer.state().loss_scale);
}

TEST_CASE("a run does not go on from the checkpoint of another", "[training]") {
  const test::TemporaryFolder folder;
  {
    RunOfTest run(folder / "run", 1);
    CHECK_FALSE(Trainer(run.all(), run.options).resume());
    Trainer(run.all(), run.options).run();
  }
  RunOfTest other(folder / "run", 1);
  CHECK(contains(error_message<CheckpointError>(
                     [&] { Trainer(other.all(), other.options.config_hash("b")).resume(); }),
                 "expected a checkpoint of the same model, data and options"));
}

TEST_CASE("a teacher of other labels is refused", "[training]") {
  const auto classifier = [](std::vector<std::string> names) {
    auto config = test::small_convnext_config();
    if (!names.empty()) {
      config.label2id.clear();
      config.id2label.clear();
      for (std::size_t i = 0; i < names.size(); ++i) {
        config.label2id[names[i]] = static_cast<int64_t>(i);
        config.id2label[static_cast<int64_t>(i)] = names[i];
      }
    }
    return ImageClassifier(std::static_pointer_cast<ImageClassifierImpl>(
        ConvNextForImageClassification(config).ptr()));
  };
  const auto message = [&](const ImageClassifier& teacher) {
    return error_message<UsageError>([&] {
      ImageClassificationTask(classifier({"a", "b", "c", "d", "e"}),
                              ImageClassificationTaskOptions().teacher(teacher));
    });
  };
  CHECK(message(classifier({"a", "b", "c", "d", "e"})) == "nothing was thrown");
  CHECK(message(classifier({})) == "nothing was thrown");  // nobody named them
  CHECK(message(classifier({"a", "c", "b", "d", "e"})) ==
        "[training] teacher: label 1: expected \"b\" as the model has, got \"c\".");
  CHECK(message(classifier({"a", "b", "c", "d"})) ==
        "[training] teacher: expected the 5 labels of the model, got 4.");
}

TEST_CASE("a trainer checks its parts and options", "[training]") {
  const test::TemporaryFolder folder;
  RunOfTest run(folder / "run");
  const auto message = [&](const TrainerParts& parts, const TrainerOptions& options) {
    return error_message<UsageError>([&] { Trainer(parts, options); });
  };
  auto parts = run.all();
  parts.optimizer = nullptr;
  CHECK(message(parts, run.options) == "[training] optimizer: expected an optimizer, got none.");
  const auto options = [&] { return TrainerOptions(run.options); };
  CHECK(contains(message(run.all(), options().save_every(-1)), "save_every"));
  CHECK(contains(message(run.all(), options().evaluate_every(0)), "evaluate_every"));
  CHECK(contains(message(run.all(), options().max_non_finite(0)), "max_non_finite"));
  CHECK(contains(message(run.all(), options().schedule(ScheduleOptions().steps(0))), "steps"));
}

}  // namespace
}  // namespace vizoo
