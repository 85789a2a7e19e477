#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/tasks/processor.h"
#include "vizoo/text/auto_tokenizer.h"
#include "vizoo/vision/auto_image_processor.h"

namespace vizoo {

/// Picks the class of a processor by its files.
struct AutoProcessor {
  /// `folder`: a checkpoint's. The class is named by `processor_class` of processor_config.json,
  /// preprocessor_config.json, tokenizer_config.json or config.json, the first that has one, else
  /// by the `model_type` of config.json; the two parts are what AutoImageProcessor and
  /// AutoTokenizer make of the folder. Throws ConfigError for a class that is not known, and what
  /// those throw.
  static std::unique_ptr<Processor> from_pretrained(
      const std::filesystem::path& folder,
      const ImageProcessorOptions& image_options = {},
      const TokenizerLoadOptions& tokenizer_options = {});
};

/// Class names that AutoProcessor knows: "Owlv2Processor".
std::vector<std::string> processor_types();

}  // namespace vizoo
