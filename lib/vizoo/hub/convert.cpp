#include "vizoo/hub/convert.h"

#include <system_error>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/io/file.h"
#include "vizoo/io/json.h"
#include "vizoo/io/json_scanner.h"
#include "vizoo/io/safetensors_index.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfigBytes = std::size_t{64} << 20U;

[[noreturn]] void refuse_own_input(const fs::path& output) {
  throw UsageError("convert",
                   "output",
                   "another place than the input",
                   quote(output.string()),
                   "The input is never replaced");
}

// Where a path leads, symbolic links resolved as far as it exists.
fs::path resolved(const fs::path& path) {
  std::error_code error;
  auto result = fs::weakly_canonical(fs::absolute(path, error), error);
  return error ? path : result;
}

bool is_directory_of_model(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

void check_output(const Checkpoint& checkpoint, const fs::path& output, bool output_is_folder) {
  const fs::path target = resolved(output);
  const auto overwrites = [&](const fs::path& input) {
    const fs::path file = resolved(input);
    return (output_is_folder ? file.parent_path() : file) == target;
  };
  if (overwrites(checkpoint.path())) refuse_own_input(output);
  for (const auto& tensor : checkpoint.tensors()) {
    if (overwrites(tensor.file)) refuse_own_input(output);
  }
}

class Converter {
 public:
  Converter(const Checkpoint& checkpoint, const ConvertOptions& options)
      : checkpoint_(checkpoint), options_(options) {}

  // The tensors in the order of their names; each is read when it is written.
  std::vector<TensorToWrite> tensors(ConvertReport& report) {
    std::vector<TensorToWrite> result;
    for (const auto& tensor : checkpoint_.tensors()) {
      TensorToWrite output;
      output.name = tensor.name;
      output.dtype = target_dtype(tensor);
      output.shape = tensor.view.shape;
      output.produce = [this, &tensor](FileWriter& writer) { write(tensor, writer); };
      report.converted += output.dtype != tensor.view.dtype ? 1 : 0;
      report.bytes += tensor_bytes(output);
      result.push_back(std::move(output));
    }
    report.tensors = result.size();
    report.ignored = checkpoint_.ignored();
    return result;
  }

 private:
  SafetensorsDtype target_dtype(const Checkpoint::Tensor& tensor) const {
    const auto type = scalar_type(tensor.view.dtype);
    if (!options_.dtype() || !type || !at::isFloatingType(*type)) return tensor.view.dtype;
    return *safetensors_dtype(*options_.dtype());
  }

  void write(const Checkpoint::Tensor& tensor, FileWriter& writer) {
    const bool same_dtype = target_dtype(tensor) == tensor.view.dtype;
    if (same_dtype && tensor.view.data != nullptr) {
      writer.write(tensor.view.data, tensor.view.bytes);
      checkpoint_.release(tensor);
    } else {
      auto values = checkpoint_.take(tensor);
      if (!same_dtype) values = values.to(*options_.dtype());
      writer.write(values.data_ptr(), values.nbytes());
    }
    ++done_;
    if (options_.progress()) options_.progress()(done_, checkpoint_.tensors().size());
  }

  const Checkpoint& checkpoint_;
  const ConvertOptions& options_;
  std::size_t done_ = 0;
};

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && is_directory_of_model(folder)) return;
  throw CheckpointError("checkpoint",
                        printable(folder.string()),
                        "a folder that can be written",
                        error ? quote(error.message()) : "a file");
}

void copy_file(const fs::path& from, const fs::path& to, ConvertReport& report) {
  const MappedFile file(from);
  write_file_atomically(to, [&](FileWriter& writer) { writer.write(file.text()); });
  report.files.push_back(to);
}

// Past the end of the string that begins with the quotation mark at `position`.
std::size_t end_of_string(const std::string& text, std::size_t position) {
  for (++position; text[position] != '"'; ++position) {
    if (text[position] == '\\') ++position;
  }
  return position + 1;
}

