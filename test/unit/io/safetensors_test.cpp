#include "vizoo/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "memory_meter.h"
#include "support/catch.h"
#include "support/corpus.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

// safetensors.torch.save of Python's safetensors 0.8.0 for {"w": float32 [1, 2], "b": int64 [3],
// "h": bfloat16 zeros (2, 0), "s": True, 'n"\\\n\x01' + e acute: uint8 [1, 2, 3]}, {"format":
// "pt"}.
const std::string kPythonHeader =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
    R"("w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
    R"("h":{"dtype":"BF16","shape":[2,0],"data_offsets":[16,16]},)"
    "\"n\\\"\\\\\\n\\u0001\xC3\xA9\":"
    R"({"dtype":"U8","shape":[3],"data_offsets":[16,19]},)"
    R"("s":{"dtype":"BOOL","shape":[],"data_offsets":[19,20]}})";
const std::string kPythonFile = std::string("@\1\0\0\0\0\0\0", 8) + kPythonHeader +
                                std::string("\3\0\0\0\0\0\0\0\0\0\x80?\0\0\0@\1\2\3\1", 20);

std::vector<TensorToWrite> to_write(const SafetensorsFile& file) {
  std::vector<TensorToWrite> tensors;
  for (const TensorView& view : file.tensors()) {
    tensors.push_back({std::string(view.name), view.dtype, view.shape, view.data});
  }
  return tensors;
}

TEST_CASE("a file of the reference implementation is read", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "m", kPythonFile);
  const SafetensorsFile file = SafetensorsFile::open(folder / "m");
  CHECK(file.path() == folder / "m");
  CHECK(file.size() == 5);
  REQUIRE(file.metadata().has_value());
  CHECK(*file.metadata() == SafetensorsMetadata{{"format", "pt"}});
  CHECK(file.metadata_value("format") == "pt");
  CHECK_FALSE(file.metadata_value("other").has_value());
  const TensorView w = file.at("w");
  CHECK(w.dtype == SafetensorsDtype::F32);
  CHECK(w.shape == std::vector<int64_t>{2});
  REQUIRE(w.bytes == 8);
  float values[2] = {};
  std::memcpy(values, w.data, w.bytes);
  CHECK(values[0] == 1.0F);
  CHECK(values[1] == 2.0F);
  CHECK(file.at("s").shape.empty());
  CHECK(file.at("h").bytes == 0);
  CHECK(file.at("h").shape == std::vector<int64_t>{2, 0});
  CHECK(file.at("n\"\\\n\x01\xC3\xA9").bytes == 3);
  CHECK_FALSE(file.find("x").has_value());
  CHECK_THROWS_WITH(file.at("x"),
                    "[checkpoint] " + (folder / "m").string() +
                        ": expected a tensor \"x\", got none of that name.");
  const std::vector<TensorView> views = file.tensors();
  CHECK(views[0].name == "b");
  CHECK(views[4].name == "s");
}

TEST_CASE("names stay valid when the file object moves", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "m", kPythonFile);
  std::vector<SafetensorsFile> files;
  files.push_back(SafetensorsFile::open(folder / "m"));
  const TensorView view = files[0].tensor(3);  // its name is an unescaped copy
  for (int i = 0; i < 10; ++i) files.push_back(SafetensorsFile::open(folder / "m"));
  CHECK(view.name == "n\"\\\n\x01\xC3\xA9");
  CHECK(files[0].tensor(3).name.data() == view.name.data());
}

TEST_CASE("a file of the reference implementation is written again byte for byte", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "m", kPythonFile);
  const SafetensorsFile file = SafetensorsFile::open(folder / "m");
  std::vector<TensorToWrite> tensors = to_write(file);
  std::reverse(tensors.begin(), tensors.end());
  write_safetensors(folder / "again", tensors, file.metadata());
  CHECK(read_bytes(folder / "again") == kPythonFile);
}

TEST_CASE("a file may be replaced while it is read", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "m", kPythonFile);
  const SafetensorsFile file = SafetensorsFile::open(folder / "m");
  write_safetensors(folder / "m", to_write(file), file.metadata());
  CHECK(read_bytes(folder / "m") == kPythonFile);
  CHECK(file.at("w").bytes == 8);
}

