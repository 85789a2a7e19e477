// Any bytes given as a text, with options from the first eight of them: an Error exactly if it is
// not UTF-8 or the options contradict each other, else rows whose fields belong together. Bytes as
// tokens must give the text back.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/io/json.h"
#include "vizoo/io/utf8.h"
#include "vizoo/text/auto_tokenizer.h"
#include "vizoo/text/byte_symbols.h"
#include "vizoo/text/perceiver_tokenizer.h"

namespace {

constexpr std::size_t kOptionBytes = 8;
constexpr std::size_t kMaxDecodedRows = 1000;

void require(bool condition) {
  if (!condition) std::abort();
}

// All bytes, some merges, and an added token for each flag.
constexpr const char* kClip = R"({"tokenizer_class": "CLIPTokenizer", "pad_token": "!", )";
constexpr const char* kPerceiver = R"({"tokenizer_class": "PerceiverTokenizer", )";
constexpr const char* kConfig = R"("model_max_length": 16, "additional_special_tokens": [
    {"__type": "AddedToken", "content": "<L>", "lstrip": true, "normalized": false},
    {"__type": "AddedToken", "content": "<R>", "rstrip": true, "normalized": false},
    {"__type": "AddedToken", "content": "W", "single_word": true, "normalized": false},
    {"__type": "AddedToken", "content": "a B", "normalized": true}, " "]})";

void write_vocabulary(const std::filesystem::path& folder) {
  vizoo::Json vocabulary;
  const std::string merges[] = {"a b", "ab c", "a a", "aa aa", "c a</w>", "\u00c3 \u00a9</w>"};
  std::ofstream lines(folder / "merges.txt");
  lines << "#version: 0.2\n";
  for (const char* suffix : {"", "</w>"}) {
    for (const auto& symbol : vizoo::byte_symbols()) {
      vocabulary[symbol + suffix] = vocabulary.size();
    }
  }
  for (const auto& merge : merges) {
    lines << merge << '\n';
    const auto space = merge.find(' ');
    vocabulary[merge.substr(0, space) + merge.substr(space + 1)] = vocabulary.size();
  }
  std::ofstream(folder / "vocab.json") << vocabulary;
}

std::unique_ptr<vizoo::Tokenizer> load(const char* config, bool use_fast) {
  auto pattern = (std::filesystem::temp_directory_path() / "vizoo-fuzz-XXXXXX").string();
  require(mkdtemp(pattern.data()) != nullptr);
  const std::filesystem::path folder = pattern;
  write_vocabulary(folder);
  std::ofstream(folder / "tokenizer_config.json") << config << kConfig;
  vizoo::TokenizerLoadOptions options;
  options.use_fast = use_fast;
  auto tokenizer = vizoo::AutoTokenizer::from_pretrained(folder, options);
  std::filesystem::remove_all(folder);
  return tokenizer;
}

vizoo::EncodeOptions options_of(const uint8_t* data, bool is_fast) {
  vizoo::EncodeOptions options;
  const auto bit = [&](unsigned index) { return (data[index / 8] >> (index % 8) & 1U) != 0; };
  options.add_special_tokens = bit(0);
  options.return_overflowing_tokens = bit(1);
  options.return_special_tokens_mask = bit(2);
  options.return_offsets_mapping = bit(3) && is_fast;
  options.return_length = bit(4);
  if (bit(5)) options.return_token_type_ids = bit(6);
  if (bit(7)) options.return_attention_mask = bit(8);
  if (bit(9)) options.padding = static_cast<vizoo::PaddingStrategy>(data[2] % 3);
  if (bit(10)) options.truncation = static_cast<vizoo::TruncationStrategy>(data[3] % 4);
  if (bit(11)) options.max_length = data[4] % 40;
  if (bit(12)) options.pad_to_multiple_of = data[5] % 10;
  options.stride = data[6] % 8;
  return options;
}

// `types_for_all`: special tokens have type ids too.
void check(const vizoo::BatchEncoding& encoding, std::size_t code_points, bool types_for_all) {
  require(encoding.rows() >= 1);
  for (std::size_t row = 0; row < encoding.rows(); ++row) {
    const std::size_t length = encoding.input_ids[row].size();
    const auto fits = [&](const auto& rows) {
      require(rows.empty() || rows[row].size() == length);
    };
    fits(encoding.attention_mask);
    if (types_for_all) fits(encoding.token_type_ids);
    fits(encoding.special_tokens_mask);
    fits(encoding.offset_mapping);
    if (encoding.offset_mapping.empty()) continue;
    for (const auto& [first, last] : encoding.offset_mapping[row]) {
      require(first >= 0 && first <= last && last <= static_cast<int64_t>(code_points));
    }
  }
}

void check_bytes(const std::string& text) {
  static const vizoo::PerceiverTokenizer tokenizer;
  vizoo::EncodeOptions options;
  options.add_special_tokens = false;
  vizoo::DecodeOptions exactly;
  exactly.clean_up_tokenization_spaces = false;
  require(tokenizer.decode(tokenizer.encode(text, options).input_ids[0], exactly) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static const auto fast = load(kClip, true);
  static const auto slow = load(kClip, false);
  static const auto bytes = load(kPerceiver, false);
  if (size < kOptionBytes) return 0;
  const std::string all(reinterpret_cast<const char*>(data) + kOptionBytes, size - kOptionBytes);
  const bool valid = vizoo::find_invalid_utf8(all) == all.size();
  const auto middle = all.find('\xff');  // never part of UTF-8: divides a pair
  std::size_t code_points = 0;
  for (const char c : all) code_points += (static_cast<unsigned char>(c) & 0xc0U) != 0x80 ? 1 : 0;
  if (valid) check_bytes(all);
  for (const auto* tokenizer : {fast.get(), slow.get(), bytes.get()}) {
    const auto options = options_of(data, tokenizer->is_fast());
    try {
      const auto encoding =
          middle == all.npos
              ? tokenizer->encode(all, options)
              : tokenizer->encode(all.substr(0, middle), all.substr(middle + 1), options);
      require(valid || middle != all.npos);
      check(encoding, code_points, tokenizer != bytes.get());
      // The windows of a pair are as many as those of one times those of the other.
      const std::size_t rows = std::min(encoding.rows(), kMaxDecodedRows);
      for (std::size_t row = 0; row < rows; ++row) {
        const auto text = tokenizer->decode(encoding.input_ids[row]);
        require(vizoo::find_invalid_utf8(text) == text.size());
      }
    } catch (const vizoo::TokenizerError&) {
      // Invalid text, truncation that cannot reach its length, ids whose token is no byte symbols.
    } catch (const vizoo::UsageError&) {
    }
  }
  return 0;
}
