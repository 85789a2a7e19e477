#include "vizoo/io/safetensors_index.h"

#include <algorithm>
#include <set>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/json.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxIndexBytes = std::size_t{64} << 20U;

[[noreturn]] void fail(const std::string& source,
                       const std::string& subject,
                       const std::string& expected,
                       const std::string& got) {
  throw CheckpointError("checkpoint", printable(source) + ": " + subject, expected, got);
}

bool is_plain_file_name(std::string_view name) {
  constexpr std::size_t kLongestName = 255;
  if (name.empty() || name.size() > kLongestName || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20;
  });
}

// A tensor of an open shard.
struct Placed {
  std::string_view name;
  std::size_t shard;
};

// The tensors of all shards in the order of their names. Throws if a name occurs twice.
std::vector<Placed> sorted_tensors(const std::vector<ShardTensors>& shards,
                                   const std::string& source) {
  std::vector<Placed> placed;
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    for (const std::string_view name : shards[shard].names) placed.push_back({name, shard});
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return a.name != b.name ? a.name < b.name : a.shard < b.shard;
  });
  const auto twice =
      std::adjacent_find(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
        return a.name == b.name;
      });
  if (twice != placed.end()) {
    const auto file = [&](const Placed& tensor) { return quote(shards[tensor.shard].file); };
    fail(source,
         "tensor " + quote(twice->name),
         "it in one shard",
         "it in " + file(*twice) + " and " + file(*(twice + 1)));
  }
  return placed;
}

bool is_digits(std::string_view text) {
  return text.size() == 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Whether `name` is <base_name>-DDDDD-of-DDDDD.safetensors.
bool is_shard_name(std::string_view name, const std::string& base_name) {
  constexpr std::string_view kSuffix = ".safetensors";
  const std::string prefix = base_name + "-";
  if (name.size() != prefix.size() + 14 + kSuffix.size()) return false;
  if (name.substr(0, prefix.size()) != prefix) return false;
  if (name.substr(prefix.size() + 14) != kSuffix) return false;
  const std::string_view numbers = name.substr(prefix.size(), 14);
  return is_digits(numbers.substr(0, 5)) && numbers.substr(5, 4) == "-of-" &&
         is_digits(numbers.substr(9));
}

// Removes what an earlier save left and a reader would take for a part of this one.
void remove_stale_files(const std::filesystem::path& folder,
                        const std::string& base_name,
                        const std::set<std::filesystem::path>& written) {
  std::error_code error;
  std::vector<std::filesystem::path> stale;
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool ours = name == base_name + ".safetensors" ||
                      name == base_name + ".safetensors.index.json" ||
                      is_shard_name(name, base_name);
    if (ours && written.count(folder / name) == 0) stale.push_back(folder / name);
  }
  for (const auto& path : stale) {
    std::filesystem::remove(path, error);
    if (error) {
      throw_file_error(FileKind::checkpoint,
                       path,
                       "to remove this file of an earlier save",
                       quote(error.message()));
    }
  }
}

std::string shard_name(const std::string& base_name, std::size_t index, std::size_t count) {
  const auto padded = [](std::size_t number) {
    const std::string digits = std::to_string(number);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
  };
  return base_name + "-" + padded(index + 1) + "-of-" + padded(count) + ".safetensors";
}

std::vector<std::vector<TensorToWrite>> deal(const std::vector<TensorToWrite>& tensors,
                                             std::size_t max_shard_bytes) {
  std::vector<std::vector<TensorToWrite>> shards(1);
  std::size_t filled = 0;
  for (const TensorToWrite& tensor : tensors) {
    const std::size_t bytes = tensor_bytes(tensor);
    const bool tips = bytes > max_shard_bytes || filled > max_shard_bytes - bytes;
    if (tips && !shards.back().empty()) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(tensor);
    filled += bytes;
  }
  return shards;
}

// The index file. Refuses what could not be read again, before anything is written.
std::string index_text(const std::filesystem::path& folder,
                       const std::vector<std::vector<TensorToWrite>>& shards,
                       const std::string& base_name) {
  if (shards.size() > kMaxSafetensorsShards) {
    fail(folder.string(),
         "shards",
         "at most " + std::to_string(kMaxSafetensorsShards),
         std::to_string(shards.size()));
  }
  Json weight_map = Json::object();
  uint64_t total_size = 0;
  std::size_t tensors = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(base_name, i, shards.size());
    tensors += shards[i].size();
    for (const TensorToWrite& tensor : shards[i]) {
      if (!weight_map.emplace(tensor.name, name).second) {
        fail(folder.string(), "tensor " + quote(tensor.name), "every name once", "it again");
      }
      total_size += tensor_bytes(tensor);
    }
  }
  if (tensors > kMaxSafetensorsTensors) {
    fail(folder.string(),
         "tensors",
         "at most " + std::to_string(kMaxSafetensorsTensors),
         std::to_string(tensors));
  }
  return dump_json({{"metadata", {{"total_size", total_size}}}, {"weight_map", weight_map}});
}

}  // namespace

std::vector<std::string> SafetensorsIndex::shards() const {
  std::set<std::string> names;
  for (const auto& member : weight_map) names.insert(member.second);
  return {names.begin(), names.end()};
}

