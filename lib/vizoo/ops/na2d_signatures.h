#pragma once

// Function types of neighborhood attention, the same for every device: arguments and results of the
// ops of the same name (neighborhood_attention.h), with the scale decided.

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace vizoo::ops::signature {

using Na2d = at::Tensor(const at::Tensor& query,
                        const at::Tensor& key,
                        const at::Tensor& value,
                        const std::optional<at::Tensor>& rpb,
                        at::IntArrayRef kernel_size,
                        at::IntArrayRef dilation,
                        double scale);

using Na2dForward = std::tuple<at::Tensor, at::Tensor>(const at::Tensor& query,
                                                       const at::Tensor& key,
                                                       const at::Tensor& value,
                                                       const std::optional<at::Tensor>& rpb,
                                                       at::IntArrayRef kernel_size,
                                                       at::IntArrayRef dilation,
                                                       double scale);

using Na2dBackward =
    std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(const at::Tensor& grad_out,
                                                               const at::Tensor& query,
                                                               const at::Tensor& key,
                                                               const at::Tensor& value,
                                                               const std::optional<at::Tensor>& rpb,
                                                               const at::Tensor& out,
                                                               const at::Tensor& lse,
                                                               at::IntArrayRef kernel_size,
                                                               at::IntArrayRef dilation,
                                                               double scale);

using Na2dQk = at::Tensor(const at::Tensor& query,
                          const at::Tensor& key,
                          const std::optional<at::Tensor>& rpb,
                          at::IntArrayRef kernel_size,
                          at::IntArrayRef dilation);

using Na2dQkBackward =
    std::tuple<at::Tensor, at::Tensor, at::Tensor>(const at::Tensor& grad_attn,
                                                   const at::Tensor& query,
                                                   const at::Tensor& key,
                                                   const std::optional<at::Tensor>& rpb,
                                                   at::IntArrayRef kernel_size,
                                                   at::IntArrayRef dilation);

using Na2dAv = at::Tensor(const at::Tensor& attn,
                          const at::Tensor& value,
                          at::IntArrayRef kernel_size,
                          at::IntArrayRef dilation);

using Na2dAvBackward = std::tuple<at::Tensor, at::Tensor>(const at::Tensor& grad_out,
                                                          const at::Tensor& attn,
                                                          const at::Tensor& value,
                                                          at::IntArrayRef kernel_size,
                                                          at::IntArrayRef dilation);

}  // namespace vizoo::ops::signature
