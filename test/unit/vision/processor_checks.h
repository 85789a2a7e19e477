#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/unit/vision/processor_hash.h"
#include "vizoo/core/error.h"

// What the tests of the classes that resize, crop and normalise have in common.
namespace vizoo::test {

using Options = PreprocessOptions;

inline SizeDict sides(int64_t height, int64_t width) {
  return {{"height", height}, {"width", width}};
}

/// A processor that resizes the shortest edge to `edge` and crops a square of `crop`.
template <class Processor, class Config>
Processor small_processor(Config config, int64_t edge, int64_t crop, ImageBackend backend) {
  config.size = size_dict(edge, false);
  config.crop_size = size_dict(crop, true);
  Processor processor(config);
  processor.backend = backend;
  return processor;
}

/// `hash_of` the image for calls that override an attribute, by argument.
inline std::map<std::string, std::string> hashes_of_calls(const ImageProcessor& processor,
                                                          const cv::Mat& image) {
  const std::vector<std::pair<std::string, Options>> calls{
      {"do_resize false", Options().do_resize(false)},
      {"do_center_crop false", Options().do_center_crop(false)},
      {"do_normalize false", Options().do_normalize(false)},
      {"do_rescale false", Options().do_rescale(false)},
      {"do_rescale, do_normalize false", Options().do_rescale(false).do_normalize(false)},
      {"resample nearest", Options().resample(Resample::nearest)},
      {"resample lanczos", Options().resample(Resample::lanczos)},
      {"crop_size 13", Options().crop_size(size_dict(13, true))},
      {"crop_size 9 x 31", Options().crop_size(sides(9, 31))},
      {"rescale_factor 0.02", Options().rescale_factor(0.02)},
      {"image_mean, image_std",
       Options()
           .image_mean(std::vector<double>{0.1, 0.2, 0.3})
           .image_std(std::vector<double>{0.4, 0.5, 0.6})},
      {"data_format last", Options().data_format(ChannelDimension::last)},
  };
  std::map<std::string, std::string> hashes;
  for (const auto& [name, options] : calls) hashes[name] = hash_of(processor, image, options);
  return hashes;
}

/// The configuration that a file of this text gives.
template <class Processor>
auto config_of(const std::string& text) {
  return Processor::from_json(text, "p.json")->config();
}

/// The message for a file of this text.
template <class Processor>
std::string load_error(const std::string& text) {
  return message_of<ConfigError>([&] { Processor::from_json(text, "p.json"); });
}

/// Checks that JSON and saved file of `processor` are its own; returns what the JSON gives.
template <class Processor>
auto round_trip(const Processor& processor) {
  auto again = Processor::from_json(processor.to_json(), "again");
  CHECK(again->to_json() == processor.to_json());
  CHECK(equal_fields(again->config(), processor.config()));
  const TemporaryFolder folder;
  processor.save_pretrained(folder / "new");
  CHECK(read_bytes(folder / "new/preprocessor_config.json") == processor.to_json());
  return again;
}

}  // namespace vizoo::test
