#pragma once

// What register.cpp calls for each dispatch key, one function a file. The implementations of a key
// stand beside each other in that file.

namespace torch {
class Library;
}

namespace vizoo::ops {

/// CPU and CUDA: checks the arguments, then calls the device's kernels.
void register_device_kernels(torch::Library& library);

/// Meta: checks the arguments and gives results without data, for symbolic sizes too.
void register_shape_functions(torch::Library& library);

/// Autograd: forward ops call their backward ops, which refuse to be differentiated.
void register_gradients(torch::Library& library);

/// AutocastCPU and AutocastCUDA: casts to the type that autocast is set to.
void register_autocast(torch::Library& library);

}  // namespace vizoo::ops
