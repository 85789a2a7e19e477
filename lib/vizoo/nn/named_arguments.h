#pragma once

#include <string>
#include <vector>

#include "vizoo/nn/pretrained_model.h"

namespace vizoo::nn {

/// Reads the arguments of one method by name.
class NamedArgumentReader {
 public:
  /// `method` is what messages call it: "Owlv2Model.forward"; `known` are the arguments that it
  /// takes. Throws UsageError for any other. `arguments` must outlive the reader.
  NamedArgumentReader(const NamedArguments& arguments,
                      std::string method,
                      const std::vector<std::string>& known);

  /// The tensor, undefined if it is not among the arguments.
  torch::Tensor tensor(const std::string& name) const;

  /// The tensor. Throws ShapeError if it is not among the arguments.
  torch::Tensor required(const std::string& name) const;

  /// The value of a bool tensor of one element, false if it is not among the arguments. Throws
  /// ShapeError for any other tensor.
  bool flag(const std::string& name) const;

 private:
  const NamedArguments& arguments_;
  std::string method_;
};

}  // namespace vizoo::nn
