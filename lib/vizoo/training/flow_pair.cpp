#include "vizoo/training/flow_pair.h"

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

// [B, 2, H, W] or [B, H, W, 2] -> [B, H, W, 2]
torch::Tensor components_last(const torch::Tensor& flow, const char* where, const char* name) {
  const bool is_map = flow.defined() && flow.is_floating_point() && flow.dim() == 4;
  const bool first = is_map && flow.size(1) == 2;
  const bool last = is_map && flow.size(3) == 2;
  if (first == last) {
    throw ShapeError(where,
                     name,
                     "floating-point values of shape [B, 2, H, W] or [B, H, W, 2]",
                     flow.defined() ? describe_tensor(flow) : "none",
                     first ? "Both could be meant: a flow 2 pixels wide has no such loss" : "");
  }
  return first ? flow.permute({0, 2, 3, 1}) : flow;
}

}  // namespace

FlowPair valid_flow(const torch::Tensor& flow,
                    const torch::Tensor& target,
                    const torch::Tensor& valid,
                    const char* where) {
  const auto type =
      flow.defined() && flow.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
  const auto predicted = components_last(flow, where, "flow");
  const auto wanted = components_last(target, where, "target");
  if (predicted.sizes() != wanted.sizes()) {
    throw ShapeError(
        where, "target", "the size of the flow, " + describe_tensor(flow), describe_tensor(target));
  }
  // [B, H, W, 2] -> [B H W, 2]
  FlowPair pair{predicted.to(type).flatten(0, 2), wanted.to(flow.device(), type).flatten(0, 2)};
  if (!valid.defined()) return pair;
  const auto pixels = predicted.sizes().slice(0, 3);
  if (valid.scalar_type() != torch::kBool || valid.sizes() != pixels) {
    throw ShapeError(where, "valid", "booleans of shape [B, H, W]", describe_tensor(valid));
  }
  // Chosen by index: a product with the mask would keep the NaN of targets that do not count.
  const auto chosen = valid.to(flow.device()).flatten().nonzero().squeeze(1);
  return {pair.flow.index_select(0, chosen), pair.target.index_select(0, chosen)};
}

}  // namespace vizoo
