#pragma once

// CUDA kernels of the unfused steps. All of na2d_qk, na2d_av and their gradients are four
// functions:
//   scores   attn = left . right (+ rpb)         na2d_qk; gradient of attn
//   gather   out[query] = sum attn * right[key]  na2d_av; gradient of query
//   scatter  out[key] = sum attn * left[query]   gradients of key and of value
//   bias     sums of attn over what shares a bias
// Teams of lanes are as in na2d_general.cuh.

#include "vizoo/kernels/na2d_general.cuh"

namespace vizoo::kernels::cuda {

/// Row of attn [B, heads, H, W, Kh * Kw] that belongs to the query at (y, x) of the token's group.
VIZOO_DEVICE int64_t attn_offset(const Na2dShape& shape, const Token& token, int y, int x) {
  const int64_t plane = token.batch * shape.heads + token.head;
  const int64_t row = plane * shape.height + token.at(shape, 0, y);
  const int64_t window = static_cast<int64_t>(shape.kernel_size[0]) * shape.kernel_size[1];
  return (row * shape.width + token.at(shape, 1, x)) * window;
}
VIZOO_DEVICE int64_t attn_offset(const Na2dShape& shape, const Token& token) {
  return attn_offset(shape, token, token.position[0], token.position[1]);
}

/// attn_out[query, slot] = left[query] . right[key] + rpb; rpb may be null. The lanes keep one
/// score each and write kLanes of them at a time.
template <class Team>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    unfused_scores(const Na2dUnfusedParameters<typename Team::T> p) {
  using T = typename Team::T;
  using Sum = typename Team::Sum;
  const Na2dShape& shape = p.shape;
  const int window = shape.kernel_size[0] * shape.kernel_size[1];
  for (int64_t index = block_index() * Team::kTeams + Team::index(); index < token_count(shape);
       index += grid_size() * Team::kTeams) {
    const Token token = token_of(shape, index);
    const int key_begin[2] = {first_key(shape, token, 0), first_key(shape, token, 1)};
    const int bias_first[2] = {first_bias(shape, token, 0), first_bias(shape, token, 1)};
    T* const attn = p.attn_out + attn_offset(shape, token);
    Sum left[Team::kPerLane];
    Team::load(row_of(p.left, shape, token), shape.head_dim, left);
    Sum kept = Sum(0);
    int slot = 0;
    for (int i = 0; i < shape.kernel_size[0]; ++i) {
      for (int j = 0; j < shape.kernel_size[1]; ++j, ++slot) {
        Sum right[Team::kPerLane];
        Team::load(row_of(p.right, shape, token, key_begin[0] + i, key_begin[1] + j),
                   shape.head_dim,
                   right);
        const Sum score = Team::dot(left, right) +
                          bias_at(p.rpb, shape, token.head, bias_first[0] + i, bias_first[1] + j);
        const int turn = slot % Team::kLanes;
        if (turn == Team::lane()) kept = score;
        const int begin = slot - turn;
        if ((turn == Team::kLanes - 1 || slot == window - 1) && Team::lane() <= turn) {
          attn[begin + Team::lane()] = narrow<T>(kept);
        }
      }
    }
  }
}

/// out[query] = sum over its keys of attn_in[query, slot] * right[key].
template <class Team>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    unfused_gather(const Na2dUnfusedParameters<typename Team::T> p) {
  using T = typename Team::T;
  using Sum = typename Team::Sum;
  const Na2dShape& shape = p.shape;
  for (int64_t index = block_index() * Team::kTeams + Team::index(); index < token_count(shape);
       index += grid_size() * Team::kTeams) {
    const Token token = token_of(shape, index);
    const int key_begin[2] = {first_key(shape, token, 0), first_key(shape, token, 1)};
    const T* attn = p.attn_in + attn_offset(shape, token);
    Sum out[Team::kPerLane] = {};
    for (int i = 0; i < shape.kernel_size[0]; ++i) {
      for (int j = 0; j < shape.kernel_size[1]; ++j) {
        Sum right[Team::kPerLane];
        Team::load(row_of(p.right, shape, token, key_begin[0] + i, key_begin[1] + j),
                   shape.head_dim,
                   right);
        Team::add(out, widen(*attn++), right);
      }
    }
    Team::store(row_of(p.out, shape, token), shape.head_dim, out, Sum(1));
  }
}

/// out[key] = sum over the queries that see it of attn_in[query, slot of the key] * left[query].
template <class Team>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    unfused_scatter(const Na2dUnfusedParameters<typename Team::T> p) {
  using Sum = typename Team::Sum;
  const Na2dShape& shape = p.shape;
  const int* const kernel = shape.kernel_size;
  for (int64_t index = block_index() * Team::kTeams + Team::index(); index < token_count(shape);
       index += grid_size() * Team::kTeams) {
    const Token token = token_of(shape, index);  // of the key
    const PositionRange rows = queries_of_key(token.position[0], token.length[0], kernel[0]);
    const PositionRange columns = queries_of_key(token.position[1], token.length[1], kernel[1]);
    Sum out[Team::kPerLane] = {};
    for (int y = rows.begin; y < rows.end; ++y) {
      const int i = token.position[0] - window_begin(y, token.length[0], kernel[0]);
      for (int x = columns.begin; x < columns.end; ++x) {
        const int j = token.position[1] - window_begin(x, token.length[1], kernel[1]);
        const auto weight =
            p.attn_in[attn_offset(shape, token, y, x) + static_cast<int64_t>(i) * kernel[1] + j];
        Sum left[Team::kPerLane];
        Team::load(row_of(p.left, shape, token, y, x), shape.head_dim, left);
        Team::add(out, widen(weight), left);
      }
    }
    Team::store(row_of(p.out, shape, token), shape.head_dim, out, Sum(1));
  }
}

constexpr int kBiasQueries = 8;  // of a round

/// partials of attn_in. Block head + heads * slice takes every slices-th round of kBiasQueries
/// tokens of its head.
template <class T>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    unfused_bias(const Na2dUnfusedParameters<T> p) {
  using Sum = SumOf<T>;
  const Na2dShape& shape = p.shape;
  const int window = shape.kernel_size[0] * shape.kernel_size[1];
  const int64_t slice = block_index() / shape.heads;
  const int64_t head = block_index() - slice * shape.heads;
  const int64_t tokens = shape.batch * shape.height * shape.width;
  BiasSums<Sum> sums(shape, kBiasQueries);
  const int warp = thread_index() / 32;
  for (int64_t round = slice * kBiasQueries; round < tokens; round += p.slices * kBiasQueries) {
    for (int query = warp; query < kBiasQueries; query += kGeneralThreads / 32) {
      const int64_t index = round + query;
      if (index < tokens) {
        const Token token = token_of(shape, index, head);
        const T* const attn = p.attn_in + attn_offset(shape, token);
        for (int slot = thread_index() % 32; slot < window; slot += 32) {
          sums.scores[query * window + slot] = widen(attn[slot]);
        }
        sums.first_bias[2 * query] = first_bias(shape, token, 0);
        sums.first_bias[2 * query + 1] = first_bias(shape, token, 1);
      } else {
        sums.first_bias[2 * query] = BiasSums<Sum>::kNoQuery;
      }
    }
    sync_threads();
    sums.add_round(shape, kBiasQueries);
    sync_threads();
  }
  sums.write(shape, p.partials + (slice * shape.heads + head) * bias_size(shape));
}

}  // namespace vizoo::kernels::cuda
