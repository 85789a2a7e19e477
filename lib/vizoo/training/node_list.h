#pragma once

#include <string>
#include <vector>

namespace vizoo {

/// SLURM's tasks of each machine: "2(x3),1" -> 2 2 2 1. Throws UsageError, which calls it `name`,
/// for anything else. (`expand_node_list` is in process_environment.h.)
std::vector<int> expand_task_counts(const std::string& name, const std::string& text);

}  // namespace vizoo
