// Times steps of training: forward, loss, backward, fused AdamW. scripts/bench/training_step.py
// drives it beside Transformers.
//
// usage: training_bench MODEL_FOLDER BATCH.safetensors THREADS STEPS
//
// BATCH holds `pixel_values` and `labels`. Prints the loss of a first step; then, for each line of
// its input, the median times of STEPS steps and the largest memory so far, as a line of JSON.
#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <sstream>

#include "vizoo/hub/auto_model.h"
#include "vizoo/hub/tensor_file.h"
#include "vizoo/training/loss.h"
#include "vizoo/training/optimizer.h"

namespace {

class Training {
 public:
  Training(const std::string& folder, const std::string& batch)
      : model_(vizoo::AutoModelForImageClassification::from_pretrained(folder)),
        batch_(vizoo::read_tensors(batch)) {
    model_->train();
    optimizer_ = vizoo::make_optimizer(vizoo::parameter_groups(*model_));
  }

  // Returns the loss.
  double step() {
    const auto output = model_->forward(batch_.at("pixel_values"));
    const auto loss = vizoo::softmax_cross_entropy(output.logits, batch_.at("labels"));
    const auto mean = loss.sum / loss.weight;
    mean.backward();
    optimizer_->step(1e-4);
    optimizer_->zero_grad();
    return mean.item<double>();
  }

 private:
  vizoo::ImageClassifier model_;
  vizoo::NamedArguments batch_;
  std::unique_ptr<vizoo::Optimizer> optimizer_;
};

// Of this process, in MiB.
double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  }
  throw std::runtime_error("/proc/self/status has no VmHWM");
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// What was measured, as JSON.
std::string measure(Training& training, int64_t steps) {
  std::vector<double> times;
  std::vector<double> processor_times;
  for (int64_t i = 0; i < steps; ++i) {
    const auto began = std::clock();
    const auto started = std::chrono::steady_clock::now();
    training.step();
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - started;
    times.push_back(elapsed.count());
    processor_times.push_back(1e3 * static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC);
  }
  std::ostringstream text;
  text << "{\"ms\": " << median(times) << ", \"processor_ms\": " << median(processor_times)
       << ", \"peak_mib\": " << peak_memory() << "}";
  return text.str();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: training_bench MODEL_FOLDER BATCH THREADS STEPS\n";
    return 2;
  }
  try {
#ifdef __GLIBC__
    // As the program vizoo does, which keeps what a step frees for the next one.
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
    at::set_num_threads(std::stoi(argv[3]));
    Training training(argv[1], argv[2]);
    std::cout << "{\"loss\": " << training.step() << "}" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << measure(training, std::stoll(argv[4])) << std::endl;
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
