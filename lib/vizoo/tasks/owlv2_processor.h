#pragma once

#include <string>
#include <vector>

#include "vizoo/tasks/processor.h"

namespace vizoo {

/// Owlv2Processor of Transformers (processing_owlv2.py, 4.37.2): a CLIP tokenizer and an
/// Owlv2ImageProcessor.
///
/// Lists of texts are filled up to the longest one with the text " ", so that there are Q for each
/// image: input_ids are [B Q, L], those of one image after those of another. To the model such a
/// row is an empty query, not padding: it begins with the start token, so the model's mask of
/// queries lets it through, and it can be the best one of a patch. Query images replace texts: the
/// result then has no input_ids. The post-processing of its outputs is in object_detection.h.
class Owlv2Processor : public Processor {
 public:
  using Processor::Processor;

  /// Throws UsageError for no input, and if no list holds a text; TokenizerError for a text longer
  /// than the model takes without `truncation`, and for what the tokenizer cannot read.
  ProcessorFeatures operator()(const ProcessorInputs& inputs,
                               const ProcessorCallOptions& options = {}) const override;

  std::string type_name() const override { return "Owlv2Processor"; }
};

/// `texts`, one list after the other, each filled up with " " to the length of the longest.
std::vector<std::string> padded_queries(const std::vector<std::vector<std::string>>& texts);

}  // namespace vizoo
