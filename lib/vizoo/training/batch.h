#pragma once

#include <cstdint>
#include <vector>

#include "vizoo/nn/pretrained_model.h"
#include "vizoo/training/detection_loss.h"

namespace vizoo {

/// One sample of a data set: what forward takes and what is to be learnt, without a batch axis.
struct Sample {
  NamedArguments arguments;   ///< forward's keyword arguments, without labels
  torch::Tensor labels;       ///< as the data set says: class index (0-d int64), flow, token ids
  DetectionTarget detection;  ///< boxes and the queries they answer, by detection data sets
};

/// Samples with a leading batch axis.
struct Batch {
  NamedArguments arguments;
  torch::Tensor labels;
  std::vector<DetectionTarget> detections;  ///< one for each sample, by detection data sets
  std::vector<int64_t> indices;             ///< of the samples in the data set, by DataLoader
  int64_t size = 0;                         ///< samples

  /// The same on a device; floating-point arguments in `dtype`. Labels and boxes keep theirs.
  Batch to(torch::Device device, torch::ScalarType dtype) const;
};

/// Stacks samples. Throws ShapeError, naming the tensor, where two differ in names or shapes;
/// UsageError for none.
Batch collate(const std::vector<Sample>& samples);

/// A loss as a sum and what it is to be divided by, both still to be added up over the parts of a
/// step and over processes: loss = sum / weight.
struct WeightedLoss {
  torch::Tensor sum;    ///< scalar, differentiable
  double weight = 0.0;  ///< samples, boxes, tokens: whatever the mean is over; at least 0
};

}  // namespace vizoo
