#include "vizoo/training/detection_loss.h"

#include <torch/optim/adam.h>

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/support/small_owlv2.h"
#include "test/unit/training/detection_loss_reference.h"
#include "vizoo/nn/model_output.h"

using vizoo::ClassLoss;
using vizoo::detection_loss;
using vizoo::DetectionLossOptions;
using vizoo::DetectionTarget;
using vizoo::LossNormalization;
using vizoo::test::Batch;
using vizoo::test::expected_terms;
using vizoo::test::Image;
using vizoo::test::make_batch;
using vizoo::test::OneThread;
using vizoo::test::random_boxes;
using vizoo::test::target;

namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<DetectionLossOptions> recipes() {
  const auto mask = torch::tensor({1, 1, 1, 1, 0, 1, 0, 1, 0}).view({3, 3}).to(torch::kBool);
  return {
      DetectionLossOptions(),
      DetectionLossOptions().class_loss(ClassLoss::sigmoid_cross_entropy),
      DetectionLossOptions().class_weight(1).bbox_weight(5).giou_weight(2).query_mask(mask),
      DetectionLossOptions().normalization(LossNormalization::image).focal_alpha(0.25),
      DetectionLossOptions().focal_gamma(0.5).class_weight(0.3),
      DetectionLossOptions().focal_gamma(0).giou_weight(0),
  };
}

double scalar_value(const torch::Tensor& scalar) {
  REQUIRE(scalar.dim() == 0);
  return scalar.item<double>();
}

}  // namespace

TEST_CASE("the loss is that of its definition", "[training]") {
  const OneThread one_thread;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto batch = make_batch(seed);
    for (const auto& options : recipes()) {
      const auto output = detection_loss(batch.logits, batch.pred_boxes, batch.targets, options);
      const auto expected = expected_terms(batch, options);
      CHECK(scalar_value(output.loss_ce) == Approx(expected.ce).epsilon(1e-12));
      CHECK(scalar_value(output.loss_bbox) == Approx(expected.bbox).epsilon(1e-12));
      CHECK(scalar_value(output.loss_giou) == Approx(expected.giou).epsilon(1e-12));
      CHECK(scalar_value(output.loss) ==
            Approx(options.class_weight() * expected.ce + options.bbox_weight() * expected.bbox +
                   options.giou_weight() * expected.giou)
                .epsilon(1e-12));
      REQUIRE(output.patches.size() == 3);
      for (int64_t index = 0; index < 3; ++index) {
        const auto patches = Image(batch, index, options).best_patches();
        CHECK(torch::equal(output.patches[index], torch::tensor(patches, torch::kInt64)));
      }
    }
  }
}

TEST_CASE("the gradient is that of finite differences", "[training]") {
  const OneThread one_thread;
  constexpr double kStep = 1e-6;
  const auto batch = make_batch(3);
  int64_t number_of_recipe = 0;
  for (const auto& options : recipes()) {
    // Every third value; all of them have had their turn after three recipes.
    const int64_t first = number_of_recipe++ % 3;
    auto logits = batch.logits.clone().requires_grad_();
    auto boxes = batch.pred_boxes.clone().requires_grad_();
    detection_loss(logits, boxes, batch.targets, options).loss.backward();
    for (const auto& input : {logits, boxes}) {
      REQUIRE(input.grad().sizes() == input.sizes());
      CHECK(input.grad().abs().max().item<double>() > 1e-3);
      const torch::NoGradGuard no_grad;
      for (int64_t k = first; k < input.numel(); k += 3) {
        auto value = input.view(-1)[k];
        const double middle = value.item<double>();
        const auto loss_at = [&](double moved) {
          value.fill_(moved);
          return scalar_value(detection_loss(logits, boxes, batch.targets, options).loss);
        };
        const double slope = (loss_at(middle + kStep) - loss_at(middle - kStep)) / (2 * kStep);
        value.fill_(middle);
        CHECK(input.grad().view(-1)[k].item<double>() == Approx(slope).margin(1e-8));
      }
    }
  }
}

