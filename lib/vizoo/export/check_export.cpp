#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/export/torchscript.h"

namespace vizoo {
namespace {

double tolerance(const torch::Tensor& expected) {
  const double largest =
      expected.numel() == 0 ? 0.0 : expected.abs().max().to(torch::kFloat64).item<double>();
  double epsilon = 1e-5;
  if (expected.scalar_type() == torch::kFloat16) epsilon = 64 * std::pow(2.0, -11);
  if (expected.scalar_type() == torch::kBFloat16) epsilon = 64 * std::pow(2.0, -8);
  return epsilon * std::max(1.0, largest);
}

// Other sizes than `sizes`, three of them: batches of 2 and 3, and images that are larger, smaller
// and not square, as far as the inputs name them.
std::vector<ExportSizes> other_sizes(const ExportSizes& sizes) {
  std::vector<ExportSizes> others(3, sizes);
  const auto scale = [&](const char* name, std::vector<double> factors) {
    const auto found = sizes.find(name);
    if (found == sizes.end()) return;
    for (std::size_t i = 0; i < others.size(); ++i) {
      others[i][name] = std::max<int64_t>(std::llround(found->second * factors[i]), 1);
    }
  };
  scale("batch", {2, 3, 1});
  scale("texts", {2, 3, 1});
  scale("length", {1, 0.5, 0.75});
  scale("audio_points", {0.5, 1, 0.75});
  scale("image_points", {0.75, 0.5, 1});
  if (sizes.count("queries") != 0) {
    for (auto& other : others) other["queries"] = 1;
    others[0]["queries"] = others[0]["batch"];
  }
  // Masks of patches belong to one size.
  if (sizes.count("patches") == 0) {
    scale("height", {1, 1.27, 1.5});
    scale("width", {1.31, 1, 1.25});
    scale("query_height", {1.3, 1, 1.25});
    scale("query_width", {1, 1.5, 1.27});
  }
  return others;
}

void compare(const NamedTensors& outputs,
             const NamedTensors& expected,
             const std::string& sizes,
             double& largest) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& [name, ours] = outputs[i];
    const auto& theirs = expected[i].second;
    const auto fail = [&](const std::string& got) {
      std::ostringstream wanted;
      wanted << theirs.sizes() << " within " << tolerance(theirs) << " of the model's";
      throw CheckpointError("export", name + " at " + sizes, wanted.str(), got);
    };
    if (ours.sizes() != theirs.sizes()) fail(describe_tensor(ours));
    if (ours.numel() == 0) continue;
    const auto error =
        (ours.to(torch::kFloat64) - theirs.to(torch::kFloat64)).abs().max().item<double>();
    if (!(error <= tolerance(theirs))) fail("a difference of " + std::to_string(error));
    largest = std::max(largest, error);
  }
}

// The outputs of a method at other sizes beside the model's.
void check_method(const ExportedModel& exported,
                  const std::string& name,
                  PretrainedModelImpl& model,
                  const ExportSizes& sizes,
                  double& largest) {
  const auto& description = exported.description;
  const auto& signature = description.signature(name);
  const auto parameters = model.parameters();
  const auto device = parameters.empty() ? torch::kCPU : parameters.front().device();
  ForwardOptions options;
  const auto has = [&](const char* field) {
    return std::any_of(
        signature.outputs.begin(), signature.outputs.end(), [&](const std::string& output) {
          return ("." + output).find(field) != std::string::npos;
        });
  };
  if (has("hidden_states.")) options.output_hidden_states(true);
  if (has("attentions.")) options.output_attentions(true);
  const auto others = other_sizes(sizes);
  for (std::size_t i = 0; i < others.size(); ++i) {
    const torch::AutoGradMode gradient_mode(i == 0);  // a file has a form for each
    auto arguments = make_arguments(signature.inputs, others[i]);
    std::string text;
    for (auto& [argument, tensor] : arguments) {
      tensor = tensor.to(device);
      text += (text.empty() ? "" : ", ") + argument + " " + describe_tensor(tensor);
    }
    // Of what is random both draw the same.
    torch::manual_seed(0);
    const auto outputs = run_torchscript(exported, arguments, name);
    for (const auto& [flag, value] : signature.flags) arguments[flag] = torch::tensor(value);
    torch::manual_seed(0);
    auto all = model.call_named(name == "forward" ? description.method : name, arguments, options);
    NamedTensors expected;
    for (const auto& wanted : signature.outputs) {
      const auto found = std::find_if(
          all.begin(), all.end(), [&](const auto& output) { return output.first == wanted; });
      if (found == all.end()) throw CheckpointError("export", wanted, "an output", "none");
      expected.push_back(*found);
    }
    compare(outputs, expected, text, largest);
  }
}

}  // namespace

double check_export(const ExportedModel& exported,
                    PretrainedModelImpl& model,
                    const NamedArguments& example_inputs) {
  const auto& description = exported.description;
  const bool was_training = model.is_training();
  model.eval();
  ExportSizes sizes;
  if (!example_inputs.empty()) sizes = sizes_of(description.inputs, example_inputs);
  sizes.merge(usual_sizes(model));
  auto generator = at::globalContext().defaultGenerator(torch::kCPU);
  const auto random_state = generator.get_state();
  double largest = 0.0;
  for (const auto& method : description.method_names()) {
    check_method(exported, method, model, sizes, largest);
  }
  generator.set_state(random_state);
  model.train(was_training);
  return largest;
}

}  // namespace vizoo
