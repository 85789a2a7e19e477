#include "training_setup.h"

#include <system_error>

#include "vizoo/core/error.h"
#include "vizoo/hub/convert.h"
#include "vizoo/io/file.h"
#include "vizoo/text/auto_tokenizer.h"
#include "vizoo/training/data/flow_dataset.h"
#include "vizoo/training/data/text_lines_dataset.h"
#include "vizoo/training/detection_task.h"
#include "vizoo/training/image_classification_task.h"
#include "vizoo/training/masked_language_modeling_task.h"
#include "vizoo/training/optical_flow_task.h"
#include "vizoo/vision/auto_image_processor.h"

namespace vizoo::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxProcessorFile = std::size_t{1} << 30U;

bool is_trainable(Task task) {
  return task == Task::image_classification || task == Task::zero_shot_object_detection ||
         task == Task::optical_flow || task == Task::masked_language_modeling;
}

template <class Holder>
Holder as_holder(const std::shared_ptr<PretrainedModelImpl>& model) {
  return Holder(std::dynamic_pointer_cast<typename Holder::ContainedType>(model));
}

std::shared_ptr<const ImageProcessor> load_processor(const fs::path& folder,
                                                     const std::string& image_backend) {
  return AutoImageProcessor::from_pretrained(
      folder, ImageProcessorOptions().backend(*enum_value<ImageBackend>(image_backend)));
}

DetectionTruth detection_truth(const CocoImage& image) {
  DetectionTruth truth;
  truth.height = image.height;
  truth.width = image.width;
  const auto count = static_cast<int64_t>(image.annotations.size());
  truth.boxes.boxes = torch::empty({count, 4}, torch::kFloat64);
  truth.boxes.labels = torch::empty({count}, torch::kInt64);
  truth.boxes.crowd = torch::empty({count}, torch::kBool);
  truth.boxes.area = torch::empty({count}, torch::kFloat64);
  for (int64_t i = 0; i < count; ++i) {
    const auto& annotation = image.annotations[static_cast<std::size_t>(i)];
    const auto& [left, top, width, height] = annotation.box;
    truth.boxes.boxes[i] = torch::tensor({left, top, left + width, top + height}, torch::kFloat64);
    truth.boxes.labels[i] = annotation.query;
    truth.boxes.crowd[i] = annotation.crowd;
    truth.boxes.area[i] = annotation.area;
  }
  return truth;
}

}  // namespace

const ModelEntry& find_trainable(const fs::path& folder,
                                 const std::string& class_name,
                                 const LoadOptions& options) {
  const auto source = (folder / "config.json").string();
  const auto config = load_config(folder, options);
  if (!class_name.empty()) {
    const auto& entry = find_model(class_name);
    if (is_trainable(entry.task)) return entry;
    throw UsageError("usage",
                     "--class",
                     "a class with a task to learn",
                     class_name + ", which is for " + enum_name(entry.task));
  }
  const auto& entry = find_architecture(config, source);
  return is_trainable(entry.task) ? entry
                                  : find_model(config, Task::image_classification, source);
}

std::string sample_name(Task task) {
  if (task == Task::masked_language_modeling) return "texts";
  return task == Task::optical_flow ? "pairs" : "images";
}

ImageSize flow_size(const PretrainedModelImpl& model) {
  const auto& size = dynamic_cast<const PerceiverForOpticalFlowImpl&>(model).config.train_size;
  return {static_cast<int>(size.at(0)), static_cast<int>(size.at(1))};
}

DataReader::DataReader(Task task, fs::path folder, std::string image_backend)
    : task_(task), folder_(std::move(folder)), image_backend_(std::move(image_backend)) {}

std::shared_ptr<Dataset> DataReader::evaluation(const DataSource& source,
                                                const std::optional<LabelMap>& label2id) const {
  switch (task_) {
    case Task::zero_shot_object_detection:
      return detections(source, 0.0);
    case Task::optical_flow:
      return flows(source, false);
    case Task::masked_language_modeling:
      return texts(source);
    default:
      return images(source, label2id, std::nullopt);
  }
}