TEST_CASE("oddities that the format allows", "[io]") {
  const TemporaryFolder folder;
  const auto open = [&](const std::string& header, std::size_t data_bytes) {
    write_bytes(folder / "m", safetensors_bytes(header, data_bytes));
    return SafetensorsFile::open(folder / "m");
  };
  CHECK(open("{}", 0).size() == 0);
  CHECK_FALSE(open("{}", 0).metadata().has_value());
  CHECK(open(" \n{ }\t \r\n", 0).size() == 0);
  CHECK(open(R"({"__metadata__":{}})", 0).metadata() == SafetensorsMetadata{});
  CHECK_FALSE(open(R"({"__metadata__":null})", 0).metadata().has_value());
  CHECK(open(R"({"__metadata__":{"b":"1","a":"2"}})", 0).metadata() ==
        SafetensorsMetadata{{"b", "1"}, {"a", "2"}});
  // Keys in any order, unknown keys, escapes in keys.
  const auto unknown =
      open(R"({"a":{"data_offsets":[0,2],"x":[[1]],"\u0073hape":[2],"y":null,"dtype":"U8"}})", 2);
  CHECK(unknown.at("a").bytes == 2);
  // Tensors in another order than their data.
  const auto shuffled = open(R"({"z":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},)"
                             R"("y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                             6);
  CHECK(shuffled.tensor(0).name == "y");
  CHECK(shuffled.at("z").data == shuffled.at("y").data + 4);
  // Empty tensors anywhere, a name that is empty, a large size beside a 0.
  const auto empty =
      open(R"({"":{"dtype":"F64","shape":[0,4611686018427387904],"data_offsets":[2,2]},)"
           R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
           R"("b":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}})",
           2);
  CHECK(empty.size() == 3);
  CHECK(empty.at("").shape[1] == 4611686018427387904);
}

TEST_CASE("every dtype is listed with its size", "[io]") {
  const std::vector<std::pair<const char*, uint64_t>> names = {
      {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64},
  };
  const TemporaryFolder folder;
  for (const auto& [name, bits] : names) {
    INFO(name);
    const auto dtype = dtype_from_name(name);
    REQUIRE(dtype.has_value());
    CHECK(std::string(dtype_name(*dtype)) == name);
    CHECK(dtype_bits(*dtype) == bits);
    CHECK(dtype_is_loadable(*dtype) == (bits >= 8));
    const std::string bytes = std::to_string(bits / 2);
    write_bytes(folder / "m",
                safetensors_bytes(R"({"a":{"dtype":")" + std::string(name) +
                                      R"(","shape":[2,2],"data_offsets":[0,)" + bytes + "]}}",
                                  bits / 2));
    const SafetensorsFile file = SafetensorsFile::open(folder / "m");
    CHECK(file.at("a").bytes == bits / 2);
  }
  CHECK_FALSE(dtype_from_name("F128").has_value());
}

TEST_CASE("tensors are written in the order of dtype and name", "[io]") {
  const TemporaryFolder folder;
  std::vector<TensorToWrite> tensors;
  const uint64_t zero = 0;
  for (int i = 0; i <= static_cast<int>(SafetensorsDtype::U64); ++i) {
    const auto dtype = static_cast<SafetensorsDtype>(i);
    if (dtype_is_loadable(dtype)) tensors.push_back({dtype_name(dtype), dtype, {1}, &zero});
  }
  tensors.push_back({"A", SafetensorsDtype::U64, {1}, &zero});
  write_safetensors(folder / "m", tensors, std::nullopt);
  std::string order;
  const SafetensorsFile file = SafetensorsFile::open(folder / "m");
  for (const TensorView& view : file.tensors()) order += std::string(view.name) + " ";
  // As the reference implementation 0.8.0 orders them.
  CHECK(order ==
        "A U64 I64 F64 C64 F32 U32 I32 BF16 F16 U16 I16 F8_E5M2FNUZ F8_E4M3FNUZ F8_E8M0 F8_E4M3 "
        "F8_E5M2 I8 U8 BOOL ");
}

TEST_CASE("random files survive being written, read and written again", "[io]") {
  const TemporaryFolder folder;
  CaseRng rng(20);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> data;
    std::vector<TensorToWrite> tensors;
    const uint64_t count = rng.below(8);
    for (uint64_t i = 0; i < count; ++i) {
      TensorToWrite tensor;
      tensor.name = "t" + std::string(1, static_cast<char>(rng.below(128))) + std::to_string(i);
      do {
        tensor.dtype = static_cast<SafetensorsDtype>(rng.below(22));
      } while (!dtype_is_loadable(tensor.dtype));
      for (uint64_t rank = rng.below(4); rank > 0; --rank) {
        tensor.shape.push_back(static_cast<int64_t>(rng.below(5)));
      }
      std::string bytes(tensor_bytes(tensor), '\0');
      for (char& byte : bytes) byte = static_cast<char>(rng.below(256));
      data.push_back(std::move(bytes));
      tensors.push_back(std::move(tensor));
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].data = data[i].data();
    std::optional<SafetensorsMetadata> metadata;
    if (rng.below(2) == 0) metadata = SafetensorsMetadata{{"k\n", "v\""}, {"format", "pt"}};
    write_safetensors(folder / "m", tensors, metadata);
    const SafetensorsFile file = SafetensorsFile::open(folder / "m");
    REQUIRE(file.size() == tensors.size());
    CHECK(file.metadata() == metadata);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const TensorView view = file.at(tensors[i].name);
      CHECK(view.dtype == tensors[i].dtype);
      CHECK(view.shape == tensors[i].shape);
      CHECK(std::string(reinterpret_cast<const char*>(view.data), view.bytes) == data[i]);
    }
    CHECK(file.header().data_begin % 8 == 0);
    write_safetensors(folder / "again", to_write(file), file.metadata());
    CHECK(read_bytes(folder / "again") == read_bytes(folder / "m"));
  }
}

