#include "vizoo/core/backbone_config.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using vizoo::BackboneConfig;
using Names = std::vector<std::string>;
using Indices = std::vector<int64_t>;

namespace {

BackboneConfig aligned(std::optional<Names> features, std::optional<Indices> indices) {
  BackboneConfig config;
  config.out_features = std::move(features);
  config.out_indices = std::move(indices);
  config.align_output_stages(4);
  return config;
}

}  // namespace

TEST_CASE("out_features and out_indices follow each other", "[backbone]") {
  auto config = aligned(std::nullopt, std::nullopt);
  CHECK(config.stage_names == Names{"stem", "stage1", "stage2", "stage3", "stage4"});
  CHECK(*config.out_features == Names{"stage4"});
  CHECK(*config.out_indices == Indices{4});

  config = aligned(Names{"stem", "stage2"}, std::nullopt);
  CHECK(*config.out_indices == Indices{0, 2});

  config = aligned(std::nullopt, Indices{0, -1});
  CHECK(*config.out_features == Names{"stem", "stage4"});
  CHECK(*config.out_indices == Indices{0, -1});  // kept as given

  config = aligned(Names{"stage4"}, Indices{-1});
  CHECK(*config.out_indices == Indices{-1});

  config = aligned(Names{}, Indices{});
  CHECK(config.out_features->empty());

  config.set_out_features(Names{"stage3"});
  CHECK(*config.out_indices == Indices{3});
  config.set_out_indices(Indices{1});
  CHECK(*config.out_features == Names{"stage1"});
  config.set_out_indices(std::nullopt);
  CHECK(*config.out_features == Names{"stage4"});
}

TEST_CASE("stages that do not fit are named", "[backbone]") {
  const std::string stages = R"(["stem", "stage1", "stage2", "stage3", "stage4"])";
  CHECK_THROWS_WITH(
      aligned(Names{"stage9"}, std::nullopt),
      "[config] /out_features: expected a subset of the stages " + stages + R"(, got ["stage9"].)");
  CHECK_THROWS_WITH(aligned(Names{"stem", "stem"}, std::nullopt),
                    R"([config] /out_features: expected no duplicates, got ["stem", "stem"].)");
  CHECK_THROWS_WITH(aligned(Names{"stage2", "stage1"}, std::nullopt),
                    "[config] /out_features: expected the order of the stages, "
                    R"(["stage1", "stage2"], got ["stage2", "stage1"].)");
  for (const int64_t index : {5, 7, -6, -7}) {
    CHECK_THROWS_WITH(aligned(std::nullopt, Indices{index}),
                      "[config] /out_indices: expected indices of the stages " + stages +
                          ", from -5 to 4, got [" + std::to_string(index) + "].");
  }
  CHECK_THROWS_WITH(aligned(std::nullopt, Indices{1, 1}),
                    "[config] /out_indices: expected no duplicates, got [1, 1].");
  CHECK_THROWS_WITH(aligned(std::nullopt, Indices{4, -1}),
                    "[config] /out_indices: expected no duplicates, got [4, -1].");
  CHECK_THROWS_WITH(aligned(std::nullopt, Indices{2, 1}),
                    "[config] /out_indices: expected the order of the stages, [1, 2], got [2, 1].");
  CHECK_THROWS_WITH(aligned(Names{"stem"}, Indices{0, 1}),
                    "[config] /out_features: expected as many names as /out_indices has indices, "
                    "2, got 1.");
  CHECK_THROWS_WITH(aligned(Names{"stem"}, Indices{1}),
                    "[config] /out_features: expected the same stages as /out_indices [1], got "
                    R"(["stem"].)");
}