std::shared_ptr<Dataset> DataReader::training(const DataSource& source,
                                              const std::optional<LabelMap>& label2id,
                                              const Recipe& recipe,
                                              std::optional<double> min_scale) const {
  switch (task_) {
    case Task::zero_shot_object_detection:
      return detections(source, recipe.horizontal_flip ? 0.5 : 0.0);
    case Task::optical_flow:
      return flows(source, true);
    case Task::masked_language_modeling:
      return texts(source);
    default:
      break;
  }
  std::optional<ImageAugmentationOptions> augmentation;
  if (recipe.random_resized_crop || recipe.horizontal_flip) {
    augmentation = ImageAugmentationOptions()
                       .random_resized_crop(recipe.random_resized_crop)
                       .horizontal_flip(recipe.horizontal_flip ? 0.5 : 0.0);
    if (min_scale) augmentation->min_scale(*min_scale);
  }
  return images(source, label2id, augmentation);
}

std::shared_ptr<Dataset> DataReader::images(
    const DataSource& source,
    const std::optional<LabelMap>& label2id,
    const std::optional<ImageAugmentationOptions>& augmentation) const {
  return std::make_shared<ImageFolderDataset>(
      source.path,
      load_processor(folder_, image_backend_),
      ImageFolderOptions().label2id(label2id).augmentation(augmentation));
}

std::shared_ptr<Dataset> DataReader::detections(const DataSource& source,
                                                double horizontal_flip) const {
  const auto processor = std::dynamic_pointer_cast<const Owlv2ImageProcessor>(
      load_processor(folder_, image_backend_));
  if (!processor) {
    throw ConfigError("config",
                      printable((folder_ / "preprocessor_config.json").string()),
                      "an Owlv2ImageProcessor",
                      "another one");
  }
  const auto tokenizer = AutoTokenizer::from_pretrained(folder_);
  const auto images = source.images.empty() ? source.path.parent_path() : source.images;
  return std::make_shared<CocoDetectionDataset>(
      source.path,
      images,
      processor,
      *tokenizer,
      CocoDetectionOptions().horizontal_flip(horizontal_flip));
}

std::shared_ptr<Dataset> DataReader::flows(const DataSource& source, bool random_crop) const {
  return std::make_shared<FlowDataset>(
      find_flow_files(source.path), FlowDatasetOptions().size(flow_size_).random_crop(random_crop));
}

std::shared_ptr<Dataset> DataReader::texts(const DataSource& source) const {
  return std::make_shared<TextLinesDataset>(source.path, AutoTokenizer::from_pretrained(folder_));
}

std::vector<std::string> class_names(const Dataset& dataset) {
  return dynamic_cast<const ImageFolderDataset&>(dataset).classes();
}

std::unique_ptr<TrainingTask> make_task(const std::shared_ptr<PretrainedModelImpl>& model,
                                        Task task,
                                        const ImageClassificationTaskOptions& options,
                                        const std::shared_ptr<const Dataset>& evaluation) {
  switch (task) {
    case Task::zero_shot_object_detection: {
      DetectionTruthLookup truth;
      if (const auto data = std::dynamic_pointer_cast<const CocoDetectionDataset>(evaluation)) {
        truth = [data](int64_t index) { return detection_truth(data->image(index)); };
      }
      // As OWL-ViT was trained.
      const auto loss = DetectionLossOptions().normalization(LossNormalization::image);
      return std::make_unique<DetectionTask>(
          as_holder<Owlv2ForObjectDetection>(model), loss, truth);
    }
    case Task::optical_flow:
      return std::make_unique<OpticalFlowTask>(as_holder<PerceiverForOpticalFlow>(model));
    case Task::masked_language_modeling:
      return std::make_unique<MaskedLanguageModelingTask>(as_holder<PerceiverForMaskedLM>(model));
    default:
      return std::make_unique<ImageClassificationTask>(
          std::dynamic_pointer_cast<ImageClassifierImpl>(model), options);
  }
}

void copy_processor_files(const fs::path& from, const fs::path& to) {
  for (const auto& name : processor_file_names()) {
    std::error_code error;
    if (!fs::is_regular_file(from / name, error)) continue;
    write_file_atomically(to / name, read_file(from / name, kMaxProcessorFile));
  }
}

}  // namespace vizoo::app
