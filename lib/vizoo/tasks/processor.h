#pragma once

#include <torch/arg.h>

#include <memory>
#include <string>
#include <vector>

#include <opencv2/core.hpp>

#include "vizoo/nn/torch.h"
#include "vizoo/text/tokenizer.h"
#include "vizoo/vision/image_processor.h"

namespace vizoo {

/// What a processor is given; what is not is empty.
struct ProcessorInputs {
  /// The texts of each image. One list also serves texts without images.
  std::vector<std::vector<std::string>> text;
  std::vector<cv::Mat> images;        ///< 8-bit, RGB order (read_image)
  std::vector<cv::Mat> query_images;  ///< pictures of what is looked for, in place of texts
};

/// Arguments of a processor's call.
struct ProcessorCallOptions {
  TORCH_ARG(PaddingStrategy, padding) = PaddingStrategy::max_length;
  /// Off, a text longer than the model takes is a TokenizerError; on, it is cut and named in the
  /// warnings. (Transformers does neither by default and then fails in the model.)
  TORCH_ARG(bool, truncation) = false;
  TORCH_ARG(PreprocessOptions, images);  ///< for images and query images
};

/// What a processor makes of its inputs, ready for a model; undefined what was not asked for.
struct ProcessorFeatures {
  torch::Tensor input_ids;           ///< [texts, L], int64
  torch::Tensor attention_mask;      ///< [texts, L], int64
  torch::Tensor query_pixel_values;  ///< [Q, 3, H, W]
  torch::Tensor pixel_values;        ///< [B, 3, H, W]
  /// Images that came out in different sizes or were asked for as a list; pixel_values is then
  /// undefined, and so for query images.
  std::vector<torch::Tensor> image_list;
  std::vector<torch::Tensor> query_image_list;
  std::vector<std::string> warnings;  ///< one line each: texts that were cut

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("input_ids", self.input_ids);
    visit("attention_mask", self.attention_mask);
    visit("query_pixel_values", self.query_pixel_values);
    visit("pixel_values", self.pixel_values);
  }
};

/// A tokenizer and an image processor as one. Many threads may share it.
class Processor {
 public:
  Processor(std::unique_ptr<ImageProcessor> image_processor, std::unique_ptr<Tokenizer> tokenizer)
      : image_processor_(std::move(image_processor)), tokenizer_(std::move(tokenizer)) {}
  virtual ~Processor() = default;

  /// Throws UsageError for no input at all, and what the two parts throw.
  virtual ProcessorFeatures operator()(const ProcessorInputs& inputs,
                                       const ProcessorCallOptions& options = {}) const = 0;

  /// The class name in Transformers.
  virtual std::string type_name() const = 0;

  /// The tokenizer's decode and batch_decode.
  std::string decode(const std::vector<int64_t>& ids, const DecodeOptions& options = {}) const {
    return tokenizer_->decode(ids, options);
  }
  std::vector<std::string> batch_decode(const std::vector<std::vector<int64_t>>& batch,
                                        const DecodeOptions& options = {}) const {
    return tokenizer_->batch_decode(batch, options);
  }

  const ImageProcessor& image_processor() const { return *image_processor_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::unique_ptr<ImageProcessor> image_processor_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace vizoo
