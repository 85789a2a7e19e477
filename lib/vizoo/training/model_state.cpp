#include "vizoo/training/model_state.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"

namespace vizoo {

void load_model_state(PretrainedModelImpl& model, const std::filesystem::path& folder) {
  std::map<std::string, torch::Tensor> state;
  for (const auto& parameter : model.named_parameters()) state[parameter.key()] = parameter.value();
  for (const auto& buffer : model.named_buffers()) state[buffer.key()] = buffer.value();

  const Checkpoint checkpoint(folder);
  std::vector<std::string> problems;
  std::vector<std::pair<torch::Tensor, const Checkpoint::Tensor*>> copies;
  for (const auto& tensor : checkpoint.tensors()) {
    const auto found = state.find(tensor.name);
    if (found == state.end()) {
      problems.push_back(printable(tensor.name) + " is no tensor of the model");
      continue;
    }
    const auto& target = found->second;
    const at::IntArrayRef shape(tensor.view.shape);
    if (target.sizes() != shape || target.scalar_type() != scalar_type(tensor.file, tensor.view)) {
      problems.push_back(tensor.name + ": expected " + describe_tensor(target) + ", got " +
                         describe_shape(shape));
    }
    copies.emplace_back(target, &tensor);
    state.erase(found);
  }
  for (const auto& missing : state) problems.push_back(missing.first + " is missing");
  if (!problems.empty()) {
    std::string text = problems.front();
    if (problems.size() > 1) text += "; and " + std::to_string(problems.size() - 1) + " more";
    throw CheckpointError(
        Error::describe("checkpoint", printable(checkpoint.path().string()), text));
  }
  const torch::NoGradGuard no_grad;
  for (auto& [target, tensor] : copies) target.copy_(checkpoint.take(*tensor));
}

}  // namespace vizoo
