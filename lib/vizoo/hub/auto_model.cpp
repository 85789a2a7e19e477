#include "vizoo/hub/auto_model.h"

namespace vizoo {
namespace {

using ModelMaker = std::shared_ptr<PretrainedModelImpl> (*)(const ModelEntry&,
                                                            const std::filesystem::path&,
                                                            const LoadOptions&);

template <class Interface>
std::shared_ptr<Interface> make(Task task,
                                const std::filesystem::path& folder,
                                const LoadOptions& options,
                                ModelMaker maker) {
  const auto config = load_config(folder, options);
  const auto& entry = find_model(config, task, (folder / "config.json").string());
  return std::dynamic_pointer_cast<Interface>(maker(entry, folder, options));
}

}  // namespace

VisionModel AutoModel::from_pretrained(const std::filesystem::path& folder,
                                       const LoadOptions& options) {
  return make<VisionModelImpl>(Task::base_model, folder, options, load_pretrained);
}

VisionModel AutoModel::from_config(const std::filesystem::path& folder,
                                   const LoadOptions& options) {
  return make<VisionModelImpl>(Task::base_model, folder, options, build_model);
}

ImageClassifier AutoModelForImageClassification::from_pretrained(
    const std::filesystem::path& folder, const LoadOptions& options) {
  return make<ImageClassifierImpl>(Task::image_classification, folder, options, load_pretrained);
}

ImageClassifier AutoModelForImageClassification::from_config(const std::filesystem::path& folder,
                                                             const LoadOptions& options) {
  return make<ImageClassifierImpl>(Task::image_classification, folder, options, build_model);
}

Backbone AutoBackbone::from_pretrained(const std::filesystem::path& folder,
                                       const LoadOptions& options) {
  return make<BackboneImpl>(Task::backbone, folder, options, load_pretrained);
}

Backbone AutoBackbone::from_config(const std::filesystem::path& folder,
                                   const LoadOptions& options) {
  return make<BackboneImpl>(Task::backbone, folder, options, build_model);
}

Owlv2ForObjectDetection AutoModelForZeroShotObjectDetection::from_pretrained(
    const std::filesystem::path& folder, const LoadOptions& options) {
  return make<Owlv2ForObjectDetectionImpl>(
      Task::zero_shot_object_detection, folder, options, load_pretrained);
}

Owlv2ForObjectDetection AutoModelForZeroShotObjectDetection::from_config(
    const std::filesystem::path& folder, const LoadOptions& options) {
  return make<Owlv2ForObjectDetectionImpl>(
      Task::zero_shot_object_detection, folder, options, build_model);
}

PerceiverForMaskedLM AutoModelForMaskedLM::from_pretrained(const std::filesystem::path& folder,
                                                           const LoadOptions& options) {
  return make<PerceiverForMaskedLMImpl>(
      Task::masked_language_modeling, folder, options, load_pretrained);
}

PerceiverForMaskedLM AutoModelForMaskedLM::from_config(const std::filesystem::path& folder,
                                                       const LoadOptions& options) {
  return make<PerceiverForMaskedLMImpl>(
      Task::masked_language_modeling, folder, options, build_model);
}

PerceiverForSequenceClassification AutoModelForSequenceClassification::from_pretrained(
    const std::filesystem::path& folder, const LoadOptions& options) {
  return make<PerceiverForSequenceClassificationImpl>(
      Task::text_classification, folder, options, load_pretrained);
}

PerceiverForSequenceClassification AutoModelForSequenceClassification::from_config(
    const std::filesystem::path& folder, const LoadOptions& options) {
  return make<PerceiverForSequenceClassificationImpl>(
      Task::text_classification, folder, options, build_model);
}

}  // namespace vizoo
