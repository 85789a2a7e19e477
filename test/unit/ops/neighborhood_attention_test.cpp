// What the ops of neighborhood attention refuse, and their schemas. Their numbers are the subject
// of test/property.
#include "vizoo/ops/neighborhood_attention.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <sstream>
#include <string>

#include "test/support/catch.h"
#include "test/support/op_error.h"

using at::Tensor;
using vizoo::ops::na2d;
using vizoo::ops::na2d_av;
using vizoo::ops::na2d_av_backward;
using vizoo::ops::na2d_backward;
using vizoo::ops::na2d_forward;
using vizoo::ops::na2d_qk;
using vizoo::ops::na2d_qk_backward;
using vizoo::test::op_error;

namespace {

Tensor zeros(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) {
  return at::zeros(sizes, dtype);
}

Tensor on_meta(const Tensor& tensor) { return tensor.to(at::kMeta); }

/// The form of every error: one line, `[op] subject: expected X, got Y.`
bool is_well_formed(const std::string& message, const std::string& op) {
  return message.rfind("[" + op + "] ", 0) == 0 && message.find(": expected ") != message.npos &&
         message.find(", got ") != message.npos && message.back() == '.' &&
         message.find('\n') == message.npos;
}

const std::vector<int64_t> kSize{1, 8, 9, 2, 4};

/// na2d of valid arguments but for the window.
std::string window_error(at::IntArrayRef kernel_size, at::IntArrayRef dilation) {
  const auto x = zeros(kSize);
  return op_error([&] { na2d(x, x, x, std::nullopt, kernel_size, dilation); });
}

/// na2d of these three with a 3x3 window.
std::string operand_error(const Tensor& query,
                          const Tensor& key,
                          const Tensor& value,
                          const std::optional<Tensor>& rpb = std::nullopt) {
  return op_error([&] { na2d(query, key, value, rpb, {3, 3}, {1, 1}); });
}

std::string operand_error(const Tensor& all) { return operand_error(all, all, all); }

}  // namespace

TEST_CASE("windows that are refused", "[na2d][error]") {
  for (const auto& size : std::vector<std::vector<int64_t>>{
           {4, 3}, {3, 4}, {1, 3}, {3, 1}, {0, 3}, {3, -3}, {2, 2}, {3, -1}}) {
    std::ostringstream line;
    line << "[na2d] kernel_size: expected odd sizes of at least 3, got " << at::IntArrayRef(size);
    CHECK(window_error(size, {1, 1}) == line.str() + ".");
  }
  for (const auto& steps : std::vector<std::vector<int64_t>>{{0, 1}, {1, 0}, {-1, 1}, {2, -7}}) {
    std::ostringstream line;
    line << "[na2d] dilation: expected integers of at least 1, got " << at::IntArrayRef(steps);
    CHECK(window_error({3, 3}, steps) == line.str() + ".");
  }
  // 8 x 9 tokens.
  CHECK(
      window_error({5, 3}, {2, 1}) ==
      "[na2d] kernel_size: expected kernel_size * dilation of at most the height and width, 8 x 9, "
      "got [5, 3] * [2, 1]. Pad the input first.");
  CHECK(
      window_error({3, 5}, {1, 2}) ==
      "[na2d] kernel_size: expected kernel_size * dilation of at most the height and width, 8 x 9, "
      "got [3, 5] * [1, 2]. Pad the input first.");
  CHECK(
      window_error({9, 3}, {1, 1}) ==
      "[na2d] kernel_size: expected kernel_size * dilation of at most the height and width, 8 x 9, "
      "got [9, 3] * [1, 1]. Pad the input first.");
  CHECK(window_error({7, 9}, {1, 1}) == "no error");
  CHECK(window_error({3, 3}, {2, 3}) == "no error");
  CHECK(window_error({3}, {1, 1}) ==
        "[na2d] kernel_size: expected two integers, height and width, got [3].");
  CHECK(window_error({3, 3, 3}, {1, 1}) ==
        "[na2d] kernel_size: expected two integers, height and width, got [3, 3, 3].");
  CHECK(window_error({}, {1, 1}) ==
        "[na2d] kernel_size: expected two integers, height and width, got [].");
  CHECK(window_error({3, 3}, {1}) ==
        "[na2d] dilation: expected two integers, height and width, got [1].");
  CHECK(window_error({3, 3}, {1, 1, 1}) ==
        "[na2d] dilation: expected two integers, height and width, got [1, 1, 1].");
  // Products that would overflow.
  const int64_t huge = int64_t{1} << 62;
  CHECK(is_well_formed(window_error({huge + 1, 3}, {4, 1}), "na2d"));
  CHECK(is_well_formed(window_error({3, 3}, {huge, huge}), "na2d"));
  CHECK(is_well_formed(window_error({2147483647, 3}, {2147483647, 1}), "na2d"));
}

