// How fast DataLoader makes training batches of an image folder: random resized crops of 224 x 224
// pixels, mirrored by chance, normalised. scripts/bench/loader.py compares it with torchvision.
//
// usage: loader_bench FOLDER WORKERS BATCH
//
// Each line of standard input asks for an epoch; the answer is a line of JSON with its
// milliseconds, the number of its images and the mean of their pixels.
#include <ATen/Parallel.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include "vizoo/training/data/image_folder_dataset.h"
#include "vizoo/training/data_loader.h"
#include "vizoo/vision/convnext_image_processor.h"

namespace {

using namespace vizoo;

// What torchvision's transforms do: bilinear, mean and standard deviation of ImageNet.
std::shared_ptr<const ImageProcessor> make_processor() {
  ConvNextImageProcessorConfig config;
  config.size = size_dict(224, false);
  config.resample = 2;
  config.image_mean = {0.485, 0.456, 0.406};
  config.image_std = {0.229, 0.224, 0.225};
  return std::make_shared<const ConvNextImageProcessor>(config);
}

void measure_epoch(DataLoader& loader, int64_t epoch) {
  const auto before = std::chrono::steady_clock::now();
  loader.start(epoch);
  int64_t images = 0;
  double sum = 0.0;
  while (const auto parts = loader.next()) {
    const torch::Tensor& pixels = parts->at(0).arguments.at("pixel_values");
    images += pixels.size(0);
    // One of many: the sum of all would take longer than some of the loading.
    sum += pixels.select(2, 112).mean().item<double>() * static_cast<double>(pixels.size(0));
  }
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - before;
  std::cout << "{\"ms\": " << elapsed.count() << ", \"images\": " << images
            << ", \"mean\": " << sum / static_cast<double>(images) << "}" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: loader_bench FOLDER WORKERS BATCH\n";
    return 2;
  }
  // Only workers are to be measured; threads of this one would wait for work on their cores.
  at::set_num_threads(1);
  try {
    const auto dataset = std::make_shared<const ImageFolderDataset>(
        argv[1], make_processor(), ImageFolderOptions().augmentation(ImageAugmentationOptions()));
    DataLoader loader(dataset,
                      DataLoaderOptions().workers(std::stoll(argv[2])).batch(std::stoll(argv[3])));
    int64_t epoch = 0;
    for (std::string line; std::getline(std::cin, line); ++epoch) measure_epoch(loader, epoch);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
