#pragma once

// CUDA kernels of neighborhood attention for every shape, stride, alignment and type: plain
// arithmetic, no tensor cores. A team of kLanes lanes shares one query (or key): each lane holds
// its share of the row of D elements, and products of rows are summed over the team by shuffles.
// Teams walk over tokens in the order of dilation groups, so that neighbouring teams read the same
// keys. Nothing is accumulated atomically: gradients of keys and values are sums over the queries
// that see a key, and gradients of the bias go through per-block sums that sum_bias_partials adds
// up in order.

#include <cmath>

#include "vizoo/kernels/cuda_primitives.cuh"
#include "vizoo/kernels/na2d_bias_sums.cuh"
#include "vizoo/kernels/na2d_parameters.h"
#include "vizoo/kernels/na2d_plan.h"

namespace vizoo::kernels::cuda {

/// How a row of D elements is spread: kLanes lanes, each at most kPerLane elements, in runs of
/// kVector that one load brings in. D <= kLanes * kPerLane; kVector > 1 needs rows and D to be
/// multiples of it.
template <class Element, int kLanesValue, int kPerLaneValue, int kVectorValue>
struct Team {
  using T = Element;
  using Sum = SumOf<T>;
  static constexpr int kLanes = kLanesValue;
  static constexpr int kPerLane = kPerLaneValue;
  static constexpr int kVector = kVectorValue;
  static constexpr int kTeams = kGeneralThreads / kLanes;  // in a block

  static VIZOO_DEVICE int lane() { return thread_index() % kLanes; }
  static VIZOO_DEVICE int index() { return thread_index() / kLanes; }

  struct alignas(kVector * sizeof(T)) Run {
    T element[kVector];
  };

  /// This lane's share of a row; zeros beyond D.
  static VIZOO_DEVICE void load(const T* row, int head_dim, Sum (&values)[kPerLane]) {
    VIZOO_UNROLL
    for (int i = 0; i < kPerLane / kVector; ++i) {
      const int first = (i * kLanes + lane()) * kVector;
      Run run;
      if (first < head_dim) run = *reinterpret_cast<const Run*>(row + first);
      VIZOO_UNROLL
      for (int j = 0; j < kVector; ++j) {
        values[i * kVector + j] = first < head_dim ? widen(run.element[j]) : Sum(0);
      }
    }
  }

  static VIZOO_DEVICE void store(T* row, int head_dim, const Sum (&values)[kPerLane], Sum factor) {
    VIZOO_UNROLL
    for (int i = 0; i < kPerLane / kVector; ++i) {
      const int first = (i * kLanes + lane()) * kVector;
      Run run;
      VIZOO_UNROLL
      for (int j = 0; j < kVector; ++j) {
        run.element[j] = narrow<T>(values[i * kVector + j] * factor);
      }
      if (first < head_dim) *reinterpret_cast<Run*>(row + first) = run;
    }
  }

  /// The sum over the lanes of the team, in all of them. Teams need not call it together.
  static VIZOO_DEVICE Sum sum(Sum value) {
    if constexpr (kLanes < 32) {
      const unsigned mask = ((1u << kLanes) - 1u) << (thread_index() % 32 / kLanes * kLanes);
      VIZOO_UNROLL
      for (int offset = kLanes / 2; offset > 0; offset /= 2) {
        value += shuffle_xor(mask, value, offset);
      }
    } else {
      VIZOO_UNROLL
      for (int offset = 16; offset > 0; offset /= 2) {
        value += shuffle_xor(0xffffffffu, value, offset);
      }
    }
    return value;
  }

  static VIZOO_DEVICE Sum dot(const Sum (&a)[kPerLane], const Sum (&b)[kPerLane]) {
    Sum total = Sum(0);
    VIZOO_UNROLL
    for (int i = 0; i < kPerLane; ++i) total += a[i] * b[i];
    return sum(total);
  }

