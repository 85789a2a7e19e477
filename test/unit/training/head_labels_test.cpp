#include "vizoo/training/head_labels.h"

#include <set>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/small_perceiver.h"
#include "test/support/temporary_folder.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/models/perceiver/perceiver_image_classification.h"

namespace vizoo {
namespace {

using Names = std::set<std::string>;

// Parameters of `model` that are not those of the checkpoint.
Names changed(const PretrainedModelImpl& model, const PretrainedModelImpl& saved) {
  Names names;
  const auto before = saved.named_parameters();
  for (const auto& parameter : model.named_parameters()) {
    const auto* old = before.find(parameter.key());
    if (old == nullptr || !torch::equal(*old, parameter.value())) names.insert(parameter.key());
  }
  return names;
}

Names classes_of(const HeadLabels& labels) {
  Names names;
  for (const auto& label : labels.label2id) names.insert(label.first);
  return names;
}

TEST_CASE("labels are the checkpoint's if it knows all classes", "[training]") {
  const test::TemporaryFolder folder;
  save_pretrained(ConvNextForImageClassification(test::small_convnext_config()), folder.path());
  const auto known = choose_head_labels(folder.path(), {"LABEL_3", "LABEL_1"});
  CHECK_FALSE(known.are_new);
  CHECK(known.label2id.size() == 5);
  CHECK(known.label2id.at("LABEL_3") == 3);
  const auto other = choose_head_labels(folder.path(), {"LABEL_3", "cat"});
  CHECK(other.are_new);
  CHECK(other.label2id == LabelMap{{"LABEL_3", 0}, {"cat", 1}});
}

TEST_CASE("new labels get a new head, whatever their number", "[training]") {
  const test::TemporaryFolder folder;
  const ConvNextForImageClassification saved(test::small_convnext_config());
  auto writable = saved;
  test::randomize(writable, 3);
  save_pretrained(saved, folder.path());
  for (const std::vector<std::string>& classes :
       {std::vector<std::string>{"a", "b", "c", "d", "e"}, {"a", "b"}}) {
    const auto labels = choose_head_labels(folder.path(), classes);
    LoadReport report;
    const auto model =
        load_classifier_with_labels(folder.path(), labels, LoadOptions().report(&report));
    CHECK(changed(*model, *saved) == Names{"classifier.bias", "classifier.weight"});
    CHECK(model->base_config().num_labels() == static_cast<int64_t>(classes.size()));
    CHECK(model->base_config().label(1) == "b");
    CHECK(model->named_parameters()["classifier.bias"].eq(0).all().item<bool>());
    CHECK(report.warnings().empty());
  }
}

TEST_CASE("of a head with layers of attention only the last layer is new", "[training]") {
  const test::TemporaryFolder folder;
  auto config = test::small_perceiver_config();
  config.image_size = 3;
  config.d_model = 512;
  config.set_num_labels(8);  // as wide as the latents, whose projections stay
  const auto saved = test::random_perceiver<PerceiverForImageClassificationLearned>(config);
  save_pretrained(saved, folder.path());
  const auto labels = choose_head_labels(folder.path(), {"a", "b", "c", "d", "e", "f", "g", "h"});
  const auto model =
      load_with_labels(find_model("PerceiverForImageClassificationLearned"), folder.path(), labels);
  CHECK(changed(*model, *saved) == Names{"perceiver.decoder.decoder.final_layer.bias",
                                         "perceiver.decoder.decoder.final_layer.weight"});
}

TEST_CASE("only the head may have another size", "[training]") {
  const test::TemporaryFolder folder;
  save_pretrained(ConvNextForImageClassification(test::small_convnext_config()), folder.path());
  const auto labels = choose_head_labels(folder.path(), {"cat"});
  const auto options = LoadOptions().overrides({{"hidden_sizes", "[8, 16, 24, 40]"}});
  const auto message = test::error_message<CheckpointError>(
      [&] { load_classifier_with_labels(folder.path(), labels, options); });
  CHECK(test::contains(message, "convnext.encoder.stages.3"));
  CHECK(test::contains(message, "Only the head is replaced for new labels."));
  CHECK(classes_of(labels) == Names{"cat"});
}

}  // namespace
}  // namespace vizoo
