// `vizoo bench`: latency and throughput of one model.
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <memory>

#include "commands.h"
#include "common.h"
#include "model_source.h"
#include "vizoo/core/error.h"
#include "vizoo/export/scripted_models.h"
#include "vizoo/hub/tensor_file.h"

namespace vizoo::app {
namespace {

struct BenchOptions {
  ModelOptions model;
  std::filesystem::path inputs;
  std::string class_name;
  std::string dtype = "float32";
  std::string device = "cpu";
  int64_t batch = 1;
  int64_t size = 0;
  int threads = 0;
  int runs = 20;
  int warm_up = 3;
  bool as_json = false;
};

NamedArguments make_inputs(const BenchOptions& options,
                           const ModelSource& source,
                           const PretrainedModelImpl& model) {
  if (!options.inputs.empty()) return read_tensors(options.inputs);
  const auto config = load_config(source.folder());
  const auto integer = [&](const char* key, int64_t otherwise) {
    const auto found = config.find(key);
    const bool usable = found != config.end() && found->is_number_integer();
    return usable ? found->get<int64_t>() : otherwise;
  };
  const int64_t size = options.size > 0 ? options.size : integer("image_size", 224);
  const int64_t channels = integer("num_channels", 3);
  if (size < 1 || size > 16384 || channels < 1 || channels > 16384) {
    throw UsageError("usage", model.class_name(), "a usable --size", std::to_string(size));
  }
  return {{model.argument_names().front(), torch::randn({options.batch, channels, size, size})}};
}

// Length of the first argument's first dimension, in the order in which the model names them.
int64_t batch_size(const PretrainedModelImpl& model, const NamedArguments& arguments) {
  for (const auto& name : model.argument_names()) {
    const auto found = arguments.find(name);
    if (found != arguments.end() && found->second.dim() > 0) return found->second.size(0);
  }
  return 1;
}

int bench(const BenchOptions& options) {
  apply_threads(options.threads);
  const auto dtype = parse_dtype(options.dtype);
  const auto device = parse_device(options.device);
  LoadReport report;
  const auto load_options = LoadOptions().torch_dtype(dtype).device(device).report(&report);
  const ModelSource source(options.model);
  const auto model = load_any_model(source, options.class_name, load_options);
  print_warnings(report);
  auto arguments = make_inputs(options, source, *model);
  for (auto& [name, tensor] : arguments) {
    tensor = tensor.to(device, tensor.is_floating_point() ? dtype : tensor.scalar_type());
  }
  const int64_t batch = batch_size(*model, arguments);

  const c10::InferenceMode inference;
  // Reading one number back waits for the device, on the CPU it costs nothing.
  const auto run_once = [&] {
    const auto outputs = model->forward_named(arguments, {});
    if (!device.is_cpu()) outputs.front().second.flatten()[0].item<double>();
  };
  for (int i = 0; i < options.warm_up; ++i) run_once();
  std::vector<double> milliseconds;
  for (int i = 0; i < options.runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run_once();
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    milliseconds.push_back(elapsed.count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const double median = milliseconds[milliseconds.size() / 2];
  const double spread =
      milliseconds[milliseconds.size() * 3 / 4] - milliseconds[milliseconds.size() / 4];
  const Json result = {{"class", model->class_name()},
                       {"batch", batch},
                       {"dtype", options.dtype},
                       {"device", options.device},
                       {"threads", at::get_num_threads()},
                       {"runs", options.runs},
                       {"median_ms", median},
                       {"min_ms", milliseconds.front()},
                       {"interquartile_ms", spread},
                       {"images_per_second", 1000.0 * static_cast<double>(batch) / median},
                       {"peak_memory_mib", static_cast<double>(peak_memory_bytes()) / (1U << 20U)}};
  if (options.as_json) {
    std::cout << result.dump() << '\n';
    return kOk;
  }
  std::cout << std::fixed << std::setprecision(2) << model->class_name() << ", batch " << batch
            << ", " << options.dtype << ", " << at::get_num_threads() << " threads: median "
            << median << " ms, min " << milliseconds.front() << " ms, interquartile range "
            << spread << " ms, " << 1000.0 * static_cast<double>(batch) / median
            << " images/s, peak memory " << (peak_memory_bytes() >> 20U) << " MiB\n";
  return kOk;
}

}  // namespace

void add_bench(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("bench", "Measure latency and throughput of a model");
  auto options = std::make_shared<BenchOptions>();
  add_model_options(*command, options->model);
  command->add_option("--inputs", options->inputs, "Tensors to run on (default: random pixels)")
      ->type_name("IN.safetensors");
  command->add_option("--class", options->class_name, "Class to build (default: config.json's)")
      ->type_name("NAME");
  command->add_option("--batch", options->batch, "Images per batch")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--size", options->size, "Height and width (default: config.json's)")
      ->check(CLI::Range(1, 16384));
  command->add_option("--runs", options->runs, "Timed runs")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--warm-up", options->warm_up, "Runs before the timed ones")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer("Example: vizoo bench --model weights/convnext-digits --batch 8 --threads 2");
  command->callback([&run, options] { run = [options] { return bench(*options); }; });
}

}  // namespace vizoo::app
