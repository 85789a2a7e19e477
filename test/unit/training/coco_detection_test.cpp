#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/support/jpeg_writer.h"
#include "test/support/sample_stream.h"
#include "test/support/small_tokenizer.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"
#include "vizoo/io/json.h"
#include "vizoo/training/data/coco_detection_dataset.h"
#include "vizoo/training/data_loader.h"
#include "vizoo/vision/image.h"

namespace vizoo {
using vizoo::test::sample_stream;

namespace {

// A data set that can be made wrong: two images of 40 x 60 and 30 x 20 pixels, three categories.
class SmallCoco {
 public:
  SmallCoco() {
    test::write_bytes(folder / "wide.jpg", test::jpeg_bytes(test::pattern_image(40, 60)));
    test::write_bytes(folder / "tall.jpg", test::jpeg_bytes(test::pattern_image(30, 20)));
    json = Json::parse(R"({
      "info": {"year": 2024},
      "licenses": [],
      "images": [
        {"id": 70, "file_name": "wide.jpg", "height": 40, "width": 60, "license": 1},
        {"id": 3, "file_name": "tall.jpg", "height": 30, "width": 20}],
      "annotations": [
        {"id": 1, "image_id": 70, "category_id": 9, "bbox": [6, 4, 12, 8], "area": 50.5,
         "iscrowd": 0, "segmentation": [[6, 4, 18, 4, 18, 12]]},
        {"id": 2, "image_id": 70, "category_id": 2, "bbox": [30.5, -2, 40, 22]},
        {"id": 4, "image_id": 70, "category_id": 9, "bbox": [0, 0, 60, 40], "iscrowd": 1,
         "segmentation": {"counts": [1, 2399], "size": [40, 60]}}],
      "categories": [
        {"id": 9, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "a cab"},
        {"id": 5, "name": "the"}]})");
    Owlv2ImageProcessorConfig config;
    config.size = {{"height", 24}, {"width", 24}};
    processor = std::make_shared<Owlv2ImageProcessor>(config);
  }

  CocoDetectionDataset open(const CocoDetectionOptions& options = {}) const {
    test::write_bytes(folder / "coco.json", json.dump());
    return CocoDetectionDataset(
        folder / "coco.json", folder.path(), processor, *tokenizer, options);
  }

  // The message without the folder's name.
  template <class Kind = ConfigError>
  std::string refusal(const CocoDetectionOptions& options = {}) const {
    std::string message = test::message_of<Kind>([&] { open(options); });
    const std::string path = folder.path().string() + "/";
    const auto found = message.find(path);
    if (found != std::string::npos) message.erase(found, path.size());
    return message;
  }

