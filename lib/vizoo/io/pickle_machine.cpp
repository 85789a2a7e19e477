// The pickle format: CPython's Lib/pickletools.py, and torch/serialization.py for the storages.
#include "vizoo/io/pickle_machine.h"

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxGlobalName = 100;
constexpr int64_t kProtocol = 2;

// Memory of the tables that have a limit of their own is left out.
constexpr const char* kNotTensors =
    "Only tensors in dicts are read: save model.state_dict() alone, by torch.save or as "
    "safetensors";

std::string shown(unsigned char byte) {
  return quote(std::string_view(reinterpret_cast<const char*>(&byte), 1));
}

}  // namespace

const char* pickle_kind_name(PickleValue::Kind kind) {
  static constexpr const char* kNames[] = {"None",
                                           "a boolean",
                                           "an integer",
                                           "a string",
                                           "a class",
                                           "a tuple",
                                           "a dict",
                                           "a storage",
                                           "a tensor",
                                           "a list",
                                           "another value"};
  return kNames[static_cast<std::size_t>(kind)];
}

PickleValue PickleMachine::run() {
  if (pickle_.size() < 2 || pickle_[0] != '\x80' || pickle_[1] != kProtocol) {
    fail("a pickle of protocol 2",
         pickle_.size() < 2 || pickle_[0] != '\x80'
             ? "other bytes"
             : "protocol " + std::to_string(static_cast<unsigned char>(pickle_[1])),
         "torch.save writes protocol 2 unless it is told otherwise");
  }
  position_ = 2;
  for (;;) {
    opcode_at_ = position_;
    const auto opcode = static_cast<unsigned char>(take(1).front());
    if (opcode == '.') break;
    step(opcode);
  }
  if (!marks_.empty() || stack_.size() != 1) {
    fail("one value at the end", std::to_string(stack_.size()));
  }
  if (position_ != pickle_.size()) {
    fail("nothing after the end", std::to_string(pickle_.size() - position_) + " bytes");
  }
  return stack_.back();
}

void PickleMachine::step(unsigned char opcode) {
  switch (opcode) {
    case '(':  // MARK; counts as a value, or marks alone could fill the memory
      check_held();
      return marks_.push_back(stack_.size());
    case 'N':
      return push(Kind::none);
    case 0x88:
      return push(Kind::boolean, 1);
    case 0x89:
      return push(Kind::boolean, 0);
    case 'J':
      return push(Kind::integer, static_cast<int32_t>(take_number(4)));
    case 'K':
      return push(Kind::integer, static_cast<int64_t>(take_number(1)));
    case 'M':
      return push(Kind::integer, static_cast<int64_t>(take_number(2)));
    case 0x8a:
      return push_long();
    case 'G':
      take(8);
      return push(Kind::other);
    case 'X':
      return push_text();
    case 'c':
      return push_global();
    case ')':
      return push(Kind::tuple);
    case 't':
      return push_tuple(pop_mark());
    case 0x85:
    case 0x86:
    case 0x87:
      return push_tuple(opcode - 0x84U);
    case ']':
      return push(Kind::list);
    case 'a':
      return append(1);
    case 'e':
      return append(pop_mark());
    case '}':
      return push_dict(false);
    case 's':
      return set_items(2);
    case 'u':
      return set_items(pop_mark());
    case 'q':
      return put(take_number(1));
    case 'r':
      return put(take_number(4));
    case 'h':
      return get(take_number(1));
    case 'j':
      return get(take_number(4));
    case 'R':
      return reduce();
    case 'b':
      return build();
    case 'Q':
      return push_storage();
    default:
      fail("an opcode that a pickle of tensors needs", shown(opcode), kNotTensors);
  }
}

void PickleMachine::fail(const std::string& expected,
                         const std::string& got,
                         const std::string& hint) const {
  throw CheckpointError("checkpoint",
                        printable(source_) + ": data.pkl byte " + std::to_string(opcode_at_),
                        expected,
                        got,
                        hint);
}

void PickleMachine::fail_kind(const std::string& expected, const PickleValue& got) const {
  fail(expected, pickle_kind_name(got.kind));
}

std::string_view PickleMachine::take(std::size_t bytes) {
  if (bytes > pickle_.size() - position_) {
    fail(std::to_string(bytes) + (bytes == 1 ? " more byte" : " more bytes"),
         std::to_string(pickle_.size() - position_));
  }
  position_ += bytes;
  return pickle_.substr(position_ - bytes, bytes);
}

uint64_t PickleMachine::take_number(std::size_t bytes) {
  const std::string_view digits = take(bytes);
  uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) {
    value = (value << 8U) | static_cast<unsigned char>(digits[i]);
  }
  return value;
}

// Up to a line feed, which is taken too.
std::string_view PickleMachine::take_line() {
  const std::string_view ahead = pickle_.substr(position_, kMaxGlobalName + 1);
  const std::size_t length = ahead.find('\n');
  if (length == std::string_view::npos) {
    fail("the name of a global, of at most " + std::to_string(kMaxGlobalName) + " bytes",
         quote(ahead, 40),
         kNotTensors);
  }
  position_ += length + 1;
  return ahead.substr(0, length);
}

