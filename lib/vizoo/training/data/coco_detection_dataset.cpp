#include "vizoo/training/data/coco_detection_dataset.h"

#include <algorithm>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/training/data/coco_annotations.h"
#include "vizoo/training/data/image_augmentation.h"
#include "vizoo/vision/image.h"

namespace vizoo {
namespace {

std::string with_name(const std::string& prompt, const std::string& name) {
  const std::string place = "{}";
  const auto found = prompt.find(place);
  if (found == std::string::npos) {
    throw UsageError("training", "prompt", "a text with {} for the name", quote(prompt));
  }
  return prompt.substr(0, found) + name + prompt.substr(found + place.size());
}

// [rows][columns] -> [rows, columns].
torch::Tensor query_matrix(const std::vector<std::vector<int64_t>>& rows, int64_t columns) {
  auto tensor = torch::empty({static_cast<int64_t>(rows.size()), columns}, torch::kInt64);
  auto* target = tensor.mutable_data_ptr<int64_t>();
  for (const auto& row : rows) target = std::copy(row.begin(), row.end(), target);
  return tensor;
}

void check_processor(const Owlv2ImageProcessor& processor) {
  const auto settings = processor.settings();
  const auto size = height_and_width(settings.size, "/size");
  if (settings.do_resize && settings.do_pad.value_or(false) && size.height == size.width) return;
  throw ConfigError("training",
                    "image processor",
                    "one that pads to a square and resizes to a square, as OWLv2's",
                    "other settings of do_pad, do_resize or size");
}

DetectionTarget target_of(const CocoImage& image, bool mirrored) {
  std::vector<float> boxes;
  std::vector<int64_t> labels;
  const auto side = static_cast<double>(std::max(image.height, image.width));
  for (const auto& annotation : image.annotations) {
    if (annotation.crowd) continue;
    const auto& [left, top, width, height] = annotation.box;
    const double first = mirrored ? static_cast<double>(image.width) - left - width : left;
    for (const double value : {first + width / 2, top + height / 2, width, height}) {
      boxes.push_back(static_cast<float>(value / side));
    }
    labels.push_back(annotation.query);
  }
  const auto count = static_cast<int64_t>(labels.size());
  return {torch::tensor(boxes, torch::kFloat32).view({count, 4}),
          torch::tensor(labels, torch::kInt64)};
}

}  // namespace

CocoDetectionDataset::CocoDetectionDataset(const std::filesystem::path& annotations,
                                           std::filesystem::path images,
                                           std::shared_ptr<const Owlv2ImageProcessor> processor,
                                           const Tokenizer& tokenizer,
                                           const CocoDetectionOptions& options)
    : folder_(std::move(images)), processor_(std::move(processor)), options_(options) {
  check_processor(*processor_);
  if (!(options.horizontal_flip() >= 0.0 && options.horizontal_flip() <= 1.0)) {
    throw UsageError("training",
                     "horizontal_flip",
                     "a probability from 0 to 1",
                     std::to_string(options.horizontal_flip()));
  }
  auto file = detail::read_coco_file(annotations, options.skip_degenerate());
  images_ = std::move(file.images);
  categories_ = std::move(file.categories);
  degenerate_ = file.degenerate;
  for (const auto& category : categories_) {
    queries_.push_back(with_name(options.prompt(), category.name));
  }
  EncodeOptions encode;
  encode.padding = PaddingStrategy::max_length;
  encode.truncation = TruncationStrategy::do_not_truncate;
  encode.refuse_too_long = true;
  encode.return_attention_mask = true;
  const auto encoding = tokenizer.encode_batch(queries_, encode);
  input_ids_ = query_matrix(encoding.input_ids, encoding.row_length());
  attention_mask_ = query_matrix(encoding.attention_mask, encoding.row_length());
}

Sample CocoDetectionDataset::get(int64_t index, RandomStream& random) const {
  const CocoImage& entry = image(index);
  const auto path = folder_ / entry.file_name;
  cv::Mat pixels = read_image(path);
  if (pixels.rows != entry.height || pixels.cols != entry.width) {
    throw ImageError("image",
                     printable(path.string()),
                     std::to_string(entry.height) + " x " + std::to_string(entry.width) +
                         " pixels as the annotations say",
                     std::to_string(pixels.rows) + " x " + std::to_string(pixels.cols));
  }
  const bool mirrored = random.chance(options_.horizontal_flip());
  if (mirrored) mirror(pixels);
  Sample sample;
  sample.arguments["pixel_values"] = (*processor_)(pixels).images.at(0);
  sample.arguments["input_ids"] = input_ids_;
  sample.arguments["attention_mask"] = attention_mask_;
  sample.detection = target_of(entry, mirrored);
  return sample;
}

std::string CocoDetectionDataset::describe(int64_t index) const { return image(index).file_name; }

}  // namespace vizoo
