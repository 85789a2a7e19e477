#pragma once

#include <string>

#include "vizoo/hub/registry.h"
#include "vizoo/models/perceiver/perceiver_model.h"

namespace vizoo {

/// Builds a PerceiverModel from a config and its constructor arguments: an object with the members
/// `input_preprocessor`, `decoder` and `output_postprocessor`, each of which may be null or
/// missing, else is a component:
///
///     {"class": "PerceiverImagePreprocessor", "args": {"prep_type": "pixels", ...}}
///
/// `args` are the arguments of upstream's constructor without `config` (modeling_perceiver.py,
/// 4.37.2); `modalities` is an object of components by modality. Throws UsageError for a class or
/// an argument that there is not, naming those there are, and for values that make no sense.
std::shared_ptr<PerceiverModelImpl> make_perceiver_model(PerceiverConfig config,
                                                         const Json& arguments);

/// The registry's row of PerceiverModel.
ModelEntry perceiver_model_entry();

}  // namespace vizoo
