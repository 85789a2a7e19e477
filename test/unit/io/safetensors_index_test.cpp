#include "vizoo/io/safetensors_index.h"

#include <algorithm>
#include <string>
#include <vector>

#include "hostile_case.h"
#include "support/catch.h"
#include "support/corpus.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

constexpr const char* kIndexName = "model.safetensors.index.json";

std::string index_of(const std::string& weight_map) {
  return "{\"metadata\":{\"total_size\":8},\"weight_map\":" + weight_map + "}";
}

// A file with tensors of 4 bytes each.
void write_shard(const std::filesystem::path& path, const std::vector<std::string>& names) {
  const float value = 2;
  std::vector<TensorToWrite> tensors;
  for (const std::string& name : names) {
    tensors.push_back({name, SafetensorsDtype::F32, {1}, &value});
  }
  write_safetensors(path, tensors, SafetensorsMetadata{{"format", "pt"}});
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST_CASE("an index is read", "[io]") {
  const SafetensorsIndex index = parse_safetensors_index(
      R"({"metadata":{"total_size":12,"x":1},"weight_map":{"b":"2.st","a":"1.st","c":"1.st"},"y":0})",
      "i");
  CHECK(index.total_size == 12);
  CHECK(index.weight_map.at("c") == "1.st");
  CHECK(index.shards() == std::vector<std::string>{"1.st", "2.st"});
  CHECK_FALSE(parse_safetensors_index(R"({"weight_map":{}})", "i").total_size.has_value());
  CHECK_FALSE(parse_safetensors_index(R"({"metadata":{"total_size":"8"},"weight_map":{}})", "i")
                  .total_size);
}

std::string many_shards(std::size_t count) {
  std::string map = "{";
  for (std::size_t i = 0; i < count; ++i) {
    map += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"s" + std::to_string(i) + "\"";
  }
  return map + "}";
}

std::vector<HostileCase> text_cases() {
  const std::string plain = ": /weight_map/a: expected a file name without folders, got ";
  return {
      {"empty", "", ":1:1: expected a value, got the end of the text."},
      {"cut", "{\"weight_map\"", ":1:14: expected \":\", got the end of the text."},
      {"array", "[]", ": expected an object, got an array of 0 values."},
      {"no map", "{\"metadata\":{}}", ": /weight_map: expected an object, got nothing."},
      {"map is an array",
       "{\"weight_map\":[]}",
       ": /weight_map: expected an object, got an array of 0 values."},
      {"map is null", "{\"weight_map\":null}", ": /weight_map: expected an object, got null."},
      {"shard is a number", index_of("{\"a\":1}"), ": /weight_map/a: expected a file name, got 1."},
      {"shard is null",
       index_of("{\"a\":null}"),
       ": /weight_map/a: expected a file name, got null."},
      {"shard is nested",
       index_of("{\"a/b\":{}}"),
       ": /weight_map/a~1b: expected a file name, got an object of 0 members."},
      {"tensor twice",
       index_of("{\"a\":\"1\",\"a\":\"2\"}"),
       ":1:52: /weight_map/a: expected every key once, got \"a\" again."},
      {"empty name", index_of("{\"a\":\"\"}"), plain + "\"\"."},
      {"current folder", index_of("{\"a\":\".\"}"), plain + "\".\"."},
      {"parent folder", index_of("{\"a\":\"..\"}"), plain + "\"..\"."},
      {"escape", index_of("{\"a\":\"../m\"}"), plain + "\"../m\"."},
      {"sub-folder", index_of("{\"a\":\"x/m\"}"), plain + "\"x/m\"."},
      {"absolute", index_of("{\"a\":\"/etc/passwd\"}"), plain + "\"/etc/passwd\"."},
      {"backslash", index_of("{\"a\":\"..\\\\m\"}"), plain + "\"..\\m\"."},
      {"drive", index_of("{\"a\":\"C:m\"}"), plain + "\"C:m\"."},
      {"NUL", index_of("{\"a\":\"m\\u0000.st\"}"), plain + "\"m\\x00.st\"."},
      {"line feed", index_of("{\"a\":\"m\\n\"}"), plain + "\"m\\x0a\"."},
      {"256 bytes",
       index_of("{\"a\":\"" + repeat("n", 256) + "\"}"),
       plain + "\"" + repeat("n", 80) + "...\"."},
      {"1,000,000 bytes",
       index_of("{\"a\":\"" + repeat("n", 1'000'000) + "\"}"),
       plain + "\"" + repeat("n", 80) + "...\"."},
      {"1,000 levels",
       index_of(repeat("[", 1000)),
       ":1:106: expected at most 64 levels of nesting, got more."},
      {"1,001 shards",
       index_of(many_shards(1001)),
       ": /weight_map: expected at most 1000 shards, got more."},
      {"50,000 shards",
       index_of(many_shards(50'000)),
       ": /weight_map: expected at most 1000 shards, got more."},
  };
}

TEST_CASE("hostile index files", "[io]") {
  std::vector<HostileCase> cases = text_cases();
  const TemporaryFolder folder;
  const std::string name = (folder / kIndexName).string();
  for (HostileCase& row : cases) row.message = "[checkpoint] " + name + row.message;
  check_hostile_cases<CheckpointError>(cases, [&](const HostileCase& row) {
    write_bytes(name, row.bytes);
    open_safetensors_shards(name);
  });
}

TEST_CASE("shards that contradict their index", "[io]") {
  const TemporaryFolder folder;
  write_shard(folder / "1.st", {"a", "b"});
  write_shard(folder / "2.st", {"c"});
  write_shard(folder / "2b.st", {"b", "c"});
  write_bytes(folder / "broken.st", "{}");
  std::filesystem::create_directory(folder / "folder.st");
  const std::string name = (folder / kIndexName).string();
  const auto in_folder = [&](const char* file) { return (folder / file).string(); };
  const std::vector<HostileCase> cases = {
      {"missing shard",
       index_of(R"({"a":"no.st"})"),
       "[checkpoint] " + in_folder("no.st") +
           ": expected a readable file, got \"No such file or directory\"."},
      {"broken shard",
       index_of(R"({"a":"broken.st"})"),
       "[checkpoint] " + in_folder("broken.st") +
           ": expected a safetensors file of at least 8 bytes, got 2. The file is damaged or in "
           "another format."},
      {"shard is a folder",
       index_of(R"({"a":"folder.st"})"),
       "[checkpoint] " + in_folder("folder.st") + ": expected a readable file, got a folder."},
      {"tensor in no shard",
       index_of(R"({"a":"1.st","b":"1.st","x":"1.st"})"),
       "[checkpoint] " + name + ": tensor \"x\": expected it in \"1.st\", got it in no shard."},
      {"tensor in the other shard",
       index_of(R"({"a":"2.st","b":"1.st","c":"2.st"})"),
       "[checkpoint] " + name + ": tensor \"a\": expected it in \"2.st\", got it in \"1.st\"."},
      {"tensor in two shards",
       index_of(R"({"a":"1.st","b":"1.st","c":"2b.st"})"),
       "[checkpoint] " + name +
           ": tensor \"b\": expected it in one shard, got it in \"1.st\" and \"2b.st\"."},
  };
  check_hostile_cases<CheckpointError>(cases, [&](const HostileCase& row) {
    write_bytes(name, row.bytes);
    open_safetensors_shards(name);
  });
}

TEST_CASE("all shards together obey the limits of one file", "[io]") {
  const TemporaryFolder folder;
  std::vector<TensorToWrite> tensors(150'000);
  for (const char* shard : {"1.st", "2.st"}) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      tensors[i].name = shard + std::to_string(i);
      tensors[i].shape = {0};
    }
    write_safetensors(folder / shard, tensors, std::nullopt);
  }
  write_bytes(folder / kIndexName, index_of(R"({"1.st0":"1.st","2.st0":"2.st"})"));
  CHECK_THROWS_WITH(open_safetensors_shards(folder / kIndexName),
                    "[checkpoint] " + (folder / kIndexName).string() +
                        ": shards: expected at most 250000 tensors, 2000000 dimensions and 100000 "
                        "metadata keys in all of them, got more.");
}

TEST_CASE("shards may be symbolic links", "[io]") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "blobs");
  std::filesystem::create_directories(folder / "snapshot");
  write_shard(folder / "blobs/0123", {"a"});
  std::filesystem::create_symlink("../blobs/0123", folder / "snapshot/1.st");
  write_bytes(folder / "snapshot/i.json", index_of(R"({"a":"1.st"})"));
  const auto shards = open_safetensors_shards(folder / "snapshot/i.json");
  REQUIRE(shards.size() == 1);
  CHECK(shards[0].at("a").bytes == 4);
}

