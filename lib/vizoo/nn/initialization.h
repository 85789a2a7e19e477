#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo::nn {

/// While one lives, modules built on this thread leave their weights uninitialised and consume no
/// random numbers: what comes next is loading. Constant parameters (norms, layer scales) are set
/// all the same. Transformers does this in `no_init_weights` (modeling_utils.py, 4.37.2).
class NoInitGuard {
 public:
  NoInitGuard();
  ~NoInitGuard();
  NoInitGuard(const NoInitGuard&) = delete;
  NoInitGuard& operator=(const NoInitGuard&) = delete;

  /// True while a guard lives on this thread.
  static bool active();

 private:
  bool previous_;
};

/// A module that knows how its own parameters start: `PretrainedModelImpl::initialize_module` asks
/// it. For those that are constant from the constructor on but too large to be set under
/// NoInitGuard.
class SelfInitializing {
 public:
  virtual ~SelfInitializing() = default;
  virtual void initialize_own_parameters() = 0;
};

/// An uninitialised float32 parameter of this shape. Under NoInitGuard it has the shape but no
/// memory yet: loading gives it its data after the checkpoint has been found to fit.
torch::Tensor empty_parameter(at::IntArrayRef shape);

/// Fills `tensor` from a normal distribution of mean 0, as torch.nn.init.normal_(tensor, 0, std);
/// leaves one alone that has no memory yet (empty_parameter): loading gives it its values.
void normal_(torch::Tensor& tensor, double std);

/// Fills `tensor` from a normal distribution of mean 0, cut off at -2 and 2: as
/// torch.nn.init.trunc_normal_(tensor, 0, std), with the same random stream.
void truncated_normal_(torch::Tensor& tensor, double std);

}  // namespace vizoo::nn
