#include "vizoo/training/loss.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/unit/training/detection_loss_reference.h"
#include "vizoo/core/error.h"

using vizoo::Distillation;
using vizoo::DistillationOptions;
using vizoo::softmax_cross_entropy;
using vizoo::WeightedLoss;
using vizoo::test::make_batch;

namespace {

using vizoo::test::error_message;

double value(const WeightedLoss& loss) {
  REQUIRE(loss.sum.dim() == 0);
  return loss.sum.item<double>();
}

// log softmax(logits)[row][column], added up term by term.
double log_softmax(const torch::Tensor& logits, int64_t row, int64_t column) {
  double sum = 0;
  for (int64_t c = 0; c < logits.size(1); ++c) sum += std::exp(logits[row][c].item<double>());
  return logits[row][column].item<double>() - std::log(sum);
}

double cross_entropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  double sum = 0;
  for (int64_t b = 0; b < logits.size(0); ++b) {
    for (int64_t c = 0; c < logits.size(1); ++c) {
      sum -= targets[b][c].item<double>() * log_softmax(logits, b, c);
    }
  }
  return sum;
}

torch::Tensor random_logits(std::vector<int64_t> shape, int64_t seed) {
  torch::manual_seed(seed);
  return torch::randn(shape, torch::kFloat64);
}

}  // namespace

TEST_CASE("cross entropy of indices, with and without smoothing", "[training]") {
  const auto logits = random_logits({4, 5}, 1);
  const auto labels = torch::tensor({3, 0, -100, 4}, torch::kInt64);
  auto hard = torch::zeros({4, 5}, torch::kFloat64);
  for (const int64_t b : {0, 1, 3}) hard[b][labels[b].item<int64_t>()] = 1;
  const auto plain = softmax_cross_entropy(logits, labels);
  CHECK(value(plain) == Approx(cross_entropy(logits, hard)).epsilon(1e-12));
  CHECK(plain.weight == 3);

  auto smooth = hard * 0.9 + 0.1 / 5;
  smooth[2] = 0;
  const auto smoothed = softmax_cross_entropy(logits, labels.to(torch::kInt32), 0.1);
  CHECK(value(smoothed) == Approx(cross_entropy(logits, smooth)).epsilon(1e-12));
  CHECK(smoothed.weight == 3);
}

TEST_CASE("cross entropy of distributions", "[training]") {
  const auto logits = random_logits({3, 4}, 2);
  const auto targets = torch::rand({3, 4}, torch::kFloat64).softmax(1);
  const auto loss = softmax_cross_entropy(logits, targets);
  CHECK(value(loss) == Approx(cross_entropy(logits, targets)).epsilon(1e-12));
  CHECK(loss.weight == 3);
  CHECK(value(softmax_cross_entropy(logits, targets, 0.2)) ==
        Approx(cross_entropy(logits, targets * 0.8 + 0.05)).epsilon(1e-12));
}

TEST_CASE("binary cross entropy is a sum over samples of means over classes", "[training]") {
  const auto logits = random_logits({3, 4}, 3);
  const auto expected = [&](const torch::Tensor& targets) {
    const auto p = logits.sigmoid();
    return -(targets * p.log() + (1 - targets) * (1 - p).log()).mean(1).sum().item<double>();
  };
  const auto targets = torch::rand({3, 4}, torch::kFloat64);
  const auto soft = vizoo::sigmoid_cross_entropy(logits, targets);
  CHECK(value(soft) == Approx(expected(targets)).epsilon(1e-12));
  CHECK(soft.weight == 3);
  const auto labels = torch::tensor({1, 3, 0}, torch::kInt64);
  const auto one_hot = torch::one_hot(labels, 4).to(torch::kFloat64);
  CHECK(value(vizoo::sigmoid_cross_entropy(logits, labels)) ==
        Approx(expected(one_hot)).epsilon(1e-12));
  CHECK(value(vizoo::sigmoid_cross_entropy(logits, labels, 0.1)) ==
        Approx(expected(one_hot * 0.9 + 0.025)).epsilon(1e-12));
}

