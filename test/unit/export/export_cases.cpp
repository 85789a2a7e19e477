#include "test/unit/export/export_cases.h"

#include <algorithm>

#include "test/support/tensor_file.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"

namespace vizoo::test {

namespace fs = std::filesystem;

ExportCase load_case(const fs::path& folder, const Json& stored) {
  ExportCase one;
  one.folder = folder;
  const auto& options = stored["options"];
  one.model =
      load_pretrained(find_model(stored["class"].get<std::string>()),
                      folder,
                      LoadOptions().model_args(options.value("model_args", Json::object()).dump()));
  one.arguments = read_tensors(folder / stored["inputs"].get<std::string>());
  one.arguments.erase("cotangent");
  one.options.method(options.value("method", "forward"));
  return one;
}

std::vector<fs::path> exportable_cases() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::recursive_directory_iterator("test/fixtures")) {
    if (entry.path().filename() != "case.json") continue;
    const auto options = read_json_file(entry.path())["options"];
    if (options.value("train_mode", false) || options.value("method", "forward") != "forward") {
      continue;
    }
    folders.push_back(entry.path().parent_path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::vector<ExportCase> perceiver_heads() {
  const auto core = Json::parse(R"({"num_latents": 4, "d_latents": 16,
      "num_self_attends_per_block": 1, "num_self_attention_heads": 2,
      "num_cross_attention_heads": 1, "initializer_range": 0.3})");
  const std::pair<const char*, const char*> heads[] = {
      {"PerceiverForMaskedLM", R"({"d_model": 16, "max_position_embeddings": 24})"},
      {"PerceiverForSequenceClassification", R"({"d_model": 16, "max_position_embeddings": 24})"},
      {"PerceiverForImageClassificationLearned", R"({"image_size": 24})"},
      {"PerceiverForImageClassificationFourier", R"({})"},
      {"PerceiverForImageClassificationConvProcessing", R"({})"},
      {"PerceiverForOpticalFlow", R"({"d_model": 322, "train_size": [10, 14]})"},
      {"PerceiverForMultimodalAutoencoding", R"({"d_model": 704, "num_frames": 3,
          "audio_samples_per_frame": 20, "samples_per_patch": 4, "image_size": 16,
          "output_shape": [1, 3, 16, 16], "output_num_channels": 16,
          "_label_trainable_num_channels": 12})"}};
  std::vector<ExportCase> cases;
  for (const auto& [class_name, json] : heads) {
    auto config = core;
    config.update(Json::parse(json));
    ExportCase one;
    one.folder = class_name;
    torch::manual_seed(3);
    one.model = find_model(class_name).make(config, class_name);
    auto sizes = usual_sizes(*one.model);
    sizes["height"] = 20;
    sizes["width"] = 28;
    one.arguments = make_arguments(usual_inputs(*one.model), sizes);
    cases.push_back(std::move(one));
  }
  return cases;
}

ExportCase stored_case(const std::string& name) {
  const fs::path folder = "test/fixtures/" + name;
  return load_case(folder, read_json_file(folder / "case.json"));
}

std::string message(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace vizoo::test
