#include "vizoo/hub/from_pretrained.h"

#include <algorithm>
#include <map>
#include <set>

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/hub/legacy.h"
#include "vizoo/ops/parallel.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxListed = 5;  // names per line of a message

bool key_begins_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

// Joins the first few items; says how many more there are.
std::string join(const std::vector<std::string>& items, const char* separator) {
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kMaxListed); ++i) {
    text += (i == 0 ? "" : separator) + printable(items[i]);
  }
  if (items.size() > kMaxListed) {
    text += separator + std::to_string(items.size() - kMaxListed) + " more";
  }
  return text;
}

// Parameters and buffers by state-dict key. Tensors share their storage with the module.
std::map<std::string, torch::Tensor> state_dict(const torch::nn::Module& model) {
  std::map<std::string, torch::Tensor> state;
  for (const auto& parameter : model.named_parameters()) state[parameter.key()] = parameter.value();
  for (const auto& buffer : model.named_buffers()) state[buffer.key()] = buffer.value();
  return state;
}

// Transformers 4.37.2 renames any key that contains "beta" or, failing that, "gamma".
std::string rename_legacy_key(std::string key) {
  const auto replace_all = [&](const std::string& from, const std::string& to) {
    bool found = false;
    for (auto at = key.find(from); at != std::string::npos; at = key.find(from, at + to.size())) {
      key.replace(at, from.size(), to);
      found = true;
    }
    return found;
  };
  if (!replace_all("beta", "bias")) replace_all("gamma", "weight");
  return key;
}

// Which tensor of the checkpoint goes where, by the prefix rule of `_load_pretrained_model`
// (modeling_utils.py, 4.37.2): a base model's checkpoint loads into a model with a head and back.
class KeyMatch {
 public:
  KeyMatch(const PretrainedModelImpl& model,
           const std::map<std::string, torch::Tensor>& state,
           const Checkpoint& checkpoint) {
    const auto prefix = model.base_model_prefix();
    std::vector<std::pair<std::string, const Checkpoint::Tensor*>> loaded;
    bool has_prefix = false;
    for (const auto& tensor : checkpoint.tensors()) {
      loaded.emplace_back(rename_legacy_key(tensor.name), &tensor);
      has_prefix = has_prefix || key_begins_with(loaded.back().first, prefix);
    }
    const bool expects_prefix = std::any_of(state.begin(), state.end(), [&](const auto& entry) {
      return key_begins_with(entry.first, prefix);
    });

    for (const auto& [key, tensor] : loaded) {
      std::string target = key;
      if (has_prefix && !expects_prefix && key_begins_with(key, prefix + ".")) {
        target = key.substr(prefix.size() + 1);
      } else if (has_prefix && !expects_prefix) {
        target.clear();  // belongs to a head, even if the bare model has a key of that name
      } else if (!has_prefix && expects_prefix) {
        target = prefix + "." + key;
      }
      if (state.count(target) != 0) {
        sources[target] = tensor;
      } else if (!model.is_ignored_key(target)) {
        unexpected.push_back(tensor->name);
      }
    }
  }

  std::map<std::string, const Checkpoint::Tensor*> sources;  // by the model's key
  std::vector<std::string> unexpected;
};

// Shapes of the model against those of the file; all problems in one exception.
void check_tensor_shapes(const std::map<std::string, torch::Tensor>& state,
                         const Checkpoint& checkpoint,
                         bool ignore_mismatched_sizes,
                         KeyMatch& match,
                         LoadReport& report) {
  std::vector<std::string> problems;
  for (auto source = match.sources.begin(); source != match.sources.end();) {
    const auto& tensor = *source->second;
    const auto& expected = state.at(source->first);
    scalar_type(tensor.file, tensor.view);  // throws for what LibTorch cannot hold
    if (expected.sizes() == at::IntArrayRef(tensor.view.shape)) {
      ++source;
      continue;
    }
    problems.push_back(tensor.name + ": expected " + describe_shape(expected.sizes()) + ", got " +
                       describe_shape(tensor.view.shape));
    report.mismatched.push_back({source->first, tensor.view.shape, expected.sizes().vec()});
    source = match.sources.erase(source);
  }
  if (problems.empty() || ignore_mismatched_sizes) return;
  throw CheckpointError(Error::describe(
      "checkpoint",
      printable(checkpoint.path().string()),
      join(problems, "; "),
      "config.json asks for the expected shapes; ignore_mismatched_sizes initialises such tensors "
      "anew"));
}

