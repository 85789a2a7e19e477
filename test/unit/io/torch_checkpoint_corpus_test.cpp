// Every file of the corpus that test/fuzz/torch_corpus.py makes: what is refused, with the whole
// message, and what is read.
#include <filesystem>
#include <map>
#include <sstream>
#include <string>

#include "hostile_case.h"
#include "vizoo/io/file.h"
#include "vizoo/io/torch_checkpoint.h"

namespace vizoo::test {
namespace {

const std::filesystem::path kCorpus = "test/fuzz/corpus/torch_checkpoint";
constexpr std::size_t kLimit = 1U << 20U;

// By the name of the file: lines such as `memo_hole: data.pkl byte 3: expected ...`.
std::map<std::string, std::string> messages() {
  std::map<std::string, std::string> table;
  std::istringstream lines(read_file("test/fuzz/torch_checkpoint_messages.txt", kLimit));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(": ");
    REQUIRE(colon != std::string::npos);
    table[line.substr(0, colon)] = "[checkpoint] m.bin: " + line.substr(colon + 2);
  }
  return table;
}

std::map<std::string, std::string> corpus() {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    files[entry.path().filename().string()] = read_file(entry.path(), kLimit);
  }
  return files;
}

bool is_good(const std::string& name) { return name.rfind("good_", 0) == 0; }

}  // namespace

TEST_CASE("files that only look like those of torch.save are refused", "[torch_checkpoint]") {
  const auto table = messages();
  std::vector<HostileCase> cases;
  for (const auto& [name, bytes] : corpus()) {
    if (is_good(name)) continue;
    INFO("case: " << name);
    REQUIRE(table.count(name) == 1);
    cases.push_back({name, bytes, table.at(name)});
  }
  REQUIRE(cases.size() == table.size());
  check_hostile_cases<CheckpointError>(
      cases, [](const HostileCase& row) { parse_torch_checkpoint(row.bytes, "m.bin"); });
}

TEST_CASE("files that are unusual but right are read", "[torch_checkpoint]") {
  const std::map<std::string, std::vector<std::string>> ignored = {
      {"good_nested", {"epoch"}},
      {"good_nested_other", {"optimizer"}},
      {"good_usual_wins", {"model_ema"}},
      {"good_laughs_ignored", {"laughs"}},
      {"good_self", {"self"}},
      {"good_other_values",
       {"epoch",
        "none",
        "flag",
        "rate",
        "large",
        "negative",
        "list",
        "size",
        "device",
        "dtype",
        "dict"}}};
  std::size_t count = 0;
  for (const auto& [name, bytes] : corpus()) {
    if (!is_good(name)) continue;
    INFO("case: " << name);
    ++count;
    const TorchState state = parse_torch_checkpoint(bytes, "m.bin");
    CHECK(state.tensors.empty() == (name == "good_empty"));
    const auto expected = ignored.find(name);
    CHECK(state.ignored ==
          (expected == ignored.end() ? std::vector<std::string>() : expected->second));
  }
  CHECK(count == 23);
}

TEST_CASE("a file cut anywhere is refused", "[torch_checkpoint]") {
  const std::string whole = read_file(kCorpus / "good_other_values", kLimit);
  REQUIRE_NOTHROW(parse_torch_checkpoint(whole, "m.bin"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO("bytes: " << size);
    CHECK_THROWS_AS(parse_torch_checkpoint(whole.substr(0, size), "m.bin"), CheckpointError);
  }
}

TEST_CASE("a file with one changed byte is read or refused", "[torch_checkpoint]") {
  const std::string whole = read_file(kCorpus / "good_ordered", kLimit);
  std::size_t refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ change);
      try {
        const TorchState state = parse_torch_checkpoint(changed, "m.bin");
        CHECK(state.tensors.size() <= 1);
      } catch (const CheckpointError& error) {
        CHECK(std::string(error.what()).find('\n') == std::string::npos);
        ++refused;
      }
    }
  }
  CHECK(refused > whole.size());
}

}  // namespace vizoo::test