void PickleMachine::check_held() const {
  if (held() >= kMaxPickleValues) {
    fail("at most " + std::to_string(kMaxPickleValues) + " values", "more");
  }
}

void PickleMachine::push(const PickleValue& value) {
  check_held();
  stack_.push_back(value);
}

PickleValue PickleMachine::pop() {
  if (stack_.size() == floor()) fail("a value on the stack", "none");
  const PickleValue value = stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& PickleMachine::top(Kind kind, const char* expected) {
  if (stack_.size() == floor()) fail(std::string(expected) + " on the stack", "nothing");
  if (stack_.back().kind != kind) fail_kind(std::string(expected) + " on the stack", stack_.back());
  return stack_.back();
}

// How many values stand above the mark.
std::size_t PickleMachine::pop_mark() {
  if (marks_.empty()) fail("a mark on the stack", "none");
  const std::size_t count = stack_.size() - marks_.back();
  marks_.pop_back();
  return count;
}

void PickleMachine::push_text() {
  const std::size_t length = take_number(4);
  take(length);
  push(Kind::text, static_cast<int64_t>(position_ - length), static_cast<uint32_t>(length));
}

void PickleMachine::push_long() {
  const std::size_t length = take_number(1);
  if (length > sizeof(uint64_t)) {
    take(length);
    return push(Kind::other);
  }
  uint64_t value = take_number(length);
  const unsigned missing = 64 - 8 * static_cast<unsigned>(length);
  if (length > 0 && missing > 0 && (value >> (63U - missing)) != 0) {
    value |= ~uint64_t{0} << (64U - missing);  // two's complement of fewer bytes
  }
  push(Kind::integer, static_cast<int64_t>(value));
}

void PickleMachine::push_global() {
  const std::string_view module = take_line();
  const std::string_view name = take_line();
  const PickleGlobal* const global = find_pickle_global(module, name);
  if (global == nullptr) {
    fail("what a pickle of tensors needs",
         "global " + quote(std::string(module) + "." + std::string(name), 200),
         kNotTensors);
  }
  push(Kind::global, static_cast<int64_t>(globals_.size()));
  globals_.push_back(global);
  ++kept_;
}

void PickleMachine::push_tuple(std::size_t count) {
  if (count > stack_.size() - floor()) fail("values for a tuple on the stack", "too few");
  const std::size_t first = items_.size();
  const std::size_t begin = stack_.size() - count;
  for (std::size_t i = 0; i < count; ++i) items_.push_back(stack_[begin + i]);
  stack_.resize(begin);
  kept_ += count;
  push(Kind::tuple, static_cast<int64_t>(first), static_cast<uint32_t>(count));
}

void PickleMachine::push_dict(bool is_ordered) {
  push(Kind::dict, static_cast<int64_t>(dicts_.size()));
  dicts_.push_back({0, 0, is_ordered});
  ++kept_;
}

// What a list holds is no tensor of a state dict, so it is dropped.
void PickleMachine::append(std::size_t count) {
  if (count > stack_.size() - floor()) fail("values for a list on the stack", "too few");
  stack_.resize(stack_.size() - count);
  top(Kind::list, "a list");
}

void PickleMachine::set_items(std::size_t count) {
  if (count > stack_.size() - floor()) fail("a key and a value on the stack", "too few");
  if (count % 2 != 0) fail("pairs of keys and values", std::to_string(count) + " values");
  const std::size_t begin = stack_.size() - count;
  if (begin == floor() || stack_[begin - 1].kind != Kind::dict) {
    fail("a dict on the stack",
         begin == floor() ? "nothing" : pickle_kind_name(stack_[begin - 1].kind));
  }
  Dict& dict = dicts_[index_of(stack_[begin - 1])];
  for (std::size_t i = begin; i < stack_.size(); i += 2) {
    dict_items_.push_back({stack_[i], stack_[i + 1], 0});
    const auto link = static_cast<uint32_t>(dict_items_.size());
    if (dict.first == 0) dict.first = link;
    if (dict.last != 0) dict_items_[dict.last - 1].next = link;
    dict.last = link;
  }
  stack_.resize(begin);
  kept_ += count;
}

// Picklers number what they remember from 0 on, without holes.
void PickleMachine::put(std::size_t index) {
  if (stack_.size() == floor()) fail("a value to remember on the stack", "none");
  if (index > memo_.size()) {
    fail("a place in the memo up to " + std::to_string(memo_.size()), std::to_string(index));
  }
  if (index < memo_.size()) {
    memo_[index] = stack_.back();
  } else {
    check_held();
    memo_.push_back(stack_.back());
    ++kept_;
  }
}

void PickleMachine::get(std::size_t index) {
  if (index >= memo_.size()) {
    fail("a place in the memo below " + std::to_string(memo_.size()), std::to_string(index));
  }
  push(memo_[index]);
}

}  // namespace vizoo
