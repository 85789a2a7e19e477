#include "vizoo/tasks/object_detection.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/box_ops.h"

namespace vizoo {
namespace {

using test::error_message;
using Options = ObjectDetectionOptions;
using GuidedOptions = ImageGuidedDetectionOptions;
using Values = std::vector<double>;

Values values(const torch::Tensor& tensor) {
  const auto data = tensor.to(torch::kFloat64).contiguous();
  return Values(data.const_data_ptr<double>(), data.const_data_ptr<double>() + data.numel());
}

// Numbers that are different everywhere: logits [B, P, Q] in -7 ... 3, boxes [B, P, 4].
torch::Tensor spread_logits(int64_t batch, int64_t patches, int64_t queries) {
  const auto i = torch::arange(batch * patches * queries).reshape({batch, patches, queries});
  return i.mul(37).remainder(101).to(torch::kFloat32) / 10 - 7;
}

torch::Tensor spread_boxes(int64_t batch, int64_t patches) {
  const auto k = torch::arange(batch * patches).reshape({batch, patches});
  const auto fraction = [&](int64_t factor, int64_t modulus, double divisor) {
    return k.mul(factor).remainder(modulus).to(torch::kFloat32) / divisor;
  };
  return torch::stack({fraction(13, 29, 29),
                       fraction(7, 31, 31),
                       0.1 + fraction(5, 11, 22),
                       0.1 + fraction(3, 13, 26)},
                      -1);
}

// Logits [1, P, 1] of these scores.
torch::Tensor logits_of(const Values& scores) {
  return torch::tensor(scores, torch::kFloat64).logit().to(torch::kFloat32).reshape({1, -1, 1});
}

// Boxes [1, P, 4] as centre and size, from corners.
torch::Tensor boxes_of(const std::vector<Values>& corners) {
  auto boxes = torch::empty({1, static_cast<int64_t>(corners.size()), 4});
  for (std::size_t i = 0; i < corners.size(); ++i) {
    const auto& c = corners[i];
    boxes[0][static_cast<int64_t>(i)].copy_(
        torch::tensor({(c[0] + c[2]) / 2, (c[1] + c[3]) / 2, c[2] - c[0], c[3] - c[1]}));
  }
  return boxes;
}

void check_close(const torch::Tensor& tensor, const Values& expected, double margin) {
  const auto got = values(tensor);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i] == Approx(expected[i]).margin(margin));
  }
}

// From Transformers 4.37.2, for spread_logits and spread_boxes of 12 patches.
const TargetSizes kSizes{{100, 200}, {60, 60}};

TEST_CASE("object detection is post-processed as by Transformers 4.37.2") {
  const auto results = post_process_object_detection(
      spread_logits(2, 12, 3),
      spread_boxes(2, 12),
      Options().threshold(0.5).target_sizes(kSizes).box_scaling(BoxScaling::Wh));
  REQUIRE(results.size() == 2);
  check_close(results[0].scores,
              {0.5986876487731934,
               0.8021838068962097,
               0.9168272614479065,
               0.6681877374649048,
               0.8455346822738647,
               0.9370266199111938,
               0.7310585975646973,
               0.8807970285415649,
               0.9525741338729858,
               0.7858350276947021},
              1e-6);
  CHECK(values(results[0].labels) == Values{2, 2, 2, 1, 1, 1, 0, 0, 0, 2});
  CHECK(results[0].labels.scalar_type() == torch::kInt64);
  check_close(results[0].boxes.slice(0, 0, 2),
              {-10.0,
               -5.0,
               10.0,
               5.0,
               56.927894592285156,
               11.811413764953613,
               122.3824462890625,
               33.349876403808594},
              1e-4);
  check_close(results[0].boxes.sum(0),
              {697.9624633789062, 216.43919372558594, 1343.4169921875, 512.593017578125},
              1e-3);
  CHECK(values(results[1].labels) == Values{2, 1, 1, 1, 0, 0, 0, 2, 2});
  check_close(results[1].boxes.sum(0),
              {185.3040771484375, 176.63522338867188, 340.213134765625, 357.5583190917969},
              1e-3);
  CHECK(results[1].image == 1);
}

