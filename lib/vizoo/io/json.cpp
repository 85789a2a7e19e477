#include "vizoo/io/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/json_scanner.h"
#include "vizoo/io/utf8.h"

namespace vizoo {
namespace {

// Builds the tree from the scanner's events.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, const std::string& source, FileKind kind)
      : text_(text),
        source_(source),
        kind_(kind),
        scanner_(text),
        budget_(text.size() + kSpareMemory) {}

  Json build() {
    try {
      Json root;
      for (JsonEvent event = scanner_.next(); event != JsonEvent::end; event = scanner_.next()) {
        add(root, event);
      }
      return root;
    } catch (const JsonScanError& error) {
      fail(error.offset, "expected " + error.expected + ", got " + error.got);
    }
  }

 private:
  // What a value takes in the tree at most, allocator overhead and the growth of vectors included.
  static constexpr std::size_t kSpareMemory = std::size_t{24} << 20U;
  static constexpr std::size_t kElementBytes = 48;  // of an array
  static constexpr std::size_t kMemberBytes = 128;  // of an object, key and value
  static constexpr std::size_t kContainerBytes = 80;
  static constexpr std::size_t kStringBytes = 64;

  struct Open {
    Json* container;
    const std::string* key;  // of the member that is being read; stable, it lives in the map
  };

  [[noreturn]] void fail(std::size_t offset, const std::string& problem) const {
    const TextPosition position = text_position(text_, offset);
    const std::string subject = printable(source_) + ":" + std::to_string(position.line) + ":" +
                                std::to_string(position.column);
    throw_file_problem(kind_, subject, problem);
  }

  void spend(std::size_t bytes) {
    if (bytes > budget_) {
      fail(scanner_.offset(),
           "expected values that fit into the text's size plus " + std::to_string(kSpareMemory) +
               " bytes of memory, got more");
    }
    budget_ -= bytes;
  }

  std::string path_to(std::string_view key) const {
    std::string path;
    for (std::size_t i = 0; i + 1 < stack_.size(); ++i) {
      const Open& open = stack_[i];
      path += open.key != nullptr ? json_path_step(*open.key)
                                  : "/" + std::to_string(open.container->size() - 1);
    }
    return path + json_path_step(key);
  }

  void add(Json& root, JsonEvent event) {
    switch (event) {
      case JsonEvent::object_end:
      case JsonEvent::array_end:
        stack_.pop_back();
        return;
      case JsonEvent::key:
        add_key();
        return;
      case JsonEvent::object_begin:
        spend(kContainerBytes);
        stack_.push_back({&place(root, Json::object()), nullptr});
        return;
      case JsonEvent::array_begin:
        spend(kContainerBytes);
        stack_.push_back({&place(root, Json::array()), nullptr});
        return;
      default:
        place(root, scalar(event));
    }
  }

  void add_key() {
    Open& open = stack_.back();
    spend(kMemberBytes + scanner_.text().size());
    const auto [member, inserted] = open.container->get_ref<Json::object_t&>().try_emplace(
        std::string(scanner_.text()), nullptr);
    if (!inserted) {
      fail(scanner_.offset(),
           printable(path_to(scanner_.text())) + ": expected every key once, got " +
               quote(scanner_.text()) + " again");
    }
    open.key = &member->first;
  }

  Json scalar(JsonEvent event) {
    switch (event) {
      case JsonEvent::string:
        spend(kStringBytes + scanner_.text().size());
        return std::string(scanner_.text());
      case JsonEvent::integer:
        return scanner_.integer();
      case JsonEvent::unsigned_integer:
        return scanner_.unsigned_integer();
      case JsonEvent::number:
        return scanner_.number();
      case JsonEvent::boolean:
        return scanner_.boolean();
      default:
        return nullptr;
    }
  }

  // Puts a value where it belongs and returns it there.
  Json& place(Json& root, Json&& value) {
    if (stack_.empty()) return root = std::move(value);
    Open& open = stack_.back();
    if (open.key != nullptr) {
      return open.container->get_ref<Json::object_t&>().find(*open.key)->second = std::move(value);
    }
    spend(kElementBytes);
    return open.container->get_ref<Json::array_t&>().emplace_back(std::move(value));
  }

  std::string_view text_;
  const std::string& source_;
  FileKind kind_;
  JsonScanner scanner_;
  std::size_t budget_;
  std::vector<Open> stack_;
};

// Writes what json.dumps(value, indent=2, sort_keys=True) writes.
class PythonWriter {
 public:
  explicit PythonWriter(const std::vector<std::string>& integer_keyed)
      : integer_keyed_(integer_keyed) {}

  void write(const Json& value, std::size_t level, bool keys_are_integers) {
    switch (value.type()) {
      case Json::value_t::object:
        write_object(value.get_ref<const Json::object_t&>(), level, keys_are_integers);
        return;
      case Json::value_t::array:
        write_array(value.get_ref<const Json::array_t&>(), level);
        return;
      case Json::value_t::string:
        write_string(value.get_ref<const std::string&>());
        return;
      case Json::value_t::boolean:
        text += value.get<bool>() ? "true" : "false";
        return;
      case Json::value_t::number_integer:
        text += std::to_string(value.get<int64_t>());
        return;
      case Json::value_t::number_unsigned:
        text += std::to_string(value.get<uint64_t>());
        return;
      case Json::value_t::number_float:
        write_number(value.get<double>());
        return;
      default:
        text += "null";
    }
  }

