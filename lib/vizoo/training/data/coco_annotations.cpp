#include "vizoo/training/data/coco_annotations.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/json_scanner.h"
#include "vizoo/training/data/coco_fields.h"

namespace vizoo::detail {
namespace {

constexpr std::size_t kMaxAnnotationBytes = std::size_t{1} << 30U;
constexpr std::size_t kNamedBoxes = 5;
// detection_loss refuses boxes that are thinner than half of this share of the square.
constexpr double kThinnestBox = 2e-6;

// An annotation whose image and category are still ids.
struct RawAnnotation {
  CocoAnnotation annotation;
  int64_t image_id = 0;
  int64_t category_id = 0;
  std::string name;  // /annotations/3 (id 17)
};

class CocoReader {
 public:
  CocoReader(const std::filesystem::path& path, bool skip_degenerate)
      : source_(printable(path.string())), skip_degenerate_(skip_degenerate) {}

  CocoFile read(std::string_view text) {
    JsonScanner scanner(text);
    try {
      read_members(scanner);
    } catch (const JsonScanError& error) {
      const auto position = text_position(text, error.offset);
      throw ConfigError(
          "config",
          source_ + ":" + std::to_string(position.line) + ":" + std::to_string(position.column),
          error.expected,
          error.got);
    }
    sort_categories();
    place_annotations();
    return std::move(file_);
  }

 private:
  [[noreturn]] void refuse(const std::string& subject,
                           const std::string& expected,
                           const std::string& got,
                           const std::string& hint = "") const {
    throw ConfigError("config", source_ + subject, expected, got, hint);
  }

  void read_members(JsonScanner& scanner) {
    if (scanner.next() != JsonEvent::object_begin) {
      refuse("", "an object of images, annotations and categories", "another value");
    }
    for (auto event = scanner.next(); event != JsonEvent::object_end; event = scanner.next()) {
      const std::string name(scanner.text());
      event = scanner.next();
      if (name == "images") {
        read_array(
            scanner, event, name, {"id", "file_name", "height", "width"}, [&](const auto& f) {
              add_image(f);
            });
      } else if (name == "annotations") {
        read_array(scanner,
                   event,
                   name,
                   {"id", "image_id", "category_id", "bbox", "area", "iscrowd"},
                   [&](const auto& f) { add_annotation(f); });
      } else if (name == "categories") {
        read_array(scanner, event, name, {"id", "name"}, [&](const auto& f) {
          file_.categories.push_back({f.integer("id"), f.text("name")});
        });
      } else {
        skip_json_value(scanner, event);
      }
    }
    scanner.next();  // what follows the value, if anything, is an error
    if (file_.images.empty()) refuse(": /images", "at least one image", "none");
    if (file_.categories.empty()) refuse(": /categories", "at least one category", "none");
  }

  void read_array(JsonScanner& scanner,
                  JsonEvent event,
                  const std::string& name,
                  const std::vector<std::string>& fields,
                  const std::function<void(const CocoFields&)>& add) {
    if (event != JsonEvent::array_begin) refuse(": /" + name, "an array", "another value");
    if (!seen_.emplace(name, true).second) refuse(": /" + name, "one array", "two");
    std::size_t i = 0;
    for (event = scanner.next(); event != JsonEvent::array_end; event = scanner.next(), ++i) {
      const std::string path = "/" + name + "/" + std::to_string(i);
      if (event != JsonEvent::object_begin) refuse(": " + path, "an object", "another value");
      CocoFields values(source_, path);
      values.read(scanner, fields);
      add(values);
    }
  }

  void add_image(const CocoFields& fields) {
    CocoImage image;
    image.id = fields.integer("id");
    image.file_name = fields.text("file_name");
    image.height = fields.integer("height");
    image.width = fields.integer("width");
    const std::filesystem::path path(image.file_name);
    const bool leaves = std::find(path.begin(), path.end(), "..") != path.end();
    if (path.empty() || !path.has_filename() || path.is_absolute() || leaves ||
        image.file_name.find('\0') != std::string::npos) {
      fields.fail("file_name", "a path within the folder of images", quote(image.file_name));
    }
    for (const auto& [name, side] : {std::pair{"height", image.height}, {"width", image.width}}) {
      if (side < 1 || side > kDefaultMaxPixels) {
        fields.fail(name, "1 to " + std::to_string(kDefaultMaxPixels), std::to_string(side));
      }
    }
    if (!image_of_id_.emplace(image.id, file_.images.size()).second) {
      fields.fail("id", "an id of its own", std::to_string(image.id) + " for the second time");
    }
    file_.images.push_back(std::move(image));
  }

