// Decoders, postprocessors, and the components for several modalities.
#include "test/support/catch.h"
#include "test/support/small_perceiver.h"
#include "vizoo/models/perceiver/perceiver_multimodal.h"

using namespace vizoo;
using vizoo::test::error_of;
using vizoo::test::fourier_options;
using vizoo::test::largest_difference;
using vizoo::test::small_perceiver_config;

namespace {

const auto kLatents = torch::linspace(-1, 1, 2 * 5 * 8).sin().view({2, 5, 8});

PerceiverPreprocessed preprocessed(int64_t length, int64_t channels) {
  return {torch::rand({2, length, channels}), {}, torch::rand({2, length, channels})};
}

// Queries of 6 channels, one for each of a table of 4.
PerceiverBasicDecoderOptions table_options() {
  PerceiverBasicDecoderOptions options;
  options.output_num_channels = 3;
  options.output_index_dims = int64_t{4};
  options.num_channels = 6;
  options.trainable_position_encoding_kwargs = PerceiverTrainableOptions{int64_t{4}, 6};
  return options;
}

// Sound in patches of 4 with 9 channels, classes of 3.
PerceiverMultimodalPreprocessor multimodal_preprocessor(
    const PerceiverMultimodalPreprocessorOptions& options) {
  const auto config = small_perceiver_config();
  PerceiverAudioPreprocessorOptions audio;
  audio.samples_per_patch = 4;
  audio.fourier_position_encoding_kwargs = fourier_options({12});
  return PerceiverMultimodalPreprocessor(
      PerceiverMultimodalPreprocessorImpl::Modalities{
          {"label", std::make_shared<PerceiverOneHotPreprocessorImpl>(config)},
          {"audio", std::make_shared<PerceiverAudioPreprocessorImpl>(config, audio)}},
      options);
}

PerceiverModalities sound_and_class() {
  return {{"audio", torch::rand({2, 12, 1})}, {"label", torch::rand({2, 3})}};
}

}  // namespace

TEST_CASE("a projection decoder takes the mean of the latents", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const PerceiverProjectionDecoder decoder(small_perceiver_config());
  CHECK_FALSE(decoder->decoder_query({}, {}).defined());
  const auto output = decoder->forward({}, kLatents, true);
  const auto expected =
      at::linear(kLatents.mean(1), decoder->classifier->weight, decoder->classifier->bias);
  CHECK(largest_difference(output.logits, expected) < 1e-6);
  CHECK_FALSE(output.cross_attentions.defined());
}

TEST_CASE("a basic decoder asks with a table, with points, or with features", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto config = small_perceiver_config();
  auto options = table_options();
  const PerceiverBasicDecoder table(config, options);
  const auto query = table->decoder_query(preprocessed(7, 5), {});
  CHECK(query.sizes() == at::IntArrayRef({2, 4, 6}));
  const auto output = table->forward(query, kLatents, true);
  CHECK(output.logits.sizes() == at::IntArrayRef({2, 4, 3}));
  CHECK(output.cross_attentions.sizes() == at::IntArrayRef({2, 1, 4, 5}));
  CHECK(table->num_query_channels() == 3);
  CHECK(table->decoding_cross_attention->attention->self->query->weight.size(0) == 8);

  options.position_encoding_type = PerceiverPositionEncodingType::fourier;
  options.fourier_position_encoding_kwargs = fourier_options({4, 8});
  options.output_index_dims = std::vector<int64_t>{4, 8};
  options.position_encoding_only = true;
  const PerceiverBasicDecoder points(config, options);
  CHECK(points->num_query_channels() == 10);
  const auto some = points->decoder_query(preprocessed(7, 5), torch::tensor({13, 0}));
  REQUIRE(some.sizes() == at::IntArrayRef({2, 2, 10}));
  // Index 13 is row 1, column 5: 2 k / n - 1, not the grid's coordinates.
  CHECK(some[0][0][0].item<float>() == -0.5F);
  CHECK(some[1][0][1].item<float>() == 0.25F);
  CHECK(some[0][1][1].item<float>() == -1.0F);
  CHECK(error_of([&] { points->decoder_query(preprocessed(7, 5), torch::tensor({32})); }) ==
        "[model] subsampled_output_points: expected indices [queries], Int or Long, from 0 to 31, "
        "got indices from 32 to 32.");
  CHECK(error_of([&] { points->decoder_query(preprocessed(7, 5), torch::rand({3})); }) ==
        "[model] subsampled_output_points: expected indices [queries], Int or Long, from 0 to 31, "
        "got Float [3].");
  CHECK(error_of([&] { points->forward(some, kLatents); }) ==
        "[usage] PerceiverBasicDecoder: expected a decoder with cross-attention, got "
        "position_encoding_only.");

  options = table_options();
  options.concat_preprocessed_input = true;
  options.num_channels = 6 + 5;
  const PerceiverBasicDecoder both(config, options);
  const auto inputs = preprocessed(4, 5);
  const auto joined = both->decoder_query(inputs, {});
  CHECK(torch::equal(joined.slice(2, 0, 5), inputs.inputs_without_pos.tensor));
  CHECK(both->forward(joined, kLatents).logits.sizes() == at::IntArrayRef({2, 4, 3}));
  CHECK(error_of([&] { both->decoder_query(preprocessed(7, 5), {}); }) ==
        "[model] concat_preprocessed_input: expected 4 positions of a preprocessor, one for each "
        "query, got 7.");
}

