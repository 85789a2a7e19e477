#include "vizoo/training/parameter_groups.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <set>
#include <tuple>

#include "vizoo/core/error.h"
#include "vizoo/training/option_checks.h"

namespace vizoo {
namespace {

constexpr const char* kGroupsWhere = "training";

using Parts = std::vector<std::string>;

// "a.b.0" -> {"a", "b", "0"}
Parts split(const std::string& name) {
  Parts parts(1);
  for (const char character : name) {
    if (character == '.') {
      parts.emplace_back();
    } else {
      parts.back() += character;
    }
  }
  return parts;
}

// Whether `text` matches: * any characters, ? one. Goes back to the last star only, which is enough
// and takes no more than pattern times text.
bool matches(const std::string& pattern, const std::string& text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string::npos;
  std::size_t after_star = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after_star = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string::npos) {
      p = star + 1;
      t = ++after_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string::npos;
}

// Where in a tower's order a parameter stands: block (stage, index), or stem.
struct Place {
  std::string tower;  // the name up to the part that decides
  bool is_stem = false;
  int64_t stage = 0;
  int64_t block = -1;  // -1: what leads to the first block of the stage
};

std::optional<int64_t> number(const Parts& parts, std::size_t index) {
  if (index >= parts.size() || parts[index].empty() || parts[index].size() > 9 ||
      parts[index].find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  return std::stoll(parts[index]);
}

// The parts of a name behind "encoder".
std::optional<Place> place_in_encoder(const Parts& parts, std::size_t first) {
  const auto part = [&](std::size_t offset) {
    return first + offset < parts.size() ? parts[first + offset] : std::string();
  };
  const auto stage = number(parts, first + 1);
  const auto inner = number(parts, first + 3);
  Place place;
  if (part(0) == "stages" || part(0) == "levels") {
    if (!stage) return std::nullopt;
    place.stage = *stage;
    if (part(2) == "layers" && inner) {
      place.block = *inner;
    } else if (part(2) == "downsample") {  // NAT: behind the stage's blocks
      ++place.stage;
    } else if (part(2) != "downsampling_layer") {
      return std::nullopt;
    }
    return place;
  }
  if (part(0) == "block" || part(0) == "patch_embeddings") {  // PoolFormer
    if (!stage) return std::nullopt;
    place.stage = *stage;
    place.is_stem = part(0) == "patch_embeddings" && *stage == 0;
    if (part(0) == "block") place.block = number(parts, first + 2).value_or(-1);
    return place;
  }
  if (part(0) == "cross_attention") {  // Perceiver
    place.block = 0;
    return place;
  }
  if (part(0) == "layer" || part(0) == "layers" || part(0) == "self_attends") {
    if (!stage) return std::nullopt;
    place.stage = part(0) == "self_attends" ? 1 : 0;
    place.block = *stage;
    return place;
  }
  return std::nullopt;
}

// Nothing for what is behind the last block.
std::optional<Place> place_of(const std::string& name) {
  static const std::set<std::string> stems = {
      "embeddings", "patch_embeddings", "input_preprocessor", "pre_layernorm"};
  const auto parts = split(name);
  std::string tower;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    // Perceiver's decoder has positions and towers of its own, behind all blocks.
    if (parts[i] == "decoder") return std::nullopt;
    std::optional<Place> place;
    if (parts[i] == "encoder") {
      place = place_in_encoder(parts, i + 1);
      if (!place) return std::nullopt;
    } else if (stems.count(parts[i]) > 0) {
      place = Place{"", true};
    }
    if (place) {
      place->tower = tower;
      return place;
    }
    tower += parts[i] + ".";
  }
  return std::nullopt;
}

void check_group_options(const ParameterGroupOptions& options) {
  expect_option(options.weight_decay() >= 0 && std::isfinite(options.weight_decay()),
                kGroupsWhere,
                "weight_decay",
                "a number of at least 0",
                options.weight_decay());
  expect_option(options.layer_decay() > 0 && options.layer_decay() <= 1,
                kGroupsWhere,
                "layer_decay",
                "a number above 0, at most 1",
                options.layer_decay());
  for (const auto& entry : options.learning_rate_scales()) {
    expect_option(entry.scale >= 0 && std::isfinite(entry.scale),
                  kGroupsWhere,
                  "learning_rate_scales",
                  "numbers of at least 0",
                  entry.scale);
  }
}

[[noreturn]] void fail_unmatched(const PretrainedModelImpl& model,
                                 const char* subject,
                                 const std::string& pattern) {
  throw UsageError(kGroupsWhere,
                   subject,
                   "patterns of parameter names of " + model.class_name(),
                   quote(pattern),
                   "vizoo inspect lists the names");
}

// Turns requires_grad off for what the options leave out, once all is checked.
void freeze(const PretrainedModelImpl& model, const ParameterGroupOptions& options) {
  const auto parameters = model.named_parameters();
  std::vector<bool> frozen(parameters.size(), false);
  for (const auto& pattern : options.frozen()) {
    bool found = false;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!matches(pattern, parameters[i].key())) continue;
      found = true;
      frozen[i] = true;
    }
    if (!found) fail_unmatched(model, "frozen", pattern);
  }
  bool has_head = false;
  for (std::size_t i = 0; options.linear_probe() && i < parameters.size(); ++i) {
    const bool head = is_head(model, parameters[i].key());
    has_head = has_head || head;
    frozen[i] = frozen[i] || !head;
  }
  if (options.linear_probe() && !has_head) {
    throw UsageError(kGroupsWhere, "linear_probe", "a model with a head", model.class_name());
  }
  bool trains = false;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    trains = trains || (!frozen[i] && parameters[i].value().requires_grad());
  }
  if (!trains) {
    throw UsageError(
        kGroupsWhere, "parameters", "at least one to train", "none of " + model.class_name());
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (frozen[i]) parameters[i].value().requires_grad_(false);
  }
}

