#pragma once

// What `vizoo detect` prints and draws.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common.h"
#include "image_batches.h"
#include "vizoo/io/json.h"
#include "vizoo/tasks/object_detection.h"

namespace vizoo::app {

/// One box that was found in an image.
struct Found {
  std::array<double, 4> box{};  ///< left, top, right, bottom in pixels
  double score = 0.0;
  std::optional<int64_t> id;  ///< of the text; none after a query image
  std::string label;
};

/// The same from a result of post-processing, in its order.
std::vector<Found> found_in(const Detections& detections);

/// Where the pictures go: the file itself for one image, else files of a folder named like the
/// images, numbered where two names are the same.
class Pictures {
 public:
  /// `path` may be empty: no pictures. Makes the folder. Throws ImageError if it cannot be made.
  Pictures(const std::filesystem::path& path, std::size_t image_count);

  /// Reads the image again and writes it with its boxes.
  void draw(const std::filesystem::path& image, const std::vector<Found>& found);

 private:
  std::string file_name(const std::filesystem::path& image);

  std::filesystem::path path_;
  bool is_folder_ = false;
  std::set<std::string> used_;
};

/// Answers on stdout: JSON in the order of the detector's patches, as Transformers returns them, or
/// words, the best first.
class DetectionPrinter {
 public:
  DetectionPrinter(bool as_json, Progress& progress) : as_json_(as_json), progress_(progress) {}

  void answer(const PreparedImage& image, const std::vector<Found>& found);
  void failure(const std::string& path, const std::string& error);
  bool failed() const { return failed_; }

 private:
  bool as_json_;
  Progress& progress_;
  bool failed_ = false;
};

}  // namespace vizoo::app
