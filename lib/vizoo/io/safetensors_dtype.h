#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vizoo {

/// Element types of the safetensors format. The order is that of the reference implementation:
/// writers put tensors of later types first, so that every tensor is aligned.
enum class SafetensorsDtype : uint8_t {
  BOOL,
  F4,
  F6_E2M3,
  F6_E3M2,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  F8_E8M0,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64,
};

/// The name in the file, such as "BF16".
const char* dtype_name(SafetensorsDtype dtype);

/// The type called `name`, or nothing.
std::optional<SafetensorsDtype> dtype_from_name(std::string_view name);

/// Bits of one element: 4, 6, 8, 16, 32 or 64.
uint64_t dtype_bits(SafetensorsDtype dtype);

/// Whether LibTorch has a type with one element of this type per element: all but F4, F6_E2M3 and
/// F6_E3M2, which can be listed only.
bool dtype_is_loadable(SafetensorsDtype dtype);

}  // namespace vizoo
