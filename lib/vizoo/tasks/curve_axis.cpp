#include "vizoo/tasks/curve_axis.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace vizoo {
namespace {

constexpr double kAxisMargin = 0.04;  // of the range, free at each end of an axis

std::string format(const char* pattern, int digits, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), pattern, digits, value);
  return text;
}

// "1e-05" -> "1e-5", "1e+06" -> "1e6".
std::string tidy_exponent(std::string text) {
  const auto mark = text.find('e');
  if (mark == std::string::npos) return text;
  auto digits = mark + 2;
  while (digits + 1 < text.size() && text[digits] == '0') text.erase(digits, 1);
  if (text[mark + 1] == '+') text.erase(mark + 1, 1);
  return text;
}

int exponent_of(double value) {
  return value == 0.0 ? 0 : static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9));
}

// A spacing of 1, 2 or 5 times a power of ten that divides `range` into about `count` parts, or
// fewer.
double nice_spacing(double range, int count) {
  const double least = 0.8 * range / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10.0 * power;
}

// A multiple of `spacing`, with the digits that tell it from its neighbours.
std::string tick_label(double value, double spacing, bool are_steps) {
  if (value == 0.0) return "0";
  const double magnitude = std::abs(value);
  const int last_digit = exponent_of(spacing);
  if (magnitude >= 1e9 || spacing < 1e-4) {
    return tidy_exponent(format("%.*e", std::max(0, exponent_of(value) - last_digit), value));
  }
  if (magnitude >= 1e6) return format("%.*f M", std::max(0, 6 - last_digit), value / 1e6);
  if (magnitude >= 1e4) return format("%.*f k", std::max(0, 3 - last_digit), value / 1e3);
  return format("%.*f", are_steps ? 0 : std::max(0, -last_digit), value);
}

std::string decade_label(int exponent) {
  if (exponent < -4 || exponent > 6) return "1e" + std::to_string(exponent);
  return format("%.*f", std::max(0, -exponent), std::pow(10.0, exponent));
}

}  // namespace

CurveAxis CurveAxis::for_steps(double low, double high, int tick_count) {
  CurveAxis axis;
  axis.low_ = low;
  axis.high_ = high > low ? high : low + std::max(1.0, std::abs(low) * 1e-3);
  const double range = axis.high_ - axis.low_;
  axis.add_linear_ticks(std::max(1.0, nice_spacing(range, tick_count)), true);
  return axis;
}

CurveAxis CurveAxis::for_values(double low, double high, int tick_count, bool may_be_logarithmic) {
  CurveAxis axis;
  if (may_be_logarithmic && low > 0.0 && high / 100.0 > low) {
    axis.is_logarithmic_ = true;
    const double margin = std::pow(high / low, kAxisMargin);
    axis.low_ = low / margin;
    axis.high_ = high * margin;
    axis.add_decades(tick_count);
    return axis;
  }
  // Values that are all but equal get an axis on which they look so.
  const double least_range = std::max(std::abs(low), std::abs(high)) * 1e-3;
  if (high - low <= least_range) {
    const double room = least_range > 0.0 ? least_range : 1.0;
    low -= room;
    high += room;
  }
  const double margin = kAxisMargin * (high - low);
  const bool from_zero = low >= 0.0 && low < 0.35 * high;
  axis.low_ = from_zero ? 0.0 : low - margin;
  axis.high_ = high + margin;
  axis.add_linear_ticks(nice_spacing(axis.high_ - axis.low_, tick_count), false);
  return axis;
}

double CurveAxis::position(double value) const {
  const double at = is_logarithmic_
                        ? std::log(std::max(value, low_) / low_) / std::log(high_ / low_)
                        : (value - low_) / (high_ - low_);
  return std::clamp(at, 0.0, 1.0);
}

void CurveAxis::add_linear_ticks(double spacing, bool are_steps) {
  for (double i = std::ceil(low_ / spacing - 1e-6); i * spacing <= high_ + 1e-6 * spacing; ++i) {
    ticks_.push_back({i * spacing, tick_label(i * spacing, spacing, are_steps)});
  }
}

void CurveAxis::add_decades(int tick_count) {
  // Powers of ten within the axis.
  const int first = static_cast<int>(std::ceil(std::log10(low_)));
  const int last = static_cast<int>(std::floor(std::log10(high_)));
  const int stride = std::max(1, (last - first + tick_count) / std::max(1, tick_count));
  for (int exponent = first - 1; exponent <= last; ++exponent) {
    const double power = std::pow(10.0, exponent);
    for (int factor = 1; factor < 10; ++factor) {
      const double value = factor * power;
      if (value < low_ || value > high_) continue;
      const bool is_labelled = factor == 1 && (exponent - first) % stride == 0;
      // Lines that are too close to each other tell nothing.
      if (!is_labelled && (last - first > 40 || (last - first > 8 && factor > 1))) continue;
      ticks_.push_back({value, is_labelled ? decade_label(exponent) : ""});
    }
  }
}

std::string short_number(double value) {
  const double magnitude = std::abs(value);
  if (value == 0.0) return "0";
  if (magnitude >= 1e9 || magnitude < 1e-3) return tidy_exponent(format("%.*e", 2, value));
  if (magnitude >= 1e6) return format("%.*f M", 2, value / 1e6);
  if (magnitude >= 1e4) return format("%.*f k", 1, value / 1e3);
  return format("%.*f", std::clamp(3 - exponent_of(value), 0, 4), value);
}

}  // namespace vizoo
