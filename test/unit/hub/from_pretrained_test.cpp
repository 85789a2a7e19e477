#include "vizoo/hub/from_pretrained.h"

#include <fstream>

#include "test/support/catch.h"
#include "test/support/small_convnext.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/io/file.h"
#include "vizoo/nn/loss.h"

using namespace vizoo;
using vizoo::test::randomize;
using vizoo::test::small_convnext_config;
using vizoo::test::TemporaryFolder;

namespace {

ConvNextForImageClassification random_classifier(uint64_t seed) {
  ConvNextForImageClassification model(small_convnext_config());
  randomize(model, seed);
  model->eval();
  return model;
}

torch::Tensor pixels() {
  torch::manual_seed(99);
  return torch::randn({2, 3, 40, 50});
}

// Rewrites the weights: `change` edits the list of names and tensors.
void rewrite(const TemporaryFolder& folder,
             const std::function<void(std::map<std::string, torch::Tensor>&)>& change) {
  std::map<std::string, torch::Tensor> tensors;
  {
    const Checkpoint checkpoint(folder.path());
    for (const auto& tensor : checkpoint.tensors()) {
      tensors[tensor.name] = load_tensor(tensor.file, tensor.view);
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

std::string load_error(const TemporaryFolder& folder, const LoadOptions& options = {}) {
  try {
    AutoModelForImageClassification::from_pretrained(folder.path(), options);
  } catch (const Error& error) {
    auto message = std::string(error.what());
    const auto path = folder.path().string();
    for (auto at = message.find(path); at != std::string::npos; at = message.find(path)) {
      message.replace(at, path.size(), "DIR");
    }
    return message;
  }
  return "no error";
}

}  // namespace

TEST_CASE("what was saved loads with the same answers", "[hub]") {
  const TemporaryFolder folder;
  auto model = random_classifier(1);
  save_pretrained(model, folder.path());
  LoadReport report;
  auto loaded =
      from_pretrained<ConvNextForImageClassification>(folder.path(), LoadOptions().report(&report));
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  CHECK_FALSE(loaded->is_training());
  CHECK(torch::equal(loaded->forward(pixels()).logits, model->forward(pixels()).logits));
  auto by_task = AutoModelForImageClassification::from_pretrained(folder.path());
  CHECK(torch::equal(by_task->forward(pixels()).logits, model->forward(pixels()).logits));
  CHECK(by_task->class_name() == "ConvNextForImageClassification");
}

TEST_CASE("parameters stay trainable and are the module's own", "[hub]") {
  const TemporaryFolder folder;
  save_pretrained(random_classifier(1), folder.path());
  auto model = from_pretrained<ConvNextForImageClassification>(folder.path());
  const auto options = ForwardOptions().labels(torch::tensor({int64_t{1}, int64_t{0}}));
  model->forward(pixels(), options).loss.backward();
  for (const auto& parameter : model->named_parameters()) {
    CAPTURE(parameter.key());
    CHECK(parameter.value().requires_grad());
    CHECK(parameter.value().grad().defined());
  }
}

TEST_CASE("head, base model and backbone load each other's weights", "[hub]") {
  const TemporaryFolder folder;
  auto head = random_classifier(2);
  save_pretrained(head, folder.path());
  LoadReport report;
  const auto options = LoadOptions().report(&report);

  auto base = from_pretrained<ConvNextModel>(folder.path(), options);
  CHECK(report.missing.empty());
  CHECK(report.unexpected == std::vector<std::string>{"classifier.bias", "classifier.weight"});
  CHECK(torch::equal(base->forward(pixels()).pooler_output,
                     head->convnext->forward(pixels()).pooler_output));

  auto backbone = AutoBackbone::from_pretrained(
      folder.path(), LoadOptions(options).overrides({{"out_indices", "[1, 3]"}}));
  CHECK(report.missing == std::vector<std::string>{"hidden_states_norms.stage1.bias",
                                                   "hidden_states_norms.stage1.weight",
                                                   "hidden_states_norms.stage3.bias",
                                                   "hidden_states_norms.stage3.weight"});
  CHECK(report.unexpected.size() == 4);  // the classifier and the last norm
  const auto states =
      head->convnext->forward(pixels(), ForwardOptions().output_hidden_states(true));
  const auto maps = backbone->forward(pixels(), ForwardOptions().output_hidden_states(true));
  CHECK(torch::equal(maps.hidden_states[3], states.hidden_states[3]));
  CHECK(maps.feature_maps.size() == 2);

  const TemporaryFolder base_folder;
  save_pretrained(base, base_folder.path());
  torch::manual_seed(17);
  auto again = from_pretrained<ConvNextForImageClassification>(base_folder.path(), options);
  CHECK(report.missing == std::vector<std::string>{"classifier.bias", "classifier.weight"});
  CHECK(torch::equal(again->convnext->forward(pixels()).pooler_output,
                     base->forward(pixels()).pooler_output));
  CHECK(again->classifier->bias.abs().sum().item<double>() == 0.0);
  torch::manual_seed(17);
  const auto drawn = torch::empty({5, 32}).normal_(0.0, again->config.initializer_range);
  CHECK(torch::equal(again->classifier->weight, drawn));
  CHECK(report.warnings() ==
        std::vector<std::string>{"not in the checkpoint and initialised anew: classifier.bias, "
                                 "classifier.weight"});
}

TEST_CASE("all tensors of another shape are named at once", "[hub]") {
  const TemporaryFolder folder;
  save_pretrained(random_classifier(3), folder.path());
  const auto options = LoadOptions().overrides({{"num_labels", "7"}});
  CHECK(load_error(folder, options) ==
        "[checkpoint] DIR/model.safetensors: classifier.bias: expected [7], got [5]; "
        "classifier.weight: expected [7, 32], got [5, 32]. config.json asks for the expected "
        "shapes; ignore_mismatched_sizes initialises such tensors anew.");
  LoadReport report;
  auto model = from_pretrained<ConvNextForImageClassification>(
      folder.path(), LoadOptions(options).ignore_mismatched_sizes(true).report(&report));
  REQUIRE(report.mismatched.size() == 2);
  CHECK(report.mismatched[1].name == "classifier.weight");
  CHECK(report.mismatched[1].checkpoint == std::vector<int64_t>{5, 32});
  CHECK(report.mismatched[1].model == std::vector<int64_t>{7, 32});
  CHECK(model->forward(pixels()).logits.sizes() == at::IntArrayRef{2, 7});
  CHECK(model->config.label(6) == "LABEL_6");
}

TEST_CASE("a config far from the tensors costs no memory", "[hub]") {
  const TemporaryFolder folder;
  save_pretrained(random_classifier(3), folder.path());
  const auto message = load_error(
      folder, LoadOptions().overrides({{"hidden_sizes", "[65536, 65536, 65536, 65536]"}}));
  CHECK(message.find("expected [5, 65536], got [5, 32]") != std::string::npos);
  CHECK(message.find(" more. config.json asks") != std::string::npos);
  CHECK(message.size() < 1000);
}

TEST_CASE("a config may not ask for far more than the file holds", "[hub]") {
  const TemporaryFolder folder;
  save_pretrained(random_classifier(3), folder.path());
  const auto options = LoadOptions()
                           .overrides({{"num_stages", "5"},
                                       {"hidden_sizes", "[8, 16, 24, 32, 60000]"},
                                       {"depths", "[1, 1, 2, 1, 1]"}})
                           .ignore_mismatched_sizes(true);
  CHECK(load_error(folder, options) ==
        "[checkpoint] DIR/model.safetensors: expected most of the weights that config.json asks "
        "for, got 0 MiB, and 109907 MiB missing. config.json may belong to another checkpoint.");
}

TEST_CASE("weights are converted on load", "[hub]") {
  const TemporaryFolder folder;
  auto model = random_classifier(4);
  model->to(torch::kBFloat16);
  save_pretrained(model, folder.path());
  CHECK(read_json_file(folder / "config.json")["torch_dtype"] == "bfloat16");
  const auto dtype = [&](std::optional<at::ScalarType> wanted) {
    const auto loaded =
        AutoModel::from_pretrained(folder.path(), LoadOptions().torch_dtype(wanted));
    return loaded->parameters().front().scalar_type();
  };
  CHECK(dtype(torch::kFloat32) == torch::kFloat32);
  CHECK(dtype(torch::kFloat64) == torch::kFloat64);
  CHECK(dtype(std::nullopt) == torch::kBFloat16);
}

TEST_CASE("sharded checkpoints and variants load", "[hub]") {
  const TemporaryFolder folder;
  auto model = random_classifier(5);
  save_pretrained(*model, folder.path(), SaveOptions().max_shard_size(20'000));
  CHECK(std::filesystem::exists(folder / "model.safetensors.index.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "model.safetensors"));
  auto loaded = AutoModelForImageClassification::from_pretrained(folder.path());
  CHECK(torch::equal(loaded->forward(pixels()).logits, model->forward(pixels()).logits));

  save_pretrained(model, folder.path());  // one file again: the shards are gone
  CHECK_FALSE(std::filesystem::exists(folder / "model.safetensors.index.json"));
  std::filesystem::rename(folder / "model.safetensors", folder / "model.fp16.safetensors");
  loaded = AutoModelForImageClassification::from_pretrained(folder.path(),
                                                            LoadOptions().variant("fp16"));
  CHECK(torch::equal(loaded->forward(pixels()).logits, model->forward(pixels()).logits));
}

TEST_CASE("old key names are renamed", "[hub]") {
  const TemporaryFolder folder;
  auto model = random_classifier(6);
  save_pretrained(model, folder.path());
  rewrite(folder, [](auto& tensors) {
    auto take = [&](const std::string& from, const std::string& to) {
      tensors[to] = tensors.at(from);
      tensors.erase(from);
    };
    take("convnext.layernorm.weight", "convnext.layernorm.gamma");
    take("convnext.layernorm.bias", "convnext.layernorm.beta");
  });
  LoadReport report;
  auto loaded = AutoModelForImageClassification::from_pretrained(folder.path(),
                                                                 LoadOptions().report(&report));
  CHECK(report.missing.empty());
  CHECK(torch::equal(loaded->forward(pixels()).logits, model->forward(pixels()).logits));
}

TEST_CASE("missing and foreign tensors are reported, not fatal", "[hub]") {
  const TemporaryFolder folder;
  save_pretrained(random_classifier(7), folder.path());
  rewrite(folder, [](auto& tensors) {
    tensors.erase("convnext.encoder.stages.0.layers.0.dwconv.bias");
    tensors["extra.weight"] = torch::ones({2});
  });
  LoadReport report;
  torch::manual_seed(0);
  const auto loaded =
      from_pretrained<ConvNextForImageClassification>(folder.path(), LoadOptions().report(&report));
  CHECK(report.missing ==
        std::vector<std::string>{"convnext.encoder.stages.0.layers.0.dwconv.bias"});
  CHECK(report.unexpected == std::vector<std::string>{"extra.weight"});
  const auto parameters = loaded->named_parameters();
  CHECK(parameters["convnext.encoder.stages.0.layers.0.dwconv.bias"].abs().sum().item<float>() ==
        0.0F);
  // Its sibling was in the file and is as it was there.
  CHECK(torch::equal(parameters["convnext.encoder.stages.0.layers.0.dwconv.weight"],
                     random_classifier(7)
                         ->named_parameters()["convnext.encoder.stages.0.layers.0.dwconv.weight"]));
}

TEST_CASE("folders that cannot be loaded say why", "[hub]") {
  const TemporaryFolder folder;
  CHECK(load_error(folder) ==
        "[config] DIR/config.json: expected a readable file, got \"No such file or directory\".");
  save_pretrained(random_classifier(8), folder.path());
  std::filesystem::remove(folder / "model.safetensors");
  CHECK(load_error(folder) ==
        "[checkpoint] DIR: expected model.safetensors, pytorch_model.bin or the index of either, "
        "got a folder without weights.");
  const std::string hint =
      ". Convert it with Transformers: AutoModel.from_pretrained(folder).save_pretrained(folder, "
      "safe_serialization=True).";
  std::ofstream(folder / "tf_model.h5") << "x";
  CHECK(load_error(folder) ==
        "[checkpoint] DIR: expected model.safetensors, pytorch_model.bin or the index of either, "
        "got tf_model.h5, TensorFlow weights" +
            hint);
  std::ofstream(folder / "pytorch_model.bin") << "x";
  CHECK(load_error(folder) ==
        "[checkpoint] DIR/pytorch_model.bin: expected a zip archive as torch.save writes it, got "
        "other bytes. The file is damaged or in another format.");
  write_safetensors(folder / "model.safetensors", {}, std::nullopt);
  CHECK(load_error(folder) ==
        "[checkpoint] DIR/model.safetensors: expected tensors of ConvNextForImageClassification, "
        "such as classifier.bias, got no tensors.");
}

TEST_CASE("configs that name no model of ours say which there are", "[hub]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "config.json", R"({"model_type": "bert"})", FileKind::config);
  CHECK(load_error(folder) ==
        "[registry] DIR/config.json: /model_type: expected a model for image-classification, got "
        "\"bert\". Classes for it: ConvNextForImageClassification, NatForImageClassification, "
        "DinatForImageClassification, PoolFormerForImageClassification, "
        "LevitForImageClassification, LevitForImageClassificationWithTeacher, "
        "Dinov2ForImageClassification, PerceiverForImageClassificationLearned, "
        "PerceiverForImageClassificationFourier, "
        "PerceiverForImageClassificationConvProcessing.");
  write_file_atomically(folder / "config.json", "{}", FileKind::config);
  CHECK(load_error(folder) ==
        "[config] DIR/config.json: /model_type: expected a string such as \"convnext\", got "
        "nothing.");
  write_file_atomically(folder / "config.json", "[1]", FileKind::config);
  CHECK(load_error(folder) ==
        "[config] DIR/config.json: expected a JSON object, got an array of 1 value.");
  write_file_atomically(folder / "config.json",
                        R"({"model_type": "convnext", "depths": [1, 2.5], "hidden_act": "gleu"})",
                        FileKind::config);
  CHECK(load_error(folder).find("/depths/1: expected an integer, got 2.5; /hidden_act: expected "
                                "one of gelu|") != std::string::npos);
}

TEST_CASE("an override that is no key of the config is refused", "[hub]") {
  const TemporaryFolder folder;
  save_pretrained(random_classifier(9), folder.path());
  CHECK(load_error(folder, LoadOptions().overrides({{"num_lables", "7"}})) ==
        "[config] override: expected a key of ConvNextForImageClassification's config, got "
        "\"num_lables\".");
  CHECK(load_error(folder, LoadOptions().overrides({{"depths", "[1,"}}))
            .rfind("[config] override depths:", 0) == 0);
}
