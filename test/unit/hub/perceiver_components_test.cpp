#include "vizoo/hub/perceiver_components.h"

#include "test/support/catch.h"
#include "test/support/small_perceiver.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/models/perceiver/perceiver_multimodal.h"

using namespace vizoo;
using vizoo::test::error_of;
using vizoo::test::small_perceiver_config;

namespace {

std::shared_ptr<PerceiverModelImpl> build(const char* arguments) {
  return make_perceiver_model(small_perceiver_config(), parse_json(arguments, "model_args"));
}

std::string message(const char* arguments) {
  return error_of([&] { build(arguments); });
}

}  // namespace

TEST_CASE("a Perceiver is built from a description of its components", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto model = build(R"({
    "input_preprocessor": {"class": "PerceiverImagePreprocessor", "args": {
      "prep_type": "pixels", "spatial_downsample": 1,
      "fourier_position_encoding_kwargs": {"num_bands": 3, "max_resolution": [5, 5]}}},
    "decoder": {"class": "PerceiverBasicDecoder", "args": {
      "output_num_channels": 4, "num_channels": 6,
      "trainable_position_encoding_kwargs": {"index_dims": [2, 3], "num_channels": 6}}},
    "output_postprocessor": {"class": "PerceiverProjectionPostprocessor", "args": {
      "in_channels": 4, "out_channels": 5}}})");
  CHECK(model->input_preprocessor->num_channels() == 3 + 14);
  CHECK(model->forward(torch::rand({2, 3, 5, 4})).logits.sizes() == at::IntArrayRef({2, 6, 5}));
}

TEST_CASE("components may be null, missing, without arguments", "[perceiver]") {
  const auto bare = build(R"({"decoder": null})");
  CHECK(bare->decoder == nullptr);
  CHECK(bare->input_preprocessor == nullptr);
  const auto text = build(R"({"input_preprocessor": {"class": "PerceiverTextPreprocessor"},
                              "decoder": {"class": "PerceiverProjectionDecoder", "args": {}}})");
  CHECK(text->forward(torch::tensor({{1, 2}})).logits.sizes() == at::IntArrayRef({1, 3}));
}

TEST_CASE("modalities are components themselves", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto model = build(R"({
    "input_preprocessor": {"class": "PerceiverMultimodalPreprocessor", "args": {
      "min_padding_size": 1, "mask_probs": {"class": 0.5}, "modalities": {
        "class": {"class": "PerceiverOneHotPreprocessor"},
        "text": {"class": "PerceiverTextPreprocessor"}}}},
    "decoder": {"class": "PerceiverMultimodalDecoder", "args": {
      "num_outputs": null, "output_num_channels": 4, "num_heads": 2, "modalities": {
        "text": {"class": "PerceiverBasicDecoder", "args": {
          "output_num_channels": 2, "position_encoding_only": true,
          "trainable_position_encoding_kwargs": {"index_dims": 2, "num_channels": 6}}}}}},
    "output_postprocessor": {"class": "PerceiverMultimodalPostprocessor", "args": {"modalities": {
      "text": {"class": "PerceiverProjectionPostprocessor",
               "args": {"in_channels": 4, "out_channels": 3}}}}}})");
  CHECK(model->input_preprocessor->num_channels() == 16 + 1);
  CHECK(model->argument_names() == std::vector<std::string>{"attention_mask",
                                                            "head_mask",
                                                            "interpolate_pos_encoding",
                                                            "inputs.class",
                                                            "inputs.text",
                                                            "subsampled_output_points.text"});
  const auto outputs = model->forward_named(
      {{"inputs.class", torch::rand({1, 3})}, {"inputs.text", torch::tensor({{1, 2}})}}, {});
  CHECK(outputs.at(0).first == "logits.text");
}

TEST_CASE("descriptions that make no sense are named", "[perceiver]") {
  CHECK(message(R"({"preprocessor": null})") ==
        "[usage] constructor arguments of PerceiverModel: expected input_preprocessor, decoder, "
        "output_postprocessor, got \"preprocessor\".");
  CHECK(message(R"({"decoder": "PerceiverBasicDecoder"})") ==
        "[usage] constructor arguments of decoder: expected a JSON object, got "
        "\"PerceiverBasicDecoder\".");
  CHECK(message(R"({"output_postprocessor": {"class": "PerceiverBasicDecoder"}})") ==
        "[usage] output_postprocessor: class: expected one of PerceiverAudioPostprocessor, "
        "PerceiverClassificationPostprocessor, PerceiverMultimodalPostprocessor, "
        "PerceiverProjectionPostprocessor, got \"PerceiverBasicDecoder\".");
  CHECK(message(R"({"decoder": {"args": {}}})").find("decoder: class: expected one of") !=
        std::string::npos);
  CHECK(message(R"({"input_preprocessor": {"class": "PerceiverTextPreprocessor",
                                          "args": {"d_model": 3}}})") ==
        "[usage] constructor arguments of PerceiverTextPreprocessor: expected none, got "
        "\"d_model\".");
  CHECK(message(R"({"input_preprocessor": {"class": "PerceiverAudioPreprocessor",
                                          "args": {"prep_type": "mfcc"}}})") ==
        "[usage] model_args: PerceiverAudioPreprocessor: /prep_type: expected one of patches, got "
        "\"mfcc\".");
  CHECK(message(R"({"input_preprocessor": {"class": "PerceiverAudioPreprocessor", "args": {
          "fourier_position_encoding_kwargs": {"bands": 3}}}})") ==
        "[usage] constructor arguments of PerceiverAudioPreprocessor: "
        "fourier_position_encoding_kwargs: expected num_bands, max_resolution, concat_pos, "
        "sine_only, got \"bands\".");
  CHECK(message(R"({"input_preprocessor": {"class": "PerceiverMultimodalPreprocessor",
                                          "args": {"modalities": {}}}})") ==
        "[usage] PerceiverMultimodalPreprocessor: expected at least one modality, got none.");
  CHECK(message(R"({"input_preprocessor": {"class": "PerceiverMultimodalPreprocessor"}})") ==
        "[usage] PerceiverMultimodalPreprocessor: modalities: expected an object of components, "
        "got nothing.");
  CHECK(message(R"({"input_preprocessor": {"class": "PerceiverMultimodalPreprocessor",
          "args": {"modalities": {"a.b": {"class": "PerceiverTextPreprocessor"}}}}})") ==
        "[usage] PerceiverMultimodalPreprocessor: modalities: expected names without dots, and a "
        "component for each, got \"a.b\".");
}

TEST_CASE("the auto classes know the Perceiver's heads", "[perceiver]") {
  const auto pick = [](const char* architecture, Task task) {
    Json config = {{"model_type", "perceiver"}};
    if (*architecture != '\0') config["architectures"] = {architecture};
    return find_model(config, task, "c").class_name;
  };
  CHECK(pick("PerceiverForImageClassificationConvProcessing", Task::image_classification) ==
        "PerceiverForImageClassificationConvProcessing");
  CHECK(pick("PerceiverForMaskedLM", Task::image_classification) ==
        "PerceiverForImageClassificationLearned");
  CHECK(pick("", Task::masked_language_modeling) == "PerceiverForMaskedLM");
  CHECK(pick("", Task::text_classification) == "PerceiverForSequenceClassification");
}
