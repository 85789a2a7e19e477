#pragma once

#include <optional>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Autocast for the scope of a forward pass: matrix products and convolutions compute in `dtype`,
/// what loses by it in float32 (torch.autocast). nullopt: nothing changes.
class Autocast {
 public:
  Autocast(std::optional<torch::ScalarType> dtype, torch::DeviceType device);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  torch::DeviceType device_;
  bool active_;
  bool was_enabled_ = false;
  torch::ScalarType previous_ = torch::kFloat32;
};

}  // namespace vizoo
