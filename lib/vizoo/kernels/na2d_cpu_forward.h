#pragma once

// The forward kernels, fused and unfused, for one instruction set.

#include "vizoo/kernels/na2d_cpu_task.h"

namespace vizoo::kernels {
namespace VIZOO_CPU_TARGET {

enum class ForwardKind { fused, qk, av };

template <class T, ForwardKind Kind>
class Forward {
 public:
  using A = AccumulatorOf<T>;

  Forward(const Na2dForward<T>& problem, void* memory) : problem_(problem), geometry_(problem.shape) {
    const auto& shape = problem.shape;
    Workspace workspace(memory);
    for (auto& query : query_) query = workspace.take<A>(geometry_.padded_dim);
    for (auto& weights : weights_) weights = workspace.take<A>(geometry_.scores.size);
    out_ = workspace.take<A>(2 * geometry_.padded_dim);
    const int64_t copied =
        int64_t{forward_key_rows(shape)} * shape.width * geometry_.padded_dim;
    keys_copy_ = workspace.take<A>(copied);
    values_copy_ = workspace.take<A>(copied);
    for (auto* weights : weights_) {
      // What lies behind the last row stays: -inf among scores has the weight 0.
      for (int i = 0; i < geometry_.scores.size; ++i) weights[i] = kOutside;
    }
  }

  void run(int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) run_task(task);
  }

 private:
  static constexpr A kOutside =
      Kind == ForwardKind::av ? A{0} : -std::numeric_limits<A>::infinity();
  static constexpr bool kHasKeys = Kind != ForwardKind::av;
  static constexpr bool kHasValues = Kind != ForwardKind::qk;

  // One task: kForwardRows positions of one dilation group of rows of one head.
  void run_task(int64_t task) {
    const auto& shape = problem_.shape;
    const int dilation = shape.dilation[0];
    const int64_t blocks = forward_row_blocks(shape);
    const int begin = static_cast<int>(task % blocks) * kForwardRows;
    group_ = static_cast<int>(task / blocks % dilation);
    head_ = task / blocks / dilation % shape.heads;
    batch_ = task / blocks / dilation / shape.heads;
    group_rows_ = group_length(shape.height, dilation, group_);
    if (begin >= group_rows_) return;
    const int end = begin + kForwardRows < group_rows_ ? begin + kForwardRows : group_rows_;

    const int size = shape.kernel_size[0];
    const PositionRange needed{window_begin(begin, group_rows_, size),
                               window_begin(end - 1, group_rows_, size) + size};
    if constexpr (kHasKeys) {
      keys_ = geometry_.rows(Plane(problem_.key, batch_, head_), group_, needed, keys_copy_);
    }
    if constexpr (kHasValues) {
      values_ = geometry_.rows(Plane(problem_.value, batch_, head_), group_, needed, values_copy_);
    }
    for (int position = begin; position < end; position += 2) {
      Queries queries;
      queries.count = end - position < 2 ? 1 : 2;
      for (int q = 0; q < queries.count; ++q) {
        queries.row[q] = group_ + (position + q) * dilation;
        queries.first_key[q] = window_begin(position + q, group_rows_, size);
        bias_row_[q] = bias_begin(position + q, group_rows_, size);
      }
      run_row_pair(queries);
    }
  }

  void run_row_pair(const Queries& queries) {
    const auto& shape = problem_.shape;
    const int dilation = shape.dilation[1];
    for (int group = 0; group < dilation; ++group) {
      const int length = group_length(shape.width, dilation, group);
      for (int position = 0; position < length; ++position) {
        const int first_key = window_begin(position, length, shape.kernel_size[1]);
        column_ = group + position * dilation;
        first_key_column_ = group + first_key * dilation;
        bias_column_ = bias_begin(position, length, shape.kernel_size[1]);
        run_queries(queries);
      }
    }
  }

  void run_queries(const Queries& queries) {
    for (int q = 0; q < queries.count; ++q) {
      if constexpr (Kind == ForwardKind::av) {
        load_weights(queries.row[q], weights_[q]);
      } else {
        const auto query = Plane(problem_.query, batch_, head_);
        const A factor = Kind == ForwardKind::fused ? static_cast<A>(problem_.shape.scale) : A{1};
        load_token(query.token(queries.row[q], column_),
                   factor,
                   problem_.shape.head_dim,
                   geometry_.padded_dim,
                   query_[q]);
        const A greatest = compute_scores(queries, q);
        if constexpr (Kind == ForwardKind::qk) store_scores(queries.row[q], weights_[q]);
        if constexpr (Kind == ForwardKind::fused) normalize(queries.row[q], q, greatest);
      }
    }
    if constexpr (kHasValues) sum_values(queries);
  }

