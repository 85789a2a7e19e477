#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/io/json_scanner.h"

namespace vizoo::detail {

/// Members of one JSON object whose values are scalars or arrays of numbers.
class CocoFields {
 public:
  /// `path` is the object's place in the file, such as /images/3, for messages.
  CocoFields(std::string source, std::string path)
      : source_(std::move(source)), path_(std::move(path)) {}

  /// Reads the rest of an object, whose beginning was the last event. Members other than `names`,
  /// whatever they are, are passed over. Throws ConfigError for one given twice.
  void read(JsonScanner& scanner, const std::vector<std::string>& names);

  bool has(const std::string& name) const { return values_.count(name) != 0; }
  /// Each throws ConfigError if the member is missing or of another type.
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  bool flag(const std::string& name) const;  ///< true, false, 1 or 0
  const std::string& text(const std::string& name) const;
  const std::vector<double>& numbers(const std::string& name) const;

  /// Throws ConfigError: `[config] FILE: PATH/name: expected ..., got ...`.
  [[noreturn]] void fail(const std::string& name,
                         const std::string& expected,
                         const std::string& got) const;

  const std::string& path() const { return path_; }

 private:
  struct Value {
    std::optional<int64_t> integer;
    std::optional<double> number;
    std::optional<bool> flag;
    std::optional<std::string> text;
    std::optional<std::vector<double>> numbers;
  };

  Value read_value(JsonScanner& scanner, const std::string& name, JsonEvent event) const;
  std::vector<double> read_numbers(JsonScanner& scanner, const std::string& name) const;
  const Value& find(const std::string& name, const char* expected) const;

  std::string source_;
  std::string path_;
  std::map<std::string, Value> values_;
};

/// Passes over the value that begins with `event`.
void skip_json_value(JsonScanner& scanner, JsonEvent event);

/// Number of a numeric event, else none.
std::optional<double> number_of(const JsonScanner& scanner, JsonEvent event);

}  // namespace vizoo::detail
