#include "vizoo/tasks/video_autoencoding.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

PerceiverForMultimodalAutoencoding small_model() {
  PerceiverConfig config;
  config.num_latents = 4;
  config.d_latents = 8;
  config.d_model = 704;
  config.num_self_attends_per_block = 1;
  config.num_self_attention_heads = 2;
  config.num_cross_attention_heads = 1;
  config.num_frames = 2;
  config.audio_samples_per_frame = 20;
  config.samples_per_patch = 4;
  config.image_size = 8;
  config.output_shape = {1, 2, 8, 8};
  config.output_num_channels = 16;
  config.label_trainable_num_channels = 12;
  torch::manual_seed(2);
  PerceiverForMultimodalAutoencoding model(config);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) parameter.normal_(0.0, 0.2);
  model->eval();
  return model;
}

TEST_CASE("a video is decoded in parts as upstream's loop over forward does") {
  const torch::NoGradGuard no_grad;
  const auto model = small_model();
  const auto frames = torch::randint(0, 256, {2, 8, 8, 3}, torch::kByte);
  const auto audio = torch::rand({40}) * 2 - 1;
  PerceiverModalities inputs;
  inputs["image"] = (frames.to(torch::kFloat32) / 255).permute({0, 3, 1, 2}).unsqueeze(0);
  inputs["audio"] = audio.reshape({1, 40, 1});
  inputs["label"] = torch::zeros({1, 2});
  std::vector<torch::Tensor> image;
  std::vector<torch::Tensor> sound;
  torch::Tensor label;
  for (int64_t chunk = 0; chunk < 2; ++chunk) {
    PerceiverModalities points;
    points["image"] = torch::arange(64 * chunk, 64 * (chunk + 1));
    points["audio"] = torch::arange(5 * chunk, 5 * (chunk + 1));
    const auto output = model->forward(inputs, points);
    image.push_back(output.logits.at("image"));
    sound.push_back(output.logits.at("audio"));
    label = output.logits.at("label");
  }
  const auto expected = torch::cat(image, 1).reshape({2, 8, 8, 3});
  int64_t calls = 0;
  // 2 parts as above; 3, which divide neither; 99, of which 10 have an audio patch each.
  for (const int64_t chunks : {2, 3, 99}) {
    const auto options = VideoAutoencodingOptions().chunks(chunks).on_chunk([&] { ++calls; });
    const auto result = autoencode_video(*model, frames, audio, options);
    CHECK(torch::allclose(result.frames, expected, 1e-4, 1e-5));
    CHECK(torch::allclose(result.audio, torch::cat(sound, 1).flatten(), 1e-4, 1e-5));
    CHECK(torch::allclose(result.logits, label, 1e-4, 1e-5));
  }
  CHECK(calls == 2 + 3 + 10);
}

TEST_CASE("a video or a sound that does not fit is an error that names it") {
  const auto model = small_model();
  const auto frames = torch::zeros({2, 8, 8, 3}, torch::kByte);
  const auto audio = torch::zeros({40});
  const auto message = [&](const torch::Tensor& image, const torch::Tensor& sound) {
    try {
      autoencode_video(*model, image, sound);
    } catch (const ShapeError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message(frames, torch::zeros({39})) ==
        "[task] audio: expected float32 [40], got CPUFloatType [39].");
  CHECK(message(frames.narrow(0, 0, 1), audio) ==
        "[task] image: expected uint8 [2, 8, 8, 3], got CPUByteType [1, 8, 8, 3].");
  CHECK(message(frames.to(torch::kFloat32), audio) != "");
  CHECK(message({}, audio) != "");
  CHECK(message(frames, {}) != "");
  CHECK_THROWS_AS(autoencode_video(*model, frames, audio, VideoAutoencodingOptions().chunks(0)),
                  UsageError);
}

}  // namespace
}  // namespace vizoo
