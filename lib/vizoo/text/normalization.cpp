// Normalization form C with alignment (UAX #15). The `tokenizers` library carries a count with each
// code point: 0, it replaces one code point of the source; 1, it is inserted; -n, it replaces one
// and removes n after it. Origins follow from reading the source by these counts.
#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "vizoo/text/unicode.h"

namespace vizoo {
namespace {

struct Part {
  uint32_t value;
  int change;
  uint8_t combining_class;
};

// Marks with a combining class that came after Unicode 9.
constexpr uint32_t kLaterMarks[][2] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34},
    {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
    {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f},
    {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}};

// The one canonical composition that came after Unicode 9 (13.0).
constexpr uint32_t kLaterComposition = 0x11938;

bool is_later_mark(uint32_t code_point) {
  const auto* range = std::lower_bound(
      std::begin(kLaterMarks), std::end(kLaterMarks), code_point, [](const auto& r, uint32_t c) {
        return r[1] < c;
      });
  return range != std::end(kLaterMarks) && (*range)[0] <= code_point;
}

uint8_t combining_class(uint32_t code_point, NormalizationRules rules) {
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code_point));
  const auto result = static_cast<uint8_t>(property->combining_class);
  if (result != 0 && rules == NormalizationRules::unicode9 && is_later_mark(code_point)) return 0;
  return result;
}

// No canonical decomposition has more than four code points.
constexpr int kMaxDecomposition = 8;

void decompose(uint32_t code_point, NormalizationRules rules, std::vector<Part>& parts) {
  utf8proc_int32_t buffer[kMaxDecomposition];
  int boundary = 0;
  auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point),
                                       buffer,
                                       kMaxDecomposition,
                                       UTF8PROC_DECOMPOSE,
                                       &boundary);
  if (rules == NormalizationRules::unicode9 && code_point == kLaterComposition) {
    buffer[0] = static_cast<utf8proc_int32_t>(code_point);
    count = 1;
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    const auto value = static_cast<uint32_t>(buffer[i]);
    parts.push_back({value, i == 0 ? 0 : 1, combining_class(value, rules)});
  }
}

// The primary composite of two code points, or 0.
uint32_t compose(uint32_t first, uint32_t second, NormalizationRules rules) {
  utf8proc_int32_t pair[2] = {static_cast<utf8proc_int32_t>(first),
                              static_cast<utf8proc_int32_t>(second)};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  if (utf8proc_normalize_utf32(pair, 2, options) != 1) return 0;
  const auto composite = static_cast<uint32_t>(pair[0]);
  return rules == NormalizationRules::unicode9 && composite == kLaterComposition ? 0 : composite;
}

void sort_marks(std::vector<Part>& parts) {
  for (auto begin = parts.begin(); begin != parts.end();) {
    if (begin->combining_class == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, parts.end(), [](const Part& p) { return p.combining_class == 0; });
    std::stable_sort(begin, end, [](const Part& left, const Part& right) {
      return left.combining_class < right.combining_class;
    });
    begin = end;
  }
}

// Composes in place: parts[0, written) is finished, parts[starter] takes what combines with it.
void compose_all(std::vector<Part>& parts, NormalizationRules rules) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t starter = kNone;
  std::size_t written = 0;
  for (const Part part : parts) {
    const bool adjacent = starter != kNone && starter + 1 == written;
    const bool blocked =
        !adjacent && starter != kNone && parts[written - 1].combining_class >= part.combining_class;
    if (starter != kNone && !blocked) {
      if (const auto composite = compose(parts[starter].value, part.value, rules)) {
        parts[starter].value = composite;
        parts[starter].change += part.change - 1;
        continue;
      }
    }
    if (part.combining_class == 0) starter = written;
    parts[written++] = part;
  }
  parts.resize(written);
}

}  // namespace

void normalize_nfc(AlignedText& text, NormalizationRules rules) {
  constexpr uint32_t kFirstThatCombines = 0x300;
  if (std::all_of(text.begin(), text.end(), [](const AlignedCodePoint& c) {
        return c.value < kFirstThatCombines;
      })) {
    return;
  }
  std::vector<Part> parts;
  parts.reserve(text.size() + 16);
  for (const auto& c : text) decompose(c.value, rules, parts);
  sort_marks(parts);
  compose_all(parts, rules);

  AlignedText result;
  result.reserve(parts.size());
  std::size_t read = 0;
  for (const auto& part : parts) {
    const bool inserted = part.change > 0;
    const std::size_t source = inserted && read > 0 ? read - 1 : read;
    result.push_back({part.value, text[std::min(source, text.size() - 1)].origin});
    if (!inserted) read += static_cast<std::size_t>(1 - part.change);
  }
  text = std::move(result);
}

}  // namespace vizoo
