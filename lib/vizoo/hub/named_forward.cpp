#include "vizoo/hub/named_forward.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// Back-propagates from one output: a scalar as it is, anything else weighted by `cotangent`.
void back_propagate(const NamedTensors& outputs,
                    const std::string& field,
                    const torch::Tensor& cotangent) {
  const auto found = std::find_if(
      outputs.begin(), outputs.end(), [&](const auto& output) { return output.first == field; });
  if (found == outputs.end()) {
    std::string names;
    for (const auto& [name, tensor] : outputs) names += (names.empty() ? "" : ", ") + name;
    throw UsageError("forward", "gradients", "one of the outputs " + names, quote(field));
  }
  const auto& output = found->second;
  if (!cotangent.defined()) {
    if (output.numel() == 1) return output.sum().backward();
    throw UsageError("forward",
                     "gradients",
                     "a scalar output, or a tensor \"cotangent\" among the inputs",
                     quote(field) + " without cotangent");
  }
  if (cotangent.sizes() != output.sizes()) {
    std::ostringstream expected;
    std::ostringstream got;
    expected << "the shape " << output.sizes() << " of " << field;
    got << cotangent.sizes();
    throw ShapeError("inputs", "cotangent", expected.str(), got.str());
  }
  (output * cotangent.to(output.options())).sum().backward();
}

using State = std::map<std::string, torch::Tensor>;

State copy_buffers(const PretrainedModelImpl& model) {
  State buffers;
  for (const auto& buffer : model.named_buffers()) buffers[buffer.key()] = buffer.value().clone();
  return buffers;
}

void append_gradients(const PretrainedModelImpl& model,
                      const NamedArguments& arguments,
                      NamedTensors& outputs) {
  for (const auto& parameter : model.named_parameters()) {
    const auto& gradient = parameter.value().grad();
    if (gradient.defined()) outputs.emplace_back("grad." + parameter.key(), gradient);
  }
  for (const auto& [name, tensor] : arguments) {
    if (tensor.grad().defined()) outputs.emplace_back("grad_input." + name, tensor.grad());
  }
}

}  // namespace

NamedTensors run_named_forward(PretrainedModelImpl& model,
                               NamedArguments arguments,
                               const NamedForward& request) {
  const bool with_gradients = !request.gradients().empty();
  torch::Tensor cotangent;
  if (const auto found = arguments.find("cotangent"); found != arguments.end()) {
    cotangent = found->second;
    arguments.erase(found);
  }
  for (auto& [name, tensor] : arguments) {
    if (!with_gradients || !tensor.is_floating_point()) continue;
    tensor = tensor.detach().requires_grad_();
  }
  const auto options = ForwardOptions()
                           .output_hidden_states(request.output_hidden_states())
                           .output_attentions(request.output_attentions());
  model.train(request.train_mode());
  const auto buffers_before = copy_buffers(model);
  if (request.seed()) torch::manual_seed(*request.seed());

  NamedTensors outputs;
  {
    const torch::AutoGradMode gradient_mode(with_gradients);
    outputs = model.call_named(request.method(), arguments, options);
    if (with_gradients) back_propagate(outputs, request.gradients(), cotangent);
  }
  if (with_gradients) append_gradients(model, arguments, outputs);
  for (const auto& buffer : model.named_buffers()) {
    if (torch::equal(buffers_before.at(buffer.key()), buffer.value())) continue;
    outputs.emplace_back("buffer." + buffer.key(), buffer.value());
  }
  return outputs;
}

}  // namespace vizoo
