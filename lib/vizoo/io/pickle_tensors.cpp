// The part of PickleMachine that knows torch: what globals are called with, and what that makes.
#include <limits>

#include "vizoo/core/error.h"
#include "vizoo/io/pickle_machine.h"

namespace vizoo {
namespace {

bool multiply(int64_t a, int64_t b, int64_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

int64_t bytes_of(SafetensorsDtype dtype) { return static_cast<int64_t>(dtype_bits(dtype) / 8); }

}  // namespace

void PickleMachine::reduce() {
  const PickleValue arguments = pop();
  const PickleValue function = pop();
  if (arguments.kind != Kind::tuple) fail_kind("a tuple of arguments", arguments);
  if (function.kind != Kind::global) fail_kind("a class or function", function);
  const PickleGlobal& global = *globals_[index_of(function)];
  const auto subject = [&] { return std::string(global.module) + "." + global.name; };
  switch (global.role) {
    case PickleGlobal::Role::ordered_dict:
      if (arguments.size != 0) {
        fail(subject() + " without arguments", std::to_string(arguments.size));
      }
      return push_dict(true);
    case PickleGlobal::Role::size:
    case PickleGlobal::Role::device:
      return push(Kind::other);
    case PickleGlobal::Role::tensor:
    case PickleGlobal::Role::tensor_v3:
      return push_tensor(global, arguments);
    case PickleGlobal::Role::parameter:
      // (tensor, requires_grad, hooks) and perhaps attributes: the tensor is what counts.
      if (arguments.size < 3 || arguments.size > 4) {
        fail(subject() + " with 3 or 4 arguments", std::to_string(arguments.size));
      }
      if (item(arguments, 0).kind != Kind::tensor) fail_kind("a tensor", item(arguments, 0));
      return push(item(arguments, 0));
    case PickleGlobal::Role::type_tag:
      // (value, name of its type)
      if (arguments.size != 2) {
        fail(subject() + " with 2 arguments", std::to_string(arguments.size));
      }
      return push(item(arguments, 0));
    case PickleGlobal::Role::storage:
    case PickleGlobal::Role::dtype:
      break;
  }
  fail("a function that makes a tensor", "a call of " + subject());
}

// The attributes of an OrderedDict (torch sets `_metadata`): they are ignored.
void PickleMachine::build() {
  const PickleValue state = pop();
  if (state.kind != Kind::dict) fail_kind("a dict of attributes", state);
  const PickleValue& target = top(Kind::dict, "a dict");
  if (!dicts_[index_of(target)].is_ordered) fail("an OrderedDict with attributes", "a dict");
}

// ('storage', type, key, location, number of elements)
void PickleMachine::push_storage() {
  const PickleValue id = pop();
  if (id.kind != Kind::tuple || id.size != 5) {
    fail("a persistent id that is a tuple of 5",
         id.kind == Kind::tuple ? std::to_string(id.size) : pickle_kind_name(id.kind));
  }
  if (item(id, 0).kind != Kind::text || text(item(id, 0)) != "storage") {
    fail("a persistent id of a \"storage\"",
         item(id, 0).kind == Kind::text ? quote(text(item(id, 0)))
                                        : pickle_kind_name(item(id, 0).kind));
  }
  PickleStorage storage;
  if (item(id, 1).kind == Kind::global) storage.type = globals_[index_of(item(id, 1))];
  if (storage.type == nullptr || storage.type->role != PickleGlobal::Role::storage) {
    fail_kind("the type of a storage", item(id, 1));
  }
  if (item(id, 2).kind != Kind::text) fail_kind("the key of a storage", item(id, 2));
  if (item(id, 3).kind != Kind::text) fail_kind("the device of a storage", item(id, 3));
  storage.key = text(item(id, 2));
  const int64_t elements = take_size(item(id, 4), "a number of elements");
  const int64_t element = storage.type->dtype ? bytes_of(*storage.type->dtype) : 1;
  if (!multiply(elements, element, storage.bytes)) {
    fail("a storage of fewer than 2^63 bytes", std::to_string(elements) + " elements");
  }
  if (storages_.size() == kMaxPickleTensors) {
    fail("at most " + std::to_string(kMaxPickleTensors) + " storages", "more");
  }
  push(Kind::storage, static_cast<int64_t>(storages_.size()));
  storages_.push_back(storage);
}

// (storage, offset, sizes, strides, requires_grad, hooks[, dtype of v3][, flags])
void PickleMachine::push_tensor(const PickleGlobal& function, const PickleValue& arguments) {
  const bool is_v3 = function.role == PickleGlobal::Role::tensor_v3;
  const std::size_t required = is_v3 ? 7 : 6;
  if (arguments.size < required || arguments.size > required + 1) {
    fail(std::string(function.name) + " with " + std::to_string(required) + " or " +
             std::to_string(required + 1) + " arguments",
         std::to_string(arguments.size));
  }
  const PickleValue& storage = item(arguments, 0);
  if (storage.kind != Kind::storage) fail_kind("the storage of a tensor", storage);
  PickleTensor tensor;
  tensor.storage = index_of(storage);
  tensor.offset = take_size(item(arguments, 1), "the offset of a tensor");
  tensor.sizes = item(arguments, 2);
  tensor.strides = item(arguments, 3);
  if (is_v3) {
    const PickleValue& dtype = item(arguments, 6);
    const PickleGlobal* global = nullptr;
    if (dtype.kind == Kind::global) global = globals_[index_of(dtype)];
    if (global == nullptr || global->role != PickleGlobal::Role::dtype) {
      fail_kind("the dtype of a tensor", dtype);
    }
    tensor.dtype = *global->dtype;
  } else {
    const auto dtype = storages_[tensor.storage].type->dtype;
    if (!dtype) fail("a storage that has a dtype", "torch.storage.UntypedStorage");
    tensor.dtype = *dtype;
  }
  if (arguments.size > required) {
    // Lazily conjugated or negated: the bytes are not the values.
    const PickleValue& flags = item(arguments, required);
    const bool empty =
        flags.kind == Kind::none || (flags.kind == Kind::dict && dict(flags).first == 0);
    if (!empty) fail("a tensor without flags", pickle_kind_name(flags.kind));
  }
  if (tensors_.size() == kMaxPickleTensors) {
    fail("at most " + std::to_string(kMaxPickleTensors) + " tensors", "more");
  }
  check_extent(tensor);
  push(Kind::tensor, static_cast<int64_t>(tensors_.size()));
  tensors_.push_back(tensor);
}

// Which elements of its storage the tensor reaches.
void PickleMachine::check_extent(PickleTensor& tensor) const {
  const PickleValue& sizes = tensor.sizes;
  const PickleValue& strides = tensor.strides;
  if (sizes.kind != Kind::tuple) fail_kind("a tuple of sizes", sizes);
  if (strides.kind != Kind::tuple) fail_kind("a tuple of strides", strides);
  if (sizes.size > kMaxPickleRank || strides.size != sizes.size) {
    fail("as many strides as sizes, at most " + std::to_string(kMaxPickleRank),
         std::to_string(sizes.size) + " sizes and " + std::to_string(strides.size) + " strides");
  }
  int64_t elements = 1;  // without the sizes of 0, which must not hide an overflow
  int64_t last = tensor.offset;
  bool is_empty = false;
  bool fits = true;
  for (std::size_t i = 0; i < sizes.size; ++i) {
    const int64_t size = take_size(item(sizes, i), "a size");
    const int64_t stride = take_size(item(strides, i), "a stride");
    is_empty = is_empty || size == 0;
    if (size == 0) continue;
    int64_t reach = 0;
    fits = fits && multiply(elements, size, elements) && multiply(size - 1, stride, reach) &&
           !__builtin_add_overflow(last, reach, &last);
  }
  const int64_t element = bytes_of(tensor.dtype);
  int64_t bytes = 0;
  if (!fits || !multiply(elements, element, bytes)) {
    fail("a tensor of fewer than 2^63 bytes", "more");
  }
  const int64_t available = storages_[tensor.storage].bytes / element;
  if (is_empty) return;
  if (last >= available) {
    fail("a tensor within its storage of " + std::to_string(available) + " elements",
         "one that ends at element " + std::to_string(last));
  }
  tensor.elements = elements;
  tensor.extent = last - tensor.offset + 1;
}

int64_t PickleMachine::take_size(const PickleValue& value, const char* what) const {
  if (value.kind != Kind::integer) fail_kind(what, value);
  if (value.number < 0) fail(std::string(what) + " of at least 0", std::to_string(value.number));
  return value.number;
}

}  // namespace vizoo
