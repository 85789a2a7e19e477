#include "vizoo/training/mixup.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/nn/describe.h"

namespace vizoo {
namespace {

void check_mixup_range(double value, const char* name, bool valid, const char* expected) {
  if (!valid) throw UsageError("mixup", name, expected, std::to_string(value));
}

void check_mixup(const MixupOptions& options) {
  const auto check_alpha = [](double value, const char* name) {
    check_mixup_range(value, name, value >= 0.0 && std::isfinite(value), "a number of at least 0");
  };
  const auto check_probability = [](double value, const char* name) {
    check_mixup_range(value, name, value >= 0.0 && value <= 1.0, "a number from 0 to 1");
  };
  check_alpha(options.mixup_alpha(), "mixup_alpha");
  check_alpha(options.cutmix_alpha(), "cutmix_alpha");
  check_probability(options.probability(), "probability");
  check_probability(options.switch_probability(), "switch_probability");
}

const torch::Tensor& images_of(const Batch& batch, const std::string& name) {
  const auto found = batch.arguments.find(name);
  if (found == batch.arguments.end()) {
    throw ShapeError("mixup", name, "images among the arguments of the batch", "none of this name");
  }
  const torch::Tensor& images = found->second;
  if (!images.is_floating_point() || images.dim() != 4) {
    throw ShapeError("mixup", name, "floating point [B, C, H, W]", describe_tensor(images));
  }
  return images;
}

// Replaces a box of `images` by that of their mirror in the batch; returns the share that stays.
double cutmix(torch::Tensor& images, double lambda, RandomStream& random) {
  const int64_t height = images.size(2);
  const int64_t width = images.size(3);
  const double ratio = std::sqrt(1.0 - lambda);
  struct Axis {
    int64_t begin;
    int64_t length;
  };
  const auto axis = [&](int64_t size) -> Axis {
    const auto half = static_cast<int64_t>(static_cast<double>(size) * ratio) / 2;
    const int64_t centre = random.integer(size);
    const int64_t begin = std::max<int64_t>(centre - half, 0);
    return {begin, std::min(centre + half, size) - begin};
  };
  const Axis rows = axis(height);
  const Axis columns = axis(width);
  const auto box = [&](const torch::Tensor& all) {
    return all.narrow(2, rows.begin, rows.length).narrow(3, columns.begin, columns.length);
  };
  const torch::Tensor mixed = images.clone();
  box(mixed).copy_(box(images.flip(0)));
  images = mixed;
  return 1.0 -
         static_cast<double>(rows.length * columns.length) / static_cast<double>(height * width);
}

}  // namespace

torch::Tensor soft_labels(const torch::Tensor& labels, int64_t num_classes, double smoothing) {
  check_mixup_range(
      smoothing, "label_smoothing", smoothing >= 0.0 && smoothing < 1.0, "from 0 to less than 1");
  if (num_classes < 1) {
    throw UsageError("mixup", "num_classes", "at least 1", std::to_string(num_classes));
  }
  if (!labels.defined() || labels.scalar_type() != torch::kInt64 || labels.dim() != 1) {
    throw ShapeError("mixup", "labels", "int64 [B]", describe_tensor(labels));
  }
  if (labels.numel() > 0) {
    const auto lowest = labels.min().item<int64_t>();
    const auto highest = labels.max().item<int64_t>();
    if (lowest < 0 || highest >= num_classes) {
      throw UsageError("mixup",
                       "labels",
                       "classes from 0 to " + std::to_string(num_classes - 1),
                       std::to_string(lowest < 0 ? lowest : highest));
    }
  }
  const double share = smoothing / static_cast<double>(num_classes);
  auto soft = torch::full({labels.size(0), num_classes},
                          share,
                          torch::TensorOptions().device(labels.device()).dtype(torch::kFloat32));
  return soft.scatter_(1, labels.unsqueeze(1), 1.0 - smoothing + share);
}

Batch mixup(const Batch& batch,
            int64_t num_classes,
            const MixupOptions& options,
            RandomStream random) {
  check_mixup(options);
  if (batch.size == 0) return batch;
  torch::Tensor images = images_of(batch, options.argument());
  const torch::Tensor labels = soft_labels(batch.labels, num_classes, options.label_smoothing());
  if (labels.size(0) != images.size(0)) {
    throw ShapeError("mixup",
                     "labels",
                     "one for each of " + std::to_string(images.size(0)) + " images",
                     describe_tensor(batch.labels));
  }
  Batch mixed = batch;
  mixed.labels = labels;
  const bool has_mixup = options.mixup_alpha() > 0.0;
  const bool has_cutmix = options.cutmix_alpha() > 0.0;
  // The same number of draws in every case: the stream does not depend on the options.
  const bool take = random.chance(options.probability());
  const bool prefers_cutmix = random.chance(options.switch_probability());
  if (!take || (!has_mixup && !has_cutmix)) return mixed;

  const bool use_cutmix = has_cutmix && (!has_mixup || prefers_cutmix);
  const double alpha = use_cutmix ? options.cutmix_alpha() : options.mixup_alpha();
  double lambda = random.beta(alpha, alpha);
  if (use_cutmix) {
    lambda = cutmix(images, lambda, random);
  } else {
    images = images * lambda + images.flip(0) * (1.0 - lambda);
  }
  mixed.arguments[options.argument()] = images;
  mixed.labels = labels * lambda + labels.flip(0) * (1.0 - lambda);
  return mixed;
}

}  // namespace vizoo
