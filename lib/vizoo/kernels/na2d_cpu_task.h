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

/// The sizes that inner loops depend on: number of columns of a window, and head dimension; 0 where
/// the compiler is not to know.
template <int Columns, int HeadDim>
struct Sizes {
  static constexpr int kColumns = Columns;
  static constexpr int kHeadDim = HeadDim;
};
using AnySizes = Sizes<0, 0>;
using PublishedSizes = Sizes<7, 32>;  // of every NAT and DiNAT but the 11 x 11 one

/// Scores of one window: Kh rows of whole blocks, then up to whole registers. What lies outside of
/// the window is -inf among scores and 0 among weights.
template <class A, class S>
struct ScoreLayout {
  explicit ScoreLayout(const Na2dShape& shape)
      : rows(shape.kernel_size[0]), columns(shape.kernel_size[1]) {}

  int row_size() const { return round_up(columns, kBlock); }
  int size() const { return round_up(rows * row_size(), kLanes<A>); }
  int keys_in_block(int first) const { return columns - first < kBlock ? columns - first : kBlock; }

  int rows;
  Extent<S::kColumns> columns;
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

/// Rows of one dilation group, each a run of W padded tokens: the columns of dilation group 0, then
/// those of group 1 and so on, so that the keys of a window's row are neighbours in memory. Reading
/// windows straight from a tensor whose tokens lie a multiple of 4 KiB apart, as those of a packed
/// projection do, would thrash a few sets of the cache: measured 2 to 3 times slower.
template <class A>
struct Rows {
  A* row(int position) const { return first + (position - first_position) * row_size; }

  A* first;
  int first_position;
  int64_t row_size;
};

/// Numbers of one token, converted and multiplied, zeros up to `padded_dim`.
template <class T, class A>
VIZOO_INLINE void load_token(const T* from, A factor, int head_dim, int padded_dim, A* to) {
#pragma GCC ivdep
  for (int i = 0; i < head_dim; ++i) to[i] = accumulable(from[i]) * factor;
  for (int i = head_dim; i < padded_dim; ++i) to[i] = 0;
}

template <class T, class A>
VIZOO_INLINE void store_token(const A* from, A factor, int head_dim, T* to) {
#pragma GCC ivdep
  for (int i = 0; i < head_dim; ++i) assign(to[i], from[i] * factor);
}

/// What all tasks of a problem share.
template <class T, class S>
struct Geometry {
  using A = AccumulatorOf<T>;

  explicit Geometry(const Na2dShape& problem_shape)
      : shape(problem_shape),
        head_dim(shape.head_dim),
        row_size(int64_t{shape.width} * padded_dim()),
        scores(shape) {}

  int padded_dim() const { return round_up(head_dim, kLanes<A>); }
  int registers() const { return padded_dim() / kLanes<A>; }

  /// Calls body(column, index in a row of Rows) for each column, in the order of Rows.
  template <class Body>
  void for_each_column(Body&& body) const {
    int index = 0;
    for (int group = 0; group < shape.dilation[1]; ++group) {
      for (int column = group; column < shape.width; column += shape.dilation[1]) {
        body(column, index++);
      }
    }
  }

  /// Positions of dilation group `group` of rows, copied to `buffer`.
  Rows<const A> copy_rows(const Plane<const T>& plane,
                          int group,
                          PositionRange positions,
                          A* buffer) const {
    A* to = buffer;
    for (int position = positions.begin; position < positions.end; ++position) {
      const int row = group + position * shape.dilation[0];
      for_each_column([&](int column, int /*index*/) {
        prefetch(plane, row, column);
        load_token(plane.token(row, column), A{1}, head_dim, padded_dim(), to);
        to += padded_dim();
      });
    }
    return {buffer, positions.begin, row_size};
  }