TEST_CASE("boxes are scaled by the longer side unless 4.37.2's rule is asked for") {
  const auto logits = logits_of({0.9});
  const auto boxes = torch::tensor({0.5, 0.25, 0.2, 0.1}).reshape({1, 1, 4});
  const auto box = [&](const Options& options) {
    return post_process_object_detection(logits, boxes, options)[0].boxes;
  };
  const auto landscape = Options().target_sizes(TargetSizes{{100, 200}});
  check_close(box(landscape), {80, 40, 120, 60}, 1e-4);
  check_close(box(Options(landscape).box_scaling(BoxScaling::Wh)), {80, 20, 120, 30}, 1e-4);
  const auto portrait = Options().target_sizes(TargetSizes{{200, 100}});
  check_close(box(portrait), {80, 40, 120, 60}, 1e-4);
  check_close(box(Options(portrait).box_scaling(BoxScaling::Wh)), {40, 40, 60, 60}, 1e-4);
  check_close(box({}), {0.4, 0.2, 0.6, 0.3}, 1e-6);  // without sizes they stay relative
  // Boxes are not clipped to the image.
  const auto wide = torch::tensor({0.1, 0.9, 0.6, 0.6}).reshape({1, 1, 4});
  check_close(
      post_process_object_detection(logits, wide, portrait)[0].boxes, {-40, 120, 80, 240}, 1e-3);
}

TEST_CASE("scores must be above the threshold, and patches keep their order") {
  const auto boxes = boxes_of({{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}});
  const auto logits = torch::tensor({-1.0f, 2.0f, 0.0f, 1.0f}).reshape({1, 4, 1});
  const auto result = post_process_object_detection(logits, boxes, Options().threshold(0.5))[0];
  // Exactly 0.5 is left out; overlaps are not suppressed; nothing is sorted.
  check_close(result.scores, {0.880797, 0.7310586}, 1e-6);
  CHECK(post_process_object_detection(logits, boxes)[0].scores.size(0) == 4);
  CHECK(post_process_object_detection(logits, boxes, Options().threshold(1))[0].scores.size(0) ==
        0);
  const auto none = post_process_object_detection(logits, boxes, Options().threshold(1))[0];
  CHECK(none.boxes.sizes() == torch::IntArrayRef({0, 4}));
}

TEST_CASE("the best query of a patch is its label, the first of equal ones") {
  const auto logits = torch::tensor({1.0f, 3.0f, 2.0f, 5.0f, 0.0f, 5.0f}).reshape({1, 2, 3});
  const auto boxes = torch::full({1, 2, 4}, 0.5);
  CHECK(values(post_process_object_detection(logits, boxes)[0].labels) == Values{1, 0});
}

TEST_CASE("half types are taken as float32, float64 stays") {
  const auto logits = spread_logits(1, 6, 2);
  const auto boxes = spread_boxes(1, 6);
  const auto half = post_process_object_detection(logits.to(torch::kHalf), boxes.to(torch::kHalf));
  CHECK(half[0].scores.scalar_type() == torch::kFloat32);
  CHECK(half[0].boxes.scalar_type() == torch::kFloat32);
  const auto twice =
      post_process_object_detection(logits.to(torch::kDouble), boxes.to(torch::kDouble));
  CHECK(twice[0].scores.scalar_type() == torch::kFloat64);
}

TEST_CASE("grounded detection names the labels of each image") {
  const auto logits = torch::tensor({3.0f, 1.0f, 1.0f, 3.0f}).reshape({2, 1, 2});
  const auto boxes = torch::full({2, 1, 4}, 0.5);
  const auto results =
      post_process_grounded_object_detection(logits, boxes, {{"cat", "dog"}, {"bird", "fish"}});
  CHECK(results[0].text_labels == std::vector<std::string>{"cat"});
  CHECK(results[1].text_labels == std::vector<std::string>{"fish"});
  // A query that only fills up a shorter list can win: it is the text " ".
  const auto padded =
      post_process_grounded_object_detection(logits, boxes, {{"cat", "dog"}, {"bird"}});
  CHECK(padded[1].text_labels == std::vector<std::string>{" "});
  CHECK(error_message<ShapeError>([&] {
          post_process_grounded_object_detection(logits, boxes, {{"cat"}});
        }) == "[task] text_labels: expected one list for each of the 2 images, got 1.");
}

TEST_CASE("image-guided detection is post-processed as by Transformers 4.37.2") {
  const auto results = post_process_image_guided_detection(
      spread_logits(2, 12, 3).slice(2, 0, 1),
      spread_boxes(2, 12),
      GuidedOptions().nms_threshold(0.1).target_sizes(kSizes).box_scaling(BoxScaling::Wh));
  REQUIRE(results.size() == 2);
  check_close(results[0].scores,
              {0.02793061174452305,
               0.4721032977104187,
               0.7416167259216309,
               0.9162759184837341,
               0.9999988079071045},
              1e-6);
  check_close(results[0].boxes.sum(0),
              {160.18809509277344, 105.64515686035156, 432.91534423828125, 255.64515686035156},
              1e-3);
  check_close(results[1].scores,
              {0.1816456913948059,
               0.4457305371761322,
               0.722297191619873,
               0.9086163640022278,
               0.9999988675117493},
              1e-6);
  check_close(results[1].boxes.slice(0, 0, 1),
              {3.253918170928955, 23.389577865600586, 17.43573760986328, 50.158809661865234},
              1e-3);
  CHECK_FALSE(results[0].labels.defined());
}

