#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

namespace vizoo::ops {

/// The op called `name` ("vizoo::na2d"), with the type of the C++ function that stands for it.
/// Calling it goes through the dispatcher, so that autograd, autocast and tracing see one op.
template <class Function>
auto find_op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

}  // namespace vizoo::ops
