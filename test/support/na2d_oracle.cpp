#include "test/support/na2d_oracle.h"

#include <algorithm>
#include <cmath>

namespace vizoo::test {

namespace {

/// One key of one query along an axis.
struct Neighbor {
  int64_t token;
  int64_t bias_index;
};

/// For each token of an axis the K keys that it sees, in order: tokens of its own dilation group,
/// around itself where that fits, shifted inwards at borders.
std::vector<std::vector<Neighbor>> neighbors_of_axis(int64_t length,
                                                     int64_t kernel_size,
                                                     int64_t dilation) {
  std::vector<std::vector<Neighbor>> neighbors(length);
  for (int64_t group = 0; group < dilation; ++group) {
    std::vector<int64_t> tokens;
    for (int64_t token = group; token < length; token += dilation) tokens.push_back(token);
    const auto count = static_cast<int64_t>(tokens.size());
    for (int64_t query = 0; query < count; ++query) {
      const int64_t start = std::clamp<int64_t>(query - kernel_size / 2, 0, count - kernel_size);
      for (int64_t key = start; key < start + kernel_size; ++key) {
        neighbors[tokens[query]].push_back({tokens[key], key - query + kernel_size - 1});
      }
    }
  }
  return neighbors;
}

/// Calls visit(row of the query, slot in its window, row of the key, index into rpb) for each pair
/// of query and key, all pairs of one query together and in window order. A row is one vector of
/// [B, H, W, heads].
template <class Visit>
void for_each_pair(const Na2dSizes& sizes, const Visit& visit) {
  const auto [kernel_height, kernel_width] = sizes.kernel_size;
  const auto down = neighbors_of_axis(sizes.height, kernel_height, sizes.dilation[0]);
  const auto across = neighbors_of_axis(sizes.width, kernel_width, sizes.dilation[1]);
  const auto row_of = [&](int64_t b, int64_t i, int64_t j, int64_t h) {
    return ((b * sizes.height + i) * sizes.width + j) * sizes.heads + h;
  };
  for (int64_t b = 0; b < sizes.batch; ++b) {
    for (int64_t i = 0; i < sizes.height; ++i) {
      for (int64_t j = 0; j < sizes.width; ++j) {
        for (int64_t h = 0; h < sizes.heads; ++h) {
          int64_t slot = 0;
          for (const Neighbor& y : down[i]) {
            for (const Neighbor& x : across[j]) {
              const int64_t bias_index =
                  (h * (2 * kernel_height - 1) + y.bias_index) * (2 * kernel_width - 1) +
                  x.bias_index;
              visit(row_of(b, i, j, h), slot++, row_of(b, y.token, x.token, h), bias_index);
            }
          }
        }
      }
    }
  }
}

double dot(const double* a, const double* b, int64_t count) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

/// sum += factor * a
void add_multiple(double* sum, double factor, const double* a, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += factor * a[i];
}

/// Softmax over each row of `window` scores, in place; returns the logarithms of the sums.
std::vector<double> softmax_rows(std::vector<double>& scores, int64_t window) {
  std::vector<double> lse;
  for (auto row = scores.begin(); row != scores.end(); row += window) {
    const double largest = *std::max_element(row, row + window);
    double sum = 0.0;
    for (auto score = row; score != row + window; ++score) sum += std::exp(*score - largest);
    lse.push_back(largest + std::log(sum));
    for (auto score = row; score != row + window; ++score) {
      *score = std::exp(*score - largest) / sum;
    }
  }
  return lse;
}

}  // namespace

std::vector<double> na2d_qk_oracle(const Na2dSizes& sizes, const Na2dInputs& inputs) {
  const int64_t d = sizes.head_dim;
  std::vector<double> scores(sizes.rows() * sizes.window());
  for_each_pair(sizes, [&](int64_t query, int64_t slot, int64_t key, int64_t bias_index) {
    scores[query * sizes.window() + slot] =
        sizes.scale * dot(&inputs.query[query * d], &inputs.key[key * d], d) +
        (inputs.rpb.empty() ? 0.0 : inputs.rpb[bias_index]);
  });
  return scores;
}

Na2dInputs na2d_qk_oracle_backward(const Na2dSizes& sizes,
                                   const Na2dInputs& inputs,
                                   const std::vector<double>& grad_attn) {
  const int64_t d = sizes.head_dim;
  Na2dInputs grad;
  grad.query.assign(inputs.query.size(), 0.0);
  grad.key.assign(inputs.key.size(), 0.0);
  grad.rpb.assign(inputs.rpb.size(), 0.0);
  for_each_pair(sizes, [&](int64_t query, int64_t slot, int64_t key, int64_t bias_index) {
    const double grad_score = grad_attn[query * sizes.window() + slot];
    add_multiple(&grad.query[query * d], sizes.scale * grad_score, &inputs.key[key * d], d);
    add_multiple(&grad.key[key * d], sizes.scale * grad_score, &inputs.query[query * d], d);
    if (!grad.rpb.empty()) grad.rpb[bias_index] += grad_score;
  });
  return grad;
}

std::vector<double> na2d_av_oracle(const Na2dSizes& sizes,
                                   const std::vector<double>& attn,
                                   const std::vector<double>& value) {
  const int64_t d = sizes.head_dim;
  std::vector<double> out(value.size(), 0.0);
  for_each_pair(sizes, [&](int64_t query, int64_t slot, int64_t key, int64_t) {
    add_multiple(&out[query * d], attn[query * sizes.window() + slot], &value[key * d], d);
  });
  return out;
}

Na2dAvGradients na2d_av_oracle_backward(const Na2dSizes& sizes,
                                        const std::vector<double>& attn,
                                        const std::vector<double>& value,
                                        const std::vector<double>& grad_out) {
  const int64_t d = sizes.head_dim;
  Na2dAvGradients grad{std::vector<double>(attn.size()), std::vector<double>(value.size(), 0.0)};
  for_each_pair(sizes, [&](int64_t query, int64_t slot, int64_t key, int64_t) {
    const int64_t weight = query * sizes.window() + slot;
    grad.attn[weight] = dot(&grad_out[query * d], &value[key * d], d);
    add_multiple(&grad.value[key * d], attn[weight], &grad_out[query * d], d);
  });
  return grad;
}

Na2dResult na2d_oracle(const Na2dSizes& sizes, const Na2dInputs& inputs) {
  std::vector<double> attn = na2d_qk_oracle(sizes, inputs);
  std::vector<double> lse = softmax_rows(attn, sizes.window());
  return {na2d_av_oracle(sizes, attn, inputs.value), std::move(lse)};
}

Na2dInputs na2d_oracle_backward(const Na2dSizes& sizes,
                                const Na2dInputs& inputs,
                                const std::vector<double>& grad_out) {
  const int64_t window = sizes.window();
  std::vector<double> attn = na2d_qk_oracle(sizes, inputs);
  softmax_rows(attn, window);
  auto [grad_attn, grad_value] = na2d_av_oracle_backward(sizes, attn, inputs.value, grad_out);
  // Through the softmax: grad_score = attn * (grad_attn - sum of attn * grad_attn over the row).
  for (size_t row = 0; row < grad_attn.size(); row += window) {
    const double mean = dot(&attn[row], &grad_attn[row], window);
    for (size_t i = row; i < row + window; ++i) grad_attn[i] = attn[i] * (grad_attn[i] - mean);
  }
  Na2dInputs grad = na2d_qk_oracle_backward(sizes, inputs, grad_attn);
  grad.value = std::move(grad_value);
  return grad;
}

}  // namespace vizoo::test
