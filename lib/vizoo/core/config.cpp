#include "vizoo/core/config.h"

#include "vizoo/core/error.h"

namespace vizoo {
namespace {
constexpr int64_t kMaxLabels = 50'000;  // of a bare number; a label map in a file may be longer
}  // namespace

void PretrainedConfig::set_num_labels(int64_t count) {
  if (count < 0 || count > kMaxLabels) {
    throw ConfigError("config",
                      "/num_labels",
                      "a count from 0 to " + std::to_string(kMaxLabels),
                      std::to_string(count));
  }
  if (count == num_labels()) return;
  id2label.clear();
  label2id.clear();
  for (int64_t id = 0; id < count; ++id) {
    const std::string label = "LABEL_" + std::to_string(id);
    id2label.emplace(id, label);
    label2id.emplace(label, id);
  }
}

std::string PretrainedConfig::label(int64_t index) const {
  const auto found = id2label.find(index);
  return found == id2label.end() ? "LABEL_" + std::to_string(index) : found->second;
}

}  // namespace vizoo
