#include "vizoo/training/linear_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>
#include <string>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Lengths of paths and potentials add up two costs for each row at most: no overflow.
constexpr double kLargestCost = 1e300;
constexpr int64_t kNone = -1;

[[noreturn]] void refuse_costs(const std::string& expected, const std::string& got) {
  throw UsageError("linear_assignment", "costs", expected, got);
}

void check_costs_shape(std::size_t count, int64_t rows, int64_t columns) {
  const bool fits = rows >= 0 && columns >= 0 &&
                    (columns == 0 ? count == 0
                                  : count % static_cast<std::size_t>(columns) == 0 &&
                                        count / static_cast<std::size_t>(columns) ==
                                            static_cast<std::size_t>(rows));
  if (fits) return;
  throw ShapeError("linear_assignment",
                   "costs",
                   "one cost for each pair of " + std::to_string(rows) + " rows and " +
                       std::to_string(columns) + " columns",
                   std::to_string(count) + " costs");
}

void check_costs(c10::ArrayRef<double> costs, int64_t columns) {
  for (std::size_t k = 0; k < costs.size(); ++k) {
    if (costs[k] == kInfinity || std::abs(costs[k]) <= kLargestCost) continue;
    std::ostringstream got;
    got << costs[k] << " in row " << k / static_cast<std::size_t>(columns) << ", column "
        << k % static_cast<std::size_t>(columns);
    refuse_costs("numbers from -1e300 to 1e300, or infinity", got.str());
  }
}

// Assigns rows one after another, for no more rows than columns. The potentials keep
// cost - row_potential - column_potential >= 0 everywhere and = 0 for assigned pairs, so that
// lengths of paths over the differences may be searched as by Dijkstra.
class RowByRow {
 public:
  RowByRow(const double* costs, int64_t rows, int64_t columns)
      : costs_(costs),
        columns_(columns),
        row_potential_(rows, 0.0),
        column_potential_(columns, 0.0),
        column_of_row_(rows, kNone),
        row_of_column_(columns, kNone),
        distance_(columns),
        previous_row_(columns),
        open_(columns) {}

  // False if no column is left for `row` whatever the rows before it give way to.
  bool assign(int64_t row) {
    const int64_t end = shortest_path(row);
    if (end == kNone) return false;
    update_potentials(row, distance_[end]);
    augment(end);
    return true;
  }

  const std::vector<int64_t>& column_of_row() const { return column_of_row_; }

 private:
  // The free column at the end of the shortest path from `start` that takes a cost edge to a column
  // and the assignment back to a row, or kNone. Columns that were reached before it end up in
  // open_[open_count_...].
  int64_t shortest_path(int64_t start) {
    std::fill(distance_.begin(), distance_.end(), kInfinity);
    std::iota(open_.begin(), open_.end(), int64_t{0});
    open_count_ = columns_;
    double length = 0.0;
    int64_t row = start;
    while (open_count_ > 0) {
      const double* row_costs = costs_ + row * columns_;
      const double offset = length - row_potential_[row];
      double least = kInfinity;
      int64_t nearest = kNone;
      for (int64_t k = 0; k < open_count_; ++k) {
        const int64_t column = open_[k];
        const double distance = offset + row_costs[column] - column_potential_[column];
        if (distance < distance_[column]) {
          distance_[column] = distance;
          previous_row_[column] = row;
        }
        // Among equals a free column ends the search at once.
        if (distance_[column] < least ||
            (distance_[column] == least && row_of_column_[column] == kNone)) {
          least = distance_[column];
          nearest = k;
        }
      }
      if (least == kInfinity) return kNone;
      const int64_t column = open_[nearest];
      if (row_of_column_[column] == kNone) return column;
      std::swap(open_[nearest], open_[--open_count_]);
      length = least;
      row = row_of_column_[column];
    }
    return kNone;
  }

  void update_potentials(int64_t start, double length) {
    row_potential_[start] += length;
    for (int64_t k = open_count_; k < columns_; ++k) {
      const int64_t column = open_[k];
      const double slack = length - distance_[column];
      column_potential_[column] -= slack;
      row_potential_[row_of_column_[column]] += slack;
    }
  }

  // Every row of the path takes the column after it and leaves the one before it.
  void augment(int64_t column) {
    while (column != kNone) {
      const int64_t row = previous_row_[column];
      row_of_column_[column] = row;
      std::swap(column_of_row_[row], column);
    }
  }

  const double* costs_;
  int64_t columns_;
  std::vector<double> row_potential_;
  std::vector<double> column_potential_;
  std::vector<int64_t> column_of_row_;
  std::vector<int64_t> row_of_column_;
  std::vector<double> distance_;
  std::vector<int64_t> previous_row_;
  std::vector<int64_t> open_;
  int64_t open_count_ = 0;
};

std::vector<int64_t> columns_of_rows(const double* costs,
                                     int64_t rows,
                                     int64_t columns,
                                     const char* name) {
  RowByRow search(costs, rows, columns);
  for (int64_t row = 0; row < rows; ++row) {
    if (search.assign(row)) continue;
    refuse_costs("a choice of pairs without an infinite cost",
                 "none: " + std::string(name) + "s 0 to " + std::to_string(row) +
                     " cannot all have one of their own");
  }
  return search.column_of_row();
}

}  // namespace

Assignment linear_assignment(c10::ArrayRef<double> costs, int64_t rows, int64_t columns) {
  check_costs_shape(costs.size(), rows, columns);
  check_costs(costs, columns);
  Assignment assignment;
  if (rows == 0 || columns == 0) return assignment;
  if (rows <= columns) {
    assignment.columns = columns_of_rows(costs.data(), rows, columns, "row");
    assignment.rows.resize(rows);
    std::iota(assignment.rows.begin(), assignment.rows.end(), int64_t{0});
    return assignment;
  }
  // [rows, columns] -> [columns, rows]
  std::vector<double> transposed(costs.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      transposed[column * rows + row] = costs[row * columns + column];
    }
  }
  const auto row_of_column = columns_of_rows(transposed.data(), columns, rows, "column");
  std::vector<int64_t> column_of_row(rows, kNone);
  for (int64_t column = 0; column < columns; ++column)
    column_of_row[row_of_column[column]] = column;
  for (int64_t row = 0; row < rows; ++row) {
    if (column_of_row[row] == kNone) continue;
    assignment.rows.push_back(row);
    assignment.columns.push_back(column_of_row[row]);
  }
  return assignment;
}

}  // namespace vizoo