TEST_CASE("image-guided scores are stretched between a tenth of the best and the best") {
  const auto boxes = boxes_of({{0, 0, .1, .1}, {.2, 0, .3, .1}, {.4, 0, .5, .1}, {.6, 0, .7, .1}});
  const auto logits = logits_of({0.8, 0.44, 0.079, 0.3});
  const auto scores = [&](const GuidedOptions& options) {
    return post_process_image_guided_detection(logits, boxes, options)[0].scores;
  };
  // (s - 0.1 m) / (0.9 m); below 0.08 nothing is left.
  check_close(scores({}), {1.0, 0.5, 0.22 / 0.72}, 1e-5);
  // The threshold is for the scores before that; it does not move the tenth.
  check_close(scores(GuidedOptions().threshold(0.4)), {1.0, 0.5}, 1e-5);
  check_close(scores(GuidedOptions().threshold(0.9)), {}, 1e-5);
}

TEST_CASE("image-guided detection leaves out overlapping boxes unless it is switched off") {
  // IoU of the second with the first 0.6, of the third with the second 5/11.
  const auto boxes = boxes_of({{0, 0, .4, .4}, {.1, 0, .5, .4}, {.25, 0, .65, .4}, {0, 0, .4, .4}});
  const auto logits = logits_of({0.7, 0.8, 0.75, 0.2});
  const auto count = [&](double nms) {
    return post_process_image_guided_detection(logits, boxes, GuidedOptions().nms_threshold(nms))[0]
        .scores.size(0);
  };
  CHECK(count(0.55) == 2);  // the best removes the first and the last
  CHECK(count(0.3) == 1);
  CHECK(count(1.0) == 4);
  // Equal boxes: the one of higher score stays, and of equal scores the first.
  const auto same = boxes_of({{0, 0, .4, .4}, {0, 0, .4, .4}, {.5, .5, .9, .9}});
  const auto kept = post_process_image_guided_detection(
      logits_of({0.5, 0.5, 0.9}), same, GuidedOptions().target_sizes(TargetSizes{{10, 10}}))[0];
  check_close(kept.boxes, {0, 0, 4, 4, 5, 5, 9, 9}, 1e-5);
  // Boxes without area have no overlap (0 / 0) and stay.
  const auto empty = boxes_of({{.5, .5, .5, .5}, {.5, .5, .5, .5}});
  CHECK(post_process_image_guided_detection(logits_of({0.5, 0.6}), empty)[0].scores.size(0) == 2);
}

TEST_CASE("images whose scores are all exactly 0 are left out of image-guided results") {
  auto logits = spread_logits(3, 4, 1);
  logits[1].fill_(-200.0);  // sigmoid underflows
  const auto results = post_process_image_guided_detection(logits, spread_boxes(3, 4));
  REQUIRE(results.size() == 2);
  CHECK(results[0].image == 0);
  CHECK(results[1].image == 2);
}

TEST_CASE("image-guided boxes scale like the others, and the last dimension is reduced") {
  const auto logits = torch::tensor({-3.0f, 2.0f}).reshape({1, 1, 2});
  const auto boxes = torch::tensor({0.5, 0.5, 0.2, 0.2}).reshape({1, 1, 4});
  const auto sizes = GuidedOptions().target_sizes(TargetSizes{{100, 200}});
  check_close(
      post_process_image_guided_detection(logits, boxes, sizes)[0].boxes, {80, 80, 120, 120}, 1e-4);
  check_close(post_process_image_guided_detection(
                  logits, boxes, GuidedOptions(sizes).box_scaling(BoxScaling::Wh))[0]
                  .boxes,
              {80, 40, 120, 60},
              1e-4);
  check_close(post_process_image_guided_detection(logits, boxes)[0].boxes, {.4, .4, .6, .6}, 1e-6);
}

