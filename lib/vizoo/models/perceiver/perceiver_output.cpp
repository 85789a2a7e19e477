#include "vizoo/models/perceiver/perceiver_output.h"

namespace vizoo {
namespace {

template <class Output>
std::vector<std::vector<torch::Tensor>> tuple_of(const Output& output) {
  auto tuple = to_tuple<Output>(output);
  if (output.cross_attentions.size() < 2) return tuple;
  // [..., (encoder, decoder)] -> [..., (encoder), decoder]
  const auto decoder = tuple.back().back();
  tuple.back().pop_back();
  tuple.push_back({decoder});
  return tuple;
}

}  // namespace

std::vector<std::vector<torch::Tensor>> to_tuple(const PerceiverModelOutput& output) {
  return tuple_of(output);
}

std::vector<std::vector<torch::Tensor>> to_tuple(const PerceiverClassifierOutput& output) {
  return tuple_of(output);
}

std::vector<std::vector<torch::Tensor>> to_tuple(const PerceiverMultimodalOutput& output) {
  return tuple_of(output);
}

}  // namespace vizoo