TEST_CASE("decoders of images shape what the basic one gives", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto config = small_perceiver_config();
  PerceiverOpticalFlowDecoderOptions flow_options;
  flow_options.num_channels = 5;
  flow_options.position_encoding_type = PerceiverPositionEncodingType::none;
  flow_options.output_image_shape = {3, 4};
  PerceiverOpticalFlowDecoder flow(config, flow_options);
  flow->eval();
  const auto inputs = preprocessed(12, 5);
  const auto query = flow->decoder_query(inputs, {});
  CHECK(torch::equal(query, inputs.inputs));
  const auto logits = flow->forward(query, kLatents).logits;
  CHECK(logits.sizes() == at::IntArrayRef({2, 3, 4, 2}));
  const auto raw = flow->decoder->forward(query, kLatents).logits;
  CHECK(largest_difference(logits[0][1][2], raw[0][6] / 100) < 1e-7);
  CHECK(error_of([&] { flow->decoder_query(inputs, torch::tensor({1})); }) ==
        "[model] PerceiverOpticalFlowDecoder: expected no subsampled_output_points, got some.");
  CHECK(error_of([&] { flow->forward(query.slice(1, 1), kLatents); }) ==
        "[model] decoder queries: expected one for each of 3 x 4 positions of the output, got 11. "
        "Frames must have the size that the model was built for.");

  PerceiverVideoDecoderOptions video_options;
  video_options.output_shape = {1, 2, 2, 3};
  video_options.output_num_channels = 4;
  video_options.num_channels = 6;
  video_options.trainable_position_encoding_kwargs = PerceiverTrainableOptions{int64_t{12}, 6};
  const PerceiverBasicVideoAutoencodingDecoder video(config, video_options);
  CHECK(video->forward(video->decoder_query(inputs, {}), kLatents).logits.sizes() ==
        at::IntArrayRef({2, 2, 2, 3, 4}));
  video_options.output_shape = {2, 2, 3};
  CHECK(error_of([&] { PerceiverBasicVideoAutoencodingDecoder bad(config, video_options); }) ==
        "[usage] PerceiverBasicVideoAutoencodingDecoder: output_shape: expected 4 integers of at "
        "least 1, got 3 integers.");
}

TEST_CASE("modalities are padded, masked and concatenated by name", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  PerceiverMultimodalPreprocessorOptions options;
  options.mask_probs = {{"audio", 0.0}, {"label", 1.0}};
  const auto preprocessor = multimodal_preprocessor(options);
  CHECK(preprocessor->num_channels() == 9 + 2);
  const auto inputs = sound_and_class();
  const auto output = preprocessor->forward(inputs);
  CHECK(output.modality_sizes == PerceiverModalitySizes{{"audio", 3}, {"label", 1}});
  REQUIRE(output.inputs.sizes() == at::IntArrayRef({2, 4, 11}));
  const auto& without = output.inputs_without_pos.modalities;
  CHECK(torch::equal(output.inputs.slice(1, 0, 3).slice(2, 0, 4), without.at("audio")));
  CHECK(torch::equal(output.inputs[1][2].slice(0, 9), preprocessor->padding->at("audio")[0]));
  CHECK(torch::equal(output.inputs[1][3], preprocessor->mask->at("label")[0]));

  const auto keys = preprocessor->named_parameters().keys();
  CHECK(keys ==
        std::vector<std::string>{"padding.audio", "padding.label", "mask.audio", "mask.label"});
  CHECK(error_of([&] {
          preprocessor->forward(PerceiverModalities{{"sound", kLatents}});
        }) == "[model] inputs: expected the modalities audio, label, got \"sound\".");
  CHECK(error_of([&] {
          preprocessor->forward(PerceiverModalities{{"audio", inputs.at("audio")}});
        }) == "[model] inputs: expected tensors for the modalities audio, label, got audio.");
  CHECK(error_of([&] { preprocessor->forward(kLatents); }) ==
        "[model] inputs: expected tensors for the modalities audio, label, got one tensor.");
  auto uneven = inputs;
  uneven["label"] = torch::rand({3, 3});
  CHECK(error_of([&] { preprocessor->forward(uneven); }) ==
        "[model] inputs.label: expected a batch of 2, as the other modalities have, got 3.");
  options.mask_probs = {{"image", 0.5}};
  CHECK(error_of([&] { multimodal_preprocessor(options); }) ==
        "[usage] PerceiverMultimodalPreprocessor: mask_probs: expected a number in [0, 1] for some "
        "of audio, label, got \"image\": 0.500000.");
}

