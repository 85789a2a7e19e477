#include "test/support/catch.h"
#include "test/support/small_perceiver.h"
#include "vizoo/models/perceiver/perceiver_image_preprocessor.h"

using namespace vizoo;
using vizoo::test::error_of;
using vizoo::test::fourier_options;
using vizoo::test::largest_difference;
using vizoo::test::small_perceiver_config;

namespace {

// With Fourier features of 10 channels for images, 15 for videos.
PerceiverImagePreprocessorOptions image_options(PerceiverPrepType prep_type,
                                                int64_t dimensions = 2) {
  PerceiverImagePreprocessorOptions options;
  options.prep_type = prep_type;
  options.spatial_downsample = 1;
  options.fourier_position_encoding_kwargs =
      fourier_options(std::vector<int64_t>(static_cast<std::size_t>(dimensions), 8));
  return options;
}

PerceiverImagePreprocessor make(const PerceiverImagePreprocessorOptions& options) {
  PerceiverImagePreprocessor preprocessor(small_perceiver_config(), options);
  preprocessor->eval();
  return preprocessor;
}

}  // namespace

TEST_CASE("space_to_depth orders a block by row, column, channel", "[perceiver]") {
  const auto image = torch::arange(2 * 4 * 6, torch::kFloat).view({1, 2, 4, 6});
  const auto blocks = space_to_depth(image, 1, 2);
  REQUIRE(blocks.sizes() == at::IntArrayRef({1, 2, 3, 8}));
  // Block (1, 2): rows 2 and 3, columns 4 and 5 of both channels.
  const auto expected = torch::tensor({16., 40., 17., 41., 22., 46., 23., 47.}, torch::kFloat);
  CHECK(torch::equal(blocks[0][1][2], expected));

  const auto video = torch::arange(4 * 1 * 2 * 2, torch::kFloat).view({1, 4, 1, 2, 2});
  const auto cubes = space_to_depth(video, 2, 2);
  REQUIRE(cubes.sizes() == at::IntArrayRef({1, 2, 1, 1, 8}));
  CHECK(torch::equal(cubes[0][1][0][0], torch::arange(8, 16, torch::kFloat)));

  CHECK(error_of([&] { space_to_depth(image, 1, 4, "inputs.image"); }) ==
        "[model] inputs.image: expected [B, channels, H, W] or [B, frames, channels, H, W] with "
        "height and width multiples of 4 and frames of 1, got Float [1, 2, 4, 6].");
}

TEST_CASE("images of 224 x 224 become 55 x 55 positions by convolution", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto preprocessor = make(image_options(PerceiverPrepType::conv));
  CHECK(preprocessor->num_channels() == 64 + 10);
  const auto output = preprocessor->forward(torch::rand({1, 3, 224, 224}));
  CHECK(output.inputs.sizes() == at::IntArrayRef({1, 3025, 74}));
  CHECK(output.inputs_without_pos.tensor.sizes() == at::IntArrayRef({1, 3025, 64}));
  CHECK(output.modality_sizes.empty());
  CHECK(error_of([&] {
          preprocessor->forward(torch::rand({1, 3, 4, 9}));
        }) == "[model] inputs: expected a height and width of at least 5, got Float [1, 3, 4, 9].");
}

TEST_CASE("prep types agree with the channels that they promise", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto image = torch::rand({2, 3, 8, 12});
  const auto video = torch::rand({2, 4, 3, 8, 12});
  const auto check = [](const PerceiverImagePreprocessorOptions& options,
                        const torch::Tensor& input,
                        at::IntArrayRef shape) {
    const auto preprocessor = make(options);
    const auto output = preprocessor->forward(input);
    CHECK(output.inputs.sizes() == shape);
    CHECK(preprocessor->num_channels() == shape[2]);
  };
  check(image_options(PerceiverPrepType::pixels), image, {2, 96, 3 + 10});
  check(image_options(PerceiverPrepType::pixels, 3), video, {2, 4 * 96, 3 + 15});
  auto options = image_options(PerceiverPrepType::conv1x1);
  options.spatial_downsample = 2;
  check(options, image, {2, 24, 64 + 10});
  options = image_options(PerceiverPrepType::patches);
  options.spatial_downsample = 4;
  check(options, image, {2, 6, 48 + 10});
  options = image_options(PerceiverPrepType::patches, 3);
  options.spatial_downsample = 2;
  options.temporal_downsample = 2;
  check(options, video, {2, 2 * 24, 3 * 2 * 4 + 15});
  options = image_options(PerceiverPrepType::pixels, 3);
  options.spatial_downsample = 2;
  options.temporal_downsample = 2;
  check(options, video, {2, 2 * 24, 3 + 15});
  // Frames that become one lose their dimension; a linear layer follows.
  options = image_options(PerceiverPrepType::patches);
  options.temporal_downsample = 4;
  options.conv_after_patching = true;
  options.conv_after_patching_in_channels = 12;
  options.out_channels = 5;
  check(options, video, {2, 96, 5 + 10});
}

TEST_CASE("positions are joined as asked", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto options = image_options(PerceiverPrepType::conv1x1);
  options.out_channels = 10;
  options.concat_or_add_pos = PerceiverPositionJoin::add;
  const auto preprocessor = make(options);
  const auto image = torch::rand({1, 3, 4, 4});
  const auto output = preprocessor->forward(image);
  const auto positions = preprocessor->positions.on_grid(torch::zeros({1, 4, 4, 3}));
  CHECK(torch::equal(output.inputs, output.inputs_without_pos.tensor + positions));
  options.out_channels = 9;
  CHECK(error_of([&] { make(options)->forward(image); }) ==
        "[model] inputs: expected 10 channels, as the encoding to be added, got 9.");
}

