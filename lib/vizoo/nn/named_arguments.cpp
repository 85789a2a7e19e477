#include "vizoo/nn/named_arguments.h"

#include <algorithm>

#include "vizoo/core/error.h"

namespace vizoo::nn {

NamedArgumentReader::NamedArgumentReader(const NamedArguments& arguments,
                                         std::string method,
                                         const std::vector<std::string>& known)
    : arguments_(arguments), method_(std::move(method)) {
  for (const auto& [name, tensor] : arguments) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string names;
    for (const auto& one : known) names += (names.empty() ? "" : ", ") + one;
    throw UsageError("model", method_, "the arguments " + names, quote(name));
  }
}

torch::Tensor NamedArgumentReader::tensor(const std::string& name) const {
  const auto found = arguments_.find(name);
  return found == arguments_.end() ? torch::Tensor() : found->second;
}

torch::Tensor NamedArgumentReader::required(const std::string& name) const {
  auto found = tensor(name);
  if (!found.defined()) throw ShapeError("model", method_, "a tensor " + quote(name), "none");
  return found;
}

bool NamedArgumentReader::flag(const std::string& name) const {
  const auto found = tensor(name);
  if (!found.defined()) return false;
  if (found.scalar_type() != torch::kBool || found.numel() != 1) {
    throw ShapeError("model", name, "a Bool tensor of one element", describe_tensor(found));
  }
  return found.item<bool>();
}

}  // namespace vizoo::nn
