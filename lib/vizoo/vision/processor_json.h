#pragma once

#include <map>
#include <string>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/io/config_json.h"
#include "vizoo/io/json.h"
#include "vizoo/vision/resample.h"

namespace vizoo::detail {

/// Runs `body` and rewords the `[config]` of its ConfigErrors to `[processor]`.
template <class Body>
auto as_processor_error(const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const ConfigError& error) {
    const std::string message = error.what();
    const std::string prefix = "[config]";
    if (message.compare(0, prefix.size(), prefix) != 0) throw;
    throw ConfigError("[processor]" + message.substr(prefix.size()));
  }
}

/// Brings the older forms of a preprocessor_config.json to that of 4.37, in place: `size` and
/// `crop_size` as a number or [height, width] become dicts (a number in `size` stands for a square
/// if `square_sizes`), `image_mean` and `image_std` as a number become a list of one, and null for
/// `size`, `crop_size`, `crop_pct`, `image_mean` or `image_std` means the class default. Drops the
/// class names. Throws ConfigError for a `size` of another form.
void upgrade_processor_json(Json& json, const std::string& source, bool square_sizes);

/// Brings one such `key`, if it is there, to a dict; null stays. Throws ConfigError.
void upgrade_size(Json& json, const std::string& key, const std::string& source, bool square);

/// `attributes` with the values of `loaded` where both say the same.
Json restore_forms(Json attributes, const Json& loaded);

/// `attributes` without those of `names` that are null and were not in the file: a class writes
/// what it has, and these have come with later ones.
Json without_absent(Json attributes,
                    const std::string& loaded_json,
                    const std::vector<std::string>& names);

/// Names of the fields of a config.
template <class Config>
std::vector<std::string> field_names() {
  std::vector<std::string> names;
  const Config config;
  Config::fields(config, [&](const char* key, const auto&) { names.emplace_back(key); });
  return names;
}

/// Parses a processor's attributes: upgrade, then the fields of `Config`.
template <class Config>
Config processor_config_from_json(Json json, const std::string& source, bool square_sizes) {
  return as_processor_error([&] {
    upgrade_processor_json(json, source, square_sizes);
    for (const std::string& name : field_names<Config>()) {
      // Of a class that does not have it, it is written back as it was read.
      if (name == "pad_size") upgrade_size(json, name, source, /*square=*/true);
    }
    return config_from_json<Config>(json, source);
  });
}

/// The filter of an integer of the JSON file. Throws ConfigError.
Resample resample_from_integer(int64_t value, const std::string& subject);

/// `a, b, c`.
std::string join_names(std::vector<std::string> names);

}  // namespace vizoo::detail