TEST_CASE("class_wise_nms removes overlaps within a class alone") {
  Detections detections;
  detections.image = 3;
  detections.scores = torch::tensor({0.5f, 0.9f, 0.8f, 0.7f});
  detections.labels = torch::tensor({0, 0, 1, 0}, torch::kInt64);
  detections.boxes = torch::tensor({{0.f, 0.f, 10.f, 10.f},
                                    {1.f, 0.f, 11.f, 10.f},
                                    {0.f, 0.f, 10.f, 10.f},
                                    {50.f, 0.f, 60.f, 10.f}});
  detections.text_labels = {"a", "a", "b", "a"};
  const auto kept = class_wise_nms(detections, 0.5);
  CHECK(values(kept.labels) == Values{0, 1, 0});
  check_close(kept.scores, {0.9, 0.8, 0.7}, 1e-6);
  CHECK(kept.text_labels == std::vector<std::string>{"a", "b", "a"});
  CHECK(kept.image == 3);
  CHECK(class_wise_nms(detections, 1.0).scores.size(0) == 4);
  CHECK(class_wise_nms(detections, 0.9).scores.size(0) == 4);  // IoU 9 / 11
  detections.labels = torch::Tensor();
  CHECK(class_wise_nms(detections, 0.5).scores.size(0) == 2);
  Detections none;
  none.scores = torch::empty({0});
  none.boxes = torch::empty({0, 4});
  CHECK(class_wise_nms(none, 0.5).scores.size(0) == 0);
}

TEST_CASE("class_wise_nms keeps what greedy selection one by one keeps") {
  torch::manual_seed(7);
  Detections detections;
  const int64_t count = 200;
  detections.scores = torch::rand({count});
  detections.labels = torch::randint(3, {count}, torch::kInt64);
  const auto corner = torch::rand({count, 2}) * 50;
  detections.boxes = torch::cat({corner, corner + 5 + torch::rand({count, 2}) * 20}, 1);
  const auto iou = nn::box_iou(detections.boxes, detections.boxes);
  const auto order = detections.scores.argsort(0, /*descending=*/true);
  std::vector<int64_t> kept;
  for (int64_t k = 0; k < count; ++k) {
    const auto i = order[k].item<int64_t>();
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](int64_t j) {
      return detections.labels[j].item<int64_t>() == detections.labels[i].item<int64_t>() &&
             iou[i][j].item<float>() > 0.3f;
    });
    if (!covered) kept.push_back(i);
  }
  std::sort(kept.begin(), kept.end());
  const auto expected = detections.scores.index_select(0, torch::tensor(kept, torch::kInt64));
  CHECK(class_wise_nms(detections, 0.3).scores.equal(expected));
}

TEST_CASE("what cannot be post-processed has one clear line") {
  const auto logits = spread_logits(2, 4, 3);
  const auto boxes = spread_boxes(2, 4);
  const auto call = [&](const Options& options) {
    return error_message<Error>([&] { post_process_object_detection(logits, boxes, options); });
  };
  CHECK(call(Options().target_sizes(TargetSizes{{10, 10}})) ==
        "[task] target_sizes: expected one for each of the 2 images, got 1.");
  CHECK(call(Options().threshold(1.5)) ==
        "[task] threshold: expected a number from 0 to 1, got 1.5.");
  CHECK(call(Options().threshold(-0.1)) ==
        "[task] threshold: expected a number from 0 to 1, got -0.1.");
  CHECK(call(Options().threshold(std::nan(""))) ==
        "[task] threshold: expected a number from 0 to 1, got nan.");
  const auto guided = [&](const GuidedOptions& options) {
    return error_message<Error>(
        [&] { post_process_image_guided_detection(logits, boxes, options); });
  };
  CHECK(guided(GuidedOptions().nms_threshold(2)) ==
        "[task] nms_threshold: expected a number from 0 to 1, got 2.");
  CHECK(guided(GuidedOptions().target_sizes(TargetSizes{})) ==
        "[task] target_sizes: expected one for each of the 2 images, got 0.");
  CHECK(error_message<ShapeError>([&] { post_process_object_detection(logits[0], boxes); }) ==
        "[task] logits: expected [B, P, Q], floating, got Float [4, 3].");
  CHECK(error_message<ShapeError>([&] { post_process_object_detection({}, boxes); }) ==
        "[task] logits: expected [B, P, Q], floating, got an undefined tensor.");
  CHECK(error_message<ShapeError>([&] { post_process_object_detection(logits, boxes[0]); }) ==
        "[task] boxes: expected [2, 4, 4], as many as logits, got Float [4, 4].");
  CHECK(error_message<ShapeError>([&] {
          post_process_object_detection(torch::empty({2, 4, 0}), boxes);
        }) == "[task] logits: expected [B, P, Q], floating, got Float [2, 4, 0].");
}

TEST_CASE("NaN among the outputs does no harm") {
  auto logits = spread_logits(1, 6, 1);
  auto boxes = spread_boxes(1, 6);
  logits[0][1][0] = std::numeric_limits<float>::quiet_NaN();
  boxes[0][2][0] = std::numeric_limits<float>::quiet_NaN();
  const auto result = post_process_object_detection(logits, boxes, Options().threshold(0))[0];
  CHECK(result.scores.size(0) == 5);
  CHECK(post_process_image_guided_detection(logits, boxes).size() == 1);
}

}  // namespace
}  // namespace vizoo
