#include "vizoo/tasks/video_autoencoding.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

PerceiverForMultimodalAutoencoding small_autoencoder(int64_t samples_per_patch = 4) {
  PerceiverConfig config;
  config.num_latents = 4;
  config.d_latents = 8;
  config.d_model = 704;
  config.num_self_attends_per_block = 1;
  config.num_self_attention_heads = 2;
  config.num_cross_attention_heads = 1;
  config.num_frames = 2;
  config.audio_samples_per_frame = 20;
  config.samples_per_patch = samples_per_patch;
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
  const auto model = small_autoencoder();
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
  // A model that has its forward only.
  const VideoAutoencodingModel whole(model->config, [&](const PerceiverModalities& video) {
    return [&model, video](const PerceiverModalities& points) {
      return model->forward(video, points).logits;
    };
  });
  const auto result = autoencode_video(whole, frames, audio, VideoAutoencodingOptions().chunks(3));
  CHECK(torch::allclose(result.frames, expected, 1e-4, 1e-5));
  CHECK(torch::allclose(result.audio, torch::cat(sound, 1).flatten(), 1e-4, 1e-5));
}

TEST_CASE("a video or a sound that does not fit is an error that names it") {
  const auto model = small_autoencoder();
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

// Gives the frames of [T, H, W, 3] one after another.
VideoAutoencoder::FrameSource frames_of(const torch::Tensor& video) {
  return [video, next = int64_t{0}]() mutable {
    return next < video.size(0) ? video[next++] : torch::Tensor();
  };
}

TEST_CASE("a long video is decoded window by window, its end in one that ends with it") {
  const torch::NoGradGuard no_grad;
  // 40 samples a window: all of them are patches of 4; of patches of 3 there are 39.
  const int64_t samples_per_patch = GENERATE(4, 3);
  const auto model = small_autoencoder(samples_per_patch);
  const auto heard = autoencoding_samples(model->config);
  REQUIRE(heard == (samples_per_patch == 4 ? 40 : 39));
  const auto video = torch::randint(0, 256, {5, 8, 8, 3}, torch::kByte);
  const auto audio = torch::rand({101}) * 2 - 1;
  const auto options = VideoAutoencodingOptions().chunks(2);
  const auto window = [&](int64_t first) {
    return autoencode_video(
        *model, video.narrow(0, first, 2), audio.narrow(0, first * 20, heard), options);
  };
  const auto gap = torch::zeros({40 - heard});
  const std::vector<torch::Tensor> expected_audio = {window(0).audio,
                                                     torch::cat({gap, window(2).audio}),
                                                     window(3).audio.narrow(0, heard - 20, 20)};

  VideoAutoencoder windows(*model, frames_of(video), audio, options);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto found = windows.next();
    REQUIRE(found.has_value());
    const auto whole = window(i < 2 ? 2 * static_cast<int64_t>(i) : 3);
    CHECK(found->first_frame == 2 * static_cast<int64_t>(i));
    CHECK(torch::equal(found->frames, i < 2 ? whole.frames : whole.frames.narrow(0, 1, 1)));
    CHECK(torch::equal(found->audio, expected_audio[i]));
    CHECK(torch::equal(found->logits, whole.logits));
  }
  CHECK(!windows.next().has_value());
  CHECK(windows.frames_read() == 5);
  CHECK(autoencoding_windows(model->config, 5) == 3);
  CHECK(autoencoding_windows(model->config, 4) == 2);
}

TEST_CASE("a video ends where its sound ends, and has at least one window") {
  const torch::NoGradGuard no_grad;
  const auto model = small_autoencoder();
  const auto video = torch::randint(0, 256, {9, 8, 8, 3}, torch::kByte);
  VideoAutoencoder windows(*model, frames_of(video), torch::zeros({79}));
  CHECK(windows.next()->frames.size(0) == 2);
  CHECK(windows.next()->frames.size(0) == 1);
  CHECK(!windows.next().has_value());
  VideoAutoencoder one_frame(*model, frames_of(video.narrow(0, 0, 1)), torch::zeros({79}));
  CHECK_THROWS_WITH(one_frame.next(), "[task] image: expected at least 2 frames, got 1.");
  CHECK_THROWS_WITH(VideoAutoencoder(*model, frames_of(video), torch::zeros({39})),
                    "[task] audio: expected float32 [samples], at least 40, got CPUFloatType "
                    "[39].");
}

}  // namespace
}  // namespace vizoo