std::vector<TensorToWrite> five_tensors(const std::vector<float>& values) {
  return {{"z", SafetensorsDtype::F32, {2}, values.data()},    // 8 bytes
          {"b", SafetensorsDtype::F32, {1}, values.data()},    // 4
          {"c", SafetensorsDtype::F32, {1}, values.data()},    // 4
          {"big", SafetensorsDtype::F32, {8}, values.data()},  // 32
          {"e", SafetensorsDtype::F32, {1}, values.data()}};   // 4
}

TEST_CASE("tensors are dealt to shards in the given order", "[io]") {
  const TemporaryFolder folder;
  const std::vector<float> values(8, 3.0F);
  const auto written = write_safetensors_shards(
      folder.path(), five_tensors(values), SafetensorsMetadata{{"format", "pt"}}, 12);
  const std::vector<std::string> names = {"model-00001-of-00004.safetensors",
                                          "model-00002-of-00004.safetensors",
                                          "model-00003-of-00004.safetensors",
                                          "model-00004-of-00004.safetensors",
                                          kIndexName};
  CHECK(names_in(folder.path()) == names);
  REQUIRE(written.size() == 5);
  CHECK(written.back() == folder / kIndexName);
  // As json.dumps(index, indent=2, sort_keys=True) writes it.
  CHECK(read_bytes(folder / kIndexName) == R"({
  "metadata": {
    "total_size": 52
  },
  "weight_map": {
    "b": "model-00001-of-00004.safetensors",
    "big": "model-00003-of-00004.safetensors",
    "c": "model-00002-of-00004.safetensors",
    "e": "model-00004-of-00004.safetensors",
    "z": "model-00001-of-00004.safetensors"
  }
}
)");
  const auto shards = open_safetensors_shards(folder / kIndexName);
  REQUIRE(shards.size() == 4);
  CHECK(shards[2].at("big").bytes == 32);
  CHECK(shards[0].metadata_value("format") == "pt");
}