TEST_CASE("operands that are refused", "[na2d][error]") {
  const auto x = zeros(kSize);
  CHECK(operand_error(x, zeros({1, 8, 9, 2, 5}), x) ==
        "[na2d] key: expected sizes [1, 8, 9, 2, 4], got [1, 8, 9, 2, 5].");
  CHECK(operand_error(x, x, zeros({2, 8, 9, 2, 4})) ==
        "[na2d] value: expected sizes [1, 8, 9, 2, 4], got [2, 8, 9, 2, 4].");
  CHECK(operand_error(x, zeros({8, 9, 2, 4}), x) ==
        "[na2d] key: expected sizes [1, 8, 9, 2, 4], got [8, 9, 2, 4].");
  CHECK(operand_error(x, x.to(at::kDouble), x) ==
        "[na2d] key: expected Float on cpu, got Double [1, 8, 9, 2, 4] on cpu.");
  CHECK(operand_error(x, x, x.to(at::kHalf)) ==
        "[na2d] value: expected Float on cpu, got Half [1, 8, 9, 2, 4] on cpu.");
  CHECK(operand_error(x, on_meta(x), x) ==
        "[na2d] key: expected Float on cpu, got Float [1, 8, 9, 2, 4] on meta.");
  CHECK(operand_error(on_meta(x), x, x) ==
        "[na2d] key: expected Float on meta, got Float [1, 8, 9, 2, 4] on cpu.");
  CHECK(operand_error(zeros({8, 9, 2, 4})) ==
        "[na2d] query: expected a tensor [B, H, W, heads, D], got Float [8, 9, 2, 4] on cpu.");
  CHECK(
      operand_error(zeros({1, 1, 8, 9, 2, 4})) ==
      "[na2d] query: expected a tensor [B, H, W, heads, D], got Float [1, 1, 8, 9, 2, 4] on cpu.");
  CHECK(operand_error(Tensor(), x, x) ==
        "[na2d] query: expected a tensor [B, H, W, heads, D], got nothing.");
  CHECK(operand_error(x, Tensor(), x) ==
        "[na2d] key: expected a tensor [1, 8, 9, 2, 4], got nothing.");
  CHECK(operand_error(x, x, Tensor()) ==
        "[na2d] value: expected a tensor [1, 8, 9, 2, 4], got nothing.");
  CHECK(operand_error(x.to(at::kInt)) ==
        "[na2d] query: expected float32, float64, float16 or bfloat16, got Int.");
  CHECK(operand_error(x.to(at::kBool)) ==
        "[na2d] query: expected float32, float64, float16 or bfloat16, got Bool.");
  CHECK(operand_error(x.to(at::kComplexFloat)) ==
        "[na2d] query: expected float32, float64, float16 or bfloat16, got ComplexFloat.");
  CHECK(operand_error(zeros({1, 8, 9, 2, 0})) ==
        "[na2d] query: expected a head dimension of 1 to 256, got 0.");
  CHECK(operand_error(zeros({1, 8, 9, 2, 257})) ==
        "[na2d] query: expected a head dimension of 1 to 256, got 257.");
  CHECK(operand_error(zeros({1, 8, 9, 0, 4})) ==
        "[na2d] query: expected at least one head, got none.");
  CHECK(operand_error(zeros({1, 8, 9, 2, 256})) == "no error");
}

