// Trains a model for some steps, for the comparison with Transformers (scripts/parity/training.py).
//
// usage: vizoo_training_steps MODEL_FOLDER INPUTS.safetensors RECIPE.json OUTPUTS.safetensors
//
// INPUTS holds the arguments of forward, `labels`, and for distillation `teacher_logits`, all with
// a leading axis of batches, which are used in turn. OUTPUTS holds `loss`, `gradient_norm` and
// `learning_rate` of each step, and the final `weight.NAME`, `buffer.NAME` and `average.NAME`.
#include <iostream>

#include "vizoo/hub/from_pretrained.h"
#include "vizoo/hub/tensor_file.h"
#include "vizoo/training/ema.h"
#include "vizoo/training/loss.h"
#include "vizoo/training/optimizer.h"
#include "vizoo/training/schedule.h"

namespace {

enum class Objective { classification, binary, distillation, masked_language_modeling, flow };

}  // namespace

template <>
struct vizoo::EnumNames<Objective> {
  static constexpr std::pair<Objective, const char*> table[] = {
      {Objective::classification, "classification"},
      {Objective::binary, "binary"},
      {Objective::distillation, "distillation"},
      {Objective::masked_language_modeling, "masked_language_modeling"},
      {Objective::flow, "flow"},
  };
};

namespace {

struct Recipe {
  std::string model_class;
  std::string dtype = "float64";
  Objective objective = Objective::classification;
  int64_t steps = 1;
  int64_t parts = 1;  // of a batch, whose gradients are added up
  double label_smoothing = 0.0;
  vizoo::Distillation distillation = vizoo::Distillation::hard;
  double distillation_weight = 0.5;
  double temperature = 3.0;
  vizoo::OptimizerType optimizer = vizoo::OptimizerType::adamw;
  double beta2 = 0.999;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0.05;
  double layer_decay = 1.0;
  std::vector<std::string> frozen;
  vizoo::ScheduleType schedule = vizoo::ScheduleType::cosine;
  double learning_rate = 1e-3;
  int64_t warmup_steps = 0;
  double max_norm = 1.0;
  double average_decay = 0.9;
  bool average_warmup = false;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("model_class", self.model_class);
    visit("dtype", self.dtype);
    visit("objective", self.objective);
    visit("steps", self.steps);
    visit("parts", self.parts);
    visit("label_smoothing", self.label_smoothing);
    visit("distillation", self.distillation);
    visit("distillation_weight", self.distillation_weight);
    visit("temperature", self.temperature);
    visit("optimizer", self.optimizer);
    visit("beta2", self.beta2);
    visit("momentum", self.momentum);
    visit("nesterov", self.nesterov);
    visit("weight_decay", self.weight_decay);
    visit("layer_decay", self.layer_decay);
    visit("frozen", self.frozen);
    visit("schedule", self.schedule);
    visit("learning_rate", self.learning_rate);
    visit("warmup_steps", self.warmup_steps);
    visit("max_norm", self.max_norm);
    visit("average_decay", self.average_decay);
    visit("average_warmup", self.average_warmup);
  }
};

