// `vizoo forward`: runs any class of the registry on tensors from a file and writes every output
// under the name that Transformers gives it. With it anyone can compare the two.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "commands.h"
#include "common.h"
#include "model_source.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/hub/named_forward.h"
#include "vizoo/hub/tensor_file.h"

namespace vizoo::app {
namespace {

struct ForwardOptions {
  ModelOptions model;
  std::filesystem::path inputs;
  std::filesystem::path outputs;
  std::string class_name;
  std::string method = "forward";
  std::string dtype = "float32";
  std::string device = "cpu";
  bool output_hidden_states = false;
  bool output_attentions = false;
  bool train_mode = false;
  bool ignore_mismatched_sizes = false;
  int64_t seed = -1;
  std::string gradients;
  std::vector<std::string> settings;
  std::string model_args = "{}";
  int threads = 0;
};

int forward(const ForwardOptions& options) {
  apply_threads(options.threads);
  const auto dtype = parse_dtype(options.dtype);
  const auto device = parse_device(options.device);
  LoadReport report;
  const auto load_options = LoadOptions()
                                .torch_dtype(dtype)
                                .device(device)
                                .ignore_mismatched_sizes(options.ignore_mismatched_sizes)
                                .overrides(parse_settings(options.settings))
                                .model_args(options.model_args)
                                .report(&report);
  const ModelSource source(options.model);
  auto arguments = read_tensors(options.inputs);
  const auto model = load_any_model(source, options.class_name, load_options);
  print_warnings(report);

  auto request = NamedForward()
                     .gradients(options.gradients)
                     .train_mode(options.train_mode)
                     .method(options.method);
  if (options.output_hidden_states) request.output_hidden_states(true);
  if (options.output_attentions) request.output_attentions(true);
  if (options.seed >= 0) request.seed(static_cast<uint64_t>(options.seed));
  for (auto& [name, tensor] : arguments) {
    tensor = tensor.to(device, tensor.is_floating_point() ? dtype : tensor.scalar_type());
  }
  write_tensors(options.outputs, run_named_forward(*model, std::move(arguments), request));
  return kOk;
}

}  // namespace

void add_forward(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("forward", "Run a model on tensors from a file");
  auto options = std::make_shared<ForwardOptions>();
  add_model_options(*command, options->model);
  command->add_option("--inputs", options->inputs, "Tensors named as the forward's arguments")
      ->required()
      ->type_name("IN.safetensors");
  command->add_option("--outputs", options->outputs, "Where every output tensor goes")
      ->required()
      ->type_name("OUT.safetensors");
  command->add_option("--class", options->class_name, "Class to build (default: config.json's)")
      ->type_name("NAME");
  command
      ->add_option("--method",
                   options->method,
                   "Method to call, such as image_guided_detection or get_text_features")
      ->type_name("NAME")
      ->capture_default_str();
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--output-hidden-states", options->output_hidden_states, "Return all stages");
  command->add_flag("--output-attentions", options->output_attentions, "Return attention maps");
  command->add_flag("--train-mode",
                    options->train_mode,
                    "Training mode; buffers that change are written as buffer.NAME");
  command->add_flag("--ignore-mismatched-sizes",
                    options->ignore_mismatched_sizes,
                    "Initialise tensors of another shape anew");
  command->add_option("--seed", options->seed, "Seed of the random stream before the forward")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--gradients",
                   options->gradients,
                   "Output to back-propagate from; gradients are written as grad.PARAMETER "
                   "and grad_input.NAME")
      ->type_name("FIELD");
  add_set_option(*command, options->settings, "config.json");
  add_model_args_option(*command, options->model_args);
  command->footer(
      "Example: vizoo forward --model weights/convnext-digits --inputs in.safetensors "
      "--outputs out.safetensors --output-hidden-states");
  command->callback([&run, options] { run = [options] { return forward(*options); }; });
}

}  // namespace vizoo::app
