#pragma once

// The loss of vizoo::detection_loss from its definition, number by number, and batches to try it
// on.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "vizoo/training/detection_loss.h"

namespace vizoo::test {

// Threads of LibTorch's cost more than they save on tensors as small as these.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

// A batch of three images, 6 patches and 3 queries, whose second image has no boxes.
struct Batch {
  torch::Tensor logits;
  torch::Tensor pred_boxes;
  std::vector<DetectionTarget> targets;
};

inline torch::Tensor random_boxes(torch::IntArrayRef shape) {
  auto sides = torch::rand(shape, torch::kFloat64) * 0.4 + 0.05;
  const auto centers = torch::rand(shape, torch::kFloat64) * 0.5 + 0.25;
  return torch::cat({centers, sides}, -1);
}

inline DetectionTarget target(int64_t boxes, const std::vector<int64_t>& labels) {
  return {random_boxes({boxes, 2}), torch::tensor(labels, torch::kInt64)};
}

inline Batch make_batch(uint64_t seed) {
  torch::manual_seed(seed);
  Batch batch;
  batch.logits = torch::randn({3, 6, 3}, torch::kFloat64) * 2;
  batch.pred_boxes = random_boxes({3, 6, 2});
  batch.targets = {target(3, {2, 0, 2}), target(0, {}), target(1, {1})};
  return batch;
}

struct Terms {
  double ce = 0;
  double bbox = 0;
  double giou = 0;
};

inline double class_term(double logit, bool present, const DetectionLossOptions& options) {
  const double p = 1 / (1 + std::exp(-logit));
  const double right = present ? p : 1 - p;
  const double cross_entropy = -std::log(right);
  if (options.class_loss() == ClassLoss::sigmoid_cross_entropy) return cross_entropy;
  const double alpha = present ? options.focal_alpha() : 1 - options.focal_alpha();
  return alpha * std::pow(1 - right, options.focal_gamma()) * cross_entropy;
}

inline double l1_of(const double* a, const double* b) {
  double sum = 0;
  for (int k = 0; k < 4; ++k) sum += std::abs(a[k] - b[k]);
  return sum;
}

inline double giou_of(const double* a, const double* b) {
  double common = 1;
  double around = 1;
  for (int axis = 0; axis < 2; ++axis) {
    const double low_a = a[axis] - a[axis + 2] / 2;
    const double high_a = a[axis] + a[axis + 2] / 2;
    const double low_b = b[axis] - b[axis + 2] / 2;
    const double high_b = b[axis] + b[axis + 2] / 2;
    common *= std::max(std::min(high_a, high_b) - std::max(low_a, low_b), 0.0);
    around *= std::max(high_a, high_b) - std::min(low_a, low_b);
  }
  const double both = a[2] * a[3] + b[2] * b[3] - common;
  return common / both - (around - both) / around;
}

// One image of 6 patches and 3 queries: tries every choice of patches.
class Image {
 public:
  Image(const Batch& batch, int64_t index, const DetectionLossOptions& options)
      : options_(options),
        logits_(batch.logits[index].contiguous()),
        pred_boxes_(batch.pred_boxes[index].contiguous()),
        target_(batch.targets[index]) {
    if (options.query_mask().defined()) mask_ = options.query_mask()[index].contiguous();
  }

  std::vector<int64_t> best_patches() const {
    std::vector<int64_t> order(6);
    std::iota(order.begin(), order.end(), int64_t{0});
    std::vector<int64_t> best;
    double least = std::numeric_limits<double>::infinity();
    do {
      double cost = 0;
      for (int64_t n = 0; n < count(); ++n) cost += pair_cost(order[n], n);
      if (cost < least) {
        least = cost;
        best.assign(order.begin(), order.begin() + count());
      }
    } while (std::next_permutation(order.begin(), order.end()));
    return best;
  }

  Terms terms() const {
    const auto patches = best_patches();
    Terms terms;
    for (int64_t patch = 0; patch < 6; ++patch) {
      for (int64_t query = 0; query < 3; ++query) {
        if (mask_.defined() && !mask_[query].item<bool>()) continue;
        bool present = false;
        for (int64_t n = 0; n < count(); ++n) {
          present = present || (patches[n] == patch && label(n) == query);
        }
        terms.ce += class_term(logit(patch, query), present, options_);
      }
    }
    for (int64_t n = 0; n < count(); ++n) {
      terms.bbox += l1_of(predicted(patches[n]), box(n));
      terms.giou += 1 - giou_of(predicted(patches[n]), box(n));
    }
    return terms;
  }

  int64_t count() const { return target_.boxes.size(0); }

 private:
  double pair_cost(int64_t patch, int64_t n) const {
    const double x = logit(patch, label(n));
    return options_.class_weight() *
               (class_term(x, true, options_) - class_term(x, false, options_)) +
           options_.bbox_weight() * l1_of(predicted(patch), box(n)) -
           options_.giou_weight() * giou_of(predicted(patch), box(n));
  }
  double logit(int64_t patch, int64_t query) const {
    return logits_.const_data_ptr<double>()[patch * 3 + query];
  }
  const double* predicted(int64_t patch) const {
    return pred_boxes_.const_data_ptr<double>() + patch * 4;
  }
  const double* box(int64_t n) const { return target_.boxes.const_data_ptr<double>() + n * 4; }
  int64_t label(int64_t n) const { return target_.labels.const_data_ptr<int64_t>()[n]; }

  DetectionLossOptions options_;
  torch::Tensor logits_;
  torch::Tensor pred_boxes_;
  DetectionTarget target_;
  torch::Tensor mask_;
};

inline Terms expected_terms(const Batch& batch, const DetectionLossOptions& options) {
  int64_t boxes = 0;
  for (const auto& target : batch.targets) boxes += target.boxes.size(0);
  Terms sum;
  for (std::size_t index = 0; index < batch.targets.size(); ++index) {
    const Image image(batch, static_cast<int64_t>(index), options);
    const auto terms = image.terms();
    const double divisor = options.normalization() == LossNormalization::batch
                               ? static_cast<double>(std::max<int64_t>(boxes, 1))
                               : static_cast<double>(std::max<int64_t>(image.count(), 1) *
                                                     static_cast<int64_t>(batch.targets.size()));
    sum.ce += terms.ce / divisor;
    sum.bbox += terms.bbox / divisor;
    sum.giou += terms.giou / divisor;
  }
  return sum;
}

}  // namespace vizoo::test
