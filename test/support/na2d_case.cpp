#include "test/support/na2d_case.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "vizoo/ops/na2d_composition.h"
#include "vizoo/ops/neighborhood_attention.h"

namespace vizoo::test {

namespace {

std::string name_of(Layout layout) {
  std::istringstream names(
      "contiguous packed heads_first width_first odd_offset padded_rows shared_batch shared_heads");
  std::string name;
  for (auto i = static_cast<int>(layout); i >= 0; --i) names >> name;
  return name;
}

at::Tensor normal(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::randn(shape, at::kDouble).to(dtype);
}

std::string describe(const Na2dCase& problem, uint64_t seed, const std::string& rest) {
  const Na2dSizes& sizes = problem.sizes;
  std::ostringstream line;
  line << "seed " << seed << ": " << at::toString(problem.dtype) << ", batch " << sizes.batch
       << ", " << sizes.height << 'x' << sizes.width << ", heads " << sizes.heads << ", D "
       << sizes.head_dim << ", K " << sizes.kernel_size[0] << 'x' << sizes.kernel_size[1] << ", d "
       << sizes.dilation[0] << 'x' << sizes.dilation[1] << ", scale " << sizes.scale
       << (problem.rpb ? ", rpb, " : ", no rpb, ") << rest;
  return line.str();
}

/// Kernel sizes, dilations and axis lengths; then everything shrinks, one random step at a time,
/// until batch * height * width * heads * D * window is within the bound.
Na2dSizes draw_sizes(Draw& draw, int64_t largest_work) {
  Na2dSizes sizes;
  sizes.batch = draw.one_in(50) ? 0 : draw.between(1, 3);
  sizes.heads = draw.between(1, 4);
  sizes.head_dim = draw.one_in(2) ? 8 * draw.between(1, 16) : draw.between(1, 128);
  std::array<int64_t, 2> extra{};
  const bool square = draw.one_in(3);
  for (const int axis : {0, 1}) {
    sizes.kernel_size[axis] = 2 * draw.between(1, 6) + 1;
    sizes.dilation[axis] = draw.one_in(2) ? 1 : draw.between(2, 8);
    if (square && axis == 1) {
      sizes.kernel_size[1] = sizes.kernel_size[0];
      sizes.dilation[1] = sizes.dilation[0];
    }
    extra[axis] = draw.one_in(4) ? 0 : draw.between(0, 2 * sizes.kernel_size[axis]);
  }
  const int64_t limit = int64_t{1}
                        << draw.between(std::min<int64_t>(15, largest_work), largest_work);
  while (true) {
    sizes.height = sizes.kernel_size[0] * sizes.dilation[0] + extra[0];
    sizes.width = sizes.kernel_size[1] * sizes.dilation[1] + extra[1];
    if (sizes.rows() * sizes.head_dim * sizes.window() <= limit) return sizes;
    const auto axis = static_cast<size_t>(draw.between(0, 1));
    switch (draw.between(0, 5)) {
      case 0:
        if (sizes.batch > 1) --sizes.batch;
        break;
      case 1:
        if (sizes.heads > 1) --sizes.heads;
        break;
      case 2:
        if (sizes.head_dim > 8) sizes.head_dim -= 8;
        break;
      case 3:
        if (sizes.dilation[axis] > 1) --sizes.dilation[axis];
        break;
      case 4:
        extra[axis] -= extra[axis] / 3;
        if (sizes.head_dim <= 8 && extra[axis] > 0) --extra[axis];
        break;
      default:
        if (sizes.kernel_size[axis] > 3 && draw.one_in(4)) {
          sizes.kernel_size[axis] -= 2;
          extra[axis] = std::min(extra[axis], 2 * sizes.kernel_size[axis]);
        }
    }
  }
}

at::ScalarType draw_dtype(Draw& draw) {
  switch (draw.between(0, 9)) {
    case 0:
      return at::kDouble;
    case 1:
      return at::kHalf;
    case 2:
      return at::kBFloat16;
    default:
      return at::kFloat;
  }
}

std::optional<at::Tensor> leaf(const std::optional<at::Tensor>& tensor) {
  if (!tensor || !tensor->defined()) return std::nullopt;
  return tensor->detach().requires_grad_();
}

/// Gradients of out with respect to query, key, value and rpb, which are leaves.
Na2dTensors with_gradients(const Na2dCase& problem,
                           const at::Tensor& out,
                           const at::Tensor& lse,
                           const at::Tensor& query,
                           const at::Tensor& key,
                           const at::Tensor& value,
                           const std::optional<at::Tensor>& rpb) {
  std::vector<at::Tensor> inputs{query, key, value};
  if (rpb) inputs.push_back(*rpb);
  const auto grads = torch::autograd::grad({out}, inputs, {problem.grad_out});
  return {out.detach(), lse.detach(), grads[0], grads[1], grads[2], rpb ? grads[3] : at::Tensor()};
}

/// The form of a result: contiguous, of the dtype and sizes given.
std::string malformed(const char* name,
                      const at::Tensor& ours,
                      at::IntArrayRef sizes,
                      at::ScalarType dtype) {
  if (!ours.defined()) return std::string("\n  ") + name + ": undefined";
  if (ours.sizes() == sizes && ours.scalar_type() == dtype && ours.is_contiguous()) return "";
  std::ostringstream line;
  line << "\n  " << name << ": expected contiguous " << dtype << ' ' << sizes << ", got "
       << ours.scalar_type() << ' ' << ours.sizes() << " with strides " << ours.strides();
  return line.str();
}

double largest_magnitude(const std::vector<double>& values) {
  double largest = 0.0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

}  // namespace

Na2dSizes na2d_sizes(int64_t batch,
                     int64_t height,
                     int64_t width,
                     int64_t heads,
                     int64_t head_dim,
                     std::array<int64_t, 2> kernel_size,
                     std::array<int64_t, 2> dilation) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  return {batch, height, width, heads, head_dim, kernel_size, dilation, scale};
}

at::Tensor draw_tensor(const Na2dSizes& sizes, at::ScalarType dtype, Layout layout) {
  const auto [b, h, w, heads, d] =
      std::tie(sizes.batch, sizes.height, sizes.width, sizes.heads, sizes.head_dim);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  switch (layout) {
    case Layout::contiguous:
      return normal({b, h, w, heads, d}, dtype);
    case Layout::packed:
      return normal({b, h, w, 3, heads, d}, dtype).select(3, 1);
    case Layout::heads_first:
      return normal({b, heads, h, w, d}, dtype).permute({0, 2, 3, 1, 4});
    case Layout::width_first:
      return normal({w, h, b, heads, d}, dtype).permute({2, 1, 0, 3, 4});
    case Layout::odd_offset: {
      const at::Tensor values = normal({b, h, w, heads, d}, dtype);
      const auto storage = at::full({values.numel() + 40}, nan, dtype);
      const auto tensor = storage.as_strided(values.sizes(), values.strides(), 13);
      return tensor.copy_(values);
    }
    case Layout::padded_rows: {
      const auto storage = at::full({b, h, w, heads, d + 5}, nan, dtype);
      return storage.narrow(4, 3, d).copy_(normal({b, h, w, heads, d}, dtype));
    }
    case Layout::shared_batch:
      return normal({1, h, w, heads, d}, dtype).expand({b, h, w, heads, d});
    case Layout::shared_heads:
      return normal({b, h, w, 1, d}, dtype).expand({b, h, w, heads, d});
  }
  return {};
}

Na2dCase make_case(const Na2dSizes& sizes,
                   at::ScalarType dtype,
                   bool with_rpb,
                   uint64_t seed,
                   std::array<Layout, 3> layouts) {
  at::manual_seed(seed);
  Na2dCase problem;
  problem.sizes = sizes;
  problem.dtype = dtype;
  if (layouts[0] == Layout::packed) {
    const auto packed =
        normal({sizes.batch, sizes.height, sizes.width, 3, sizes.heads, sizes.head_dim}, dtype);
    problem.query = packed.select(3, 0);
    problem.key = packed.select(3, 1);
    problem.value = packed.select(3, 2);
  } else {
    problem.query = draw_tensor(sizes, dtype, layouts[0]);
    problem.key = draw_tensor(sizes, dtype, layouts[1]);
    problem.value = draw_tensor(sizes, dtype, layouts[2]);
  }
  problem.grad_out = draw_tensor(sizes, dtype, Layout::contiguous);
  const auto [kernel_height, kernel_width] = sizes.kernel_size;
  if (with_rpb) {
    problem.rpb = normal({sizes.heads, 2 * kernel_height - 1, 2 * kernel_width - 1}, dtype);
  }
  const std::string names =
      name_of(layouts[0]) + ' ' + name_of(layouts[1]) + ' ' + name_of(layouts[2]);
  problem.description = describe(problem, seed, names);
  return problem;
}

Na2dCase draw_case(uint64_t seed, int64_t largest_work) {
  Draw draw(seed);
  const at::ScalarType dtype = draw_dtype(draw);
  const bool is_half = dtype == at::kHalf || dtype == at::kBFloat16;
  Na2dSizes sizes = draw_sizes(draw, is_half ? std::min<int64_t>(17, largest_work) : largest_work);
  const bool with_rpb = !draw.one_in(3);
  std::optional<double> scale;
  if (draw.one_in(3)) scale = static_cast<double>(draw.between(-10, 30)) / 20.0;
  sizes.scale = scale.value_or(1.0 / std::sqrt(static_cast<double>(sizes.head_dim)));
  std::array<Layout, 3> layouts{};
  if (draw.one_in(3)) {
    layouts.fill(Layout::packed);
  } else {
    for (Layout& layout : layouts) {
      layout = static_cast<Layout>(draw.between(0, kLayoutCount - 1));
      if (layout == Layout::packed) layout = Layout::contiguous;
    }
  }
  Na2dCase problem = make_case(sizes, dtype, with_rpb, seed, layouts);
  problem.scale = scale;
  const auto kind = static_cast<Layout>(draw.between(0, kLayoutCount - 1));
  problem.grad_out = draw_tensor(sizes, dtype, kind);
  problem.description += ", grad_out " + name_of(kind);
  return problem;
}

std::vector<double> to_doubles(const at::Tensor& tensor) {
  const at::Tensor copy = tensor.detach().to(at::kDouble).contiguous();
  const double* begin = copy.const_data_ptr<double>();
  return {begin, begin + copy.numel()};
}

Na2dInputs oracle_inputs(const Na2dCase& problem) {
  return {to_doubles(problem.query),
          to_doubles(problem.key),
          to_doubles(problem.value),
          problem.rpb ? to_doubles(*problem.rpb) : std::vector<double>()};
}

Na2dTensors run_ops(const Na2dCase& problem) {
  const auto& [kernel_size, dilation] = std::tie(problem.sizes.kernel_size, problem.sizes.dilation);
  const auto& [query, key, value] = std::tie(problem.query, problem.key, problem.value);
  const auto [out, lse] =
      ops::na2d_forward(query, key, value, problem.rpb, kernel_size, dilation, problem.scale);
  const auto [grad_query, grad_key, grad_value, grad_rpb] = ops::na2d_backward(problem.grad_out,
                                                                               query,
                                                                               key,
                                                                               value,
                                                                               problem.rpb,
                                                                               out,
                                                                               lse,
                                                                               kernel_size,
                                                                               dilation,
                                                                               problem.scale);
  return {out, lse, grad_query, grad_key, grad_value, grad_rpb};
}

Na2dTensors run_autograd(const Na2dCase& problem) {
  const auto& [kernel_size, dilation] = std::tie(problem.sizes.kernel_size, problem.sizes.dilation);
  const auto query = problem.query.detach().requires_grad_();
  const auto key = problem.key.detach().requires_grad_();
  const auto value = problem.value.detach().requires_grad_();
  const auto rpb = leaf(problem.rpb);
  const auto out = ops::na2d(query, key, value, rpb, kernel_size, dilation, problem.scale);
  const auto lse =
      std::get<1>(ops::na2d_forward(query, key, value, rpb, kernel_size, dilation, problem.scale));
  return with_gradients(problem, out, lse, query, key, value, rpb);
}

Na2dTensors run_composition(const Na2dCase& problem) {
  const Threads one(1);
  const auto query = problem.query.detach().contiguous().requires_grad_();
  const auto key = problem.key.detach().contiguous().requires_grad_();
  const auto value = problem.value.detach().contiguous().requires_grad_();
  const auto rpb = leaf(problem.rpb);
  const auto [out, lse] = ops::composition::na2d_forward(query,
                                                         key,
                                                         value,
                                                         rpb,
                                                         problem.sizes.kernel_size,
                                                         problem.sizes.dilation,
                                                         problem.sizes.scale);
  auto results = with_gradients(problem, out, lse, query, key, value, rpb);
  for (auto* tensor : {&results.grad_query, &results.grad_key, &results.grad_value}) {
    *tensor = tensor->contiguous();
  }
  return results;
}

double largest_error(const at::Tensor& ours, const std::vector<double>& expected) {
  const std::vector<double> values = to_doubles(ours);
  if (values.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double error = std::abs(values[i] - expected[i]);
    if (!std::isfinite(error)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, error);
  }
  return largest;
}

std::string difference(const std::string& name,
                       const at::Tensor& ours,
                       const std::vector<double>& expected,
                       const std::function<at::Tensor()>& composition) {
  const double unit = std::max(largest_magnitude(expected), 0.01);
  const bool is_double = ours.scalar_type() == at::kDouble;
  const double constant = (is_double ? 1e-9 : 1e-5) * unit;
  const double error = largest_error(ours, expected);
  if (error <= constant) return "";
  // No tensor of the dtype, the composition's included, has a smaller error than rounding leaves.
  const double rounding =
      largest_error(at::tensor(expected, at::kDouble).to(ours.scalar_type()), expected);
  if (std::isfinite(rounding) && error <= constant + 2.0 * rounding) return "";
  // Where the composition overflows it excuses nothing.
  const double plain = is_double ? 0.0 : largest_error(composition(), expected);
  const double allowed = constant + (std::isfinite(plain) ? 2.0 * plain : 0.0);
  if (error <= allowed) return "";
  std::ostringstream line;
  line << "\n  " << name << ": error " << error << ", allowed " << allowed << ", largest value "
       << largest_magnitude(expected);
  return line.str();
}

std::string differences(const Na2dCase& problem, const Na2dTensors& ours) {
  const Na2dInputs inputs = oracle_inputs(problem);
  const Na2dResult result = na2d_oracle(problem.sizes, inputs);
  const Na2dInputs grad = na2d_oracle_backward(problem.sizes, inputs, to_doubles(problem.grad_out));
  std::optional<Na2dTensors> plain;
  const auto composition = [&](at::Tensor Na2dTensors::*member) {
    return [&plain, &problem, member] {
      if (!plain) plain = run_composition(problem);
      return (*plain).*member;
    };
  };
  using Tensors = Na2dTensors;
  const auto sizes = problem.query.sizes();
  const auto wide = problem.dtype == at::kDouble ? at::kDouble : at::kFloat;
  std::string lines = malformed("out", ours.out, sizes, problem.dtype) +
                      malformed("lse", ours.lse, sizes.slice(0, 4), wide) +
                      malformed("grad_query", ours.grad_query, sizes, problem.dtype) +
                      malformed("grad_key", ours.grad_key, sizes, problem.dtype) +
                      malformed("grad_value", ours.grad_value, sizes, problem.dtype);
  if (problem.rpb) {
    lines += malformed("grad_rpb", ours.grad_rpb, problem.rpb->sizes(), problem.dtype);
  }
  if (!lines.empty()) return problem.description + lines + "\n";
  lines = difference("out", ours.out, result.out, composition(&Tensors::out)) +
          difference("lse", ours.lse, result.lse, composition(&Tensors::lse)) +
          difference("grad_query", ours.grad_query, grad.query, composition(&Tensors::grad_query)) +
          difference("grad_key", ours.grad_key, grad.key, composition(&Tensors::grad_key)) +
          difference("grad_value", ours.grad_value, grad.value, composition(&Tensors::grad_value));
  if (problem.rpb) {
    lines += difference("grad_rpb", ours.grad_rpb, grad.rpb, composition(&Tensors::grad_rpb));
  }
  return lines.empty() ? "" : problem.description + lines + "\n";
}

Na2dCase sample_of(const Na2dCase& problem, int64_t index) {
  Na2dCase sample = problem;
  sample.sizes.batch = 1;
  for (at::Tensor* tensor : {&sample.query, &sample.key, &sample.value, &sample.grad_out}) {
    *tensor = tensor->narrow(0, index, 1);
  }
  return sample;
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
  const auto integers = a.element_size() == 8   ? at::kLong
                        : a.element_size() == 4 ? at::kInt
                                                : at::kShort;
  return at::equal(a.contiguous().view(integers), b.contiguous().view(integers));
}

bool same_bits(const Na2dTensors& a, const Na2dTensors& b) {
  return same_bits(a.out, b.out) && same_bits(a.lse, b.lse) &&
         same_bits(a.grad_query, b.grad_query) && same_bits(a.grad_key, b.grad_key) &&
         same_bits(a.grad_value, b.grad_value) && same_bits(a.grad_rpb, b.grad_rpb);
}

}  // namespace vizoo::test
