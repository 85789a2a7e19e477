// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/owlv2/processing_owlv2.py
#include "vizoo/tasks/owlv2_processor.h"

#include <algorithm>
#include <cstddef>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// [rows][columns] -> [rows, columns].
torch::Tensor id_matrix(const std::vector<std::vector<int64_t>>& rows, int64_t columns) {
  auto tensor = torch::empty({static_cast<int64_t>(rows.size()), columns}, torch::kInt64);
  auto* target = tensor.mutable_data_ptr<int64_t>();
  for (const auto& row : rows) target = std::copy(row.begin(), row.end(), target);
  return tensor;
}

void encode_texts(const Tokenizer& tokenizer,
                  const std::vector<std::string>& texts,
                  const ProcessorCallOptions& options,
                  ProcessorFeatures& features) {
  EncodeOptions encode;
  encode.padding = options.padding();
  encode.truncation = options.truncation() ? TruncationStrategy::longest_first
                                           : TruncationStrategy::do_not_truncate;
  encode.refuse_too_long = !options.truncation();
  encode.return_attention_mask = true;
  const auto encoding = tokenizer.encode_batch(texts, encode);
  const auto length = encoding.row_length();
  features.input_ids = id_matrix(encoding.input_ids, length);
  features.attention_mask = id_matrix(encoding.attention_mask, length);
  features.warnings = encoding.warnings;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (encoding.removed_tokens[i] == 0) continue;
    features.warnings.push_back("text " + quote(texts[i]) + " was cut by " +
                                std::to_string(encoding.removed_tokens[i]) + " tokens to the " +
                                std::to_string(length) + " that the model takes");
  }
}

}  // namespace

std::vector<std::string> padded_queries(const std::vector<std::vector<std::string>>& texts) {
  std::size_t longest = 0;
  for (const auto& list : texts) longest = std::max(longest, list.size());
  std::vector<std::string> queries;
  for (const auto& list : texts) {
    queries.insert(queries.end(), list.begin(), list.end());
    queries.insert(queries.end(), longest - list.size(), " ");
  }
  return queries;
}

ProcessorFeatures Owlv2Processor::operator()(const ProcessorInputs& inputs,
                                             const ProcessorCallOptions& options) const {
  if (inputs.text.empty() && inputs.images.empty() && inputs.query_images.empty()) {
    throw UsageError("processor", "inputs", "texts, images or query images", "none of them");
  }
  ProcessorFeatures features;
  if (!inputs.query_images.empty()) {
    auto queries = image_processor()(inputs.query_images, options.images());
    features.query_pixel_values = queries.pixel_values;
    if (!queries.pixel_values.defined()) features.query_image_list = std::move(queries.images);
  } else if (!inputs.text.empty()) {
    const auto texts = padded_queries(inputs.text);
    if (texts.empty()) throw UsageError("processor", "text", "at least one text", "empty lists");
    encode_texts(tokenizer(), texts, options, features);
  }
  if (!inputs.images.empty()) {
    auto images = image_processor()(inputs.images, options.images());
    features.pixel_values = images.pixel_values;
    if (!images.pixel_values.defined()) features.image_list = std::move(images.images);
  }
  return features;
}

}  // namespace vizoo
