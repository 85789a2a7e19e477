#include <fstream>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/support/jpeg_writer.h"
#include "test/support/sample_stream.h"
#include "test/support/temporary_folder.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"
#include "vizoo/training/data/image_folder_dataset.h"
#include "vizoo/training/data_loader.h"
#include "vizoo/vision/vit_image_processor.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

using test::message_of;
using test::TemporaryFolder;
using vizoo::test::sample_stream;

std::shared_ptr<const ImageProcessor> processor() {
  ViTImageProcessorConfig config;
  config.size = {{"height", 16}, {"width", 16}};
  return std::make_shared<ViTImageProcessor>(config);
}

void add_image(const fs::path& path, int size = 20) {
  fs::create_directories(path.parent_path());
  test::write_bytes(path, test::jpeg_bytes(test::pattern_image(size, size + 7)));
}

ImageFolderDataset open(const TemporaryFolder& folder, const ImageFolderOptions& options = {}) {
  return ImageFolderDataset(folder.path(), processor(), options);
}

// The message, with the temporary folder as FOLDER.
std::string refusal(const TemporaryFolder& folder, const ImageFolderOptions& options = {}) {
  std::string message = message_of<UsageError>([&] { open(folder, options); });
  const std::string path = folder.path().string();
  for (auto at = message.find(path); at != std::string::npos; at = message.find(path)) {
    message.replace(at, path.size(), "FOLDER");
  }
  return message;
}

TEST_CASE("classes and images are sorted by name, byte by byte") {
  TemporaryFolder folder;
  for (const char* name :
       {"cat/2.jpg", "cat/10.JPG", "Dog/a.jpeg", "cat/deep/1.jpg", "ant/x.jpg"}) {
    add_image(folder / name);
  }
  for (const char* ignored : {"cat/notes.txt", "cat/.hidden.jpg", "README.md", ".DS_Store"}) {
    test::write_bytes(folder / ignored, "text");
  }
  fs::create_directories(folder / ".cache");
  const auto dataset = open(folder);
  CHECK(dataset.classes() == std::vector<std::string>{"Dog", "ant", "cat"});
  std::vector<std::string> names;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    names.push_back(dataset.describe(i));
    labels.push_back(dataset.label(i));
    auto random = sample_stream();
    CHECK(dataset.get(i, random).labels.item<int64_t>() == labels.back());
  }
  CHECK(names == std::vector<std::string>{
                     "Dog/a.jpeg", "ant/x.jpg", "cat/10.JPG", "cat/2.jpg", "cat/deep/1.jpg"});
  CHECK(labels == std::vector<int64_t>{0, 1, 2, 2, 2});
  CHECK(dataset.path(1) == folder / "ant/x.jpg");
}

TEST_CASE("without augmentation an image is what the image processor makes of it") {
  TemporaryFolder folder;
  add_image(folder / "a/1.jpg", 33);
  const auto dataset = open(folder, ImageFolderOptions().argument("inputs"));
  auto random = sample_stream();
  const auto sample = dataset.get(0, random);
  const auto expected = (*processor())(read_image(folder / "a/1.jpg")).pixel_values[0];
  CHECK(torch::equal(sample.arguments.at("inputs"), expected));
  CHECK(sample.arguments.size() == 1);
}