TEST_CASE("training on the loss finds boxes and labels", "[training]") {
  const OneThread one_thread;
  torch::manual_seed(0);
  auto logits = torch::randn({2, 12, 4}).requires_grad_();
  auto raw_boxes = torch::randn({2, 12, 4}).requires_grad_();
  std::vector<DetectionTarget> targets{target(3, {0, 3, 1}), target(2, {2, 2})};
  torch::optim::Adam optimizer({logits, raw_boxes}, torch::optim::AdamOptions(0.1));
  vizoo::DetectionLossOutput output;
  double first = 0;
  for (int step = 0; step < 200; ++step) {
    for (auto& group : optimizer.param_groups()) {
      static_cast<torch::optim::AdamOptions&>(group.options()).lr(step < 120 ? 0.1 : 0.01);
    }
    output = detection_loss(logits, raw_boxes.sigmoid(), targets);
    if (step == 0) first = scalar_value(output.loss);
    optimizer.zero_grad();
    output.loss.backward();
    optimizer.step();
  }
  CHECK(scalar_value(output.loss) < first / 50);
  const auto probabilities = logits.sigmoid();
  for (int64_t image = 0; image < 2; ++image) {
    const auto& expected = targets[image];
    const auto patches = output.patches[image];
    const auto found = probabilities[image].index_select(0, patches);
    CHECK(torch::equal(found.argmax(1), expected.labels));
    CHECK(found.amax().item<double>() > 0.8);
    const auto boxes = raw_boxes[image].sigmoid().index_select(0, patches);
    CHECK((boxes - expected.boxes).abs().max().item<double>() < 0.02);
    // Nothing else is there.
    auto others = probabilities[image].detach().clone();
    others.index_put_({patches, expected.labels}, torch::tensor(0.0F));
    CHECK(others.max().item<double>() < 0.2);
  }
}

TEST_CASE("the loss trains Owlv2ForObjectDetection", "[training]") {
  const OneThread one_thread;
  auto model = vizoo::test::random_owlv2<vizoo::Owlv2ForObjectDetection>(
      vizoo::test::small_owlv2_config(), 5);
  const auto pixels = vizoo::test::small_owlv2_pixels(2);
  auto texts = vizoo::test::small_owlv2_texts().repeat({2, 1});
  texts[5].zero_();  // the second image has two queries, the third is padding
  const std::vector<DetectionTarget> targets{target(2, {0, 2}), target(1, {1})};
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(5e-3));
  std::vector<double> losses;
  for (int step = 0; step < 200; ++step) {
    const auto output = model->forward(texts, pixels);
    const auto loss = detection_loss(output.logits, output.pred_boxes, targets).loss;
    losses.push_back(scalar_value(loss));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
  CHECK(losses.back() < losses.front() / 10);
  for (const auto& named : model->named_parameters()) {
    CAPTURE(named.key());
    // No box or label depends on these.
    const bool unused = named.key().rfind("objectness_head.", 0) == 0 ||
                        named.key() == "owlv2.logit_scale" ||
                        named.key() == "owlv2.visual_projection.weight";
    const auto& gradient = named.value().grad();
    const bool reached = gradient.defined() && gradient.count_nonzero().item<int64_t>() > 0;
    CHECK(reached != unused);
    if (reached) CHECK(gradient.isfinite().all().item<bool>());
  }
}

TEST_CASE("images without boxes learn that nothing is there", "[training]") {
  auto logits = torch::randn({2, 6, 3}).requires_grad_();
  auto boxes = torch::rand({2, 6, 4}).requires_grad_();
  const std::vector<DetectionTarget> none{target(0, {}), target(0, {})};
  for (const auto normalization : {LossNormalization::batch, LossNormalization::image}) {
    const auto output =
        detection_loss(logits, boxes, none, DetectionLossOptions().normalization(normalization));
    CHECK(scalar_value(output.loss_bbox) == 0.0);
    CHECK(scalar_value(output.loss_giou) == 0.0);
    CHECK(scalar_value(output.loss) == scalar_value(output.loss_ce));
    CHECK(output.patches[0].sizes() == at::IntArrayRef({0}));
    output.loss.backward();
    CHECK(logits.grad().gt(0).all().item<bool>());
    CHECK(boxes.grad().count_nonzero().item<int64_t>() == 0);
  }
  // Neither images nor queries.
  CHECK(scalar_value(detection_loss(torch::zeros({0, 6, 3}), torch::zeros({0, 6, 4}), {}).loss) ==
        0.0);
  CHECK(scalar_value(detection_loss(torch::zeros({2, 6, 0}), boxes, none).loss) == 0.0);
  CHECK(scalar_value(detection_loss(torch::zeros({2, 0, 3}), torch::zeros({2, 0, 4}), none).loss) ==
        0.0);
}