at::ScalarType chosen_dtype(const LoadOptions& options,
                            const PretrainedConfig& config,
                            const Checkpoint& checkpoint,
                            const std::filesystem::path& folder) {
  if (options.torch_dtype()) return *options.torch_dtype();
  if (config.torch_dtype) {
    static const std::map<std::string, at::ScalarType> kNames = {{"float32", torch::kFloat32},
                                                                 {"float64", torch::kFloat64},
                                                                 {"float16", torch::kFloat16},
                                                                 {"bfloat16", torch::kBFloat16}};
    const auto found = kNames.find(*config.torch_dtype);
    if (found != kNames.end()) return found->second;
    throw ConfigError("config",
                      printable((folder / "config.json").string()) + ": /torch_dtype",
                      "one of float32|float64|float16|bfloat16",
                      quote(*config.torch_dtype));
  }
  for (const auto& tensor : checkpoint.tensors()) {
    const auto type = scalar_type(tensor.file, tensor.view);
    if (at::isFloatingType(type)) return type;
  }
  return torch::kFloat32;
}

// A config can ask for any amount of weights that the file lacks. A new head, or some layers, is
// what people want; many times the checkpoint is a mistake or an attack.
void check_missing_size(const std::map<std::string, torch::Tensor>& state,
                        const Checkpoint& checkpoint,
                        const LoadReport& report) {
  constexpr double kAllowance = 48.0 * 1024 * 1024;
  double loaded = 0;
  for (const auto& tensor : checkpoint.tensors()) loaded += static_cast<double>(tensor.view.bytes);
  double missing = 0;
  const auto add = [&](const std::string& key) {
    missing += static_cast<double>(state.at(key).numel()) * sizeof(float);
  };
  for (const auto& key : report.missing) add(key);
  for (const auto& mismatch : report.mismatched) add(mismatch.name);
  if (missing <= loaded + kAllowance) return;
  const auto mib = [](double bytes) {
    return std::to_string(static_cast<int64_t>(bytes / (1U << 20U)));
  };
  throw CheckpointError("checkpoint",
                        printable(checkpoint.path().string()),
                        "most of the weights that config.json asks for",
                        mib(loaded) + " MiB, and " + mib(missing) + " MiB missing",
                        "config.json may belong to another checkpoint");
}

// Gives memory and fresh values to every module that lacks a tensor in the checkpoint. As upstream,
// a module with a missing tensor in it, at whatever depth, is initialised, after its children;
// loading comes after.
void initialize_missing(const PretrainedModelImpl& model, const LoadReport& report) {
  std::set<std::string> absent(report.missing.begin(), report.missing.end());
  for (const auto& mismatch : report.mismatched) absent.insert(mismatch.name);
  if (absent.empty()) return;
  const auto modules = model.named_modules("", /*include_self=*/true);
  for (auto i = modules.size(); i-- > 0;) {  // children come after their parents
    const auto prefix = modules[i].key().empty() ? "" : modules[i].key() + ".";
    const auto first = absent.lower_bound(prefix);
    if (first == absent.end() || !key_begins_with(*first, prefix)) continue;
    auto& module = *modules[i].value();
    for (auto& parameter : module.named_parameters(/*recurse=*/false)) {
      auto& tensor = parameter.value();
      if (tensor.storage().nbytes() == 0) tensor.set_data(torch::empty(tensor.sizes()));
    }
    model.initialize_module(module);
  }
}

// Copies the tensors, converting floating-point ones, on all threads.
void load_values(const Checkpoint& checkpoint,
                 const KeyMatch& match,
                 std::map<std::string, torch::Tensor>& state,
                 at::ScalarType dtype) {
  std::vector<std::pair<torch::Tensor, const Checkpoint::Tensor*>> work;
  for (const auto& [key, source] : match.sources) work.emplace_back(state.at(key), source);
  ops::parallel_for(static_cast<int64_t>(work.size()), 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    for (int64_t i = begin; i < end; ++i) {
      auto& [target, source] = work[static_cast<std::size_t>(i)];
      auto value = checkpoint.take(*source);
      const auto type = target.is_floating_point() ? dtype : target.scalar_type();
      target.set_data(value.to(type));
    }
  });
}

std::vector<std::string> unknown_overrides(const LoadOptions& options,
                                           const Json& file,
                                           const PretrainedConfig& config) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : options.overrides()) {
    if (config.unknown.count(key) != 0 && !file.contains(key)) unknown.push_back(key);
  }
  return unknown;
}

// What a config struct finds wrong with itself names the field; here the file is known as well.
template <class Function>
auto name_source(const std::string& source, Function&& function) {
  try {
    return function();
  } catch (const ConfigError& error) {
    const std::string where = "[config] ";
    const std::string message = error.what();
    if (!key_begins_with(message, where + "/") ||
        key_begins_with(message, where + printable(source))) {
      throw;
    }
    throw ConfigError(where + printable(source) + ": " + message.substr(where.size()));
  }
}