  /// Tokens of one head lie too far apart for the processor to foresee the next.
  void prefetch(const Plane<const T>& plane, int row, int column) const {
    constexpr int kAhead = 8;
    const int next = column + kAhead * shape.dilation[1];
    if (next >= shape.width) return;
    const char* const token = reinterpret_cast<const char*>(plane.token(row, next));
    for (int byte = 0; byte < head_dim * static_cast<int>(sizeof(T)); byte += 64) {
      __builtin_prefetch(token + byte);
    }
  }

  Rows<A> cleared_rows(PositionRange positions, A* buffer) const {
    for (int64_t i = 0; i < (positions.end - positions.begin) * row_size; ++i) buffer[i] = 0;
    return {buffer, positions.begin, row_size};
  }

  void store_rows(const Rows<A>& rows,
                  int group,
                  PositionRange positions,
                  const Plane<T>& plane) const {
    for (int position = positions.begin; position < positions.end; ++position) {
      const int row = group + position * shape.dilation[0];
      for_each_column([&](int column, int index) {
        const A* const from = rows.row(position) + int64_t{index} * padded_dim();
        store_token(from, A{1}, head_dim, plane.token(row, column));
      });
    }
  }

  Na2dShape shape;
  Extent<S::kHeadDim> head_dim;
  int64_t row_size;
  ScoreLayout<A, S> scores;
};

/// One column of queries: where it is, and the windows' columns.
struct QueryColumn {
  int column;         ///< in the image
  int64_t first_key;  ///< of the window's rows: index in a row of Rows
  int bias;           ///< index into an axis of the bias
};

/// Queries that are worked on together, so that what one waits for is hidden by the others: two
/// rows, the second below the first in their dilation group, of up to four columns.
constexpr int kBatchColumns = 4;
constexpr int kBatch = 2 * kBatchColumns;

template <class V>
VIZOO_INLINE void clear(V (&vectors)[kBatch]) {
#pragma GCC unroll 8
  for (int i = 0; i < kBatch; ++i) vectors[i] = V{};
}

/// Calls body(columns, count) for batches of up to kBatchColumns columns, in the order of Rows.
template <class Body>
VIZOO_INLINE void for_each_column_batch(const Na2dShape& shape, Body&& body) {
  QueryColumn batch[kBatchColumns];
  int count = 0;
  int index = 0;
  for (int group = 0; group < shape.dilation[1]; ++group) {
    const int length = group_length(shape.width, shape.dilation[1], group);
    for (int position = 0; position < length; ++position) {
      batch[count++] = {group + position * shape.dilation[1],
                        index + window_begin(position, length, shape.kernel_size[1]),
                        bias_begin(position, length, shape.kernel_size[1])};
      if (count == kBatchColumns) {
        body(batch, count);
        count = 0;
      }
    }
    index += length;
  }
  if (count > 0) body(batch, count);
}

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

/// The rows of a batch: one, or two of which the second is below the first in their dilation group.
struct QueryRows {
  int count;
  int row[2];        ///< in the image
  int first_key[2];  ///< position of the first row of the window
  int bias[2];       ///< index into an axis of the bias
};

/// Rows `position` and, if it lies before `end`, the next of a dilation group.
VIZOO_INLINE QueryRows query_rows(const Na2dShape& shape, int group, int position, int end) {
  const int length = group_length(shape.height, shape.dilation[0], group);
  QueryRows rows{};
  rows.count = end - position < 2 ? 1 : 2;
  for (int i = 0; i < rows.count; ++i) {
    rows.row[i] = group + (position + i) * shape.dilation[0];
    rows.first_key[i] = window_begin(position + i, length, shape.kernel_size[0]);
    rows.bias[i] = bias_begin(position + i, length, shape.kernel_size[0]);
  }
  return rows;
}

/// Calls body(position of a row of keys, Having) for each row in the windows, `size` rows high, of
/// `queries` that lies in `within`, from the top. Having says whose windows the row is in.
template <class Body>
VIZOO_INLINE void for_each_key_row(const QueryRows& queries,
                                   int size,
                                   PositionRange within,
                                   Body&& body) {
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
