#include "vizoo/nn/drop_path.h"

namespace vizoo::nn {

torch::Tensor drop_path(const torch::Tensor& input, double drop_probability, bool training) {
  if (drop_probability == 0.0 || !training) return input;
  const double keep = 1.0 - drop_probability;
  std::vector<int64_t> shape(static_cast<std::size_t>(input.dim()), 1);
  shape[0] = input.size(0);
  const auto mask = (keep + torch::rand(shape, input.options().requires_grad(false))).floor_();
  return input.div(keep) * mask;
}

torch::Tensor add_branch(const torch::Tensor& shortcut,
                         const torch::Tensor& branch,
                         const torch::Tensor& scale,
                         double drop_probability,
                         bool training) {
  const bool drops = training && drop_probability > 0.0;
  if (scale.defined() && !drops && !at::GradMode::is_enabled()) {
    return at::addcmul(shortcut, branch, scale);
  }
  const auto scaled = scale.defined() ? scale * branch : branch;
  return shortcut + drop_path(scaled, drop_probability, training);
}

std::vector<double> drop_path_rates(double rate, int64_t layer_count) {
  const auto rates = torch::linspace(0, rate, layer_count, torch::kFloat32);
  std::vector<double> values;
  for (int64_t i = 0; i < layer_count; ++i) values.push_back(rates[i].item<float>());
  return values;
}

}  // namespace vizoo::nn
