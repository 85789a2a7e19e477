#include "vizoo/training/data/coco_fields.h"

#include <algorithm>

#include "vizoo/core/error.h"

namespace vizoo::detail {

void skip_json_value(JsonScanner& scanner, JsonEvent event) {
  if (event != JsonEvent::object_begin && event != JsonEvent::array_begin) return;
  const std::size_t outside = scanner.depth() - 1;
  while (scanner.depth() > outside) scanner.next();
}

std::optional<double> number_of(const JsonScanner& scanner, JsonEvent event) {
  if (event == JsonEvent::integer) return static_cast<double>(scanner.integer());
  if (event == JsonEvent::unsigned_integer) return static_cast<double>(scanner.unsigned_integer());
  if (event == JsonEvent::number) return scanner.number();
  return std::nullopt;
}

void CocoFields::fail(const std::string& name,
                      const std::string& expected,
                      const std::string& got) const {
  throw ConfigError("config", source_ + ": " + path_ + "/" + name, expected, got);
}

void CocoFields::read(JsonScanner& scanner, const std::vector<std::string>& names) {
  for (auto event = scanner.next(); event != JsonEvent::object_end; event = scanner.next()) {
    const std::string name(scanner.text());
    event = scanner.next();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      skip_json_value(scanner, event);
      continue;
    }
    if (!values_.emplace(name, read_value(scanner, name, event)).second) {
      fail(name, "one value", "two");
    }
  }
}

CocoFields::Value CocoFields::read_value(JsonScanner& scanner,
                                         const std::string& name,
                                         JsonEvent event) const {
  Value value;
  value.number = number_of(scanner, event);
  if (event == JsonEvent::integer) {
    value.integer = scanner.integer();
  } else if (event == JsonEvent::unsigned_integer &&
             scanner.unsigned_integer() <= static_cast<uint64_t>(INT64_MAX)) {
    value.integer = static_cast<int64_t>(scanner.unsigned_integer());
  } else if (event == JsonEvent::boolean) {
    value.flag = scanner.boolean();
  } else if (event == JsonEvent::string) {
    value.text = std::string(scanner.text());
  } else if (event == JsonEvent::array_begin) {
    value.numbers = read_numbers(scanner, name);
  } else {
    skip_json_value(scanner, event);
  }
  return value;
}

std::vector<double> CocoFields::read_numbers(JsonScanner& scanner, const std::string& name) const {
  std::vector<double> numbers;
  for (auto event = scanner.next(); event != JsonEvent::array_end; event = scanner.next()) {
    const auto number = number_of(scanner, event);
    if (!number) fail(name, "an array of numbers", "one with another value");
    numbers.push_back(*number);
  }
  return numbers;
}

const CocoFields::Value& CocoFields::find(const std::string& name, const char* expected) const {
  const auto found = values_.find(name);
  if (found == values_.end()) fail(name, expected, "no such member");
  return found->second;
}

int64_t CocoFields::integer(const std::string& name) const {
  const Value& value = find(name, "an integer");
  if (!value.integer) fail(name, "an integer", "another value");
  return *value.integer;
}

double CocoFields::number(const std::string& name) const {
  const Value& value = find(name, "a number");
  if (!value.number) fail(name, "a number", "another value");
  return *value.number;
}

bool CocoFields::flag(const std::string& name) const {
  const Value& value = find(name, "0 or 1");
  if (value.flag) return *value.flag;
  if (!value.integer || *value.integer < 0 || *value.integer > 1) {
    fail(name, "0 or 1", "another value");
  }
  return *value.integer == 1;
}

const std::string& CocoFields::text(const std::string& name) const {
  const Value& value = find(name, "a string");
  if (!value.text) fail(name, "a string", "another value");
  return *value.text;
}

const std::vector<double>& CocoFields::numbers(const std::string& name) const {
  const Value& value = find(name, "an array of numbers");
  if (!value.numbers) fail(name, "an array of numbers", "another value");
  return *value.numbers;
}

}  // namespace vizoo::detail
