#include "vizoo/io/config_json.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hostile_case.h"
#include "support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

struct Inner {
  int64_t size = 4;
  std::optional<std::string> name;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("size", self.size);
    visit("name", self.name);
  }
};

bool operator==(const Inner& a, const Inner& b) { return a.size == b.size && a.name == b.name; }

// One field of every kind.
struct SampleConfig : PretrainedConfig {
  bool use_bias = true;
  int64_t num_channels = 3;
  double layer_norm_eps = 1e-12;
  std::string image_mode = "RGB";
  Activation hidden_act = Activation::gelu;
  std::vector<int64_t> depths{3, 3, 9, 3};
  std::vector<bool> flags;
  std::optional<double> crop_pct;
  std::optional<std::vector<std::string>> out_features;
  std::map<std::string, std::vector<double>> rates;
  Inner inner;
  std::vector<Inner> list;
  std::optional<Inner> maybe;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("use_bias", self.use_bias);
    visit("num_channels", self.num_channels);
    visit("layer_norm_eps", self.layer_norm_eps);
    visit("image_mode", self.image_mode);
    visit("hidden_act", self.hidden_act);
    visit("depths", self.depths);
    visit("flags", self.flags);
    visit("crop_pct", self.crop_pct);
    visit("out_features", self.out_features);
    visit("rates", self.rates);
    visit("inner", self.inner);
    visit("list", self.list);
    visit("maybe", self.maybe);
  }
};

SampleConfig read(const std::string& text) {
  return config_from_json<SampleConfig>(parse_json(text, "dir/config.json"), "dir/config.json");
}

TEST_CASE("a config without members has the defaults", "[io]") {
  const SampleConfig config = read("{}");
  CHECK(config.depths == std::vector<int64_t>{3, 3, 9, 3});
  CHECK(config.id2label.size() == 2);
  CHECK(config.unknown.empty());
}

TEST_CASE("every kind of field is read", "[io]") {
  const SampleConfig config = read(R"({
    "architectures": ["A"], "id2label": {"0": "cat", "7": "dog"}, "label2id": {"cat": 0, "dog": 7},
    "problem_type": "regression", "use_bias": false, "num_channels": -9223372036854775808,
    "layer_norm_eps": 1, "image_mode": "L", "hidden_act": "swish", "depths": [1], "flags": [true],
    "crop_pct": 0.875, "out_features": null, "rates": {"a": [0, 0.5]}, "inner": {"size": 9},
    "list": [{"name": "x"}, {}], "maybe": {"name": null}
  })");
  CHECK(config.architectures == std::vector<std::string>{"A"});
  CHECK(config.id2label == std::map<int64_t, std::string>{{0, "cat"}, {7, "dog"}});
  CHECK(config.label2id.at("dog") == 7);
  CHECK(config.problem_type == ProblemType::regression);
  CHECK_FALSE(config.use_bias);
  CHECK(config.num_channels == std::numeric_limits<int64_t>::min());
  CHECK(config.layer_norm_eps == 1.0);
  CHECK(config.image_mode == "L");
  CHECK(config.hidden_act == Activation::silu);
  CHECK(config.depths == std::vector<int64_t>{1});
  CHECK(config.flags == std::vector<bool>{true});
  CHECK(config.crop_pct == 0.875);
  CHECK_FALSE(config.out_features.has_value());
  CHECK(config.rates.at("a") == std::vector<double>{0, 0.5});
  CHECK(config.inner.size == 9);
  CHECK(config.list == std::vector<Inner>{{4, "x"}, {4, std::nullopt}});
  CHECK(config.maybe == Inner{});
}

TEST_CASE("unknown keys are kept and written back", "[io]") {
  const std::string text =
      R"({"model_type":"x","big":18446744073709551615,"eps":1e-06,"nested":{"b":[1.0,null],"a":"\u00e9"}})";
  const SampleConfig config = read(text);
  CHECK(config.unknown.size() == 4);
  CHECK(config.unknown.at("model_type") == "\"x\"");
  const Json written = config_to_json(config);
  const Json read_again = parse_json(text, "t");
  for (const auto& [key, value] : read_again.items()) {
    CHECK(written.at(key) == value);
    CHECK(dump_json(written.at(key)) == dump_json(value));
  }
}

