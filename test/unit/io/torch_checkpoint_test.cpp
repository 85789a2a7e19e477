#include "vizoo/io/torch_checkpoint.h"

#include <cstring>
#include <numeric>

#include "memory_meter.h"
#include "support/catch.h"
#include "support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/pickle_reader.h"
#include "vizoo/io/zip_archive.h"

namespace vizoo::test {
namespace {

const std::filesystem::path kCorpus = "test/fuzz/corpus/torch_checkpoint";
constexpr std::size_t kLimit = 1U << 20U;

// A file of the corpus; its storage holds the bytes 0 to 23, or 24 zeros.
struct CorpusFile {
  explicit CorpusFile(const std::string& name)
      : bytes(read_file(kCorpus / name, kLimit)), state(parse_torch_checkpoint(bytes, "m.bin")) {}

  const StridedTensorView& tensor(std::string_view name = "weight") const {
    for (const auto& view : state.tensors) {
      if (view.name == name) return view;
    }
    throw std::out_of_range("no such tensor");
  }

  std::vector<int> values(std::string_view name = "weight") const {
    const auto& view = tensor(name);
    std::vector<unsigned char> copy(view.bytes);
    copy_elements(view, copy.data());
    return {copy.begin(), copy.end()};
  }

  std::string bytes;
  TorchState state;
};

// first, first + 1, ...
std::vector<int> counted(int first, std::size_t count) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

std::vector<int> joined(const std::vector<std::vector<int>>& parts) {
  std::vector<int> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }

std::string repeat(const std::string& text, std::size_t count) {
  std::string all;
  all.reserve(text.size() * count);
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string text(const std::string& value) {
  std::string bytes = "X....";
  const auto size = static_cast<uint32_t>(value.size());
  std::memcpy(bytes.data() + 1, &size, sizeof(size));
  return bytes + value;
}

}  // namespace

TEST_CASE("tensors of torch.save are views into the file", "[torch_checkpoint]") {
  const CorpusFile file("good_plain");
  REQUIRE(file.state.tensors.size() == 1);
  const auto& view = file.tensor();
  CHECK(view.dtype == SafetensorsDtype::F32);
  CHECK(view.shape == std::vector<int64_t>{2, 3});
  CHECK(view.strides == std::vector<int64_t>{3, 1});
  CHECK(view.bytes == 24);
  CHECK(view.extent == 24);
  CHECK(view.is_contiguous());
  CHECK(view.data > reinterpret_cast<const std::byte*>(file.bytes.data()));
  CHECK(view.data < reinterpret_cast<const std::byte*>(file.bytes.data() + file.bytes.size()));
  CHECK(file.values() == counted(0, 24));
}

TEST_CASE("views with strides and offsets are put in C order", "[torch_checkpoint]") {
  const CorpusFile transposed("good_transposed");
  CHECK_FALSE(transposed.tensor().is_contiguous());
  CHECK(transposed.values() == joined({counted(0, 4),
                                       counted(12, 4),
                                       counted(4, 4),
                                       counted(16, 4),
                                       counted(8, 4),
                                       counted(20, 4)}));
  const CorpusFile expanded("good_expanded");
  CHECK(expanded.values() ==
        joined({counted(0, 12), counted(0, 12), counted(0, 12), counted(0, 12)}));
  CHECK(expanded.tensor().extent == 12);
  CHECK(expanded.tensor().bytes == 48);
  const CorpusFile shared("good_shared_storage");
  CHECK(shared.values("a") == counted(0, 12));
  CHECK(shared.values("b") == counted(12, 12));
  CHECK(shared.tensor("b").is_contiguous());
  const CorpusFile scalar("good_scalar");
  CHECK(scalar.tensor().shape.empty());
  CHECK(scalar.values() == counted(20, 4));
  const CorpusFile row("good_any_stride_of_one");
  CHECK(row.tensor().is_contiguous());
  CHECK(row.values() == counted(0, 24));
  const CorpusFile none("good_no_elements");
  CHECK(none.tensor().shape == std::vector<int64_t>{0, 7});
  CHECK(none.values().empty());
  const CorpusFile tied("good_tied");
  CHECK(tied.values("tied") == tied.values("weight"));
}

TEST_CASE("elements of any rank and any strides are copied in C order", "[torch_checkpoint]") {
  // Against the plain sum of indices times strides.
  std::vector<uint16_t> storage(4096);
  std::iota(storage.begin(), storage.end(), uint16_t{0});
  const std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> cases = {
      {{2, 3, 4}, {12, 4, 1}},
      {{2, 3, 4}, {1, 2, 6}},
      {{4, 1, 3, 2}, {0, 99, 2, 1}},
      {{3, 5}, {7, 2}},
      {{2, 2, 2, 2, 2}, {5, 1, 9, 40, 3}},
      {{1, 1}, {77, 5}},
      {{6}, {11}},
      {{3, 4, 1}, {4, 1, 1000}},
  };
  for (const auto& [shape, strides] : cases) {
    StridedTensorView view;
    view.dtype = SafetensorsDtype::BF16;
    view.shape = shape;
    view.strides = strides;
    view.data = reinterpret_cast<const std::byte*>(storage.data());
    std::vector<uint16_t> expected = {0};
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      std::vector<uint16_t> next;
      for (const auto base : expected) {
        for (int64_t i = 0; i < shape[axis]; ++i) {
          next.push_back(static_cast<uint16_t>(base + i * strides[axis]));
        }
      }
      expected = next;
    }
    view.bytes = expected.size() * 2;
    std::vector<uint16_t> copy(expected.size());
    copy_elements(view, copy.data());
    CHECK(copy == expected);
  }
}

TEST_CASE("dtypes that have no storage class of their own are read", "[torch_checkpoint]") {
  const CorpusFile file("good_uint16");
  CHECK(file.tensor().dtype == SafetensorsDtype::U16);
  CHECK(file.tensor().shape == std::vector<int64_t>{12});
  CHECK(file.values() == counted(0, 24));
}

TEST_CASE("pickles that try to fill the memory are refused", "[torch_checkpoint]") {
  // Each is as long as may be, and makes as many values of one kind as it has room for.
  const std::string key = text("a");
  const std::vector<std::pair<std::string, std::string>> bombs = {
      {"values", "(" + repeat("N", kMaxPickleBytes - 10)},
      {"marks", repeat("(", kMaxPickleBytes - 10)},
      {"dicts", "(" + repeat("}", kMaxPickleBytes - 10)},
      {"tuples in tuples", ")" + repeat("\x85", kMaxPickleBytes - 10)},
      {"one tuple", "(" + repeat("N", 1'400'000) + "t"},
      {"tuple after tuple", "(" + repeat("NNN\x87", 2'000'000)},
      {"items of one dict", "}(" + repeat("NN", 4'000'000) + "u"},
      {"a dict in a dict", "}" + repeat("}NNs", 1'000) + repeat("N}s", 2'000'000)},
      {"globals", "(" + repeat("ctorch\nSize\n", 1'000'000)},
      {"memo", "Nq" + std::string(1, '\0') + repeat("h" + std::string(1, '\0'), 4'000'000)},
      {"lists", "(" + repeat("]N", 4'000'000)},
      {"what lists drop", "]" + repeat("Na", 8'000'000)},
      {"text", repeat(text(std::string(1'000, 'a')), 10'000)},
  };
  for (const auto& [name, body] : bombs) {
    INFO("bomb: " << name);
    const std::string bytes = pickle(body);
    const MemoryMeter meter;
    CHECK_THROWS_AS(read_pickled_state(bytes, "m.bin"), CheckpointError);
    if (MemoryMeter::measures()) CHECK(meter.peak_bytes() < std::size_t{64} << 20U);
  }
  CHECK_THROWS_WITH(read_pickled_state(std::string(kMaxPickleBytes + 1, 'N'), "m.bin"),
                    "[checkpoint] m.bin: data.pkl: expected at most 16777216 bytes, got 16777217.");
}

TEST_CASE("a pickle of as many tensors as there may be stays small", "[torch_checkpoint]") {
  const std::string nul(1, '\0');
  const std::string storage =
      "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K\x01tQ";
  const auto state_of = [&](std::size_t count) {
    // The arguments are remembered: seven bytes and a name make a tensor.
    std::string body = "}(" + text("first") + "ctorch._utils\n_rebuild_tensor_v2\nq" + nul + "(" +
                       storage + "K" + nul + "K\x01\x85K\x01\x85\x89" +
                       "ccollections\nOrderedDict\n)Rtq\x01R";
    for (std::size_t i = 1; i < count; ++i) {
      body += text(std::to_string(i)) + "h" + nul + "h\x01R";
    }
    return pickle(body + "u");
  };
  const std::string most = state_of(100'000);
  const MemoryMeter meter;
  const PickledState state = read_pickled_state(most, "m.bin");
  CHECK(state.tensors.size() == 100'000);
  if (MemoryMeter::measures()) CHECK(meter.peak_bytes() < std::size_t{64} << 20U);
  CHECK_THROWS_AS(read_pickled_state(state_of(100'001), "m.bin"), CheckpointError);
}

TEST_CASE("the entries of an archive are found by name", "[zip_archive]") {
  const ZipArchive archive = ZipArchive::open(kCorpus / "good_byteorder");
  CHECK(archive.top_folder() == "archive");
  REQUIRE(archive.entries().size() == 4);
  CHECK(archive.entries().front().name == "archive/byteorder");
  CHECK(archive.find("archive/byteorder") == std::string_view("little"));
  CHECK(archive.find("archive/data/0")->size() == 24);
  CHECK(archive.find("archive/version") == std::string_view("3\n"));
  CHECK_FALSE(archive.find("version"));
  CHECK_FALSE(archive.find(""));
  CHECK(archive.path() == kCorpus / "good_byteorder");
  const ZipArchive empty = ZipArchive::open(kCorpus / "no_entries");
  CHECK(empty.entries().empty());
  CHECK(empty.top_folder().empty());
  const ZipArchive scattered = ZipArchive::open(kCorpus / "no_common_folder");
  CHECK(scattered.entries().size() == 2);
  CHECK(scattered.top_folder().empty());
  const ZipArchive program = ZipArchive::open(kCorpus / "torchscript");
  CHECK(program.find("model/constants.pkl").has_value());
  const auto code = kCorpus / "torchscript_compressed";
  const ZipArchive without = ZipArchive::open(code, ZipCompression::leave_out);
  CHECK(without.entries().size() == 2);
  CHECK(without.find("model/data.pkl").has_value());
  CHECK_FALSE(without.find("model/code/__torch__.py").has_value());
  CHECK_THROWS_WITH(ZipArchive::open(code),
                    "[checkpoint] test/fuzz/corpus/torch_checkpoint/torchscript_compressed: zip "
                    "archive: entry \"model/code/__torch__.py\": expected stored bytes, got "
                    "compression method 8.");
  CHECK_THROWS_AS(ZipArchive::open(kCorpus / "nothing-of-this-name"), CheckpointError);
}

TEST_CASE("shards of torch.save are opened by their index", "[torch_checkpoint]") {
  const TemporaryFolder folder;
  const auto index = folder / "pytorch_model.bin.index.json";
  const auto copy = [&](const char* from, const char* to) {
    std::filesystem::copy_file(kCorpus / from, folder / to);
  };
  copy("good_plain", "one.bin");
  copy("good_shared_storage", "two.bin");
  copy("good_scalar", "three.bin");
  const auto error = [&](const std::string& map) {
    write_file_atomically(index, R"({"weight_map":{)" + map + "}}");
    std::string message = "accepted";
    try {
      message += ": " + std::to_string(open_torch_shards(index).size());
    } catch (const CheckpointError& problem) {
      message = problem.what();
      const std::string start = "[checkpoint] " + folder.path().string() + "/";
      REQUIRE(message.rfind(start, 0) == 0);
      message.erase(0, start.size());
    }
    return message;
  };
  CHECK(error(R"("weight":"one.bin","a":"two.bin","b":"two.bin")") == "accepted: 2");
  CHECK(error(R"("weight":"one.bin")") == "accepted: 1");
  CHECK(error(R"("weight":"two.bin","a":"two.bin")") ==
        "pytorch_model.bin.index.json: tensor \"weight\": expected it in \"two.bin\", got it in no "
        "shard.");
  CHECK(error(R"("weight":"one.bin","b":"three.bin")") ==
        "pytorch_model.bin.index.json: tensor \"weight\": expected it in one shard, got it in "
        "\"one.bin\" and \"three.bin\".");
  CHECK(error(R"("weight":"../one.bin")") ==
        "pytorch_model.bin.index.json: /weight_map/weight: expected a file name without folders, "
        "got \"../one.bin\".");
  CHECK(error(R"("weight":"four.bin")") ==
        "four.bin: expected a readable file, got \"No such file or directory\".");
}

}  // namespace vizoo::test
