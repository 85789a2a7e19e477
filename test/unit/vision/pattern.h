#pragma once

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

#include <opencv2/core.hpp>

// Deterministic images and hashes that the golden values of these tests are stated in.
namespace vizoo::test {

/// value(y, x, c) = (3 y^2 + 7 x + 61 c + 9 ((x y) mod 17)) mod 256, channels last.
inline cv::Mat pattern_image(int height, int width, int channels = 3) {
  cv::Mat image(height, width, CV_8UC(channels));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.ptr<uint8_t>(y)[x * channels + c] =
            static_cast<uint8_t>((3 * y * y + 7 * x + 61 * c + 9 * ((x * y) % 17)) % 256);
      }
    }
  }
  return image;
}

/// FNV-1a-32 as eight hexadecimal digits.
inline std::string fnv(const void* data, size_t size) {
  uint32_t hash = 0x811C9DC5u;
  for (size_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 0x01000193u;
  }
  char text[9];
  std::snprintf(text, sizeof(text), "%08X", hash);
  return text;
}

inline std::string fnv(const cv::Mat& image) {
  const cv::Mat whole = image.isContinuous() ? image : image.clone();
  return fnv(whole.data, whole.total() * whole.elemSize());
}

/// The message of the exception of type `Error` that `body` throws, else what happened instead.
template <class Error, class Body>
std::string message_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another exception: ") + error.what();
  }
  return "no exception";
}

}  // namespace vizoo::test
