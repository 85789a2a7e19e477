#include "vizoo/tasks/masked_language_modeling.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/text/perceiver_tokenizer.h"

namespace vizoo {
namespace {

PerceiverForMaskedLM small_language_model(int64_t max_positions = 40, int64_t vocab_size = 262) {
  PerceiverConfig config;
  config.num_latents = 5;
  config.d_latents = 8;
  config.d_model = 16;
  config.num_self_attends_per_block = 2;
  config.num_self_attention_heads = 2;
  config.num_cross_attention_heads = 2;
  config.max_position_embeddings = max_positions;
  config.vocab_size = vocab_size;
  torch::manual_seed(5);
  PerceiverForMaskedLM model(config);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) parameter.normal_(0.0, 0.5);
  model->eval();
  return model;
}

std::string message(const PerceiverForMaskedLM& model, const std::string& text) {
  try {
    fill_mask(*model, PerceiverTokenizer(), text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("masks are filled with what forward of the padded text expects there") {
  const torch::NoGradGuard no_grad;
  const auto model = small_language_model();
  const PerceiverTokenizer tokenizer;
  const std::string text = "A [MASK]t[MASK][MASK] .";
  const auto filled = fill_mask(*model, tokenizer, text, 3);

  EncodeOptions padded;
  padded.padding = PaddingStrategy::max_length;
  padded.max_length = 40;
  const auto encoding = tokenizer.encode(text, padded);
  auto ids = torch::tensor(encoding.input_ids[0], torch::kLong);
  const auto mask = torch::tensor(encoding.attention_mask[0], torch::kLong).unsqueeze(0);
  const auto logits =
      model->forward(ids.unsqueeze(0), PerceiverOptions().attention_mask(mask)).logits[0];
  const auto best_three = logits.softmax(-1).topk(3);
  const torch::Tensor scores = std::get<0>(best_three);
  const torch::Tensor best = std::get<1>(best_three);

  REQUIRE(filled.masks.size() == 3);
  const int64_t positions[] = {3, 5, 6};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& one = filled.masks[i];
    CHECK(one.position == positions[i]);
    REQUIRE(one.candidates.size() == 3);
    for (std::size_t k = 0; k < 3; ++k) {
      const auto rank = static_cast<int64_t>(k);
      CHECK(one.candidates[k].id == best[one.position][rank].item<int64_t>());
      CHECK(one.candidates[k].score ==
            Approx(scores[one.position][rank].item<double>()).margin(1e-5));
      CHECK(one.candidates[k].token == tokenizer.decode({one.candidates[k].id}));
    }
    ids[one.position] = one.candidates[0].id;
  }
  std::string bytes;
  for (int64_t i = 0; i < 9; ++i) {
    const auto id = ids[i].item<int64_t>();
    if (id >= 6 && id < 134) bytes += static_cast<char>(id - 6);
  }
  CHECK(filled.text.find(" .") != std::string::npos);  // no clean-up
  CHECK(filled.text.substr(0, 2) == bytes.substr(0, 2));
}

TEST_CASE("a masked language model may be any function") {
  const torch::NoGradGuard no_grad;
  const auto model = small_language_model();
  const PerceiverTokenizer tokenizer;
  // The whole forward, of which the masks' logits are taken.
  const MaskedLanguageModel whole(
      9, [&](const torch::Tensor& input_ids, const torch::Tensor& positions) {
        return model->forward(input_ids).logits[0].index_select(0, positions);
      });
  const auto expected = fill_mask(*model, tokenizer, "a[MASK]b[MASK].", 4);
  const auto filled = fill_mask(whole, tokenizer, "a[MASK]b[MASK].", 4);
  CHECK(filled.text == expected.text);
  REQUIRE(filled.masks.size() == expected.masks.size());
  for (std::size_t i = 0; i < filled.masks.size(); ++i) {
    CHECK(filled.masks[i].position == expected.masks[i].position);
    for (std::size_t k = 0; k < 4; ++k) {
      CHECK(filled.masks[i].candidates[k].id == expected.masks[i].candidates[k].id);
      CHECK(filled.masks[i].candidates[k].score ==
            Approx(expected.masks[i].candidates[k].score).margin(1e-6));
    }
  }
  CHECK_THROWS_WITH(fill_mask(whole, tokenizer, "[MASK]abcdefg", 1),
                    "[tokenizer] text: expected at most 9 tokens, with the special ones around it, "
                    "got 10.");
}

TEST_CASE("a model that is sure of a byte fills it in") {
  const torch::NoGradGuard no_grad;
  const auto model = small_language_model();
  model->embedding_decoder->bias[0x65 + 6] = 1000.0;
  const PerceiverTokenizer tokenizer;
  const auto filled = fill_mask(*model, tokenizer, "h[MASK]llo .", 1);
  CHECK(filled.text == "hello .");
  REQUIRE(filled.masks.size() == 1);
  REQUIRE(filled.masks[0].candidates.size() == 1);
  CHECK(filled.masks[0].candidates[0].token == "e");
  CHECK(filled.masks[0].candidates[0].score == Approx(1.0));

  model->embedding_decoder->bias[0xE9 + 6] = 3000.0;  // no character by itself
  CHECK(fill_mask(*model, tokenizer, "h[MASK]", 1).text == "h\xEF\xBF\xBD");
  model->embedding_decoder->bias[2] = 5000.0;  // a special token leaves nothing
  CHECK(fill_mask(*model, tokenizer, "h[MASK]!", 1).text == "h!");
}

TEST_CASE("more candidates than there are tokens are all of the tokenizer's") {
  const torch::NoGradGuard no_grad;
  const auto model = small_language_model(40, 300);
  const auto filled = fill_mask(*model, PerceiverTokenizer(), "[MASK]", 1000);
  CHECK(filled.masks.at(0).candidates.size() == 262);
  double sum = 0.0;
  for (const auto& one : filled.masks[0].candidates) sum += one.score;
  CHECK(sum < 1.0);  // the model's other 38 tokens have the rest
}

TEST_CASE("texts that cannot be filled in are errors") {
  const auto model = small_language_model();
  CHECK(message(model, "no mask") ==
        "[tokenizer] text: expected at least one [MASK], got none. Each stands for one token to be "
        "filled in.");
  CHECK(message(model, "") != "");
  CHECK(message(model, std::string(38, 'a') + "[MASK]") ==
        "[tokenizer] text: expected at most 40 tokens, with the special ones around it, got 41.");
  CHECK(message(model, std::string(37, 'a') + "[MASK]") == "");
  CHECK(message(model, "\xff[MASK]").find("UTF-8") != std::string::npos);
  CHECK_THROWS_AS(fill_mask(*model, PerceiverTokenizer(), "[MASK]", 0), UsageError);
  CHECK(message(small_language_model(40, 50), "[MASK]a") != "");  // ids that the model lacks
}

}  // namespace
}  // namespace vizoo