  static VIZOO_DEVICE void add(Sum (&total)[kPerLane], Sum factor, const Sum (&values)[kPerLane]) {
    VIZOO_UNROLL
    for (int i = 0; i < kPerLane; ++i) total[i] += factor * values[i];
  }
};

/// A token of one head: its place in the image and in its dilation group, by axis.
struct Token {
  int64_t batch;
  int64_t head;
  int group[2];
  int position[2];
  int length[2];  ///< of the group

  VIZOO_DEVICE int at(const Na2dShape& shape, int axis, int other_position) const {
    return group[axis] + shape.dilation[axis] * other_position;
  }
  VIZOO_DEVICE int at(const Na2dShape& shape, int axis) const {
    return at(shape, axis, position[axis]);
  }
};

/// Token number `index` of [batch, H, W] with both axes in the order of dilation groups.
VIZOO_DEVICE Token token_of(const Na2dShape& shape, int64_t index, int64_t head) {
  const int64_t row_index = index / shape.width;
  const int column = static_cast<int>(index - row_index * shape.width);
  Token token;
  token.batch = row_index / shape.height;
  token.head = head;
  const int row = static_cast<int>(row_index - token.batch * shape.height);
  const GroupPosition places[2] = {group_order(row, shape.height, shape.dilation[0]),
                                   group_order(column, shape.width, shape.dilation[1])};
  const int size[2] = {shape.height, shape.width};
  VIZOO_UNROLL
  for (int axis = 0; axis < 2; ++axis) {
    token.group[axis] = places[axis].group;
    token.position[axis] = places[axis].position;
    token.length[axis] = group_length(size[axis], shape.dilation[axis], places[axis].group);
  }
  return token;
}

/// Token number `index` of [batch, heads, H, W].
VIZOO_DEVICE Token token_of(const Na2dShape& shape, int64_t index) {
  const int64_t tokens = static_cast<int64_t>(shape.height) * shape.width;
  const int64_t plane = index / tokens;
  const int64_t batch = plane / shape.heads;
  return token_of(shape, index - plane * tokens + batch * tokens, plane - batch * shape.heads);
}

VIZOO_DEVICE int64_t token_count(const Na2dShape& shape) {
  return shape.batch * shape.heads * shape.height * shape.width;
}

template <class T>
VIZOO_DEVICE T* row_of(const Na2dTensor<T>& tensor, const Na2dShape& shape, const Token& token) {
  return kernels::row_of(tensor, token.batch, token.head, token.at(shape, 0), token.at(shape, 1));
}

/// Row of another token of the same dilation group.
template <class T>
VIZOO_DEVICE T* row_of(
    const Na2dTensor<T>& tensor, const Na2dShape& shape, const Token& token, int y, int x) {
  return kernels::row_of(
      tensor, token.batch, token.head, token.at(shape, 0, y), token.at(shape, 1, x));
}

VIZOO_DEVICE int64_t statistic_index(const Na2dShape& shape, const Token& token, int y, int x) {
  return kernels::statistic_index(
      shape, token.batch, token.head, token.at(shape, 0, y), token.at(shape, 1, x));
}

VIZOO_DEVICE int first_key(const Na2dShape& shape, const Token& token, int axis) {
  return window_begin(token.position[axis], token.length[axis], shape.kernel_size[axis]);
}
VIZOO_DEVICE int first_bias(const Na2dShape& shape, const Token& token, int axis) {
  return bias_begin(token.position[axis], token.length[axis], shape.kernel_size[axis]);
}

/// Bias of a head at indices (y, x); 0 without one.
template <class T>
VIZOO_DEVICE SumOf<T> bias_at(const T* rpb, const Na2dShape& shape, int64_t head, int y, int x) {
  if (rpb == nullptr) return SumOf<T>(0);
  return widen(rpb[head * bias_size(shape) + y * (2 * shape.kernel_size[1] - 1) + x]);
}

// ---- Forward: softmax with a running maximum, one pass over the window.
// ---------------------------
template <class Team>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    general_forward(const Na2dForwardParameters<typename Team::T> p) {
  using Sum = typename Team::Sum;
  const Na2dShape& shape = p.shape;
  const int head_dim = shape.head_dim;
  const Sum scale = static_cast<Sum>(shape.scale);
  const Sum minus_infinity = -static_cast<Sum>(INFINITY);
  for (int64_t index = block_index() * Team::kTeams + Team::index(); index < token_count(shape);
       index += grid_size() * Team::kTeams) {
    const Token token = token_of(shape, index);
    const int key_begin[2] = {first_key(shape, token, 0), first_key(shape, token, 1)};
    const int bias_first[2] = {first_bias(shape, token, 0), first_bias(shape, token, 1)};
    Sum query[Team::kPerLane];
    Team::load(row_of(p.query, shape, token), head_dim, query);
    Sum out[Team::kPerLane] = {};
    Sum maximum = minus_infinity;
    Sum total = Sum(0);
    for (int i = 0; i < shape.kernel_size[0]; ++i) {
      for (int j = 0; j < shape.kernel_size[1]; ++j) {
        const int y = key_begin[0] + i;
        const int x = key_begin[1] + j;
        Sum key[Team::kPerLane];
        Sum value[Team::kPerLane];
        Team::load(row_of(p.key, shape, token, y, x), head_dim, key);
        Team::load(row_of(p.value, shape, token, y, x), head_dim, value);
        const Sum score = Team::dot(query, key) * scale +
                          bias_at(p.rpb, shape, token.head, bias_first[0] + i, bias_first[1] + j);
        const Sum new_maximum = larger(maximum, score);
        // While all scores are -inf (a bias may be), 0 keeps the differences from being NaN.
        const Sum reference = new_maximum == minus_infinity ? Sum(0) : new_maximum;
        const Sum correction = exponential(maximum - reference);
        const Sum weight = exponential(score - reference);
        total = total * correction + weight;
        VIZOO_UNROLL
        for (int k = 0; k < Team::kPerLane; ++k) out[k] = out[k] * correction + weight * value[k];
        maximum = new_maximum;
      }
    }
    Team::store(row_of(p.out, shape, token), head_dim, out, Sum(1) / total);
    if (p.lse != nullptr && Team::lane() == 0) {
      const Sum reference = maximum == minus_infinity ? Sum(0) : maximum;
      p.lse[statistic_index(shape, token, token.position[0], token.position[1])] =
          reference + logarithm(total);
    }
  }
}

// ---- Backward over keys: gradients of keys and values, after the kernel of queries.
// ---------------
template <class Team>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    general_backward_keys(const Na2dBackwardParameters<typename Team::T> p) {
  using Sum = typename Team::Sum;
  const Na2dShape& shape = p.shape;
  const int head_dim = shape.head_dim;
  const Sum scale = static_cast<Sum>(shape.scale);
  for (int64_t index = block_index() * Team::kTeams + Team::index(); index < token_count(shape);
       index += grid_size() * Team::kTeams) {
    const Token token = token_of(shape, index);  // of the key
    const PositionRange rows =
        queries_of_key(token.position[0], token.length[0], shape.kernel_size[0]);
    const PositionRange columns =
        queries_of_key(token.position[1], token.length[1], shape.kernel_size[1]);
    Sum key[Team::kPerLane];
    Sum value[Team::kPerLane];
    Team::load(row_of(p.key, shape, token), head_dim, key);
    Team::load(row_of(p.value, shape, token), head_dim, value);
    Sum grad_key[Team::kPerLane] = {};
    Sum grad_value[Team::kPerLane] = {};
    for (int y = rows.begin; y < rows.end; ++y) {
      for (int x = columns.begin; x < columns.end; ++x) {
        Sum query[Team::kPerLane];
        Sum grad_out[Team::kPerLane];
        Team::load(row_of(p.query, shape, token, y, x), head_dim, query);
        Team::load(row_of(p.grad_out, shape, token, y, x), head_dim, grad_out);
        const int64_t statistic = statistic_index(shape, token, y, x);
        const Sum score = Team::dot(query, key) * scale +
                          bias_at(p.rpb,
                                  shape,
                                  token.head,
                                  token.position[0] - y + shape.kernel_size[0] - 1,
                                  token.position[1] - x + shape.kernel_size[1] - 1);
        const Sum weight = exponential(score - p.lse[statistic]);
        const Sum grad_weight = Team::dot(grad_out, value);
        Team::add(grad_value, weight, grad_out);
        Team::add(grad_key, weight * (grad_weight - p.delta[statistic]), query);
      }
    }
    Team::store(row_of(p.grad_key, shape, token), head_dim, grad_key, scale);
    Team::store(row_of(p.grad_value, shape, token), head_dim, grad_value, Sum(1));
  }
}

// ---- Backward over queries: gradients of queries and bias, and delta.
// ----------------------------- Block head + heads * slice takes every slices-th round of kTeams
// tokens of its head.
template <class Team>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    general_backward_queries(const Na2dBackwardParameters<typename Team::T> p) {
  using Sum = typename Team::Sum;
  const Na2dShape& shape = p.shape;
  const int head_dim = shape.head_dim;
  const Sum scale = static_cast<Sum>(shape.scale);
  const int window = shape.kernel_size[0] * shape.kernel_size[1];
  const int64_t slice = block_index() / shape.heads;
  const int64_t head = block_index() - slice * shape.heads;
  const int64_t tokens = shape.batch * shape.height * shape.width;
  const bool with_bias = p.partials != nullptr;
  BiasSums<Sum> sums(shape, with_bias ? Team::kTeams : 0);
  for (int64_t round = slice * Team::kTeams; round < tokens; round += p.slices * Team::kTeams) {
    const int64_t index = round + Team::index();
    if (index < tokens) {
      const Token token = token_of(shape, index, head);
      const int key_begin[2] = {first_key(shape, token, 0), first_key(shape, token, 1)};
      const int bias_first[2] = {first_bias(shape, token, 0), first_bias(shape, token, 1)};
      const int64_t statistic = statistic_index(shape, token, token.position[0], token.position[1]);
      Sum query[Team::kPerLane];
      Sum grad_out[Team::kPerLane];
      Sum out[Team::kPerLane];
      Team::load(row_of(p.query, shape, token), head_dim, query);
      Team::load(row_of(p.grad_out, shape, token), head_dim, grad_out);
      Team::load(row_of(p.out, shape, token), head_dim, out);
      const Sum delta = Team::dot(grad_out, out);
      const Sum lse = p.lse[statistic];
      Sum grad_query[Team::kPerLane] = {};
      for (int i = 0; i < shape.kernel_size[0]; ++i) {
        for (int j = 0; j < shape.kernel_size[1]; ++j) {
          const int y = key_begin[0] + i;
          const int x = key_begin[1] + j;
          Sum key[Team::kPerLane];
          Sum value[Team::kPerLane];
          Team::load(row_of(p.key, shape, token, y, x), head_dim, key);
          Team::load(row_of(p.value, shape, token, y, x), head_dim, value);
          const Sum score = Team::dot(query, key) * scale +
                            bias_at(p.rpb, shape, token.head, bias_first[0] + i, bias_first[1] + j);
          const Sum weight = exponential(score - lse);
          const Sum grad_score = weight * (Team::dot(grad_out, value) - delta);
          Team::add(grad_query, grad_score, key);
          if (with_bias && Team::lane() == 0) {
            sums.scores[Team::index() * window + i * shape.kernel_size[1] + j] = grad_score;
          }
        }
      }
      Team::store(row_of(p.grad_query, shape, token), head_dim, grad_query, scale);
      if (Team::lane() == 0) {
        p.delta[statistic] = delta;
        if (with_bias) {
          sums.first_bias[2 * Team::index()] = bias_first[0];
          sums.first_bias[2 * Team::index() + 1] = bias_first[1];
        }
      }
    } else if (with_bias && Team::lane() == 0) {
      sums.first_bias[2 * Team::index()] = BiasSums<Sum>::kNoQuery;
    }
    if (with_bias) {
      sync_threads();
      sums.add_round(shape, Team::kTeams);
      sync_threads();
    }
  }
  if (with_bias) sums.write(shape, p.partials + (slice * shape.heads + head) * bias_size(shape));
}

}  // namespace vizoo::kernels::cuda
