#include "vizoo/training/linear_assignment.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "test/support/catch.h"
#include "test/support/tensor_file.h"
#include "vizoo/core/error.h"

using vizoo::Assignment;
using vizoo::linear_assignment;
using vizoo::ShapeError;
using vizoo::UsageError;
using Costs = std::vector<double>;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// splitmix64 of position `index` in matrix `number`, as scripts/parity/assignment.py has it.
uint64_t hash(uint64_t seed, uint64_t number, uint64_t index) {
  uint64_t state = (index + seed + (number << 32) + 1) * 0x9E3779B97F4A7C15U;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9U;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBU;
  return state ^ (state >> 31);
}

double cost_of_kind(int kind, uint64_t bits) {
  const double uniform = static_cast<double>(bits >> 11) * 0x1p-53;
  const auto integer = static_cast<int64_t>(bits >> 32);
  const auto forbidden = bits & 1023;
  switch (kind) {
    case 0:
      return uniform;
    case 1:
      return (uniform - 0.5) * 2000;
    case 2:
      return static_cast<double>(integer % 5);
    case 3:
      return static_cast<double>(integer % 2);
    case 4:
      return forbidden < 300 ? kInfinity : uniform;
    case 5:
      return forbidden < 800 ? kInfinity : static_cast<double>(integer % 7);
    default:
      return static_cast<double>(integer % 2001 - 1000);
  }
}

Costs make_costs(uint64_t seed, uint64_t number, int kind, int64_t rows, int64_t columns) {
  Costs costs;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      costs.push_back(kind == 6 ? static_cast<double>(hash(seed, number, row) % 100) +
                                      static_cast<double>(hash(seed, number, rows + column) % 100)
                                : cost_of_kind(kind, hash(seed, number, row * columns + column)));
    }
  }
  return costs;
}

// Checks that no line is used twice and all of the smaller side are.
double total(const Assignment& pairs, const Costs& costs, int64_t rows, int64_t columns) {
  REQUIRE(pairs.rows.size() == static_cast<std::size_t>(std::min(rows, columns)));
  REQUIRE(pairs.columns.size() == pairs.rows.size());
  CHECK(std::is_sorted(pairs.rows.begin(), pairs.rows.end()));
  CHECK(std::set<int64_t>(pairs.rows.begin(), pairs.rows.end()).size() == pairs.rows.size());
  CHECK(std::set<int64_t>(pairs.columns.begin(), pairs.columns.end()).size() == pairs.rows.size());
  double sum = 0;
  for (std::size_t k = 0; k < pairs.rows.size(); ++k) {
    REQUIRE(pairs.rows[k] >= 0);
    REQUIRE(pairs.rows[k] < rows);
    REQUIRE(pairs.columns[k] >= 0);
    REQUIRE(pairs.columns[k] < columns);
    sum += costs[pairs.rows[k] * columns + pairs.columns[k]];
  }
  return sum;
}

}  // namespace

TEST_CASE("assignments cost what SciPy's cost", "[training][scipy]") {
  const char* given = std::getenv("VIZOO_ASSIGNMENT_CASES");
  const auto file = vizoo::test::read_tensors(
      given != nullptr ? given : "test/fixtures/assignment/cases.safetensors");
  const auto seed = static_cast<uint64_t>(file.at("seed").item<int64_t>());
  const auto table = file.at("table");
  const auto totals = file.at("totals");
  const auto partners = file.at("partners");
  int64_t next_partner = 0;
  int64_t unique_cases = 0;
  int64_t infeasible_cases = 0;
  for (int64_t number = 0; number < table.size(0); ++number) {
    const auto field = [&](int64_t k) { return table[number][k].item<int64_t>(); };
    const auto kind = static_cast<int>(field(0));
    const auto rows = field(1);
    const auto columns = field(2);
    CAPTURE(number, kind, rows, columns);
    const auto costs = make_costs(seed, number, kind, rows, columns);
    if (field(3) == 0) {
      ++infeasible_cases;
      CHECK_THROWS_AS(linear_assignment(costs, rows, columns), UsageError);
      continue;
    }
    const auto pairs = linear_assignment(costs, rows, columns);
    const auto expected = totals[number].item<double>();
    CHECK(std::abs(total(pairs, costs, rows, columns) - expected) <=
          1e-12 * (1 + std::abs(expected)));
    if (field(4) == 0) continue;
    ++unique_cases;
    std::vector<int64_t> partner(pairs.rows.size());
    for (std::size_t k = 0; k < partner.size(); ++k) {
      (rows <= columns ? partner[k] : partner[pairs.columns[k]]) =
          rows <= columns ? pairs.columns[k] : pairs.rows[k];
    }
    for (const auto line : partner) CHECK(line == partners[next_partner++].item<int64_t>());
  }
  CHECK(next_partner == partners.size(0));
  // Of 1,000 cases 573 have a single optimum and 44 none.
  CHECK(unique_cases > table.size(0) / 3);
  CHECK(infeasible_cases > table.size(0) / 100);
}

