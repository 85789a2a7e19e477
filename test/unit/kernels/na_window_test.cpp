#include "vizoo/kernels/na_window.h"

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "test/support/catch.h"

using vizoo::kernels::bias_begin;
using vizoo::kernels::group_length;
using vizoo::kernels::PositionRange;
using vizoo::kernels::queries_of_key;
using vizoo::kernels::window_begin;

// Usable where a constant is needed.
static_assert(group_length(10, 3, 0) == 4 && group_length(10, 3, 1) == 3);
static_assert(window_begin(0, 9, 7) == 0 && window_begin(4, 9, 7) == 1 &&
              window_begin(8, 9, 7) == 2);
static_assert(bias_begin(0, 9, 7) == 6 && bias_begin(4, 9, 7) == 3 && bias_begin(8, 9, 7) == 0);
static_assert(queries_of_key(0, 9, 7).begin == 0 && queries_of_key(0, 9, 7).end == 4);

namespace {

/// The window by its meaning: of all runs of K tokens inside a group, the one whose middle is
/// nearest to the query.
int nearest_window(int query, int count, int kernel_size) {
  int best = 0;
  for (int begin = 0; begin + kernel_size <= count; ++begin) {
    const auto distance = [&](int start) { return std::abs(start + kernel_size / 2 - query); };
    if (distance(begin) < distance(best)) best = begin;
  }
  return best;
}

/// What is wrong with the functions for one group of `count` tokens, or "".
std::string check_group(int count, int kernel_size) {
  std::vector<std::set<int>> queries(count);  // of each key
  for (int query = 0; query < count; ++query) {
    const int begin = window_begin(query, count, kernel_size);
    if (begin != nearest_window(query, count, kernel_size)) return "window_begin";
    if (begin < 0 || begin + kernel_size > count) return "window outside of the group";
    if (query < begin || query >= begin + kernel_size) return "query outside of its window";
    for (int slot = 0; slot < kernel_size; ++slot) {
      const int key = begin + slot;
      queries[key].insert(query);
      const int index = key - query + kernel_size - 1;
      if (bias_begin(query, count, kernel_size) + slot != index) return "bias_begin";
      if (index < 0 || index >= 2 * kernel_size - 1) return "bias index outside of the table";
    }
  }
  for (int key = 0; key < count; ++key) {
    const PositionRange range = queries_of_key(key, count, kernel_size);
    std::set<int> claimed;
    for (int query = range.begin; query < range.end; ++query) claimed.insert(query);
    if (claimed != queries[key]) return "queries_of_key";
    const auto length = static_cast<int>(claimed.size());
    if (length < kernel_size / 2 + 1 || length > 2 * kernel_size - 1) return "number of queries";
  }
  return "";
}

}  // namespace

TEST_CASE("groups split an axis into its tokens", "[na_window]") {
  for (int dilation = 1; dilation <= 40; ++dilation) {
    for (int length = dilation; length <= dilation + 130; ++length) {
      std::vector<int> tokens(dilation, 0);
      for (int token = 0; token < length; ++token) ++tokens[token % dilation];
      for (int group = 0; group < dilation; ++group) {
        if (group_length(length, dilation, group) == tokens[group]) continue;
        FAIL("length " << length << ", dilation " << dilation << ", group " << group);
      }
    }
  }
  CHECK(group_length(1 << 30, 7, 3) == ((1 << 30) - 3 + 6) / 7);
}

TEST_CASE("windows, inverse windows and bias indices agree with their definitions", "[na_window]") {
  int groups = 0;
  for (int kernel_size = 3; kernel_size <= 23; kernel_size += 2) {
    for (int dilation = 1; dilation <= 10; ++dilation) {
      const int shortest = kernel_size * dilation;
      for (int length = shortest; length <= shortest + 2 * kernel_size + dilation; ++length) {
        for (int group = 0; group < dilation; ++group) {
          const int count = group_length(length, dilation, group);
          const std::string wrong = check_group(count, kernel_size);
          ++groups;
          if (wrong.empty()) continue;
          FAIL(wrong << ": K " << kernel_size << ", dilation " << dilation << ", length " << length
                     << ", group " << group);
        }
      }
    }
  }
  CHECK(groups > 10'000);
}

TEST_CASE("long axes", "[na_window]") {
  for (const int count : {31, 100, 1216, 1280, 5000}) {
    for (const int kernel_size : {3, 7, 13, 25, 31}) {
      INFO("group of " << count << ", K " << kernel_size);
      CHECK(check_group(count, kernel_size) == "");
    }
  }
  // The longest inverse window: L = 2K - 1, the key in the middle.
  const PositionRange range = queries_of_key(12, 25, 13);
  CHECK(range.begin == 0);
  CHECK(range.end == 25);
}