TEST_CASE("files of an earlier save do not stay", "[io]") {
  const TemporaryFolder folder;
  const std::vector<float> values(8, 3.0F);
  const auto save = [&](std::size_t max_shard_bytes) {
    write_safetensors_shards(folder.path(), five_tensors(values), std::nullopt, max_shard_bytes);
    return names_in(folder.path());
  };
  for (const char* other : {"config.json", "model-1-of-2.safetensors", "other.safetensors"}) {
    write_bytes(folder / other, "x");
  }
  using Names = std::vector<std::string>;
  CHECK(save(1000) ==
        Names{"config.json", "model-1-of-2.safetensors", "model.safetensors", "other.safetensors"});
  CHECK(save(40) == Names{"config.json",
                          "model-00001-of-00002.safetensors",
                          "model-00002-of-00002.safetensors",
                          "model-1-of-2.safetensors",
                          kIndexName,
                          "other.safetensors"});
  CHECK(save(12).size() == 8);
  CHECK(save(1000).size() == 4);
}

TEST_CASE("shards that could not be read again are not written", "[io]") {
  const TemporaryFolder folder;
  const float value = 1;
  const std::vector<TensorToWrite> twice(2, {"a", SafetensorsDtype::F32, {1}, &value});
  const std::string prefix = "[checkpoint] " + folder.path().string() + ": ";
  CHECK_THROWS_WITH(write_safetensors_shards(folder.path(), twice, std::nullopt, 4),
                    prefix + "tensor \"a\": expected every name once, got it again.");
  std::vector<TensorToWrite> many;
  for (int i = 0; i < 1001; ++i) {
    many.push_back({std::to_string(i), SafetensorsDtype::F32, {1}, &value});
  }
  CHECK_THROWS_WITH(write_safetensors_shards(folder.path(), many, std::nullopt, 4),
                    prefix + "shards: expected at most 1000, got 1001.");
  CHECK(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace vizoo::test
