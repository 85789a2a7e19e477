#pragma once

// The backward kernels, fused and unfused, for one instruction set.
//
// A task owns the gradients of kernel rows of one head: no other task writes them, so there are no
// atomics, and each key's sum runs over its queries from the top, left to right, however tasks are
// spread over threads. Queries just above and below the owned rows are visited as well, for what
// they add to the owned keys and values.

#include "vizoo/kernels/na2d_cpu_task.h"

namespace vizoo::kernels {
namespace VIZOO_CPU_TARGET {

enum class BackwardKind { fused, qk, av };

template <class T, BackwardKind Kind, class S>
class Backward {
 public:
  using A = AccumulatorOf<T>;

  Backward(const Na2dBackward<T>& problem, void* memory)
      : problem_(problem),
        geometry_(problem.shape),
        layout_(geometry_.scores),
        bias_row_size_(2 * layout_.columns - 1 + kBlock),
        bias_rows_(2 * layout_.rows - 1) {
    const auto& shape = problem.shape;
    Workspace workspace(memory);
    for (int i = 0; i < kBatch; ++i) {
      query_[i] = workspace.take<A>(geometry_.padded_dim());
      grad_out_[i] = workspace.take<A>(geometry_.padded_dim());
      weights_[i] = workspace.take<A>(layout_.size());
      grad_scores_[i] = workspace.take<A>(layout_.size());
    }
    out_ = workspace.take<A>(2 * geometry_.padded_dim());
    grad_bias_ = workspace.take<A>(int64_t{bias_rows_} * bias_row_size_);
    const int64_t read = int64_t{backward_key_rows(shape)} * geometry_.row_size;
    const int64_t owned = int64_t{backward_rows(shape)} * geometry_.row_size;
    keys_copy_ = workspace.take<A>(read);
    values_copy_ = workspace.take<A>(read);
    grad_keys_copy_ = workspace.take<A>(owned);
    grad_values_copy_ = workspace.take<A>(owned);
  }

  void run(int64_t first, int64_t last) {
    const auto& shape = problem_.shape;
    const int64_t items_of_head = shape.batch * shape.dilation[0] * backward_row_blocks(shape);
    const int64_t tasks_of_head = backward_tasks(shape) / shape.heads;
    for (int64_t task = first; task < last; ++task) {
      head_ = task / tasks_of_head;
      const int64_t part = task % tasks_of_head;
      const int64_t begin = items_of_head * part / tasks_of_head;
      const int64_t end = items_of_head * (part + 1) / tasks_of_head;
      for (int64_t item = begin; item < end; ++item) {
        run_item(item);
        if (problem_.grad_rpb != nullptr) add_grad_bias(task);
      }
    }
  }

 private:
  static constexpr bool kGradKeys = Kind != BackwardKind::av;
  static constexpr bool kGradValues = Kind != BackwardKind::qk;

  // One item: a block of rows of one dilation group of one head of one image.
  void run_item(int64_t item) {
    const auto& shape = problem_.shape;
    const int dilation = shape.dilation[0];
    const int size = shape.kernel_size[0];
    const int64_t blocks = backward_row_blocks(shape);
    const int rows = backward_rows(shape);
    group_ = static_cast<int>(item / blocks % dilation);
    batch_ = item / blocks / dilation;
    group_rows_ = group_length(shape.height, dilation, group_);
    owned_.begin = static_cast<int>(item % blocks) * rows;
    owned_.end = owned_.begin + rows < group_rows_ ? owned_.begin + rows : group_rows_;
    for (int i = 0; i < bias_rows_ * bias_row_size_; ++i) grad_bias_[i] = 0;
    if (owned_.begin >= owned_.end) return;

    const PositionRange queries{queries_of_key(owned_.begin, group_rows_, size).begin,
                                queries_of_key(owned_.end - 1, group_rows_, size).end};
    const PositionRange keys{window_begin(queries.begin, group_rows_, size),
                             window_begin(queries.end - 1, group_rows_, size) + size};
    if constexpr (kGradKeys) {
      keys_ = geometry_.copy_rows(Plane(problem_.key, batch_, head_), group_, keys, keys_copy_);
      grad_keys_ = geometry_.cleared_rows(owned_, grad_keys_copy_);
    }
    if constexpr (kGradValues) {
      values_ =
          geometry_.copy_rows(Plane(problem_.value, batch_, head_), group_, keys, values_copy_);
      grad_values_ = geometry_.cleared_rows(owned_, grad_values_copy_);
    }
    run_query_rows({queries.begin, owned_.begin}, /*owned=*/false);
    run_query_rows(owned_, /*owned=*/true);
    run_query_rows({owned_.end, queries.end}, /*owned=*/false);
    if constexpr (kGradKeys) {
      geometry_.store_rows(grad_keys_, group_, owned_, Plane(problem_.grad_key, batch_, head_));
    }
    if constexpr (kGradValues) {
      geometry_.store_rows(grad_values_, group_, owned_, Plane(problem_.grad_value, batch_, head_));
    }
  }

