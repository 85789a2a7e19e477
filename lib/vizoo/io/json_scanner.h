#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vizoo {

/// What `JsonScanner::next` found.
enum class JsonEvent {
  object_begin,
  object_end,
  array_begin,
  array_end,
  key,               ///< `text()`
  string,            ///< `text()`
  integer,           ///< a negative integer, `integer()`
  unsigned_integer,  ///< a non-negative integer, `unsigned_integer()`
  number,            ///< has a fraction or an exponent, or exceeds 64 bits: `number()`
  boolean,           ///< `boolean()`
  null,
  end,  ///< the text is complete
};

/// The text is not JSON. Parsers turn it into a ConfigError or CheckpointError that names the file.
class JsonScanError : public std::runtime_error {
 public:
  JsonScanError(std::size_t offset, std::string expected, std::string got);

  std::size_t offset;    ///< byte at fault
  std::string expected;  ///< for a message, such as `"," or "}"`
  std::string got;       ///< for a message, quoted
};

/// Reads JSON (RFC 8259) one event at a time, without recursion and without building a tree.
///
/// Strict: no comments, no trailing commas, no NaN, no byte order mark, no invalid UTF-8, no lone
/// surrogates, no number that overflows a double, at most `kMaxDepth` containers inside each
/// other, nothing but white space after the value. Duplicate keys are the caller's business.
/// Memory: the longest string that holds an escape sequence.
class JsonScanner {
 public:
  static constexpr std::size_t kMaxDepth = 64;

  /// `text` must outlive the scanner; `max_depth` is at most `kMaxDepth`. Strings that hold escape
  /// sequences may have at most `max_unescaped` bytes, since they have to be copied.
  explicit JsonScanner(std::string_view text,
                       std::size_t max_depth = kMaxDepth,
                       std::size_t max_unescaped = static_cast<std::size_t>(-1));

  /// The next event. Throws JsonScanError.
  JsonEvent next();

  /// The key or string, valid until the next call of `next`; for numbers the literal.
  std::string_view text() const { return text_; }
  /// Whether the key or string held an escape sequence; if not, `text()` points into the input.
  bool text_is_unescaped() const { return text_is_unescaped_; }
  int64_t integer() const { return integer_; }
  uint64_t unsigned_integer() const { return unsigned_integer_; }
  double number() const { return number_; }
  bool boolean() const { return boolean_; }

  /// Byte at which the last event began.
  std::size_t offset() const { return start_; }

  /// Containers that are open after the last event.
  std::size_t depth() const { return depth_; }

 private:
  enum class State { value, array_start, object_start, after_key, after_value };

  void skip_white_space();
  bool at_end() const { return position_ == input_.size(); }
  bool in_object() const { return ((is_object_ >> (depth_ - 1)) & 1U) != 0; }
  JsonEvent open(bool object);
  JsonEvent close();
  JsonEvent scan_after_value();
  JsonEvent scan_key(const char* expected);
  JsonEvent scan_value(const char* expected);
  JsonEvent scan_number();
  JsonEvent scan_word(std::string_view word, JsonEvent event);
  void scan_string();
  void skip_plain_text();
  void skip_code_points();
  void scan_escape();
  void check_unescaped() const;
  uint32_t scan_four_hex_digits();
  std::size_t scan_digits();
  [[noreturn]] void fail(std::string expected) const;
  [[noreturn]] void fail_at(std::size_t offset, std::string expected) const;

  std::string_view input_;
  std::size_t max_depth_;
  std::size_t max_unescaped_;
  std::size_t position_ = 0;
  std::size_t start_ = 0;
  std::size_t depth_ = 0;
  uint64_t is_object_ = 0;  // bit i: container i is an object
  State state_ = State::value;

  std::string_view text_;
  std::string unescaped_;
  bool text_is_unescaped_ = false;
  int64_t integer_ = 0;
  uint64_t unsigned_integer_ = 0;
  double number_ = 0;
  bool boolean_ = false;
};

/// Line and column of a byte offset, both from 1; the column counts code points.
struct TextPosition {
  std::size_t line = 1;
  std::size_t column = 1;
};
TextPosition text_position(std::string_view text, std::size_t offset);

}  // namespace vizoo
