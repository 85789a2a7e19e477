#pragma once

// Which team of lanes serves a problem. Host code.

#include "vizoo/kernels/na2d_general.cuh"
#include "vizoo/kernels/na2d_launch.cuh"

namespace vizoo::kernels::cuda {

/// Blocks of a kernel whose teams walk over all tokens; the kernel goes on where the grid ends.
template <class Team>
int64_t team_blocks(const Na2dShape& shape) {
  const int64_t tokens = shape.batch * shape.heads * shape.height * shape.width;
  const int64_t blocks = (tokens + Team::kTeams - 1) / Team::kTeams;
  return blocks < kMaxBlocks ? blocks : kMaxBlocks;
}

/// Calls function(Team()) with lanes by head dimension: 32 and 64 are those of published models.
template <class T, int kVector, class Function>
cudaError_t with_lanes(int head_dim, const Function& function) {
  if (head_dim <= 32) return function(Team<T, 8, 4, kVector>());
  if (head_dim <= 64) return function(Team<T, 8, 8, kVector>());
  return function(Team<T, 32, 8, kVector>());
}

/// Calls function(Team()). Runs of four elements where every row of all tensors allows it.
template <class T, class Function, class... Tensors>
cudaError_t with_team(const Na2dShape& shape, const Function& function, const Tensors&... tensors) {
  if constexpr (sizeof(T) < 8) {
    constexpr int64_t kRun = 4 * sizeof(T);
    if (shape.head_dim % 4 == 0 && (is_aligned(tensors, sizeof(T), kRun) && ...)) {
      return with_lanes<T, 4>(shape.head_dim, function);
    }
  }
  return with_lanes<T, 1>(shape.head_dim, function);
}

}  // namespace vizoo::kernels::cuda