TEST_CASE("distillation by DeiT's equations 2 and 3", "[training]") {
  const auto student = random_logits({3, 4}, 4).requires_grad_();
  const auto teacher = random_logits({3, 4}, 5).requires_grad_();
  const auto labels = torch::tensor({1, 3, 0}, torch::kInt64);
  const auto base = softmax_cross_entropy(student, labels);

  const auto decisions = torch::one_hot(teacher.argmax(1), 4).to(torch::kFloat64);
  const auto hard = vizoo::distillation_loss(base, student, teacher);
  CHECK(value(hard) ==
        Approx(0.5 * value(base) + 0.5 * cross_entropy(student, decisions)).epsilon(1e-12));
  CHECK(hard.weight == 3);

  const double tau = 2.5;
  double divergence = 0;
  for (int64_t b = 0; b < 3; ++b) {
    for (int64_t c = 0; c < 4; ++c) {
      const double t = log_softmax(teacher / tau, b, c);
      divergence += std::exp(t) * (t - log_softmax(student / tau, b, c));
    }
  }
  const auto soft = vizoo::distillation_loss(
      base,
      student,
      teacher,
      DistillationOptions().type(Distillation::soft).weight(0.1).temperature(tau));
  CHECK(value(soft) == Approx(0.9 * value(base) + 0.1 * tau * tau * divergence).epsilon(1e-12));

  soft.sum.backward();
  CHECK(student.grad().defined());
  CHECK_FALSE(teacher.grad().defined());
}

TEST_CASE("end-point error in both layouts, where the target counts", "[training]") {
  const auto flow = random_logits({2, 2, 3, 4}, 6);
  auto target = random_logits({2, 2, 3, 4}, 7);
  auto valid = torch::rand({2, 3, 4}) < 0.6;
  double all = 0;
  double some = 0;
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t y = 0; y < 3; ++y) {
      for (int64_t x = 0; x < 4; ++x) {
        const double u = (flow[b][0][y][x] - target[b][0][y][x]).item<double>();
        const double v = (flow[b][1][y][x] - target[b][1][y][x]).item<double>();
        all += std::hypot(u, v);
        if (valid[b][y][x].item<bool>()) some += std::hypot(u, v);
      }
    }
  }
  const auto last = [](const torch::Tensor& map) { return map.permute({0, 2, 3, 1}).contiguous(); };
  for (const auto& one : {flow, last(flow)}) {
    for (const auto& other : {target, last(target)}) {
      const auto loss = vizoo::end_point_error(one, other);
      CHECK(value(loss) == Approx(all).epsilon(1e-12));
      CHECK(loss.weight == 24);
    }
  }
  // KITTI stores no flow where nothing was measured.
  target.masked_fill_(valid.logical_not().unsqueeze(1), std::numeric_limits<double>::quiet_NaN());
  const auto leaf = flow.clone().requires_grad_();
  const auto loss = vizoo::end_point_error(leaf, target, valid);
  CHECK(value(loss) == Approx(some).epsilon(1e-12));
  CHECK(loss.weight == static_cast<double>(valid.sum().item<int64_t>()));
  loss.sum.backward();
  CHECK(leaf.grad().isfinite().all().item<bool>());
  CHECK(leaf.grad().permute({0, 2, 3, 1}).index({valid.logical_not()}).eq(0).all().item<bool>());
}

TEST_CASE("a flow without an error has no gradient, and one without pixels no loss", "[training]") {
  const auto flow = torch::ones({1, 2, 3, 4}).requires_grad_();
  vizoo::end_point_error(flow, torch::ones({1, 2, 3, 4})).sum.backward();
  CHECK(flow.grad().eq(0).all().item<bool>());
  const auto none = torch::zeros({1, 3, 4}, torch::kBool);
  const auto loss = vizoo::end_point_error(flow, torch::zeros({1, 2, 3, 4}), none);
  CHECK(value(loss) == 0);
  CHECK(loss.weight == 0);
  loss.sum.backward();
  CHECK(flow.grad().eq(0).all().item<bool>());
}

