// PerceiverModel and the models with heads.
#include <limits>

#include "test/support/catch.h"
#include "test/support/small_perceiver.h"
#include "vizoo/models/perceiver/perceiver_autoencoding.h"
#include "vizoo/models/perceiver/perceiver_image_classification.h"
#include "vizoo/models/perceiver/perceiver_language.h"
#include "vizoo/models/perceiver/perceiver_multimodal.h"
#include "vizoo/models/perceiver/perceiver_optical_flow.h"

using namespace vizoo;
using vizoo::test::error_of;
using vizoo::test::largest_difference;
using vizoo::test::random_perceiver;
using vizoo::test::small_perceiver_config;

namespace {

const auto kEverything = PerceiverOptions().output_hidden_states(true).output_attentions(true);

torch::Tensor texts() { return torch::tensor({{3, 1, 4, 1, 5}, {9, 2, 6, 0, 0}}); }

PerceiverModalities videos() {
  torch::manual_seed(8);
  return {{"image", torch::rand({2, 2, 3, 4, 8})},
          {"audio", torch::rand({2, 24, 1})},
          {"label", torch::zeros({2, 3})}};
}

PerceiverModalities points(int64_t image_first, int64_t image_count) {
  return {{"image", torch::arange(image_first, image_first + image_count)},
          {"audio", torch::tensor({5, 0})}};
}

// Parameters of a class at a published size; nothing is allocated.
template <class Model>
int64_t parameter_count(const PerceiverConfig& config) {
  const nn::NoInitGuard no_init;
  const Model model(config);
  int64_t count = 0;
  for (const auto& parameter : model->parameters()) count += parameter.numel();
  return count;
}

PerceiverConfig published(int64_t num_latents, int64_t d_latents, int64_t blocks, int64_t layers) {
  PerceiverConfig config;
  config.num_latents = num_latents;
  config.d_latents = d_latents;
  config.num_blocks = blocks;
  config.num_self_attends_per_block = layers;
  config.num_cross_attention_heads = 1;
  return config;
}

}  // namespace

TEST_CASE("published Perceivers have the known number of parameters", "[perceiver]") {
  auto language = published(256, 1280, 1, 26);
  language.num_cross_attention_heads = 8;
  language.qk_channels = 256;
  language.v_channels = 1280;
  CHECK(parameter_count<PerceiverForMaskedLM>(language) == 201108230);
  auto vision = published(512, 1024, 8, 6);
  vision.set_num_labels(1000);
  CHECK(parameter_count<PerceiverForImageClassificationFourier>(vision) == 48440627);
  CHECK(parameter_count<PerceiverForImageClassificationConvProcessing>(vision) == 48646522);
  vision.image_size = 224;
  CHECK(parameter_count<PerceiverForImageClassificationLearned>(vision) == 62255848);
  auto flow = published(2048, 512, 1, 24);
  flow.num_self_attention_heads = 16;
  CHECK(parameter_count<PerceiverForOpticalFlow>(flow) == 41057134);
  auto multimodal = published(784, 512, 1, 8);
  multimodal.set_num_labels(700);
  CHECK(parameter_count<PerceiverForMultimodalAutoencoding>(multimodal) == 19858855);
}

TEST_CASE("hidden states and attentions are counted as upstream does", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto model = random_perceiver<PerceiverForSequenceClassification>(small_perceiver_config());
  const auto output = model->perceiver->forward(texts(), kEverything);
  CHECK(output.hidden_states.size() == 3 * (2 + 1));
  CHECK(output.attentions.size() == 3 * 2);
  REQUIRE(output.cross_attentions.size() == 2);
  CHECK(output.attentions[5].sizes() == at::IntArrayRef({2, 2, 5, 5}));
  CHECK(output.cross_attentions[0].sizes() == at::IntArrayRef({2, 1, 5, 5}));
  CHECK(output.cross_attentions[1].sizes() == at::IntArrayRef({2, 1, 1, 5}));
  CHECK(torch::equal(output.hidden_states.back(), output.last_hidden_state));
  CHECK(torch::equal(output.hidden_states[2], output.hidden_states[3]));
  const auto plain = model->perceiver->forward(texts());
  CHECK(plain.hidden_states.empty());
  CHECK(plain.cross_attentions.empty());
  CHECK(largest_difference(plain.logits, output.logits) < 1e-5);
  // (logits, latents, hidden states, attentions, encoder's map), decoder's map
  const auto tuple = to_tuple(output);
  REQUIRE(tuple.size() == 6);
  CHECK(tuple[4].size() == 1);
  CHECK(torch::equal(tuple[5][0], output.cross_attentions[1]));
}