// A config.json in today's spelling, with overrides applied.
Json apply_options(Json config, const std::string& source, const LoadOptions& options) {
  upgrade_config(config, source);
  for (const auto& [key, text] : options.overrides()) {
    override_config(config, key, parse_json(text, "override " + key));
  }
  return config;
}

std::shared_ptr<PretrainedModelImpl> make_model(const ModelEntry& entry,
                                                const std::filesystem::path& folder,
                                                const LoadOptions& options) {
  const auto source = (folder / "config.json").string();
  auto file = entry.own_config(read_json_file(folder / "config.json"));
  const auto config = name_source(source, [&] { return apply_options(file, source, options); });
  Json arguments;
  detail::read_model_arguments([&] { arguments = parse_json(options.model_args(), "model_args"); });
  auto model =
      name_source(source, [&] { return entry.make_with_arguments(config, source, arguments); });
  if (!options.overrides().empty()) {
    const auto unknown = unknown_overrides(options, file, model->base_config());
    if (!unknown.empty()) {
      throw UsageError("config",
                       "override",
                       "a key of " + entry.class_name + "'s config",
                       quote(unknown.front()));
    }
  }
  return model;
}

}  // namespace

std::vector<std::string> LoadReport::warnings() const {
  std::vector<std::string> lines;
  if (!missing.empty()) {
    lines.push_back("not in the checkpoint and initialised anew: " + join(missing, ", "));
  }
  if (!unexpected.empty()) {
    lines.push_back("in the checkpoint but not in the model, ignored: " + join(unexpected, ", "));
  }
  if (!mismatched.empty()) {
    std::vector<std::string> names;
    for (const auto& mismatch : mismatched) {
      names.push_back(mismatch.name + " " + describe_shape(mismatch.checkpoint) + " -> " +
                      describe_shape(mismatch.model));
    }
    lines.push_back("of another shape and initialised anew: " + join(names, ", "));
  }
  return lines;
}

Json load_config(const std::filesystem::path& folder, const LoadOptions& options) {
  const auto path = folder / "config.json";
  return name_source(path.string(),
                     [&] { return apply_options(read_json_file(path), path.string(), options); });
}

std::shared_ptr<PretrainedModelImpl> load_pretrained(const ModelEntry& entry,
                                                     const std::filesystem::path& folder,
                                                     const LoadOptions& options) {
  std::shared_ptr<PretrainedModelImpl> model;
  {
    const nn::NoInitGuard no_init;
    model = make_model(entry, folder, options);
  }
  const Checkpoint checkpoint(folder, options.variant());

  auto state = state_dict(*model);
  KeyMatch match(*model, state, checkpoint);
  LoadReport report;
  report.unexpected = match.unexpected;
  report.unexpected.insert(
      report.unexpected.end(), checkpoint.ignored().begin(), checkpoint.ignored().end());
  for (const auto& [key, tensor] : state) {
    if (match.sources.count(key) == 0) report.missing.push_back(key);
  }
  check_tensor_shapes(state, checkpoint, options.ignore_mismatched_sizes(), match, report);
  if (match.sources.empty() && report.mismatched.empty()) {
    throw CheckpointError("checkpoint",
                          printable(checkpoint.path().string()),
                          "tensors of " + entry.class_name + ", such as " + state.begin()->first,
                          checkpoint.tensors().empty()
                              ? "no tensors"
                              : "none of them, but " + quote(checkpoint.tensors().front().name));
  }
  check_missing_size(state, checkpoint, report);
  const auto dtype = chosen_dtype(options, model->base_config(), checkpoint, folder);
  initialize_missing(*model, report);
  load_values(checkpoint, match, state, dtype);
  for (auto& [key, tensor] : state) {
    const torch::NoGradGuard no_grad;
    if (tensor.is_floating_point() && tensor.scalar_type() != dtype) {
      tensor.set_data(tensor.to(dtype));  // the freshly initialised ones
    }
  }
  if (!options.device().is_cpu()) model->to(options.device());
  model->eval();
  for (const auto& entry_of_unknown : model->base_config().unknown) {
    report.unknown_config_keys.push_back(entry_of_unknown.first);
  }
  if (options.report() != nullptr) *options.report() = std::move(report);
  return model;
}

std::shared_ptr<PretrainedModelImpl> build_model(const ModelEntry& entry,
                                                 const std::filesystem::path& folder,
                                                 const LoadOptions& options) {
  auto model = make_model(entry, folder, options);
  if (options.torch_dtype()) model->to(*options.torch_dtype());
  if (!options.device().is_cpu()) model->to(options.device());
  return model;
}

}  // namespace vizoo
