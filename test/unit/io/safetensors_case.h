#pragma once

// Pieces of safetensors files for the corpora of hostile ones.

#include <string>
#include <vector>

#include "hostile_case.h"
#include "support/corpus.h"
#include "vizoo/io/safetensors.h"

namespace vizoo::test {

inline std::string file(const std::string& header, std::size_t data_bytes = 0) {
  return safetensors_bytes(header, data_bytes);
}

inline std::string tensor(const std::string& dtype,
                          const std::string& shape,
                          const std::string& offsets) {
  return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

inline std::string two_tensors(const std::string& first_offsets,
                               const std::string& second_offsets) {
  return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first_offsets +
         R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second_offsets + "}}";
}

inline std::string many_tensors(std::size_t count, std::size_t begin, std::size_t end) {
  std::string header = "{";
  for (std::size_t i = 0; i < count; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[)" +
              std::to_string(end - begin) + R"(],"data_offsets":[)" + std::to_string(begin) + "," +
              std::to_string(end) + "]}";
  }
  return header + "}";
}

inline std::string many_metadata_keys(std::size_t count) {
  std::string header = R"({"__metadata__":{)";
  for (std::size_t i = 0; i < count; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":"")";
  }
  return header + "}}";
}

inline const std::string kGood = tensor("\"F32\"", "[2]", "[0,8]");

/// Opening each file must throw the row's message, which leaves out the file's own path.
inline void check(const std::vector<HostileCase>& cases) {
  const TemporaryFolder folder;
  std::vector<HostileCase> rows = cases;
  for (HostileCase& row : rows) {
    row.message = "[checkpoint] " + (folder / "m.safetensors").string() + ": " + row.message;
  }
  check_hostile_cases<CheckpointError>(rows, [&](const HostileCase& row) {
    write_bytes(folder / "m.safetensors", row.bytes);
    SafetensorsFile::open(folder / "m.safetensors");
  });
}

}  // namespace vizoo::test