TEST_CASE("row i of a head mask counts for layer i of every block", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto model = random_perceiver<PerceiverForSequenceClassification>(small_perceiver_config());
  auto mask = torch::ones({6, 2});
  mask[1][0] = 0.0;
  mask.slice(0, 2).zero_();  // rows that no layer looks at
  const auto output = model->forward(texts(), PerceiverOptions(kEverything).head_mask(mask));
  for (std::size_t i = 0; i < 6; ++i) {
    const auto largest = output.attentions[i].amax({0, 2, 3});
    CHECK((largest[0].item<float>() == 0.0F) == (i % 2 == 1));
    CHECK(largest[1].item<float>() > 0.0F);
  }
  const auto rows = model->forward(texts(), PerceiverOptions().head_mask(mask.slice(0, 0, 2)));
  CHECK(largest_difference(rows.logits, output.logits) < 1e-6);
  CHECK(error_of([&] { model->forward(texts(), PerceiverOptions().head_mask(mask[0][0])); }) ==
        "[model] head_mask: expected [heads] or [layers, heads] with 2 heads and at least 2 "
        "layers, got Float [].");
}

TEST_CASE("masked inputs do not count", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto model = random_perceiver<PerceiverForSequenceClassification>(small_perceiver_config());
  const auto mask = torch::tensor({{1, 1, 1, 0, 0}, {1, 1, 1, 0, 0}});
  const auto masked = model->forward(texts(), PerceiverOptions().attention_mask(mask));
  const auto shorter = model->forward(texts().slice(1, 0, 3));
  CHECK(largest_difference(masked.logits, shorter.logits) < 1e-5);
  const auto rows = mask.unsqueeze(1).expand({2, 5, 5}).to(torch::kBool);
  const auto same = model->forward(texts(), PerceiverOptions().attention_mask(rows));
  CHECK(largest_difference(same.logits, masked.logits) < 1e-6);
  CHECK(error_of([&] {
          model->forward(texts(), PerceiverOptions().attention_mask(mask.slice(1, 1)));
        }) ==
        "[model] attention_mask: expected [2, 5], a value for each position after the "
        "preprocessor, got Long [2, 4].");
}

TEST_CASE("a Perceiver without components takes d_model channels", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto model = random_perceiver<PerceiverModel>(small_perceiver_config());
  const auto output = model->forward(torch::rand({2, 9, 16}));
  CHECK(output.last_hidden_state.sizes() == at::IntArrayRef({2, 5, 8}));
  CHECK_FALSE(output.logits.defined());
  CHECK(error_of([&] {
          model->forward(torch::rand({2, 9, 15}));
        }) ==
        "[model] inputs: expected a floating-point tensor [B, N, 16], as /d_model says, got Float "
        "[2, 9, 15].");
  CHECK(model->argument_names() ==
        std::vector<std::string>{
            "inputs", "attention_mask", "head_mask", "interpolate_pos_encoding"});
}

TEST_CASE("masked bytes have logits at all positions, or at some", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto model = random_perceiver<PerceiverForMaskedLM>(small_perceiver_config());
  const auto output = model->forward(texts());
  REQUIRE(output.logits.sizes() == at::IntArrayRef({2, 7, 11}));
  const auto positions = torch::tensor({6, 1, 1});
  const auto some = model->decode(model->encode(texts()), positions);
  CHECK(largest_difference(some, output.logits.index_select(1, positions)) < 1e-5);
  CHECK(error_of([&] { model->decode(model->encode(texts()), torch::tensor({7})); }) ==
        "[model] positions: expected Int or Long [positions] from 0 to 6, got Long [1].");

  auto labels = torch::full({2, 7}, -100, torch::kLong);
  labels[1][4] = 10;
  const auto loss = model->forward(texts(), PerceiverOptions().labels(labels)).loss;
  const auto expected = -output.logits[1][4].log_softmax(0)[10];
  CHECK(largest_difference(loss, expected) < 1e-5);
  CHECK(error_of([&] { model->forward(texts(), PerceiverOptions().labels(texts())); }) ==
        "[loss] labels: expected Int or Long [2, 7], as many as /max_position_embeddings, got Long "
        "[2, 5].");
  labels[0][0] = 11;
  CHECK(error_of([&] { model->forward(texts(), PerceiverOptions().labels(labels)); }) ==
        "[loss] labels: expected ids from 0 to 10 or -100, got others.");
}

