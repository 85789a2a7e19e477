#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vizoo {

/// Base of every exception that vizoo throws on purpose.
///
/// `what()` is always one printable line of the form `[where] subject: expected X, got Y. Hint.`:
/// `where` names the part of the library (config, checkpoint, image, ...), `subject` the file and
/// the field, tensor or argument at fault. Text that comes from a file is quoted by `quote`, so a
/// hostile file cannot add lines or megabytes to a message.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}

  /// `[where] subject: expected <expected>, got <got>. <hint>` (`hint` may be empty).
  Error(std::string_view where,
        std::string_view subject,
        std::string_view expected,
        std::string_view got,
        std::string_view hint = {});

  /// `[where] subject: <problem>. <hint>` for what is no matter of expected and got.
  static std::string describe(std::string_view where,
                              std::string_view subject,
                              std::string_view problem,
                              std::string_view hint = {});
};

/// A config.json or preprocessor_config.json value that is missing, of the wrong type or not
/// allowed.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A weight file that is damaged, hostile, absent, or does not fit the model.
class CheckpointError : public Error {
 public:
  using Error::Error;
};

/// A tensor argument whose shape, dtype or device the callee cannot take.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// An image that cannot be decoded or processed.
class ImageError : public Error {
 public:
  using Error::Error;
};

/// A tokenizer file or text that cannot be used.
class TokenizerError : public Error {
 public:
  using Error::Error;
};

/// A request that makes no sense whatever the files hold: unknown name, option out of range.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// `text` in double quotes for use in a message: control characters and invalid UTF-8 become
/// `\xNN`, and text longer than `max_length` bytes is cut and ends in `...`.
std::string quote(std::string_view text, std::size_t max_length = 80);

/// As `quote`, without the quotation marks: for file names at the start of a message.
std::string printable(std::string_view text, std::size_t max_length = 200);

}  // namespace vizoo
