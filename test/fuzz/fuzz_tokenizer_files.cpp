// Any bytes given as one of a tokenizer's files, beside good ones: an Error, or a tokenizer that
// takes texts apart and puts them together again without harm. The first byte chooses the file.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/text/auto_tokenizer.h"
#include "vizoo/text/perceiver_tokenizer.h"

namespace {

constexpr std::array<const char*, 6> kFiles = {"vocab.json",
                                               "merges.txt",
                                               "tokenizer_config.json",
                                               "tokenizer.json",
                                               "special_tokens_map.json",
                                               "added_tokens.json"};
constexpr const char* kVocabulary =
    R"({"!": 0, "a": 1, "b": 2, "!</w>": 3, "a</w>": 4, "b</w>": 5, "ab</w>": 6, "<|endoftext|>": 7})";
constexpr const char* kConfig = R"({"tokenizer_class": "CLIPTokenizer", "pad_token": "!",
    "model_max_length": 16})";
constexpr const char* kModel = R"({"model_type": "owlv2"})";

void require(bool condition) {
  if (!condition) std::abort();
}

// Messages are one printable line of bounded length.
void check_message(const std::string& message) {
  require(message.size() < 4096 && message.find_first_of("\n\r") == std::string::npos);
}

void write(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct Folder {
  Folder() {
    auto pattern = (std::filesystem::temp_directory_path() / "vizoo-fuzz-XXXXXX").string();
    require(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path); }

  void fill(const char* bad_file, std::string_view text) const {
    for (const char* file : kFiles) std::filesystem::remove(path / file);
    write(path / "config.json", kModel);
    write(path / "vocab.json", kVocabulary);
    write(path / "merges.txt", "#version: 0.2\na b</w>\n");
    write(path / "tokenizer_config.json", kConfig);
    // These two are read only if the configuration does not name added tokens.
    write(path / bad_file, text);
  }

  std::filesystem::path path;
};

void use(const vizoo::Tokenizer& tokenizer) {
  for (const char* text : {"", "a ab! B<|endoftext|>", "\xc3\x89\xe4\xb8\xad 1's"}) {
    try {
      vizoo::EncodeOptions options;
      options.return_offsets_mapping = tokenizer.is_fast();
      const auto encoding = tokenizer.encode(text, options);
      require(encoding.rows() == 1);
      for (const auto id : encoding.input_ids[0]) require(id >= 0 && id <= 0xffffffff + 16LL);
      tokenizer.decode(encoding.input_ids[0]);
    } catch (const vizoo::Error& error) {
      check_message(error.what());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static const Folder folder;
  if (size == 0) return 0;
  folder.fill(kFiles[data[0] % kFiles.size()], {reinterpret_cast<const char*>(data) + 1, size - 1});
  const auto try_loading = [](const auto& load) {
    try {
      use(*load());
    } catch (const vizoo::Error& error) {
      check_message(error.what());
    }
  };
  for (const bool use_fast : {true, false}) {
    vizoo::TokenizerLoadOptions options;
    options.use_fast = use_fast;
    try_loading([&] { return vizoo::AutoTokenizer::from_pretrained(folder.path, options); });
  }
  // Whatever class the files name.
  try_loading([&] { return vizoo::PerceiverTokenizer::from_pretrained(folder.path); });
  return 0;
}
