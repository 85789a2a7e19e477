#pragma once

// What neighborhood attention is, as loop nests in float64 that are written for reading. Nothing
// here shares code with the library: windows come from lists of the tokens of a dilation group, and
// gradients go from each query to its keys, never through the inverse windows that kernels use.
// Sources: arXiv:2204.07143 and arXiv:2209.15001; NATTEN 0.14.6 for the windows and the bias.

#include <array>
#include <cstdint>
#include <vector>

namespace vizoo::test {

/// Sizes of one problem; axis 0 is the height. Kernel sizes are odd, at least 3, and
/// kernel_size * dilation <= size on each axis: nothing is checked.
struct Na2dSizes {
  int64_t batch = 1;
  int64_t height = 0;
  int64_t width = 0;
  int64_t heads = 1;
  int64_t head_dim = 1;
  std::array<int64_t, 2> kernel_size{};
  std::array<int64_t, 2> dilation{};
  double scale = 1.0;  ///< of query . key; the bias is added unscaled

  int64_t window() const { return kernel_size[0] * kernel_size[1]; }
  /// Number of (batch, row, column, head) tuples.
  int64_t rows() const { return batch * height * width * heads; }
};

/// query, key, value: [B, H, W, heads, D]; rpb: [heads, 2 Kh - 1, 2 Kw - 1] or empty.
struct Na2dInputs {
  std::vector<double> query;
  std::vector<double> key;
  std::vector<double> value;
  std::vector<double> rpb;
};

/// out: [B, H, W, heads, D]; lse: [B, H, W, heads].
struct Na2dResult {
  std::vector<double> out;
  std::vector<double> lse;
};

/// Softmax of scale * query . key + rpb over each query's window, times value.
Na2dResult na2d_oracle(const Na2dSizes& sizes, const Na2dInputs& inputs);

/// Gradients of sum(out * grad_out) with respect to each input; that of rpb is empty without one.
Na2dInputs na2d_oracle_backward(const Na2dSizes& sizes,
                                const Na2dInputs& inputs,
                                const std::vector<double>& grad_out);

/// Scores scale * query . key + rpb of the unfused form, [B, H, W, heads, Kh * Kw]; value is not
/// read.
std::vector<double> na2d_qk_oracle(const Na2dSizes& sizes, const Na2dInputs& inputs);

/// Gradients of sum(scores * grad_attn); that of value stays empty.
Na2dInputs na2d_qk_oracle_backward(const Na2dSizes& sizes,
                                   const Na2dInputs& inputs,
                                   const std::vector<double>& grad_attn);

/// attn [B, H, W, heads, Kh * Kw] times value [B, H, W, heads, D] -> [B, H, W, heads, D].
std::vector<double> na2d_av_oracle(const Na2dSizes& sizes,
                                   const std::vector<double>& attn,
                                   const std::vector<double>& value);

/// Gradients of sum(out * grad_out) of the unfused weighted sum.
struct Na2dAvGradients {
  std::vector<double> attn;
  std::vector<double> value;
};
Na2dAvGradients na2d_av_oracle_backward(const Na2dSizes& sizes,
                                        const std::vector<double>& attn,
                                        const std::vector<double>& value,
                                        const std::vector<double>& grad_out);

}  // namespace vizoo::test
