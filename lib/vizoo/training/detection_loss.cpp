#include "vizoo/training/detection_loss.h"

#include <algorithm>
#include <numeric>

#include "vizoo/nn/box_ops.h"
#include "vizoo/training/detection_targets.h"
#include "vizoo/training/linear_assignment.h"

namespace vizoo {
namespace {

// A logit whose loss and gradient as "not there" are exactly 0.
constexpr double kIgnoredLogit = -1e4;
// In place of costs that are no number: above all others, finite so that a matching always exists.
constexpr double kWorstCost = 1e100;

// present: bool, of the shape of logits. Elementwise, in logarithms so that no logit overflows and
// no power of 0 has an infinite derivative.
torch::Tensor class_loss(const torch::Tensor& logits,
                         const torch::Tensor& present,
                         const DetectionLossOptions& options) {
  const auto wrong = at::where(present, -logits, logits);  // sigmoid(wrong) = 1 - p of the truth
  const auto cross_entropy = -at::log_sigmoid(-wrong);
  if (options.class_loss() == ClassLoss::sigmoid_cross_entropy) return cross_entropy;
  const auto balance =
      at::full_like(logits, 1 - options.focal_alpha()).masked_fill(present, options.focal_alpha());
  return balance * (options.focal_gamma() * at::log_sigmoid(wrong)).exp() * cross_entropy;
}

// logits: [P, Q], pred_boxes: [P, 4], boxes: [N, 4], labels: [N] -> [N, P]
torch::Tensor matching_cost(const torch::Tensor& logits,
                            const torch::Tensor& pred_boxes,
                            const torch::Tensor& boxes,
                            const torch::Tensor& labels,
                            const DetectionLossOptions& options) {
  // [P, Q] -> [P, N] -> [N, P]
  const auto answers = logits.index_select(1, labels).t();
  const auto there = at::ones_like(answers, torch::kBool);
  const auto class_cost =
      class_loss(answers, there, options) - class_loss(answers, there.logical_not(), options);
  const auto distance = at::cdist(boxes, pred_boxes, 1);
  // [N, 1, 4], [1, P, 4] -> [N, P]
  const auto giou = nn::paired_generalized_box_iou(nn::center_to_corners(boxes).unsqueeze(1),
                                                   nn::center_to_corners(pred_boxes).unsqueeze(0));
  return options.class_weight() * class_cost + options.bbox_weight() * distance -
         options.giou_weight() * giou;
}

// The patch of each box of one image, int64 [N] on the CPU.
torch::Tensor match(const torch::Tensor& cost) {
  const auto costs = cost.to(torch::kCPU, torch::kFloat64)
                         .nan_to_num(kWorstCost, kWorstCost, kWorstCost)
                         .contiguous();
  const c10::ArrayRef<double> values(costs.const_data_ptr<double>(), costs.numel());
  const auto patches = linear_assignment(values, costs.size(0), costs.size(1)).columns;
  return torch::tensor(patches, torch::kInt64);
}

std::vector<torch::Tensor> match_images(const torch::Tensor& logits,
                                        const torch::Tensor& pred_boxes,
                                        const CheckedTargets& targets,
                                        const DetectionLossOptions& options) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> patches;
  int64_t first = 0;
  for (std::size_t image = 0; image < targets.counts.size(); ++image) {
    const auto count = targets.counts[image];
    const auto index = static_cast<int64_t>(image);
    patches.push_back(match(matching_cost(logits[index],
                                          pred_boxes[index],
                                          targets.boxes.narrow(0, first, count),
                                          targets.labels.narrow(0, first, count),
                                          options)));
    first += count;
  }
  return patches;
}

// What each image's sums are multiplied by, [B].
torch::Tensor image_weights(const std::vector<int64_t>& counts,
                            LossNormalization normalization,
                            const torch::TensorOptions& like) {
  const auto at_least_one = [](int64_t count) {
    return static_cast<double>(std::max<int64_t>(count, 1));
  };
  const auto total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  std::vector<double> weights;
  for (const auto count : counts) {
    weights.push_back(normalization == LossNormalization::batch
                          ? 1 / at_least_one(total)
                          : 1 / (at_least_one(count) * static_cast<double>(counts.size())));
  }
  return torch::tensor(weights, torch::kFloat64).to(like);
}

}  // namespace

DetectionLossOutput detection_loss(const torch::Tensor& logits,
                                   const torch::Tensor& pred_boxes,
                                   const std::vector<DetectionTarget>& targets,
                                   const DetectionLossOptions& options) {
  const auto wider =
      logits.scalar_type() == torch::kFloat64 || pred_boxes.scalar_type() == torch::kFloat64;
  const auto dtype = wider ? torch::kFloat64 : torch::kFloat32;
  const auto checked = check_targets(logits, pred_boxes, targets, options, dtype);

  auto answers = logits.to(dtype);
  const auto boxes = pred_boxes.to(dtype);
  if (options.query_mask().defined()) {
    // [B, Q] -> [B, 1, Q]
    const auto ignored = options.query_mask().logical_not().unsqueeze(1).to(answers.device());
    answers = answers.masked_fill(ignored, kIgnoredLogit);
  }

  DetectionLossOutput output;
  output.patches = match_images(answers, boxes, checked, options);
  const auto patches =
      output.patches.empty() ? checked.images : at::cat(output.patches).to(answers.device());
  const auto weights = image_weights(checked.counts, options.normalization(), answers.options());
  const auto box_weights = weights.index_select(0, checked.images);

  auto present = at::zeros_like(answers, torch::kBool);
  present.index_put_({checked.images, patches, checked.labels},
                     at::ones_like(checked.labels, torch::kBool));
  output.loss_ce = (class_loss(answers, present, options).sum({1, 2}) * weights).sum();

  const auto matched = boxes.index({checked.images, patches});  // [N, 4]
  output.loss_bbox = ((matched - checked.boxes).abs().sum(-1) * box_weights).sum();
  const auto giou = nn::paired_generalized_box_iou(nn::center_to_corners(matched),
                                                   nn::center_to_corners(checked.boxes));
  output.loss_giou = ((1 - giou) * box_weights).sum();
  output.loss = options.class_weight() * output.loss_ce + options.bbox_weight() * output.loss_bbox +
                options.giou_weight() * output.loss_giou;
  return output;
}

}  // namespace vizoo
