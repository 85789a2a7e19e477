#pragma once

#include <thread>
#include <vector>

#include "batch_queue.h"
#include "classifier.h"
#include "metrics.h"

namespace vizoo::serve {

/// Threads that take batches from a queue, run the classifier on them and fulfil the answers. All
/// of them use one classifier, so its weights are in memory once.
class Workers {
 public:
  /// `intra_op_threads`: what each of them may use within one operator.
  Workers(int count,
          int intra_op_threads,
          BatchQueue& queue,
          const Classifier& classifier,
          Metrics& metrics);

  /// Closes the queue and waits until all that it holds is answered.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

 private:
  BatchQueue& queue_;
  std::vector<std::thread> threads_;
};

}  // namespace vizoo::serve