  test::TemporaryFolder folder;
  Json json;
  std::shared_ptr<const Owlv2ImageProcessor> processor;
  std::unique_ptr<Tokenizer> tokenizer = test::SmallTokenizer().load();
};

TEST_CASE("categories become the queries, in the order of their ids") {
  const SmallCoco coco;
  const auto dataset = coco.open(CocoDetectionOptions().prompt("a {}"));
  CHECK(dataset.queries() == std::vector<std::string>{"a a cab", "a the", "a cat"});
  auto random = sample_stream();
  const auto sample = dataset.get(1, random);
  EncodeOptions encode;
  encode.padding = PaddingStrategy::max_length;
  const auto ids = coco.tokenizer->encode_batch(dataset.queries(), encode).input_ids;
  const auto& input_ids = sample.arguments.at("input_ids");
  REQUIRE(input_ids.sizes() == torch::IntArrayRef({3, 16}));
  for (int64_t i = 0; i < 3; ++i) {
    const auto expected = torch::tensor(ids[static_cast<std::size_t>(i)], torch::kInt64);
    CHECK(torch::equal(input_ids[i], expected));
  }
  CHECK(sample.arguments.at("attention_mask").sizes() == input_ids.sizes());
}

TEST_CASE("boxes are relative to the padded square, crowds are no targets") {
  const SmallCoco coco;
  const auto dataset = coco.open();
  REQUIRE(dataset.size() == 2);
  auto random = sample_stream();
  const auto sample = dataset.get(0, random);
  const auto expected = torch::tensor(
      {{12.0 / 60, 8.0 / 60, 12.0 / 60, 8.0 / 60}, {45.25 / 60, 10.0 / 60, 29.5 / 60, 20.0 / 60}},
      torch::kFloat32);
  CHECK(torch::allclose(sample.detection.boxes, expected, 0.0, 1e-6));
  CHECK(torch::equal(sample.detection.labels, torch::tensor({2, 0}, torch::kInt64)));
  const auto pixels = (*coco.processor)(read_image(coco.folder / "wide.jpg")).pixel_values[0];
  CHECK(torch::equal(sample.arguments.at("pixel_values"), pixels));

  const auto& image = dataset.image(0);
  REQUIRE(image.annotations.size() == 3);
  CHECK(image.id == 70);
  CHECK(image.annotations[0].area == 50.5);
  CHECK(image.annotations[1].box == std::array<double, 4>{30.5, 0.0, 29.5, 20.0});
  CHECK(image.annotations[1].area == 880.0);
  CHECK(image.annotations[2].crowd);
  CHECK(image.annotations[2].query == 2);

  const auto empty = dataset.get(1, random);
  CHECK(empty.detection.boxes.sizes() == torch::IntArrayRef({0, 4}));
  CHECK(empty.detection.labels.sizes() == torch::IntArrayRef({0}));
}

TEST_CASE("a mirrored image has mirrored boxes") {
  const SmallCoco coco;
  const auto dataset = coco.open(CocoDetectionOptions().horizontal_flip(1.0));
  auto random = sample_stream();
  const auto sample = dataset.get(0, random);
  const auto expected = torch::tensor(
      {{48.0 / 60, 8.0 / 60, 12.0 / 60, 8.0 / 60}, {14.75 / 60, 10.0 / 60, 29.5 / 60, 20.0 / 60}},
      torch::kFloat32);
  CHECK(torch::allclose(sample.detection.boxes, expected, 0.0, 1e-6));
  cv::Mat image = read_image(coco.folder / "wide.jpg");
  cv::Mat mirrored(image.size(), image.type());
  for (int x = 0; x < image.cols; ++x) image.col(x).copyTo(mirrored.col(image.cols - 1 - x));
  const auto pixels = (*coco.processor)(mirrored).pixel_values[0];
  CHECK(torch::equal(sample.arguments.at("pixel_values"), pixels));
}

TEST_CASE("a batch has what the model and the loss take") {
  const SmallCoco coco;
  const auto dataset = std::make_shared<CocoDetectionDataset>(coco.open());
  DataLoader loader(dataset, DataLoaderOptions().batch(2).shuffle(false));
  loader.start(0);
  const auto parts = loader.next();
  REQUIRE(parts);
  const Batch& batch = parts->front();
  CHECK(batch.arguments.at("pixel_values").sizes() == torch::IntArrayRef({2, 3, 24, 24}));
  CHECK(batch.arguments.at("input_ids").sizes() == torch::IntArrayRef({2, 3, 16}));
  REQUIRE(batch.detections.size() == 2);
  CHECK(batch.detections[0].boxes.size(0) == 2);
  CHECK_FALSE(batch.labels.defined());
}

TEST_CASE("boxes without an area are named, or left out") {
  SmallCoco coco;
  for (const auto& box : {Json{5, 5, 0, 4}, Json{5, 5, 4, -1}, Json{60, 5, 4, 4}}) {
    coco.json["annotations"].push_back(
        {{"id", 17}, {"image_id", 70}, {"category_id", 9}, {"bbox", box}});
  }
  CHECK(coco.refusal() ==
        "[config] coco.json: /annotations: expected boxes with an area inside of their images, got "
        "3 without: /annotations/3 (id 17), /annotations/4 (id 17), /annotations/5 (id 17). They "
        "can be left out.");
  const auto dataset = coco.open(CocoDetectionOptions().skip_degenerate(true));
  CHECK(dataset.degenerate() == 3);
  CHECK(dataset.image(0).annotations.size() == 3);
}

TEST_CASE("an image of another size than the annotations say cannot be used") {
  SmallCoco coco;
  coco.json["images"][1]["height"] = 31;
  const auto dataset = coco.open();
  auto random = sample_stream();
  const auto message = test::message_of<ImageError>([&] { dataset.get(1, random); });
  CHECK(message.find("expected 31 x 20 pixels as the annotations say, got 30 x 20.") !=
        std::string::npos);
  CHECK(dataset.describe(1) == "tall.jpg");
}

TEST_CASE("annotation files that make no sense are refused, naming the entry") {
  struct Case {
    const char* pointer;
    Json value;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"/images/0/id", 3, "/images/1/id: expected an id of its own, got 3 for the second time"},
      {"/images/0/id", "a", "/images/0/id: expected an integer, got another value"},
      {"/images/0/height", 0, "/images/0/height: expected 1 to 178956970, got 0"},
      {"/images/0/width", 1.5, "/images/0/width: expected an integer, got another value"},
      {"/images/0/file_name", "../wide.jpg", "got \"../wide.jpg\""},
      {"/images/0/file_name", "/etc/passwd", "got \"/etc/passwd\""},
      {"/images/0/file_name", "", "got \"\""},
      {"/images", Json::array(), "/images: expected at least one image, got none"},
      {"/images", 5, "/images: expected an array, got another value"},
      {"/images/0", 5, "/images/0: expected an object, got another value"},
      {"/categories", Json::array(), "/categories: expected at least one category, got none"},
      {"/categories/0/id", 2, "/categories: expected ids, each once, got 2 twice"},
      {"/categories/0/name", 2, "/categories/0/name: expected a string, got another value"},
      {"/annotations/0/image_id",
       71,
       "/annotations/0 (id 1)/image_id: expected the id of an image"},
      {"/annotations/0/category_id", 1, "(id 1)/category_id: expected the id of a category, got 1"},
      {"/annotations/0/bbox", Json{1, 2, 3}, "/bbox: expected left, top, width and height, got 3"},
      {"/annotations/0/bbox", Json{1, 2, 3, "4"}, "/bbox: expected an array of numbers"},
      {"/annotations/0/bbox", 4, "/bbox: expected an array of numbers, got another value"},
      {"/annotations/0/area", "big", "/area: expected a number, got another value"},
      {"/annotations/0/iscrowd", 2, "/iscrowd: expected 0 or 1, got another value"},
      {"/annotations/0", Json{{"id", 1}}, "/image_id: expected an integer, got no such member"},
  };
  for (const auto& [pointer, value, message] : cases) {
    CAPTURE(pointer, value.dump());
    SmallCoco coco;
    coco.json[Json::json_pointer(pointer)] = value;
    const auto got = coco.refusal();
    CHECK(got.find("[config] coco.json") == 0);
    CHECK(got.find(message) != std::string::npos);
  }
}