TEST_CASE("a config survives being written and read", "[io]") {
  const SampleConfig config = read(R"({"hidden_act": "quick_gelu", "maybe": {"size": 1}, "x": [],
    "list": [{}], "flags": [true, false], "rates": {"r": [1e-5]}, "problem_type": "regression"})");
  const Json json = config_to_json(config);
  CHECK(json.at("hidden_act") == "quick_gelu");
  CHECK(json.at("crop_pct").is_null());
  const SampleConfig again = config_from_json<SampleConfig>(json, "again");
  CHECK(equal_fields(config, again));
  CHECK(again.unknown == config.unknown);
  CHECK(dump_json(config_to_json(again)) == dump_json(json));
}

TEST_CASE("the second name of a value is written as the first", "[io]") {
  CHECK(config_to_json(read(R"({"hidden_act":"swish"})")).at("hidden_act") == "silu");
}

TEST_CASE("fields with integer keys are known by name", "[io]") {
  CHECK(integer_keyed_fields<SampleConfig>() == std::vector<std::string>{"id2label"});
}

TEST_CASE("unknown text that is no JSON cannot be written", "[io]") {
  SampleConfig config;
  config.unknown["x"] = "{";
  CHECK_THROWS_WITH(config_to_json(config),
                    "[config] unknown key \"x\":1:2: expected a key in double quotes or \"}\", got "
                    "the end of the text.");
}

const char* const kActivations =
    "gelu|gelu_10|gelu_fast|gelu_new|gelu_python|gelu_pytorch_tanh|gelu_accurate|laplace|"
    "leaky_relu|linear|mish|quick_gelu|relu|relu2|relu6|sigmoid|silu|swish|tanh";

