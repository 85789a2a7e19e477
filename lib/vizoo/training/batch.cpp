#include "vizoo/training/batch.h"

#include <string>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// Stacks one tensor of each sample; all have the shape of the first.
template <class Take>
torch::Tensor stack_field(const std::vector<Sample>& samples, const std::string& name, Take take) {
  std::vector<torch::Tensor> tensors;
  tensors.reserve(samples.size());
  for (const auto& sample : samples) {
    const torch::Tensor tensor = take(sample);
    if (!tensor.defined()) {
      throw ShapeError("training", name, "a tensor in each sample of a batch", "one without it");
    }
    if (!tensors.empty() && (tensor.sizes() != tensors[0].sizes() ||
                             tensor.scalar_type() != tensors[0].scalar_type())) {
      throw ShapeError("training",
                       name,
                       describe_tensor(tensors[0]) + " in each sample of a batch",
                       describe_tensor(tensor));
    }
    tensors.push_back(tensor);
  }
  return torch::stack(tensors);
}

}  // namespace

Batch Batch::to(torch::Device device, torch::ScalarType dtype) const {
  Batch moved = *this;
  for (auto& [name, tensor] : moved.arguments) {
    tensor = tensor.is_floating_point() ? tensor.to(device, dtype) : tensor.to(device);
  }
  if (labels.defined()) moved.labels = labels.to(device);
  return moved;
}

Batch collate(const std::vector<Sample>& samples) {
  if (samples.empty()) throw UsageError("training", "batch", "at least one sample", "none");
  Batch batch;
  batch.size = static_cast<int64_t>(samples.size());
  const auto& first = samples.front();
  for (const auto& sample : samples) {
    if (sample.arguments.size() != first.arguments.size()) {
      throw ShapeError("training",
                       "batch",
                       std::to_string(first.arguments.size()) + " tensors in each sample",
                       std::to_string(sample.arguments.size()));
    }
  }
  for (const auto& argument : first.arguments) {
    const auto& name = argument.first;
    batch.arguments[name] = stack_field(samples, name, [&](const Sample& sample) {
      const auto found = sample.arguments.find(name);
      return found == sample.arguments.end() ? torch::Tensor() : found->second;
    });
  }
  if (first.labels.defined()) {
    batch.labels =
        stack_field(samples, "labels", [](const Sample& sample) { return sample.labels; });
  }
  if (first.detection.boxes.defined()) {
    for (const auto& sample : samples) batch.detections.push_back(sample.detection);
  }
  return batch;
}

}  // namespace vizoo
