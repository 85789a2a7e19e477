#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <torch/arg.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <opencv2/core.hpp>

#include "vizoo/vision/image_transforms.h"

namespace vizoo {

namespace detail {
struct WorkImage;
}

/// In which form a batch is returned.
enum class ReturnForm {
  automatic,  ///< stacked if all images came out in one size, else a list
  stacked,    ///< stacked; images of different sizes are an error, as with return_tensors="pt"
  list,       ///< one tensor for each image, as without return_tensors
};

template <>
struct EnumNames<ReturnForm> {
  static constexpr std::pair<ReturnForm, const char*> table[] = {
      {ReturnForm::automatic, "automatic"},
      {ReturnForm::stacked, "stacked"},
      {ReturnForm::stacked, "pt"},
      {ReturnForm::list, "list"},
  };
};

/// Arguments of one `preprocess` call; what is not set is taken from the processor. Each processor
/// ignores those that its class in Transformers does not have.
struct PreprocessOptions {
  TORCH_ARG(std::optional<bool>, do_resize);
  TORCH_ARG(std::optional<SizeDict>, size);  ///< size_dict() makes one of a number
  TORCH_ARG(std::optional<Resample>, resample);
  TORCH_ARG(std::optional<double>, crop_pct);
  TORCH_ARG(std::optional<bool>, do_center_crop);
  TORCH_ARG(std::optional<SizeDict>, crop_size);
  TORCH_ARG(std::optional<bool>, do_rescale);
  TORCH_ARG(std::optional<double>, rescale_factor);
  TORCH_ARG(std::optional<bool>, do_normalize);
  TORCH_ARG(std::optional<std::vector<double>>, image_mean);
  TORCH_ARG(std::optional<std::vector<double>>, image_std);
  /// Layout of the result.
  TORCH_ARG(ChannelDimension, data_format) = ChannelDimension::first;
  /// Layout of tensors that come in; inferred from the first one otherwise. A cv::Mat has its
  /// channels last whatever its height.
  TORCH_ARG(std::optional<ChannelDimension>, input_data_format);
  TORCH_ARG(ReturnForm, return_form) = ReturnForm::automatic;
  /// Makes a cv::Mat of 1, 2 (grey, alpha) or 4 channels RGB; alpha is dropped. Tensors stay.
  TORCH_ARG(std::optional<bool>, do_convert_rgb);
  /// Torchvision backend: zeros right and below the finished image, up to pad_size {height, width}
  /// or, without it, to the largest height and width of the call.
  TORCH_ARG(std::optional<bool>, do_pad);
  TORCH_ARG(std::optional<SizeDict>, pad_size);
  /// Of processors that pad with another value than zero: OWLv2, whose do_pad makes squares.
  TORCH_ARG(std::optional<double>, pad_value);
  /// Where the result goes. The work is done on the CPU whatever it says, so that the pixels do not
  /// depend on it (torchvision's CUDA resize differs from its CPU one by a grey level).
  TORCH_ARG(std::optional<at::Device>, device);
  /// Steers only how Transformers batches its work; without effect on the numbers, and on us.
  TORCH_ARG(std::optional<bool>, disable_grouping);
};

/// What a processor makes of a batch.
struct BatchFeature {
  /// [B, C, H, W] (or [B, H, W, C]); undefined if the images came as a list. float32; uint8 if
  /// neither rescaled nor normalised, float64 for float64 tensors that keep their type throughout.
  at::Tensor pixel_values;
  /// One [C, H, W] for each image: views of pixel_values if that is defined.
  std::vector<at::Tensor> images;
};

/// Everything that steers the shared pipeline: the union of the processors' attributes.
struct ProcessorSettings {
  bool do_resize = true;
  SizeDict size;
  Resample resample = Resample::bilinear;
  std::optional<double> crop_pct;
  bool do_center_crop = false;
  std::optional<SizeDict> crop_size;
  bool do_rescale = true;
  double rescale_factor = 1.0 / 255.0;
  bool do_normalize = true;
  std::vector<double> image_mean;  ///< one value for all channels, or one for each
  std::vector<double> image_std;
  // Without a value: what the class does not have under its backend, so that a call cannot set it.
  std::optional<bool> do_convert_rgb;
  std::optional<bool> do_pad;
  std::optional<SizeDict> pad_size;
  std::optional<double> pad_value;
};

/// Where an image of a given size goes: resized to `resize`, then cropped around the centre.
struct ImageGeometry {
  std::optional<ImageSize> resize;
  std::optional<ImageSize> crop;
};

/// Base of the image processors: images in, `pixel_values` out, in the order resize, centre crop,
/// rescale, normalise, channels first.
///
/// A processor of another family is a struct of its attributes and the virtual functions at the end
/// of this class. Objects are immutable while they process: many threads may share one.
class ImageProcessor {
 public:
  virtual ~ImageProcessor();

