// OWLv2 checkpoints: parts of one another, keys of other versions, calls by name.
#include <functional>
#include <map>

#include "test/support/catch.h"
#include "test/support/small_owlv2.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/hub/named_forward.h"
#include "vizoo/hub/save_pretrained.h"

using namespace vizoo;
using vizoo::test::largest_difference;
using vizoo::test::random_owlv2;
using vizoo::test::small_owlv2_config;
using vizoo::test::small_owlv2_pixels;
using vizoo::test::small_owlv2_texts;
using vizoo::test::TemporaryFolder;

namespace {

Owlv2ForObjectDetection saved_detector(const TemporaryFolder& folder) {
  auto model = random_owlv2<Owlv2ForObjectDetection>(small_owlv2_config(), 2);
  save_pretrained(model, folder.path());
  return model;
}

// Rewrites the weights: `change` edits the list of names and tensors.
void rewrite_config(const TemporaryFolder& folder,
                    const std::function<void(std::map<std::string, torch::Tensor>&)>& change) {
  std::map<std::string, torch::Tensor> tensors;
  {
    const Checkpoint checkpoint(folder.path());
    for (const auto& tensor : checkpoint.tensors()) {
      tensors[tensor.name] = load_tensor(tensor.file, tensor.view).clone();
    }
  }
  change(tensors);
  std::vector<TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back(
        {name, *safetensors_dtype(tensor.scalar_type()), tensor.sizes().vec(), tensor.data_ptr()});
  }
  write_safetensors(folder / "model.safetensors", entries, SafetensorsMetadata{{"format", "pt"}});
}

std::vector<std::string> names(const NamedTensors& tensors) {
  std::vector<std::string> list;
  for (const auto& [name, tensor] : tensors) list.push_back(name);
  return list;
}

}  // namespace

TEST_CASE("a detector's checkpoint loads as itself and as each of its parts", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  const TemporaryFolder folder;
  auto model = saved_detector(folder);
  const auto ids = small_owlv2_texts();
  const auto pixels = small_owlv2_pixels(1);
  const auto expected = model->forward(ids, pixels);
  LoadReport report;
  const auto options = LoadOptions().report(&report);

  auto detector = AutoModelForZeroShotObjectDetection::from_pretrained(folder.path(), options);
  CHECK(report.warnings().empty());
  CHECK(torch::equal(detector->forward(ids, pixels).logits, expected.logits));
  auto text = from_pretrained<Owlv2TextModel>(folder.path(), options);
  CHECK(report.warnings().empty());  // the rest is left out silently
  CHECK(torch::equal(text->forward(ids).pooler_output, expected.text_model_output.pooler_output));
  auto vision = from_pretrained<Owlv2VisionModel>(folder.path(), options);
  CHECK(report.warnings().empty());
  CHECK(torch::equal(vision->forward(pixels).last_hidden_state,
                     expected.vision_model_output.last_hidden_state));
  auto base = from_pretrained<Owlv2Model>(folder.path(), options);
  REQUIRE(report.warnings().size() == 1);
  CHECK(report.warnings()[0].rfind("in the checkpoint but not in the model, ignored: box_head",
                                   0) == 0);
  CHECK(torch::equal(base->get_text_features(ids), model->owlv2->get_text_features(ids)));
  CHECK_THROWS_WITH(AutoModel::from_pretrained(folder.path()),
                    Catch::Matchers::Contains("expected a model for base-model, got \"owlv2\""));
}

TEST_CASE("parts load into what they are parts of, the rest is new", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  const TemporaryFolder folder;
  auto base = random_owlv2<Owlv2Model>(small_owlv2_config(), 2);
  save_pretrained(base, folder.path());
  LoadReport report;
  torch::manual_seed(1);
  auto detector =
      from_pretrained<Owlv2ForObjectDetection>(folder.path(), LoadOptions().report(&report));
  CHECK(torch::equal(detector->owlv2->text_projection->weight, base->text_projection->weight));
  CHECK(report.missing.size() == 20);
  CHECK(detector->box_head->dense0->bias.count_nonzero().item<int64_t>() == 0);
  const double bound = 1 / std::sqrt(12.0);  // as torch.nn.Linear
  CHECK(detector->box_head->dense0->weight.abs().max().item<double>() <= bound);
  CHECK(detector->box_head->dense0->weight.abs().max().item<double>() > bound / 2);
  CHECK(detector->layer_norm->weight.eq(1).all().item<bool>());

  // One weight of an attention: its neighbours keep theirs.
  const char* kName = "text_model.encoder.layers.0.self_attn.k_proj.weight";
  rewrite_config(folder, [&](auto& tensors) {
    tensors.erase(kName);
    tensors.erase("visual_projection.weight");
    tensors.erase("vision_model.embeddings.class_embedding");
  });
  auto loaded = from_pretrained<Owlv2Model>(folder.path(), LoadOptions().report(&report));
  CHECK(report.missing.size() == 3);
  const auto parameters = loaded->named_parameters();
  const auto old = base->named_parameters();
  for (const auto& parameter : old) {
    const bool gone =
        std::count(report.missing.begin(), report.missing.end(), parameter.key()) != 0;
    CAPTURE(parameter.key());
    CHECK(torch::equal(parameters[parameter.key()], parameter.value()) != gone);
  }
  // N(0, (8 * 4)^-1/2)
  const auto std = parameters[kName].std().item<double>();
  CHECK(std == Approx(1 / std::sqrt(32.0)).epsilon(0.4));
}