  void add_annotation(const CocoFields& fields) {
    RawAnnotation raw;
    raw.image_id = fields.integer("image_id");
    raw.category_id = fields.integer("category_id");
    raw.name = fields.path();
    if (fields.has("id")) {
      raw.annotation.id = fields.integer("id");
      raw.name += " (id " + std::to_string(raw.annotation.id) + ")";
    }
    const auto& box = fields.numbers("bbox");
    if (box.size() != 4) {
      fields.fail("bbox", "left, top, width and height", std::to_string(box.size()) + " numbers");
    }
    std::copy(box.begin(), box.end(), raw.annotation.box.begin());
    raw.annotation.area = fields.has("area") ? fields.number("area") : box[2] * box[3];
    raw.annotation.crowd = fields.has("iscrowd") && fields.flag("iscrowd");
    annotations_.push_back(std::move(raw));
  }

  void sort_categories() {
    auto& categories = file_.categories;
    std::sort(categories.begin(), categories.end(), [](const auto& a, const auto& b) {
      return a.id < b.id;
    });
    for (std::size_t i = 0; i < categories.size(); ++i) {
      if (!query_of_id_.emplace(categories[i].id, static_cast<int64_t>(i)).second) {
        refuse(": /categories", "ids, each once", std::to_string(categories[i].id) + " twice");
      }
    }
  }

  // Cuts the box off at the image's border; false if nothing is left of it.
  static bool clip(std::array<double, 4>& box, const CocoImage& image) {
    const auto width = static_cast<double>(image.width);
    const auto height = static_cast<double>(image.height);
    const double left = std::max(box[0], 0.0);
    const double top = std::max(box[1], 0.0);
    const double right = std::min(box[0] + box[2], width);
    const double bottom = std::min(box[1] + box[3], height);
    box = {left, top, right - left, bottom - top};
    const double thinnest = kThinnestBox * std::max(width, height);
    return box[2] >= thinnest && box[3] >= thinnest;
  }

  void place_annotations() {
    std::vector<std::string> degenerate;
    for (auto& raw : annotations_) {
      const auto image = image_of_id_.find(raw.image_id);
      if (image == image_of_id_.end()) {
        refuse(": " + raw.name + "/image_id", "the id of an image", std::to_string(raw.image_id));
      }
      const auto query = query_of_id_.find(raw.category_id);
      if (query == query_of_id_.end()) {
        refuse(": " + raw.name + "/category_id",
               "the id of a category",
               std::to_string(raw.category_id));
      }
      auto& annotation = raw.annotation;
      annotation.query = query->second;
      if (!clip(annotation.box, file_.images[image->second])) {
        degenerate.push_back(raw.name);
        continue;
      }
      file_.images[image->second].annotations.push_back(annotation);
    }
    annotations_.clear();
    file_.degenerate = static_cast<int64_t>(degenerate.size());
    if (degenerate.empty() || skip_degenerate_) return;
    std::string names;
    for (std::size_t i = 0; i < std::min(degenerate.size(), kNamedBoxes); ++i) {
      names += (i == 0 ? "" : ", ") + degenerate[i];
    }
    if (degenerate.size() > kNamedBoxes) names += ", ...";
    refuse(": /annotations",
           "boxes with an area inside of their images",
           std::to_string(degenerate.size()) + " without: " + names,
           "They can be left out");
  }

  std::string source_;
  bool skip_degenerate_;
  CocoFile file_;
  std::vector<RawAnnotation> annotations_;
  std::unordered_map<std::string, bool> seen_;
  std::unordered_map<int64_t, std::size_t> image_of_id_;
  std::unordered_map<int64_t, int64_t> query_of_id_;
};

}  // namespace

CocoFile read_coco_file(const std::filesystem::path& path, bool skip_degenerate) {
  const std::string text = read_file(path, kMaxAnnotationBytes, FileKind::config);
  return CocoReader(path, skip_degenerate).read(text);
}

}  // namespace vizoo::detail
