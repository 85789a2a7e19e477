#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <memory>

#include "commands.h"
#include "vizoo/hub/registry.h"

namespace vizoo::app {
namespace {

int list(bool as_json) {
  if (as_json) {
    auto rows = Json::array();
    for (const auto& entry : registry()) {
      rows.push_back({{"class", entry.class_name},
                      {"model_type", entry.model_type},
                      {"task", enum_name(entry.task)}});
    }
    std::cout << rows.dump() << '\n';
    return kOk;
  }
  std::size_t width = 0;
  for (const auto& entry : registry()) width = std::max(width, entry.class_name.size());
  for (const auto& entry : registry()) {
    std::cout << std::left << std::setw(static_cast<int>(width) + 2) << entry.class_name
              << std::setw(20) << entry.model_type << enum_name(entry.task) << '\n';
  }
  return kOk;
}

}  // namespace

void add_list(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("list", "List the model classes");
  auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "One JSON array");
  command->footer("Example: vizoo list --json");
  command->callback([&run, as_json] { run = [as_json] { return list(*as_json); }; });
}

}  // namespace vizoo::app
