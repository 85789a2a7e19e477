#include "vizoo/export/export_description.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/io/zip_archive.h"
#include "vizoo/ops/ops.h"

namespace vizoo {
namespace {

constexpr int64_t kExportVersion = 1;
constexpr const char* kDescriptionFile = "vizoo.json";
constexpr std::size_t kMaxExtraFile = 64U << 20U;
constexpr const char* kHint = "Other TorchScript files are run with LibTorch itself";

constexpr std::pair<at::ScalarType, const char*> kDtypes[] = {{torch::kFloat32, "float32"},
                                                              {torch::kFloat64, "float64"},
                                                              {torch::kFloat16, "float16"},
                                                              {torch::kBFloat16, "bfloat16"},
                                                              {torch::kInt64, "int64"},
                                                              {torch::kInt32, "int32"},
                                                              {torch::kBool, "bool"}};

std::string dtype_name(at::ScalarType wanted) {
  for (const auto& [type, name] : kDtypes) {
    if (type == wanted) return name;
  }
  return c10::toString(wanted);
}

at::ScalarType dtype_of(const std::string& wanted, const std::string& source) {
  for (const auto& [type, name] : kDtypes) {
    if (name == wanted) return type;
  }
  throw CheckpointError("export", printable(source), "a dtype such as float32", quote(wanted));
}

Json shape_json(const std::vector<ExportDimension>& shape) {
  auto sizes = Json::array();
  for (const auto& size : shape) {
    std::visit([&](const auto& value) { sizes.push_back(value); }, size);
  }
  return sizes;
}

const Json& member(const Json& json,
                   const char* key,
                   Json::value_t type,
                   const std::string& source) {
  const auto found = json.find(key);
  const bool integer = type == Json::value_t::number_integer;
  if (found != json.end() && (integer ? found->is_number_integer() : found->type() == type)) {
    return *found;
  }
  throw CheckpointError("export",
                        printable(source) + ": /" + key,
                        Json(type).type_name(),
                        found == json.end() ? "nothing" : describe_json(*found));
}

std::string text(const Json& json, const char* key, const std::string& source) {
  return member(json, key, Json::value_t::string, source).get<std::string>();
}

std::vector<std::string> texts(const Json& json, const char* key, const std::string& source) {
  std::vector<std::string> list;
  for (const auto& one : member(json, key, Json::value_t::array, source)) {
    if (!one.is_string()) {
      throw CheckpointError(
          "export", printable(source) + ": /" + key, "strings", describe_json(one));
    }
    list.push_back(one.get<std::string>());
  }
  return list;
}

ExportInput input_from_json(const Json& json, const std::string& source) {
  ExportInput input;
  input.name = text(json, "name", source);
  input.dtype = dtype_of(text(json, "dtype", source), source);
  for (const auto& size : member(json, "shape", Json::value_t::array, source)) {
    if (size.is_number_integer()) {
      input.shape.emplace_back(size.get<int64_t>());
    } else if (size.is_string()) {
      input.shape.emplace_back(size.get<std::string>());
    } else {
      throw CheckpointError(
          "export", printable(source) + ": /shape", "sizes and names", describe_json(size));
    }
  }
  return input;
}

ExportSignature signature_from_json(const Json& json, const std::string& source) {
  ExportSignature signature;
  for (const auto& input : member(json, "inputs", Json::value_t::array, source)) {
    signature.inputs.push_back(input_from_json(input, source));
  }
  for (const auto& [name, value] : member(json, "flags", Json::value_t::object, source).items()) {
    signature.flags[name] = value.is_boolean() && value.get<bool>();
  }
  signature.outputs = texts(json, "outputs", source);
  return signature;
}

Json signature_json(const ExportSignature& signature) {
  auto inputs = Json::array();
  for (const auto& input : signature.inputs) {
    inputs.push_back({{"name", input.name},
                      {"dtype", dtype_name(input.dtype)},
                      {"shape", shape_json(input.shape)}});
  }
  return {{"inputs", inputs}, {"flags", Json(signature.flags)}, {"outputs", signature.outputs}};
}

std::string source_of(const std::filesystem::path& path) {
  return path.string() + ": " + kDescriptionFile;
}

}  // namespace

const ExportSignature& ExportDescription::signature(const std::string& method_name) const {
  if (method_name == "forward") return *this;
  const auto found = methods.find(method_name);
  if (found != methods.end()) return found->second;
  std::string known;
  for (const auto& name : method_names()) known += (known.empty() ? "" : ", ") + printable(name);
  throw UsageError("export",
                   printable(class_name),
                   "one of the file's methods " + known,
                   quote(method_name),
                   "vizoo export writes those that the class has");
}

std::vector<std::string> ExportDescription::method_names() const {
  std::vector<std::string> names{"forward"};
  for (const auto& [name, signature] : methods) names.push_back(name);
  return names;
}

Json to_json(const ExportDescription& description) {
  Json json = {{"format", kExportVersion},
               {"class_name", description.class_name},
               {"model_type", description.model_type},
               {"vizoo_version", description.vizoo_version},
               {"libtorch_version", description.libtorch_version},
               {"op_library", kOpLibrary},
               {"ops", description.ops},
               {"method", description.method},
               {"output_format", enum_name(description.format)}};
  json.update(signature_json(description));
  auto methods = Json::object();
  for (const auto& [name, signature] : description.methods) {
    methods[name] = signature_json(signature);
  }
  json["methods"] = methods;
  return json;
}

ExportDescription export_description_from_json(const Json& json, const std::string& source) {
  if (!json.is_object()) {
    throw CheckpointError("export", printable(source), "a JSON object", describe_json(json));
  }
  const auto version = member(json, "format", Json::value_t::number_integer, source).get<int64_t>();
  if (version != kExportVersion) {
    throw CheckpointError("export",
                          printable(source) + ": /format",
                          std::to_string(kExportVersion),
                          std::to_string(version),
                          "It was written by another version of vizoo");
  }
  ExportDescription description;
  static_cast<ExportSignature&>(description) = signature_from_json(json, source);
  description.class_name = text(json, "class_name", source);
  description.model_type = text(json, "model_type", source);
  description.vizoo_version = text(json, "vizoo_version", source);
  description.libtorch_version = text(json, "libtorch_version", source);
  description.ops = texts(json, "ops", source);
  description.method = text(json, "method", source);
  const auto format = enum_value<ExportFormat>(text(json, "output_format", source));
  if (!format) {
    throw CheckpointError("export",
                          printable(source) + ": /output_format",
                          "tuple or dict",
                          quote(text(json, "output_format", source)));
  }
  description.format = *format;
  if (!json.contains("methods")) return description;
  for (const auto& [name, method] :
       member(json, "methods", Json::value_t::object, source).items()) {
    const auto place = source + ": /methods/" + name;
    if (!method.is_object()) {
      throw CheckpointError("export", printable(place), "an object", describe_json(method));
    }
    description.methods[name] = signature_from_json(method, place);
  }
  return description;
}

bool is_exported_model(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

std::map<std::string, std::string> read_export_files(const std::filesystem::path& path) {
  const auto archive = ZipArchive::open(path, ZipCompression::leave_out);
  const auto folder = std::string(archive.top_folder()) + "/extra/";
  std::map<std::string, std::string> files;
  for (const auto& entry : archive.entries()) {
    if (entry.name.substr(0, folder.size()) != folder) continue;
    const std::string name(entry.name.substr(folder.size()));
    if (name == kDescriptionFile) continue;
    if (entry.bytes.size() > kMaxExtraFile) {
      throw CheckpointError("export",
                            printable(path.string()) + ": " + printable(name),
                            "at most " + std::to_string(kMaxExtraFile) + " bytes",
                            std::to_string(entry.bytes.size()));
    }
    // Names are those of files in a checkpoint's folder, whatever an archive says.
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
      throw CheckpointError(
          "export", printable(path.string()), "extra files without folders", quote(name));
    }
    files.emplace(name, entry.bytes);
  }
  return files;
}

ExportDescription read_export_description(const std::filesystem::path& path) {
  const auto archive = ZipArchive::open(path, ZipCompression::leave_out);
  const auto top = std::string(archive.top_folder());
  const auto found = archive.find(top + "/extra/" + kDescriptionFile);
  if (!found || !archive.find(top + "/constants.pkl") || found->size() > kMaxExtraFile) {
    throw CheckpointError("export",
                          printable(path.string()),
                          "a TorchScript file that vizoo export made",
                          "another archive",
                          kHint);
  }
  return export_description_from_json(parse_json(*found, source_of(path)), source_of(path));
}

void check_export_ops(const ExportDescription& description, const std::string& source) {
  ops::init();
  for (const auto& op : description.ops) {
    if (c10::Dispatcher::singleton().findSchema({op, ""})) continue;
    throw CheckpointError("export",
                          printable(source),
                          "the op " + printable(op) + " of " + kOpLibrary + " " +
                              printable(description.vizoo_version),
                          ops::build_info());
  }
}

}  // namespace vizoo
