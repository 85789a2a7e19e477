#pragma once

// Position encodings of the Perceiver.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/nn/layers.h"

namespace vizoo {

enum class PerceiverPositionEncodingType {
  trainable,
  fourier,
  none,  ///< decoders only: their queries come from elsewhere
};

template <>
struct EnumNames<PerceiverPositionEncodingType> {
  static constexpr std::pair<PerceiverPositionEncodingType, const char*> table[] = {
      {PerceiverPositionEncodingType::trainable, "trainable"},
      {PerceiverPositionEncodingType::fourier, "fourier"},
      {PerceiverPositionEncodingType::none, "none"},
  };
};

/// A size, or sizes of several dimensions.
using PerceiverIndexDims = std::variant<int64_t, std::vector<int64_t>>;

/// The sizes as a list; one for a number.
std::vector<int64_t> perceiver_index_dims(const PerceiverIndexDims& dims);

/// `trainable_position_encoding_kwargs`.
struct PerceiverTrainableOptions {
  PerceiverIndexDims index_dims = int64_t{0};  ///< required; the product is the number of positions
  int64_t num_channels = 128;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("index_dims", self.index_dims);
    visit("num_channels", self.num_channels);
  }
};

/// `fourier_position_encoding_kwargs`.
struct PerceiverFourierOptions {
  int64_t num_bands = 0;                ///< required; frequencies for each dimension
  std::vector<int64_t> max_resolution;  ///< required; of each dimension, of which half is the
                                        ///< highest frequency
  bool concat_pos = true;               ///< whether the coordinates come first
  bool sine_only = false;               ///< no cosines

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("num_bands", self.num_bands);
    visit("max_resolution", self.max_resolution);
    visit("concat_pos", self.concat_pos);
    visit("sine_only", self.sine_only);
  }
};

/// What the options of preprocessors and decoders have in common.
struct PerceiverPositionOptions {
  PerceiverPositionEncodingType position_encoding_type = PerceiverPositionEncodingType::fourier;
  int64_t project_pos_dim = -1;  ///< channels after a linear layer; 0 or less: no such layer
  std::optional<PerceiverTrainableOptions> trainable_position_encoding_kwargs;
  std::optional<PerceiverFourierOptions> fourier_position_encoding_kwargs;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("position_encoding_type", self.position_encoding_type);
    visit("project_pos_dim", self.project_pos_dim);
    visit("trainable_position_encoding_kwargs", self.trainable_position_encoding_kwargs);
    visit("fourier_position_encoding_kwargs", self.fourier_position_encoding_kwargs);
  }
};

/// A learned encoding of each of N positions: parameter `position_embeddings` [N, C].
class PerceiverTrainablePositionEncodingImpl : public torch::nn::Module {
 public:
  /// Throws UsageError for sizes below 1.
  explicit PerceiverTrainablePositionEncodingImpl(
      const PerceiverTrainableOptions& encoding_options);
  /// How many sizes index_dims has.
  int64_t num_dimensions() const;
  int64_t output_size() const { return options.num_channels; }
  /// For every one of a batch: [B, N, C]. `like`: any tensor [B, ...].
  torch::Tensor forward(const torch::Tensor& like) const;
  /// The table for a feature map [B, C', H, W] of another size: it must be square, and is resized
  /// bicubically (a = -0.75) in float32 unless the size is its own. Returns [H W, C]. As
  /// Transformers since March 2026. Throws ShapeError for a table that is not square.
  torch::Tensor interpolate(const torch::Tensor& feature_map) const;

  PerceiverTrainableOptions options;
  torch::Tensor position_embeddings;
};
TORCH_MODULE(PerceiverTrainablePositionEncoding);

/// Sines and cosines of pi f x for each coordinate x in [-1, 1] and frequency f, linearly spaced
/// from 1 to half of max_resolution. Channels: the coordinates, if concat_pos; all sines, those of
/// the first dimension first; all cosines, unless sine_only. Has no parameters.
///
/// Computed in float32 on the CPU in upstream's order of operations, whatever the model's dtype:
/// arguments reach 5e4, where another order gives another result.
class PerceiverFourierPositionEncodingImpl : public torch::nn::Module {
 public:
  /// Throws UsageError for sizes below 1.
  explicit PerceiverFourierPositionEncodingImpl(const PerceiverFourierOptions& encoding_options);
  int64_t num_dimensions() const { return static_cast<int64_t>(options.max_resolution.size()); }
  int64_t output_size() const;
  /// Of every point of a grid, row by row; coordinates are linspace(-1, 1, size). feature_map: [B,
  /// sizes..., C'], of which the sizes count. Returns [N, C] in its dtype and on its device. Throws
  /// ShapeError unless there are num_dimensions sizes.
  torch::Tensor forward(const torch::Tensor& feature_map) const;
  /// Of given points: [N, num_dimensions], float32. Returns the same, as `like` is.
  torch::Tensor encode(const torch::Tensor& positions, const torch::Tensor& like) const;

  PerceiverFourierOptions options;
};
TORCH_MODULE(PerceiverFourierPositionEncoding);

/// What build_position_encoding of upstream makes: an encoding of either type, and a linear layer
/// after it or none. `owner` is what messages call the component.
class PerceiverPositions {
 public:
  /// None.
  PerceiverPositions() = default;
  /// `out_channels`: channels that the linear layer takes. Throws UsageError for a type without its
  /// kwargs, and unless the encoding has `out_channels` where there is a linear layer.
  PerceiverPositions(const std::string& owner,
                     const PerceiverPositionOptions& options,
                     int64_t out_channels);

  /// Registers the encoding and the linear layer with a module, as `encoding_name` and
  /// `positions_projection`.
  void register_with(torch::nn::Module& module, const char* encoding_name) const;

  /// Channels after the linear layer, if there is one.
  int64_t num_channels() const;
  int64_t num_dimensions() const;

  /// [B, N, num_channels] for the N points of a feature map [B, sizes..., C]; a trainable encoding
  /// does not look at the sizes.
  torch::Tensor on_grid(const torch::Tensor& feature_map) const;
  /// The same for points [N, num_dimensions] with coordinates in [-1, 1], float32, and B as `like`
  /// has.
  torch::Tensor at_points(const torch::Tensor& positions, const torch::Tensor& like) const;
  /// The same for a feature map [B, H, W, C], to which a trainable encoding is resized.
  torch::Tensor on_resized_grid(const torch::Tensor& feature_map) const;

  PerceiverTrainablePositionEncoding trainable{nullptr};  ///< one of the two is empty
  PerceiverFourierPositionEncoding fourier{nullptr};
  nn::Linear projection{nullptr};  ///< empty if there is none

 private:
  torch::Tensor project(const torch::Tensor& encoding, const torch::Tensor& like) const;
};

}  // namespace vizoo
