#include "vizoo/training/metric_rows.h"

#include <string>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

torch::Tensor checked_rows(const torch::Tensor& rows, int64_t columns) {
  if (!rows.defined() || rows.scalar_type() != torch::kFloat64 || rows.dim() != 2 ||
      rows.size(1) != columns) {
    throw ShapeError("metric",
                     "rows",
                     "float64 values of shape [n, " + std::to_string(columns) + "]",
                     rows.defined() ? describe_tensor(rows) : "none");
  }
  return rows.detach().cpu().contiguous();
}

}  // namespace vizoo
