// `vizoo export`: a model as a TorchScript file.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>

#include "commands.h"
#include "common.h"
#include "vizoo/core/error.h"
#include "vizoo/export/torchscript.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/hub/tensor_file.h"
#include "vizoo/io/file.h"

namespace vizoo::app {
namespace {

// What a checkpoint's folder holds beside the model, and consumers of an exported one need.
constexpr const char* kCompanions[] = {"preprocessor_config.json",
                                       "processor_config.json",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "vocab.json",
                                       "merges.txt"};
constexpr std::size_t kMaxCompanion = 64U << 20U;

struct ExportCommandOptions {
  std::filesystem::path model;
  std::filesystem::path output;
  std::filesystem::path inputs;
  std::string class_name;
  std::string method = "forward";
  std::string outputs;
  std::string format = "tuple";
  std::string dtype = "float32";
  std::string device = "cpu";
  std::string model_args = "{}";
  std::vector<std::string> settings;
  int64_t size = 0;
  int threads = 0;
  bool check = false;
  bool as_json = false;
};

std::vector<std::string> split(const std::string& names) {
  std::vector<std::string> list;
  std::istringstream text(names);
  for (std::string name; std::getline(text, name, ',');) list.push_back(name);
  return list;
}

NamedArguments example_inputs(const ExportCommandOptions& options,
                              const PretrainedModelImpl& model) {
  if (!options.inputs.empty()) return read_tensors(options.inputs);
  auto sizes = usual_sizes(model);
  if (options.size > 0) sizes["height"] = sizes["width"] = options.size;
  return make_arguments(usual_inputs(model, options.method), sizes);
}

void add_companions(const std::filesystem::path& folder, ExportedModel& exported) {
  for (const char* name : kCompanions) {
    const auto path = folder / name;
    std::error_code error;
    if (!std::filesystem::exists(path, error)) continue;
    exported.files[name] = read_file(path, kMaxCompanion, FileKind::config);
  }
}

void print_exported(const ExportCommandOptions& options,
                    const ExportedModel& exported,
                    double difference) {
  auto report = to_json(exported.description);
  report["output"] = options.output.string();
  report["bytes"] = std::filesystem::file_size(options.output);
  auto files = Json::array();
  for (const auto& [name, content] : exported.files) files.push_back(name);
  report["files"] = files;
  if (options.check) report["largest_difference"] = difference;
  if (options.as_json) {
    std::cout << report.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
    return;
  }
  std::cout << printable(options.output.string()) << "  " << exported.description.class_name
            << '\n';
  for (const auto& input : report["inputs"]) {
    std::cout << "  input   " << input["name"].get<std::string>() << ' '
              << input["dtype"].get<std::string>() << ' ' << input["shape"].dump() << '\n';
  }
  for (const auto& output : exported.description.outputs) {
    std::cout << "  output  " << output << '\n';
  }
  for (const auto& [method, signature] : exported.description.methods) {
    std::cout << "  method  " << method << '\n';
  }
  std::cout << "  needs   LibTorch"
            << (exported.description.ops.empty() ? "" : std::string(" and ") + kOpLibrary) << '\n';
  if (options.check) {
    std::cout << "  checked at other sizes: differs by at most " << difference << '\n';
  }
}

int export_model(const ExportCommandOptions& options) {
  apply_threads(options.threads);
  LoadReport report;
  const auto load_options = LoadOptions()
                                .torch_dtype(parse_dtype(options.dtype))
                                .device(parse_device(options.device))
                                .overrides(parse_settings(options.settings))
                                .model_args(options.model_args)
                                .report(&report);
  const auto config = load_config(options.model, load_options);
  const auto& entry = options.class_name.empty()
                          ? find_architecture(config, (options.model / "config.json").string())
                          : find_model(options.class_name);
  const auto model = load_pretrained(entry, options.model, load_options);
  print_warnings(report);
  const auto inputs = example_inputs(options, *model);
  auto exported = export_torchscript(*model,
                                     inputs,
                                     ExportOptions()
                                         .outputs(split(options.outputs))
                                         .format(*enum_value<ExportFormat>(options.format))
                                         .method(options.method));
  add_companions(options.model, exported);
  double difference = 0.0;
  if (!options.check) {
    save_torchscript(exported, options.output);
  } else {
    // The file that is checked is the file that is kept.
    auto unchecked = options.output;
    unchecked += ".unchecked";
    save_torchscript(exported, unchecked);
    try {
      const auto loaded = load_torchscript(
          unchecked, ScriptOptions().trust_code(true).device(parse_device(options.device)));
      difference = check_export(loaded, *model, inputs);
    } catch (...) {
      std::error_code error;
      std::filesystem::remove(unchecked, error);
      throw;
    }
    std::filesystem::rename(unchecked, options.output);
  }
  print_exported(options, exported, difference);
  return kOk;
}

}  // namespace

void add_export(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("export", "Write a model as a TorchScript file");
  auto options = std::make_shared<ExportCommandOptions>();
  add_model_option(*command, options->model);
  command->add_option("--output", options->output, "Where the file goes")
      ->required()
      ->type_name("MODEL.pt");
  command->add_option("--class", options->class_name, "Class to build (default: config.json's)")
      ->type_name("NAME");
  command->add_option("--method", options->method, "Method that the file's forward runs")
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("--outputs",
                   options->outputs,
                   "Outputs to keep, separated by commas, such as logits,hidden_states (default: "
                   "all that a forward pass gives)")
      ->type_name("FIELDS");
  command->add_option("--format", options->format, "How forward returns them")
      ->check(CLI::IsMember({"tuple", "dict"}))
      ->capture_default_str();
  command
      ->add_option("--inputs",
                   options->inputs,
                   "Example arguments (default: random ones that the class usually takes)")
      ->type_name("IN.safetensors");
  command
      ->add_option(
          "--size", options->size, "Height and width of the example (default: config.json's)")
      ->check(CLI::Range(1, 16384));
  command->add_flag("--check",
                    options->check,
                    "Load the file again and compare it at other batch and image sizes");
  add_set_option(*command, options->settings, "config.json");
  add_model_args_option(*command, options->model_args);
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer("Example: vizoo export --model weights/dinat-digits --output dinat.pt --check");
  command->callback([&run, options] { run = [options] { return export_model(*options); }; });
}

}  // namespace vizoo::app
