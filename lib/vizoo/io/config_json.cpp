#include "vizoo/io/config_json.h"

#include <charconv>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr std::size_t kShown = 5;  // problems that a message names

}  // namespace

void ConfigProblems::add(const std::string& path, std::string_view expected, std::string_view got) {
  if (++count_ > kShown) return;
  if (count_ > 1) text_ += "; ";
  if (!path.empty()) text_.append(printable(path)).append(": ");
  text_.append("expected ").append(expected).append(", got ").append(got);
}

void ConfigProblems::throw_if_any(const std::string& source) const {
  if (count_ == 0) return;
  std::string text = text_;
  if (count_ > kShown) text += "; and " + std::to_string(count_ - kShown) + " more";
  throw ConfigError(Error::describe("config", printable(source), text));
}

namespace detail {

void read_boolean(const Json& json,
                  bool& value,
                  const std::string& path,
                  ConfigProblems& problems) {
  if (json.is_boolean()) {
    value = json.get<bool>();
  } else {
    problems.add(path, "true or false", describe_json(json));
  }
}

void read_integer(const Json& json,
                  int64_t& value,
                  const std::string& path,
                  ConfigProblems& problems) {
  if (json.type() == Json::value_t::number_integer) {
    value = json.get<int64_t>();
    return;
  }
  constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (json.is_number_unsigned() && json.get<uint64_t>() <= kLargest) {
    value = static_cast<int64_t>(json.get<uint64_t>());
    return;
  }
  problems.add(path,
               json.is_number_unsigned() ? "an integer of at most " + std::to_string(kLargest)
                                         : std::string("an integer"),
               describe_json(json));
}

void read_number(const Json& json,
                 double& value,
                 const std::string& path,
                 ConfigProblems& problems) {
  if (json.is_number()) {
    value = json.get<double>();
  } else {
    problems.add(path, "a number", describe_json(json));
  }
}

void read_string(const Json& json,
                 std::string& value,
                 const std::string& path,
                 ConfigProblems& problems) {
  if (json.is_string()) {
    value = json.get_ref<const std::string&>();
  } else {
    problems.add(path, "a string", describe_json(json));
  }
}

std::optional<int64_t> integer_key(const std::string& key) {
  int64_t value = 0;
  const char* const end = key.data() + key.size();
  const auto [stop, error] = std::from_chars(key.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::string member_text(const Json& json) { return json.dump(); }

Json member_from_text(const std::string& key, const std::string& text) {
  return parse_json(text, "unknown key " + quote(key));
}

}  // namespace detail
}  // namespace vizoo
