// `vizoo inspect`: what a checkpoint folder holds, without running it.
#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <memory>
#include <set>

#include "commands.h"
#include "common.h"
#include "vizoo/core/error.h"
#include "vizoo/export/export_description.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/hub/from_pretrained.h"

namespace vizoo::app {
namespace {

struct InspectOptions {
  std::filesystem::path folder;
  std::string class_name;
  bool tensors = false;
  bool as_json = false;
};

struct Contents {
  Json report;
  std::vector<std::string> problems;
};

void list_tensors(const Checkpoint& checkpoint, Contents& contents) {
  int64_t elements = 0;
  std::size_t bytes = 0;
  std::set<std::string> dtypes;
  std::set<std::string> files;
  auto tensors = Json::array();
  for (const auto& tensor : checkpoint.tensors()) {
    int64_t count = 1;
    for (const auto size : tensor.view.shape) count *= size;
    elements += count;
    bytes += tensor.view.bytes;
    dtypes.insert(dtype_name(tensor.view.dtype));
    files.insert(tensor.file.filename().string());
    tensors.push_back({{"name", tensor.name},
                       {"dtype", dtype_name(tensor.view.dtype)},
                       {"shape", tensor.view.shape}});
  }
  contents.report["files"] = files;
  contents.report["dtypes"] = dtypes;
  contents.report["tensor_count"] = checkpoint.tensors().size();
  contents.report["elements"] = elements;
  contents.report["bytes"] = bytes;
  contents.report["tensors"] = std::move(tensors);
}

// Each part is examined on its own, so that one problem does not hide the next.
Contents examine(const InspectOptions& options) {
  Contents contents;
  auto& report = contents.report;
  report["folder"] = options.folder.string();
  const auto attempt = [&](auto&& part) {
    try {
      part();
    } catch (const Error& error) {
      contents.problems.emplace_back(error.what());
    }
  };
  attempt([&] { report["config"] = load_config(options.folder); });
  attempt([&] { list_tensors(Checkpoint(options.folder), contents); });
  if (!contents.problems.empty()) return contents;
  attempt([&] {
    LoadReport loaded;
    const auto& entry =
        options.class_name.empty()
            ? find_architecture(report["config"], (options.folder / "config.json").string())
            : find_model(options.class_name);
    report["class"] = entry.class_name;
    report["task"] = enum_name(entry.task);
    const auto model = load_pretrained(entry, options.folder, LoadOptions().report(&loaded));
    int64_t parameters = 0;
    for (const auto& parameter : model->parameters()) parameters += parameter.numel();
    report["parameters"] = parameters;
    report["labels"] = model->base_config().num_labels();
    for (const auto& line : loaded.warnings()) contents.problems.push_back("tensors " + line);
  });
  return contents;
}

void print_checkpoint(const Json& report, bool with_tensors) {
  const auto text = [&](const char* key) {
    return report.contains(key) && report[key].is_string() ? report[key].get<std::string>() : "?";
  };
  const auto integer = [&](const char* key) { return report.value(key, int64_t{0}); };
  std::cout << "class       " << text("class") << " (" << text("task") << ")\n";
  if (report.contains("parameters")) {
    std::cout << "parameters  " << integer("parameters") << " ("
              << human_count(integer("parameters")) << ")\n"
              << "labels      " << integer("labels") << '\n';
  }
  if (report.contains("tensor_count")) {
    std::cout << "tensors     " << integer("tensor_count") << ", " << std::fixed
              << std::setprecision(1) << static_cast<double>(integer("bytes")) / 1e6 << " MB, "
              << report["dtypes"].dump() << " in " << report["files"].dump() << '\n';
  }
  if (report.contains("config")) {
    std::cout << "config\n";
    for (const auto& [key, value] : report["config"].items()) {
      auto line = value.dump();
      constexpr std::size_t kWidth = 80;
      if (line.size() > kWidth) line = line.substr(0, kWidth - 3) + "...";
      std::cout << "  " << key << ": " << line << '\n';
    }
  }
  if (!with_tensors || !report.contains("tensors")) return;
  for (const auto& tensor : report["tensors"]) {
    std::cout << tensor["name"].get<std::string>() << ' ' << tensor["dtype"].get<std::string>()
              << ' ' << tensor["shape"].dump() << '\n';
  }
}

// What an exported model says about itself; nothing in it is run.
int inspect_exported(const InspectOptions& options) {
  auto report = to_json(read_export_description(options.folder));
  auto files = Json::array();
  for (const auto& [name, content] : read_export_files(options.folder)) files.push_back(name);
  report["files"] = files;
  if (options.as_json) {
    std::cout << report.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
    return kOk;
  }
  const auto text = [&](const char* key) { return printable(report[key].get<std::string>()); };
  std::cout << "exported    " << text("class_name") << ", by vizoo " << text("vizoo_version")
            << " with LibTorch " << text("libtorch_version") << '\n'
            << "needs       "
            << (report["ops"].empty() ? "LibTorch" : text("op_library") + " for ");
  for (std::size_t i = 0; i < report["ops"].size(); ++i) {
    std::cout << (i > 0 ? ", " : "") << printable(report["ops"][i].get<std::string>());
  }
  std::cout << '\n';
  for (const auto& input : report["inputs"]) {
    std::cout << "input       " << printable(input["name"].get<std::string>()) << ' '
              << printable(input["dtype"].get<std::string>()) << ' ' << input["shape"].dump()
              << '\n';
  }
  for (const auto& output : report["outputs"]) {
    std::cout << "output      " << printable(output.get<std::string>()) << '\n';
  }
  for (const auto& [method, signature] : report["methods"].items()) {
    std::cout << "method      " << printable(method) << '\n';
  }
  std::cout << "files       " << files.dump() << '\n';
  return kOk;
}

int inspect(const InspectOptions& options) {
  if (is_exported_model(options.folder)) return inspect_exported(options);
  auto contents = examine(options);
  if (options.as_json) {
    if (!options.tensors) contents.report.erase("tensors");
    contents.report["problems"] = contents.problems;
    std::cout << contents.report.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    print_checkpoint(contents.report, options.tensors);
  }
  for (const auto& problem : contents.problems) std::cerr << problem << '\n';
  return contents.problems.empty() ? kOk : kFailed;
}

}  // namespace

void add_inspect(CLI::App& program, Run& run) {
  auto* command =
      program.add_subcommand("inspect", "Show what a checkpoint or an exported model holds");
  auto options = std::make_shared<InspectOptions>();
  command
      ->add_option("folder",
                   options->folder,
                   "Folder that save_pretrained wrote, or file that vizoo export made")
      ->required()
      ->type_name("DIR|MODEL.pt");
  command->add_option("--class", options->class_name, "Class to build (default: config.json's)")
      ->type_name("NAME");
  command->add_flag("--tensors", options->tensors, "List every tensor");
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer("Example: vizoo inspect weights/convnext-digits --tensors");
  command->callback([&run, options] { run = [options] { return inspect(*options); }; });
}

}  // namespace vizoo::app
