#include "vizoo/training/process_environment.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "vizoo/core/error.h"
#include "vizoo/training/node_list.h"

namespace vizoo {
namespace {

constexpr int kMaxProcesses = 65536;
constexpr int kMaxPort = 65535;

[[noreturn]] void refuse_variable(const std::string& variable,
                                  const std::string& expected,
                                  const std::string& got,
                                  const std::string& hint = {}) {
  throw UsageError("environment", variable, expected, got, hint);
}

// Reads variables by name; an empty one counts as not set.
class Variables {
 public:
  explicit Variables(const EnvironmentLookup& lookup) : lookup_(lookup) {}

  std::optional<std::string> text(const std::string& name) const {
    auto value = lookup_(name);
    if (value && value->empty()) return std::nullopt;
    return value;
  }

  bool has(const std::string& name) const { return text(name).has_value(); }

  std::optional<int> number(const std::string& name, int least, int most) const {
    const auto value = text(name);
    if (!value) return std::nullopt;
    int parsed = 0;
    const char* end = value->data() + value->size();
    const auto [stop, problem] = std::from_chars(value->data(), end, parsed);
    if (problem != std::errc() || stop != end || parsed < least || parsed > most) {
      refuse_variable(
          name,
          "a whole number from " + std::to_string(least) + " to " + std::to_string(most),
          quote(*value));
    }
    return parsed;
  }

  // The first of two names that is set.
  std::optional<int> number(const std::string& name,
                            const std::string& other,
                            int least,
                            int most) const {
    const auto value = number(name, least, most);
    return value ? value : number(other, least, most);
  }

  int required(const std::string& name, int least, int most, const std::string& beside) const {
    const auto value = number(name, least, most);
    if (!value) refuse_variable(name, "a value beside " + beside, "none");
    return *value;
  }

