#include "vizoo/core/backbone_config.h"

#include <algorithm>
#include <set>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

std::string list(const std::vector<std::string>& names) {
  std::string text = "[";
  for (const auto& name : names) text += (text.size() > 1 ? ", " : "") + quote(name);
  return text + "]";
}

std::string list(const std::vector<int64_t>& numbers) {
  std::string text = "[";
  for (const auto number : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(number);
  return text + "]";
}

void check_features(const std::vector<std::string>& features,
                    const std::vector<std::string>& stages) {
  std::set<std::string> chosen;
  for (const auto& name : features) {
    if (std::find(stages.begin(), stages.end(), name) == stages.end()) {
      throw ConfigError(
          "config", "/out_features", "a subset of the stages " + list(stages), list(features));
    }
    if (!chosen.insert(name).second) {
      throw ConfigError("config", "/out_features", "no duplicates", list(features));
    }
  }
  std::vector<std::string> sorted;
  for (const auto& name : stages) {
    if (chosen.count(name) != 0) sorted.push_back(name);
  }
  if (sorted != features) {
    throw ConfigError(
        "config", "/out_features", "the order of the stages, " + list(sorted), list(features));
  }
}

void check_indices(const std::vector<int64_t>& indices, const std::vector<std::string>& stages) {
  const auto count = static_cast<int64_t>(stages.size());
  std::vector<std::pair<int64_t, int64_t>> positive;  // position, as given
  for (const auto index : indices) {
    if (index >= count || index < -count) {
      throw ConfigError("config",
                        "/out_indices",
                        "indices of the stages " + list(stages) + ", from " +
                            std::to_string(-count) + " to " + std::to_string(count - 1),
                        list(indices));
    }
    positive.emplace_back(index < 0 ? index + count : index, index);
  }
  auto sorted = positive;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].first == sorted[i - 1].first) {
      throw ConfigError("config", "/out_indices", "no duplicates", list(indices));
    }
  }
  if (sorted != positive) {
    std::vector<int64_t> expected;
    for (const auto& entry : sorted) expected.push_back(entry.second);
    throw ConfigError(
        "config", "/out_indices", "the order of the stages, " + list(expected), list(indices));
  }
}

}  // namespace

void BackboneConfig::align_output_stages(int64_t stage_count) {
  stage_names = {"stem"};
  for (int64_t i = 1; i <= stage_count; ++i) stage_names.push_back("stage" + std::to_string(i));
  const auto count = static_cast<int64_t>(stage_names.size());
  const auto name_of = [&](int64_t index) {
    return stage_names[static_cast<std::size_t>(index < 0 ? index + count : index)];
  };
  if (out_features) check_features(*out_features, stage_names);
  if (out_indices) check_indices(*out_indices, stage_names);

  if (!out_features && !out_indices) {
    out_features = {stage_names.back()};
    out_indices = {count - 1};
  } else if (!out_indices) {
    out_indices.emplace();
    for (const auto& name : *out_features) {
      out_indices->push_back(std::find(stage_names.begin(), stage_names.end(), name) -
                             stage_names.begin());
    }
  } else if (!out_features) {
    out_features.emplace();
    for (const auto index : *out_indices) out_features->push_back(name_of(index));
  }

  if (out_features->size() != out_indices->size()) {
    throw ConfigError(
        "config",
        "/out_features",
        "as many names as /out_indices has indices, " + std::to_string(out_indices->size()),
        std::to_string(out_features->size()));
  }
  for (std::size_t i = 0; i < out_features->size(); ++i) {
    if ((*out_features)[i] == name_of((*out_indices)[i])) continue;
    throw ConfigError("config",
                      "/out_features",
                      "the same stages as /out_indices " + list(*out_indices),
                      list(*out_features));
  }
}

void BackboneConfig::set_out_features(std::optional<std::vector<std::string>> features) {
  out_features = std::move(features);
  out_indices.reset();
  align_output_stages(static_cast<int64_t>(stage_names.size()) - 1);
}

void BackboneConfig::set_out_indices(std::optional<std::vector<int64_t>> indices) {
  out_indices = std::move(indices);
  out_features.reset();
  align_output_stages(static_cast<int64_t>(stage_names.size()) - 1);
}

}  // namespace vizoo