TEST_CASE("heads take one name of their inputs", "[perceiver]") {
  auto model = random_perceiver<PerceiverForMaskedLM>(small_perceiver_config());
  const torch::NoGradGuard no_grad;
  const auto named = model->forward_named({{"input_ids", texts()}}, {});
  CHECK(
      torch::equal(named.at(0).second, model->forward_named({{"inputs", texts()}}, {})[0].second));
  CHECK(error_of([&] {
          model->forward_named({{"inputs", texts()}, {"input_ids", texts()}}, {});
        }) == "[model] arguments: expected one of inputs and input_ids, got both.");
  CHECK(error_of([&] { model->forward_named({}, {}); }) ==
        "[model] PerceiverForMaskedLM.forward: expected a tensor \"input_ids\", got none.");
}

TEST_CASE("image classifiers take images of the sizes that they are for", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto config = small_perceiver_config();
  auto learned = random_perceiver<PerceiverForImageClassificationLearned>(config);
  const auto image = torch::rand({2, 3, 6, 6});
  const auto output = learned->forward(image, kEverything);
  CHECK(output.logits.sizes() == at::IntArrayRef({2, 3}));
  CHECK(output.cross_attentions[0].size(3) == 36);
  CHECK(largest_difference(learned->forward(image).logits, output.logits) < 1e-5);
  const auto resize = PerceiverOptions().interpolate_pos_encoding(true);
  CHECK(torch::equal(learned->forward(image, resize).logits, learned->forward(image).logits));
  CHECK(learned->forward(torch::rand({1, 3, 9, 5}), resize).logits.size(1) == 3);
  CHECK(error_of([&] {
          learned->forward(torch::rand({1, 3, 9, 5}));
        }).find("[model] inputs: expected 36 positions") == 0);

  auto fourier = random_perceiver<PerceiverForImageClassificationFourier>(config);
  CHECK(fourier->forward(torch::rand({1, 3, 4, 7})).logits.size(1) == 3);
  auto conv = random_perceiver<PerceiverForImageClassificationConvProcessing>(config);
  CHECK(conv->forward(torch::rand({1, 3, 17, 21})).logits.size(1) == 3);

  const auto labels = ForwardOptions().labels(torch::tensor({2, 0}));
  CHECK(learned->forward(image, labels).loss.dim() == 0);
  CHECK(learned->config.problem_type == ProblemType::single_label_classification);
}

TEST_CASE("optical flow wants two frames of patches of train_size", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto model = random_perceiver<PerceiverForOpticalFlow>(small_perceiver_config());
  const auto output = model->forward(torch::rand({2, 2, 27, 4, 6}), kEverything);
  CHECK(output.logits.sizes() == at::IntArrayRef({2, 4, 6, 2}));
  CHECK(output.cross_attentions[1].sizes() == at::IntArrayRef({2, 1, 24, 5}));
  CHECK(error_of([&] {
          model->forward(torch::rand({2, 2, 27, 4, 5}));
        }) ==
        "[model] inputs: expected two frames of 3 x 3 patches, floating point [B, 2, 27, 4, 6], as "
        "/train_size says, got Float [2, 2, 27, 4, 5]. Larger frames are cut into tiles.");
}

TEST_CASE("a video is encoded once and decoded in parts", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto model = random_perceiver<PerceiverForMultimodalAutoencoding>(small_perceiver_config());
  const auto whole = model->forward(videos(), points(0, 64)).logits;
  CHECK(whole.at("image").sizes() == at::IntArrayRef({2, 64, 3}));
  CHECK(whole.at("audio").sizes() == at::IntArrayRef({2, 2 * 4}));
  CHECK(whole.at("label").sizes() == at::IntArrayRef({2, 3}));
  const auto encoding = model->encode(videos());
  for (const int64_t first : {0, 24}) {
    const auto part = model->decode(encoding, points(first, 40));
    CHECK(largest_difference(part.at("image"), whole.at("image").slice(1, first, first + 40)) <
          1e-5);
    CHECK(largest_difference(part.at("label"), whole.at("label")) < 1e-5);
  }
  // The label that goes in does not count.
  auto other = videos();
  other["label"] = torch::ones({2, 3});
  CHECK(torch::equal(model->forward(other, points(0, 64)).logits.at("image"), whole.at("image")));
}