TEST_CASE("strides that are refused", "[na2d][error]") {
  const auto x = zeros(kSize);
  const auto transposed = zeros({1, 8, 9, 4, 2}).transpose(3, 4);
  const auto expanded = zeros({1, 8, 9, 2, 1}).expand(kSize);
  CHECK(operand_error(transposed, x, x) ==
        "[na2d] query: expected unit stride over the last dimension, got 2. Call contiguous() "
        "first.");
  CHECK(
      operand_error(x, transposed, x) ==
      "[na2d] key: expected unit stride over the last dimension, got 2. Call contiguous() first.");
  CHECK(operand_error(x, x, expanded) ==
        "[na2d] value: expected unit stride over the last dimension, got 0. Call contiguous() "
        "first.");
  // There is no stride over one element.
  const auto thin = at::rand({1, 8, 9, 1, 2}).transpose(3, 4);
  REQUIRE(thin.stride(4) != 1);
  const auto out = na2d(thin, thin, thin, std::nullopt, {3, 3}, {1, 1});
  const auto copy = thin.contiguous();
  CHECK(at::equal(out, na2d(copy, copy, copy, std::nullopt, {3, 3}, {1, 1})));
}

TEST_CASE("biases that are refused", "[na2d][error]") {
  const auto x = zeros(kSize);
  CHECK(operand_error(x, x, x, zeros({2, 5, 7})) ==
        "[na2d] rpb: expected sizes [2, 5, 5], got [2, 5, 7].");
  CHECK(operand_error(x, x, x, zeros({1, 5, 5})) ==
        "[na2d] rpb: expected sizes [2, 5, 5], got [1, 5, 5].");
  CHECK(operand_error(x, x, x, zeros({5, 5})) ==
        "[na2d] rpb: expected sizes [2, 5, 5], got [5, 5].");
  CHECK(operand_error(x, x, x, zeros({2, 5, 5}, at::kHalf)) ==
        "[na2d] rpb: expected Float on cpu, got Half [2, 5, 5] on cpu.");
  CHECK(operand_error(x, x, x, on_meta(zeros({2, 5, 5}))) ==
        "[na2d] rpb: expected Float on cpu, got Float [2, 5, 5] on meta.");
  CHECK(op_error([&] {
          na2d(x, x, x, zeros({2, 9, 5}), {3, 5}, {1, 1});
        }) == "[na2d] rpb: expected sizes [2, 5, 9], got [2, 9, 5].");
  // Any strides will do.
  const auto rpb = at::rand({5, 2, 5}).permute({1, 2, 0});
  const auto query = at::rand(kSize);
  CHECK(at::equal(na2d(query, query, query, rpb, {3, 3}, {1, 1}),
                  na2d(query, query, query, rpb.contiguous(), {3, 3}, {1, 1})));
}

TEST_CASE("an empty batch is accepted", "[na2d]") {
  const auto x = zeros({0, 8, 9, 2, 4});
  const auto [out, lse] = na2d_forward(x, x, x, zeros({2, 5, 5}), {3, 3}, {1, 1});
  CHECK(out.sizes() == x.sizes());
  CHECK(lse.sizes() == at::IntArrayRef{0, 8, 9, 2});
  // An empty image is too small for any window.
  CHECK(
      operand_error(zeros({1, 0, 9, 2, 4})) ==
      "[na2d] kernel_size: expected kernel_size * dilation of at most the height and width, 0 x 9, "
      "got [3, 3] * [1, 1]. Pad the input first.");
}

TEST_CASE("what the fused backward refuses", "[na2d][error]") {
  const auto x = zeros(kSize);
  const auto log_sums = zeros({1, 8, 9, 2});
  const auto error = [&](const Tensor& grad_out, const Tensor& out, const Tensor& lse) {
    return op_error([&] {
      na2d_backward(grad_out, x, x, x, std::nullopt, out, lse, {3, 3}, {1, 1});
    });
  };
  CHECK(error(x, x, log_sums) == "no error");
  CHECK(error(zeros({1, 8, 9, 2, 5}), x, log_sums) ==
        "[na2d_backward] grad_out: expected sizes [1, 8, 9, 2, 4], got [1, 8, 9, 2, 5].");
  CHECK(error(x.to(at::kHalf), x, log_sums) ==
        "[na2d_backward] grad_out: expected Float on cpu, got Half [1, 8, 9, 2, 4] on cpu.");
  CHECK(error(Tensor(), x, log_sums) ==
        "[na2d_backward] grad_out: expected a tensor [1, 8, 9, 2, 4], got nothing.");
  CHECK(error(x, zeros({1, 8, 9, 4, 2}), log_sums) ==
        "[na2d_backward] out: expected sizes [1, 8, 9, 2, 4], got [1, 8, 9, 4, 2].");
  CHECK(error(x, x, zeros({1, 8, 9})) ==
        "[na2d_backward] lse: expected sizes [1, 8, 9, 2], got [1, 8, 9].");
  CHECK(error(x, x, log_sums.to(at::kDouble)) ==
        "[na2d_backward] lse: expected Float on cpu, got Double [1, 8, 9, 2] on cpu.");
  CHECK(error(x, x, on_meta(log_sums)) ==
        "[na2d_backward] lse: expected Float on cpu, got Float [1, 8, 9, 2] on meta.");
  const auto half = x.to(at::kHalf);
  CHECK(op_error([&] {
          na2d_backward(
              half, half, half, half, std::nullopt, half, log_sums.to(at::kHalf), {3, 3}, {1, 1});
        }) == "[na2d_backward] lse: expected Float on cpu, got Half [1, 8, 9, 2] on cpu.");
  CHECK(op_error([&] {
          na2d_backward(x, x, x, x, std::nullopt, x, log_sums, {2, 3}, {1, 1});
        }) == "[na2d_backward] kernel_size: expected odd sizes of at least 3, got [2, 3].");
}

