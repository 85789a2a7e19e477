#include "vizoo/ops/na2d_checks.h"

#include <ATen/ATen.h>

#include <limits>
#include <sstream>
#include <string>

namespace vizoo::ops::check {
namespace {

constexpr int64_t kMaxHeadDim = 256;
constexpr int64_t kMaxAxis = std::numeric_limits<int32_t>::max();

template <class... Parts>
[[noreturn]] void fail(const char* op, const char* argument, const Parts&... parts) {
  std::ostringstream text;
  text << "[" << op << "] " << argument << ": expected ";
  (text << ... << parts);
  text << ".";
  TORCH_CHECK(false, text.str());
}

// Sizes stay symbolic, so that one set of checks serves tensors with and without data.
std::string describe(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sym_sizes() << " on " << tensor.device();
  return text.str();
}

void check_pair(const char* op, const char* argument, at::IntArrayRef pair) {
  if (pair.size() != 2) fail(op, argument, "two integers, height and width, got ", pair);
}

// The two window arguments, against the height and width of what is attended to.
void check_window(const char* op,
                  at::IntArrayRef kernel_size,
                  at::IntArrayRef dilation,
                  const c10::SymInt& height,
                  const c10::SymInt& width) {
  check_pair(op, "kernel_size", kernel_size);
  check_pair(op, "dilation", dilation);
  for (const int64_t size : kernel_size) {
    if (size < 3 || size % 2 == 0 || size > kMaxAxis) {
      fail(op, "kernel_size", "odd sizes of at least 3, got ", kernel_size);
    }
  }
  for (const int64_t step : dilation) {
    if (step < 1 || step > kMaxAxis) {
      fail(op, "dilation", "integers of at least 1, got ", dilation);
    }
  }
  // Below 2^31 each, so the products cannot overflow. Symbolic sizes are left alone: the comparison
  // would become a condition of every exported program.
  const auto too_long = [](const c10::SymInt& size) {
    return size.maybe_as_int().value_or(0) > kMaxAxis;
  };
  if (too_long(height) || too_long(width)) {
    fail(op, "query", "a height and width below 2^31, got ", height, " x ", width);
  }
  if (height < kernel_size[0] * dilation[0] || width < kernel_size[1] * dilation[1]) {
    fail(op,
         "kernel_size",
         "kernel_size * dilation of at most the height and width, ",
         height,
         " x ",
         width,
         ", got ",
         kernel_size,
         " * ",
         dilation,
         ". Pad the input first");
  }
}

void check_floating(const char* op, const char* argument, const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  if (type != at::kFloat && type != at::kDouble && type != at::kHalf && type != at::kBFloat16) {
    fail(op, argument, "float32, float64, float16 or bfloat16, got ", type);
  }
}

void check_rank(const char* op, const char* argument, const at::Tensor& tensor, const char* form) {
  if (!tensor.defined() || tensor.dim() != 5) {
    fail(op, argument, form, ", got ", tensor.defined() ? describe(tensor) : "nothing");
  }
  check_floating(op, argument, tensor);
}

// D of at most 256, at least one head, unit stride over D. An empty batch is fine.
void check_operand(const char* op,
                   const char* argument,
                   const at::Tensor& tensor,
                   int64_t heads_axis) {
  const auto head_dim = tensor.sym_size(4);
  if (head_dim < 1 || head_dim > kMaxHeadDim) {
    fail(op, argument, "a head dimension of 1 to 256, got ", head_dim);
  }
  if (tensor.sym_size(heads_axis) < 1) fail(op, argument, "at least one head, got none");
  if (tensor.sym_stride(4) != 1 && head_dim != 1) {
    fail(op,
         argument,
         "unit stride over the last dimension, got ",
         tensor.sym_stride(4),
         ". Call contiguous() first");
  }
}

void check_kind(const char* op,
                const char* argument,
                const at::Tensor& tensor,
                const at::Tensor& query,
                at::ScalarType type) {
  if (tensor.scalar_type() != type || tensor.device() != query.device()) {
    fail(op, argument, type, " on ", query.device(), ", got ", describe(tensor));
  }
}

void check_sizes(const char* op,
                 const char* argument,
                 const at::Tensor& tensor,
                 const at::Tensor& query,
                 c10::SymIntArrayRef sizes,
                 at::ScalarType type) {
  if (!tensor.defined()) fail(op, argument, "a tensor ", sizes, ", got nothing");
  check_kind(op, argument, tensor, query, type);
  if (tensor.sym_sizes() != sizes)
    fail(op, argument, "sizes ", sizes, ", got ", tensor.sym_sizes());
}

void check_rpb(const char* op,
               const std::optional<at::Tensor>& rpb,
               const at::Tensor& query,
               const c10::SymInt& heads,
               at::IntArrayRef kernel_size) {
  if (!rpb.has_value() || !rpb->defined()) return;
  const std::vector<c10::SymInt> sizes{heads, 2 * kernel_size[0] - 1, 2 * kernel_size[1] - 1};
  check_sizes(op, "rpb", *rpb, query, sizes, query.scalar_type());
}

constexpr const char* kFused = "a tensor [B, H, W, heads, D]";
constexpr const char* kUnfused = "a tensor [B, heads, H, W, D]";
constexpr const char* kAttention = "a tensor [B, heads, H, W, Kh * Kw]";

}  // namespace

void na2d(const char* op,
          const at::Tensor& query,
          const at::Tensor& key,
          const at::Tensor& value,
          const std::optional<at::Tensor>& rpb,
          at::IntArrayRef kernel_size,
          at::IntArrayRef dilation) {
  check_rank(op, "query", query, kFused);
  check_operand(op, "query", query, 3);
  check_sizes(op, "key", key, query, query.sym_sizes(), query.scalar_type());
  check_operand(op, "key", key, 3);
  check_sizes(op, "value", value, query, query.sym_sizes(), query.scalar_type());
  check_operand(op, "value", value, 3);
  check_window(op, kernel_size, dilation, query.sym_size(1), query.sym_size(2));
  check_rpb(op, rpb, query, query.sym_size(3), kernel_size);
}

void na2d_backward(const at::Tensor& grad_out,
                   const at::Tensor& query,
                   const at::Tensor& key,
                   const at::Tensor& value,
                   const std::optional<at::Tensor>& rpb,
                   const at::Tensor& out,
                   const at::Tensor& lse,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  constexpr const char* kOp = "na2d_backward";
  na2d(kOp, query, key, value, rpb, kernel_size, dilation);
  const auto type = query.scalar_type();
  check_sizes(kOp, "grad_out", grad_out, query, query.sym_sizes(), type);
  check_sizes(kOp, "out", out, query, query.sym_sizes(), type);
  check_sizes(kOp,
              "lse",
              lse,
              query,
              query.sym_sizes().slice(0, 4),
              type == at::kDouble ? at::kDouble : at::kFloat);
}

void na2d_qk(const char* op,
             const at::Tensor* grad_attn,
             const at::Tensor& query,
             const at::Tensor& key,
             const std::optional<at::Tensor>& rpb,
             at::IntArrayRef kernel_size,
             at::IntArrayRef dilation) {
  check_rank(op, "query", query, kUnfused);
  check_operand(op, "query", query, 1);
  check_sizes(op, "key", key, query, query.sym_sizes(), query.scalar_type());
  check_operand(op, "key", key, 1);
  check_window(op, kernel_size, dilation, query.sym_size(2), query.sym_size(3));
  check_rpb(op, rpb, query, query.sym_size(1), kernel_size);
  if (grad_attn != nullptr) {
    auto sizes = query.sym_sizes().vec();
    sizes[4] = kernel_size[0] * kernel_size[1];
    check_sizes(op, "grad_attn", *grad_attn, query, sizes, query.scalar_type());
  }
}

void na2d_av(const char* op,
             const at::Tensor* grad_out,
             const at::Tensor& attn,
             const at::Tensor& value,
             at::IntArrayRef kernel_size,
             at::IntArrayRef dilation) {
  check_rank(op, "attn", attn, kAttention);
  check_rank(op, "value", value, kUnfused);
  check_operand(op, "value", value, 1);
  check_window(op, kernel_size, dilation, value.sym_size(2), value.sym_size(3));
  auto sizes = value.sym_sizes().vec();
  sizes[4] = kernel_size[0] * kernel_size[1];
  check_sizes(op, "attn", attn, value, sizes, value.scalar_type());
  if (grad_out != nullptr) {
    check_sizes(op, "grad_out", *grad_out, value, value.sym_sizes(), value.scalar_type());
  }
}

void pad_to_at_least(const at::Tensor& input, at::IntArrayRef size) {
  constexpr const char* kOp = "pad_to_at_least";
  if (!input.defined() || input.dim() != 4) {
    fail(
        kOp, "input", "a tensor [B, H, W, C], got ", input.defined() ? describe(input) : "nothing");
  }
  check_pair(kOp, "size", size);
  if (size[0] < 0 || size[1] < 0) fail(kOp, "size", "integers of at least 0, got ", size);
}

void crop_like(const at::Tensor& input, const at::Tensor& reference) {
  constexpr const char* kOp = "crop_like";
  if (!input.defined() || input.dim() != 4) {
    fail(
        kOp, "input", "a tensor [B, H, W, C], got ", input.defined() ? describe(input) : "nothing");
  }
  if (!reference.defined() || reference.dim() < 3) {
    fail(kOp,
         "reference",
         "a tensor [B, H, W, ...], got ",
         reference.defined() ? describe(reference) : "nothing");
  }
  if (reference.sym_size(1) > input.sym_size(1) || reference.sym_size(2) > input.sym_size(2)) {
    fail(kOp,
         "reference",
         "a height and width of at most ",
         input.sym_size(1),
         " x ",
         input.sym_size(2),
         ", got ",
         reference.sym_size(1),
         " x ",
         reference.sym_size(2));
  }
}

}  // namespace vizoo::ops::check