void write_config(const fs::path& from,
                  const fs::path& to,
                  const ConvertOptions& options,
                  ConvertReport& report) {
  auto text = read_file(from, kMaxConfigBytes, FileKind::config);
  if (options.dtype()) {
    text = with_torch_dtype(text, torch_dtype_name(*options.dtype()), from.string());
  }
  write_file_atomically(to, text, FileKind::config);
  report.files.push_back(to);
}

}  // namespace

const std::vector<std::string>& processor_file_names() {
  static const std::vector<std::string> names = {"generation_config.json",
                                                 "preprocessor_config.json",
                                                 "processor_config.json",
                                                 "video_preprocessor_config.json",
                                                 "tokenizer_config.json",
                                                 "tokenizer.json",
                                                 "special_tokens_map.json",
                                                 "added_tokens.json",
                                                 "vocab.json",
                                                 "merges.txt",
                                                 "vocab.txt",
                                                 "tokenizer.model",
                                                 "spiece.model",
                                                 "sentencepiece.bpe.model",
                                                 "chat_template.json",
                                                 "chat_template.jinja"};
  return names;
}

std::string with_torch_dtype(const std::string& text,
                             const std::string& torch_dtype,
                             const std::string& source) {
  const auto json = parse_json(text, source);  // whatever is wrong with it is found here
  if (!json.is_object()) {
    throw ConfigError("config", printable(source), "a JSON object", describe_json(json));
  }
  const std::string value = '"' + torch_dtype + '"';
  std::string result;
  std::size_t copied = 0;
  bool found = false;
  JsonScanner scanner(text);
  for (auto event = scanner.next(); event != JsonEvent::end; event = scanner.next()) {
    if (event != JsonEvent::key || scanner.depth() != 1) continue;
    const std::string key(scanner.text());
    if (key != "torch_dtype" && key != "dtype") continue;
    event = scanner.next();
    if (event != JsonEvent::string && event != JsonEvent::null) {
      throw ConfigError(
          "config", printable(source) + ": /" + key, "a string or null", describe_json(json[key]));
    }
    const auto begin = scanner.offset();
    result.append(text, copied, begin - copied).append(value);
    copied = event == JsonEvent::null ? begin + 4 : end_of_string(text, begin);
    found = true;
  }
  if (!found) {
    const auto begin = text.find('{') + 1;
    result.append(text, 0, begin).append("\n  \"torch_dtype\": ").append(value);
    result.append(json.empty() ? "\n" : ",");
    copied = begin;
  }
  return result.append(text, copied);
}

ConvertReport convert_checkpoint(const fs::path& input,
                                 const fs::path& output,
                                 const ConvertOptions& options) {
  const SafetensorsMetadata metadata = {{"format", "pt"}};
  ConvertReport report;
  if (!is_directory_of_model(input)) {
    const auto checkpoint = Checkpoint::open_file(input);
    check_output(checkpoint, output, false);
    if (output.extension() != ".safetensors" || is_directory_of_model(output)) {
      throw UsageError("convert",
                       "output",
                       "the name of a file that ends in .safetensors",
                       quote(output.string()),
                       "The input is a single file");
    }
    Converter converter(checkpoint, options);
    write_safetensors(output, converter.tensors(report), metadata);
    report.files.push_back(output);
    return report;
  }
  const Checkpoint checkpoint(input, options.variant());
  check_output(checkpoint, output, true);
  std::error_code error;
  const auto config = input / "config.json";
  const bool has_config = fs::exists(config, error);
  if (has_config && options.dtype()) {
    // Before anything is written.
    with_torch_dtype(read_file(config, kMaxConfigBytes, FileKind::config),
                     torch_dtype_name(*options.dtype()),
                     config.string());
  }
  create_folder(output);
  Converter converter(checkpoint, options);
  report.files = write_safetensors_shards(
      output, converter.tensors(report), metadata, options.max_shard_size());
  for (const auto& name : processor_file_names()) {
    if (fs::exists(input / name, error)) copy_file(input / name, output / name, report);
  }
  if (has_config) write_config(config, output / "config.json", options, report);
  return report;
}

}  // namespace vizoo
