#pragma once

// Model, data and task of `vizoo train` and `vizoo eval`, by what kind of model it is.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/hub/from_pretrained.h"
#include "vizoo/training/data/coco_detection_dataset.h"
#include "vizoo/training/data/image_folder_dataset.h"
#include "vizoo/training/dataset.h"
#include "vizoo/training/recipe.h"
#include "vizoo/training/training_task.h"

namespace vizoo::app {

/// Where the samples of a training or an evaluation are.
struct DataSource {
  std::filesystem::path path;
  std::filesystem::path images;  ///< of a COCO JSON file; empty: its own folder
};

/// The class of a checkpoint's model that can be trained, with the kind of its task:
/// `class_name` if it is given, the class of config.json if it has a loss, else the image classifier
/// of the same family. Throws UsageError, ConfigError.
const ModelEntry& find_trainable(const std::filesystem::path& folder,
                                 const std::string& class_name,
                                 const LoadOptions& options);

/// "images", "pairs" or "texts".
std::string sample_name(Task task);

/// Height and width that a model of optical flow takes: train_size of its config.
ImageSize flow_size(const PretrainedModelImpl& model);

/// Reads the samples of one kind of task with the processor and the tokenizer of a folder.
class DataReader {
 public:
  DataReader(Task task, std::filesystem::path folder, std::string image_backend);

  /// The samples of an evaluation; `label2id` for classes of images.
  std::shared_ptr<Dataset> evaluation(const DataSource& source,
                                      const std::optional<LabelMap>& label2id) const;

  /// The samples of a training with the recipe's augmentation.
  std::shared_ptr<Dataset> training(const DataSource& source,
                                    const std::optional<LabelMap>& label2id,
                                    const Recipe& recipe,
                                    std::optional<double> min_scale) const;

  /// Of config.json, for crops of frames.
  void set_flow_size(ImageSize size) { flow_size_ = size; }

 private:
  std::shared_ptr<Dataset> images(const DataSource& source,
                                  const std::optional<LabelMap>& label2id,
                                  const std::optional<ImageAugmentationOptions>& augmentation) const;
  std::shared_ptr<Dataset> detections(const DataSource& source, double horizontal_flip) const;
  std::shared_ptr<Dataset> flows(const DataSource& source, bool random_crop) const;
  std::shared_ptr<Dataset> texts(const DataSource& source) const;

  Task task_;
  std::filesystem::path folder_;
  std::string image_backend_;
  ImageSize flow_size_{};
};

/// Names of the classes of a folder of images, sorted: what a new head is made for.
std::vector<std::string> class_names(const Dataset& dataset);

/// The task of a model: images with labels as the options say, the others by their own losses.
/// `evaluation`: the data set that it will be measured on, or null.
std::unique_ptr<TrainingTask> make_task(const std::shared_ptr<PretrainedModelImpl>& model,
                                        Task task,
                                        const ImageClassificationTaskOptions& options,
                                        const std::shared_ptr<const Dataset>& evaluation);

/// Copies the files of processor and tokenizer that `from` has to `to`.
void copy_processor_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace vizoo::app
