// `vizoo doctor`: what this build and this machine have; answers most "why does it not ..." mails.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <sstream>

#include "commands.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/registry.h"
#include "vizoo/ops/ops.h"
#include "vizoo/training/process_group.h"
#ifdef VIZOO_OPENCV
#include <opencv2/core/version.hpp>
#endif

namespace vizoo::app {
namespace {

std::string cuda_version(int version) {
  if (version == 0) return "none";
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Json describe_cuda() {
  const auto probe = ops::probe_cuda();
  Json cuda = {{"compiled", probe.compiled}, {"libtorch_sees_cuda", at::hasCUDA()}};
  if (!probe.compiled) return cuda;
  cuda["toolkit"] = cuda_version(probe.toolkit_version);
  cuda["driver"] = cuda_version(probe.driver_version);
  if (!probe.problem.empty()) cuda["problem"] = probe.problem;
  cuda["devices"] = Json::array();
  for (const auto& device : probe.devices) {
    cuda["devices"].push_back(
        {{"name", device.name},
         {"compute_capability",
          std::to_string(device.compute_capability_major) + "." +
              std::to_string(device.compute_capability_minor)},
         {"memory_gib", static_cast<double>(device.memory_bytes) / (1U << 30U)},
         {"kernels_run", device.problem.empty()},
         {"problem", device.problem}});
  }
  return cuda;
}

std::string describe_distributed() {
  std::string names;
  for (const auto& name : process_backends()) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "not built in (no libgloo-dev): trains in one process only" : names;
}

Json diagnose() {
  Json report;
  report["vizoo"] = VIZOO_VERSION;
  report["libtorch"] = TORCH_VERSION;
  report["ops_library"] = ops::build_info();
  report["model_classes"] = registry().size();
#ifdef VIZOO_OPENCV
  report["opencv"] = CV_VERSION;
#else
  report["opencv"] = "not built in (VIZOO_OPENCV=OFF): no commands that read images";
#endif
  report["cpu_capability"] = at::get_cpu_capability();
  report["onednn"] = at::hasMKLDNN();
  report["threads"] = at::get_num_threads();
  report["distributed"] = describe_distributed();
  report["cuda"] = describe_cuda();
  return report;
}

// A build that cannot run its own kernels, or was linked with another LibTorch, is broken.
std::vector<std::string> problems(const Json& report) {
  std::vector<std::string> list;
  const auto& cuda = report["cuda"];
  if (cuda.contains("problem")) {
    list.push_back("no CUDA device: " + cuda["problem"].get<std::string>());
  }
  for (const auto& device : cuda.value("devices", Json::array())) {
    if (device["kernels_run"].get<bool>()) continue;
    list.push_back(device["name"].get<std::string>() + ": " + device["problem"].get<std::string>());
  }
  return list;
}

void print_report(const Json& value, const std::string& indent) {
  for (const auto& [key, item] : value.items()) {
    std::cout << indent << key << ": ";
    if (item.is_object()) {
      std::cout << '\n';
      print_report(item, indent + "  ");
    } else {
      std::cout << (item.is_string() ? item.get<std::string>() : item.dump()) << '\n';
    }
  }
}

int doctor(bool as_json) {
  auto report = diagnose();
  const auto list = problems(report);
  if (as_json) {
    report["problems"] = list;
    std::cout << report.dump() << '\n';
  } else {
    print_report(report, "");
    std::cout << (list.empty() ? "no problems found\n" : "");
  }
  for (const auto& problem : list) std::cerr << "problem: " << printable(problem) << '\n';
  return list.empty() ? kOk : kFailed;
}

}  // namespace

void add_doctor(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("doctor", "Check this build and this machine");
  auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "One JSON object");
  command->footer("Example: vizoo doctor");
  command->callback([&run, as_json] { run = [as_json] { return doctor(*as_json); }; });
}

}  // namespace vizoo::app
