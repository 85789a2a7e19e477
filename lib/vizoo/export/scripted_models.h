#pragma once

// Exported models behind the interfaces of the models that they were made of.

#include <memory>

#include "vizoo/export/torchscript.h"

namespace vizoo {

/// A model that runs an exported file. Its options take no tensors and ask for nothing that the
/// file does not give: UsageError. It has no parameters of its own; what is trained is the file's
/// module. Throws CheckpointError for a file of another kind of model, and ConfigError for one
/// whose config.json cannot be read.
std::shared_ptr<PretrainedModelImpl> scripted_model(ExportedModel exported);

/// One with the output `logits` of images.
ImageClassifier scripted_image_classifier(ExportedModel exported);

/// One with the output `last_hidden_state` of images.
VisionModel scripted_vision_model(ExportedModel exported);

/// One with the outputs `feature_maps`.
Backbone scripted_backbone(ExportedModel exported);

}  // namespace vizoo
