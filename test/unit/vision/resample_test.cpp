#include "vizoo/vision/resample.h"

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "test/support/catch.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"
#include "vizoo/vision/image.h"

namespace vizoo {
namespace {

using test::fnv;
using test::message_of;
using test::pattern_image;

constexpr Resample kFilters[] = {Resample::nearest,
                                 Resample::lanczos,
                                 Resample::bilinear,
                                 Resample::bicubic,
                                 Resample::box,
                                 Resample::hamming};

cv::Mat resized(const cv::Mat& image,
                int height,
                int width,
                Resample filter,
                const ResampleOptions& options = {}) {
  cv::Mat out(height, width, image.type());
  resample(image_view(image), filter, mutable_image_view(out), options);
  return out;
}

std::vector<InstructionSet> available_sets() {
  std::vector<InstructionSet> sets{InstructionSet::portable};
  if (supports(InstructionSet::avx2)) sets.push_back(InstructionSet::avx2);
  return sets;
}

bool equal(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && a.type() == b.type() &&
         std::memcmp(a.data, b.data, a.total() * a.elemSize()) == 0;
}

TEST_CASE("resample gives Pillow's bytes") {
  struct Golden {
    int height, width;
    const char* bilinear;
    const char* bicubic;
    const char* lanczos;
    const char* box;
    const char* hamming;
    const char* nearest;
  };
  static const Golden kGolden[] = {
      {24, 34, "C884FC51", "31B2A563", "2FCFAE46", "1B121FB6", "628A4FE2", "FBDD2B93"},
      {16, 16, "1D9ADA28", "636AF210", "F8CFD4A0", "743D304B", "FA50EA06", "320CB077"},
      {60, 47, "84769288", "20003779", "38207A83", "817D5391", "EB40A415", "0BF733B9"},
      {37, 20, "BFFE30B6", "49348FD6", "AEF057E6", "551567DC", "AD2A33A4", "DA558F10"},
      {11, 53, "C9F618B7", "AE705CC0", "E3D7E7F3", "397C7AA0", "5CD8EC8A", "464147A1"},
      {1, 1, "8089EDEF", "BB19F336", "BB19F336", "BB19F336", "817FBF54", "F0247AA1"},
  };
  const cv::Mat image = pattern_image(37, 53);
  REQUIRE(fnv(image) == "F8243E55");
  for (const InstructionSet set : available_sets()) {
    ResampleOptions options;
    options.set = set;
    for (const Golden& golden : kGolden) {
      const auto hash = [&](Resample filter) {
        return fnv(resized(image, golden.height, golden.width, filter, options));
      };
      CAPTURE(golden.height, golden.width, static_cast<int>(set));
      CHECK(hash(Resample::bilinear) == golden.bilinear);
      CHECK(hash(Resample::bicubic) == golden.bicubic);
      CHECK(hash(Resample::lanczos) == golden.lanczos);
      CHECK(hash(Resample::box) == golden.box);
      CHECK(hash(Resample::hamming) == golden.hamming);
      CHECK(hash(Resample::nearest) == golden.nearest);
    }
  }
}

TEST_CASE("resample gives Pillow's bicubic corner pixels") {
  const cv::Mat out = resized(pattern_image(37, 53), 60, 47, Resample::bicubic);
  CHECK(out.at<cv::Vec3b>(0, 0) == cv::Vec3b(0, 61, 122));
  CHECK(out.at<cv::Vec3b>(59, 46) == cv::Vec3b(172, 250, 31));
}

// Tall images that shrink: Pillow 13 runs the vertical pass first, Pillow 12 did not.
TEST_CASE("resample follows either order of passes") {
  struct Golden {
    int height, width;
    const char* pillow13[5];
    const char* horizontal_first[5];
  };
  static const Golden kGolden[] = {
      {20,
       30,
       {"BE1BF237", "A80E32FD", "1DB90EB8", "5BD73404", "7DB49889"},
       {"1787A522", "25182770", "F174810D", "E7EE0DC3", "E7A3193B"}},
      {11,
       50,
       {"558286D6", "B25307FC", "B595A78C", "6B46BB5A", "BAFA90C0"},
       {"226E371D", "D895224C", "6D2A85F0", "6B46BB5A", "26F42873"}},
      {24,
       36,
       {"D9A70CCF", "FA117A4B", "1A5627B1", "C0C02925", "79BB04CE"},
       {"86BB0F8B", "93306784", "11D069F5", "AB940E97", "42BF94F8"}},
  };
  const cv::Mat image = pattern_image(53, 37);
  for (const Golden& golden : kGolden) {
    for (int filter = 1; filter <= 5; ++filter) {
      ResampleOptions options;
      options.order = PassOrder::pillow13;
      CAPTURE(golden.height, golden.width, filter);
      CHECK(fnv(resized(
                image, golden.height, golden.width, static_cast<Resample>(filter), options)) ==
            golden.pillow13[filter - 1]);
      options.order = PassOrder::horizontal_first;
      CHECK(fnv(resized(
                image, golden.height, golden.width, static_cast<Resample>(filter), options)) ==
            golden.horizontal_first[filter - 1]);
    }
  }
}

TEST_CASE("all instruction sets and windows agree on random sizes") {
  if (!supports(InstructionSet::avx2)) VIZOO_SKIP("this processor has no AVX2");
  std::mt19937 random(20240119);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int i = 0; i < 400; ++i) {
    const int limit = i % 4 == 0 ? 7 : i % 4 == 1 ? 40 : 150;
    const int channels = pick(1, 4);
    cv::Mat image(pick(1, limit), pick(1, limit), CV_8UC(channels));
    for (size_t k = 0; k < image.total() * image.elemSize(); ++k) {
      image.data[k] = static_cast<uint8_t>(pick(0, 255));
    }
    const int height = i % 10 == 0 ? image.rows : pick(1, limit);
    const int width = i % 10 == 1 ? image.cols : pick(1, limit);
    const Resample filter = kFilters[i % 6];
    CAPTURE(i, image.rows, image.cols, channels, height, width, enum_name(filter));
    ResampleOptions options;
    options.set = InstructionSet::portable;
    options.order = i % 2 == 0 ? PassOrder::pillow13 : PassOrder::horizontal_first;
    const cv::Mat expected = resized(image, height, width, filter, options);
    options.set = InstructionSet::avx2;
    CHECK(equal(resized(image, height, width, filter, options), expected));

    const int top = pick(0, height - 1);
    const int left = pick(0, width - 1);
    cv::Mat part(pick(1, height - top), pick(1, width - left), image.type());
    const ResampleWindow window{top, left, part.rows, part.cols};
    for (const InstructionSet set : available_sets()) {
      options.set = set;
      resample(image_view(image), height, width, filter, window, mutable_image_view(part), options);
      CHECK(equal(part, expected(cv::Rect(left, top, part.cols, part.rows)).clone()));
    }
  }
}

TEST_CASE("resample keeps to its views") {
  // A part of a larger image as input, a part of a larger one as output.
  const cv::Mat image = pattern_image(60, 70);
  const cv::Rect inner(9, 5, 41, 33);
  cv::Mat frame(40, 50, CV_8UC3, cv::Scalar(7, 7, 7));
  for (const InstructionSet set : available_sets()) {
    ResampleOptions options;
    options.set = set;
    cv::Mat target = frame(cv::Rect(3, 4, 29, 21));
    resample(image_view(image(inner)), Resample::bicubic, mutable_image_view(target), options);
    CHECK(equal(target.clone(), resized(image(inner).clone(), 21, 29, Resample::bicubic, options)));
    int outside = 0;
    for (int y = 0; y < frame.rows; ++y) {
      for (int x = 0; x < frame.cols; ++x) {
        if (cv::Rect(3, 4, 29, 21).contains(cv::Point(x, y))) continue;
        outside += frame.at<cv::Vec3b>(y, x) != cv::Vec3b(7, 7, 7);
      }
    }
    CHECK(outside == 0);
  }
}

TEST_CASE("resample keeps constant images and copies equal sizes") {
  const cv::Mat image(13, 29, CV_8UC3, cv::Scalar(3, 128, 255));
  for (const Resample filter : kFilters) {
    const cv::Mat out = resized(image, 31, 8, filter);
    CHECK(cv::countNonZero(out.reshape(1) !=
                           cv::Mat(31, 8, CV_8UC3, cv::Scalar(3, 128, 255)).reshape(1)) == 0);
    CHECK(equal(resized(pattern_image(9, 7), 9, 7, filter), pattern_image(9, 7)));
  }
}

TEST_CASE("resample runs on many threads at once") {
  const cv::Mat image = pattern_image(37, 53);
  std::vector<std::string> hashes(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 50; ++k) {
        hashes[i] = fnv(resized(image, 20 + k, 60 - k, Resample::lanczos));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& hash : hashes) {
    CHECK(hash == fnv(resized(image, 69, 11, Resample::lanczos)));
  }
}

TEST_CASE("resample refuses what it cannot do before it allocates") {
  uint8_t byte = 0;
  const ImageView pixel{&byte, 1, 1, 1, 1};
  const auto call = [&](const ImageView& input,
                        int64_t height,
                        int64_t width,
                        const ResampleWindow& window,
                        const MutableImageView& output) {
    return message_of<Error>(
        [&] { resample(input, height, width, Resample::bicubic, window, output); });
  };
  const MutableImageView one{&byte, 1, 1, 1, 1};
  CHECK(call({nullptr, 0, 5, 1, 5}, 1, 1, {0, 0, 1, 1}, one) ==
        "[image] resize: expected an image of at least 1 x 1 pixels (height x width), got 0 x 5.");
  CHECK(call(pixel, 0, 1, {0, 0, 1, 1}, one) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 0 x 1 (height x "
        "width).");
  CHECK(call(pixel, 1000000, 1000000, {0, 0, 1, 1}, one) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 1000000 x 1000000 "
        "(height x width).");
  CHECK(call(pixel, INT64_MAX, INT64_MAX, {0, 0, 1, 1}, one) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got "
        "9223372036854775807 x 9223372036854775807 (height x width).");
  CHECK(call(pixel, 4, 4, {3, 3, 2, 1}, {&byte, 2, 1, 1, 1}) ==
        "[image] resize: expected a window inside the resized image and views of its size, got 2 "
        "x 1.");
  CHECK(call({&byte, 1, 1, 5, 5}, 1, 1, {0, 0, 1, 1}, {&byte, 1, 1, 5, 5}) ==
        "[image] resize: expected 1 to 4 channels, as many out as in, got 5 in, 5 out.");
  // Never read: the size alone is refused.
  CHECK(call({&byte, 1, 170000000, 1, 170000000}, 2, 80000000, {0, 0, 1, 1}, one) ==
        "[image] resize: expected a resize that needs at most 1024 MiB of working memory, got 1 x "
        "170000000 to 2 x 80000000.");
}

}  // namespace
}  // namespace vizoo
