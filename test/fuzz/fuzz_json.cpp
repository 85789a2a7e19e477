// Any text given as JSON and as a config: an Error or a value that survives being written and read.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/io/config_json.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Messages are one printable line of bounded length.
void check_message(const std::string& message) {
  require(message.size() < 4096 && message.find_first_of("\n\r") == std::string::npos);
}

void read_config(const vizoo::Json& json) {
  try {
    const auto config = vizoo::config_from_json<vizoo::PretrainedConfig>(json, "config.json");
    const vizoo::Json written = vizoo::config_to_json(config);
    const auto again = vizoo::config_from_json<vizoo::PretrainedConfig>(written, "config.json");
    require(vizoo::equal_fields(config, again) && config.unknown == again.unknown);
  } catch (const vizoo::ConfigError& error) {
    check_message(error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const vizoo::Json json = vizoo::parse_json(text, "config.json");
    // The other parser must take everything that ours takes, with the same value.
    require(json == vizoo::Json::parse(text));
    const std::string written = vizoo::dump_json(json);
    require(vizoo::parse_json(written, "written") == json);
    require(vizoo::dump_json(vizoo::parse_json(written, "written")) == written);
    read_config(json);
  } catch (const vizoo::ConfigError& error) {
    check_message(error.what());
  }
  return 0;
}
