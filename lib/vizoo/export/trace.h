#pragma once

// From a torch::nn::Module to a TorchScript module. TorchScript is deprecated upstream in favour of
// torch.export, which has no C++ side: all use of it is in this folder.

#include <torch/csrc/jit/api/module.h>

#include <functional>
#include <string>
#include <vector>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Runs a forward pass on some tensors and returns its outputs.
using TracedFunction =
    std::function<std::vector<torch::Tensor>(const std::vector<torch::Tensor>& inputs)>;

/// A TorchScript module with the submodules, parameters and buffers of `model`, under their names
/// and sharing their memory, and no methods yet. `class_name` is what its type is called.
torch::jit::Module mirror_module(const torch::nn::Module& model, const std::string& class_name);

/// Adds a method: the operations that `function` ran on `inputs`, which may use the parameters of
/// the model that `module` mirrors. Sizes that C++ code read with size() are constants in it;
/// dispatcher ops are calls. `trainable`: `function` runs with gradients, and what it changes in
/// place is recorded as if it were not, since TorchScript differentiates nothing else; otherwise
/// without gradients. Throws whatever `function` throws.
void add_traced_method(torch::jit::Module& module,
                       const std::string& method,
                       const std::vector<torch::Tensor>& inputs,
                       const std::vector<std::string>& input_names,
                       bool trainable,
                       const TracedFunction& function);

/// The dispatcher ops of the namespace `library` that a method calls: "vizoo::na2d", ..., sorted.
std::vector<std::string> ops_of(const torch::jit::Module& module,
                                const std::string& method,
                                const std::string& library);

}  // namespace vizoo
