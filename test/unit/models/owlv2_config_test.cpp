#include "vizoo/models/owlv2/owlv2_config.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/legacy.h"
#include "vizoo/hub/registry.h"
#include "vizoo/models/owlv2/owlv2_detection.h"

using vizoo::Json;
using vizoo::Owlv2Config;
using vizoo::Owlv2TextConfig;
using vizoo::Owlv2VisionConfig;

namespace {

// As loading does it: config.json in today's spelling, then the class's own part.
template <class Config>
Config read(const char* text) {
  const auto& entry =
      vizoo::find_model(std::is_same_v<Config, Owlv2TextConfig>     ? "Owlv2TextModel"
                        : std::is_same_v<Config, Owlv2VisionConfig> ? "Owlv2VisionModel"
                                                                    : "Owlv2Model");
  auto json = entry.own_config(vizoo::parse_json(text, "c"));
  vizoo::upgrade_config(json, "c");
  auto config = vizoo::config_from_json<Config>(json, "c");
  config.resolve();
  return config;
}

template <class Config>
std::string config_error(const char* text) {
  try {
    read<Config>(text);
  } catch (const vizoo::ConfigError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("OWLv2 configs have Transformers' defaults", "[owlv2]") {
  const auto config = read<Owlv2Config>("{}");
  CHECK(config.text_config.vocab_size == 49408);
  CHECK(config.text_config.hidden_size == 512);
  CHECK(config.text_config.max_position_embeddings == 16);
  CHECK(config.text_config.pad_token_id == 0);
  CHECK(config.text_config.bos_token_id == 49406);
  CHECK(config.text_config.eos_token_id == 49407);
  CHECK(config.vision_config.image_size == 768);
  CHECK(config.vision_config.num_patches() == 48 * 48);
  CHECK(config.projection_dim == 512);
  CHECK(config.logit_scale_init_value == 2.6592);
}

TEST_CASE("nested configs may be partial, null or missing", "[owlv2]") {
  const auto config = read<Owlv2Config>(
      R"({"model_type": "owlv2", "text_config": null, "projection_dim": 7,
          "vision_config": {"model_type": "owlv2_vision_model", "image_size": 960}})");
  CHECK(config.text_config.hidden_size == 512);
  CHECK(config.vision_config.image_size == 960);
  CHECK(config.vision_config.hidden_size == 768);
  CHECK(config.projection_dim == 7);
}

TEST_CASE("nested configs of old versions hold every field", "[owlv2]") {
  const auto config = read<Owlv2Config>(
      R"({"model_type": "owlv2", "initializer_factor": 3.0,
          "text_config": {"_name_or_path": "", "architectures": null, "pruned_heads": {},
            "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
            "output_attentions": null, "torch_dtype": null, "dropout": 0.0, "hidden_size": 32,
            "num_hidden_layers": 3, "pad_token_id": null},
          "vision_config": {"num_labels": 3, "dtype": "float32"}})");
  CHECK(config.text_config.hidden_size == 32);
  CHECK(config.text_config.unknown.count("dropout") == 1);
  CHECK_FALSE(config.text_config.pad_token_id.has_value());
  CHECK(config.vision_config.num_labels() == 3);
  CHECK(config.initializer_factor == 1.0);  // whatever the file says
}

TEST_CASE("a tower's config is its own or nested", "[owlv2]") {
  const char* composite =
      R"({"model_type": "owlv2", "hidden_size": 1, "text_config": {"hidden_size": 24},
          "vision_config": null})";
  CHECK(read<Owlv2TextConfig>(composite).hidden_size == 24);
  CHECK(read<Owlv2VisionConfig>(composite).hidden_size == 768);
  CHECK(read<Owlv2TextConfig>(R"({"model_type": "owlv2_text_model", "hidden_size": 16})")
            .hidden_size == 16);
  // Another type is no error.
  CHECK(read<Owlv2VisionConfig>(R"({"model_type": "owlvit_vision_model", "hidden_size": 36})")
            .hidden_size == 36);
}

TEST_CASE("a composite config is made from two parts", "[owlv2]") {
  Owlv2TextConfig text;
  text.hidden_size = 64;
  Owlv2VisionConfig vision;
  vision.patch_size = 14;
  const auto config = Owlv2Config::from_text_vision_configs(text, vision);
  CHECK(config.text_config.hidden_size == 64);
  CHECK(config.vision_config.patch_size == 14);
  CHECK(config.projection_dim == 512);
}

TEST_CASE("of nested configs what differs from the defaults is written", "[owlv2]") {
  const vizoo::nn::NoInitGuard no_init;
  const auto& entry = vizoo::find_model("Owlv2Model");
  const auto config = vizoo::parse_json(
      R"({"text_config": {"num_hidden_layers": 1, "hidden_act": "gelu", "mine": [1]},
          "vision_config": {"num_labels": 2}})",
      "c");
  const auto saved = entry.config_json(*entry.make(config, "c"));
  CHECK(saved["text_config"] == Json{{"hidden_act", "gelu"},
                                     {"mine", {1}},
                                     {"model_type", "owlv2_text_model"},
                                     {"num_hidden_layers", 1}});
  CHECK(saved["vision_config"] == Json{{"model_type", "owlv2_vision_model"}, {"num_labels", 2}});
  CHECK(saved["projection_dim"] == 512);
}

TEST_CASE("hostile OWLv2 configs are refused in one line", "[owlv2]") {
  CHECK(config_error<Owlv2Config>(
            R"({"text_config": {"hidden_size": 30, "num_attention_heads": 4}})") ==
        "[config] /text_config/num_attention_heads: expected a divisor of hidden_size 30, got 4.");
  CHECK(config_error<Owlv2Config>(R"({"vision_config": {"hidden_size": 3.5}})") ==
        "[config] c: /vision_config/hidden_size: expected an integer, got 3.5.");
  CHECK(config_error<Owlv2Config>(R"({"model_type": "owlv2", "text_config": []})") ==
        "[config] c: /text_config: expected a JSON object, got an array of 0 values.");
  CHECK(config_error<Owlv2TextConfig>(R"({"model_type": "owlv2", "text_config": 3})") ==
        "[config] c: expected a JSON object, got 3.");
  CHECK(config_error<Owlv2Config>(R"({"projection_dim": 0})") ==
        "[config] /projection_dim: expected an integer from 1 to 65536, got 0.");
  CHECK(config_error<Owlv2TextConfig>(R"({"vocab_size": 4194305})") ==
        "[config] /vocab_size: expected an integer from 1 to 4194304, got 4194305.");
  CHECK(config_error<Owlv2TextConfig>(R"({"max_position_embeddings": 100000})") ==
        "[config] /max_position_embeddings: expected an integer from 1 to 65536, got 100000.");
  CHECK(config_error<Owlv2TextConfig>(R"({"hidden_size": 65536})") ==
        "[config] /hidden_size: expected a tower of at most 10000000000 parameters, got "
        "65536.000000.");
  CHECK(config_error<Owlv2VisionConfig>(R"({"image_size": 65536, "patch_size": 16})") ==
        "[config] /image_size: expected at most 1048576 patches, got 16777216.");
  CHECK(config_error<Owlv2VisionConfig>(R"({"image_size": 8})") ==
        "[config] /image_size: expected an integer from 16 to 65536, got 8.");
  CHECK(config_error<Owlv2VisionConfig>(R"({"attention_dropout": 1.5})") ==
        "[config] /attention_dropout: expected a number in [0, 1], got 1.500000.");
  CHECK(config_error<Owlv2VisionConfig>(R"({"hidden_act": "selu"})").find("/hidden_act") !=
        std::string::npos);
}
