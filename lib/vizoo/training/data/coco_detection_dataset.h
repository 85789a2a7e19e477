#pragma once

#include <torch/arg.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/text/tokenizer.h"
#include "vizoo/training/dataset.h"
#include "vizoo/vision/owlv2_image_processor.h"

namespace vizoo {

/// An object of COCO's annotation format.
struct CocoAnnotation {
  int64_t id = 0;
  int64_t query = 0;  ///< index of its category among the queries
  /// left, top, width and height in pixels, cut off at the image's border.
  std::array<double, 4> box{};
  double area = 0.0;   ///< of the object as the file says, else of the box
  bool crowd = false;  ///< a group: it is no target, and evaluation ignores what falls into it
};

/// An image of COCO's annotation format.
struct CocoImage {
  int64_t id = 0;
  std::string file_name;
  int64_t height = 0;
  int64_t width = 0;
  std::vector<CocoAnnotation> annotations;  ///< in the order of the file, crowds included
};

/// A category; its place in the list is the index of its query.
struct CocoCategory {
  int64_t id = 0;
  std::string name;
};

/// Options of CocoDetectionDataset.
struct CocoDetectionOptions {
  /// Probability of a mirror image, left for right, in [0, 1]. For training.
  TORCH_ARG(double, horizontal_flip) = 0.0;
  /// Text of a query; "{}" is replaced by the category's name.
  TORCH_ARG(std::string, prompt) = "{}";
  /// Leaves out boxes without an area instead of refusing the file; those of COCO itself have two.
  TORCH_ARG(bool, skip_degenerate) = false;
};

/// Images with boxes in COCO's JSON format (https://cocodataset.org/#format-data, "Object
/// detection") for Owlv2ForObjectDetection.
///
/// The categories, sorted by id, are the text queries of every image. A sample has the arguments
/// pixel_values, float32 [3, S, S], input_ids and attention_mask, both int64 [Q, L] (a batch of
/// them, [B, Q, L], is what forward takes), and as its detection target the boxes that are no
/// crowds: centre x, centre y, width and height relative to the padded square, float32 [N, 4], and
/// the queries, int64 [N].
class CocoDetectionDataset : public Dataset {
 public:
  /// `annotations`: a JSON file of at most 1 GiB, with images (id, file_name, height, width),
  /// annotations (image_id, category_id, bbox; id, area and iscrowd if they are there) and
  /// categories (id, name); other keys are ignored. `images`: the folder that file_name is relative
  /// to. Throws ConfigError, naming the entry, for a file that is no such JSON, ids that are given
  /// twice or belong to nothing, a file_name that leaves the folder, boxes that are not finite,
  /// have no area or lie outside of their image (the first of them are named); for no images and no
  /// categories; for an image processor that does not pad and resize to a square. Throws
  /// TokenizerError for names longer than the model takes, UsageError for options out of range.
  CocoDetectionDataset(const std::filesystem::path& annotations,
                       std::filesystem::path images,
                       std::shared_ptr<const Owlv2ImageProcessor> processor,
                       const Tokenizer& tokenizer,
                       const CocoDetectionOptions& options = {});

  int64_t size() const override { return static_cast<int64_t>(images_.size()); }

  /// Throws ImageError for an image that cannot be read or has another size than the JSON says.
  Sample get(int64_t index, RandomStream& random) const override;

  /// The file_name of the image.
  std::string describe(int64_t index) const override;

  const CocoImage& image(int64_t index) const { return images_.at(static_cast<size_t>(index)); }
  const std::vector<CocoCategory>& categories() const { return categories_; }

  /// Texts of the queries, one for each category.
  const std::vector<std::string>& queries() const { return queries_; }

  /// Boxes that skip_degenerate left out.
  int64_t degenerate() const { return degenerate_; }

 private:
  std::filesystem::path folder_;
  std::shared_ptr<const Owlv2ImageProcessor> processor_;
  CocoDetectionOptions options_;
  std::vector<CocoCategory> categories_;
  std::vector<CocoImage> images_;
  std::vector<std::string> queries_;
  torch::Tensor input_ids_;
  torch::Tensor attention_mask_;
  int64_t degenerate_ = 0;
};

}  // namespace vizoo