 private:
  const EnvironmentLookup& lookup_;
};

// Variables of launchers that say the same in the same way.
struct Names {
  std::string rank;
  std::string world_size;
  std::string local_rank;
  std::string local_world_size;
};

void check_below(const std::string& name, int value, const std::string& limit_name, int limit) {
  if (value >= limit) {
    refuse_variable(
        name, "a rank below " + limit_name + " = " + std::to_string(limit), std::to_string(value));
  }
}

void check_at_most(const std::string& name, int value, const std::string& limit_name, int limit) {
  if (value > limit) {
    refuse_variable(
        name, "at most " + limit_name + " = " + std::to_string(limit), std::to_string(value));
  }
}

ProcessEnvironment read_ranks(const Variables& variables, Launcher launcher, const Names& names) {
  ProcessEnvironment environment;
  environment.launcher = launcher;
  environment.rank = variables.required(names.rank, 0, kMaxProcesses - 1, names.world_size);
  environment.world_size = variables.required(names.world_size, 1, kMaxProcesses, names.rank);
  check_below(names.rank, environment.rank, names.world_size, environment.world_size);
  // Without a word about machines there is one.
  const auto local_rank = variables.number(names.local_rank, 0, kMaxProcesses - 1);
  const auto local_size = variables.number(names.local_world_size, 1, kMaxProcesses);
  environment.local_rank = local_rank.value_or(environment.rank);
  environment.local_world_size = local_size.value_or(environment.world_size);
  if (local_size) {
    check_at_most(names.local_world_size, *local_size, names.world_size, environment.world_size);
    if (local_rank) check_below(names.local_rank, *local_rank, names.local_world_size, *local_size);
  }
  return environment;
}

void read_master(const Variables& variables, ProcessEnvironment& environment) {
  if (const auto address = variables.text("MASTER_ADDR")) {
    environment.master_address = *address;
  } else if (environment.local_world_size < environment.world_size) {
    refuse_variable("MASTER_ADDR",
                    "the address of rank 0, since this machine has " +
                        std::to_string(environment.local_world_size) + " of " +
                        std::to_string(environment.world_size) + " processes",
                    "none");
  }
  environment.master_port =
      variables.number("MASTER_PORT", 1, kMaxPort).value_or(environment.master_port);
}

ProcessEnvironment read_torchrun(const Variables& variables) {
  auto environment = read_ranks(
      variables, Launcher::torchrun, {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"});
  read_master(variables, environment);
  if (const auto agent = variables.text("TORCHELASTIC_USE_AGENT_STORE")) {
    if (*agent != "True" && *agent != "False") {
      refuse_variable("TORCHELASTIC_USE_AGENT_STORE", "True or False", quote(*agent));
    }
    environment.store_is_hosted = *agent == "True";
  }
  environment.job = variables.text("TORCHELASTIC_RUN_ID").value_or("");
  environment.restart_count =
      variables.number("TORCHELASTIC_RESTART_COUNT", 0, INT32_MAX).value_or(0);
  return environment;
}

// What mpirun inside a SLURM step leaves of SLURM's variables is about mpirun's own daemons.
void check_against(const Variables& variables, const ProcessEnvironment& environment) {
  const auto check = [&](const std::string& slurm, int value, const std::string& other) {
    const auto said = variables.number(other, 0, kMaxProcesses);
    if (said && *said != value) {
      refuse_variable(slurm,
                      std::to_string(*said) + ", as " + other + " says",
                      std::to_string(value),
                      "With mpirun in a SLURM job, start env -u SLURM_PROCID COMMAND");
    }
  };
  check("SLURM_PROCID", environment.rank, "OMPI_COMM_WORLD_RANK");
  check("SLURM_NTASKS", environment.world_size, "OMPI_COMM_WORLD_SIZE");
  check("SLURM_PROCID", environment.rank, "PMI_RANK");
  check("SLURM_NTASKS", environment.world_size, "PMI_SIZE");
}

int slurm_local_size(const Variables& variables, int world_size, bool one_machine) {
  if (const auto size = variables.number("SLURM_NTASKS_PER_NODE", 1, kMaxProcesses)) {
    return std::min(*size, world_size);
  }
  for (const auto* name : {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}) {
    const auto text = variables.text(name);
    if (!text) continue;
    const auto counts = expand_task_counts(name, *text);
    const int node = variables.number("SLURM_NODEID", 0, kMaxProcesses - 1).value_or(0);
    check_below("SLURM_NODEID",
                node,
                "the machines of " + std::string(name),
                static_cast<int>(counts.size()));
    return std::min(counts[static_cast<std::size_t>(node)], world_size);
  }
  return one_machine ? world_size : 1;
}

ProcessEnvironment read_slurm(const Variables& variables) {
  ProcessEnvironment environment;
  environment.launcher = Launcher::slurm;
  environment.rank = variables.required("SLURM_PROCID", 0, kMaxProcesses - 1, "SLURM_NTASKS");
  const auto world_size =
      variables.number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", 1, kMaxProcesses);
  if (!world_size) refuse_variable("SLURM_NTASKS", "a value beside SLURM_PROCID", "none");
  environment.world_size = *world_size;
  check_below("SLURM_PROCID", environment.rank, "SLURM_NTASKS", environment.world_size);
  check_against(variables, environment);

  std::vector<std::string> hosts;
  for (const auto* name : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"}) {
    const auto text = variables.text(name);
    if (!text) continue;
    hosts = expand_node_list(*text);
    break;
  }
  const bool one_machine = hosts.size() == 1;
  environment.local_world_size =
      slurm_local_size(variables, environment.world_size, one_machine || hosts.empty());
  const auto local_rank = variables.number("SLURM_LOCALID", 0, kMaxProcesses - 1);
  environment.local_rank = local_rank.value_or(one_machine ? environment.rank : 0);
  if (local_rank) {
    check_below("SLURM_LOCALID",
                *local_rank,
                "the processes of this machine",
                environment.local_world_size);
  }
  if (const auto address = variables.text("MASTER_ADDR")) {
    environment.master_address = *address;
  } else if (hosts.size() > 1) {
    environment.master_address = hosts.front();
  } else if (hosts.empty() && environment.local_world_size < environment.world_size) {
    refuse_variable("SLURM_JOB_NODELIST", "the machines of the job", "none", "Set MASTER_ADDR");
  }
  if (const auto job = variables.number("SLURM_JOB_ID", 0, INT32_MAX)) {
    environment.job = std::to_string(*job);
    environment.master_port = 20000 + *job % 10000;
  }
  environment.master_port =
      variables.number("MASTER_PORT", 1, kMaxPort).value_or(environment.master_port);
  environment.restart_count = variables.number("SLURM_RESTART_COUNT", 0, INT32_MAX).value_or(0);
  return environment;
}

ProcessEnvironment read_mpi(const Variables& variables, Launcher launcher, const Names& names) {
  auto environment = read_ranks(variables, launcher, names);
  read_master(variables, environment);
  return environment;
}

ProcessEnvironment read_own(const Variables& variables) {
  auto environment =
      read_ranks(variables,
                 Launcher::vizoo,
                 {"VIZOO_RANK", "VIZOO_WORLD_SIZE", "VIZOO_LOCAL_RANK", "VIZOO_LOCAL_WORLD_SIZE"});
  environment.master_address =
      variables.text("VIZOO_MASTER_ADDR").value_or(environment.master_address);
  environment.master_port =
      variables.number("VIZOO_MASTER_PORT", 1, kMaxPort).value_or(environment.master_port);
  if (environment.rank == 0) {
    environment.listen_descriptor = variables.number("VIZOO_LISTEN_FD", 3, INT32_MAX);
  }
  return environment;
}

ProcessEnvironment read_first(const Variables& variables) {
  if (variables.has("RANK") || variables.has("WORLD_SIZE")) return read_torchrun(variables);
  if (variables.has("SLURM_PROCID")) return read_slurm(variables);
  if (variables.has("OMPI_COMM_WORLD_RANK") || variables.has("OMPI_COMM_WORLD_SIZE")) {
    return read_mpi(variables,
                    Launcher::open_mpi,
                    {"OMPI_COMM_WORLD_RANK",
                     "OMPI_COMM_WORLD_SIZE",
                     "OMPI_COMM_WORLD_LOCAL_RANK",
                     "OMPI_COMM_WORLD_LOCAL_SIZE"});
  }
  if (variables.has("PMI_RANK") || variables.has("PMI_SIZE")) {
    return read_mpi(
        variables, Launcher::pmi, {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"});
  }
  if (variables.has("VIZOO_RANK") || variables.has("VIZOO_WORLD_SIZE")) return read_own(variables);
  return {};
}

}  // namespace

std::string launcher_name(Launcher launcher) {
  switch (launcher) {
    case Launcher::none:
      return "none";
    case Launcher::torchrun:
      return "torchrun";
    case Launcher::slurm:
      return "SLURM";
    case Launcher::open_mpi:
      return "Open MPI";
    case Launcher::pmi:
      return "PMI";
    case Launcher::vizoo:
      return "vizoo launch";
  }
  return "unknown";
}

bool is_loopback(const std::string& address) {
  in_addr number{};
  if (inet_pton(AF_INET, address.c_str(), &number) == 1) return ntohl(number.s_addr) >> 24 == 127;
  return address == "localhost" || address == "::1";
}

ProcessEnvironment read_process_environment(const EnvironmentLookup& lookup) {
  auto environment = read_first(Variables(lookup));
  if (environment.world_size > 1 && !is_loopback(environment.master_address)) {
    environment.warning = "processes meet at " + printable(environment.master_address) + ":" +
                          std::to_string(environment.master_port) +
                          " without authentication: whoever reaches that port can take part, so "
                          "use a trusted network";
  }
  return environment;
}

ProcessEnvironment read_process_environment() {
  return read_process_environment([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  });
}

}  // namespace vizoo