TEST_CASE("masked queries have neither loss nor gradient", "[training]") {
  const auto batch = make_batch(5);
  const auto mask = torch::tensor({true, false, true}).expand({3, 3});
  auto targets = batch.targets;
  targets[2].labels = torch::tensor({2});
  auto logits = batch.logits.clone();
  // What Owlv2ForObjectDetection puts there, and worse.
  logits.select(2, 1).fill_(-1e6);
  logits[0][0][1] = -std::numeric_limits<double>::infinity();
  logits[0][1][1] = kNan;
  logits.requires_grad_();
  const auto output =
      detection_loss(logits, batch.pred_boxes, targets, DetectionLossOptions().query_mask(mask));
  output.loss.backward();
  CHECK(logits.grad().select(2, 1).count_nonzero().item<int64_t>() == 0);

  auto without = targets;
  for (auto& target : without) target.labels = target.labels.div(2, "floor");
  const auto two = batch.logits.index_select(2, torch::tensor({0, 2})).requires_grad_();
  const auto expected = detection_loss(two, batch.pred_boxes, without);
  expected.loss.backward();
  CHECK(scalar_value(output.loss) == Approx(scalar_value(expected.loss)).epsilon(1e-14));
  CHECK(torch::allclose(logits.grad().index_select(2, torch::tensor({0, 2})), two.grad()));

  // -1e6 of the model's own mask costs nothing either where no mask is given.
  auto padded = batch.logits.clone();
  padded.select(2, 1).fill_(-1e6);
  padded.requires_grad_();
  const auto unmasked = detection_loss(padded, batch.pred_boxes, targets);
  CHECK(scalar_value(unmasked.loss) == Approx(scalar_value(expected.loss)).epsilon(1e-14));
  unmasked.loss.backward();
  CHECK(padded.grad().isfinite().all().item<bool>());
}

TEST_CASE("any floating dtype will do, and targets of another", "[training]") {
  const auto batch = make_batch(7);
  const auto expected =
      scalar_value(detection_loss(batch.logits, batch.pred_boxes, batch.targets).loss);
  const auto loss_in = [&](torch::ScalarType logits, torch::ScalarType boxes) {
    return detection_loss(batch.logits.to(logits), batch.pred_boxes.to(boxes), batch.targets).loss;
  };
  CHECK(loss_in(torch::kFloat32, torch::kFloat32).scalar_type() == torch::kFloat32);
  CHECK(scalar_value(loss_in(torch::kFloat32, torch::kFloat32)) == Approx(expected).epsilon(1e-6));
  CHECK(loss_in(torch::kHalf, torch::kBFloat16).scalar_type() == torch::kFloat32);
  CHECK(scalar_value(loss_in(torch::kFloat32, torch::kHalf)) == Approx(expected).epsilon(0.01));
  CHECK(loss_in(torch::kFloat32, torch::kFloat64).scalar_type() == torch::kFloat64);

  auto targets = batch.targets;
  for (auto& target : targets) {
    target.boxes = target.boxes.to(torch::kFloat32);
    target.labels = target.labels.to(torch::kInt32);
  }
  CHECK(scalar_value(detection_loss(batch.logits, batch.pred_boxes, targets).loss) ==
        Approx(expected).epsilon(1e-6));
}

TEST_CASE("the same arguments give the same bits", "[training]") {
  torch::manual_seed(11);
  const auto logits = torch::randn({4, 500, 8});
  const auto boxes = random_boxes({4, 500, 2}).to(torch::kFloat32);
  std::vector<DetectionTarget> targets;
  for (int image = 0; image < 4; ++image) targets.push_back(target(5, {0, 1, 2, 3, 4}));
  std::vector<torch::Tensor> runs;
  for (int run = 0; run < 3; ++run) {
    auto input = logits.clone().requires_grad_();
    auto predicted = boxes.clone().requires_grad_();
    const auto output = detection_loss(input, predicted, targets);
    output.loss.backward();
    runs.push_back(torch::cat(
        {output.loss.detach().view(1), input.grad().flatten(), predicted.grad().flatten()}));
  }
  CHECK(torch::equal(runs[0], runs[1]));
  CHECK(torch::equal(runs[0], runs[2]));
}

TEST_CASE("predictions that are no numbers are seen in the loss", "[training]") {
  const auto batch = make_batch(9);
  const auto nan_logits = torch::full_like(batch.logits, kNan);
  const auto lost = detection_loss(nan_logits, batch.pred_boxes, batch.targets);
  CHECK(std::isnan(scalar_value(lost.loss)));
  CHECK(lost.patches[0].size(0) == 3);
  CHECK(std::isnan(scalar_value(
      detection_loss(batch.logits, torch::full_like(batch.pred_boxes, kNan), batch.targets).loss)));
  // A patch without a box gets none as long as there are others.
  auto boxes = batch.pred_boxes.clone();
  const auto before = detection_loss(batch.logits, boxes, batch.targets).patches[0];
  boxes[0][before[0]].fill_(kNan);
  const auto after = detection_loss(batch.logits, boxes, batch.targets);
  CHECK(after.patches[0].ne(before[0]).all().item<bool>());
  CHECK(std::isfinite(scalar_value(after.loss)));
}

TEST_CASE("terms go by the names of DETR's", "[training]") {
  const auto batch = make_batch(1);
  const auto named =
      vizoo::named_tensors(detection_loss(batch.logits, batch.pred_boxes, batch.targets));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named) names.push_back(name);
  CHECK(names ==
        std::vector<std::string>{
            "loss", "loss_ce", "loss_bbox", "loss_giou", "patches.0", "patches.1", "patches.2"});
}
