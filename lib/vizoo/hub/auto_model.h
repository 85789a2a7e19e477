#pragma once

#include "vizoo/hub/from_pretrained.h"
#include "vizoo/models/owlv2/owlv2_detection.h"
#include "vizoo/models/perceiver/perceiver_language.h"

namespace vizoo {

/// Picks the class by config.json, as Transformers' class of the same name does; models of images
/// alone. For others there is `from_pretrained<Owlv2Model>(folder)`.
struct AutoModel {
  static VisionModel from_pretrained(const std::filesystem::path& folder,
                                     const LoadOptions& options = {});
  static VisionModel from_config(const std::filesystem::path& folder,
                                 const LoadOptions& options = {});
};

/// As AutoModel, with a classification head.
struct AutoModelForImageClassification {
  static ImageClassifier from_pretrained(const std::filesystem::path& folder,
                                         const LoadOptions& options = {});
  static ImageClassifier from_config(const std::filesystem::path& folder,
                                     const LoadOptions& options = {});
};

/// As AutoModel, as a backbone; choose stages by `LoadOptions().overrides({{"out_indices", ...}})`.
struct AutoBackbone {
  static Backbone from_pretrained(const std::filesystem::path& folder,
                                  const LoadOptions& options = {});
  static Backbone from_config(const std::filesystem::path& folder, const LoadOptions& options = {});
};

/// As AutoModel, for detectors of what words describe.
struct AutoModelForZeroShotObjectDetection {
  static Owlv2ForObjectDetection from_pretrained(const std::filesystem::path& folder,
                                                 const LoadOptions& options = {});
  static Owlv2ForObjectDetection from_config(const std::filesystem::path& folder,
                                             const LoadOptions& options = {});
};

/// As AutoModel, for models that predict masked tokens.
struct AutoModelForMaskedLM {
  static PerceiverForMaskedLM from_pretrained(const std::filesystem::path& folder,
                                              const LoadOptions& options = {});
  static PerceiverForMaskedLM from_config(const std::filesystem::path& folder,
                                          const LoadOptions& options = {});
};

/// As AutoModel, for classifiers of texts.
struct AutoModelForSequenceClassification {
  static PerceiverForSequenceClassification from_pretrained(const std::filesystem::path& folder,
                                                            const LoadOptions& options = {});
  static PerceiverForSequenceClassification from_config(const std::filesystem::path& folder,
                                                        const LoadOptions& options = {});
};

}  // namespace vizoo
