// Shape functions: on tensors without data every op gives what it gives on the CPU, but for the
// data.
#include <ATen/ATen.h>

#include "test/support/catch.h"
#include "vizoo/ops/neighborhood_attention.h"

using at::Tensor;
namespace ops = vizoo::ops;

namespace {

Tensor meta(const Tensor& tensor) { return tensor.to(at::kMeta); }

/// Same dtype, sizes and strides; `without_data` on the meta device.
bool same_form(const Tensor& without_data, const Tensor& tensor) {
  return without_data.is_meta() && tensor.is_cpu() &&
         without_data.scalar_type() == tensor.scalar_type() &&
         without_data.sizes() == tensor.sizes() && without_data.strides() == tensor.strides();
}

template <class... T, size_t... Index>
bool same_forms(const std::tuple<T...>& without_data,
                const std::tuple<T...>& tensors,
                std::index_sequence<Index...>) {
  return (same_form(std::get<Index>(without_data), std::get<Index>(tensors)) && ...);
}

template <class... T>
bool same_form(const std::tuple<T...>& without_data, const std::tuple<T...>& tensors) {
  return same_forms(without_data, tensors, std::index_sequence_for<T...>());
}

}  // namespace

TEST_CASE("shapes and dtypes of the fused ops", "[na2d][meta]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    for (const int64_t batch : {0, 3}) {
      for (const bool with_rpb : {true, false}) {
        // A packed projection, and a transposed gradient.
        const auto packed = at::zeros({batch, 7, 9, 3, 2, 5}, dtype);
        const auto q = packed.select(3, 0), k = packed.select(3, 1), v = packed.select(3, 2);
        const auto grad = at::zeros({batch, 2, 7, 9, 5}, dtype).permute({0, 2, 3, 1, 4});
        std::optional<Tensor> rpb, meta_rpb;
        if (with_rpb) {
          rpb = at::zeros({2, 9, 5}, dtype);
          meta_rpb = meta(*rpb);
        }
        const auto results = ops::na2d_forward(q, k, v, rpb, {5, 3}, {1, 2});
        const auto [out, lse] = results;
        CHECK(out.sizes() == at::IntArrayRef{batch, 7, 9, 2, 5});
        CHECK(out.scalar_type() == dtype);
        CHECK(out.is_contiguous());
        CHECK(lse.sizes() == at::IntArrayRef{batch, 7, 9, 2});
        CHECK(lse.scalar_type() == (dtype == at::kDouble ? at::kDouble : at::kFloat));
        CHECK(same_form(ops::na2d_forward(meta(q), meta(k), meta(v), meta_rpb, {5, 3}, {1, 2}),
                        results));
        CHECK(same_form(ops::na2d(meta(q), meta(k), meta(v), meta_rpb, {5, 3}, {1, 2}, 0.5), out));
        const auto grads = ops::na2d_backward(grad, q, k, v, rpb, out, lse, {5, 3}, {1, 2}, 0.5);
        CHECK(std::get<3>(grads).sizes() ==
              (with_rpb ? at::IntArrayRef{2, 9, 5} : at::IntArrayRef{0}));
        CHECK(same_form(ops::na2d_backward(meta(grad),
                                           meta(q),
                                           meta(k),
                                           meta(v),
                                           meta_rpb,
                                           meta(out),
                                           meta(lse),
                                           {5, 3},
                                           {1, 2}),
                        grads));
      }
    }
  }
}

TEST_CASE("shapes and dtypes of the unfused ops", "[na2d][meta]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    const auto query = at::zeros({2, 7, 9, 3, 5}, dtype).permute({0, 3, 1, 2, 4});
    const auto key = at::zeros({2, 3, 7, 9, 5}, dtype);
    const auto rpb = at::zeros({3, 9, 5}, dtype);
    const auto attn = ops::na2d_qk(query, key, rpb, {5, 3}, {1, 2});
    CHECK(attn.sizes() == at::IntArrayRef{2, 3, 7, 9, 15});
    CHECK(attn.scalar_type() == dtype);
    CHECK(same_form(ops::na2d_qk(meta(query), meta(key), meta(rpb), {5, 3}, {1, 2}), attn));
    CHECK(same_form(
        ops::na2d_qk_backward(meta(attn), meta(query), meta(key), meta(rpb), {5, 3}, {1, 2}),
        ops::na2d_qk_backward(attn, query, key, rpb, {5, 3}, {1, 2})));
    CHECK(same_form(
        ops::na2d_qk_backward(meta(attn), meta(query), meta(key), std::nullopt, {5, 3}, {1, 2}),
        ops::na2d_qk_backward(attn, query, key, std::nullopt, {5, 3}, {1, 2})));
    const auto out = ops::na2d_av(attn, query, {5, 3}, {1, 2});
    CHECK(out.sizes() == at::IntArrayRef{2, 3, 7, 9, 5});
    CHECK(same_form(ops::na2d_av(meta(attn), meta(query), {5, 3}, {1, 2}), out));
    CHECK(same_form(ops::na2d_av_backward(meta(out), meta(attn), meta(query), {5, 3}, {1, 2}),
                    ops::na2d_av_backward(out, attn, query, {5, 3}, {1, 2})));
  }
}

TEST_CASE("shapes beyond memory", "[na2d][meta]") {
  const auto x = at::empty({544, 1000, 320, 64, 64}, at::device(at::kMeta).dtype(at::kBFloat16));
  const auto out = ops::na2d(x, x, x, std::nullopt, {7, 7}, {28, 28});
  CHECK(out.sizes() == x.sizes());
  CHECK(out.is_contiguous());
}

TEST_CASE("padding and cropping without data", "[na2d][meta]") {
  const auto x = at::zeros({2, 5, 6, 3});
  const auto padded = ops::pad_to_at_least(x, {7, 4});
  CHECK(same_form(ops::pad_to_at_least(meta(x), {7, 4}), padded));
  CHECK(same_form(ops::crop_like(meta(padded), meta(x)), ops::crop_like(padded, x)));
}
