#pragma once

#include <optional>
#include <string_view>

#include "vizoo/io/safetensors_dtype.h"

namespace vizoo {

/// A Python class, function or value that a pickle of tensors may name.
struct PickleGlobal {
  enum class Role {
    ordered_dict,  ///< collections.OrderedDict
    size,          ///< torch.Size
    device,        ///< torch.device
    tensor,        ///< torch._utils._rebuild_tensor_v2
    tensor_v3,     ///< torch._utils._rebuild_tensor_v3, whose dtype is an argument
    parameter,     ///< torch._utils._rebuild_parameter and _rebuild_parameter_with_state
    type_tag,      ///< torch.jit._pickle.restore_type_tag, by torch::pickle_save around a dict
    storage,       ///< torch.FloatStorage and such; UntypedStorage has no dtype
    dtype,         ///< torch.float32 and such
  };

  const char* module;
  const char* name;
  Role role;
  std::optional<SafetensorsDtype> dtype = std::nullopt;
};

/// The row of the list of globals that are read, or null: whatever else a pickle names, it is
/// refused.
const PickleGlobal* find_pickle_global(std::string_view module, std::string_view name);

}  // namespace vizoo
