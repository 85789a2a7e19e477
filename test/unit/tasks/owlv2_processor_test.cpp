#include "vizoo/tasks/owlv2_processor.h"

#include <algorithm>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"
#include "vizoo/tasks/auto_processor.h"

namespace vizoo {
namespace {

using test::message_of;
using test::pattern_image;

// A tokenizer of nine tokens and an image processor for 8 x 8.
void write_checkpoint(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  test::write_bytes(folder / "vocab.json",
                    R"({"!": 0, "a": 1, "b": 2, "a</w>": 3, "b</w>": 4, "ab</w>": 5, "!</w>": 6,
                        "<|startoftext|>": 7, "<|endoftext|>": 8})");
  test::write_bytes(folder / "merges.txt", "#version: 0.2\na b</w>\n");
  test::write_bytes(folder / "tokenizer_config.json",
                    R"({"tokenizer_class": "CLIPTokenizer", "model_max_length": 5,
                        "pad_token": "!"})");
  test::write_bytes(folder / "preprocessor_config.json",
                    R"({"image_processor_type": "Owlv2ImageProcessor", "size": 8})");
  test::write_bytes(folder / "config.json", R"({"model_type": "owlv2"})");
}

std::vector<int64_t> row(const torch::Tensor& tensor, int64_t index) {
  const auto data = tensor[index].contiguous();
  return {data.const_data_ptr<int64_t>(), data.const_data_ptr<int64_t>() + data.numel()};
}

struct Fixture {
  test::TemporaryFolder temporary;
  std::filesystem::path folder = temporary / "checkpoint";
  std::unique_ptr<Processor> processor = [this] {
    write_checkpoint(folder);
    return AutoProcessor::from_pretrained(folder);
  }();
};

TEST_CASE_METHOD(Fixture, "texts are padded to the length that the model takes") {
  CHECK(processor->type_name() == "Owlv2Processor");
  const auto features = (*processor)({{{"ab", "a b"}}, {}, {}});
  CHECK(features.input_ids.sizes() == torch::IntArrayRef({2, 5}));
  CHECK(row(features.input_ids, 0) == std::vector<int64_t>{7, 5, 8, 0, 0});
  CHECK(row(features.attention_mask, 0) == std::vector<int64_t>{1, 1, 1, 0, 0});
  CHECK(row(features.input_ids, 1) == std::vector<int64_t>{7, 3, 4, 8, 0});
  CHECK_FALSE(features.pixel_values.defined());
  const auto longest = (*processor)({{{"ab", "a b"}}, {}, {}},
                                    ProcessorCallOptions().padding(PaddingStrategy::longest));
  CHECK(longest.input_ids.sizes() == torch::IntArrayRef({2, 4}));
  CHECK(processor->decode(row(features.input_ids, 1)) == "<|startoftext|>a b <|endoftext|>!");
  DecodeOptions skip;
  skip.skip_special_tokens = true;
  CHECK(processor->batch_decode({{7, 5, 8, 0, 0}, {7, 4, 8}}, skip) ==
        std::vector<std::string>{"ab", "b"});
}

TEST_CASE_METHOD(Fixture, "shorter lists of texts are filled up with a space") {
  const std::vector<std::vector<std::string>> lists{{"a"}, {"b", "ab", "a b"}};
  CHECK(padded_queries(lists) == std::vector<std::string>{"a", " ", " ", "b", "ab", "a b"});
  const auto features = (*processor)({lists, {}, {}});
  CHECK(features.input_ids.sizes() == torch::IntArrayRef({6, 5}));
  // An empty query, which the model does not take for padding: it does not begin with id 0.
  CHECK(row(features.input_ids, 1) == std::vector<int64_t>{7, 8, 0, 0, 0});
  CHECK(row(features.input_ids, 3) == std::vector<int64_t>{7, 4, 8, 0, 0});
  CHECK(padded_queries({}).empty());
  CHECK(padded_queries({{}, {"a"}}) == std::vector<std::string>{" ", "a"});
}

TEST_CASE_METHOD(Fixture, "query images replace the texts, images come with either") {
  const cv::Mat image = pattern_image(9, 13);
  const auto words = (*processor)({{{"a"}}, {image, pattern_image(13, 9)}, {}});
  CHECK(words.input_ids.defined());
  CHECK(words.pixel_values.sizes() == torch::IntArrayRef({2, 3, 8, 8}));
  const auto pictures = (*processor)({{{"a"}}, {image}, {pattern_image(4, 4)}});
  CHECK_FALSE(pictures.input_ids.defined());
  CHECK_FALSE(pictures.attention_mask.defined());
  CHECK(pictures.query_pixel_values.sizes() == torch::IntArrayRef({1, 3, 8, 8}));
  CHECK(pictures.pixel_values.equal(processor->image_processor()(image).pixel_values));
  const auto raw = ProcessorCallOptions().images(PreprocessOptions().do_resize(false));
  const auto list = (*processor)({{}, {image, pattern_image(4, 4)}, {}}, raw);
  CHECK_FALSE(list.pixel_values.defined());
  CHECK(list.image_list.size() == 2);
}

TEST_CASE_METHOD(Fixture, "texts that are too long are refused, or cut with a warning") {
  const ProcessorInputs inputs{{{"a", "a b a b"}}, {}, {}};
  CHECK(message_of<TokenizerError>([&] { (*processor)(inputs); }) ==
        "[tokenizer] text 1: expected at most 5 tokens, got 6. Truncation cuts longer texts.");
  const auto cut = (*processor)(inputs, ProcessorCallOptions().truncation(true));
  CHECK(row(cut.input_ids, 1) == std::vector<int64_t>{7, 3, 4, 3, 8});  // the end stays last
  CHECK(cut.warnings == std::vector<std::string>{
                            "text \"a b a b\" was cut by 1 tokens to the 5 that the model takes"});
}

TEST_CASE_METHOD(Fixture, "inputs that are missing or broken have one clear line") {
  CHECK(message_of<UsageError>([&] { (*processor)({}); }) ==
        "[processor] inputs: expected texts, images or query images, got none of them.");
  CHECK(message_of<UsageError>([&] {
          (*processor)({{{}, {}}, {}, {}});
        }) == "[processor] text: expected at least one text, got empty lists.");
  CHECK(message_of<TokenizerError>([&] {
          (*processor)({{{"a\xff"}}, {}, {}});
        }).find("[tokenizer] text 0: expected valid UTF-8") == 0);
}

TEST_CASE_METHOD(Fixture, "AutoProcessor goes by the files") {
  CHECK(processor_types() == std::vector<std::string>{"Owlv2Processor"});
  const auto config = folder / "config.json";
  test::write_bytes(config, R"({"model_type": "levit"})");
  CHECK(message_of<ConfigError>([&] { AutoProcessor::from_pretrained(folder); }) ==
        "[processor] " + config.string() +
            ": /model_type: expected that of a model with a processor: Owlv2Processor, got "
            "\"levit\".");
  test::write_bytes(folder / "tokenizer_config.json",
                    R"({"tokenizer_class": "CLIPTokenizer", "processor_class": "Owlv2Processor"})");
  CHECK(AutoProcessor::from_pretrained(folder)->type_name() == "Owlv2Processor");
  test::write_bytes(folder / "processor_config.json", R"({"processor_class": 3})");
  CHECK(message_of<ConfigError>([&] { AutoProcessor::from_pretrained(folder); }) ==
        "[processor] " + (folder / "processor_config.json").string() +
            ": /processor_class: expected one of Owlv2Processor, got 3.");
}

}  // namespace
}  // namespace vizoo
