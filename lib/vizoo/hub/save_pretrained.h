#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Options of `save_pretrained`, named as in Transformers.
struct SaveOptions {
  /// Weights beyond this many bytes go into several files and an index. Default 5 GB, as in 4.37.2.
  TORCH_ARG(std::size_t, max_shard_size) = 5'000'000'000;
};

/// Text of the config.json that `save_pretrained` writes: sorted keys, indent 2, what differs from
/// the base class's defaults, `architectures`, `model_type`, `torch_dtype` of the first parameter.
std::string config_json_text(const PretrainedModelImpl& model);

/// Writes config.json and the weights as safetensors into `folder` (created if need be), as
/// Transformers' method of this name does; it loads them back, and so does Transformers. Each file
/// is replaced atomically; shards of an earlier save that are no longer part of the checkpoint are
/// removed last. Throws CheckpointError; what was there before is then still loadable.
void save_pretrained(const PretrainedModelImpl& model,
                     const std::filesystem::path& folder,
                     const SaveOptions& options = {});

/// The same for a module holder.
template <class Impl>
void save_pretrained(const torch::nn::ModuleHolder<Impl>& model,
                     const std::filesystem::path& folder,
                     const SaveOptions& options = {}) {
  save_pretrained(*model, folder, options);
}

}  // namespace vizoo
