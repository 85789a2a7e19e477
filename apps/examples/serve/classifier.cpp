#include "classifier.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/io/config_json.h"
#include "vizoo/io/file.h"
#include "vizoo/vision/image.h"

namespace vizoo::serve {
namespace {

namespace fs = std::filesystem;

// Of a picture that a client sends; decoded it takes three bytes a pixel.
constexpr int64_t kMaxPixels = 32'000'000;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto name = (fs::temp_directory_path() / "vizoo-serve-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw CheckpointError("checkpoint", name, "a temporary folder", "none");
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::size_t place_of_logits(const ExportDescription& description, const fs::path& archive) {
  const auto& outputs = description.outputs;
  const auto found = std::find(outputs.begin(), outputs.end(), "logits");
  if (found == outputs.end()) {
    throw CheckpointError("checkpoint",
                          printable(archive.string()),
                          "an image classifier",
                          quote(description.class_name) + ", which gives no logits");
  }
  return static_cast<std::size_t>(found - outputs.begin());
}

}  // namespace

Classifier::Classifier(const fs::path& archive, bool trust_code)
    : exported_(load_torchscript(archive, ScriptOptions().trust_code(trust_code))),
      logits_(place_of_logits(exported_.description, archive)) {
  // The archive's files are read as if they lay in a checkpoint's folder.
  const TemporaryFolder folder;
  for (const auto* name : {"config.json", "preprocessor_config.json"}) {
    const auto file = exported_.files.find(name);
    if (file == exported_.files.end()) {
      throw CheckpointError("checkpoint",
                            printable(archive.string()),
                            std::string(name) + " in the archive",
                            "none",
                            "Export the model from a folder that has it");
    }
    write_file_atomically(folder.path() / name, file->second, FileKind::config);
  }
  config_ = config_from_json<PretrainedConfig>(load_config(folder.path()), "config.json");
  processor_ = AutoImageProcessor::from_pretrained(folder.path());
}

torch::Tensor Classifier::preprocess(std::string_view image) const {
  ImageDecodeOptions options;
  options.apply_exif_orientation = true;
  options.max_pixels = kMaxPixels;
  const auto pixels = decode_image(image, "request", options);
  return (*processor_)(pixels, PreprocessOptions().return_form(ReturnForm::stacked)).pixel_values;
}

std::vector<std::vector<Classification>> Classifier::classify(const torch::Tensor& pixel_values,
                                                              int64_t top_k) const {
  const c10::InferenceMode inference;
  const auto outputs = exported_.module.forward({pixel_values});
  const auto logits = outputs.isGenericDict() ? outputs.toGenericDict().at("logits").toTensor()
                                              : outputs.toTuple()->elements()[logits_].toTensor();
  return top_k_labels(config_, logits, top_k);
}

void Classifier::warm_up(int64_t batch) const {
  constexpr int kRuns = 2;  // one to see the shapes, one to run what was made for them
  const auto picture = (*processor_)(cv::Mat(64, 64, CV_8UC3, cv::Scalar::all(0))).pixel_values;
  for (const int64_t count : {int64_t{1}, batch}) {
    for (int run = 0; run < kRuns; ++run) classify(picture.repeat({count, 1, 1, 1}), 1);
  }
}

}  // namespace vizoo::serve
