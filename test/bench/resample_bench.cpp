// Resizing and the whole ConvNeXT processor on one 500 x 375 image, and OWLv2's on one of 640 x 480,
// on one thread, beside ATen's antialiased uint8 kernel, which is what torchvision runs. Compare
// rows of one run only.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <opencv2/core.hpp>

#include "vizoo/vision/convnext_image_processor.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/owlv2_image_processor.h"

namespace {

using namespace vizoo;

constexpr int kHeight = 375;
constexpr int kWidth = 500;

cv::Mat photo(int height = kHeight, int width = kWidth) {
  cv::Mat image(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.at<cv::Vec3b>(y, x) = cv::Vec3b(
          static_cast<uint8_t>(x + y), static_cast<uint8_t>(x * y), static_cast<uint8_t>(x ^ y));
    }
  }
  return image;
}

void resize_pillow_exact(benchmark::State& state, InstructionSet set, Resample filter) {
  if (!supports(set)) {
    state.SkipWithError("the processor lacks this instruction set");
    return;
  }
  const cv::Mat image = photo();
  cv::Mat out(256, 341, CV_8UC3);
  ResampleOptions options;
  options.set = set;
  for (auto _ : state) {
    resample(image_view(image), filter, mutable_image_view(out), options);
    benchmark::DoNotOptimize(out.data);
  }
}

void resize_aten(benchmark::State& state) {
  const cv::Mat image = photo();
  at::set_num_threads(1);
  const at::Tensor tensor = tensor_view(image).permute({2, 0, 1});
  for (auto _ : state) {
    benchmark::DoNotOptimize(resize_torchvision(tensor, {256, 341}, Resample::bicubic));
  }
}

void process(benchmark::State& state, ImageBackend backend) {
  const cv::Mat image = photo();
  at::set_num_threads(1);
  ConvNextImageProcessorConfig config;
  config.size = size_dict(224, false);
  config.resample = 3;
  ConvNextImageProcessor processor(config);
  processor.backend = backend;
  for (auto _ : state) benchmark::DoNotOptimize(processor(image).pixel_values);
}

void process_owlv2(benchmark::State& state, ImageBackend backend) {
  const cv::Mat image = photo(480, 640);
  at::set_num_threads(1);
  Owlv2ImageProcessor processor;
  processor.backend = backend;
  for (auto _ : state) benchmark::DoNotOptimize(processor(image).pixel_values);
}

BENCHMARK_CAPTURE(resize_pillow_exact, bicubic_best, InstructionSet::best, Resample::bicubic);
BENCHMARK_CAPTURE(resize_pillow_exact,
                  bicubic_portable,
                  InstructionSet::portable,
                  Resample::bicubic);
BENCHMARK_CAPTURE(resize_pillow_exact, bilinear_best, InstructionSet::best, Resample::bilinear);
BENCHMARK_CAPTURE(resize_pillow_exact, lanczos_best, InstructionSet::best, Resample::lanczos);
BENCHMARK(resize_aten);
BENCHMARK_CAPTURE(process, pil, ImageBackend::Pil);
BENCHMARK_CAPTURE(process, torchvision, ImageBackend::Torchvision);
BENCHMARK_CAPTURE(process_owlv2, pil, ImageBackend::Pil);
BENCHMARK_CAPTURE(process_owlv2, torchvision, ImageBackend::Torchvision);

}  // namespace

BENCHMARK_MAIN();
