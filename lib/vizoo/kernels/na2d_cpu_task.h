#pragma once

// Geometry of the CPU kernels' tasks: which rows of which dilation group, where their numbers are
// read from, and how scores lie in memory.

#include "vizoo/kernels/na2d_cpu.h"
#include "vizoo/kernels/na2d_cpu_plan.h"
#include "vizoo/kernels/na2d_cpu_rows.h"
#include "vizoo/kernels/na_window.h"

namespace vizoo::kernels {

namespace VIZOO_CPU_TARGET {

VIZOO_INLINE int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Scores of one window: Kh rows of whole blocks, then up to whole 64 bytes. What lies outside of
/// the window is -inf among scores and 0 among weights.
template <class A>
struct ScoreLayout {
  explicit ScoreLayout(const Na2dShape& shape)
      : rows(shape.kernel_size[0]),
        columns(shape.kernel_size[1]),
        row_size(round_up(columns, kBlock)),
        size(round_up(rows * row_size, 64 / static_cast<int>(sizeof(A)))) {}

  int keys_in_block(int first) const {
    return columns - first < kBlock ? columns - first : kBlock;
  }

  int rows;
  int columns;
  int row_size;
  int size;
};

/// `block` with `outside` in the lanes from `count` on.
template <class A>
VIZOO_INLINE Block<A> replace_outside(Block<A> block, int count, A outside) {
  typedef typename std::conditional<sizeof(A) == 4, int32_t, int64_t>::type Index;
  typedef Index Indices __attribute__((vector_size(kBlock * sizeof(Index))));
  constexpr Indices kLane = {0, 1, 2, 3, 4, 5, 6, 7};
  return kLane < static_cast<Index>(count) ? block : broadcast<Block<A>>(outside);
}

/// One (batch, head) of a tensor, from its first token on.
template <class T>
struct Plane {
  Plane(const Na2dTensor<T>& tensor, int64_t batch, int64_t head)
      : data(tensor.data + batch * tensor.batch_stride + head * tensor.head_stride),
        row_stride(tensor.row_stride),
        column_stride(tensor.column_stride) {}

  T* token(int row, int column) const { return data + row * row_stride + column * column_stride; }

  T* data;
  int64_t row_stride;
  int64_t column_stride;
};

/// Rows of a dilation group as numbers to multiply: the tensor itself where its numbers are of the
/// accumulator's type and fill whole registers, else a converted and zero-padded copy.
template <class A>
struct Rows {
  A* row(int position) const { return first + (position - first_position) * row_step; }

  A* first;
  int first_position;
  int64_t row_step;
  int64_t column_step;
};

/// Numbers of one token, converted and multiplied, zeros up to `padded_dim`.
template <class T, class A>
VIZOO_INLINE void load_token(const T* from, A factor, int head_dim, int padded_dim, A* to) {
  for (int i = 0; i < head_dim; ++i) to[i] = accumulable(from[i]) * factor;
  for (int i = head_dim; i < padded_dim; ++i) to[i] = 0;
}

template <class T, class A>
VIZOO_INLINE void store_token(const A* from, A factor, int head_dim, T* to) {
  for (int i = 0; i < head_dim; ++i) assign(to[i], from[i] * factor);
}

template <class T>
constexpr bool kIsAccumulator = sizeof(T) == sizeof(AccumulatorOf<T>);

/// What all tasks of a problem share.
template <class T>
struct Geometry {
  using A = AccumulatorOf<T>;

  explicit Geometry(const Na2dShape& problem_shape)
      : shape(problem_shape),
        padded_dim(round_up(shape.head_dim, kLanes<A>)),
        registers(padded_dim / kLanes<A>),
        scores(shape) {}

  /// Whether a tensor's rows can be read, or summed up, where they are.
  bool in_place() const { return kIsAccumulator<T> && padded_dim == shape.head_dim; }

  /// Positions [begin, end) of dilation group `group`, read in place or copied to `buffer`.
  Rows<const A> rows(
      const Plane<const T>& plane, int group, PositionRange positions, A* buffer) const {
    const int64_t dilation = shape.dilation[0];
    if constexpr (kIsAccumulator<T>) {
      if (in_place()) {
        return {plane.token(group, 0), 0, dilation * plane.row_stride, plane.column_stride};
      }
    }
    A* to = buffer;
    for (int position = positions.begin; position < positions.end; ++position) {
      const int row = group + position * shape.dilation[0];
      for (int column = 0; column < shape.width; ++column, to += padded_dim) {
        load_token(plane.token(row, column), A{1}, shape.head_dim, padded_dim, to);
      }
    }
    return {buffer, positions.begin, int64_t{shape.width} * padded_dim, padded_dim};
  }

  Na2dShape shape;
  int padded_dim;
  int registers;
  ScoreLayout<A> scores;
};

/// Hands out parts of a task's workspace, each aligned to 64 bytes.
class Workspace {
 public:
  explicit Workspace(void* begin) : next_(static_cast<char*>(begin)) {}

  template <class A>
  A* take(int64_t count) {
    A* const part = reinterpret_cast<A*>(next_);
    next_ += (count * static_cast<int64_t>(sizeof(A)) + 63) / 64 * 64;
    return part;
  }

 private:
  char* next_;
};

/// One or two queries, the second below the first in their dilation group, in one column.
struct Queries {
  int count;
  int row[2];        ///< in the image
  int first_key[2];  ///< position of the first row of the window
};

/// Calls body(position of a row of keys, Having) for each row in the windows, `size` rows high, of
/// `queries` that lies in `within`, from the top.
template <class Body>
VIZOO_INLINE void for_each_key_row(
    const Queries& queries, int size, PositionRange within, Body&& body) {
  const int begin = queries.first_key[0];
  const int end = queries.first_key[queries.count - 1] + size;
  int row = begin < within.begin ? within.begin : begin;
  const int last = end < within.end ? end : within.end;
  if (queries.count == 1) {
    for (; row < last; ++row) body(row, Having<true, false>{});
    return;
  }
  for (; row < last && row < queries.first_key[1]; ++row) body(row, Having<true, false>{});
  for (; row < last && row < begin + size; ++row) body(row, Having<true, true>{});
  for (; row < last; ++row) body(row, Having<false, true>{});
}

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
