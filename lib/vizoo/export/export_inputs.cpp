#include "vizoo/export/export_inputs.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/hub/registry.h"
#include "vizoo/models/owlv2/owlv2_detection.h"
#include "vizoo/models/perceiver/perceiver_autoencoding.h"
#include "vizoo/models/perceiver/perceiver_image_classification.h"
#include "vizoo/models/perceiver/perceiver_language.h"
#include "vizoo/models/perceiver/perceiver_optical_flow.h"

namespace vizoo {
namespace {

using Shape = std::vector<ExportDimension>;

constexpr const char* kInterpolate = "interpolate_pos_encoding";
constexpr const char* kBatch = "batch";
constexpr const char* kTexts = "texts";
constexpr const char* kQueries = "queries";
constexpr const char* kLength = "length";
constexpr const char* kHeight = "height";
constexpr const char* kWidth = "width";
constexpr const char* kQueryHeight = "query_height";
constexpr const char* kQueryWidth = "query_width";
constexpr const char* kAudioPoints = "audio_points";
constexpr const char* kImagePoints = "image_points";
constexpr int64_t kUsualImageSize = 224;

// What methods beside forward take; OWLv2 alone has any.
const std::map<std::string, std::vector<std::string>>& method_arguments() {
  static const std::map<std::string, std::vector<std::string>> table = {
      {"get_text_features", {"input_ids", "attention_mask"}},
      {"get_image_features", {"pixel_values", kInterpolate}},
      {"image_embedder", {"pixel_values", kInterpolate}},
      {"image_guided_detection", {"pixel_values", "query_pixel_values", kInterpolate}}};
  return table;
}

Shape images_of_any_size(int64_t channels) { return {kBatch, channels, kHeight, kWidth}; }

Shape square_images(int64_t channels, int64_t size) { return {kBatch, channels, size, size}; }

int64_t integer(const Json& config, const char* key, int64_t otherwise) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

Json config_of(const PretrainedModelImpl& model) {
  return find_model(model.class_name()).config_json(model);
}

template <class... Impls>
bool is_one_of(const PretrainedModelImpl& model) {
  return ((dynamic_cast<const Impls*>(&model) != nullptr) || ...);
}

bool is_flag(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kBool && tensor.dim() == 0;
}

bool is_set(const NamedArguments& arguments, const char* flag) {
  const auto found = arguments.find(flag);
  return found != arguments.end() && is_flag(found->second) && found->second.item<bool>();
}

const Owlv2VisionConfig* owlv2_images(const PretrainedModelImpl& model) {
  if (const auto* tower = dynamic_cast<const Owlv2VisionModelImpl*>(&model)) return &tower->config;
  if (const auto* both = dynamic_cast<const Owlv2ModelImpl*>(&model)) {
    return &both->config.vision_config;
  }
  if (const auto* detector = dynamic_cast<const Owlv2ForObjectDetectionImpl*>(&model)) {
    return &detector->config.vision_config;
  }
  return nullptr;
}

const Owlv2TextConfig* owlv2_texts(const PretrainedModelImpl& model) {
  if (const auto* tower = dynamic_cast<const Owlv2TextModelImpl*>(&model)) return &tower->config;
  if (const auto* both = dynamic_cast<const Owlv2ModelImpl*>(&model)) {
    return &both->config.text_config;
  }
  if (const auto* detector = dynamic_cast<const Owlv2ForObjectDetectionImpl*>(&model)) {
    return &detector->config.text_config;
  }
  return nullptr;
}

// Of pixel_values.
std::optional<Shape> image_shape(const PretrainedModelImpl& model, const NamedArguments& flags) {
  const bool interpolates = is_set(flags, kInterpolate);
  if (const auto* images = owlv2_images(model)) {
    if (interpolates) return images_of_any_size(images->num_channels);
    return square_images(images->num_channels, images->image_size);
  }
  if (is_one_of<PerceiverForImageClassificationFourierImpl,
                PerceiverForImageClassificationConvProcessingImpl>(model)) {
    return images_of_any_size(3);
  }
  if (const auto* learned =
          dynamic_cast<const PerceiverForImageClassificationLearnedImpl*>(&model)) {
    return interpolates ? images_of_any_size(3) : square_images(3, learned->config.image_size);
  }
  if (!is_one_of<VisionModelImpl, ImageClassifierImpl, BackboneImpl>(model)) return std::nullopt;
  const auto config = config_of(model);
  const auto channels = integer(config, "num_channels", 3);
  if (find_model(model.class_name()).model_type == "levit") {
    return square_images(channels, integer(config, "image_size", kUsualImageSize));
  }
  return images_of_any_size(channels);
}

const PerceiverConfig* perceiver_texts(const PretrainedModelImpl& model) {
  if (const auto* language = dynamic_cast<const PerceiverForMaskedLMImpl*>(&model)) {
    return &language->config;
  }
  const auto* classifier = dynamic_cast<const PerceiverForSequenceClassificationImpl*>(&model);
  return classifier == nullptr ? nullptr : &classifier->config;
}

// Of the images that show what to look for.
std::optional<Shape> query_image_shape(const PretrainedModelImpl& model,
                                       const NamedArguments& flags) {
  auto shape = image_shape(model, flags);
  if (!shape) return shape;
  shape->at(0) = kQueries;
  if (is_set(flags, kInterpolate)) {
    shape->at(2) = kQueryHeight;
    shape->at(3) = kQueryWidth;
  }
  return shape;
}

std::optional<Shape> multimodal_shape(const PerceiverConfig& config, const std::string& name) {
  if (name == "inputs.audio") return Shape{kBatch, config.audio_samples(), int64_t{1}};
  if (name == "inputs.label") return Shape{kBatch, config.num_labels()};
  const auto& shape = config.output_shape;
  if (name == "inputs.image") {
    return Shape{kBatch, config.num_frames, int64_t{3}, shape.at(2), shape.at(3)};
  }
  if (name == "subsampled_output_points.audio") return Shape{kAudioPoints};
  if (name == "subsampled_output_points.image") return Shape{kImagePoints};
  return std::nullopt;
}

std::optional<Shape> known_shape(const PretrainedModelImpl& model,
                                 const std::string& name,
                                 const NamedArguments& flags) {
  if (const auto* multimodal =
          dynamic_cast<const PerceiverForMultimodalAutoencodingImpl*>(&model)) {
    return multimodal_shape(multimodal->config, name);
  }
  const bool text = name == "input_ids" || name == "attention_mask";
  if (text && owlv2_texts(model) != nullptr) return Shape{kTexts, kLength};
  if ((text || name == "inputs") && perceiver_texts(model) != nullptr) {
    return Shape{kBatch, kLength};
  }
  if (const auto* flow = dynamic_cast<const PerceiverForOpticalFlowImpl*>(&model);
      flow != nullptr && name == "inputs") {
    const auto& size = flow->config.train_size;
    return Shape{kBatch, int64_t{2}, int64_t{27}, size.at(0), size.at(1)};
  }
  if (name == "pixel_values" || name == "inputs") return image_shape(model, flags);
  if (name == "query_pixel_values") return query_image_shape(model, flags);
  if (name == "bool_masked_pos") return Shape{kBatch, "patches"};
  return std::nullopt;
}

// Of integers: one more than the largest.
int64_t number_of_values(const PretrainedModelImpl& model, const std::string& name) {
  if (name == "attention_mask") return 2;
  if (const auto* texts = owlv2_texts(model)) return texts->vocab_size;
  if (const auto* texts = perceiver_texts(model)) return texts->vocab_size;
  return 2;
}

std::vector<std::string> usual_names(const PretrainedModelImpl& model, const std::string& method) {
  if (method != "forward") {
    auto names = argument_names_of(model, method);
    names.erase(std::remove(names.begin(), names.end(), kInterpolate), names.end());
    return names;
  }
  if (is_one_of<PerceiverForMultimodalAutoencodingImpl>(model)) {
    return {"inputs.audio",
            "inputs.image",
            "inputs.label",
            "subsampled_output_points.audio",
            "subsampled_output_points.image"};
  }
  const bool images = owlv2_images(model) != nullptr;
  if (owlv2_texts(model) != nullptr) {
    return images ? std::vector<std::string>{"input_ids", "pixel_values", "attention_mask"}
                  : std::vector<std::string>{"input_ids", "attention_mask"};
  }
  if (perceiver_texts(model) != nullptr) return {"input_ids", "attention_mask"};
  if (is_one_of<PerceiverForOpticalFlowImpl>(model)) return {"inputs"};
  if (images || is_one_of<VisionModelImpl, ImageClassifierImpl, BackboneImpl>(model)) {
    return {"pixel_values"};
  }
  throw UsageError("export",
                   model.class_name(),
                   "example inputs",
                   "none",
                   "What it takes depends on how it was put together");
}

bool is_integer_input(const std::string& name) {
  return name == "input_ids" || name == "attention_mask" ||
         name.rfind("subsampled_output_points.", 0) == 0;
}

std::string joined_names(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string traced_shape_text(const Shape& shape) {
  std::string text = "[";
  for (const auto& size : shape) {
    if (text.size() > 1) text += ", ";
    const auto* fixed = std::get_if<int64_t>(&size);
    text += fixed != nullptr ? std::to_string(*fixed) : std::get<std::string>(size);
  }
  return text + "]";
}

}  // namespace

std::string ExportInput::argument() const {
  auto text = name;
  std::replace(text.begin(), text.end(), '.', '_');
  return text;
}

std::vector<std::string> argument_names_of(const PretrainedModelImpl& model,
                                           const std::string& method) {
  if (method == "forward") return model.argument_names();
  const auto methods = model.method_names();
  const auto found = method_arguments().find(method);
  if (found != method_arguments().end() &&
      std::find(methods.begin(), methods.end(), method) != methods.end()) {
    return found->second;
  }
  throw UsageError("model",
                   model.class_name(),
                   "one of the methods " + joined_names(usual_methods(model)),
                   quote(method));
}

std::vector<std::string> usual_methods(const PretrainedModelImpl& model) {
  std::vector<std::string> methods;
  for (const auto& name : model.method_names()) {
    if (name == "forward" || method_arguments().count(name) != 0) methods.push_back(name);
  }
  return methods;
}

std::vector<ExportInput> usual_inputs(const PretrainedModelImpl& model, const std::string& method) {
  std::vector<ExportInput> inputs;
  for (const auto& name : usual_names(model, method)) {
    ExportInput input;
    input.name = name;
    input.shape = known_shape(model, name, {}).value();
    if (is_integer_input(name)) {
      input.dtype = torch::kInt64;
      input.num_values = number_of_values(model, name);
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

std::vector<ExportInput> inputs_of(const PretrainedModelImpl& model,
                                   const NamedArguments& arguments,
                                   const std::string& method) {
  const auto flags = flags_of(arguments);
  const auto names = argument_names_of(model, method);
  for (const auto& [name, tensor] : arguments) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    throw UsageError(
        "export", model.class_name(), "the arguments " + joined_names(names), quote(name));
  }
  std::vector<ExportInput> inputs;
  for (const auto& name : names) {
    const auto found = arguments.find(name);
    if (found == arguments.end() || is_flag(found->second)) continue;
    ExportInput input;
    input.name = name;
    input.dtype = found->second.scalar_type();
    input.num_values = number_of_values(model, name);
    const auto sizes = found->second.sizes();
    if (auto shape = known_shape(model, name, flags); shape && shape->size() == sizes.size()) {
      input.shape = std::move(*shape);
    } else {
      input.shape.assign(sizes.begin(), sizes.end());
      const bool batched = name == "labels" || name == "attention_mask" ||
                           name.rfind("inputs", 0) == 0 || name == "pixel_values";
      if (batched && !sizes.empty()) input.shape.front() = kBatch;
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

NamedArguments flags_of(const NamedArguments& arguments) {
  NamedArguments flags;
  for (const auto& [name, tensor] : arguments) {
    if (is_flag(tensor)) flags[name] = tensor;
  }
  return flags;
}

ExportSizes usual_sizes(const PretrainedModelImpl& model) {
  ExportSizes sizes{{kBatch, 1}, {kTexts, 2}, {kQueries, 1}};
  if (const auto* texts = owlv2_texts(model)) sizes[kLength] = texts->max_position_embeddings;
  if (const auto* texts = perceiver_texts(model)) sizes[kLength] = texts->max_position_embeddings;
  const bool perceiver = find_model(model.class_name()).model_type == "perceiver";
  const auto side =
      perceiver ? kUsualImageSize : integer(config_of(model), "image_size", kUsualImageSize);
  for (const char* name : {kHeight, kWidth, kQueryHeight, kQueryWidth}) sizes[name] = side;
  if (const auto* multimodal =
          dynamic_cast<const PerceiverForMultimodalAutoencodingImpl*>(&model)) {
    // One of 128 parts of the outputs, as upstream's example decodes them.
    constexpr int64_t kParts = 128;
    const auto& config = multimodal->config;
    const auto part = [](int64_t count) { return std::max<int64_t>(count / kParts, 1); };
    const auto& shape = config.output_shape;
    sizes[kImagePoints] = part(config.num_frames * shape.at(2) * shape.at(3));
    sizes[kAudioPoints] = part(config.audio_samples() / config.samples_per_patch);
  }
  return sizes;
}

ExportSizes sizes_of(const std::vector<ExportInput>& inputs, const NamedArguments& arguments) {
  ExportSizes sizes;
  for (const auto& input : inputs) {
    const auto& tensor = arguments.at(input.name);
    bool fits = tensor.dim() == static_cast<int64_t>(input.shape.size());
    for (int64_t i = 0; fits && i < tensor.dim(); ++i) {
      const auto& dimension = input.shape[static_cast<std::size_t>(i)];
      if (const auto* fixed = std::get_if<int64_t>(&dimension)) {
        fits = tensor.size(i) == *fixed;
      } else {
        const auto [known, added] = sizes.emplace(std::get<std::string>(dimension), tensor.size(i));
        fits = added || known->second == tensor.size(i);
      }
    }
    if (!fits) {
      throw ShapeError(
          "export", input.name, traced_shape_text(input.shape), describe_tensor(tensor));
    }
  }
  return sizes;
}

NamedArguments make_arguments(const std::vector<ExportInput>& inputs, const ExportSizes& sizes) {
  NamedArguments arguments;
  for (const auto& input : inputs) {
    std::vector<int64_t> shape;
    for (const auto& dimension : input.shape) {
      if (const auto* fixed = std::get_if<int64_t>(&dimension)) {
        shape.push_back(*fixed);
        continue;
      }
      const auto& name = std::get<std::string>(dimension);
      const auto found = sizes.find(name);
      if (found == sizes.end()) {
        throw UsageError("export", input.name, "a size for " + quote(name), "none");
      }
      shape.push_back(found->second);
    }
    auto& tensor = arguments[input.name];
    if (c10::isFloatingType(input.dtype)) {
      tensor = torch::randn(shape).to(input.dtype);
    } else if (input.name.rfind("subsampled_output_points.", 0) == 0) {
      tensor = torch::arange(shape.at(0), input.dtype);
    } else if (input.num_values > 2) {
      tensor = torch::randint(1, input.num_values, shape, input.dtype);
    } else {
      tensor = torch::ones(shape, input.dtype);
    }
  }
  return arguments;
}

}  // namespace vizoo
