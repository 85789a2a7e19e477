#include "vizoo/training/data/text_lines_dataset.h"

#include <cmath>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/support/sample_stream.h"
#include "test/support/small_tokenizer.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/text/perceiver_tokenizer.h"
#include "vizoo/training/data_loader.h"

namespace vizoo {
using vizoo::test::sample_stream;

namespace {

constexpr int64_t kPad = 0;
constexpr int64_t kMask = 3;
constexpr int64_t kFirstByte = 6;

class TextFile {
 public:
  explicit TextFile(const std::string& text) { test::write_bytes(folder_ / "corpus.txt", text); }

  TextLinesDataset open(const TextLinesOptions& options = {}) const {
    return TextLinesDataset(
        folder_ / "corpus.txt", std::make_shared<PerceiverTokenizer>(), options);
  }

 private:
  test::TemporaryFolder folder_;
};

std::vector<int64_t> numbers(const torch::Tensor& tensor) {
  return {tensor.data_ptr<int64_t>(), tensor.data_ptr<int64_t>() + tensor.numel()};
}

TEST_CASE("each line with a character is a sample, padded and cut to the length") {
  const TextFile file("ab\n\n\r\ncde\r\nfghijklmnop\nlast");
  const auto dataset = file.open(TextLinesOptions().length(8).mask_probability(0.0));
  REQUIRE(dataset.size() == 4);
  CHECK(dataset.describe(0) == "corpus.txt:1");
  CHECK(dataset.describe(1) == "corpus.txt:4");
  CHECK(dataset.describe(3) == "corpus.txt:6");
  auto random = sample_stream();
  const auto sample = dataset.get(0, random);
  // [CLS] a b [SEP] and padding.
  CHECK(numbers(sample.arguments.at("input_ids")) ==
        std::vector<int64_t>{4, 'a' + 6, 'b' + 6, 5, 0, 0, 0, 0});
  CHECK(numbers(sample.arguments.at("attention_mask")) ==
        std::vector<int64_t>{1, 1, 1, 1, 0, 0, 0, 0});
  CHECK(numbers(sample.labels) == std::vector<int64_t>(8, -100));
  const auto cut = numbers(dataset.get(2, random).arguments.at("input_ids"));
  CHECK(cut == std::vector<int64_t>{4, 'f' + 6, 'g' + 6, 'h' + 6, 'i' + 6, 'j' + 6, 'k' + 6, 5});
  CHECK(numbers(dataset.get(1, random).arguments.at("input_ids"))[3] == 'e' + 6);
}

TEST_CASE("15 % of the tokens are to be predicted: 80 % masked, 10 % random, 10 % kept") {
  const std::string line(500, 'x');
  const TextFile file(line);
  const auto dataset = file.open(TextLinesOptions().length(600));
  int64_t masked = 0;
  int64_t kept = 0;
  int64_t replaced = 0;
  constexpr int kSamples = 200;
  for (uint64_t i = 0; i < kSamples; ++i) {
    auto random = sample_stream(i);
    const auto sample = dataset.get(0, random);
    const auto ids = numbers(sample.arguments.at("input_ids"));
    const auto labels = numbers(sample.labels);
    for (std::size_t k = 0; k < ids.size(); ++k) {
      if (labels[k] == -100) {
        const int64_t original = k == 0 ? 4 : k <= 500 ? 'x' + 6 : k == 501 ? 5 : kPad;
        if (ids[k] != original) FAIL(k);
        continue;
      }
      REQUIRE((k >= 1 && k <= 500));
      REQUIRE(labels[k] == 'x' + 6);
      if (ids[k] == kMask) {
        ++masked;
      } else if (ids[k] == 'x' + 6) {
        ++kept;
      } else {
        REQUIRE(ids[k] >= kFirstByte);
        REQUIRE(ids[k] < kFirstByte + 256);
        ++replaced;
      }
    }
  }
  const double all = 500.0 * kSamples;
  const auto near_share = [&](int64_t count, double share) {
    return std::abs(static_cast<double>(count) - share * all) <
           5.0 * std::sqrt(all * share * (1.0 - share));
  };
  CHECK(near_share(masked + kept + replaced, 0.15));
  CHECK(near_share(masked, 0.12));
  CHECK(near_share(kept, 0.015 * (1.0 + 1.0 / 256)));
  CHECK(near_share(replaced, 0.015 * 255.0 / 256));
}

TEST_CASE("every line teaches, and special tokens in a text are never chosen") {
  const TextFile file("a\n[MASK]b[SEP]\n[PAD]\n");
  const auto dataset = file.open(TextLinesOptions().length(10));
  for (uint64_t i = 0; i < 50; ++i) {
    auto random = sample_stream(i);
    const auto one = numbers(dataset.get(0, random).labels);
    CHECK(one[1] == 'a' + 6);
    const auto two = numbers(dataset.get(1, random).labels);
    CHECK(two ==
          std::vector<int64_t>{-100, -100, 'b' + 6, -100, -100, -100, -100, -100, -100, -100});
    CHECK(numbers(dataset.get(2, random).labels) == std::vector<int64_t>(10, -100));
  }
}

TEST_CASE("masks depend on the stream alone") {
  const TextFile file("the quick brown fox jumps over the lazy dog\n");
  const auto dataset = file.open(TextLinesOptions().length(64));
  const auto labels = [&](uint64_t index) {
    auto random = sample_stream(index);
    return dataset.get(0, random).labels;
  };
  CHECK(torch::equal(labels(1), labels(1)));
  CHECK_FALSE(torch::equal(labels(1), labels(2)));
}

TEST_CASE("lines come in batches of the model's length") {
  const TextFile file("one\ntwo\nthree\n");
  const auto dataset = std::make_shared<TextLinesDataset>(file.open());
  DataLoader loader(dataset, DataLoaderOptions().batch(3).workers(2));
  loader.start(0);
  const auto parts = loader.next();
  REQUIRE(parts);
  CHECK(parts->front().arguments.at("input_ids").sizes() == torch::IntArrayRef({3, 2048}));
  CHECK(parts->front().labels.sizes() == torch::IntArrayRef({3, 2048}));
}

TEST_CASE("files and options that make no sense are refused") {
  const auto refusal = [](const std::string& text, const TextLinesOptions& options = {}) {
    return test::message_of([&] { TextFile(text).open(options); });
  };
  CHECK(refusal("").find("expected at least one line, got none.") != std::string::npos);
  CHECK(refusal("\n\r\n\n").find("expected at least one line, got none.") != std::string::npos);
  CHECK(refusal("good\nb\xff"
                "d\n")
            .find("corpus.txt:2: expected text in UTF-8, got other bytes.") != std::string::npos);
  for (const auto& options : {TextLinesOptions().length(2),
                              TextLinesOptions().length(5000),
                              TextLinesOptions().mask_probability(1.5),
                              TextLinesOptions().mask_probability(NAN),
                              TextLinesOptions().replace_by_mask(-0.1),
                              TextLinesOptions().replace_by_mask(0.8).replace_by_random(0.3)}) {
    CHECK_THROWS_AS(TextFile("a\n").open(options), UsageError);
  }
  CHECK_NOTHROW(TextFile("a\n").open(TextLinesOptions().replace_by_mask(0.9)));
  const test::TemporaryFolder folder;
  CHECK_THROWS_AS(TextLinesDataset(folder / "absent.txt", std::make_shared<PerceiverTokenizer>()),
                  TokenizerError);
  test::write_bytes(folder / "a.txt", "a\n");
  const std::shared_ptr<const Tokenizer> without_mask = test::SmallTokenizer().load();
  CHECK_THROWS_AS(TextLinesDataset(folder / "a.txt", without_mask), TokenizerError);
}

}  // namespace
}  // namespace vizoo