TEST_CASE("what the unfused ops refuse", "[na2d][error]") {
  const auto x = zeros({1, 2, 8, 9, 4});
  const auto attn = zeros({1, 2, 8, 9, 9});
  const auto qk = [&](const Tensor& query, const Tensor& key, at::IntArrayRef kernel_size) {
    return op_error([&] { na2d_qk(query, key, std::nullopt, kernel_size, {1, 1}); });
  };
  CHECK(qk(x, x, {2, 3}) == "[na2d_qk] kernel_size: expected odd sizes of at least 3, got [2, 3].");
  CHECK(qk(x, zeros({1, 2, 8, 9, 5}), {3, 3}) ==
        "[na2d_qk] key: expected sizes [1, 2, 8, 9, 4], got [1, 2, 8, 9, 5].");
  CHECK(qk(zeros({2, 8, 9, 4}), x, {3, 3}) ==
        "[na2d_qk] query: expected a tensor [B, heads, H, W, D], got Float [2, 8, 9, 4] on cpu.");
  const auto headless = zeros({1, 0, 8, 9, 4});
  CHECK(qk(headless, headless, {3, 3}) == "[na2d_qk] query: expected at least one head, got none.");
  CHECK(op_error([&] {
          na2d_qk(x, x, zeros({2, 5, 4}), {3, 3}, {1, 1});
        }) == "[na2d_qk] rpb: expected sizes [2, 5, 5], got [2, 5, 4].");
  const auto qk_backward = [&](const Tensor& grad) {
    return op_error([&] { na2d_qk_backward(grad, x, x, std::nullopt, {3, 3}, {1, 1}); });
  };
  CHECK(qk_backward(zeros({1, 2, 8, 9, 8})) ==
        "[na2d_qk_backward] grad_attn: expected sizes [1, 2, 8, 9, 9], got [1, 2, 8, 9, 8].");
  CHECK(qk_backward(attn.to(at::kDouble)) ==
        "[na2d_qk_backward] grad_attn: expected Float on cpu, got Double [1, 2, 8, 9, 9] on cpu.");

  const auto av = [&](const Tensor& weights, const Tensor& value) {
    return op_error([&] { na2d_av(weights, value, {3, 3}, {1, 1}); });
  };
  CHECK(av(attn, x) == "no error");
  CHECK(op_error([&] {
          na2d_av(attn, x, {3, 5}, {1, 1});
        }) == "[na2d_av] attn: expected sizes [1, 2, 8, 9, 15], got [1, 2, 8, 9, 9].");
  CHECK(av(zeros({2, 8, 9, 9}), x) ==
        "[na2d_av] attn: expected a tensor [B, heads, H, W, Kh * Kw], got Float [2, 8, 9, 9] on "
        "cpu.");
  CHECK(av(attn, zeros({2, 8, 9, 4})) ==
        "[na2d_av] value: expected a tensor [B, heads, H, W, D], got Float [2, 8, 9, 4] on cpu.");
  CHECK(av(attn.to(at::kDouble), x) ==
        "[na2d_av] attn: expected Float on cpu, got Double [1, 2, 8, 9, 9] on cpu.");
  CHECK(av(attn.to(at::kLong), x) ==
        "[na2d_av] attn: expected float32, float64, float16 or bfloat16, got Long.");
  CHECK(av(attn, zeros({1, 2, 8, 9, 300})) ==
        "[na2d_av] value: expected a head dimension of 1 to 256, got 300.");
  CHECK(av(attn, zeros({1, 2, 8, 4, 9}).transpose(3, 4)) ==
        "[na2d_av] value: expected unit stride over the last dimension, got 9. Call contiguous() "
        "first.");
  CHECK(op_error([&] {
          na2d_av(attn, x, {3, 3}, {3, 1});
        }) ==
        "[na2d_av] kernel_size: expected kernel_size * dilation of at most the height and width, "
        "8 x 9, got [3, 3] * [3, 1]. Pad the input first.");
  CHECK(op_error([&] {
          na2d_av_backward(zeros({1, 2, 8, 9, 5}), attn, x, {3, 3}, {1, 1});
        }) == "[na2d_av_backward] grad_out: expected sizes [1, 2, 8, 9, 4], got [1, 2, 8, 9, 5].");
}