// The product of the factors of all patterns that match, for each name.
std::vector<double> learning_rate_scales(const PretrainedModelImpl& model,
                                         const std::vector<std::string>& names,
                                         const std::vector<LearningRateScale>& scales) {
  std::vector<double> factors(names.size(), 1.0);
  for (const auto& entry : scales) {
    bool found = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!matches(entry.pattern, names[i])) continue;
      found = true;
      factors[i] *= entry.scale;
    }
    if (!found) fail_unmatched(model, "learning_rate_scales", entry.pattern);
  }
  return factors;
}

}  // namespace

bool is_decayed(const std::string& name, const torch::Tensor& parameter) {
  static const std::set<std::string> undecayed = {"rpb",
                                                  "attention_biases",
                                                  "position_embeddings",
                                                  "position_embedding",
                                                  "cls_token",
                                                  "mask_token",
                                                  "latents",
                                                  "padding",
                                                  "mask",
                                                  "layer_scale_parameters"};
  if (parameter.dim() <= 1) return false;
  const auto parts = split(name);
  return std::none_of(
      parts.begin(), parts.end(), [](const auto& part) { return undecayed.count(part) > 0; });
}

std::map<std::string, int64_t> distances_from_head(const std::vector<std::string>& names) {
  using Block = std::pair<int64_t, int64_t>;      // stage, block
  std::map<std::string, std::set<Block>> blocks;  // of each tower
  std::vector<std::optional<Place>> places;
  for (const auto& name : names) {
    places.push_back(place_of(name));
    const auto& place = places.back();
    if (place && !place->is_stem && place->block >= 0) {
      blocks[place->tower].emplace(place->stage, place->block);
    }
  }
  std::map<std::string, int64_t> distances;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& place = places[i];
    int64_t distance = 0;
    if (place) {
      const auto& tower = blocks[place->tower];
      const auto first =
          place->is_stem ? tower.begin() : tower.lower_bound({place->stage, place->block});
      distance = std::distance(first, tower.end()) + (place->is_stem ? 1 : 0);
    }
    distances[names[i]] = distance;
  }
  return distances;
}

bool is_head(const PretrainedModelImpl& model, const std::string& name) {
  const auto begins_with = [&](const std::string& prefix) {
    return name.compare(0, prefix.size(), prefix) == 0;
  };
  const auto base = model.base_model_prefix();
  if (!model.named_children().contains(base)) return false;
  return !begins_with(base + ".") || begins_with("perceiver.decoder.") ||
         begins_with("perceiver.output_postprocessor.");
}

std::vector<ParameterGroup> parameter_groups(const PretrainedModelImpl& model,
                                             const ParameterGroupOptions& options) {
  check_group_options(options);
  const auto parameters = model.named_parameters();
  std::vector<std::string> names;
  for (const auto& parameter : parameters) names.push_back(parameter.key());
  const auto factors = learning_rate_scales(model, names, options.learning_rate_scales());
  freeze(model, options);
  const auto distances = distances_from_head(names);

  // By distance from the head, factor, and whether they decay.
  std::map<std::tuple<int64_t, double, bool>, ParameterGroup> groups;
  std::set<const c10::TensorImpl*> seen;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& tensor = parameters[i].value();
    if (!tensor.requires_grad() || !seen.insert(tensor.unsafeGetTensorImpl()).second) continue;
    const bool decayed = is_decayed(names[i], tensor);
    const auto distance = options.layer_decay() == 1.0 ? 0 : distances.at(names[i]);
    auto& group = groups[{distance, factors[i], decayed}];
    group.names.push_back(names[i]);
    group.parameters.push_back(tensor);
    group.learning_rate_scale =
        factors[i] * std::pow(options.layer_decay(), static_cast<double>(distance));
    group.weight_decay = decayed ? options.weight_decay() : 0.0;
  }
  std::vector<ParameterGroup> result;
  for (auto& entry : groups) result.push_back(std::move(entry.second));
  return result;
}

void train_unfrozen(torch::nn::Module& model) {
  model.train();
  const auto modules = model.modules();
  for (const auto& module : modules) {
    const auto parameters = module->parameters();
    const bool frozen =
        !parameters.empty() &&
        std::none_of(parameters.begin(), parameters.end(), [](const auto& parameter) {
          return parameter.requires_grad();
        });
    if (frozen) module->eval();
  }
}

}  // namespace vizoo