std::vector<HostileCase> config_cases() {
  const std::string act = std::string("/hidden_act: expected one of ") + kActivations + ", got ";
  const std::string many(1'000'000, 'a');
  return {
      {"array", "[]", "expected an object, got an array of 0 values."},
      {"string", "\"x\"", "expected an object, got \"x\"."},
      {"null", "null", "expected an object, got null."},
      {"number", "3", "expected an object, got 3."},
      {"unknown name", R"({"hidden_act":"quick"})", act + "\"quick\"."},
      {"name of another case", R"({"hidden_act":"GELU"})", act + "\"GELU\"."},
      {"name is a number", R"({"hidden_act":1})", act + "1."},
      {"name is null", R"({"hidden_act":null})", act + "null."},
      {"name is an array", R"({"hidden_act":["gelu"]})", act + "an array of 1 value."},
      {"long name",
       "{\"hidden_act\":\"" + many + "\"}",
       act + "\"" + many.substr(0, 80) + "...\"."},
      {"bool is 1", R"({"use_bias":1})", "/use_bias: expected true or false, got 1."},
      {"bool is text",
       R"({"use_bias":"true"})",
       "/use_bias: expected true or false, got \"true\"."},
      {"bool is null", R"({"use_bias":null})", "/use_bias: expected true or false, got null."},
      {"integer is 3.7", R"({"num_channels":3.7})", "/num_channels: expected an integer, got 3.7."},
      {"integer is 3.0", R"({"num_channels":3.0})", "/num_channels: expected an integer, got 3.0."},
      {"integer is text",
       R"({"num_channels":"3"})",
       "/num_channels: expected an integer, got \"3\"."},
      {"integer is true",
       R"({"num_channels":true})",
       "/num_channels: expected an integer, got true."},
      {"integer is null",
       R"({"num_channels":null})",
       "/num_channels: expected an integer, got null."},
      {"integer is an object",
       R"({"num_channels":{}})",
       "/num_channels: expected an integer, got an object of 0 members."},
      {"integer is 2^63",
       R"({"num_channels":9223372036854775808})",
       "/num_channels: expected an integer of at most 9223372036854775807, got "
       "9223372036854775808."},
      {"integer is 2^64",
       R"({"num_channels":18446744073709551616})",
       "/num_channels: expected an integer, got 1.8446744073709552e+19."},
      {"integer is -2^63 - 1",
       R"({"num_channels":-9223372036854775809})",
       "/num_channels: expected an integer, got -9.223372036854776e+18."},
      {"number is true",
       R"({"layer_norm_eps":true})",
       "/layer_norm_eps: expected a number, got true."},
      {"number is text",
       R"({"layer_norm_eps":"1e-6"})",
       "/layer_norm_eps: expected a number, got \"1e-6\"."},
      {"number is null",
       R"({"layer_norm_eps":null})",
       "/layer_norm_eps: expected a number, got null."},
      {"string is a number", R"({"image_mode":7})", "/image_mode: expected a string, got 7."},
      {"vector is a number", R"({"depths":3})", "/depths: expected an array, got 3."},
      {"vector is null", R"({"depths":null})", "/depths: expected an array, got null."},
      {"vector is an object",
       R"({"depths":{"0":3}})",
       "/depths: expected an array, got an object of 1 member."},
      {"element is text",
       R"({"depths":[3,3,"9",3]})",
       "/depths/2: expected an integer, got \"9\"."},
      {"element is nested",
       R"({"depths":[[3]]})",
       "/depths/0: expected an integer, got an array of 1 value."},
      {"optional of the wrong type",
       R"({"crop_pct":"0.9"})",
       "/crop_pct: expected a number, got \"0.9\"."},
      {"optional vector of the wrong type",
       R"({"out_features":["a",1]})",
       "/out_features/1: expected a string, got 1."},
      {"map is an array",
       R"({"id2label":["a"]})",
       "/id2label: expected an object, got an array of 1 value."},
      {"map key is no integer",
       R"({"id2label":{"one":"a"}})",
       "/id2label/one: expected an integer as key, got \"one\"."},
      {"map key is empty",
       R"({"id2label":{"":"a"}})",
       "/id2label/: expected an integer as key, got \"\"."},
      {"map key has a sign",
       R"({"id2label":{"+1":"a"}})",
       "/id2label/+1: expected an integer as key, got \"+1\"."},
      {"map key has a space",
       R"({"id2label":{"1 ":"a"}})",
       "/id2label/1 : expected an integer as key, got \"1 \"."},
      {"map key is 2^63",
       R"({"id2label":{"9223372036854775808":"a"}})",
       "/id2label/9223372036854775808: expected an integer as key, got \"9223372036854775808\"."},
      {"map key twice as a number",
       R"({"id2label":{"01":"a","1":"b"}})",
       "/id2label/1: expected every key once, got 1 again."},
      {"map value is a number",
       R"({"id2label":{"3":4}})",
       "/id2label/3: expected a string, got 4."},
      {"map value in a vector",
       R"({"rates":{"a/b":[0,null]}})",
       "/rates/a~1b/1: expected a number, got null."},
      {"nested struct is a number", R"({"inner":1})", "/inner: expected an object, got 1."},
      {"member of a nested struct",
       R"({"inner":{"size":"4"}})",
       "/inner/size: expected an integer, got \"4\"."},
      {"member in a vector of structs",
       R"({"list":[{},{"size":null}]})",
       "/list/1/size: expected an integer, got null."},
      {"struct of an optional",
       R"({"maybe":{"name":1}})",
       "/maybe/name: expected a string, got 1."},
      {"two problems",
       R"({"depths":3,"inner":{"size":1.5}})",
       "/depths: expected an array, got 3; /inner/size: expected an integer, got 1.5."},
      {"eight problems",
       R"({"depths":["a","b","c","d","e","f","g"],"num_channels":"x"})",
       "/num_channels: expected an integer, got \"x\"; /depths/0: expected an integer, got \"a\"; "
       "/depths/1: expected an integer, got \"b\"; /depths/2: expected an integer, got \"c\"; "
       "/depths/3: expected an integer, got \"d\"; and 3 more."},
      {"line feeds in a value",
       R"({"num_channels":"3\n[config] fine"})",
       "/num_channels: expected an integer, got \"3\\x0a[config] fine\"."},
  };
}

TEST_CASE("hostile configs", "[io]") {
  std::vector<HostileCase> cases = config_cases();
  for (HostileCase& row : cases) row.message = "[config] dir/config.json: " + row.message;
  check_hostile_cases<ConfigError>(cases, [](const HostileCase& row) { read(row.bytes); });
}

}  // namespace
}  // namespace vizoo::test
