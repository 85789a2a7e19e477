#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vizoo {

/// Which stages a backbone returns (backbone_utils.py, BackboneConfigMixin, 4.37.2).
///
/// Configs with a backbone derive from this besides PretrainedConfig. `out_features` names stages
/// (`stem`, `stage1`, ...), `out_indices` counts them (negative counts from the end). After
/// `align_output_stages` both are set and agree.
struct BackboneConfig {
  std::optional<std::vector<std::string>> out_features;
  std::optional<std::vector<int64_t>> out_indices;
  std::vector<std::string> stage_names;  ///< derived; what a file says is not trusted

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("out_features", self.out_features);
    visit("out_indices", self.out_indices);
    visit("stage_names", self.stage_names);
  }

  /// Sets `stage_names` to stem, stage1 .. stage<count> and derives the unset one of `out_features`
  /// and `out_indices`; with neither set, the last stage is chosen. Throws ConfigError when a name
  /// or index does not exist, is out of order or duplicate, or the two disagree.
  void align_output_stages(int64_t stage_count);

  /// Chooses stages by name alone; `out_indices` follows. nullopt selects the last stage.
  void set_out_features(std::optional<std::vector<std::string>> features);

  /// Chooses stages by index alone; `out_features` follows. nullopt selects the last stage.
  void set_out_indices(std::optional<std::vector<int64_t>> indices);
};

}  // namespace vizoo
