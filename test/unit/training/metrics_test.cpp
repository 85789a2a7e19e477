#include "vizoo/training/metrics.h"

#include <cmath>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "vizoo/core/error.h"

using vizoo::ClassificationAccuracy;
using vizoo::ConfusionMatrix;
using vizoo::EndPointError;
using vizoo::MaskedTokenAccuracy;
using vizoo::MeanLoss;
using vizoo::Metric;

namespace {

using vizoo::test::error_message;

double number(const Metric& metric, const std::string& name) {
  for (const auto& [key, value] : metric.values()) {
    if (key == name) return value;
  }
  FAIL("no value " << name);
  return 0;
}

// What a process knows after all have concatenated their rows, in either order.
template <class M, class... Arguments>
void check_merge(const M& whole, const std::vector<torch::Tensor>& rows, Arguments... arguments) {
  for (const auto& order : {rows, std::vector<torch::Tensor>(rows.rbegin(), rows.rend())}) {
    M merged(arguments...);
    merged.set_rows(torch::cat(order));
    const auto expected = whole.values();
    const auto values = merged.values();
    REQUIRE(values.size() == expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      CHECK(values[i].first == expected[i].first);
      CHECK(values[i].second == Approx(expected[i].second).epsilon(1e-14));
    }
  }
}

torch::Tensor labels_of(const std::vector<int64_t>& labels) { return torch::tensor(labels); }

}  // namespace

TEST_CASE("the mean of a loss", "[training]") {
  MeanLoss loss;
  CHECK(number(loss, "loss") == 0);
  loss.add(6.0, 4);
  loss.add(3.0, 2);
  loss.add(0.0, 0);
  CHECK(number(loss, "loss") == 1.5);
  MeanLoss other;
  other.add(11.0, 2);
  MeanLoss whole;
  whole.add(20.0, 8);
  check_merge(whole, {loss.rows(), other.rows(), MeanLoss().rows()});
  CHECK(error_message([&] { loss.add(1, -1); }) ==
        "[metric] weight: expected a number of at least 0, got -1.");
  CHECK(error_message([&] { loss.add(1, NAN); }) ==
        "[metric] weight: expected a number of at least 0, got nan.");
}

TEST_CASE("top-1 and top-5 by hand", "[training]") {
  const auto logits = torch::tensor({{0.F, 1.F, 2.F, 3.F, 4.F, 5.F, 6.F},
                                     {0.F, 1.F, 2.F, 3.F, 4.F, 5.F, 6.F},
                                     {0.F, 1.F, 2.F, 3.F, 4.F, 5.F, 6.F},
                                     {0.F, 1.F, 2.F, 3.F, 4.F, 5.F, 6.F}});
  ClassificationAccuracy accuracy;
  CHECK(number(accuracy, "top1") == 0);
  accuracy.add(logits, labels_of({6, 2, 1, -100}));
  CHECK(number(accuracy, "top1") == Approx(1.0 / 3));
  CHECK(number(accuracy, "top5") == Approx(2.0 / 3));
}

TEST_CASE("equal logits rank by class, and NaN is never right", "[training]") {
  const auto first = [](const std::vector<float>& logits, int64_t label) {
    ClassificationAccuracy accuracy;
    accuracy.add(torch::tensor(logits).unsqueeze(0), labels_of({label}));
    return number(accuracy, "top1") + 10 * number(accuracy, "top5");
  };
  CHECK(first({1, 1, 1, 1, 1, 1}, 0) == 11);
  CHECK(first({1, 1, 1, 1, 1, 1}, 4) == 10);
  CHECK(first({1, 1, 1, 1, 1, 1}, 5) == 0);
  CHECK(first({NAN, 1, 0}, 0) == 0);
  CHECK(first({NAN, 1, 0}, 1) == 10);
  CHECK(first({INFINITY, 1, 0}, 0) == 11);
}

TEST_CASE("accuracies are those of torch.topk, in parts as well", "[training]") {
  torch::manual_seed(1);
  const auto logits = torch::randn({200, 11});
  const auto labels = torch::randint(11, {200}, torch::kInt64);
  const auto hits = std::get<1>(logits.topk(5, 1)).eq(labels.unsqueeze(1));
  ClassificationAccuracy whole;
  whole.add(logits.to(torch::kFloat64), labels.to(torch::kInt32));
  CHECK(number(whole, "top1") ==
        Approx(hits.select(1, 0).sum().item<double>() / 200).epsilon(1e-14));
  CHECK(number(whole, "top5") == Approx(hits.sum().item<double>() / 200).epsilon(1e-14));
  std::vector<torch::Tensor> rows;
  for (const auto& [begin, count] : {std::pair{0, 70}, {70, 1}, {71, 129}}) {
    ClassificationAccuracy part;
    part.add(logits.narrow(0, begin, count), labels.narrow(0, begin, count));
    rows.push_back(part.rows());
  }
  check_merge(whole, rows);
}

