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

template <class T, BackwardKind Kind>
class Backward {
 public:
  using A = AccumulatorOf<T>;

  Backward(const Na2dBackward<T>& problem, void* memory)
      : problem_(problem),
        geometry_(problem.shape),
        bias_row_size_(2 * geometry_.scores.columns - 1 + kBlock),
        bias_rows_(2 * geometry_.scores.rows - 1) {
    const auto& shape = problem.shape;
    Workspace workspace(memory);
    for (int q = 0; q < 2; ++q) {
      query_[q] = workspace.take<A>(geometry_.padded_dim);
      grad_out_[q] = workspace.take<A>(geometry_.padded_dim);
      weights_[q] = workspace.take<A>(geometry_.scores.size);
      grad_scores_[q] = workspace.take<A>(geometry_.scores.size);
    }
    out_ = workspace.take<A>(2 * geometry_.padded_dim);
    grad_bias_ = workspace.take<A>(int64_t{bias_rows_} * bias_row_size_);
    const int64_t copied =
        int64_t{backward_key_rows(shape)} * shape.width * geometry_.padded_dim;
    const int64_t owned = int64_t{backward_rows(shape)} * shape.width * geometry_.padded_dim;
    keys_copy_ = workspace.take<A>(copied);
    values_copy_ = workspace.take<A>(copied);
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
      keys_ = geometry_.rows(Plane(problem_.key, batch_, head_), group_, keys, keys_copy_);
      grad_keys_ = cleared_rows(problem_.grad_key, grad_keys_copy_);
    }
    if constexpr (kGradValues) {
      values_ = geometry_.rows(Plane(problem_.value, batch_, head_), group_, keys, values_copy_);
      grad_values_ = cleared_rows(problem_.grad_value, grad_values_copy_);
    }
    run_query_rows({queries.begin, owned_.begin}, /*owned=*/false);
    run_query_rows(owned_, /*owned=*/true);
    run_query_rows({owned_.end, queries.end}, /*owned=*/false);
    if constexpr (kGradKeys) finish_rows(problem_.grad_key, grad_keys_copy_);
    if constexpr (kGradValues) finish_rows(problem_.grad_value, grad_values_copy_);
  }

  // Where the owned rows of a gradient are summed up: in the tensor itself where they can be.
  Rows<A> cleared_rows(const Na2dTensor<T>& tensor, A* copy) const {
    const auto& shape = problem_.shape;
    const auto plane = Plane(tensor, batch_, head_);
    if constexpr (kIsAccumulator<T>) {
      if (geometry_.in_place()) {
        for (int position = owned_.begin; position < owned_.end; ++position) {
          for (int column = 0; column < shape.width; ++column) {
            A* const to = plane.token(group_ + position * shape.dilation[0], column);
            for (int i = 0; i < shape.head_dim; ++i) to[i] = 0;
          }
        }
        return {plane.token(group_, 0),
                0,
                shape.dilation[0] * plane.row_stride,
                plane.column_stride};
      }
    }
    const int64_t row_size = int64_t{shape.width} * geometry_.padded_dim;
    for (int64_t i = 0; i < (owned_.end - owned_.begin) * row_size; ++i) copy[i] = 0;
    return {copy, owned_.begin, row_size, geometry_.padded_dim};
  }

  void finish_rows(const Na2dTensor<T>& tensor, const A* copy) const {
    if (geometry_.in_place()) return;
    const auto& shape = problem_.shape;
    const auto plane = Plane(tensor, batch_, head_);
    for (int position = owned_.begin; position < owned_.end; ++position) {
      for (int column = 0; column < shape.width; ++column, copy += geometry_.padded_dim) {
        T* const to = plane.token(group_ + position * shape.dilation[0], column);
        store_token(copy, A{1}, shape.head_dim, to);
      }
    }
  }

  void run_query_rows(PositionRange positions, bool owned) {
    const auto& shape = problem_.shape;
    const int size = shape.kernel_size[0];
    for (int position = positions.begin; position < positions.end; position += 2) {
      Queries queries;
      queries.count = positions.end - position < 2 ? 1 : 2;
      for (int q = 0; q < queries.count; ++q) {
        queries.row[q] = group_ + (position + q) * shape.dilation[0];
        queries.first_key[q] = window_begin(position + q, group_rows_, size);
        bias_row_[q] = bias_begin(position + q, group_rows_, size);
      }
      const int dilation = shape.dilation[1];
      for (int group = 0; group < dilation; ++group) {
        const int length = group_length(shape.width, dilation, group);
        for (int column = 0; column < length; ++column) {
          const int first_key = window_begin(column, length, shape.kernel_size[1]);
          column_ = group + column * dilation;
          first_key_column_ = group + first_key * dilation;
          bias_column_ = bias_begin(column, length, shape.kernel_size[1]);
          run_queries(queries, owned);
        }
      }
    }
  }

  void run_queries(const Queries& queries, bool owned) {
    for (int q = 0; q < queries.count; ++q) load_query(queries, q, owned);
    if constexpr (kGradKeys) {
      if (owned) {
        sum_grad_query(queries);
        if (problem_.grad_rpb != nullptr) sum_grad_bias(queries);
      }
      scatter(queries, grad_scores_, query_, grad_keys_);
    }
    if constexpr (kGradValues) scatter(queries, weights_, grad_out_, grad_values_);
  }

  // The weights and the gradients of the scores of one query, for the rows of its window that are
  // needed: all for an owned query, else those with owned keys.
  void load_query(const Queries& queries, int q, bool owned) {
    const auto& shape = problem_.shape;
    const auto& layout = geometry_.scores;
    const int row = queries.row[q];
    const int first_key = queries.first_key[q];
    int begin = 0;
    int end = layout.rows;
    if (!owned) {
      begin = owned_.begin > first_key ? owned_.begin - first_key : 0;
      end = owned_.end < first_key + layout.rows ? owned_.end - first_key : layout.rows;
    }
    if constexpr (kGradKeys) {
      const A factor = Kind == BackwardKind::fused ? static_cast<A>(shape.scale) : A{1};
      const auto query = Plane(problem_.query, batch_, head_);
      load_token(query.token(row, column_),
                 factor,
                 shape.head_dim,
                 geometry_.padded_dim,
                 query_[q]);
    }
    if constexpr (kGradValues) {
      const auto grad_out = Plane(problem_.grad_out, batch_, head_);
      load_token(grad_out.token(row, column_),
                 A{1},
                 shape.head_dim,
                 geometry_.padded_dim,
                 grad_out_[q]);
    }
    if constexpr (Kind == BackwardKind::fused) recompute(queries, q, begin, end);
    if constexpr (Kind == BackwardKind::qk) load_window(problem_.grad_scores, row, grad_scores_[q]);
    if constexpr (Kind == BackwardKind::av) {
      load_window(problem_.attn, row, weights_[q]);
      if (owned) store_grad_attn(queries, q);
    }
  }

  // weight = exp(score - lse); gradient of the score = weight * (grad_out . value - grad_out . out).
  void recompute(const Queries& queries, int q, int begin, int end) {
    const auto& shape = problem_.shape;
    const auto& layout = geometry_.scores;
    const int row = queries.row[q];
    const A* const out_token = load_out(row);
    A out_dot = 0;
    for (int i = 0; i < shape.head_dim; ++i) out_dot += grad_out_[q][i] * out_token[i];
    const int64_t token = (batch_ * shape.height + row) * shape.width + column_;
    const A lse = problem_.lse[token * shape.heads + head_];

    const int64_t key_step = keys_.column_step * shape.dilation[1];
    const int64_t value_step = values_.column_step * shape.dilation[1];
    const int64_t bias_columns = 2 * int64_t{layout.columns} - 1;
    const A* bias = nullptr;
    if (problem_.rpb != nullptr) {
      bias = problem_.rpb + (head_ * bias_rows_ + bias_row_[q]) * bias_columns + bias_column_;
    }
    for (int r = begin; r < end; ++r) {
      const A* const keys =
          keys_.row(queries.first_key[q] + r) + first_key_column_ * keys_.column_step;
      for (int first = 0; first < layout.columns; first += kBlock) {
        const int count = layout.keys_in_block(first);
        auto block = block_dot_products(
            query_[q], keys + first * key_step, key_step, geometry_.registers, count);
        if (bias != nullptr) block += load<Block<A>>(bias + r * bias_columns + first);
        block = replace_outside(block - lse, count, -std::numeric_limits<A>::infinity());
        store(weights_[q] + r * layout.row_size + first, block);
      }
    }
    // Whole registers; what is computed besides the rows asked for is not used.
    const int last = round_up(end * layout.row_size, kLanes<A>);
    for (int i = begin * layout.row_size / kLanes<A> * kLanes<A>; i < last; i += kLanes<A>) {
      store(weights_[q] + i, exponential(load<Register<A>>(weights_[q] + i)));
    }
    for (int r = begin; r < end; ++r) {
      const A* const values =
          values_.row(queries.first_key[q] + r) + first_key_column_ * values_.column_step;
      for (int first = 0; first < layout.columns; first += kBlock) {
        const int count = layout.keys_in_block(first);
        const auto dots = block_dot_products(
            grad_out_[q], values + first * value_step, value_step, geometry_.registers, count);
        const auto weight = load<Block<A>>(weights_[q] + r * layout.row_size + first);
        store(grad_scores_[q] + r * layout.row_size + first,
              replace_outside(weight * (dots - out_dot), count, A{0}));
      }
    }
  }

  // The numbers of one token of out, converted where need be.
  const A* load_out(int row) const {
    const T* const token = Plane(problem_.out, batch_, head_).token(row, column_);
    if constexpr (kIsAccumulator<T>) {
      return token;
    } else {
      load_token(token, A{1}, problem_.shape.head_dim, geometry_.padded_dim, out_);
      return out_;
    }
  }

  // Gradient of the query: sum of gradient of the score * key, times the scale.
  void sum_grad_query(const Queries& queries) {
    const auto& shape = problem_.shape;
    const auto& layout = geometry_.scores;
    const int64_t step = keys_.column_step * shape.dilation[1];
    const int64_t offset = first_key_column_ * keys_.column_step;
    for_each_part<A>(geometry_.registers, [&](int lane, auto width) __attribute__((always_inline)) {
      constexpr int kWidth = decltype(width)::value;
      PairSums<kWidth, A> sums;
      for_each_key_row(
          queries,
          layout.rows,
          {0, group_rows_},
          [&](int key_row, auto has) __attribute__((always_inline)) {
            add_weighted_row<decltype(has)>(sums,
                                            weights_of_row(queries, grad_scores_, key_row),
                                            keys_.row(key_row) + offset + lane,
                                            step,
                                            layout.columns);
          });
      for (int w = 0; w < kWidth; ++w) {
        store(out_ + lane + w * kLanes<A>, sums.first[0][w] + sums.first[1][w]);
        store(out_ + geometry_.padded_dim + lane + w * kLanes<A>,
              sums.second[0][w] + sums.second[1][w]);
      }
    });
    const A factor = Kind == BackwardKind::fused ? static_cast<A>(shape.scale) : A{1};
    const auto plane = Plane(problem_.grad_query, batch_, head_);
    for (int q = 0; q < queries.count; ++q) {
      store_token(out_ + q * geometry_.padded_dim,
                  factor,
                  shape.head_dim,
                  plane.token(queries.row[q], column_));
    }
  }

  // Owned rows += weight * vector of each query whose window has them.
  void scatter(const Queries& queries, A* const (&weights)[2], A* const (&vectors)[2], Rows<A> to) {
    const auto& shape = problem_.shape;
    const auto& layout = geometry_.scores;
    const int64_t step = to.column_step * shape.dilation[1];
    const int64_t offset = first_key_column_ * to.column_step;
    for_each_key_row(
        queries,
        layout.rows,
        owned_,
        [&](int key_row, auto has) __attribute__((always_inline)) {
          for_each_part<A>(
              geometry_.registers, [&](int lane, auto width) __attribute__((always_inline)) {
                scatter_weighted<decltype(has), decltype(width)::value>(
                    weights_of_row(queries, weights, key_row),
                    Pair<A>{vectors[0] + lane, vectors[1] + lane},
                    to.row(key_row) + offset + lane,
                    step,
                    layout.columns);
              });
        });
  }

  Pair<A> weights_of_row(const Queries& queries, A* const (&weights)[2], int key_row) const {
    const int size = geometry_.scores.row_size;
    return {weights[0] + (key_row - queries.first_key[0]) * size,
            weights[1] + (key_row - queries.first_key[1]) * size};
  }

  void sum_grad_bias(const Queries& queries) {
    const auto& layout = geometry_.scores;
    for (int q = 0; q < queries.count; ++q) {
      const A* from = grad_scores_[q];
      A* to = grad_bias_ + bias_row_[q] * bias_row_size_ + bias_column_;
      for (int r = 0; r < layout.rows; ++r, from += layout.row_size, to += bias_row_size_) {
        for (int first = 0; first < layout.columns; first += kBlock) {
          store(to + first, load<Block<A>>(to + first) + load<Block<A>>(from + first));
        }
      }
    }
  }

  // Sums of one item are short; those over all items are float64.
  void add_grad_bias(int64_t task) const {
    const int columns = 2 * geometry_.scores.columns - 1;
    double* to = problem_.grad_rpb + task * bias_rows_ * columns;
    for (int r = 0; r < bias_rows_; ++r) {
      for (int i = 0; i < columns; ++i) *to++ += grad_bias_[r * bias_row_size_ + i];
    }
  }

  int64_t window_index(int row) const {
    const auto& shape = problem_.shape;
    const int64_t query =
        ((batch_ * shape.heads + head_) * shape.height + row) * shape.width + column_;
    return query * shape.kernel_size[0] * shape.kernel_size[1];
  }

  void load_window(const T* tensor, int row, A* to) const {
    const auto& layout = geometry_.scores;
    const T* from = tensor + window_index(row);
    for (int r = 0; r < layout.rows; ++r) {
      for (int i = 0; i < layout.columns; ++i) to[r * layout.row_size + i] = accumulable(*from++);
      for (int i = layout.columns; i < layout.row_size; ++i) to[r * layout.row_size + i] = 0;
    }
  }

  // Gradient of the weights: grad_out . value over the window.
  void store_grad_attn(const Queries& queries, int q) const {
    const auto& shape = problem_.shape;
    const auto& layout = geometry_.scores;
    const int64_t step = values_.column_step * shape.dilation[1];
    T* to = problem_.grad_attn + window_index(queries.row[q]);
    for (int r = 0; r < layout.rows; ++r) {
      const A* const values =
          values_.row(queries.first_key[q] + r) + first_key_column_ * values_.column_step;
      for (int first = 0; first < layout.columns; first += kBlock) {
        const int count = layout.keys_in_block(first);
        const auto dots = block_dot_products(
            grad_out_[q], values + first * step, step, geometry_.registers, count);
        for (int i = 0; i < count; ++i) assign(*to++, static_cast<A>(dots[i]));
      }
    }
  }

  const Na2dBackward<T>& problem_;
  const Geometry<T> geometry_;
  const int bias_row_size_;  ///< of grad_bias_, with room for whole blocks
  const int bias_rows_;
  A* query_[2];
  A* grad_out_[2];
  A* weights_[2];
  A* grad_scores_[2];
  A* out_;
  A* grad_bias_;
  A* keys_copy_;
  A* values_copy_;
  A* grad_keys_copy_;
  A* grad_values_copy_;
  Rows<const A> keys_{};
  Rows<const A> values_{};
  Rows<A> grad_keys_{};
  Rows<A> grad_values_{};
  // The item and the queries at hand.
  int64_t batch_ = 0;
  int64_t head_ = 0;
  int group_ = 0;
  int group_rows_ = 0;
  PositionRange owned_{0, 0};
  int column_ = 0;
  int first_key_column_ = 0;
  int bias_row_[2] = {0, 0};
  int bias_column_ = 0;
};

template <class T, BackwardKind Kind>
void run_backward(const Na2dBackward<T>& problem, int64_t first, int64_t last, void* workspace) {
  Backward<T, Kind>(problem, workspace).run(first, last);
}

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