TEST_CASE("a label map numbers the classes, also those that the folder lacks") {
  TemporaryFolder folder;
  for (const char* name : {"cat/1.jpg", "dog/1.jpg"}) add_image(folder / name);
  const auto dataset =
      open(folder, ImageFolderOptions().label2id(LabelMap{{"dog", 0}, {"eel", 1}, {"cat", 2}}));
  CHECK(dataset.classes() == std::vector<std::string>{"dog", "eel", "cat"});
  CHECK(dataset.label(0) == 2);
  CHECK(dataset.label(1) == 0);

  const auto map = [](LabelMap labels) { return ImageFolderOptions().label2id(std::move(labels)); };
  CHECK(refusal(folder, map({{"eel", 0}, {"dog", 1}})) ==
        "[training] FOLDER: expected classes of the label map, which has 2 such as \"eel\", got "
        "\"cat\".");
  CHECK(refusal(folder, map({})) ==
        "[training] FOLDER: expected classes of the label map, which has 0 such as \"\", got "
        "\"cat\", \"dog\".");
  for (const auto& labels : {LabelMap{{"cat", 0}, {"dog", 0}},
                             LabelMap{{"cat", 1}, {"dog", 2}},
                             LabelMap{{"cat", -1}}}) {
    CHECK(refusal(folder, map(labels)).find("each once") != std::string::npos);
  }
}

TEST_CASE("folders that are no data set are named") {
  TemporaryFolder folder;
  CHECK(refusal(folder) ==
        "[training] FOLDER: expected a folder for each class, folder/class/name.jpg, got no "
        "folders.");
  CHECK(message_of<UsageError>([&] {
          ImageFolderDataset(folder / "absent", processor());
        }).find("got no folder of this name") != std::string::npos);
  add_image(folder / "cat/1.jpg");
  fs::create_directories(folder / "dog");
  fs::create_directories(folder / "eel/empty");
  CHECK(refusal(folder) ==
        "[training] FOLDER: expected images in each class folder, got none in \"dog\", \"eel\".");
  add_image(folder / "dog/1.jpg");
  add_image(folder / "eel/1.jpg");
  CHECK(open(folder).size() == 3);
  add_image(folder / "stray.jpg");
  CHECK(refusal(folder) ==
        "[training] FOLDER: expected images in class folders only, folder/class/name.jpg, got 1 "
        "outside of one: \"stray.jpg\".");
  fs::remove(folder / "stray.jpg");
  add_image(folder / "\xff/1.jpg");
  CHECK(refusal(folder) == "[training] FOLDER: expected class names in UTF-8, got \"\\xff\".");
}

TEST_CASE("a link back to its own folder is an error, one to nowhere is ignored") {
  TemporaryFolder folder;
  add_image(folder / "cat/1.jpg");
  fs::create_symlink("nowhere", folder / "cat/gone");
  CHECK(open(folder).size() == 1);
  fs::create_directory_symlink(folder / "cat", folder / "cat/loop");
  CHECK(refusal(folder).find("A link may lead back") != std::string::npos);
}

TEST_CASE("broken images are skipped by the loader and named with their path") {
  TemporaryFolder folder;
  for (int i = 0; i < 24; ++i) {
    add_image(folder / ("a/" + std::to_string(i) + ".jpg"));
    add_image(folder / ("b/" + std::to_string(i) + ".jpg"));
  }
  const auto broken = folder / "b/7.jpg";
  test::write_bytes(broken, test::read_bytes(broken).substr(0, 300));
  test::write_bytes(folder / "a/3.jpg", "");
  const auto dataset = std::make_shared<ImageFolderDataset>(
      folder.path(),
      processor(),
      ImageFolderOptions().augmentation(ImageAugmentationOptions().min_scale(0.5)));
  std::vector<torch::Tensor> first;
  for (const int64_t workers : {0, 3}) {
    DataLoader loader(dataset, DataLoaderOptions().batch(10).workers(workers));
    loader.start(0);
    std::vector<torch::Tensor> pixels;
    while (const auto parts = loader.next()) {
      pixels.push_back(parts->front().arguments.at("pixel_values"));
    }
    const auto all = torch::cat(pixels);
    CHECK(all.sizes() == torch::IntArrayRef({46, 3, 16, 16}));
    REQUIRE(loader.skipped().size() == 2);
    for (const auto& skipped : loader.skipped()) {
      CHECK(skipped.message.find(dataset->path(skipped.index).string()) != std::string::npos);
    }
    first.push_back(all);
  }
  CHECK(torch::equal(first[0], first[1]));
}

}  // namespace
}  // namespace vizoo
