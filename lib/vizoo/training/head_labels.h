#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/hub/from_pretrained.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Class names and their indices, as config.json's `label2id`.
using LabelMap = std::map<std::string, int64_t>;

/// The labels that a classifier of a data set has.
struct HeadLabels {
  LabelMap label2id;
  bool are_new = false;  ///< the checkpoint's head knows others, and is replaced
};

/// The labels of config.json if all `classes` are among them, so that the checkpoint's head stays;
/// else the classes, in their order, for a new head. Throws as load_config.
HeadLabels choose_head_labels(const std::filesystem::path& folder,
                              const std::vector<std::string>& classes,
                              const LoadOptions& options = {});

/// `options` for a model with these labels: label2id and id2label are set in its config, and where
/// they are new a head of another size does not count as an error.
LoadOptions with_head_labels(const LoadOptions& options, const HeadLabels& labels);

/// As load_pretrained, for a model with these labels. New ones get a head with fresh weights, from
/// LibTorch's generator, as large as before or not; LoadReport does not list it. Throws also
/// CheckpointError for a weight outside of the head whose shape is another one.
std::shared_ptr<PretrainedModelImpl> load_with_labels(const ModelEntry& entry,
                                                      const std::filesystem::path& folder,
                                                      const HeadLabels& labels,
                                                      const LoadOptions& options = {});

/// As AutoModelForImageClassification::from_pretrained, for a model with these labels.
ImageClassifier load_classifier_with_labels(const std::filesystem::path& folder,
                                            const HeadLabels& labels,
                                            const LoadOptions& options = {});

}  // namespace vizoo
