#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/io/file.h"

namespace vizoo {

/// A parsed JSON value. Build it by `parse_json`, not by `Json::parse`: the latter keeps the last
/// of two equal keys, has no limit on nesting, and words its errors differently.
using Json = nlohmann::json;

/// Parses one JSON text (RFC 8259), strictly.
///
/// Throws ConfigError with one line, `[config] <source>:<line>:<column>: expected ..., got ....`,
/// for anything that is not JSON, invalid UTF-8, a byte order mark, more than 64 levels of nesting,
/// a key given twice in one object (its JSON path is named), a number beyond the range of a double,
/// and a text whose values would take more than `text.size()` plus 24 MiB of memory.
/// Integers beyond 64 bits become doubles. `kind` chooses another exception than ConfigError.
Json parse_json(std::string_view text, const std::string& source, FileKind kind = FileKind::config);

/// Reads and parses a file. Throws ConfigError as `parse_json` does, and if the file is missing,
/// unreadable or longer than `max_bytes`.
Json read_json_file(const std::filesystem::path& path,
                    std::size_t max_bytes = std::size_t{64} << 20U,
                    FileKind kind = FileKind::config);

/// The text that Python's `json.dumps(value, indent=2, sort_keys=True)` gives, and a newline: what
/// Transformers writes to config.json and preprocessor_config.json.
///
/// Python sorts keys before it turns them into strings, so a dict whose keys are integers comes out
/// in numerical order. JSON cannot tell: name the members whose objects are to be ordered that way
/// in `integer_keyed` (`{"id2label"}`; `integer_keyed_fields` of config_json.h knows them).
/// Throws ConfigError for NaN, infinities, and strings that are not UTF-8.
std::string dump_json(const Json& value, const std::vector<std::string>& integer_keyed = {});

/// A double as Python's `repr` prints it: shortest digits that read back, `1e-06`, `0.1`, `1.0`,
/// `1e+16`.
std::string python_float(double value);

/// A value for an error message: scalars as written (strings quoted and cut), `an array of 3
/// values`, `an object of 2 members`.
std::string describe_json(const Json& value);

/// One step of a JSON path (RFC 6901): `/` and the key, with `~` and `/` of the key escaped.
std::string json_path_step(std::string_view key);

}  // namespace vizoo
