#include "vizoo/vision/gaussian_zoom.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/unit/vision/pattern.h"

namespace vizoo {
namespace {

using test::fnv;
using test::pattern_image;

// The whole result, [C, H, W], of an image with interleaved channels.
template <class T>
std::vector<T> zoom(const std::vector<T>& image, const ZoomGeometry& geometry, T canvas_value) {
  const int64_t row_length = geometry.image.width * geometry.channels;
  const int64_t width = geometry.out.width;
  const int64_t plane = geometry.out.height * width;
  std::vector<T> out(static_cast<size_t>(plane * geometry.channels));
  gaussian_zoom<T>(
      geometry,
      canvas_value,
      [&](int64_t y, T* row) { std::copy_n(image.data() + y * row_length, row_length, row); },
      [&](int64_t y, T* row) {
        for (int64_t c = 0; c < geometry.channels; ++c) {
          std::copy_n(row + c * width, width, out.data() + c * plane + y * width);
        }
      });
  return out;
}

template <class T>
std::vector<T> pattern_values(const ZoomGeometry& geometry, double scale) {
  const cv::Mat image = pattern_image(static_cast<int>(geometry.image.height),
                                      static_cast<int>(geometry.image.width),
                                      static_cast<int>(geometry.channels));
  std::vector<T> values;
  for (size_t i = 0; i < image.total() * image.elemSize(); ++i) {
    values.push_back(static_cast<T>(image.data[i] * scale));
  }
  return values;
}

template <class T>
std::string hash(const std::vector<T>& values) {
  return fnv(values.data(), values.size() * sizeof(T));
}

TEST_CASE("gaussian_zoom is SciPy's filter and zoom bit by bit") {
  struct Golden {
    ZoomGeometry geometry;
    const char* single;  // of pattern / 255 on 0.5
    const char* bytes;   // of pattern on 0
    const char* twice;   // of pattern / 255 on 0.25
  };
  // numpy 1.26.4, SciPy 1.17.1.
  const Golden table[] = {
      {{{20, 30}, {30, 30}, 3, {45, 45}}, "5E68D5F2", "2D93DCCA", "FEBBB144"},
      {{{37, 53}, {53, 53}, 3, {20, 20}}, "433E6A42", "29466EF6", "BB8AE95F"},
      {{{37, 53}, {37, 53}, 3, {10, 90}}, "CC1F46D9", "128A0B6E", "17088AD6"},
      {{{53, 37}, {53, 53}, 1, {3, 4}}, "445B7C7C", "185CFA23", "EDFDA75C"},
      {{{1, 90}, {90, 90}, 3, {40, 30}}, "E8EED54B", "209B4D1E", "D1AFAD8D"},
      {{{90, 1}, {90, 90}, 4, {7, 40}}, "14848E0D", "21CBCE13", "C5E6FFC0"},
      {{{1, 1}, {1, 1}, 3, {5, 6}}, "FF66EDFD", "6E7C71EB", "5A893D1D"},
      {{{64, 40}, {64, 64}, 3, {64, 64}}, "FACE4AFF", "E5FF1548", "DB059002"},
      {{{40, 170}, {170, 170}, 3, {50, 9}}, "C868EDB7", "E833C296", "6C34A3BD"},
  };
  for (const Golden& golden : table) {
    const ZoomGeometry& geometry = golden.geometry;
    INFO(geometry.image.height << " x " << geometry.image.width << " to " << geometry.out.height
                               << " x " << geometry.out.width);
    CHECK(hash(zoom(pattern_values<float>(geometry, 1.0 / 255.0), geometry, 0.5f)) ==
          golden.single);
    CHECK(hash(zoom(pattern_values<uint8_t>(geometry, 1.0), geometry, uint8_t{0})) == golden.bytes);
    auto twice = pattern_values<double>(geometry, 1.0);
    for (double& value : twice) value /= 255.0;
    CHECK(hash(zoom(twice, geometry, 0.25)) == golden.twice);
  }
}

TEST_CASE("a canvas is the same as an image that was padded") {
  const ZoomGeometry padded{{31, 31}, {31, 31}, 2, {9, 70}};
  const ZoomGeometry canvas{{12, 31}, {31, 31}, 2, {9, 70}};
  auto image = pattern_values<float>(canvas, 1.0 / 255.0);
  const auto expected = zoom(image, canvas, 0.375f);
  image.resize(31 * 31 * 2, 0.375f);
  CHECK(zoom(image, padded, 0.375f) == expected);
}

TEST_CASE("neighbours beyond the edge are mirrored about the edge pixel") {
  // 640 -> 960: the first and the last sample lie outside, as in the original.
  const auto samples = zoom_samples(640, 960);
  CHECK(samples.front().first == 0);
  CHECK(samples.front().second == 1);
  CHECK(samples.front().second_weight == Approx(1.0 / 6.0));
  CHECK(samples[1].first == 0);
  CHECK(samples[1].second_weight == Approx(0.5));
  CHECK(samples[2].first == 1);
  CHECK(samples[2].second_weight == Approx(1.0 / 6.0));
  CHECK(samples[958].first == 638);
  CHECK(samples[958].second_weight == Approx(0.5));
  CHECK(samples.back().first == 639);
  CHECK(samples.back().second == 638);  // not 639, as where edges are clamped
  CHECK(samples.back().second_weight == Approx(1.0 / 6.0));
  for (const auto& sample : zoom_samples(1, 4)) {
    CHECK(sample.first == 0);
    CHECK(sample.second == 0);
    CHECK(sample.first_weight == 1.0);
  }
  for (int64_t k = 0; k < 7; ++k) {
    CHECK(zoom_samples(7, 7)[static_cast<size_t>(k)].first == k);
    CHECK(zoom_samples(7, 7)[static_cast<size_t>(k)].second_weight == 0.0);
  }
}

TEST_CASE("weights of the Gaussian go out to four deviations") {
  const auto weights = gaussian_weights(0.5);  // 1920 -> 960
  REQUIRE(weights.size() == 3);
  CHECK(weights[0] == Approx(0.00026387).epsilon(1e-4));
  CHECK(weights[1] == Approx(0.10645077).epsilon(1e-7));
  CHECK(weights[2] == Approx(0.78657073).epsilon(1e-7));
  CHECK(gaussian_weights(0.0) == std::vector<double>{1.0});
  CHECK(gaussian_weights(1e-15) == std::vector<double>{1.0});
  CHECK(gaussian_weights(0.1249) == std::vector<double>{1.0});  // the radius rounds to 0
  CHECK(gaussian_weights(0.125).size() == 2);
  double sum = -gaussian_weights(9.3).back();
  for (const double weight : gaussian_weights(9.3)) sum += 2 * weight;
  CHECK(sum == Approx(1.0).epsilon(1e-14));
}

TEST_CASE("a constant image stays constant whatever the sizes") {
  const ZoomGeometry geometry{{50, 3}, {50, 50}, 1, {17, 60}};
  const auto out = zoom(std::vector<float>(150, 0.3f), geometry, 0.3f);
  CHECK(out == std::vector<float>(17 * 60, 0.3f));
}

TEST_CASE("NaN stays where it is") {
  const ZoomGeometry geometry{{9, 9}, {9, 9}, 1, {9, 9}};
  std::vector<float> image(81, 1.0f);
  image[40] = std::numeric_limits<float>::quiet_NaN();
  const auto out = zoom(image, geometry, 0.0f);
  CHECK(std::isnan(out[40]));
  CHECK(out[20] == 1.0f);
}

TEST_CASE("a strip on a large canvas takes little memory and time") {
  // Stored as such, the canvas would be 2 GB.
  const ZoomGeometry geometry{{1, 13000}, {13000, 13000}, 3, {960, 960}};
  const auto out = zoom(std::vector<float>(39000, 1.0f), geometry, 0.5f);
  CHECK(out.front() > 0.5f);
  CHECK(out.back() == 0.5f);
}

}  // namespace
}  // namespace vizoo
