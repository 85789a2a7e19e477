#include "vizoo/training/mixup.h"

#include <cmath>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

RandomStream mixup_stream(uint64_t step) { return RandomStream(1, 2, step, RandomPurpose::mixup); }

Batch random_batch(int64_t size, int64_t height = 8, int64_t width = 6) {
  torch::manual_seed(4);
  Batch batch;
  batch.arguments["pixel_values"] = torch::randn({size, 3, height, width});
  batch.labels = torch::arange(size) % 5;
  batch.size = size;
  return batch;
}

const torch::Tensor& images(const Batch& batch) { return batch.arguments.at("pixel_values"); }

TEST_CASE("soft labels share the smoothing among all classes") {
  const auto soft = soft_labels(torch::tensor({2, 0}, torch::kInt64), 4, 0.1);
  const auto expected = torch::tensor({{0.025, 0.025, 0.925, 0.025}, {0.925, 0.025, 0.025, 0.025}});
  CHECK(torch::allclose(soft, expected, 0.0, 1e-7));
  CHECK(soft.scalar_type() == torch::kFloat32);
  const auto hard = soft_labels(torch::tensor({1}, torch::kInt64), 3);
  CHECK(torch::equal(hard, torch::tensor({{0.0F, 1.0F, 0.0F}})));
}

TEST_CASE("soft labels refuse labels that are no class") {
  const auto refuse = [](const torch::Tensor& labels, int64_t classes, double smoothing = 0.0) {
    CHECK_THROWS_AS(soft_labels(labels, classes, smoothing), UsageError);
  };
  refuse(torch::tensor({3}, torch::kInt64), 3);
  refuse(torch::tensor({-1}, torch::kInt64), 3);
  refuse(torch::tensor({0}, torch::kInt64), 0);
  refuse(torch::tensor({0}, torch::kInt64), 3, 1.0);
  refuse(torch::tensor({0}, torch::kInt64), 3, -0.1);
  CHECK_THROWS_AS(soft_labels(torch::zeros({2}), 3), ShapeError);
  CHECK_THROWS_AS(soft_labels(torch::zeros({2, 1}, torch::kInt64), 3), ShapeError);
}

TEST_CASE("mixup is a convex mix of each image with its mirror in the batch, labels alike") {
  const Batch batch = random_batch(5);
  const auto before = images(batch).clone();
  const auto options = MixupOptions().cutmix_alpha(0.0).mixup_alpha(0.8).label_smoothing(0.1);
  double lowest = 1.0;
  double highest = 0.0;
  for (uint64_t step = 0; step < 50; ++step) {
    const Batch mixed = mixup(batch, 5, options, mixup_stream(step));
    // The middle image is its own mirror, so the first row tells lambda.
    const auto soft = soft_labels(batch.labels, 5, 0.1);
    const double lambda =
        ((mixed.labels[0][0] - soft[4][0]) / (soft[0][0] - soft[4][0])).item<double>();
    lowest = std::min(lowest, lambda);
    highest = std::max(highest, lambda);
    const auto expected = before * lambda + before.flip(0) * (1 - lambda);
    CHECK(torch::allclose(images(mixed), expected, 0.0, 1e-5));
    CHECK(torch::allclose(mixed.labels, soft * lambda + soft.flip(0) * (1 - lambda), 0.0, 1e-6));
    CHECK(mixed.size == 5);
  }
  CHECK(lowest < 0.2);
  CHECK(highest > 0.8);
  CHECK(torch::equal(images(batch), before));
}

TEST_CASE("cutmix replaces a box, and labels have the share of the pixels") {
  const Batch batch = random_batch(4, 16, 12);
  const auto before = images(batch).clone();
  const auto options = MixupOptions().mixup_alpha(0.0);
  bool partial = false;
  for (uint64_t step = 0; step < 50; ++step) {
    const Batch mixed = mixup(batch, 5, options, mixup_stream(step));
    const auto changed = (images(mixed)[0] != before[0]).any(0);
    const auto rows = changed.any(1).nonzero();
    const auto columns = changed.any(0).nonzero();
    const int64_t count = changed.sum().item<int64_t>();
    if (count > 0) {  // a whole rectangle
      const auto extent = [](const torch::Tensor& found) {
        return (found.max() - found.min() + 1).item<int64_t>();
      };
      CHECK(count == extent(rows) * extent(columns));
    }
    const auto from_other = images(mixed) == before.flip(0);
    CHECK((from_other | (images(mixed) == before)).all().item<bool>());
    const double share = 1.0 - static_cast<double>(count) / (16 * 12);
    partial = partial || (share > 0.2 && share < 0.8);
    const auto soft = soft_labels(batch.labels, 5);
    CHECK(torch::allclose(mixed.labels, soft * share + soft.flip(0) * (1 - share), 0.0, 1e-6));
  }
  CHECK(partial);
  CHECK(torch::equal(images(batch), before));
}