torch::Tensor tensor_named(const vizoo::NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

vizoo::WeightedLoss loss_of(vizoo::PretrainedModelImpl& model,
                            vizoo::NamedArguments arguments,
                            const Recipe& recipe) {
  const auto take = [&](const std::string& name) {
    const auto node = arguments.extract(name);
    return node.empty() ? torch::Tensor() : node.mapped();
  };
  const auto labels = take("labels");
  const auto teacher_logits = take("teacher_logits");
  const auto outputs = model.forward_named(arguments, {});
  const auto logits = tensor_named(outputs, "logits");
  switch (recipe.objective) {
    case Objective::classification:
      return vizoo::softmax_cross_entropy(logits, labels, recipe.label_smoothing);
    case Objective::binary:
      return vizoo::sigmoid_cross_entropy(logits, labels, recipe.label_smoothing);
    case Objective::distillation:
      return vizoo::distillation_loss(
          vizoo::softmax_cross_entropy(
              tensor_named(outputs, "cls_logits"), labels, recipe.label_smoothing),
          tensor_named(outputs, "distillation_logits"),
          teacher_logits,
          vizoo::DistillationOptions()
              .type(recipe.distillation)
              .weight(recipe.distillation_weight)
              .temperature(recipe.temperature));
    case Objective::masked_language_modeling:
      return vizoo::masked_language_modeling_loss(logits, labels);
    case Objective::flow:
      return vizoo::end_point_error(logits, labels);
  }
  throw std::runtime_error("no such objective");
}

// Gradients of the mean over the batch; returns the loss.
double backward(vizoo::PretrainedModelImpl& model,
                const vizoo::NamedArguments& batch,
                const Recipe& recipe,
                const std::vector<torch::Tensor>& parameters) {
  const auto size = batch.begin()->second.size(0);
  double sum = 0;
  double weight = 0;
  for (int64_t part = 0; part < recipe.parts; ++part) {
    const auto first = size * part / recipe.parts;
    const auto count = size * (part + 1) / recipe.parts - first;
    vizoo::NamedArguments arguments;
    for (const auto& [name, tensor] : batch) arguments[name] = tensor.narrow(0, first, count);
    const auto loss = loss_of(model, arguments, recipe);
    loss.sum.backward();
    sum += loss.sum.item<double>();
    weight += loss.weight;
  }
  for (const auto& parameter : parameters) {
    if (parameter.grad().defined()) parameter.grad().div_(weight);
  }
  return sum / weight;
}

vizoo::NamedTensors train(vizoo::PretrainedModelImpl& model,
                          const vizoo::NamedArguments& inputs,
                          const Recipe& recipe) {
  auto optimizer =
      vizoo::make_optimizer(vizoo::parameter_groups(model,
                                                    vizoo::ParameterGroupOptions()
                                                        .weight_decay(recipe.weight_decay)
                                                        .layer_decay(recipe.layer_decay)
                                                        .frozen(recipe.frozen)),
                            vizoo::OptimizerOptions()
                                .type(recipe.optimizer)
                                .beta2(recipe.beta2)
                                .momentum(recipe.momentum)
                                .nesterov(recipe.nesterov));
  const auto schedule = vizoo::ScheduleOptions()
                            .type(recipe.schedule)
                            .learning_rate(recipe.learning_rate)
                            .steps(recipe.steps)
                            .warmup_steps(recipe.warmup_steps);
  vizoo::ExponentialMovingAverage average(
      model,
      vizoo::MovingAverageOptions().decay(recipe.average_decay).warmup(recipe.average_warmup));
  const auto parameters = optimizer->parameters();
  const auto batches = inputs.begin()->second.size(0);

  std::vector<double> losses;
  std::vector<double> norms;
  std::vector<double> rates;
  for (int64_t step = 0; step < recipe.steps; ++step) {
    vizoo::NamedArguments batch;
    for (const auto& [name, tensor] : inputs) batch[name] = tensor[step % batches];
    losses.push_back(backward(model, batch, recipe, parameters));
    norms.push_back(vizoo::clip_gradient_norm(parameters, recipe.max_norm));
    rates.push_back(vizoo::scheduled_learning_rate(schedule, step));
    optimizer->step(rates.back());
    optimizer->zero_grad();
    average.update(model, step + 1);
  }

  vizoo::NamedTensors results;
  results.emplace_back("loss", torch::tensor(losses, torch::kFloat64));
  results.emplace_back("gradient_norm", torch::tensor(norms, torch::kFloat64));
  results.emplace_back("learning_rate", torch::tensor(rates, torch::kFloat64));
  for (const auto& parameter : model.named_parameters()) {
    results.emplace_back("weight." + parameter.key(), parameter.value().detach());
  }
  for (const auto& buffer : model.named_buffers()) {
    results.emplace_back("buffer." + buffer.key(), buffer.value());
  }
  const auto averages = average.state();
  for (const auto& parameter : model.named_parameters()) {
    results.emplace_back("average." + parameter.key(), tensor_named(averages, parameter.key()));
  }
  return results;
}

int run(const std::string& folder,
        const std::string& inputs_path,
        const std::string& recipe_path,
        const std::string& outputs_path) {
  const auto recipe =
      vizoo::config_from_json<Recipe>(vizoo::read_json_file(recipe_path), recipe_path);
  const auto dtype = recipe.dtype == "float64" ? torch::kFloat64 : torch::kFloat32;
  const auto model = vizoo::load_pretrained(
      vizoo::find_model(recipe.model_class), folder, vizoo::LoadOptions().torch_dtype(dtype));
  model->train();
  auto inputs = vizoo::read_tensors(inputs_path);
  for (auto& [name, tensor] : inputs) {
    if (tensor.is_floating_point()) tensor = tensor.to(dtype);
  }
  vizoo::write_tensors(outputs_path, train(*model, inputs, recipe));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: vizoo_training_steps MODEL_FOLDER INPUTS RECIPE OUTPUTS\n";
    return 2;
  }
  try {
    return run(argv[1], argv[2], argv[3], argv[4]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
