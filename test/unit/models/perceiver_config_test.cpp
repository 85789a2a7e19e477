#include "vizoo/models/perceiver/perceiver_config.h"

#include "test/support/catch.h"
#include "test/support/small_perceiver.h"
#include "vizoo/io/config_json.h"

using vizoo::PerceiverConfig;
using vizoo::test::error_of;
using vizoo::test::small_perceiver_config;

namespace {

PerceiverConfig read(const char* text) {
  auto config = vizoo::config_from_json<PerceiverConfig>(vizoo::parse_json(text, "c"), "c");
  config.resolve();
  return config;
}

}  // namespace

TEST_CASE("Perceiver configs have Transformers' defaults", "[perceiver]") {
  const auto json = vizoo::config_to_json(read("{}"));
  // PerceiverConfig() of 4.37.2, without what every config has.
  const auto expected = vizoo::parse_json(R"({
    "num_latents": 256, "d_latents": 1280, "d_model": 768, "num_blocks": 1,
    "num_self_attends_per_block": 26, "num_self_attention_heads": 8,
    "num_cross_attention_heads": 8, "qk_channels": null, "v_channels": null,
    "cross_attention_shape_for_attention": "kv", "self_attention_widening_factor": 1,
    "cross_attention_widening_factor": 1, "hidden_act": "gelu",
    "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
    "use_query_residual": true, "vocab_size": 262, "max_position_embeddings": 2048,
    "image_size": 56, "train_size": [368, 496], "num_frames": 16, "audio_samples_per_frame": 1920,
    "samples_per_patch": 16, "output_shape": [1, 16, 224, 224], "output_num_channels": 512,
    "_label_trainable_num_channels": 1024, "chunk_size_feed_forward": 0})",
                                          "defaults");
  for (const auto& [key, value] : expected.items()) {
    CAPTURE(key);
    CHECK(json.at(key) == value);
  }
}

TEST_CASE("keys of old Perceiver configs are kept", "[perceiver]") {
  const auto config = read(R"({"seq_len": 2048, "hidden_dropout_prob": 0.1})");
  const auto json = vizoo::config_to_json(config);
  CHECK(json.at("seq_len") == 2048);
  CHECK(json.at("hidden_dropout_prob") == 0.1);
}

TEST_CASE("Perceiver configs are checked", "[perceiver]") {
  const auto message = [](const char* text) { return error_of([&] { read(text); }); };
  CHECK(message(R"({"num_latents": 0})") ==
        "[config] /num_latents: expected an integer from 1 to 65536, got 0.");
  CHECK(message(R"({"num_self_attention_heads": 7})") ==
        "[config] /num_self_attention_heads: expected a divisor of /d_latents 1280, got 7.");
  CHECK(message(R"({"qk_channels": 20})") ==
        "[config] /num_self_attention_heads: expected a divisor of /qk_channels 20, got 8.");
  CHECK(message(R"({"qk_channels": 256})") ==
        "[config] /qk_channels: expected /d_latents 1280 channels of values, got 256. Set "
        "v_channels where qk_channels differs from d_latents.");
  CHECK(message(R"({"train_size": [3]})") ==
        "[config] /train_size: expected an array of 2 integers, got an array of 1.");
  CHECK(message(R"({"output_shape": [1, 65536, 65536, 65536]})") ==
        "[config] /output_shape: expected an integer from 1 to 268435456, got 4294967296.");
  CHECK(message(R"({"num_blocks": 1024})") ==
        "[config] /num_blocks: expected an integer from 0 to 1024, got 26624.");
  CHECK(message(R"({"cross_attention_shape_for_attention": "qv"})") ==
        "[config] c: /cross_attention_shape_for_attention: expected one of kv|q, got \"qv\".");
  CHECK(message(R"({"d_latents": 65536, "num_self_attends_per_block": 250, "num_blocks": 1})") ==
        "[config] /d_latents: expected a model of at most 10000000000 parameters, got "
        "65536.000000.");
}
