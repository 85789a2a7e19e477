#pragma once

// The forward kernels, fused and unfused, for one instruction set.

#include "vizoo/kernels/na2d_cpu_task.h"

namespace vizoo::kernels {
namespace VIZOO_CPU_TARGET {

enum class ForwardKind { fused, qk, av };

template <class T, ForwardKind Kind, class S>
class Forward {
 public:
  using A = AccumulatorOf<T>;

  Forward(const Na2dForward<T>& problem, void* memory)
      : problem_(problem), geometry_(problem.shape), layout_(geometry_.scores) {
    const auto& shape = problem.shape;
    Workspace workspace(memory);
    for (int i = 0; i < kBatch; ++i) {
      query_[i] = workspace.take<A>(geometry_.padded_dim());
      weights_[i] = workspace.take<A>(layout_.size());
      // What lies behind the last row stays as it is: -inf among scores, 0 among weights.
      for (int k = 0; k < layout_.size(); ++k) weights_[i][k] = kOutside;
    }
    out_ = workspace.take<A>(2 * geometry_.padded_dim());
    const int64_t copied = int64_t{forward_key_rows(shape)} * geometry_.row_size;
    keys_copy_ = workspace.take<A>(copied);
    values_copy_ = workspace.take<A>(copied);
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
    const int size = shape.kernel_size[0];
    const int64_t blocks = forward_row_blocks(shape);
    const int begin = static_cast<int>(task % blocks) * kForwardRows;
    const int group = static_cast<int>(task / blocks % dilation);
    head_ = task / blocks / dilation % shape.heads;
    batch_ = task / blocks / dilation / shape.heads;
    group_rows_ = group_length(shape.height, dilation, group);
    if (begin >= group_rows_) return;
    const int end = begin + kForwardRows < group_rows_ ? begin + kForwardRows : group_rows_;

    const PositionRange needed{window_begin(begin, group_rows_, size),
                               window_begin(end - 1, group_rows_, size) + size};
    if constexpr (kHasKeys) {
      const auto plane = Plane(problem_.key, batch_, head_);
      keys_ = geometry_.copy_rows(plane, group, needed, keys_copy_);
    }
    if constexpr (kHasValues) {
      const auto plane = Plane(problem_.value, batch_, head_);
      values_ = geometry_.copy_rows(plane, group, needed, values_copy_);
    }
    for (int position = begin; position < end; position += 2) {
      rows_ = query_rows(shape, group, position, end);
      for_each_column_batch(
          shape, [&](const QueryColumn* columns, int count) { run_batch(columns, count); });
    }
  }