TEST_CASE("masked tokens are those whose label is not -100", "[training]") {
  const auto logits = random_logits({2, 3, 5}, 8);
  const auto labels = torch::tensor({-100, 2, -100, 4, -100, 0}, torch::kInt64).view({2, 3});
  const auto loss = vizoo::masked_language_modeling_loss(logits, labels);
  const auto flat = logits.view({6, 5});
  CHECK(value(loss) ==
        Approx(-log_softmax(flat, 1, 2) - log_softmax(flat, 3, 4) - log_softmax(flat, 5, 0))
            .epsilon(1e-12));
  CHECK(loss.weight == 3);
  const auto leaf = logits.clone().requires_grad_();
  const auto nothing =
      vizoo::masked_language_modeling_loss(leaf, torch::full({2, 3}, -100, torch::kInt64));
  CHECK(value(nothing) == 0);
  CHECK(nothing.weight == 0);
  nothing.sum.backward();
  CHECK(leaf.grad().eq(0).all().item<bool>());
}

TEST_CASE("a batch in parts has the same sum, weight and gradient", "[training]") {
  auto logits = random_logits({5, 4}, 9).requires_grad_();
  const auto labels = torch::tensor({1, -100, 0, 3, 2}, torch::kInt64);
  const auto whole = softmax_cross_entropy(logits, labels, 0.1);
  whole.sum.backward();
  const auto gradient = logits.grad().clone();
  logits.mutable_grad().reset();
  double sum = 0;
  double weight = 0;
  for (const auto& [first, count] : {std::pair{0, 2}, {2, 1}, {3, 2}}) {
    const auto part =
        softmax_cross_entropy(logits.narrow(0, first, count), labels.narrow(0, first, count), 0.1);
    part.sum.backward();
    sum += value(part);
    weight += part.weight;
  }
  CHECK(sum == Approx(value(whole)).epsilon(1e-14));
  CHECK(weight == whole.weight);
  CHECK(torch::allclose(logits.grad(), gradient, 1e-14, 1e-15));
}

TEST_CASE("the detection loss as a sum, of a batch and of its parts", "[training]") {
  const auto batch = make_batch(2);
  const auto options = vizoo::DetectionLossOptions();
  const auto mean =
      vizoo::detection_loss(batch.logits, batch.pred_boxes, batch.targets, options).loss;
  const auto whole =
      vizoo::weighted_detection_loss(batch.logits, batch.pred_boxes, batch.targets, options);
  double boxes = 0;
  for (const auto& target : batch.targets) boxes += static_cast<double>(target.boxes.size(0));
  REQUIRE(boxes > 0);
  CHECK(whole.weight == boxes);
  CHECK(value(whole) / whole.weight == Approx(mean.item<double>()).epsilon(1e-12));

  double sum = 0;
  double weight = 0;
  for (int64_t image = 0; image < 3; ++image) {
    const auto part = vizoo::weighted_detection_loss(batch.logits.narrow(0, image, 1),
                                                     batch.pred_boxes.narrow(0, image, 1),
                                                     {batch.targets[image]},
                                                     options);
    sum += value(part);
    weight += part.weight;
  }
  CHECK(weight == whole.weight);
  CHECK(sum == Approx(value(whole)).epsilon(1e-12));

  const auto by_image =
      vizoo::DetectionLossOptions().normalization(vizoo::LossNormalization::image);
  const auto images =
      vizoo::weighted_detection_loss(batch.logits, batch.pred_boxes, batch.targets, by_image);
  CHECK(images.weight == 3);
  CHECK(value(images) / 3 ==
        Approx(vizoo::detection_loss(batch.logits, batch.pred_boxes, batch.targets, by_image)
                   .loss.item<double>())
            .epsilon(1e-12));
  const vizoo::DetectionTarget empty{torch::zeros({0, 4}), torch::zeros({0}, torch::kInt64)};
  CHECK(vizoo::weighted_detection_loss(
            batch.logits.narrow(0, 0, 1), batch.pred_boxes.narrow(0, 0, 1), {empty}, options)
            .weight == 0);
}

