#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/io/json.h"

namespace vizoo {

/// Collects what is wrong with a config, so that one exception names it all.
class ConfigProblems {
 public:
  /// `path` is the JSON path of the field ("" for the whole file).
  void add(const std::string& path, std::string_view expected, std::string_view got);

  /// Throws ConfigError if anything was added: `[config] <source>: <path>: expected ..., got ...;
  /// <path>: ...`, the first five problems and the number of the others.
  void throw_if_any(const std::string& source) const;

 private:
  std::string text_;
  std::size_t count_ = 0;
};

namespace detail {

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_map : std::false_type {};
template <class K, class V>
struct is_map<std::map<K, V>> : std::true_type {};
template <class T>
struct is_integer_keyed : std::false_type {};
template <class V>
struct is_integer_keyed<std::map<int64_t, V>> : std::true_type {};
template <class T>
struct is_integer_keyed<std::optional<T>> : is_integer_keyed<T> {};

template <class C, class = void>
struct keeps_unknown : std::false_type {};
template <class C>
struct keeps_unknown<
    C,
    std::enable_if_t<std::is_same_v<decltype(C::unknown), std::map<std::string, std::string>>>>
    : std::true_type {};

template <class>
struct is_variant : std::false_type {};
template <class... Alternatives>
struct is_variant<std::variant<Alternatives...>> : std::true_type {};

template <class>
inline constexpr bool always_false = false;

// Whether a variant's alternative is the one for this kind of JSON value, and its name in messages.
inline bool is_kind_of(const Json& json, const int64_t*) { return json.is_number_integer(); }
inline bool is_kind_of(const Json& json, const std::string*) { return json.is_string(); }
template <class T>
bool is_kind_of(const Json& json, const std::vector<T>*) {
  return json.is_array();
}
inline std::string kind_name(const int64_t*) { return "an integer"; }
inline std::string kind_name(const std::string*) { return "a string"; }
template <class T>
std::string kind_name(const std::vector<T>*) {
  return "an array";
}

// The untemplated readers: they leave `value` alone and add a problem if `json` does not fit.
void read_boolean(const Json& json, bool& value, const std::string& path, ConfigProblems& problems);
void read_integer(const Json& json,
                  int64_t& value,
                  const std::string& path,
                  ConfigProblems& problems);
void read_number(const Json& json,
                 double& value,
                 const std::string& path,
                 ConfigProblems& problems);
void read_string(const Json& json,
                 std::string& value,
                 const std::string& path,
                 ConfigProblems& problems);
std::optional<int64_t> integer_key(const std::string& key);
std::string member_text(const Json& json);
Json member_from_text(const std::string& key, const std::string& text);

template <class T>
void read_value(const Json& json, T& value, const std::string& path, ConfigProblems& problems);

template <class C>
void read_fields(const Json& json, C& config, const std::string& path, ConfigProblems& problems) {
  if (!json.is_object()) {
    problems.add(path, "an object", describe_json(json));
    return;
  }
  std::map<std::string_view, const Json*> unclaimed;
  for (const auto& [key, value] : json.get_ref<const Json::object_t&>()) {
    unclaimed.emplace(key, &value);
  }
  C::fields(config, [&](const char* key, auto& field) {
    const auto found = json.find(key);
    if (found == json.end()) return;
    unclaimed.erase(key);
    read_value(*found, field, path + json_path_step(key), problems);
  });
  if constexpr (keeps_unknown<C>::value) {
    for (const auto& [key, value] : unclaimed) {
      config.unknown[std::string(key)] = member_text(*value);
    }
  }
}

template <class V>
void read_vector(const Json& json,
                 std::vector<V>& value,
                 const std::string& path,
                 ConfigProblems& problems) {
  if (!json.is_array()) {
    problems.add(path, "an array", describe_json(json));
    return;
  }
  std::vector<V> elements;
  elements.reserve(json.size());
  for (const Json& element : json) {
    V parsed{};  // not emplace_back(): vector<bool> hands out no references
    read_value(element, parsed, path + "/" + std::to_string(elements.size()), problems);
    elements.push_back(std::move(parsed));
  }
  value = std::move(elements);
}

template <class K, class V>
void read_map(const Json& json,
              std::map<K, V>& value,
              const std::string& path,
              ConfigProblems& problems) {
  static_assert(std::is_same_v<K, int64_t> || std::is_same_v<K, std::string>);
  if (!json.is_object()) {
    problems.add(path, "an object", describe_json(json));
    return;
  }
  std::map<K, V> members;
  for (const auto& [key, element] : json.get_ref<const Json::object_t&>()) {
    const std::string member_path = path + json_path_step(key);
    V parsed{};
    read_value(element, parsed, member_path, problems);
    if constexpr (std::is_same_v<K, int64_t>) {
      const std::optional<int64_t> integer = integer_key(key);
      if (!integer) {
        problems.add(member_path, "an integer as key", describe_json(key));
      } else if (!members.emplace(*integer, std::move(parsed)).second) {
        problems.add(member_path, "every key once", std::to_string(*integer) + " again");
      }
    } else {
      members.emplace(key, std::move(parsed));
    }
  }
  value = std::move(members);
}

template <class E>
void read_enum(const Json& json, E& value, const std::string& path, ConfigProblems& problems) {
  if (json.is_string()) {
    if (const auto known = enum_value<E>(json.get_ref<const std::string&>())) {
      value = *known;
      return;
    }
  }
  problems.add(path, "one of " + enum_choices<E>(), describe_json(json));
}

template <class... Alternatives>
void read_variant(const Json& json,
                  std::variant<Alternatives...>& value,
                  const std::string& path,
                  ConfigProblems& problems) {
  const auto read_if_kind = [&](auto parsed) {
    if (!is_kind_of(json, &parsed)) return false;
    read_value(json, parsed, path, problems);
    value = std::move(parsed);
    return true;
  };
  if ((read_if_kind(Alternatives{}) || ...)) return;
  std::string expected;
  for (const auto& name : {kind_name(static_cast<const Alternatives*>(nullptr))...}) {
    expected += (expected.empty() ? "" : " or ") + name;
  }
  problems.add(path, expected, describe_json(json));
}

template <class T>
void read_value(const Json& json, T& value, const std::string& path, ConfigProblems& problems) {
  if constexpr (is_optional<T>::value) {
    if (json.is_null()) {
      value.reset();
    } else {
      typename T::value_type parsed{};
      read_value(json, parsed, path, problems);
      value = std::move(parsed);
    }
  } else if constexpr (std::is_same_v<T, bool>) {
    read_boolean(json, value, path, problems);
  } else if constexpr (std::is_same_v<T, int64_t>) {
    read_integer(json, value, path, problems);
  } else if constexpr (std::is_same_v<T, double>) {
    read_number(json, value, path, problems);
  } else if constexpr (std::is_same_v<T, std::string>) {
    read_string(json, value, path, problems);
  } else if constexpr (std::is_enum_v<T>) {
    read_enum(json, value, path, problems);
  } else if constexpr (is_vector<T>::value) {
    read_vector(json, value, path, problems);
  } else if constexpr (is_map<T>::value) {
    read_map(json, value, path, problems);
  } else if constexpr (is_variant<T>::value) {
    read_variant(json, value, path, problems);
  } else if constexpr (has_fields<T>::value) {
    read_fields(json, value, path, problems);
  } else {
    static_assert(always_false<T>, "not a type that a config field may have, see core/config.h");
  }
}

template <class T>
Json write_value(const T& value) {
  if constexpr (is_optional<T>::value) {
    return value ? write_value(*value) : Json(nullptr);
  } else if constexpr (std::is_enum_v<T>) {
    return enum_name(value);
  } else if constexpr (is_vector<T>::value) {
    Json array = Json::array();
    for (const auto& element : value) {
      array.push_back(write_value<typename T::value_type>(element));
    }
    return array;
  } else if constexpr (is_map<T>::value) {
    Json object = Json::object();
    for (const auto& [key, element] : value) {
      if constexpr (std::is_same_v<typename T::key_type, int64_t>) {
        object[std::to_string(key)] = write_value(element);
      } else {
        object[key] = write_value(element);
      }
    }
    return object;
  } else if constexpr (is_variant<T>::value) {
    return std::visit([](const auto& alternative) { return write_value(alternative); }, value);
  } else if constexpr (has_fields<T>::value) {
    Json object = Json::object();
    if constexpr (keeps_unknown<T>::value) {
      for (const auto& [key, text] : value.unknown) object[key] = member_from_text(key, text);
    }
    T::fields(value, [&](const char* key, const auto& field) { object[key] = write_value(field); });
    return object;
  } else {
    return value;
  }
}

}  // namespace detail

/// Reads every field that `C::fields` declares; a field that the JSON lacks keeps its default.
///
/// Strict about types: an integer field takes no 3.7 and no 3.0, a double field takes integers, a
/// boolean is never a number, null fits std::optional only, integers must fit 64 bits with sign,
/// keys of an integer-keyed map must be integers. Keys that no field claims go to `C::unknown` if
/// there is such a member (std::map<std::string, std::string>: key -> JSON text), else nowhere.
/// Throws ConfigError that names all problems with their JSON paths, at most five in words:
/// `[config] dir/config.json: /hidden_act: expected one of gelu|relu, got "quick".`
template <class C>
C config_from_json(const Json& json, const std::string& source) {
  C config;
  ConfigProblems problems;
  detail::read_fields(json, config, "", problems);
  problems.throw_if_any(source);
  return config;
}

/// All fields, those without a value as null, and what `unknown` kept. Throws ConfigError if
/// `unknown` holds text that is not JSON.
template <class C>
Json config_to_json(const C& config) {
  return detail::write_value(config);
}

/// Names of the fields of `C` whose keys are integers, for `dump_json`.
template <class C>
std::vector<std::string> integer_keyed_fields() {
  std::vector<std::string> names;
  const C config;
  C::fields(config, [&](const char* key, const auto& field) {
    if (detail::is_integer_keyed<std::decay_t<decltype(field)>>::value) names.emplace_back(key);
  });
  return names;
}

}  // namespace vizoo
