#pragma once

namespace vizoo {

inline constexpr double kPi = 3.14159265358979323846;

}  // namespace vizoo