TEST_CASE("annotation files that are no JSON are refused, naming the place") {
  const SmallCoco coco;
  const auto refusal = [&](const std::string& text) {
    const auto path = coco.folder / "broken.json";
    test::write_bytes(path, text);
    return test::message_of<ConfigError>(
        [&] { CocoDetectionDataset(path, coco.folder.path(), coco.processor, *coco.tokenizer); });
  };
  CHECK(refusal("{\"images\": [{\"id\": 1,\n]}").find("broken.json:2:1: expected") !=
        std::string::npos);
  CHECK(refusal("[]").find("an object of images, annotations and categories") != std::string::npos);
  CHECK(refusal("").find("broken.json:1:1: expected") != std::string::npos);
  CHECK(refusal(R"({"images": [{"id": 1, "id": 2}]})").find("/images/0/id: expected one value") !=
        std::string::npos);
  CHECK(refusal(R"({"images": [], "images": []})").find("/images: expected one array, got two") !=
        std::string::npos);
  const std::string whole = coco.json.dump();
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    CHECK(refusal(whole.substr(0, size)).find("[config]") == 0);
  }
}

TEST_CASE("options and processors that do not fit are refused") {
  SmallCoco coco;
  CHECK_THROWS_AS(coco.open(CocoDetectionOptions().horizontal_flip(1.5)), UsageError);
  CHECK_THROWS_AS(coco.open(CocoDetectionOptions().prompt("no place")), UsageError);
  coco.json["categories"][0]["name"] = std::string(100, 'x');
  CHECK(test::message_of<TokenizerError>([&] { coco.open(); }) != "nothing");
  CHECK_THROWS_AS(coco.open(), TokenizerError);
  coco.json["categories"][0]["name"] = "cat";
  Owlv2ImageProcessorConfig config;
  config.do_pad = false;
  coco.processor = std::make_shared<Owlv2ImageProcessor>(config);
  CHECK_THROWS_AS(coco.open(), ConfigError);
}

}  // namespace
}  // namespace vizoo
