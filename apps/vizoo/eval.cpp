// `vizoo eval`: how well a model does on samples with known answers.
#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <memory>
#include <sstream>

#include "commands.h"
#include "common.h"
#include "images.h"
#include "training_report.h"
#include "training_setup.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/training/data_loader.h"
#include "vizoo/training/image_classification_task.h"

namespace vizoo::app {
namespace {

constexpr int64_t kMostPrinted = 20;  // classes of a confusion matrix that is printed

struct EvalOptions {
  std::filesystem::path model;
  std::string class_name;
  std::vector<std::string> settings;
  DataSource data;
  std::filesystem::path confusion;
  std::string image_backend = "pil";
  std::string dtype = "float32";
  std::string device = "cpu";
  int64_t batch = 32;
  int64_t workers = 2;
  int threads = 0;
  bool as_json = false;
};

// A field of a CSV file (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::vector<std::string> label_names(const PretrainedConfig& config) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < config.num_labels(); ++i) names.push_back(config.label(i));
  return names;
}

std::string confusion_csv(const torch::Tensor& matrix, const std::vector<std::string>& names) {
  const auto counts = matrix.accessor<int64_t, 2>();
  std::ostringstream text;
  text << "label";
  for (const auto& name : names) text << ',' << csv_field(name);
  text << '\n';
  for (int64_t i = 0; i < counts.size(0); ++i) {
    text << csv_field(names[static_cast<std::size_t>(i)]);
    for (int64_t j = 0; j < counts.size(1); ++j) text << ',' << counts[i][j];
    text << '\n';
  }
  return text.str();
}

// Rows are labels, columns what the model took them for.
void print_confusion(const torch::Tensor& matrix, const std::vector<std::string>& names) {
  const auto counts = matrix.accessor<int64_t, 2>();
  std::size_t width = std::to_string(matrix.numel() == 0 ? 0 : matrix.max().item<int64_t>()).size();
  std::size_t first = std::string("label").size();
  for (const auto& name : names) {
    width = std::max(width, std::min<std::size_t>(printable(name).size(), 8));
    first = std::max(first, printable(name, 24).size());
  }
  std::cout << "\nConfusion matrix: a row for each label, a column for each answer\n"
            << std::left << std::setw(static_cast<int>(first)) << "label" << std::right;
  for (const auto& name : names) {
    std::cout << ' ' << std::setw(static_cast<int>(width)) << printable(name).substr(0, 8);
  }
  std::cout << '\n';
  for (int64_t i = 0; i < counts.size(0); ++i) {
    std::cout << std::left << std::setw(static_cast<int>(first))
              << printable(names[static_cast<std::size_t>(i)], 24) << std::right;
    for (int64_t j = 0; j < counts.size(1); ++j) {
      std::cout << ' ' << std::setw(static_cast<int>(width)) << counts[i][j];
    }
    std::cout << '\n';
  }
}

void check_confusion(const EvalOptions& options, Task task) {
  if (options.confusion.empty()) return;
  if (task != Task::image_classification) {
    throw UsageError("usage", "--confusion", "a classifier of images", enum_name(task));
  }
  if (options.confusion.extension() != ".csv") {
    throw UsageError(
        "usage", "--confusion", "a name that ends in .csv", quote(options.confusion.string()));
  }
}

Json metrics_json(const MetricValues& values) {
  Json json = Json::object();
  for (const auto& [name, value] : values) json[name] = value;
  return json;
}

int evaluate(const EvalOptions& options) {
  apply_threads(options.threads);
  LoadReport report;
  const auto load = LoadOptions()
                        .torch_dtype(parse_dtype(options.dtype))
                        .device(parse_device(options.device))
                        .overrides(parse_settings(options.settings))
                        .report(&report);
  const auto& entry = find_trainable(options.model, options.class_name, load);
  check_confusion(options, entry.task);
  const auto model = load_pretrained(entry, options.model, load);
  print_warnings(report);
  DataReader reader(entry.task, options.model, options.image_backend);
  if (entry.task == Task::optical_flow) reader.set_flow_size(flow_size(*model));
  std::optional<LabelMap> label2id;
  if (entry.task == Task::image_classification) label2id = model->base_config().label2id;
  const auto data = reader.evaluation(options.data, label2id);

  const auto task = make_task(model, entry.task, {}, data);
  DataLoader loader(
      data, DataLoaderOptions().batch(options.batch).workers(options.workers).shuffle(false));
  model->eval();
  task->start_evaluation();
  loader.start(0);
  Progress progress("eval", static_cast<std::size_t>(loader.steps_per_epoch()));
  while (const auto parts = loader.next()) {
    const c10::InferenceMode inference;
    for (const auto& part : *parts) {
      if (part.size > 0) task->evaluate(part.to(load.device(), *load.torch_dtype()));
    }
    progress.step();
  }
  progress.clear();
  for (const auto& skipped : loader.skipped()) {
    std::cerr << "warning: " << skipped.message << " Left out.\n";
  }

  MetricValues values;
  for (const auto* metric : task->metrics()) {
    const auto own = metric->values();
    values.insert(values.end(), own.begin(), own.end());
  }
  auto* classification = dynamic_cast<ImageClassificationTask*>(task.get());
  const auto names = label_names(model->base_config());
  if (!options.confusion.empty()) {
    write_file_atomically(options.confusion,
                          confusion_csv(classification->confusion().matrix(), names));
  }
  if (options.as_json) {
    const auto evaluated = loader.size() - static_cast<int64_t>(loader.skipped().size());
    const Json line = {{sample_name(entry.task), evaluated},
                       {"skipped", loader.skipped().size()},
                       {"metrics", metrics_json(values)}};
    std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
    return kOk;
  }
  print_metrics(values);
  if (classification != nullptr && static_cast<int64_t>(names.size()) <= kMostPrinted) {
    print_confusion(classification->confusion().matrix(), names);
  }
  return kOk;
}

}  // namespace

void add_eval(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("eval", "Measure a model on samples with known answers");
  auto options = std::make_shared<EvalOptions>();
  add_model_option(*command, options->model);
  command->add_option("--class", options->class_name, "Model class (default: by config.json)")
      ->type_name("NAME");
  command
      ->add_option("--data",
                   options->data.path,
                   "Folder of one folder of images for each class; for OWLv2 a COCO JSON file; for "
                   "optical flow a folder or a list of frame pairs; for masked language modelling "
                   "a file of lines")
      ->type_name("PATH")
      ->required();
  command
      ->add_option(
          "--images", options->data.images, "Images of a COCO JSON file (default: its own folder)")
      ->type_name("DIR");
  command
      ->add_option("--confusion",
                   options->confusion,
                   "Write the confusion matrix: a row for each label, a column for each answer")
      ->type_name("FILE.csv");
  command->add_option("--batch", options->batch, "Samples that run together")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--workers", options->workers, "Threads that read the data")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  add_image_backend_option(*command, options->image_backend);
  add_set_option(*command, options->settings, "config.json");
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer("Example: vizoo eval --model weights/dinat-digits --data digits/test");
  command->callback([&run, options] { run = [options] { return evaluate(*options); }; });
}

}  // namespace vizoo::app