  /// One image, 8-bit, RGB order (read_image), any number of channels up to 4.
  /// Throws ImageError for an image that cannot be processed, ConfigError for settings that make no
  /// sense (or not for this image), ShapeError for ReturnForm::stacked of different sizes.
  BatchFeature operator()(const cv::Mat& image, const PreprocessOptions& options = {}) const;
  BatchFeature operator()(const std::vector<cv::Mat>& images,
                          const PreprocessOptions& options = {}) const;

  /// One image of three dimensions or a batch of four, on the CPU; uint8 in 0..255, or floating.
  /// With do_resize and the Pil backend a floating image must hold whole numbers in 0..255 or
  /// values in 0..1 (which become uint8 by truncation while they are resized), as in Transformers.
  BatchFeature operator()(const at::Tensor& image, const PreprocessOptions& options = {}) const;
  BatchFeature operator()(const std::vector<at::Tensor>& images,
                          const PreprocessOptions& options = {}) const;

  /// preprocessor_config.json as Transformers 4.37.2 writes it: sorted keys, two spaces, the class
  /// name as `image_processor_type`, unknown keys as they were read.
  std::string to_json() const;

  /// Writes `directory`/preprocessor_config.json atomically; makes the directory if need be.
  void save_pretrained(const std::filesystem::path& directory) const;

  /// The class name in Transformers, e.g. "ConvNextImageProcessor".
  virtual std::string type_name() const = 0;

  /// Attributes as the pipeline sees them.
  virtual ProcessorSettings settings() const = 0;

  /// Whether a plain number in `size` means a square, else the shortest edge.
  virtual bool square_sizes() const { return false; }

  ImageBackend backend = ImageBackend::Pil;

  /// Which Pillow the Pil backend follows; see PassOrder.
  PassOrder pass_order = PassOrder::pillow13;

 protected:
  /// Target sizes of an image under `settings` (attributes and call arguments merged). Throws
  /// ConfigError for settings that the class cannot take.
  virtual ImageGeometry geometry(const ImageSize& image,
                                 const ProcessorSettings& settings) const = 0;

  /// What becomes of images whose settings and call have been checked: at least one, RGB if so
  /// settings.do_convert_rgb. By default they are resized and cropped as `geometry` says, then
  /// rescaled, normalised and padded; a processor with steps of another order replaces this.
  virtual BatchFeature process(std::vector<detail::WorkImage>& images,
                               const ProcessorSettings& settings,
                               const PreprocessOptions& options) const;

  /// The attributes as JSON text, without `image_processor_type`.
  virtual std::string attributes_json() const = 0;

  /// The values of the file as read, as JSON text: to_json writes them back in their own form
  /// (`0.5` or `[0.5]`, `1` or `1.0`) as long as they say the same as the attribute.
  std::string loaded_json_ = "{}";
};

/// Arguments of a call from `key=json` settings, as the program's --set takes them: `do_resize`,
/// `size` (a number, [height, width] or a dict), `resample` (a number), `image_mean` (a number or a
/// list), ..., `data_format` and `input_data_format` ("channels_first", "channels_last"),
/// `return_form`, `device` ("cpu", "cuda", "cuda:1"). `square_sizes`: what a plain number in `size`
/// means, unless `default_to_square` is among them. `image_seq_length` is taken and has no effect,
/// as in Transformers.
/// Throws ConfigError that lists the names for an unknown one, and for a value of a wrong type.
PreprocessOptions preprocess_options_from_json(const std::map<std::string, std::string>& values,
                                               bool square_sizes = false);

}  // namespace vizoo
