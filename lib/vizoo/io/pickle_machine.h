#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/io/pickle_globals.h"

namespace vizoo {

/// Most values that a pickle may make the machine hold, memo and items included: a tensor takes
/// about twenty of them.
inline constexpr std::size_t kMaxPickleValues = 1'500'000;
/// Most storages, and most tensors, that a pickle may make.
inline constexpr std::size_t kMaxPickleTensors = 100'000;
inline constexpr std::size_t kMaxPickleRank = 64;

/// A Python value, as far as it matters for tensors.
struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,  ///< number: 0 or 1
    integer,  ///< number
    text,     ///< number: where it begins in the pickle; size: its bytes
    global,   ///< number: index into `globals`
    tuple,    ///< number: index into `items`; size: how many
    dict,     ///< number: index into `dicts`
    storage,  ///< number: index into `storages`
    tensor,   ///< number: index into `tensors`
    list,     ///< what it holds is not kept
    other,    ///< a float, an integer beyond 64 bits, a torch.Size or a torch.device
  };

  Kind kind = Kind::none;
  uint32_t size = 0;
  int64_t number = 0;
};

/// What the kind is called in messages, such as "a dict".
const char* pickle_kind_name(PickleValue::Kind kind);

/// A storage as the pickle claims it to be.
struct PickleStorage {
  const PickleGlobal* type = nullptr;
  std::string_view key;  ///< of the entry data/<key> that holds the bytes
  int64_t bytes = 0;
};

/// A tensor whose sizes, strides and offset have been checked against its storage.
struct PickleTensor {
  SafetensorsDtype dtype = SafetensorsDtype::U8;
  std::size_t storage = 0;  ///< index into `storages`
  int64_t offset = 0;       ///< in elements
  int64_t extent = 0;       ///< elements from the first to past the last one, 0 if it has none
  int64_t elements = 0;
  PickleValue sizes;    ///< tuple of integers
  PickleValue strides;  ///< tuple of as many, in elements
};

/// Runs a pickle of tensors: protocol 2, 31 opcodes, the globals of `find_pickle_global`, and
/// nothing else. No Python object is made and no function is called: what the pickle describes
/// becomes values in the tables below. There is no recursion, a step takes constant time (sizes of
/// a tensor: at most kMaxPickleRank), every length is checked before it is used, and the limits
/// above bound the memory at 48 MiB whatever the pickle says.
class PickleMachine {
 public:
  struct Item {
    PickleValue key;
    PickleValue value;
    uint32_t next = 0;  ///< index + 1 of the dict's next item, 0 at its end
  };
  struct Dict {
    uint32_t first = 0;  ///< index + 1 of its first item, 0 if it is empty
    uint32_t last = 0;
    bool is_ordered = false;  ///< a collections.OrderedDict, which may have attributes
  };

  /// `source` is the file's name in messages. Both must outlive the machine.
  PickleMachine(std::string_view pickle, const std::string& source)
      : pickle_(pickle), source_(source) {}

  /// Runs the whole pickle and returns the value that it makes. Throws CheckpointError, with the
  /// byte of the pickle, for whatever is not allowed.
  PickleValue run();

  std::string_view text(const PickleValue& value) const {
    return pickle_.substr(static_cast<std::size_t>(value.number), value.size);
  }
  const PickleValue& item(const PickleValue& tuple, std::size_t index) const {
    return items_[static_cast<std::size_t>(tuple.number) + index];
  }
  const Dict& dict(const PickleValue& value) const { return dicts_[index_of(value)]; }
  const Item& dict_item(uint32_t link) const { return dict_items_[link - 1]; }
  const PickleTensor& tensor(const PickleValue& value) const { return tensors_[index_of(value)]; }
  const PickleStorage& storage(std::size_t index) const { return storages_[index]; }

 private:
  using Kind = PickleValue::Kind;

  static std::size_t index_of(const PickleValue& value) {
    return static_cast<std::size_t>(value.number);
  }

  [[noreturn]] void fail(const std::string& expected,
                         const std::string& got,
                         const std::string& hint = {}) const;
  [[noreturn]] void fail_kind(const std::string& expected, const PickleValue& got) const;

  void step(unsigned char opcode);
  std::string_view take(std::size_t bytes);
  uint64_t take_number(std::size_t bytes);
  std::string_view take_line();

  void push(const PickleValue& value);
  void push(Kind kind, int64_t number = 0, uint32_t size = 0) { push({kind, size, number}); }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue pop();
  PickleValue& top(Kind kind, const char* expected);
  std::size_t pop_mark();
  std::size_t held() const { return stack_.size() + marks_.size() + kept_; }
  void check_held() const;

  void push_text();
  void push_long();
  void push_global();
  void push_tuple(std::size_t count);
  void push_dict(bool is_ordered);
  void append(std::size_t count);
  void set_items(std::size_t count);
  void put(std::size_t index);
  void get(std::size_t index);
  void reduce();
  void build();
  void push_storage();
  void push_tensor(const PickleGlobal& function, const PickleValue& arguments);
  void check_extent(PickleTensor& tensor) const;
  int64_t take_size(const PickleValue& value, const char* what) const;

  std::string_view pickle_;
  const std::string& source_;
  std::size_t position_ = 0;
  std::size_t opcode_at_ = 0;
  std::size_t kept_ = 0;  // values in items, dicts, memo and globals

  // Deques: a vector would hold twice the memory while it grows.
  std::deque<PickleValue> stack_;
  std::deque<PickleValue> items_;  // of tuples
  std::deque<PickleValue> memo_;
  std::deque<Item> dict_items_;
  std::deque<Dict> dicts_;
  std::deque<std::size_t> marks_;  // heights of the stack
  std::deque<const PickleGlobal*> globals_;
  std::deque<PickleStorage> storages_;
  std::deque<PickleTensor> tensors_;
};

}  // namespace vizoo
