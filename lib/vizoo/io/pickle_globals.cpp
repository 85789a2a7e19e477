#include "vizoo/io/pickle_globals.h"

namespace vizoo {
namespace {

using Dtype = SafetensorsDtype;
using Role = PickleGlobal::Role;

constexpr PickleGlobal kGlobals[] = {
    {"collections", "OrderedDict", Role::ordered_dict},
    {"torch", "Size", Role::size},
    {"torch", "device", Role::device},
    {"torch._utils", "_rebuild_tensor_v2", Role::tensor},
    {"torch._utils", "_rebuild_tensor_v3", Role::tensor_v3},
    {"torch._utils", "_rebuild_parameter", Role::parameter},
    {"torch._utils", "_rebuild_parameter_with_state", Role::parameter},
    {"torch.jit._pickle", "restore_type_tag", Role::type_tag},
    {"torch.storage", "UntypedStorage", Role::storage},
    {"torch", "DoubleStorage", Role::storage, Dtype::F64},
    {"torch", "FloatStorage", Role::storage, Dtype::F32},
    {"torch", "HalfStorage", Role::storage, Dtype::F16},
    {"torch", "BFloat16Storage", Role::storage, Dtype::BF16},
    {"torch", "LongStorage", Role::storage, Dtype::I64},
    {"torch", "IntStorage", Role::storage, Dtype::I32},
    {"torch", "ShortStorage", Role::storage, Dtype::I16},
    {"torch", "CharStorage", Role::storage, Dtype::I8},
    {"torch", "ByteStorage", Role::storage, Dtype::U8},
    {"torch", "BoolStorage", Role::storage, Dtype::BOOL},
    {"torch", "ComplexFloatStorage", Role::storage, Dtype::C64},
    {"torch", "float64", Role::dtype, Dtype::F64},
    {"torch", "float32", Role::dtype, Dtype::F32},
    {"torch", "float16", Role::dtype, Dtype::F16},
    {"torch", "bfloat16", Role::dtype, Dtype::BF16},
    {"torch", "int64", Role::dtype, Dtype::I64},
    {"torch", "int32", Role::dtype, Dtype::I32},
    {"torch", "int16", Role::dtype, Dtype::I16},
    {"torch", "int8", Role::dtype, Dtype::I8},
    {"torch", "uint8", Role::dtype, Dtype::U8},
    {"torch", "uint16", Role::dtype, Dtype::U16},
    {"torch", "uint32", Role::dtype, Dtype::U32},
    {"torch", "uint64", Role::dtype, Dtype::U64},
    {"torch", "bool", Role::dtype, Dtype::BOOL},
    {"torch", "complex64", Role::dtype, Dtype::C64},
    {"torch", "float8_e4m3fn", Role::dtype, Dtype::F8_E4M3},
    {"torch", "float8_e5m2", Role::dtype, Dtype::F8_E5M2},
    {"torch", "float8_e4m3fnuz", Role::dtype, Dtype::F8_E4M3FNUZ},
    {"torch", "float8_e5m2fnuz", Role::dtype, Dtype::F8_E5M2FNUZ},
    {"torch", "float8_e8m0fnu", Role::dtype, Dtype::F8_E8M0},
};

}  // namespace

const PickleGlobal* find_pickle_global(std::string_view module, std::string_view name) {
  for (const PickleGlobal& global : kGlobals) {
    if (name == global.name && module == global.module) return &global;
  }
  return nullptr;
}

}  // namespace vizoo
