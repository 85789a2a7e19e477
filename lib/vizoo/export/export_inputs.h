#pragma once

// What an exported model takes: which tensors, and which of their sizes may vary.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// A size of a tensor: a number that the exported file is made for, or the name of one that varies
/// from call to call ("batch", "height", ...). Equal names are equal sizes; "texts" is a multiple
/// of "batch" where a model takes texts and images, "queries" are 1 or as many as "batch".
using ExportDimension = std::variant<int64_t, std::string>;

/// A tensor that an exported model takes.
struct ExportInput {
  std::string name;  ///< Transformers' keyword argument, e.g. "pixel_values" or "inputs.image"
  at::ScalarType dtype = torch::kFloat32;
  std::vector<ExportDimension> shape;
  int64_t num_values = 0;  ///< integers are from 0 to this - 1

  /// The name as TorchScript takes it: dots are underscores.
  std::string argument() const;
};

/// Values of the named sizes.
using ExportSizes = std::map<std::string, int64_t>;

/// The tensors that a method of `model` takes where nobody says otherwise, in the order of its
/// arguments: those of its image processor or tokenizer. Throws UsageError for a model or method
/// that has no usual inputs (PerceiverModel).
std::vector<ExportInput> usual_inputs(const PretrainedModelImpl& model,
                                      const std::string& method = "forward");

/// Those of the model's `method_names()` that have usual inputs.
std::vector<std::string> usual_methods(const PretrainedModelImpl& model);

/// As usual_inputs, for given arguments. Flags (Bool of one element) are no inputs but part of the
/// model. Of an argument that is not known, only the batch varies, if it is a tensor of inputs.
/// Throws UsageError for an argument that the method does not take.
std::vector<ExportInput> inputs_of(const PretrainedModelImpl& model,
                                   const NamedArguments& arguments,
                                   const std::string& method = "forward");

/// Names of all that a method takes, flags too. Throws UsageError if it is none of the model's.
std::vector<std::string> argument_names_of(const PretrainedModelImpl& model,
                                           const std::string& method);

/// The flags among the arguments.
NamedArguments flags_of(const NamedArguments& arguments);

/// Sizes to trace with: one image or text, of the size that the config says.
ExportSizes usual_sizes(const PretrainedModelImpl& model);

/// The named sizes of given arguments. Throws ShapeError where they do not fit `inputs`.
ExportSizes sizes_of(const std::vector<ExportInput>& inputs, const NamedArguments& arguments);

/// Random tensors of these sizes, on the CPU: floats from N(0, 1), masks of ones, other integers
/// from 1 up. Throws UsageError for a name without a size.
NamedArguments make_arguments(const std::vector<ExportInput>& inputs, const ExportSizes& sizes);

}  // namespace vizoo