TEST_CASE("trainable positions are for one size unless they are resized", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto options = image_options(PerceiverPrepType::conv1x1);
  options.position_encoding_type = PerceiverPositionEncodingType::trainable;
  options.trainable_position_encoding_kwargs = PerceiverTrainableOptions{int64_t{16}, 7};
  const auto preprocessor = make(options);
  const auto image = torch::rand({2, 3, 4, 4});
  const PerceiverPreprocessorOptions resize{"inputs", true};
  CHECK(torch::equal(preprocessor->forward(image, resize).inputs,
                     preprocessor->forward(image).inputs));
  const auto larger = torch::rand({2, 3, 6, 5});
  CHECK(preprocessor->forward(larger, resize).inputs.sizes() == at::IntArrayRef({2, 30, 64 + 7}));
  CHECK(error_of([&] { preprocessor->forward(larger); }) ==
        "[model] inputs: expected 16 positions, as the encoding has, got 30. Trainable positions "
        "are for inputs of one size.");
}

TEST_CASE("image preprocessors check arguments and inputs", "[perceiver]") {
  const auto message = [](const PerceiverImagePreprocessorOptions& options) {
    return error_of([&] { make(options); });
  };
  auto options = image_options(PerceiverPrepType::conv);
  options.spatial_downsample = 8;
  CHECK(message(options) ==
        "[usage] PerceiverImagePreprocessor: spatial_downsample: expected a power of 4 for "
        "prep_type conv, got 8.");
  options = image_options(PerceiverPrepType::conv1x1);
  options.temporal_downsample = 2;
  CHECK(message(options) ==
        "[usage] PerceiverImagePreprocessor: temporal_downsample: expected 1 for prep_type conv "
        "and conv1x1, got 2.");
  const auto preprocessor = make(image_options(PerceiverPrepType::pixels));
  CHECK(error_of([&] {
          preprocessor->forward(torch::rand({1, 4, 8, 8}), {"inputs.image"});
        }) ==
        "[model] inputs.image: expected a floating-point tensor [B, 3, H, W], got Float [1, 4, 8, "
        "8].");
  CHECK(error_of([&] {
          preprocessor->forward(torch::rand({1, 2, 3, 8, 8}));
        }) ==
        "[model] inputs: expected 2 dimensions of positions, as max_resolution has, got 3 in Float "
        "[1, 2, 3, 8, 8].");
  CHECK(error_of([&] {
          preprocessor->forward(torch::rand({0, 3, 8, 8}));
        }) == "[model] inputs: expected a batch of at least one, got Float [0, 3, 8, 8].");
  CHECK(error_of([&] { preprocessor->forward(PerceiverModalities()); }) ==
        "[model] inputs: expected a tensor, got none.");
}

TEST_CASE("texts are embedded with their positions", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto config = small_perceiver_config();
  const PerceiverTextPreprocessor text(config);
  const auto ids = torch::tensor({{3, 10, 0}, {3, 3, 3}});
  const auto output = text->forward(ids);
  CHECK(output.inputs.sizes() == at::IntArrayRef({2, 3, 16}));
  CHECK(torch::equal(output.inputs[1][2],
                     text->embeddings->weight[3] + text->position_embeddings->weight[2]));
  CHECK(torch::equal(output.inputs_without_pos.tensor[0][1], text->embeddings->weight[10]));
  CHECK(torch::equal(text->forward(ids.to(torch::kInt)).inputs, output.inputs));
  CHECK(error_of([&] {
          text->forward(torch::tensor({{3, 11}}));
        }) ==
        "[model] inputs: expected ids from 0 to 10, got ids from 3 to 11. The tokenizer may belong "
        "to another model.");
  CHECK(error_of([&] {
          text->forward(torch::zeros({1, 8}, torch::kLong));
        }) ==
        "[model] inputs: expected an Int or Long tensor [texts, length] of length 1 to 7, as "
        "/max_position_embeddings says, got Long [1, 8]. Truncate texts that are too long.");
}

TEST_CASE("sound becomes patches, a class one position", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto config = small_perceiver_config();
  PerceiverAudioPreprocessorOptions options;
  options.samples_per_patch = 4;
  options.fourier_position_encoding_kwargs = fourier_options({12});
  const PerceiverAudioPreprocessor audio(config, options);
  const auto samples = torch::arange(12, torch::kFloat).view({1, 12, 1});
  const auto output = audio->forward(samples);
  CHECK(audio->num_channels() == 4 + 5);
  REQUIRE(output.inputs.sizes() == at::IntArrayRef({1, 3, 9}));
  CHECK(torch::equal(output.inputs[0][1].slice(0, 0, 4), torch::arange(4, 8, torch::kFloat)));
  CHECK(torch::equal(audio->forward(samples.squeeze(2)).inputs, output.inputs));
  for (const auto& bad : {torch::rand({1, 11, 1}), torch::rand({1, 12, 2})}) {
    CHECK(error_of([&] { audio->forward(bad, {"inputs.audio"}); })
              .find("[model] inputs.audio: expected a floating-point tensor [B, samples, 1] with a "
                    "multiple of 4 samples, got Float") == 0);
  }

  const PerceiverOneHotPreprocessor label(config);
  const auto classes = torch::rand({2, 3});
  CHECK(torch::equal(label->forward(classes).inputs, classes.unsqueeze(1)));
  CHECK(error_of([&] {
          label->forward(torch::rand({2, 4}), {"inputs.label"});
        }) ==
        "[model] inputs.label: expected a floating-point tensor [B, 3], a value for each label, "
        "got Float [2, 4].");
}