TEST_CASE("half types are added up in float32", "[training]") {
  const auto logits = random_logits({600, 10}, 10).to(torch::kBFloat16);
  const auto labels = torch::zeros({600}, torch::kInt64);
  const auto loss = softmax_cross_entropy(logits, labels);
  CHECK(loss.sum.scalar_type() == torch::kFloat32);
  CHECK(value(loss) ==
        Approx(value(softmax_cross_entropy(logits.to(torch::kFloat64), labels))).epsilon(1e-5));
  CHECK(vizoo::sigmoid_cross_entropy(logits, labels).sum.scalar_type() == torch::kFloat32);
  CHECK(vizoo::end_point_error(torch::ones({1, 2, 3, 3}, torch::kHalf), torch::ones({1, 2, 3, 3}))
            .sum.scalar_type() == torch::kFloat32);
}

TEST_CASE("losses refuse what does not fit", "[training]") {
  const auto logits = torch::zeros({2, 3});
  const auto labels = torch::tensor({0, 1}, torch::kInt64);
  CHECK(error_message([&] {
          softmax_cross_entropy(logits, torch::tensor({0, 3}, torch::kInt64));
        }) == "[loss] labels: expected class indices from 0 to 2 or -100, got 3.");
  CHECK(error_message([&] {
          softmax_cross_entropy(logits, torch::tensor({0, -1}, torch::kInt64));
        }) == "[loss] labels: expected class indices from 0 to 2 or -100, got -1.");
  CHECK(error_message([&] { softmax_cross_entropy(logits, torch::zeros({3}, torch::kInt64)); }) ==
        "[loss] labels: expected class indices, int64 [2], got Long [3].");
  CHECK(error_message([&] {
          softmax_cross_entropy(logits, torch::zeros({2, 2}));
        }) ==
        "[loss] labels: expected class indices, int64 [B], or floating-point values of the shape "
        "of the logits, got Float [2, 2].");
  CHECK(error_message([&] { softmax_cross_entropy(logits, labels, 1.5); }) ==
        "[loss] label_smoothing: expected 0 to 1, got 1.5.");
  CHECK(error_message([&] {
          softmax_cross_entropy(torch::zeros({2, 0}), labels);
        }) == "[loss] logits: expected floating-point values of shape [B, C], got Float [2, 0].");
  CHECK(error_message([&] { softmax_cross_entropy({}, labels); }) ==
        "[loss] logits: expected floating-point values of shape [B, C], got none.");
  CHECK(error_message([&] {
          vizoo::sigmoid_cross_entropy(logits, torch::tensor({0, -100}, torch::kInt64));
        }) == "[loss] labels: expected a class for each sample, got -100.");
  const auto base = softmax_cross_entropy(logits, labels);
  CHECK(error_message([&] {
          vizoo::distillation_loss(base, logits, torch::zeros({2, 4}));
        }) ==
        "[loss] teacher_logits: expected the shape of the student's, Float [2, 3], got Float [2, "
        "4].");
  CHECK(error_message([&] {
          vizoo::distillation_loss({base.sum, 1.0}, logits, logits);
        }) == "[loss] base: expected a weight of one for each sample, got 1.");
  CHECK(error_message([&] {
          vizoo::distillation_loss(base, logits, logits, DistillationOptions().temperature(0));
        }) == "[loss] temperature: expected a number above 0, got 0.");
  const auto flow = torch::zeros({1, 2, 3, 4});
  CHECK(error_message([&] {
          vizoo::end_point_error(torch::zeros({1, 2, 3, 2}), flow);
        }) ==
        "[loss] flow: expected floating-point values of shape [B, 2, H, W] or [B, H, W, 2], got "
        "Float [1, 2, 3, 2]. Both could be meant: a flow 2 pixels wide has no such loss.");
  CHECK(error_message([&] {
          vizoo::end_point_error(flow, torch::zeros({1, 2, 3, 5}));
        }) ==
        "[loss] target: expected the size of the flow, Float [1, 2, 3, 4], got Float [1, 2, 3, "
        "5].");
  CHECK(error_message([&] {
          vizoo::end_point_error(flow, flow, torch::ones({1, 3, 4}));
        }) == "[loss] valid: expected booleans of shape [B, H, W], got Float [1, 3, 4].");
  CHECK(error_message([&] { vizoo::masked_language_modeling_loss(logits, labels); }) ==
        "[loss] logits: expected floating-point values of shape [B, T, V], got Float [2, 3].");
}