  // query . key + bias over the window, and the greatest of it.
  A compute_scores(const Queries& queries, int q) {
    const auto& shape = problem_.shape;
    const auto& layout = geometry_.scores;
    const int64_t step = keys_.column_step * shape.dilation[1];
    const int64_t bias_columns = 2 * int64_t{layout.columns} - 1;
    const int64_t bias_rows = 2 * int64_t{layout.rows} - 1;
    const A* bias = nullptr;
    if (problem_.rpb != nullptr) {
      bias = problem_.rpb + (head_ * bias_rows + bias_row_[q]) * bias_columns + bias_column_;
    }
    auto greatest = broadcast<Block<A>>(-std::numeric_limits<A>::infinity());
    A* to = weights_[q];
    for (int r = 0; r < layout.rows; ++r, to += layout.row_size) {
      const A* const keys =
          keys_.row(queries.first_key[q] + r) + first_key_column_ * keys_.column_step;
      for (int first = 0; first < layout.columns; first += kBlock) {
        const int count = layout.keys_in_block(first);
        auto block = block_dot_products(
            query_[q], keys + first * step, step, geometry_.registers, count);
        if (bias != nullptr) block += load<Block<A>>(bias + r * bias_columns + first);
        block = replace_outside(block, count, -std::numeric_limits<A>::infinity());
        greatest = block > greatest ? block : greatest;
        store(to + first, block);
      }
    }
    return max_over_lanes<A>(greatest);
  }

  // Scores to exp(score - greatest); their sum divides the result, not each of them.
  void normalize(int row, int q, A greatest) {
    A* const weights = weights_[q];
    Register<A> sums = {};
    for (int i = 0; i < geometry_.scores.size; i += kLanes<A>) {
      const auto weight = exponential(load<Register<A>>(weights + i) - greatest);
      sums += weight;
      store(weights + i, weight);
    }
    // What lies behind the last row is a score again for the next query.
    for (int i = geometry_.scores.rows * geometry_.scores.row_size; i < geometry_.scores.size; ++i) {
      weights[i] = kOutside;
    }
    const A sum = sum_over_lanes<A>(sums);
    factor_[q] = A{1} / sum;
    if (problem_.lse != nullptr) {
      const auto& shape = problem_.shape;
      const int64_t token = (batch_ * shape.height + row) * shape.width + column_;
      problem_.lse[token * shape.heads + head_] = greatest + std::log(sum);
    }
  }

  // out = sum of weight * value.
  void sum_values(const Queries& queries) {
    const auto& shape = problem_.shape;
    const auto& layout = geometry_.scores;
    const int64_t step = values_.column_step * shape.dilation[1];
    const int64_t offset = first_key_column_ * values_.column_step;
    const auto plane = Plane(problem_.out, batch_, head_);
    for_each_part<A>(geometry_.registers, [&](int lane, auto width) __attribute__((always_inline)) {
      PairSums<decltype(width)::value, A> sums;
      for_each_key_row(queries, layout.rows, {0, group_rows_}, [&](int key_row, auto has) __attribute__((always_inline)) {
        const Pair<A> weights{weights_[0] + (key_row - queries.first_key[0]) * layout.row_size,
                              weights_[1] + (key_row - queries.first_key[1]) * layout.row_size};
        add_weighted_row<decltype(has)>(
            sums, weights, values_.row(key_row) + offset + lane, step, layout.columns);
      });
      for (int w = 0; w < decltype(width)::value; ++w) {
        store(out_ + lane + w * kLanes<A>, sums.first[0][w] + sums.first[1][w]);
        store(out_ + geometry_.padded_dim + lane + w * kLanes<A>,
              sums.second[0][w] + sums.second[1][w]);
      }
    });
    for (int q = 0; q < queries.count; ++q) {
      store_token(out_ + q * geometry_.padded_dim,
                  Kind == ForwardKind::fused ? factor_[q] : A{1},
                  shape.head_dim,
                  plane.token(queries.row[q], column_));
    }
  }

  int64_t window_index(int row) const {
    const auto& shape = problem_.shape;
    const int64_t query = ((batch_ * shape.heads + head_) * shape.height + row) * shape.width + column_;
    return query * shape.kernel_size[0] * shape.kernel_size[1];
  }

  void load_weights(int row, A* weights) const {
    const auto& layout = geometry_.scores;
    const T* from = problem_.attn + window_index(row);
    for (int r = 0; r < layout.rows; ++r) {
      for (int i = 0; i < layout.columns; ++i) {
        weights[r * layout.row_size + i] = accumulable(*from++);
      }
    }
  }

  void store_scores(int row, const A* scores) const {
    const auto& layout = geometry_.scores;
    T* to = problem_.scores + window_index(row);
    for (int r = 0; r < layout.rows; ++r) {
      for (int i = 0; i < layout.columns; ++i) assign(*to++, scores[r * layout.row_size + i]);
    }
  }

  const Na2dForward<T>& problem_;
  const Geometry<T> geometry_;
  A* query_[2];
  A* weights_[2];
  A* out_;
  A* keys_copy_;
  A* values_copy_;
  Rows<const A> keys_{};
  Rows<const A> values_{};
  // The task and the queries at hand.
  int64_t batch_ = 0;
  int64_t head_ = 0;
  int group_ = 0;
  int group_rows_ = 0;
  int column_ = 0;
  int first_key_column_ = 0;
  int bias_row_[2] = {0, 0};
  int bias_column_ = 0;
  A factor_[2] = {1, 1};
};

template <class T, ForwardKind Kind>
void run_forward(const Na2dForward<T>& problem, int64_t first, int64_t last, void* workspace) {
  Forward<T, Kind>(problem, workspace).run(first, last);
}

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
