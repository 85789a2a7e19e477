#include "vizoo/export/torchscript.h"

#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/version.h>

#include <algorithm>
#include <exception>
#include <set>

#include "vizoo/core/error.h"
#include "vizoo/export/trace.h"
#include "vizoo/hub/registry.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/io/file.h"
#include "vizoo/ops/ops.h"

namespace vizoo {
namespace {

// What is traced of a method: fast, and with gradients, as TorchScript differentiates no operation
// in place.
std::string traced_name(const std::string& method, bool trainable) {
  const std::string name = trainable ? "traced_training" : "traced_inference";
  return method == "forward" ? name : name + "_" + method;
}

constexpr const char* kAssertion = "AssertionError: ";

// Whether `name` is the output `wanted` or a part of it.
bool is_part_of(const std::string& name, const std::string& wanted) {
  return name == wanted || name.rfind(wanted + ".", 0) == 0;
}

// Whether one of the outputs, or a part of one, is called `field`.
bool wants(const std::vector<std::string>& outputs, const std::string& field) {
  return std::any_of(outputs.begin(), outputs.end(), [&](const std::string& name) {
    return ("." + name + ".").find("." + field + ".") != std::string::npos;
  });
}

ForwardOptions forward_options(const ExportOptions& options) {
  ForwardOptions forward;
  if (wants(options.outputs(), "hidden_states") ||
      wants(options.outputs(), "reshaped_hidden_states")) {
    forward.output_hidden_states(true);
  }
  if (wants(options.outputs(), "attentions") || wants(options.outputs(), "cross_attentions")) {
    forward.output_attentions(true);
  }
  return forward;
}

// The outputs that were asked for, in the order of the model.
NamedTensors select_outputs(const NamedTensors& all, const ExportOptions& options) {
  if (options.outputs().empty()) return all;
  std::string known;
  for (const auto& [name, tensor] : all) known += (known.empty() ? "" : ", ") + name;
  std::set<std::string> chosen;
  for (const auto& wanted : options.outputs()) {
    const auto before = chosen.size();
    for (const auto& [name, tensor] : all) {
      if (is_part_of(name, wanted)) chosen.insert(name);
    }
    if (chosen.size() == before) {
      throw UsageError("export", "outputs", "some of " + known, quote(wanted));
    }
  }
  NamedTensors selected;
  for (const auto& output : all) {
    if (chosen.count(output.first) != 0) selected.push_back(output);
  }
  return selected;
}

// An assertion in TorchScript that a tensor has the sizes that do not vary.
std::string size_check(const ExportInput& input) {
  const auto name = input.argument();
  std::string condition = name + ".dim() == " + std::to_string(input.shape.size());
  std::string expected;
  for (std::size_t i = 0; i < input.shape.size(); ++i) {
    if (i > 0) expected += ", ";
    if (const auto* fixed = std::get_if<int64_t>(&input.shape[i])) {
      condition += " and " + name + ".size(" + std::to_string(i) + ") == " + std::to_string(*fixed);
      expected += std::to_string(*fixed);
    } else {
      expected += std::get<std::string>(input.shape[i]);
    }
  }
  return "    assert " + condition + ", \"[model] " + input.name + ": expected [" + expected +
         "], got {}.\".format(" + name + ".size())\n";
}

// A method in TorchScript: checks the sizes, runs what was traced, and names the outputs.
std::string method_source(const std::string& name,
                          const ExportSignature& signature,
                          ExportFormat format) {
  std::string parameters;
  std::string arguments;
  std::string checks;
  for (const auto& input : signature.inputs) {
    parameters += ", " + input.argument() + ": Tensor";
    arguments += (arguments.empty() ? "" : ", ") + input.argument();
    checks += size_check(input);
  }
  const auto call = [&](bool trainable) {
    return "        outputs = self." + traced_name(name, trainable) + "(" + arguments + ")\n";
  };
  const auto calls = "    if torch.is_grad_enabled():\n" + call(true) + "    else:\n" + call(false);
  std::string type;
  std::string result;
  if (format == ExportFormat::tuple) {
    for (std::size_t i = 0; i < signature.outputs.size(); ++i) {
      type += i == 0 ? "Tensor" : ", Tensor";
    }
    type = "Tuple[" + type + "]";
    result = calls + "    return outputs\n";
  } else {
    type = "Dict[str, Tensor]";
    std::string items;
    for (std::size_t i = 0; i < signature.outputs.size(); ++i) {
      items += (i == 0 ? "\"" : ", \"") + signature.outputs[i] + "\": outputs[" +
               std::to_string(i) + "]";
    }
    result = calls + "    return {" + items + "}\n";
  }
  return "def " + name + "(self" + parameters + ") -> " + type + ":\n" + checks + result;
}

// Puts a model into evaluation mode, and back.
class EvaluationMode {
 public:
  explicit EvaluationMode(PretrainedModelImpl& model)
      : model_(model), was_training_(model.is_training()) {
    model_.eval();
  }
  ~EvaluationMode() { model_.train(was_training_); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  PretrainedModelImpl& model_;
  bool was_training_;
};

// As the model's parameters are: on their device, floats in their dtype.
NamedArguments like_parameters(NamedArguments arguments, const PretrainedModelImpl& model) {
  const auto parameters = model.parameters();
  if (parameters.empty()) return arguments;
  const auto& like = parameters.front();
  for (auto& [name, tensor] : arguments) {
    tensor = tensor.to(like.device(),
                       tensor.is_floating_point() ? like.scalar_type() : tensor.scalar_type());
  }
  return arguments;
}

NamedArguments arguments_to_trace(const PretrainedModelImpl& model,
                                  const std::string& method,
                                  const NamedArguments& given) {
  if (!given.empty()) return given;
  return make_arguments(usual_inputs(model, method), usual_sizes(model));
}

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

NamedTensors call(PretrainedModelImpl& model,
                  const NamedArguments& arguments,
                  const ExportOptions& options) {
  return select_outputs(model.call_named(options.method(), arguments, forward_options(options)),
                        options);
}

// Arguments to trace another method with: of the sizes of `given`, and with its flags, where the
// method takes the same.
NamedArguments arguments_of(const PretrainedModelImpl& model,
                            const std::string& method,
                            const NamedArguments& given,
                            const ExportSizes& given_sizes) {
  auto sizes = given_sizes;
  sizes.merge(usual_sizes(model));
  auto arguments = make_arguments(usual_inputs(model, method), sizes);
  const auto known = argument_names_of(model, method);
  for (const auto& [name, flag] : flags_of(given)) {
    if (std::find(known.begin(), known.end(), name) != known.end()) arguments[name] = flag;
  }
  return like_parameters(std::move(arguments), model);
}

// Traces the options' method of the model, which becomes `name` of the module.
ExportSignature add_method(torch::jit::Module& module,
                           const std::string& name,
                           PretrainedModelImpl& model,
                           const NamedArguments& arguments,
                           const ExportOptions& options) {
  ExportSignature signature;
  signature.inputs = inputs_of(model, arguments, options.method());
  sizes_of(signature.inputs, arguments);  // throws
  const auto flags = flags_of(arguments);
  for (const auto& [flag, value] : flags) signature.flags[flag] = value.item<bool>();
  std::vector<torch::Tensor> inputs;
  std::vector<std::string> input_names;
  for (const auto& input : signature.inputs) {
    inputs.push_back(arguments.at(input.name).detach());
    input_names.push_back(input.argument());
  }
  const auto run = [&](const std::vector<torch::Tensor>& tensors) {
    auto named = flags;
    for (std::size_t i = 0; i < tensors.size(); ++i) named[signature.inputs[i].name] = tensors[i];
    const auto outputs = call(model, named, options);
    signature.outputs = names_of(outputs);
    std::vector<torch::Tensor> values;
    for (const auto& [output, tensor] : outputs) values.push_back(tensor);
    return values;
  };
  for (const bool trainable : {false, true}) {
    add_traced_method(module, traced_name(name, trainable), inputs, input_names, trainable, run);
  }
  module.define(method_source(name, signature, options.format()));
  return signature;
}

}  // namespace

ExportedModel export_torchscript(PretrainedModelImpl& model,
                                 const NamedArguments& example_inputs,
                                 const ExportOptions& options) {
  const auto arguments =
      like_parameters(arguments_to_trace(model, options.method(), example_inputs), model);
  ExportedModel exported;
  auto& description = exported.description;
  description.class_name = model.class_name();
  description.model_type = find_model(model.class_name()).model_type;
  description.vizoo_version = ops::version();
  description.libtorch_version = TORCH_VERSION;
  description.method = options.method();
  description.format = options.format();

  const EvaluationMode evaluation(model);
  auto& module = exported.module;
  module = mirror_module(model, "vizoo." + description.class_name);
  static_cast<ExportSignature&>(description) =
      add_method(module, "forward", model, arguments, options);
  if (options.method() == "forward") {
    const auto sizes = sizes_of(description.inputs, arguments);
    for (const auto& method : usual_methods(model)) {
      if (method == "forward") continue;
      description.methods[method] =
          add_method(module,
                     method,
                     model,
                     arguments_of(model, method, arguments, sizes),
                     ExportOptions().format(options.format()).method(method));
    }
  }
  std::set<std::string> ops;
  for (const auto& method : description.method_names()) {
    for (const bool trainable : {false, true}) {
      for (auto& op : ops_of(module, traced_name(method, trainable), "vizoo")) {
        ops.insert(std::move(op));
      }
    }
  }
  description.ops.assign(ops.begin(), ops.end());
  exported.files["config.json"] = config_json_text(model);
  return exported;
}

void save_torchscript(const ExportedModel& exported, const std::filesystem::path& path) {
  torch::jit::ExtraFilesMap extra(exported.files.begin(), exported.files.end());
  extra["vizoo.json"] = to_json(exported.description).dump(2) + "\n";
  write_file_atomically(path, [&](FileWriter& file) {
    // The archive writer is C code underneath, through which no exception may pass; and its
    // destructor throws if it hears of a failure. So it hears of none.
    std::exception_ptr problem;
    const auto write = [&](const void* data, std::size_t size) {
      try {
        if (!problem) file.write(data, size);
      } catch (...) {
        problem = std::current_exception();
      }
      return size;
    };
    torch::jit::ExportModule(exported.module, write, extra);
    if (problem) std::rethrow_exception(problem);
  });
}

ExportedModel load_torchscript(const std::filesystem::path& path, const ScriptOptions& options) {
  ExportedModel exported;
  exported.description = read_export_description(path);
  if (!options.trust_code()) {
    throw UsageError("export",
                     printable(path.string()),
                     "trust_code (--trust-code)",
                     "none",
                     "A TorchScript file is code that runs when it is loaded");
  }
  check_export_ops(exported.description, path.string());
  exported.files = read_export_files(path);
  try {
    exported.module = torch::jit::load(path.string(), options.device());
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw CheckpointError("export",
                          printable(path.string()),
                          "a whole TorchScript file",
                          quote(text.substr(0, text.find('\n'))));
  }
  exported.module.eval();
  return exported;
}

NamedTensors run_torchscript(const ExportedModel& exported,
                             const NamedArguments& arguments,
                             const std::string& method) {
  const auto& signature = exported.description.signature(method);
  std::string known;
  torch::jit::Stack stack;
  std::size_t used = 0;
  for (const auto& input : signature.inputs) {
    known += (known.empty() ? "" : ", ") + input.name;
    const auto found = arguments.find(input.name);
    if (found == arguments.end()) continue;
    stack.emplace_back(found->second);
    ++used;
  }
  for (const auto& [name, tensor] : flags_of(arguments)) {
    const auto found = signature.flags.find(name);
    if (found == signature.flags.end() || found->second != tensor.item<bool>()) {
      throw UsageError("export", "arguments", "the flags that the file was made with", quote(name));
    }
    ++used;
  }
  if (used != arguments.size() || stack.size() != signature.inputs.size()) {
    std::string got;
    for (const auto& [name, tensor] : arguments) got += (got.empty() ? "" : ", ") + name;
    throw UsageError("export", "arguments", known, quote(got));
  }
  auto compiled = exported.module.find_method(method);
  if (!compiled) {
    throw CheckpointError("export", "exported model", "the method " + printable(method), "none");
  }
  c10::IValue result;
  try {
    result = (*compiled)(std::move(stack));
  } catch (const std::exception& error) {
    // `Traceback ... AssertionError: [model] pixel_values: expected ..., got ....`
    const std::string text = error.what();
    const auto found = text.find(kAssertion);
    if (found == std::string::npos) throw;
    const auto line = text.substr(found + std::string(kAssertion).size());
    throw ShapeError(line.substr(0, line.find('\n')));
  }
  const bool is_tuple = exported.description.format == ExportFormat::tuple;
  NamedTensors outputs;
  for (std::size_t i = 0; i < signature.outputs.size(); ++i) {
    const auto& name = signature.outputs[i];
    const auto value =
        is_tuple ? result.toTupleRef().elements()[i] : result.toGenericDict().at(name);
    outputs.emplace_back(name, value.toTensor());
  }
  return outputs;
}

}  // namespace vizoo