TEST_CASE("videos that do not fit are named", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto model = random_perceiver<PerceiverForMultimodalAutoencoding>(small_perceiver_config());
  const auto message = [&](const char* modality, const torch::Tensor& tensor) {
    auto inputs = videos();
    inputs[modality] = tensor;
    return error_of([&] { model->forward(inputs, points(0, 4)); });
  };
  CHECK(message("image", torch::rand({2, 2, 3, 5, 8})) ==
        "[model] inputs.image: expected [B, channels, H, W] or [B, frames, channels, H, W] with "
        "height and width multiples of 4 and frames of 1, got Float [2, 2, 3, 5, 8].");
  CHECK(message("image", torch::rand({2, 2, 1, 4, 8})) ==
        "[model] inputs.image: expected a floating-point tensor [B, frames, 3, H, W], got Float "
        "[2, 2, 1, 4, 8].");
  CHECK(message("audio", torch::rand({2, 23, 1})) ==
        "[model] inputs.audio: expected a floating-point tensor [B, samples, 1] with a multiple of "
        "4 samples, got Float [2, 23, 1].");
  CHECK(message("label", torch::rand({2, 700})) ==
        "[model] inputs.label: expected a floating-point tensor [B, 3], a value for each label, "
        "got Float [2, 700].");
  CHECK(message("smell", torch::rand({2, 3})) ==
        "[model] inputs: expected the modalities audio, image, label, got \"smell\".");
  CHECK(error_of([&] {
          model->forward(videos(), {{"image", torch::tensor({0})}});
        }) ==
        "[model] subsampled_output_points.audio: expected indices [queries], Int or Long, got "
        "none. Decode audio and image in parts, each with its points.");
  CHECK(error_of([&] { model->forward(videos(), points(60, 8)); }) ==
        "[model] subsampled_output_points.image: expected indices [queries], Int or Long, from 0 "
        "to 63, got indices from 60 to 67.");
}

TEST_CASE("a Perceiver's copy is independent", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto check = [](auto model, const auto& call) {
    using Impl = std::decay_t<decltype(*model)>;
    const auto copy = std::dynamic_pointer_cast<Impl>(model->clone());
    const auto expected = call(*model);
    CHECK(torch::equal(call(*copy), expected));
    for (auto& parameter : copy->parameters()) parameter.zero_();
    CHECK(torch::equal(call(*model), expected));
  };
  const auto config = small_perceiver_config();
  const auto video = random_perceiver<PerceiverForMultimodalAutoencoding>(config);
  check(video.ptr(),
        [](auto& model) { return model.forward(videos(), points(0, 4)).logits.at("image"); });
  check(video->perceiver.ptr(), [](auto& model) {
    return model.forward(videos(), PerceiverOptions().subsampled_output_points(points(0, 4)))
        .modality_logits.at("audio");
  });
  check(random_perceiver<PerceiverForMaskedLM>(config).ptr(),
        [](auto& model) { return model.forward(texts()).logits; });
}

TEST_CASE("fresh Perceivers have weights of the config's range", "[perceiver]") {
  auto config = small_perceiver_config();
  config.initializer_range = 0.001;
  config.num_latents = 400;
  const PerceiverForMultimodalAutoencoding model(config);
  for (const auto& parameter : model->named_parameters()) {
    CAPTURE(parameter.key());
    const auto name = parameter.key().substr(parameter.key().rfind('.') + 1);
    const bool norm = parameter.key().find("layernorm") != std::string::npos;
    const auto largest = parameter.value().abs().max().item<double>();
    if (norm) {
      CHECK(largest == (name == "weight" ? 1.0 : 0.0));
    } else {
      CHECK((name == "bias" ? largest == 0.0 : largest > 0.0 && largest < 0.008));
    }
  }
}
