#include "vizoo/nn/loss.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using vizoo::image_classification_loss;
using vizoo::PretrainedConfig;
using vizoo::ProblemType;

namespace {

PretrainedConfig with_labels(int64_t count) {
  PretrainedConfig config;
  config.set_num_labels(count);
  return config;
}

}  // namespace

TEST_CASE("the kind of loss is inferred once and stays", "[nn]") {
  const auto logits = torch::tensor({{1.0F, 2.0F, 3.0F}, {0.5F, -1.0F, 0.0F}});
  auto config = with_labels(3);
  const auto single = image_classification_loss(config, logits, torch::tensor({2, 0}));
  CHECK(config.problem_type == ProblemType::single_label_classification);
  const auto expected = -logits.log_softmax(1);
  CHECK(single.item<double>() ==
        Approx((expected[0][2] + expected[1][0]).item<double>() / 2).epsilon(1e-6));
  // Floating labels would mean multi label, had the type not been fixed before.
  CHECK_THROWS_WITH(image_classification_loss(config, logits, torch::zeros({2, 3})),
                    "[loss] labels: expected class indices, int64 [2], got Float [2, 3].");

  auto multi = with_labels(3);
  image_classification_loss(multi, logits, torch::ones({2, 3}));
  CHECK(multi.problem_type == ProblemType::multi_label_classification);
  auto one = with_labels(1);
  const auto squared =
      image_classification_loss(one, torch::tensor({{1.0F}, {3.0F}}), torch::tensor({0.0F, 1.0F}));
  CHECK(one.problem_type == ProblemType::regression);
  CHECK(squared.item<double>() == Approx(2.5));
}

TEST_CASE("labels -100 are ignored, others must be classes", "[nn]") {
  const auto logits = torch::tensor({{1.0F, 2.0F}, {5.0F, -1.0F}});
  auto config = with_labels(2);
  const auto loss = image_classification_loss(config, logits, torch::tensor({-100, 1}));
  CHECK(loss.item<double>() == Approx(-logits.log_softmax(1)[1][1].item<double>()).epsilon(1e-6));
  CHECK_THROWS_WITH(image_classification_loss(config, logits, torch::tensor({0, 2})),
                    "[loss] labels: expected class indices from 0 to 1 or -100, got Long [2].");
}

TEST_CASE("labels of the wrong shape are named", "[nn]") {
  const auto logits = torch::zeros({2, 3});
  auto config = with_labels(3);
  config.problem_type = ProblemType::regression;
  CHECK_THROWS_WITH(image_classification_loss(config, logits, torch::zeros({2, 2})),
                    "[loss] labels: expected values of shape [2, 3], got Float [2, 2].");
  config.problem_type = ProblemType::multi_label_classification;
  CHECK_THROWS_WITH(
      image_classification_loss(config, logits, torch::zeros({2, 3}, torch::kInt64)),
      "[loss] labels: expected floating-point values of shape [2, 3], got Long [2, 3].");
  auto one = with_labels(1);
  CHECK_THROWS_WITH(image_classification_loss(one, torch::zeros({2, 1}), torch::zeros({3})),
                    "[loss] labels: expected one value for each image, [2], got Float [3].");
}