TEST_CASE("tensors can be made when their turn comes", "[io]") {
  const TemporaryFolder folder;
  std::vector<std::string> order;
  const auto produced = [&](const std::string& name, SafetensorsDtype dtype, std::string bytes) {
    TensorToWrite tensor{name, dtype, {2}};
    tensor.produce = [&order, name, bytes = std::move(bytes)](FileWriter& writer) {
      order.push_back(name);
      for (const char c : bytes) writer.write(&c, 1);
    };
    return tensor;
  };
  constexpr auto U8 = SafetensorsDtype::U8;
  constexpr auto U16 = SafetensorsDtype::U16;
  write_safetensors(folder / "m",
                    {produced("b", U8, "yz"), produced("a", U8, "wx"), produced("c", U16, "stuv")},
                    {});
  CHECK(order == std::vector<std::string>{"c", "a", "b"});
  const auto before = read_file(folder / "m", 1U << 20U);
  CHECK(before.substr(before.size() - 8) == "stuvwxyz");
  for (const char* bytes : {"", "y", "xyz"}) {
    CHECK_THROWS_WITH(write_safetensors(folder / "m", {produced("b", U8, bytes)}, {}),
                      "[checkpoint] " + (folder / "m").string() +
                          ": tensor \"b\": expected 2 bytes, got " +
                          std::to_string(std::string(bytes).size()) + ".");
  }
  CHECK(read_file(folder / "m", 1U << 20U) == before);
}

TEST_CASE("what cannot be written is refused before anything is", "[io]") {
  const TemporaryFolder folder;
  const float value = 1;
  const auto message = [&](const std::vector<TensorToWrite>& tensors,
                           const std::optional<SafetensorsMetadata>& metadata = std::nullopt) {
    try {
      write_safetensors(folder / "m", tensors, metadata);
    } catch (const CheckpointError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto named = [&](const std::string& problem) {
    return "[checkpoint] " + (folder / "m").string() + ": " + problem;
  };
  constexpr auto F32 = SafetensorsDtype::F32;
  CHECK(message({{"a", F32, {}, &value}, {"a", F32, {}, &value}}) ==
        named("tensor \"a\": expected every name once, got it again."));
  CHECK(message({{"__metadata__", F32, {}, &value}}) ==
        named("tensor \"__metadata__\": expected another name, got the key of the metadata."));
  CHECK(message({{"\xFF", F32, {}, &value}}) ==
        named("tensor \"\\xff\": expected valid UTF-8, got \"\\xff\"."));
  CHECK(message({{"a", F32, {}, nullptr}}) == named("tensor \"a\": expected data, got none."));
  CHECK(message({{"a", F32, {2, -1}, &value}}) ==
        "[checkpoint] tensor \"a\": expected sizes of at least 0, got -1.");
  CHECK(message({{"a", F32, {int64_t{1} << 62}, &value}}) ==
        "[checkpoint] tensor \"a\": expected a number of bits below 2^64, got more.");
  CHECK(message({{"a", SafetensorsDtype::F4, {3}, &value}}) ==
        "[checkpoint] tensor \"a\": expected a whole number of bytes, got 12 bits.");
  CHECK(message({}, SafetensorsMetadata{{"k", "v"}, {"k", "w"}}) ==
        named("__metadata__: key \"k\": expected every key once, got it again."));
  CHECK(message({}, SafetensorsMetadata{{"k", "\xFF"}}) ==
        named("__metadata__: key \"k\": expected valid UTF-8, got \"\\xff\"."));
  CHECK(message({}, SafetensorsMetadata{{"k", std::string(32U << 20U, 'b')}}) ==
        named("__metadata__: expected at most 33554432 bytes of keys and values, got 33554433."));
  CHECK(message({{std::string(100'000'000, 'a'), F32, {0}, nullptr}}) ==
        named("expected a header of at most 100000000 bytes, got 100000056."));
  CHECK(message(std::vector<TensorToWrite>(250'001)) ==
        named("expected at most 250000 tensors, got 250001."));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("the largest allowed header takes bounded memory", "[io]") {
  std::string header = "{";
  for (std::size_t i = 0; i < kMaxSafetensorsTensors; ++i) {
    header += (i == 0 ? "\"\\n" : ",\"\\n") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[1,1,1,1,1,1,0,1],"data_offsets":[0,0]})";
  }
  const std::string file = safetensors_bytes(header + "}");
  const MemoryMeter meter;
  const SafetensorsHeader parsed = parse_safetensors_header(file, "m");
  CHECK(parsed.entries.size() == kMaxSafetensorsTensors);
  CHECK(parsed.dimensions.size() == kMaxSafetensorsDimensions);
  if (MemoryMeter::measures()) CHECK(meter.peak_bytes() < std::size_t{64} << 20U);
}

}  // namespace
}  // namespace vizoo::test