TEST_CASE("a confusion matrix", "[training]") {
  ConfusionMatrix confusion(3);
  CHECK(number(confusion, "mean_class_accuracy") == 0);
  const auto predicted = [](const std::vector<int64_t>& classes) {
    return torch::one_hot(labels_of(classes), 3).to(torch::kFloat32);
  };
  confusion.add(predicted({0, 0, 1, 1}), labels_of({0, 0, 0, 1}));
  confusion.add(predicted({0, 1, 2}), labels_of({1, 1, -100}));
  CHECK(torch::equal(confusion.matrix(), labels_of({2, 1, 0, 1, 2, 0, 0, 0, 0}).view({3, 3})));
  CHECK(number(confusion, "mean_class_accuracy") == Approx(2.0 / 3));  // of two classes

  CHECK(confusion.rows().size(0) == 4);
  ConfusionMatrix other(3);
  other.add(predicted({2, 0}), labels_of({2, 1}));
  ConfusionMatrix whole(3);
  whole.set_rows(torch::cat({other.rows(), confusion.rows(), ConfusionMatrix(3).rows()}));
  CHECK(torch::equal(whole.matrix(), confusion.matrix() + other.matrix()));
  CHECK(number(whole, "mean_class_accuracy") == Approx((2.0 / 3 + 2.0 / 4 + 1.0) / 3));

  CHECK(error_message([&] {
          confusion.add(torch::zeros({1, 4}), labels_of({0}));
        }) == "[metric] logits: expected 3 classes, got 4.");
  CHECK(error_message([&] {
          confusion.add(torch::full({1, 3}, NAN), labels_of({0}));
        }) == "[metric] logits: expected numbers, got NaN.");
  CHECK(error_message([&] { ConfusionMatrix(0); }) ==
        "[metric] classes: expected 1 to 30000 classes, got 0.");
  CHECK(error_message([&] {
          confusion.set_rows(torch::tensor({{0., 3., 1.}}, torch::kFloat64));
        }) == "[metric] rows: expected labels, predictions and counts, got numbers out of range.");
}

TEST_CASE("end-point error and outliers", "[training]") {
  auto flow = torch::zeros({1, 2, 1, 4});
  auto target = torch::zeros({1, 2, 1, 4});
  flow[0][0][0][1] = 3;  // off by 5, an outlier
  flow[0][1][0][1] = 4;
  target[0][0][0][2] = 100;  // off by 4, which is less than 5 % of the length
  flow[0][0][0][2] = 104;
  target[0][0][0][3] = NAN;  // not measured
  const auto valid = torch::tensor({true, true, true, false}).view({1, 1, 4});
  EndPointError error;
  CHECK(number(error, "end_point_error") == 0);
  error.add(flow, target.permute({0, 2, 3, 1}), valid);
  CHECK(number(error, "end_point_error") == Approx(3.0));
  CHECK(number(error, "outliers") == Approx(1.0 / 3));
  EndPointError other;
  other.add(torch::ones({1, 2, 3, 3}), torch::ones({1, 2, 3, 3}));
  EndPointError whole;
  whole.set_rows(torch::cat({error.rows(), other.rows()}));
  CHECK(number(whole, "end_point_error") == Approx(9.0 / 12));
  CHECK(number(whole, "outliers") == Approx(1.0 / 12));
  CHECK(error_message([&] { error.add(flow, flow.narrow(3, 0, 3)); }) ==
        "[metric] target: expected the size of the flow, Float [1, 2, 1, 4], got Float [1, 2, 1, "
        "3].");
}

TEST_CASE("accuracy on masked tokens", "[training]") {
  auto logits = torch::zeros({2, 3, 4});
  logits[0][1][2] = 1;
  logits[1][0][3] = 1;
  MaskedTokenAccuracy accuracy;
  accuracy.add(logits, labels_of({-100, 2, -100, 1, 0, -100}).view({2, 3}));
  CHECK(number(accuracy, "masked_accuracy") == Approx(2.0 / 3));
  MaskedTokenAccuracy nothing;
  nothing.add(logits, torch::full({2, 3}, -100, torch::kInt64));
  CHECK(number(nothing, "masked_accuracy") == 0);
  check_merge(accuracy, {accuracy.rows(), nothing.rows()});
}

TEST_CASE("rows and labels that are none are refused", "[training]") {
  ClassificationAccuracy accuracy;
  CHECK(error_message([&] {
          accuracy.set_rows(torch::zeros({2, 2}, torch::kFloat64));
        }) == "[metric] rows: expected float64 values of shape [n, 3], got Double [2, 2].");
  CHECK(error_message([&] {
          accuracy.set_rows(torch::zeros({2, 3}));
        }) == "[metric] rows: expected float64 values of shape [n, 3], got Float [2, 3].");
  CHECK(error_message([&] {
          accuracy.add(torch::zeros({1, 3}), labels_of({3}));
        }) == "[metric] labels: expected class indices from 0 to 2 or -100, got 3.");
  CHECK(error_message([&] {
          accuracy.add(torch::zeros({1, 3}), torch::zeros({1}));
        }) == "[metric] labels: expected class indices, int64 [1], got Float [1].");
  accuracy.set_rows(torch::zeros({0, 3}, torch::kFloat64));
  CHECK(number(accuracy, "top5") == 0);
}