TEST_CASE("parts of a step draw alike, steps do not") {
  const Batch batch = random_batch(6);
  const MixupOptions options;
  const auto one = mixup(batch, 5, options, mixup_stream(9));
  const auto two = mixup(batch, 5, options, mixup_stream(9));
  CHECK(torch::equal(images(one), images(two)));
  CHECK(torch::equal(one.labels, two.labels));
  CHECK_FALSE(torch::equal(mixup(batch, 5, options, mixup_stream(10)).labels, one.labels));
}

TEST_CASE("mixup and cutmix alternate as their probabilities say") {
  const Batch batch = random_batch(2);
  int untouched = 0;
  int cut = 0;
  const auto options = MixupOptions().probability(0.8).switch_probability(0.25);
  for (uint64_t step = 0; step < 400; ++step) {
    const Batch mixed = mixup(batch, 5, options, mixup_stream(step));
    const auto kept = images(mixed) == images(batch);
    const auto other = images(mixed) == images(batch).flip(0);
    if (torch::equal(mixed.labels, soft_labels(batch.labels, 5)) && kept.all().item<bool>()) {
      ++untouched;
    } else if ((kept | other).all().item<bool>()) {
      ++cut;
    }
  }
  // Binomial: 80 of 400, and a quarter of the 320 others, some of whose boxes are empty.
  CHECK((untouched > 50 && untouched < 125));
  CHECK((cut > 45 && cut < 110));
}

TEST_CASE("without mixing labels are soft all the same") {
  const Batch batch = random_batch(3);
  for (const auto& options : {MixupOptions().probability(0.0).label_smoothing(0.2),
                              MixupOptions().mixup_alpha(0).cutmix_alpha(0).label_smoothing(0.2)}) {
    const auto same = mixup(batch, 5, options, mixup_stream(0));
    CHECK(torch::equal(images(same), images(batch)));
    CHECK(torch::equal(same.labels, soft_labels(batch.labels, 5, 0.2)));
  }
}

TEST_CASE("an empty part stays empty, one image is its own partner") {
  CHECK(mixup(Batch(), 5, MixupOptions(), mixup_stream(0)).size == 0);
  const Batch batch = random_batch(1);
  const auto mixed = mixup(batch, 5, MixupOptions(), mixup_stream(0));
  CHECK(torch::allclose(images(mixed), images(batch), 0.0, 1e-6));
  CHECK(torch::allclose(mixed.labels, soft_labels(batch.labels, 5), 0.0, 1e-6));
}

TEST_CASE("mixup refuses what makes no sense") {
  const Batch batch = random_batch(2);
  const auto refuse = [&](const MixupOptions& options) {
    CHECK_THROWS_AS(mixup(batch, 5, options, mixup_stream(0)), UsageError);
  };
  refuse(MixupOptions().mixup_alpha(-1.0));
  refuse(MixupOptions().cutmix_alpha(INFINITY));
  refuse(MixupOptions().probability(1.1));
  refuse(MixupOptions().switch_probability(-0.1));
  refuse(MixupOptions().label_smoothing(1.0));
  CHECK_THROWS_AS(mixup(batch, 5, MixupOptions().argument("inputs"), mixup_stream(0)), ShapeError);
  Batch other = batch;
  other.arguments["pixel_values"] = torch::zeros({2, 3, 4});
  CHECK_THROWS_AS(mixup(other, 5, MixupOptions(), mixup_stream(0)), ShapeError);
  other = batch;
  other.labels = torch::zeros({3}, torch::kInt64);
  CHECK_THROWS_AS(mixup(other, 5, MixupOptions(), mixup_stream(0)), ShapeError);
}

}  // namespace
}  // namespace vizoo
