#include "workers.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo::serve {
namespace {

Json to_json(const std::vector<Classification>& labels) {
  auto predictions = Json::array();
  for (const auto& label : labels) {
    predictions.push_back({{"id", label.id}, {"label", label.label}, {"score", label.score}});
  }
  return {{"predictions", predictions}};
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Pictures of one size, and whose they are.
struct Group {
  std::vector<Request*> requests;
  std::vector<torch::Tensor> pictures;
};

// Decodes and preprocesses. A bad picture is answered here and does not reach the model, nor does
// one whose client has given up.
std::vector<Group> prepare(const Batch& batch, const Classifier& classifier) {
  std::vector<Group> groups;
  for (const auto& request : batch) {
    if (Clock::now() >= request->deadline) {
      request->answer.set_value(failure(504, "[serve] deadline: passed before the model ran."));
      continue;
    }
    try {
      auto picture = classifier.preprocess(request->image);
      auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& other) {
        return other.pictures.front().sizes() == picture.sizes();
      });
      if (group == groups.end()) group = groups.emplace(groups.end());
      group->requests.push_back(request.get());
      group->pictures.push_back(std::move(picture));
    } catch (const vizoo::Error& error) {
      request->answer.set_value(failure(400, error.what()));
    } catch (const std::exception& error) {
      request->answer.set_value(failure(500, "[serve] " + first_line(error.what())));
    }
  }
  return groups;
}

void run_batch(const Group& group, const Classifier& classifier, Metrics& metrics) {
  int64_t top_k = 1;
  for (const auto* request : group.requests) top_k = std::max(top_k, request->top_k);
  std::vector<std::vector<Classification>> answers;
  try {
    metrics.count_batch(group.pictures.size());
    answers = classifier.classify(torch::cat(group.pictures), top_k);
  } catch (const std::exception& error) {
    for (auto* request : group.requests) {
      request->answer.set_value(failure(500, "[serve] model: " + first_line(error.what())));
    }
    return;
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    auto& request = *group.requests[i];
    const auto wanted = static_cast<std::size_t>(request.top_k);
    answers[i].resize(std::min(wanted, answers[i].size()));
    request.answer.set_value({200, to_json(answers[i])});
  }
}

}  // namespace

Workers::Workers(int count,
                 int intra_op_threads,
                 BatchQueue& queue,
                 const Classifier& classifier,
                 Metrics& metrics)
    : queue_(queue) {
  for (int i = 0; i < count; ++i) {
    threads_.emplace_back([=, &queue, &classifier, &metrics] {
      at::set_num_threads(intra_op_threads);  // OpenMP keeps this number for each thread
      for (auto batch = queue.pop(); !batch.empty(); batch = queue.pop()) {
        for (const auto& group : prepare(batch, classifier)) run_batch(group, classifier, metrics);
      }
    });
  }
}

Workers::~Workers() {
  queue_.close();
  for (auto& thread : threads_) thread.join();
}

}  // namespace vizoo::serve