TEST_CASE("keys that other versions saved are left out silently", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  const TemporaryFolder folder;
  saved_detector(folder);
  rewrite_config(folder, [&](auto& tensors) {
    tensors["owlv2.text_model.embeddings.position_ids"] = torch::arange(6).unsqueeze(0);
    tensors["owlv2.vision_model.embeddings.position_ids"] = torch::arange(17).unsqueeze(0);
    tensors["box_bias"] = torch::zeros({16, 4});
    tensors["owlv2.spare"] = torch::zeros({1});
  });
  LoadReport report;
  from_pretrained<Owlv2ForObjectDetection>(folder.path(), LoadOptions().report(&report));
  CHECK(report.unexpected == std::vector<std::string>{"owlv2.spare"});
  from_pretrained<Owlv2TextModel>(folder.path(), LoadOptions().report(&report));
  CHECK(report.unexpected.empty());
}

TEST_CASE("what is saved is a composite config and loads back", "[owlv2]") {
  const TemporaryFolder folder;
  saved_detector(folder);
  const auto config = read_json_file(folder / "config.json");
  CHECK(config["model_type"] == "owlv2");
  CHECK(config["architectures"] == Json{"Owlv2ForObjectDetection"});
  CHECK(config["text_config"]["model_type"] == "owlv2_text_model");
  CHECK(config["text_config"]["hidden_size"] == 8);
  CHECK_FALSE(config["text_config"].contains("hidden_act"));
  CHECK(config["vision_config"]["patch_size"] == 3);
  CHECK(config["projection_dim"] == 8);
}

TEST_CASE("overrides reach a tower's own config, or replace a nested one", "[owlv2]") {
  const TemporaryFolder folder;
  saved_detector(folder);
  const auto with = [](const char* key, const char* json) {
    return LoadOptions().overrides({{key, json}});
  };
  const auto text = from_pretrained<Owlv2TextModel>(folder.path(), with("hidden_act", "\"gelu\""));
  CHECK(text->config.hidden_act == Activation::gelu);
  CHECK(text->config.hidden_size == 8);
  CHECK_THROWS_AS(from_pretrained<Owlv2TextModel>(folder.path(), with("patch_size", "4")),
                  UsageError);
  // As upstream a nested config is replaced as a whole, so here nothing fits any more.
  CHECK_THROWS_AS(
      from_pretrained<Owlv2Model>(folder.path(), with("text_config", R"({"vocab_size": 20})")),
      CheckpointError);
}

TEST_CASE("methods are called by their names", "[owlv2]") {
  const TemporaryFolder folder;
  auto model = saved_detector(folder);
  const NamedArguments both = {{"input_ids", small_owlv2_texts()},
                               {"pixel_values", small_owlv2_pixels(3)}};
  const NamedArguments images = {{"pixel_values", small_owlv2_pixels(1)}};
  const NamedArguments texts = {{"input_ids", small_owlv2_texts()}};
  auto& base = *model->owlv2;
  const auto call = [](PretrainedModelImpl& to, const NamedArguments& with, const char* method) {
    return names(run_named_forward(to, with, NamedForward().method(method)));
  };
  CHECK(call(base, texts, "get_text_features") == std::vector<std::string>{"text_features"});
  CHECK(call(base, images, "get_image_features") == std::vector<std::string>{"image_features"});
  CHECK(call(*model, images, "image_embedder") ==
        std::vector<std::string>{"image_embeds",
                                 "vision_model_output.last_hidden_state",
                                 "vision_model_output.pooler_output"});
  auto with_query = images;
  with_query["query_pixel_values"] = small_owlv2_pixels(1);
  CHECK(call(*model, with_query, "image_guided_detection").front() == "logits");
  auto with_loss = both;
  with_loss["return_loss"] = torch::tensor(true);
  const auto outputs = call(base, with_loss, "forward");
  CHECK(outputs.front() == "loss");
  CHECK(outputs[5] == "text_model_output.last_hidden_state");
  with_loss["return_loss"] = torch::tensor(false);
  CHECK(call(base, with_loss, "forward").front() == "logits_per_image");
  with_loss["return_loss"] = torch::tensor(1);
  CHECK_THROWS_WITH(call(base, with_loss, "forward"),
                    "[model] return_loss: expected a Bool tensor of one element, got Long [].");
  CHECK_THROWS_WITH(call(base, images, "get_features"),
                    "[model] Owlv2Model: expected one of the methods forward, get_text_features, "
                    "get_image_features, got \"get_features\".");
  CHECK_THROWS_WITH(call(base, images, "get_text_features"),
                    "[model] Owlv2Model.get_text_features: expected the arguments input_ids, "
                    "attention_mask, got \"pixel_values\".");
  CHECK_THROWS_WITH(call(base, texts, "forward"),
                    "[model] Owlv2Model.forward: expected a tensor \"pixel_values\", got none.");
}

TEST_CASE("an OWLv2 is cloned with its weights", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = random_owlv2<Owlv2ForObjectDetection>(small_owlv2_config(), 2);
  const auto copy = std::dynamic_pointer_cast<Owlv2ForObjectDetectionImpl>(model->clone());
  const auto ids = small_owlv2_texts();
  const auto pixels = small_owlv2_pixels(1);
  CHECK(torch::equal(copy->forward(ids, pixels).logits, model->forward(ids, pixels).logits));
}