TEST_CASE("a small assignment", "[training]") {
  const Costs costs{4,
                    1,
                    3,  //
                    2,
                    0,
                    5,
                    3,
                    2,
                    2};
  const auto pairs = linear_assignment(costs, 3, 3);
  CHECK(pairs.rows == std::vector<int64_t>{0, 1, 2});
  CHECK(pairs.columns == std::vector<int64_t>{1, 0, 2});
  // The same costs as 9 rows of one column, and the other way round.
  CHECK(linear_assignment(costs, 9, 1).rows == std::vector<int64_t>{4});
  CHECK(linear_assignment(costs, 1, 9).columns == std::vector<int64_t>{4});
}

TEST_CASE("nothing is assigned where there is nothing", "[training]") {
  const auto huge = std::numeric_limits<int64_t>::max();
  for (const auto& [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 0}, {0, 5}, {5, 0}, {0, huge}, {huge, 0}}) {
    const auto pairs = linear_assignment({}, rows, columns);
    CHECK(pairs.rows.empty());
    CHECK(pairs.columns.empty());
  }
}

// 100 boxes among the patches of OWLv2 B/16.
TEST_CASE("many columns and as many ties as can be", "[training]") {
  const int64_t rows = 100;
  const int64_t columns = 3600;
  Costs costs(rows * columns, 1.0);
  CHECK(total(linear_assignment(costs, rows, columns), costs, rows, columns) == rows);
  // All rows want the same columns: row r pays r + 1 for each step away from the first.
  for (int64_t k = 0; k < rows * columns; ++k) {
    costs[k] = static_cast<double>((k / columns + 1) * (k % columns));
  }
  const auto pairs = linear_assignment(costs, rows, columns);
  for (int64_t row = 0; row < rows; ++row) CHECK(pairs.columns[row] == rows - 1 - row);
}

TEST_CASE("costs that allow no assignment are refused", "[training]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(linear_assignment(Costs{0, kInfinity, 1, kInfinity}, 2, 2),
                    "[linear_assignment] costs: expected a choice of pairs without an infinite "
                    "cost, got none: rows 0 to 1 cannot all have one of their own.");
  CHECK_THROWS_WITH(linear_assignment(Costs{kInfinity, kInfinity, kInfinity}, 3, 1),
                    "[linear_assignment] costs: expected a choice of pairs without an infinite "
                    "cost, got none: columns 0 to 0 cannot all have one of their own.");
  // One forbidden column among three is no obstacle to two rows.
  CHECK(linear_assignment(Costs{kInfinity, 1, 2, kInfinity, 1, 3}, 2, 3).columns ==
        std::vector<int64_t>{2, 1});
  const std::string range = "numbers from -1e300 to 1e300, or infinity";
  CHECK_THROWS_WITH(
      linear_assignment(Costs{0, 1, 2, nan}, 2, 2),
      "[linear_assignment] costs: expected " + range + ", got nan in row 1, column 1.");
  CHECK_THROWS_WITH(
      linear_assignment(Costs{0, -kInfinity, 2, 3}, 2, 2),
      "[linear_assignment] costs: expected " + range + ", got -inf in row 0, column 1.");
  CHECK_THROWS_AS(linear_assignment(Costs{0, 1e308, 2, -1e308}, 2, 2), UsageError);
  const Costs large{0, 1e300, 1e300, -1e300};
  CHECK(linear_assignment(large, 2, 2).columns == std::vector<int64_t>{0, 1});
}

TEST_CASE("costs must fill the matrix", "[training]") {
  const Costs costs(6, 0.0);
  CHECK_THROWS_WITH(linear_assignment(costs, 2, 4),
                    "[linear_assignment] costs: expected one cost for each pair of 2 rows and 4 "
                    "columns, got 6 costs.");
  CHECK_THROWS_AS(linear_assignment(costs, -2, -3), ShapeError);
  CHECK_THROWS_AS(linear_assignment(costs, 6, 0), ShapeError);
  CHECK_THROWS_AS(linear_assignment({}, 1, 1), ShapeError);
  // 2^33 * 2^31 is 0 in 64 bits.
  CHECK_THROWS_AS(linear_assignment({}, int64_t{1} << 33, int64_t{1} << 31), ShapeError);
}