TEST_CASE("bad input is refused with a gradient and without data, too", "[na2d][error]") {
  const auto x = zeros(kSize).requires_grad_();
  CHECK(op_error([&] {
          na2d(x, x, x, std::nullopt, {4, 3}, {1, 1});
        }) == "[na2d_forward] kernel_size: expected odd sizes of at least 3, got [4, 3].");
  const auto y = on_meta(zeros(kSize));
  CHECK(op_error([&] {
          na2d(y, y, y, std::nullopt, {4, 3}, {1, 1});
        }) == "[na2d] kernel_size: expected odd sizes of at least 3, got [4, 3].");
  CHECK(op_error([&] {
          na2d_forward(y, y, y, std::nullopt, {3, 3}, {4, 1});
        }) ==
        "[na2d_forward] kernel_size: expected kernel_size * dilation of at most the height and "
        "width, 8 x 9, got [3, 3] * [4, 1]. Pad the input first.");
  CHECK(operand_error(on_meta(zeros({1, 8, 9, 2, 257}))) ==
        "[na2d] query: expected a head dimension of 1 to 256, got 257.");
  CHECK(operand_error(on_meta(zeros(kSize, at::kInt))) ==
        "[na2d] query: expected float32, float64, float16 or bfloat16, got Int.");
}

TEST_CASE("the schemas of the ops", "[na2d]") {
  const auto schema = [](const char* name) {
    std::ostringstream text;
    text << c10::Dispatcher::singleton().findSchemaOrThrow(name, "").schema();
    return text.str();
  };
  CHECK(schema("vizoo::na2d") ==
        "vizoo::na2d(Tensor query, Tensor key, Tensor value, Tensor? rpb, int[2] kernel_size, "
        "int[2] dilation, float? scale=None) -> Tensor");
  CHECK(schema("vizoo::na2d_forward") ==
        "vizoo::na2d_forward(Tensor query, Tensor key, Tensor value, Tensor? rpb, int[2] "
        "kernel_size, int[2] dilation, float? scale=None) -> (Tensor out, Tensor lse)");
  CHECK(
      schema("vizoo::na2d_backward") ==
      "vizoo::na2d_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor? rpb, "
      "Tensor out, Tensor lse, int[2] kernel_size, int[2] dilation, float? scale=None) -> (Tensor "
      "grad_query, Tensor grad_key, Tensor grad_value, Tensor grad_rpb)");
  CHECK(
      schema("vizoo::na2d_qk") ==
      "vizoo::na2d_qk(Tensor query, Tensor key, Tensor? rpb, int[2] kernel_size, int[2] dilation) "
      "-> Tensor");
  CHECK(schema("vizoo::na2d_qk_backward") ==
        "vizoo::na2d_qk_backward(Tensor grad_attn, Tensor query, Tensor key, Tensor? rpb, int[2] "
        "kernel_size, int[2] dilation) -> (Tensor grad_query, Tensor grad_key, Tensor grad_rpb)");
  CHECK(schema("vizoo::na2d_av") ==
        "vizoo::na2d_av(Tensor attn, Tensor value, int[2] kernel_size, int[2] dilation) -> Tensor");
  CHECK(schema("vizoo::na2d_av_backward") ==
        "vizoo::na2d_av_backward(Tensor grad_out, Tensor attn, Tensor value, int[2] kernel_size, "
        "int[2] dilation) -> (Tensor grad_attn, Tensor grad_value)");
}