  std::string text;

 private:
  void new_line(std::size_t level) {
    text += '\n';
    text.append(2 * level, ' ');
  }

  void write_number(double value) {
    if (!std::isfinite(value)) {
      throw ConfigError("json", "number", "a finite value", python_float(value));
    }
    text += python_float(value);
  }

  void write_array(const Json::array_t& array, std::size_t level) {
    text += '[';
    bool first = true;
    for (const Json& element : array) {
      if (!first) text += ',';
      first = false;
      new_line(level + 1);
      write(element, level + 1, false);
    }
    if (!first) new_line(level);
    text += ']';
  }

  static std::optional<int64_t> as_integer(const std::string& key) {
    int64_t value = 0;
    const char* const end = key.data() + key.size();
    const auto [stop, error] = std::from_chars(key.data(), end, value);
    if (error != std::errc() || stop != end) return std::nullopt;
    return value;
  }

  void write_object(const Json::object_t& object, std::size_t level, bool keys_are_integers) {
    std::vector<const Json::object_t::value_type*> members;
    members.reserve(object.size());
    for (const auto& member : object) members.push_back(&member);
    if (keys_are_integers) {
      // Keys that are no integers (std::nullopt) come first, in the order of the map.
      std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
        return as_integer(a->first) < as_integer(b->first);
      });
    }
    text += '{';
    bool first = true;
    for (const auto* member : members) {
      if (!first) text += ',';
      first = false;
      new_line(level + 1);
      write_string(member->first);
      text += ": ";
      const bool integer_keyed =
          std::find(integer_keyed_.begin(), integer_keyed_.end(), member->first) !=
          integer_keyed_.end();
      write(member->second, level + 1, integer_keyed);
    }
    if (!first) new_line(level);
    text += '}';
  }

  void write_unit(uint32_t unit) {
    static constexpr char kHex[] = "0123456789abcdef";
    text += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) text += kHex[(unit >> shift) & 15U];
  }

  void write_string(const std::string& value) {
    static constexpr std::string_view kSpecial = "\"\\\n\r\t\f\b";
    static constexpr std::string_view kLetter = "\"\\nrtfb";
    text += '"';
    std::size_t i = 0;
    while (i < value.size()) {
      const CodePoint point = decode_utf8(value, i);
      if (point.length == 0) throw ConfigError("json", "string", "valid UTF-8", quote(value));
      const std::size_t special =
          point.value < 0x80 ? kSpecial.find(static_cast<char>(point.value)) : kSpecial.npos;
      if (special != kSpecial.npos) {
        text += '\\';
        text += kLetter[special];
      } else if (point.value >= 0x20 && point.value < 0x7F) {
        text += static_cast<char>(point.value);
      } else if (point.value < 0x10000) {
        write_unit(point.value);
      } else {
        write_unit(0xD800U + ((point.value - 0x10000U) >> 10U));
        write_unit(0xDC00U + ((point.value - 0x10000U) & 0x3FFU));
      }
      i += point.length;
    }
    text += '"';
  }

  const std::vector<std::string>& integer_keyed_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& source, FileKind kind) {
  return TreeBuilder(text, source, kind).build();
}

Json read_json_file(const std::filesystem::path& path, std::size_t max_bytes, FileKind kind) {
  return parse_json(read_file(path, max_bytes, kind), path.string(), kind);
}

std::string dump_json(const Json& value, const std::vector<std::string>& integer_keyed) {
  PythonWriter writer(integer_keyed);
  writer.write(value, 0, false);
  writer.text += '\n';
  return std::move(writer.text);
}

std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char buffer[64];
  const auto format = [&](std::chars_format style) {
    const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value, style);
    return std::string(buffer, result.ptr);
  };
  std::string scientific = format(std::chars_format::scientific);  // d.ddde+XX, shortest digits
  const std::size_t mark = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + mark + 1);
  if (exponent < -4 || exponent >= 16) return scientific;
  std::string fixed = format(std::chars_format::fixed);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

std::string describe_json(const Json& value) {
  const auto counted = [&](const char* what, const char* one) {
    return std::string(what) + " of " + std::to_string(value.size()) + " " + one +
           (value.size() == 1 ? "" : "s");
  };
  switch (value.type()) {
    case Json::value_t::object:
      return counted("an object", "member");
    case Json::value_t::array:
      return counted("an array", "value");
    case Json::value_t::string:
      return quote(value.get_ref<const std::string&>());
    case Json::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    case Json::value_t::number_integer:
      return std::to_string(value.get<int64_t>());
    case Json::value_t::number_unsigned:
      return std::to_string(value.get<uint64_t>());
    case Json::value_t::number_float:
      return python_float(value.get<double>());
    default:
      return "null";
  }
}

std::string json_path_step(std::string_view key) {
  std::string step = "/";
  for (const char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

}  // namespace vizoo
