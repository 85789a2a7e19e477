#pragma once

#include <string>
#include <utility>
#include <vector>

#include "vizoo/io/json.h"

namespace vizoo {

/// Rewrites older and newer spellings of a config.json to those that the config structs declare:
/// nulls that mean absence, `num_labels` without label maps, `dtype` for `torch_dtype`, and what
/// single model types need. Throws ConfigError for values that no version wrote.
void upgrade_config(Json& config, const std::string& source);

/// Sets one key of a config as `from_pretrained(..., key=value)` does: `num_labels` makes new label
/// maps if the number changes, `out_features` and `out_indices` replace each other, and a second
/// name
/// (`num_attention_heads` for `num_heads` of NAT and DiNAT) sets what it stands for.
void override_config(Json& config, const std::string& key, Json value);

}  // namespace vizoo