  void run_query_rows(PositionRange positions, bool owned) {
    owned_query_ = owned;
    for (int position = positions.begin; position < positions.end; position += 2) {
      rows_ = query_rows(problem_.shape, group_, position, positions.end);
      for_each_column_batch(problem_.shape, [&](const QueryColumn* columns, int count) {
        run_batch(columns, count);
      });
    }
  }

  // Query i of a batch is in row i % 2 and column i / 2.
  void run_batch(const QueryColumn* columns, int count) {
    load_tokens(columns, count);
    if constexpr (Kind == BackwardKind::fused) {
      recompute_weights(columns, count);
      compute_grad_scores(columns, count);
    }
    for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
      if constexpr (Kind == BackwardKind::qk) {
        load_window(problem_.grad_scores, rows_.row[row], column.column, grad_scores_[i]);
      }
      if constexpr (Kind == BackwardKind::av) {
        load_window(problem_.attn, rows_.row[row], column.column, weights_[i]);
        if (owned_query_) store_grad_attn(row, column, i);
      }
    });
    for (int i = 0; i < count; ++i) {
      if constexpr (kGradKeys) {
        if (owned_query_) {
          sum_grad_query(columns[i], 2 * i);
          if (problem_.grad_rpb != nullptr) sum_grad_bias(columns[i], 2 * i);
        }
        scatter(columns[i], grad_scores_ + 2 * i, query_ + 2 * i, grad_keys_);
      }
      if constexpr (kGradValues) {
        scatter(columns[i], weights_ + 2 * i, grad_out_ + 2 * i, grad_values_);
      }
    }
  }

  template <class Body>
  void for_each_query(const QueryColumn* columns, int count, Body&& body) {
    for (int i = 0; i < count; ++i) {
      for (int row = 0; row < rows_.count; ++row) body(row, columns[i], 2 * i + row);
    }
  }

