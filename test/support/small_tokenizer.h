#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/json.h"
#include "vizoo/text/auto_tokenizer.h"
#include "vizoo/text/byte_symbols.h"

namespace vizoo::test {

/// A tokenizer's model folder, to be made wrong in one way or another: all bytes (`!` is 0, `!</w>`
/// 256), a few merges (`ab` 512, `abc` 513, `cat</w>` 515, `the</w>` 517, `'s</w>` 518), then
/// <|startoftext|> 519 and <|endoftext|> 520. Padding is `!`, the model takes 16 tokens.
struct SmallTokenizer {
  std::vector<std::string> merges{"a b", "ab c", "c a", "ca t</w>", "t h", "th e</w>", "' s</w>"};
  std::map<std::string, int64_t> vocabulary = make_vocabulary(merges);
  Json config{{"tokenizer_class", "CLIPTokenizer"},
              {"pad_token", "!"},
              {"model_max_length", 16},
              {"added_tokens_decoder",
               {{"0", flags("!", false)},
                {"519", flags("<|startoftext|>", true)},
                {"520", flags("<|endoftext|>", true)}}}};

  static Json flags(const std::string& content, bool normalized, bool special = true) {
    return {{"content", content},
            {"single_word", false},
            {"lstrip", false},
            {"rstrip", false},
            {"normalized", normalized},
            {"special", special}};
  }

  static std::map<std::string, int64_t> make_vocabulary(const std::vector<std::string>& merges) {
    std::map<std::string, int64_t> ids;
    const auto add = [&ids](const std::string& token) {
      ids.emplace(token, static_cast<int64_t>(ids.size()));
    };
    // CLIP's order: bytes that can be printed come first.
    std::vector<std::size_t> order;
    for (const bool itself : {true, false}) {
      for (std::size_t byte = 0; byte < 256; ++byte) {
        const bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        if (printable == itself) order.push_back(byte);
      }
    }
    for (const auto byte : order) add(byte_symbols()[byte]);
    for (const auto byte : order) add(byte_symbols()[byte] + "</w>");
    for (const auto& merge : merges) {
      const auto space = merge.find(' ');
      add(merge.substr(0, space) + merge.substr(space + 1));
    }
    add("<|startoftext|>");
    add("<|endoftext|>");
    return ids;
  }

  static void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  void write(const TemporaryFolder& folder) const {
    write_text(folder / "vocab.json", Json(vocabulary).dump());
    std::string lines = "#version: 0.2\n";
    for (const auto& merge : merges) lines += merge + '\n';
    write_text(folder / "merges.txt", lines);
    write_text(folder / "tokenizer_config.json", config.dump());
  }

  std::unique_ptr<Tokenizer> load(bool use_fast = true) const {
    const TemporaryFolder folder;
    write(folder);
    TokenizerLoadOptions options;
    options.use_fast = use_fast;
    return AutoTokenizer::from_pretrained(folder.path(), options);
  }
};

/// What `call` throws, or "nothing".
template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

/// Ids of a text without special tokens around it.
inline std::vector<int64_t> ids_of(const Tokenizer& tokenizer, const std::string& text) {
  EncodeOptions options;
  options.add_special_tokens = false;
  return tokenizer.encode(text, options).input_ids.at(0);
}

}  // namespace vizoo::test
