#include "vizoo/io/safetensors_dtype.h"

#include <cstddef>

namespace vizoo {
namespace {

struct DtypeRow {
  const char* name;
  uint64_t bits;
};

// Indexed by SafetensorsDtype.
constexpr DtypeRow kRows[] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
};
static_assert(sizeof(kRows) / sizeof(kRows[0]) ==
              static_cast<std::size_t>(SafetensorsDtype::U64) + 1);

const DtypeRow& row(SafetensorsDtype dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

}  // namespace

const char* dtype_name(SafetensorsDtype dtype) { return row(dtype).name; }

std::optional<SafetensorsDtype> dtype_from_name(std::string_view name) {
  uint8_t index = 0;
  for (const DtypeRow& candidate : kRows) {
    if (name == candidate.name) return static_cast<SafetensorsDtype>(index);
    ++index;
  }
  return std::nullopt;
}

uint64_t dtype_bits(SafetensorsDtype dtype) { return row(dtype).bits; }

bool dtype_is_loadable(SafetensorsDtype dtype) { return row(dtype).bits >= 8; }

}  // namespace vizoo
