#pragma once

#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <vector>

namespace vizoo {

/// A one-to-one choice of rows and columns: row rows[k] belongs to column columns[k].
struct Assignment {
  std::vector<int64_t> rows;     ///< ascending
  std::vector<int64_t> columns;  ///< each at most once
};

/// The min(rows, columns) pairs with the least sum of costs[row * columns + column], no row and no
/// column twice.
///
/// costs: [rows, columns] in C order; +infinity forbids a pair. The sum is that of
/// scipy.optimize.linear_sum_assignment, and so are the pairs where only one choice has it; among
/// equal ones the choice is fixed but not specified. Time O(n^2 m) and memory O(m) (O(n m) for more
/// rows than columns), with n the smaller of the two sizes and m the larger.
///
/// Throws ShapeError for negative sizes and another number of costs than rows * columns; UsageError
/// for NaN, -infinity, finite costs beyond 1e300, and where every choice contains a forbidden pair.
///
/// Source: shortest augmenting paths over reduced costs; Jonker and Volgenant 1987,
/// https://doi.org/10.1007/BF02278710, in the rectangular form of Crouse 2016,
/// https://doi.org/10.1109/TAES.2016.140952.
Assignment linear_assignment(c10::ArrayRef<double> costs, int64_t rows, int64_t columns);

}  // namespace vizoo