  void load_tokens(const QueryColumn* columns, int count) {
    const auto& shape = problem_.shape;
    const int padded_dim = geometry_.padded_dim();
    for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
      if constexpr (kGradKeys) {
        const A factor = Kind == BackwardKind::fused ? static_cast<A>(shape.scale) : A{1};
        const auto plane = Plane(problem_.query, batch_, head_);
        const T* const token = plane.token(rows_.row[row], column.column);
        load_token(token, factor, geometry_.head_dim, padded_dim, query_[i]);
      }
      if constexpr (kGradValues) {
        const auto plane = Plane(problem_.grad_out, batch_, head_);
        const T* const token = plane.token(rows_.row[row], column.column);
        load_token(token, A{1}, geometry_.head_dim, padded_dim, grad_out_[i]);
      }
    });
  }

  // Weights are exp(score - lse), with what the forward has left, divided by their sum: it is 1 but
  // for the rounding of lse, which would not cancel in sums of gradients that are zero, such as
  // that of a bias of the keys.
  void recompute_weights(const QueryColumn* columns, int count) {
    const auto& shape = problem_.shape;
    const int64_t step = geometry_.padded_dim();
    const int64_t bias_columns = 2 * int64_t{layout_.columns} - 1;
    for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
      const int64_t token = (batch_ * shape.height + rows_.row[row]) * shape.width + column.column;
      const A lse = problem_.lse[token * shape.heads + head_];
      const A* bias = nullptr;
      if (problem_.rpb != nullptr) {
        bias = problem_.rpb + (head_ * bias_rows_ + rows_.bias[row]) * bias_columns + column.bias;
      }
      A* to = weights_[i];
      for (int r = 0; r < layout_.rows; ++r, to += layout_.row_size()) {
        const A* const keys = keys_.row(rows_.first_key[row] + r) + column.first_key * step;
        for (int first = 0; first < layout_.columns; first += kBlock) {
          const int in_block = layout_.keys_in_block(first);
          auto block = block_dot_products(
              query_[i], keys + first * step, step, geometry_.registers(), in_block);
          if (bias != nullptr) block += load<Block<A>>(bias + r * bias_columns + first);
          store(to + first,
                replace_outside(block - lse, in_block, -std::numeric_limits<A>::infinity()));
        }
      }
    });
    Register<A> partial_sums[kBatch];
    clear(partial_sums);
    for_each_query(columns, count, [&](int /*row*/, const QueryColumn&, int i) {
      A* const weights = weights_[i];
      // What lies behind the last row has no weight.
      for (int k = layout_.rows * layout_.row_size(); k < layout_.size(); ++k) {
        weights[k] = -std::numeric_limits<A>::infinity();
      }
      Register<A> sum = {};
      for (int k = 0; k < layout_.size(); k += kLanes<A>) {
        const auto weight = exponential(load<Register<A>>(weights + k));
        sum += weight;
        store(weights + k, weight);
      }
      partial_sums[i] = sum;
    });
    factors_ = A{1} / over_lanes<Add>(partial_sums);
  }

  // Gradient of a score = weight * (grad_out . value - mean), the mean being that of grad_out .
  // value over the window by weight. It equals grad_out . out, but taken from the same numbers it
  // cancels them better.
  void compute_grad_scores(const QueryColumn* columns, int count) {
    const int64_t step = geometry_.padded_dim();
    Block<A> partial_means[kBatch];
    clear(partial_means);
    for_each_query(columns, count, [&](int row, const QueryColumn& column, int i) {
      const A factor = factors_[i];
      Block<A> mean = {};
      int at = 0;
      for (int r = 0; r < layout_.rows; ++r, at += layout_.row_size()) {
        const A* const values = values_.row(rows_.first_key[row] + r) + column.first_key * step;
        for (int first = 0; first < layout_.columns; first += kBlock) {
          const int in_block = layout_.keys_in_block(first);
          const auto dots = block_dot_products(
              grad_out_[i], values + first * step, step, geometry_.registers(), in_block);
          const auto weight = load<Block<A>>(weights_[i] + at + first) * factor;
          mean += weight * dots;
          store(weights_[i] + at + first, weight);
          store(grad_scores_[i] + at + first, dots);
        }
      }
      partial_means[i] = mean;
    });
    // The gradients of a window's scores sum up to zero. What rounding leaves of it would add up in
    // the gradients of the keys, so the mean is taken off a second time.
    Block<A> partial_rests[kBatch];
    clear(partial_rests);
    const Block<A> means = over_lanes<Add>(partial_means);
    for_each_query(columns, count, [&](int /*row*/, const QueryColumn&, int i) {
      partial_rests[i] = subtract_weighted(grad_scores_[i], weights_[i], means[i], true);
    });
    const Block<A> rests = over_lanes<Add>(partial_rests);
    for_each_query(columns, count, [&](int /*row*/, const QueryColumn&, int i) {
      subtract_weighted(grad_scores_[i], weights_[i], rests[i], false);
    });
  }

  // values = weights * (values - mean), or values - weights * mean; the sum of it, in lanes.
  Block<A> subtract_weighted(A* values, const A* weights, A mean, bool weigh_values) const {
    Block<A> sum = {};
    for (int r = 0; r < layout_.rows; ++r) {
      for (int first = 0; first < layout_.columns; first += kBlock) {
        const int at = r * layout_.row_size() + first;
        const auto weight = load<Block<A>>(weights + at);
        const auto value = load<Block<A>>(values + at);
        auto result = weigh_values ? weight * (value - mean) : value - weight * mean;
        result = replace_outside(result, layout_.keys_in_block(first), A{0});
        store(values + at, result);
        sum += result;
      }
    }
    return sum;
  }

  // Gradient of the queries `first` and `first` + 1 of the batch: sum of gradient of the score *
  // key, times the scale.
  void sum_grad_query(const QueryColumn& column, int first) {
    const int64_t step = geometry_.padded_dim();
    const int64_t offset = column.first_key * step;
    for_each_part<A>(
        geometry_.registers(), [&](int lane, auto width) __attribute__((always_inline)) {
          constexpr int kWidth = decltype(width)::value;
          PairSums<kWidth, A> sums;
          for_each_key_row(
              rows_,
              layout_.rows,
              {0, group_rows_},
              [&](int key_row, auto has) __attribute__((always_inline)) {
                add_weighted_row<decltype(has)>(sums,
                                                weights_of_row(grad_scores_ + first, key_row),
                                                keys_.row(key_row) + offset + lane,
                                                step,
                                                layout_.columns);
              });
          for (int w = 0; w < kWidth; ++w) {
            store(out_ + lane + w * kLanes<A>, sums.first[0][w] + sums.first[1][w]);
            store(out_ + geometry_.padded_dim() + lane + w * kLanes<A>,
                  sums.second[0][w] + sums.second[1][w]);
          }
        });
    const A factor = Kind == BackwardKind::fused ? static_cast<A>(problem_.shape.scale) : A{1};
    const auto plane = Plane(problem_.grad_query, batch_, head_);
    for (int row = 0; row < rows_.count; ++row) {
      store_token(out_ + row * geometry_.padded_dim(),
                  factor,
                  geometry_.head_dim,
                  plane.token(rows_.row[row], column.column));
    }
  }

  // Owned rows += weight * vector of each of two queries whose window has them.
  void scatter(const QueryColumn& column, A* const* weights, A* const* vectors, Rows<A> to) {
    const int64_t step = geometry_.padded_dim();
    const int64_t offset = column.first_key * step;
    for_each_key_row(
        rows_, layout_.rows, owned_, [&](int key_row, auto has) __attribute__((always_inline)) {
          for_each_part<A>(
              geometry_.registers(), [&](int lane, auto width) __attribute__((always_inline)) {
                scatter_weighted<decltype(has), decltype(width)::value>(
                    weights_of_row(weights, key_row),
                    Pair<A>{vectors[0] + lane, vectors[1] + lane},
                    to.row(key_row) + offset + lane,
                    step,
                    layout_.columns);
              });
        });
  }

  Pair<A> weights_of_row(A* const* weights, int key_row) const {
    return {weights[0] + (key_row - rows_.first_key[0]) * layout_.row_size(),
            weights[1] + (key_row - rows_.first_key[1]) * layout_.row_size()};
  }

  void sum_grad_bias(const QueryColumn& column, int first_query) {
    for (int row = 0; row < rows_.count; ++row) {
      const A* from = grad_scores_[first_query + row];
      A* to = grad_bias_ + rows_.bias[row] * bias_row_size_ + column.bias;
      for (int r = 0; r < layout_.rows; ++r, from += layout_.row_size(), to += bias_row_size_) {
        for (int first = 0; first < layout_.columns; first += kBlock) {
          store(to + first, load<Block<A>>(to + first) + load<Block<A>>(from + first));
        }
      }
    }
  }

  // Sums of one item are short; those over all items are float64.
  void add_grad_bias(int64_t task) const {
    const int columns = 2 * layout_.columns - 1;
    double* to = problem_.grad_rpb + task * bias_rows_ * columns;
    for (int r = 0; r < bias_rows_; ++r) {
      for (int i = 0; i < columns; ++i) *to++ += grad_bias_[r * bias_row_size_ + i];
    }
  }

  int64_t window_index(int row, int column) const {
    const auto& shape = problem_.shape;
    const int64_t plane = batch_ * shape.heads + head_;
    const int64_t query = (plane * shape.height + row) * shape.width + column;
    return query * layout_.rows * layout_.columns;
  }

  void load_window(const T* tensor, int row, int column, A* to) const {
    const T* from = tensor + window_index(row, column);
    for (int r = 0; r < layout_.rows; ++r, to += layout_.row_size()) {
      for (int i = 0; i < layout_.columns; ++i) to[i] = accumulable(*from++);
      for (int i = layout_.columns; i < layout_.row_size(); ++i) to[i] = 0;
    }
  }

  // Gradient of the weights of query i: grad_out . value over the window.
  void store_grad_attn(int row, const QueryColumn& column, int i) const {
    const int64_t step = geometry_.padded_dim();
    T* to = problem_.grad_attn + window_index(rows_.row[row], column.column);
    for (int r = 0; r < layout_.rows; ++r) {
      const A* const values = values_.row(rows_.first_key[row] + r) + column.first_key * step;
      for (int first = 0; first < layout_.columns; first += kBlock) {
        const int count = layout_.keys_in_block(first);
        const auto dots = block_dot_products(
            grad_out_[i], values + first * step, step, geometry_.registers(), count);
        for (int k = 0; k < count; ++k) assign(*to++, static_cast<A>(dots[k]));
      }
    }
  }

  const Na2dBackward<T>& problem_;
  const Geometry<T, S> geometry_;
  const ScoreLayout<A, S> layout_;
  const int bias_row_size_;  ///< of grad_bias_, with room for whole blocks
  const int bias_rows_;
  A* query_[kBatch];
  A* grad_out_[kBatch];
  A* weights_[kBatch];
  A* grad_scores_[kBatch];
  A* out_;
  A* grad_bias_;
  A* keys_copy_;
  A* values_copy_;
  A* grad_keys_copy_;
  A* grad_values_copy_;
  // The item and the batch at hand.
  Rows<const A> keys_{};
  Rows<const A> values_{};
  Rows<A> grad_keys_{};
  Rows<A> grad_values_{};
  int64_t batch_ = 0;
  int64_t head_ = 0;
  int group_ = 0;
  int group_rows_ = 0;
  PositionRange owned_{0, 0};
  bool owned_query_ = false;  ///< whether the rows of the batch are owned
  QueryRows rows_{};
  Block<A> factors_{};
};

template <class T, BackwardKind Kind>
void run_backward(const Na2dBackward<T>& problem, int64_t first, int64_t last, void* workspace) {
  if constexpr (std::is_same<T, float>::value) {  // others would take long to compile
    const auto& shape = problem.shape;
    if (shape.kernel_size[1] == PublishedSizes::kColumns &&
        shape.head_dim == PublishedSizes::kHeadDim) {
      return Backward<T, Kind, PublishedSizes>(problem, workspace).run(first, last);
    }
  }
  Backward<T, Kind, AnySizes>(problem, workspace).run(first, last);
}

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
