#pragma once

// What an exported file says about itself: `extra/vizoo.json` in the archive.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/export/export_inputs.h"
#include "vizoo/io/json.h"

namespace vizoo {

/// How an exported model returns its outputs.
enum class ExportFormat {
  tuple,  ///< in the order of ExportDescription::outputs, one tensor too
  dict,   ///< Dict[str, Tensor] by their names
};

template <>
struct EnumNames<ExportFormat> {
  static constexpr std::pair<ExportFormat, const char*> table[] = {
      {ExportFormat::tuple, "tuple"},
      {ExportFormat::dict, "dict"},
  };
};

/// What a method of an exported file takes and returns.
struct ExportSignature {
  std::vector<ExportInput> inputs;    ///< in the order of its arguments
  std::map<std::string, bool> flags;  ///< arguments that are part of the file
  std::vector<std::string> outputs;   ///< Transformers' names: "logits", "hidden_states.0", ...
};

/// Class, arguments, outputs and needs of an exported model. The signature is that of the file's
/// `forward`.
struct ExportDescription : ExportSignature {
  std::string class_name;          ///< e.g. "DinatForImageClassification"
  std::string model_type;          ///< e.g. "dinat"
  std::string vizoo_version;       ///< of the writer
  std::string libtorch_version;    ///< of the writer
  std::vector<std::string> ops;    ///< of libvizoo_ops.so, e.g. "vizoo::na2d"; sorted
  std::string method = "forward";  ///< of the model, which the file's `forward` runs
  ExportFormat format = ExportFormat::tuple;
  /// The file's other methods by name. Older files have none.
  std::map<std::string, ExportSignature> methods;

  /// Of `forward` or another of the file's methods. Throws UsageError, which names the methods, for
  /// any other.
  const ExportSignature& signature(const std::string& method_name) const;

  /// "forward" and the names of the other methods.
  std::vector<std::string> method_names() const;
};

/// Name of the library that an exported model's ops are in.
inline constexpr const char* kOpLibrary = "libvizoo_ops.so";

Json to_json(const ExportDescription& description);

/// Throws CheckpointError, which names `source`, for anything that to_json does not write.
ExportDescription export_description_from_json(const Json& json, const std::string& source);

/// Whether a path is a file, which only an exported model can be where a model is asked for.
bool is_exported_model(const std::filesystem::path& path);

/// Reads what an exported file says about itself; nothing in it is run. Throws CheckpointError for
/// files that `export_torchscript` did not make.
ExportDescription read_export_description(const std::filesystem::path& path);

/// The extra files of an exported file by name (`config.json`, `preprocessor_config.json`, ...),
/// without vizoo.json; nothing is run. Throws CheckpointError.
std::map<std::string, std::string> read_export_files(const std::filesystem::path& path);

/// Throws CheckpointError, which names the library to load, unless all ops of the description are
/// there.
void check_export_ops(const ExportDescription& description, const std::string& source);

}  // namespace vizoo