TEST_CASE("masking draws one number for each position, in the order of names", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  PerceiverMultimodalPreprocessorOptions options;
  options.mask_probs = {{"audio", 0.5}, {"label", 0.5}};
  const auto preprocessor = multimodal_preprocessor(options);
  torch::manual_seed(3);
  const auto inputs = preprocessor->forward(sound_and_class()).inputs;
  torch::manual_seed(3);
  sound_and_class();
  const auto audio = torch::bernoulli(torch::full({2, 3}, 0.5));
  const auto label = torch::bernoulli(torch::full({2, 1}, 0.5));
  const auto is_token = [&](const torch::Tensor& rows, const char* modality) {
    return rows.eq(preprocessor->mask->at(modality)).all(-1);
  };
  CHECK(torch::equal(is_token(inputs.slice(1, 0, 3), "audio"), audio.to(torch::kBool)));
  CHECK(torch::equal(is_token(inputs.slice(1, 3), "label"), label.to(torch::kBool)));
}

TEST_CASE("a multimodal decoder asks for each modality", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto config = small_perceiver_config();
  const auto preprocessor = multimodal_preprocessor({});
  PerceiverBasicDecoderOptions audio;
  audio.output_num_channels = 3;
  audio.output_index_dims = int64_t{6};
  audio.position_encoding_only = true;
  audio.position_encoding_type = PerceiverPositionEncodingType::fourier;
  audio.fourier_position_encoding_kwargs = fourier_options({12});
  PerceiverDecoderOptions label;
  label.position_encoding_only = true;
  label.trainable_position_encoding_kwargs = PerceiverTrainableOptions{int64_t{1}, 8};
  PerceiverMultimodalDecoderOptions options;
  options.output_num_channels = 4;
  const PerceiverMultimodalDecoder decoder(
      config,
      PerceiverMultimodalDecoderImpl::Modalities{
          {"audio", std::make_shared<PerceiverBasicDecoderImpl>(config, audio)},
          {"label", std::make_shared<PerceiverClassificationDecoderImpl>(config, label)}},
      options);
  CHECK(decoder->num_query_channels() == 8 + 2);
  const auto inputs = preprocessor->forward(sound_and_class());
  const auto query =
      decoder->decoder_query(inputs, PerceiverModalities{{"audio", torch::tensor({5, 2})}});
  REQUIRE(query.sizes() == at::IntArrayRef({2, 3, 10}));
  CHECK(torch::equal(query[0][1].slice(0, 5), decoder->padding->at("audio")[0]));
  const auto output = decoder->forward(query, kLatents);
  CHECK(output.logits.sizes() == at::IntArrayRef({2, 3, 4}));

  CHECK(error_of([&] {
          decoder->decoder_query(inputs, PerceiverModalities{{"label", torch::tensor({0})}});
        }) ==
        "[model] subsampled_output_points.audio: expected points for a modality with a query for "
        "each, got 1 for 11 queries. Modalities without points must have one query.");
  CHECK(error_of([&] {
          decoder->decoder_query(inputs, PerceiverModalities{{"image", torch::tensor({0})}});
        }) ==
        "[model] subsampled_output_points: expected points for the modalities audio, label, got "
        "\"image\".");

  const PerceiverMultimodalPostprocessor postprocessor(
      PerceiverMultimodalPostprocessorImpl::Modalities{
          {"audio",
           std::make_shared<PerceiverAudioPostprocessorImpl>(
               config, PerceiverAudioPostprocessorOptions{4})},
          {"label",
           std::make_shared<PerceiverClassificationPostprocessorImpl>(
               config, PerceiverClassificationPostprocessorOptions{4})}});
  const auto logits =
      postprocessor->forward(output.logits, {{"audio", 2}, {"label", 1}}).modalities;
  CHECK(logits.at("audio").sizes() == at::IntArrayRef({2, 2 * 4}));
  CHECK(logits.at("label").sizes() == at::IntArrayRef({2, 3}));
  CHECK(error_of([&] {
          postprocessor->forward(output.logits, {{"audio", 3}});
        }) ==
        "[model] PerceiverMultimodalPostprocessor: expected the modalities audio, label, got "
        "audio.");
}

TEST_CASE("a projection postprocessor is a linear layer", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const PerceiverProjectionPostprocessor postprocessor(
      PerceiverProjectionPostprocessorOptions{8, 3});
  const auto expected =
      at::linear(kLatents, postprocessor->classifier->weight, postprocessor->classifier->bias);
  CHECK(torch::equal(postprocessor->forward(kLatents).tensor, expected));
  CHECK(error_of([&] {
          postprocessor->forward(torch::rand({2, 5, 7}));
        }) == "[model] postprocessor: expected logits of 8 channels, got Float [2, 5, 7].");
  CHECK(error_of([] {
          PerceiverProjectionPostprocessor bad(PerceiverProjectionPostprocessorOptions{8, 0});
        }) ==
        "[usage] PerceiverProjectionPostprocessor: out_channels: expected an integer of at least "
        "1, got 0.");
}
