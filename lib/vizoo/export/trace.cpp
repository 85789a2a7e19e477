#include "vizoo/export/trace.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <memory>
#include <set>

namespace vizoo {
namespace {

using CompilationUnit = std::shared_ptr<torch::jit::CompilationUnit>;

// The tracer finds each parameter by its identity, so the mirror image holds the same tensors.
torch::jit::Module mirror_module(const torch::nn::Module& module,
                                 const std::string& type_name,
                                 const CompilationUnit& unit) {
  torch::jit::Module image(c10::QualifiedName(type_name), unit, /*shouldMangle=*/true);
  // As every TorchScript module has it: Python's freeze() and train() ask for it.
  image.register_attribute("training", c10::BoolType::get(), false);
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    image.register_parameter(parameter.key(), parameter.value(), /*is_buffer=*/false);
  }
  for (const auto& buffer : module.named_buffers(/*recurse=*/false)) {
    image.register_buffer(buffer.key(), buffer.value());
  }
  for (const auto& child : module.named_children()) {
    image.register_module(child.key(),
                          mirror_module(*child.value(), type_name + "_" + child.key(), unit));
  }
  return image;
}

void collect_ops(const torch::jit::Block& block,
                 const std::string& library,
                 std::set<std::string>& names) {
  for (const auto* node : block.nodes()) {
    if (node->kind().ns().toUnqualString() == library) names.insert(node->kind().toQualString());
    for (const auto* inner : node->blocks()) collect_ops(*inner, library, names);
  }
}

// Keeps the tracer from printing what it thinks of operations in place and of sizes.
class QuietTracer {
 public:
  QuietTracer() : warned_(torch::jit::tracer::getTracerStateWarnMode().exchange(false)) {}
  ~QuietTracer() { torch::jit::tracer::getTracerStateWarnMode() = warned_; }
  QuietTracer(const QuietTracer&) = delete;
  QuietTracer& operator=(const QuietTracer&) = delete;

 private:
  bool warned_;
};

}  // namespace

torch::jit::Module mirror_module(const torch::nn::Module& model, const std::string& class_name) {
  return mirror_module(
      model, "__torch__." + class_name, std::make_shared<torch::jit::CompilationUnit>());
}

void add_traced_method(torch::jit::Module& module,
                       const std::string& method,
                       const std::vector<torch::Tensor>& inputs,
                       const std::vector<std::string>& input_names,
                       bool trainable,
                       const TracedFunction& function) {
  const torch::AutoGradMode gradient_mode(trainable);
  const auto run = [&](const torch::jit::Stack& stack) {
    std::vector<torch::Tensor> tensors;
    for (const auto& value : stack) tensors.push_back(value.toTensor());
    std::vector<c10::IValue> outputs;
    for (auto& output : function(tensors)) outputs.emplace_back(std::move(output));
    return torch::jit::Stack{c10::ivalue::Tuple::create(std::move(outputs))};
  };
  const QuietTracer quiet;
  const auto [state, outputs] = torch::jit::tracer::trace(
      torch::jit::Stack(inputs.begin(), inputs.end()),
      run,
      [](const torch::Tensor&) { return ""; },
      /*strict=*/true,
      /*force_outplace=*/trainable,
      &module,
      input_names);
  // What C++ code computed to check values, and no output depends on.
  torch::jit::EliminateDeadCode(state->graph);
  module.type()->addMethod(module._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*module.type()->name(), method), state->graph));
}

std::vector<std::string> ops_of(const torch::jit::Module& module,
                                const std::string& method,
                                const std::string& library) {
  std::set<std::string> names;
  const auto& function = torch::jit::toGraphFunction(module.get_method(method).function());
  collect_ops(*function.graph()->block(), library, names);
  return {names.begin(), names.end()};
}

}  // namespace vizoo