  // Query i of a batch is in row i % 2 and column i / 2.
  void run_batch(const QueryColumn* columns, int count) {
    if constexpr (Kind == ForwardKind::av) {
      for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
        load_weights(rows_.row[row], column.column, weights_[i]);
      });
    } else {
      load_queries(columns, count);
      Block<A> greatest[kBatch];
      if (count * rows_.count < kBatch) clear(greatest);
      for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
        greatest[i] = compute_scores(row, column, i);
      });
      if constexpr (Kind == ForwardKind::qk) {
        for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
          store_scores(rows_.row[row], column.column, weights_[i]);
        });
      } else {
        normalize(columns, count, greatest);
      }
    }
    if constexpr (kHasValues) {
      for (int i = 0; i < count; ++i) sum_values(columns[i], 2 * i);
    }
  }

  template <class Body>
  void for_each_query(const QueryColumn* columns, int count, Body&& body) {
    for (int i = 0; i < count; ++i) {
      for (int row = 0; row < rows_.count; ++row) body(row, columns[i], 2 * i + row);
    }
  }

  void load_queries(const QueryColumn* columns, int count) {
    const auto& shape = problem_.shape;
    const auto plane = Plane(problem_.query, batch_, head_);
    const A factor = Kind == ForwardKind::fused ? static_cast<A>(shape.scale) : A{1};
    for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
      const T* const token = plane.token(rows_.row[row], column.column);
      load_token(token, factor, geometry_.head_dim, geometry_.padded_dim(), query_[i]);
    });
  }

  // query . key + bias over the window of query i, and in some lane the greatest of it.
  Block<A> compute_scores(int row, const QueryColumn& column, int i) {
    const int64_t step = geometry_.padded_dim();
    const int64_t bias_columns = 2 * int64_t{layout_.columns} - 1;
    const int64_t bias_rows = 2 * int64_t{layout_.rows} - 1;
    const A* bias = nullptr;
    if (problem_.rpb != nullptr) {
      bias = problem_.rpb + (head_ * bias_rows + rows_.bias[row]) * bias_columns + column.bias;
    }
    auto greatest = broadcast<Block<A>>(-std::numeric_limits<A>::infinity());
    A* to = weights_[i];
    for (int r = 0; r < layout_.rows; ++r, to += layout_.row_size()) {
      const A* const keys = keys_.row(rows_.first_key[row] + r) + column.first_key * step;
      for (int first = 0; first < layout_.columns; first += kBlock) {
        const int count = layout_.keys_in_block(first);
        auto block =
            block_dot_products(query_[i], keys + first * step, step, geometry_.registers(), count);
        if (bias != nullptr) block += load<Block<A>>(bias + r * bias_columns + first);
        block = replace_outside(block, count, -std::numeric_limits<A>::infinity());
        greatest = Max::of(block, greatest);
        store(to + first, block);
      }
    }
    return greatest;
  }

  // Scores to exp(score - greatest); their sum divides the result, not each of them.
  void normalize(const QueryColumn* columns, int count, const Block<A> (&greatest)[kBatch]) {
    const Block<A> maxima = over_lanes<Max>(greatest);
    Register<A> partial_sums[kBatch];
    if (count * rows_.count < kBatch) clear(partial_sums);
    for_each_query(columns, count, [&](int /*row*/, const QueryColumn&, int i) {
      A* const weights = weights_[i];
      const A maximum = maxima[i];
      Register<A> sum = {};
      for (int k = 0; k < layout_.size(); k += kLanes<A>) {
        const auto weight = exponential(load<Register<A>>(weights + k) - maximum);
        sum += weight;
        store(weights + k, weight);
      }
      // What lies behind the last row is a score again for the next query.
      for (int k = layout_.rows * layout_.row_size(); k < layout_.size(); ++k)
        weights[k] = kOutside;
      partial_sums[i] = sum;
    });
    const Block<A> sums = over_lanes<Add>(partial_sums);
    factors_ = A{1} / sums;
    if (problem_.lse == nullptr) return;
    const Block<A> lse = maxima + logarithm(sums);
    const auto& shape = problem_.shape;
    for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
      const int64_t token = (batch_ * shape.height + rows_.row[row]) * shape.width + column.column;
      problem_.lse[token * shape.heads + head_] = lse[i];
    });
  }

  // out = sum of weight * value, for queries `first` and `first` + 1 of the batch.
  void sum_values(const QueryColumn& column, int first) {
    const int64_t step = geometry_.padded_dim();
    const int64_t offset = column.first_key * step;
    const A* const weights[2] = {weights_[first], weights_[first + 1]};
    for_each_part<A>(
        geometry_.registers(), [&](int lane, auto width) __attribute__((always_inline)) {
          constexpr int kWidth = decltype(width)::value;
          PairSums<kWidth, A> sums;
          for_each_key_row(
              rows_,
              layout_.rows,
              {0, group_rows_},
              [&](int key_row, auto has) __attribute__((always_inline)) {
                const Pair<A> of_row{
                    weights[0] + (key_row - rows_.first_key[0]) * layout_.row_size(),
                    weights[1] + (key_row - rows_.first_key[1]) * layout_.row_size()};
                add_weighted_row<decltype(has)>(
                    sums, of_row, values_.row(key_row) + offset + lane, step, layout_.columns);
              });
          for (int w = 0; w < kWidth; ++w) {
            store(out_ + lane + w * kLanes<A>, sums.first[0][w] + sums.first[1][w]);
            store(out_ + geometry_.padded_dim() + lane + w * kLanes<A>,
                  sums.second[0][w] + sums.second[1][w]);
          }
        });
    const auto plane = Plane(problem_.out, batch_, head_);
    for (int row = 0; row < rows_.count; ++row) {
      store_token(out_ + row * geometry_.padded_dim(),
                  Kind == ForwardKind::fused ? factors_[first + row] : A{1},
                  geometry_.head_dim,
                  plane.token(rows_.row[row], column.column));
    }
  }

  int64_t window_index(int row, int column) const {
    const auto& shape = problem_.shape;
    const int64_t plane = batch_ * shape.heads + head_;
    const int64_t query = (plane * shape.height + row) * shape.width + column;
    return query * layout_.rows * layout_.columns;
  }

  void load_weights(int row, int column, A* weights) const {
    const T* from = problem_.attn + window_index(row, column);
    for (int r = 0; r < layout_.rows; ++r) {
      for (int i = 0; i < layout_.columns; ++i) {
        weights[r * layout_.row_size() + i] = accumulable(*from++);
      }
    }
  }

  void store_scores(int row, int column, const A* scores) const {
    T* to = problem_.scores + window_index(row, column);
    for (int r = 0; r < layout_.rows; ++r) {
      for (int i = 0; i < layout_.columns; ++i) assign(*to++, scores[r * layout_.row_size() + i]);
    }
  }

  const Na2dForward<T>& problem_;
  const Geometry<T, S> geometry_;
  const ScoreLayout<A, S> layout_;
  A* query_[kBatch];
  A* weights_[kBatch];
  A* out_;
  A* keys_copy_;
  A* values_copy_;
  // The task and the batch at hand.
  Rows<const A> keys_{};
  Rows<const A> values_{};
  int64_t batch_ = 0;
  int64_t head_ = 0;
  int group_rows_ = 0;
  QueryRows rows_{};
  Block<A> factors_{};
};

template <class T, ForwardKind Kind>
void run_forward(const Na2dForward<T>& problem, int64_t first, int64_t last, void* workspace) {
  if constexpr (std::is_same<T, float>::value) {  // others would take long to compile
    const auto& shape = problem.shape;
    if (shape.kernel_size[1] == PublishedSizes::kColumns &&
        shape.head_dim == PublishedSizes::kHeadDim) {
      return Forward<T, Kind, PublishedSizes>(problem, workspace).run(first, last);
    }
  }
  Forward<T, Kind, AnySizes>(problem, workspace).run(first, last);
}

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
