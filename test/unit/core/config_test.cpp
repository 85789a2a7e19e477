#include "vizoo/core/config.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using vizoo::Activation;
using vizoo::ConfigError;
using vizoo::PretrainedConfig;

TEST_CASE("enumerations go by all their names and write the first", "[config]") {
  CHECK(vizoo::enum_value<Activation>("swish") == Activation::silu);
  CHECK(vizoo::enum_value<Activation>("silu") == Activation::silu);
  CHECK(std::string(vizoo::enum_name(Activation::silu)) == "silu");
  CHECK_FALSE(vizoo::enum_value<Activation>("GELU").has_value());
  CHECK(vizoo::enum_choices<vizoo::ProblemType>() ==
        "regression|single_label_classification|multi_label_classification");
}

TEST_CASE("num_labels is the size of the label map, gaps or not", "[config]") {
  PretrainedConfig config;
  CHECK(config.num_labels() == 2);
  config.id2label = {{0, "cat"}, {5, "dog"}};
  CHECK(config.num_labels() == 2);
  CHECK(config.label(5) == "dog");
  CHECK(config.label(1) == "LABEL_1");
  config.set_num_labels(2);
  CHECK(config.label(5) == "dog");  // kept: the number is the same
  config.set_num_labels(3);
  CHECK(config.id2label ==
        std::map<int64_t, std::string>{{0, "LABEL_0"}, {1, "LABEL_1"}, {2, "LABEL_2"}});
  CHECK(config.label2id.at("LABEL_2") == 2);
  CHECK_THROWS_WITH(config.set_num_labels(-1),
                    "[config] /num_labels: expected a count from 0 to 50000, got -1.");
  CHECK_THROWS_AS(config.set_num_labels(int64_t{1} << 40), ConfigError);
}

TEST_CASE("configs compare field by field", "[config]") {
  PretrainedConfig a;
  PretrainedConfig b;
  CHECK(vizoo::equal_fields(a, b));
  b.problem_type = vizoo::ProblemType::regression;
  CHECK_FALSE(vizoo::equal_fields(a, b));
  a.problem_type = vizoo::ProblemType::regression;
  CHECK(vizoo::equal_fields(a, b));
  a.output_attentions = true;  // same type as its neighbours: told apart by name
  CHECK_FALSE(vizoo::equal_fields(a, b));
}