SafetensorsIndex parse_safetensors_index(std::string_view text, const std::string& source) {
  Json json = parse_json(text, source, FileKind::checkpoint);
  if (!json.is_object()) {
    throw CheckpointError("checkpoint", printable(source), "an object", describe_json(json));
  }
  const auto map = json.find("weight_map");
  if (map == json.end()) fail(source, "/weight_map", "an object", "nothing");
  if (!map->is_object()) fail(source, "/weight_map", "an object", describe_json(*map));
  SafetensorsIndex index;
  std::set<std::string_view> shards;
  auto& members = map->get_ref<Json::object_t&>();
  while (!members.empty()) {
    // Moved member by member, so that a large map is never in memory twice.
    auto node = members.extract(members.begin());
    const auto path = [&] { return printable("/weight_map" + json_path_step(node.key())); };
    if (!node.mapped().is_string()) {
      fail(source, path(), "a file name", describe_json(node.mapped()));
    }
    auto& file = node.mapped().get_ref<std::string&>();
    if (!is_plain_file_name(file)) {
      fail(source, path(), "a file name without folders", quote(file));
    }
    const auto added = index.weight_map.emplace_hint(
        index.weight_map.end(), std::move(node.key()), std::move(file));
    shards.insert(added->second);
    if (shards.size() > kMaxSafetensorsShards) {
      fail(source,
           "/weight_map",
           "at most " + std::to_string(kMaxSafetensorsShards) + " shards",
           "more");
    }
  }
  if (const auto metadata = json.find("metadata");
      metadata != json.end() && metadata->is_object()) {
    const auto total = metadata->find("total_size");
    if (total != metadata->end() && total->is_number_integer()) {
      index.total_size = total->get<int64_t>();
    }
  }
  return index;
}

SafetensorsIndex read_safetensors_index(const std::filesystem::path& path) {
  return parse_safetensors_index(read_file(path, kMaxIndexBytes), path.string());
}

void check_weight_map(const SafetensorsIndex& index,
                      const std::vector<ShardTensors>& shards,
                      const std::string& source) {
  const std::vector<Placed> placed = sorted_tensors(shards, source);
  for (const auto& [name, shard] : index.weight_map) {
    const auto found = std::lower_bound(
        placed.begin(), placed.end(), name, [](const Placed& tensor, const std::string& wanted) {
          return tensor.name < wanted;
        });
    const bool exists = found != placed.end() && found->name == name;
    const std::string actual = exists ? shards[found->shard].file : "";
    if (actual == shard) continue;
    fail(source,
         "tensor " + quote(name),
         "it in " + quote(shard),
         exists ? "it in " + quote(actual) : "it in no shard");
  }
}

std::vector<SafetensorsFile> open_safetensors_shards(const std::filesystem::path& index_path) {
  const SafetensorsIndex index = read_safetensors_index(index_path);
  const std::string source = index_path.string();
  std::vector<SafetensorsFile> shards;
  std::vector<ShardTensors> names;
  std::size_t tensors = 0;
  std::size_t dimensions = 0;
  std::size_t metadata = 0;
  for (const std::string& name : index.shards()) {
    const auto& shard = shards.emplace_back(SafetensorsFile::open(index_path.parent_path() / name));
    names.push_back({name, {}});
    for (const auto& entry : shard.header().entries) names.back().names.push_back(entry.name);
    tensors += shard.size();
    dimensions += shard.header().dimensions.size();
    metadata += shard.metadata() ? shard.metadata()->size() : 0;
    if (tensors > kMaxSafetensorsTensors || dimensions > kMaxSafetensorsDimensions ||
        metadata > kMaxSafetensorsMetadata) {
      fail(source,
           "shards",
           "at most " + std::to_string(kMaxSafetensorsTensors) + " tensors, " +
               std::to_string(kMaxSafetensorsDimensions) + " dimensions and " +
               std::to_string(kMaxSafetensorsMetadata) + " metadata keys in all of them",
           "more");
    }
  }
  check_weight_map(index, names, source);
  return shards;
}

std::vector<std::filesystem::path> write_safetensors_shards(
    const std::filesystem::path& folder,
    const std::vector<TensorToWrite>& tensors,
    const std::optional<SafetensorsMetadata>& metadata,
    std::size_t max_shard_bytes,
    const std::string& base_name) {
  const std::vector<std::vector<TensorToWrite>> shards = deal(tensors, max_shard_bytes);
  std::vector<std::filesystem::path> written;
  if (shards.size() == 1) {
    written.push_back(folder / (base_name + ".safetensors"));
    write_safetensors(written.back(), tensors, metadata);
    remove_stale_files(folder, base_name, {written.begin(), written.end()});
    return written;
  }
  const std::string index = index_text(folder, shards, base_name);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    written.push_back(folder / shard_name(base_name, i, shards.size()));
    write_safetensors(written.back(), shards[i], metadata);
  }
  written.push_back(folder / (base_name + ".safetensors.index.json"));
  write_file_atomically(written.back(), index);
  remove_stale_files(folder, base_name, {written.begin(), written.end()});
  return written;
}

}  // namespace vizoo
