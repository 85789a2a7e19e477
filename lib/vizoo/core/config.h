#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace vizoo {

/// Reading, writing, comparing and documenting configs all walk the same list of fields.
///
/// A config is a plain struct with the defaults of Transformers and one function
///
///     template <class Self, class Visitor>
///     static void fields(Self& self, Visitor&& visit) { visit("depths", self.depths); ... }
///
/// A field is a bool, int64_t, double, std::string, an enumeration with a name table (below), a
/// struct with `fields` of its own, or a std::optional, std::vector, std::map or std::variant of
/// those (a variant of integer, string and vectors only: the kind of the JSON value decides). Only
/// std::optional fields accept JSON null.
template <class T, class = void>
struct has_fields : std::false_type {};

struct AnyVisitor {
  template <class T>
  void operator()(const char*, T&&) const {}
};

template <class T>
struct has_fields<T,
                  std::void_t<decltype(T::fields(std::declval<T&>(), std::declval<AnyVisitor>()))>>
    : std::true_type {};

/// Name table of an enumeration, as the names appear in JSON. Specialise it beside the enumeration:
/// `static constexpr std::pair<Enum, const char*> table[]`; the first name of a value is written,
/// all of them are read.
template <class Enum>
struct EnumNames;

/// The name that is written for `value`.
template <class Enum>
const char* enum_name(Enum value) {
  for (const auto& [candidate, name] : EnumNames<Enum>::table) {
    if (candidate == value) return name;
  }
  return "?";
}

/// The value called `name`, or nothing.
template <class Enum>
std::optional<Enum> enum_value(std::string_view name) {
  for (const auto& [candidate, known] : EnumNames<Enum>::table) {
    if (name == known) return candidate;
  }
  return std::nullopt;
}

/// All names, for messages: `gelu|relu|silu`.
template <class Enum>
std::string enum_choices() {
  std::string choices;
  for (const auto& [candidate, name] : EnumNames<Enum>::table) {
    if (!choices.empty()) choices += '|';
    choices += name;
  }
  return choices;
}

/// Equality of two configs, field by field.
template <class Config>
bool equal_fields(const Config& a, const Config& b);

/// `hidden_act`: the names of Transformers 4.37.2's table (activations.py, ACT2FN).
enum class Activation {
  gelu,               ///< x * Phi(x), by erf
  gelu_10,            ///< gelu clipped to [-10, 10]
  gelu_fast,          ///< tanh form, constants as in GPT-J
  gelu_new,           ///< tanh form
  gelu_python,        ///< erf form
  gelu_pytorch_tanh,  ///< tanh form, by ATen
  gelu_accurate,      ///< tanh form with sqrt(2 / pi) in double precision
  laplace,            ///< 0.5 (1 + erf((x - sqrt(1/2)) / (0.282095 sqrt 2)))
  leaky_relu,         ///< slope 0.01
  linear,             ///< identity
  mish,
  quick_gelu,  ///< x * sigmoid(1.702 x)
  relu,
  relu2,  ///< relu(x)^2
  relu6,
  sigmoid,
  silu,  ///< also called swish
  tanh,
};

template <>
struct EnumNames<Activation> {
  static constexpr std::pair<Activation, const char*> table[] = {
      {Activation::gelu, "gelu"},
      {Activation::gelu_10, "gelu_10"},
      {Activation::gelu_fast, "gelu_fast"},
      {Activation::gelu_new, "gelu_new"},
      {Activation::gelu_python, "gelu_python"},
      {Activation::gelu_pytorch_tanh, "gelu_pytorch_tanh"},
      {Activation::gelu_accurate, "gelu_accurate"},
      {Activation::laplace, "laplace"},
      {Activation::leaky_relu, "leaky_relu"},
      {Activation::linear, "linear"},
      {Activation::mish, "mish"},
      {Activation::quick_gelu, "quick_gelu"},
      {Activation::relu, "relu"},
      {Activation::relu2, "relu2"},
      {Activation::relu6, "relu6"},
      {Activation::sigmoid, "sigmoid"},
      {Activation::silu, "silu"},
      {Activation::silu, "swish"},
      {Activation::tanh, "tanh"},
  };
};

/// `problem_type`: which loss the labels of an image classifier mean.
enum class ProblemType {
  regression,                   ///< mean squared error
  single_label_classification,  ///< cross entropy
  multi_label_classification,   ///< binary cross entropy with logits
};

template <>
struct EnumNames<ProblemType> {
  static constexpr std::pair<ProblemType, const char*> table[] = {
      {ProblemType::regression, "regression"},
      {ProblemType::single_label_classification, "single_label_classification"},
      {ProblemType::multi_label_classification, "multi_label_classification"},
  };
};

/// Fields that every Transformers config shares (configuration_utils.py, PretrainedConfig, 4.37.2).
struct PretrainedConfig {
  std::optional<std::vector<std::string>> architectures;  ///< class names; [0] is what was saved
  std::map<int64_t, std::string> id2label{{0, "LABEL_0"}, {1, "LABEL_1"}};  ///< ids may have gaps
  std::map<std::string, int64_t> label2id{{"LABEL_0", 0}, {"LABEL_1", 1}};
  std::optional<ProblemType> problem_type;  ///< unset: inferred from the first labels, then kept
  bool output_hidden_states = false;        ///< default of the forward option
  bool output_attentions = false;           ///< default of the forward option
  bool return_dict = true;                  ///< kept for re-saving; outputs are always structs here
  std::optional<std::string> torch_dtype;   ///< dtype of the saved weights, e.g. "float32"

  /// Keys of the file that no field claims, as JSON text; written back unchanged.
  std::map<std::string, std::string> unknown;

  /// Number of labels = size of `id2label` (never the largest id + 1).
  int64_t num_labels() const { return static_cast<int64_t>(id2label.size()); }

  /// Sets `num_labels`. As in Transformers both maps are made anew (`LABEL_0`, ...) if the number
  /// changes, and kept otherwise. Throws ConfigError for a negative count.
  void set_num_labels(int64_t count);

  /// The label of a class index, `LABEL_<index>` where the map has a gap.
  std::string label(int64_t index) const;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("architectures", self.architectures);
    visit("id2label", self.id2label);
    visit("label2id", self.label2id);
    visit("problem_type", self.problem_type);
    visit("output_hidden_states", self.output_hidden_states);
    visit("output_attentions", self.output_attentions);
    visit("return_dict", self.return_dict);
    visit("torch_dtype", self.torch_dtype);
  }
};

namespace detail {

// Walks the fields of `b` in step with those of `a` and compares each with the one of equal name.
template <class Config>
struct EqualVisitor {
  const Config& other;
  bool& equal;

  template <class T>
  void operator()(const char* key, const T& value) const {
    Config::fields(other, [&](const char* other_key, const auto& other_value) {
      if constexpr (std::is_same_v<std::decay_t<decltype(other_value)>, T>) {
        if (std::string_view(key) != other_key) return;
        if constexpr (has_fields<T>::value) {
          equal = equal && equal_fields(value, other_value);
        } else {
          equal = equal && value == other_value;
        }
      }
    });
  }
};

}  // namespace detail

template <class Config>
bool equal_fields(const Config& a, const Config& b) {
  bool equal = true;
  Config::fields(a, detail::EqualVisitor<Config>{b, equal});
  return equal;
}

}  // namespace vizoo
