#pragma once

#include <torch/arg.h>

#include <cstdint>
#include <string>

#include "vizoo/training/batch.h"
#include "vizoo/training/random_stream.h"

namespace vizoo {

/// Options of mixup. Defaults are those that DeiT and ConvNeXT were trained with (Touvron et al.
/// 2021, https://arxiv.org/abs/2012.12877, table 9; Liu et al. 2022,
/// https://arxiv.org/abs/2201.03545, table 5), where timm does the mixing.
struct MixupOptions {
  /// Both parameters of the beta distribution that mixup draws from; 0: no mixup.
  TORCH_ARG(double, mixup_alpha) = 0.8;
  /// The same of cutmix; 0: no cutmix.
  TORCH_ARG(double, cutmix_alpha) = 1.0;
  /// Probability that a step is mixed at all, in [0, 1].
  TORCH_ARG(double, probability) = 1.0;
  /// With both, the probability of cutmix, in [0, 1].
  TORCH_ARG(double, switch_probability) = 0.5;
  /// In [0, 1): a label keeps 1 - s, and all classes share s.
  TORCH_ARG(double, label_smoothing) = 0.0;
  /// Name of the images among the arguments.
  TORCH_ARG(std::string, argument) = "pixel_values";
};

/// Soft labels: row i is 1 - s + s / C at labels[i], s / C elsewhere. labels: int64, [B], each from
/// 0 to num_classes - 1; returns float32, [B, C]. Throws ShapeError for another shape or dtype,
/// UsageError for labels or a smoothing out of range.
torch::Tensor soft_labels(const torch::Tensor& labels, int64_t num_classes, double smoothing = 0.0);

/// Mixes each image with its mirror in the batch (the first with the last, ...) and the labels
/// alike, as timm does for a whole batch:
/// - mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412): l image + (1 - l) other,
///   l ~ Beta(a, a);
/// - cutmix (Yun et al. 2019, https://arxiv.org/abs/1905.04899): a box of sqrt(1 - l) of the height
///   and the width around a uniform centre, cut off at the border, comes from the other; l is then
///   the share of the pixels that stay.
/// Labels become l soft_labels + (1 - l) soft_labels of the other, float32, [B, num_classes]; also
/// where nothing is mixed.
///
/// batch: images are floating point, [B, C, H, W]; labels int64, [B]. It is not changed. An empty
/// batch is returned as it is. `random` is RandomStream(seed, epoch, step, RandomPurpose::mixup):
/// all parts of a step and all processes are given the same one and so draw alike; images are mixed
/// within a part. Throws UsageError for options out of range and labels that are no class,
/// ShapeError for other tensors.
Batch mixup(const Batch& batch,
            int64_t num_classes,
            const MixupOptions& options,
            RandomStream random);

}  // namespace vizoo
