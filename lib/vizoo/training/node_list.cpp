#include "vizoo/training/node_list.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/training/process_environment.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxHosts = 65536;
constexpr std::size_t kMaxDigits = 9;

[[noreturn]] void refuse_list(const std::string& text) {
  throw UsageError("environment",
                   "SLURM node list",
                   "names such as node[01-03,07], at most " + std::to_string(kMaxHosts),
                   quote(text));
}

// Splits at the commas that are in no brackets.
std::vector<std::string_view> split_outside_brackets(const std::string& text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  const std::string_view view = text;
  for (std::size_t i = 0; i <= view.size(); ++i) {
    if (i == view.size() || (view[i] == ',' && depth == 0)) {
      if (i == begin) refuse_list(text);
      parts.push_back(view.substr(begin, i - begin));
      begin = i + 1;
    } else if (view[i] == '[') {
      ++depth;
    } else if (view[i] == ']') {
      --depth;
    }
    if (depth < 0 || depth > 1) refuse_list(text);
  }
  if (depth != 0) refuse_list(text);
  return parts;
}

int64_t parse_digits(std::string_view digits, const std::string& text) {
  int64_t value = 0;
  const auto [stop, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || digits.size() > kMaxDigits || problem != std::errc() ||
      stop != digits.data() + digits.size() || value < 0) {
    refuse_list(text);
  }
  return value;
}

// "01-03,07" -> 01 02 03 07, with as many leading zeros as the first number of each range has.
std::vector<std::string> expand_ranges(std::string_view ranges, const std::string& text) {
  std::vector<std::string> numbers;
  std::size_t begin = 0;
  while (begin <= ranges.size()) {
    const auto end = std::min(ranges.find(',', begin), ranges.size());
    const auto range = ranges.substr(begin, end - begin);
    const auto dash = std::min(range.find('-'), range.size());
    const auto first = range.substr(0, dash);
    const int64_t low = parse_digits(first, text);
    const int64_t high = dash == range.size() ? low : parse_digits(range.substr(dash + 1), text);
    if (high < low || high - low >= static_cast<int64_t>(kMaxHosts - numbers.size())) {
      refuse_list(text);
    }
    for (int64_t number = low; number <= high; ++number) {
      auto digits = std::to_string(number);
      if (digits.size() < first.size()) digits.insert(0, first.size() - digits.size(), '0');
      numbers.push_back(std::move(digits));
    }
    begin = end + 1;
  }
  return numbers;
}

// Every pair of brackets multiplies the names.
std::vector<std::string> expand_name(std::string_view name, const std::string& text) {
  std::vector<std::string> hosts = {""};
  while (!name.empty()) {
    const auto open = std::min(name.find('['), name.size());
    for (auto& host : hosts) host += name.substr(0, open);
    if (open == name.size()) break;
    const auto close = name.find(']', open);
    const auto numbers = expand_ranges(name.substr(open + 1, close - open - 1), text);
    if (hosts.size() * numbers.size() > kMaxHosts) refuse_list(text);
    std::vector<std::string> longer;
    for (const auto& host : hosts) {
      for (const auto& number : numbers) longer.push_back(host + number);
    }
    hosts = std::move(longer);
    name = name.substr(close + 1);
  }
  return hosts;
}

}  // namespace

std::vector<std::string> expand_node_list(const std::string& text) {
  std::vector<std::string> hosts;
  for (const auto part : split_outside_brackets(text)) {
    auto names = expand_name(part, text);
    if (hosts.size() + names.size() > kMaxHosts) refuse_list(text);
    hosts.insert(hosts.end(), names.begin(), names.end());
  }
  return hosts;
}

std::vector<int> expand_task_counts(const std::string& name, const std::string& text) {
  const auto refuse = [&]() {
    throw UsageError("environment", name, "counts such as 2(x3),1", quote(text));
  };
  std::vector<int> counts;
  const char* at = text.data();
  const char* end = text.data() + text.size();
  const auto read_number = [&]() {
    int value = 0;
    const auto [stop, problem] = std::from_chars(at, end, value);
    if (problem != std::errc() || value < 1 || value > static_cast<int>(kMaxHosts)) refuse();
    at = stop;
    return value;
  };
  while (true) {
    const int count = read_number();
    int times = 1;
    if (end - at > 2 && at[0] == '(' && at[1] == 'x') {
      at += 2;
      times = read_number();
      if (at == end || *at != ')') refuse();
      ++at;
    }
    if (counts.size() + static_cast<std::size_t>(times) > kMaxHosts) refuse();
    counts.insert(counts.end(), static_cast<std::size_t>(times), count);
    if (at == end) return counts;
    if (*at != ',') refuse();
    ++at;
  }
}

}  // namespace vizoo
