#pragma once

#include <string>
#include <vector>

namespace vizoo {

/// A line across a panel, and what is written beside it.
struct AxisTick {
  double value = 0.0;
  std::string label;  ///< empty for a line between two labelled ones
};

/// A linear or logarithmic axis.
class CurveAxis {
 public:
  /// An axis of steps, exactly from `low` to `high` (a little more if they are equal), with about
  /// `tick_count` ticks at whole numbers: "0", "500", "20 k", "1.5 M".
  static CurveAxis for_steps(double low, double high, int tick_count);

  /// An axis that has room for values from `low` to `high` (finite, below 1e100 in magnitude), from
  /// 0 on if that costs little. Logarithmic if `may_be_logarithmic`, low > 0 and high > 100 low.
  static CurveAxis for_values(double low, double high, int tick_count, bool may_be_logarithmic);

  bool is_logarithmic() const { return is_logarithmic_; }
  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<AxisTick>& ticks() const { return ticks_; }

  /// Where a value lies: 0 at the low end, 1 at the high end, not beyond.
  double position(double value) const;

 private:
  void add_decades(int tick_count);
  void add_linear_ticks(double spacing, bool are_steps);

  double low_ = 0.0;
  double high_ = 1.0;
  bool is_logarithmic_ = false;
  std::vector<AxisTick> ticks_;
};

/// A number for people: four digits, "0.9722", "1.25e-4", "12.3 k".
std::string short_number(double value);

}  // namespace vizoo
