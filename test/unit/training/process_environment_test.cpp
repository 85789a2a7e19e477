#include "vizoo/training/process_environment.h"

#include <map>
#include <string>

#include "test/support/catch.h"
#include "test/support/error_message.h"

using namespace vizoo;
using test::error_message;

namespace {

using Variables = std::map<std::string, std::string>;

ProcessEnvironment read(const Variables& variables) {
  return read_process_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

std::string refusal(const Variables& variables) {
  return error_message<UsageError>([&] { read(variables); });
}

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

// What the launchers set, as seen in processes that they started (SLURM: as its manual has it).
const Variables kTorchrun = {{"RANK", "3"},
                             {"LOCAL_RANK", "1"},
                             {"WORLD_SIZE", "4"},
                             {"LOCAL_WORLD_SIZE", "2"},
                             {"GROUP_RANK", "1"},
                             {"MASTER_ADDR", "10.0.0.7"},
                             {"MASTER_PORT", "41234"},
                             {"TORCHELASTIC_RESTART_COUNT", "2"},
                             {"TORCHELASTIC_MAX_RESTARTS", "3"},
                             {"TORCHELASTIC_RUN_ID", "none"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
const Variables kSlurm = {{"SLURM_PROCID", "5"},
                          {"SLURM_LOCALID", "1"},
                          {"SLURM_NTASKS", "6"},
                          {"SLURM_NODEID", "2"},
                          {"SLURM_STEP_TASKS_PER_NODE", "2(x3)"},
                          {"SLURM_JOB_NODELIST", "node[09-11]"},
                          {"SLURM_JOB_ID", "1234567"},
                          {"SLURM_RESTART_COUNT", "1"}};
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                            {"OMPI_COMM_WORLD_SIZE", "2"},
                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
const Variables kPmi = {{"PMI_RANK", "2"}, {"PMI_SIZE", "3"}};
const Variables kVizoo = {{"VIZOO_RANK", "0"},
                          {"VIZOO_WORLD_SIZE", "2"},
                          {"VIZOO_LOCAL_RANK", "0"},
                          {"VIZOO_LOCAL_WORLD_SIZE", "2"},
                          {"VIZOO_MASTER_ADDR", "127.0.0.1"},
                          {"VIZOO_MASTER_PORT", "40001"},
                          {"VIZOO_LISTEN_FD", "7"}};

}  // namespace

TEST_CASE("without a launcher there is one process") {
  const auto environment = read({});
  CHECK(environment.launcher == Launcher::none);
  CHECK(environment.rank == 0);
  CHECK(environment.world_size == 1);
  CHECK(environment.local_rank == 0);
  CHECK(environment.local_world_size == 1);
  CHECK(environment.master_address == "127.0.0.1");
  CHECK(environment.warning.empty());
  CHECK(read({{"RANK", ""}, {"WORLD_SIZE", ""}}).launcher == Launcher::none);
  CHECK(read({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "8"}}).launcher == Launcher::none);  // salloc
}

TEST_CASE("the variables of torchrun") {
  const auto environment = read(kTorchrun);
  CHECK(environment.launcher == Launcher::torchrun);
  CHECK(environment.rank == 3);
  CHECK(environment.world_size == 4);
  CHECK(environment.local_rank == 1);
  CHECK(environment.local_world_size == 2);
  CHECK(environment.master_address == "10.0.0.7");
  CHECK(environment.master_port == 41234);
  CHECK(environment.store_is_hosted);
  CHECK(environment.job == "none");
  CHECK(environment.restart_count == 2);
  CHECK(environment.warning ==
        "processes meet at 10.0.0.7:41234 without authentication: whoever reaches that port can "
        "take part, so use a trusted network");
  CHECK_FALSE(read(with(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE", "False")).store_is_hosted);
  CHECK(read(with(kTorchrun, "MASTER_ADDR", "127.0.0.1")).warning.empty());
}

TEST_CASE("RANK and WORLD_SIZE by hand are enough on one machine") {
  const auto environment = read({{"RANK", "1"}, {"WORLD_SIZE", "2"}});
  CHECK(environment.local_rank == 1);
  CHECK(environment.local_world_size == 2);
  CHECK(environment.master_address == "127.0.0.1");
  CHECK(environment.master_port == 29500);
  CHECK_FALSE(environment.store_is_hosted);
}

TEST_CASE("the variables of SLURM") {
  const auto environment = read(kSlurm);
  CHECK(environment.launcher == Launcher::slurm);
  CHECK(environment.rank == 5);
  CHECK(environment.world_size == 6);
  CHECK(environment.local_rank == 1);
  CHECK(environment.local_world_size == 2);
  CHECK(environment.master_address == "node09");
  CHECK(environment.master_port == 24567);
  CHECK(environment.job == "1234567");
  CHECK(environment.restart_count == 1);
  CHECK_FALSE(environment.warning.empty());

  // A step on fewer machines and tasks than the job has.
  auto step = with(kSlurm, "SLURM_STEP_NODELIST", "node10");
  step["SLURM_STEP_NUM_TASKS"] = "2";
  step["SLURM_STEP_TASKS_PER_NODE"] = "2";
  step["SLURM_PROCID"] = "1";
  step["SLURM_NODEID"] = "0";
  const auto smaller = read(step);
  CHECK(smaller.world_size == 2);
  CHECK(smaller.local_world_size == 2);
  CHECK(smaller.master_address == "127.0.0.1");
  CHECK(smaller.warning.empty());

  // What the user says wins.
  auto own = with(kSlurm, "MASTER_ADDR", "head");
  own["MASTER_PORT"] = "5000";
  CHECK(read(own).master_address == "head");
  CHECK(read(own).master_port == 5000);
}

TEST_CASE("the number of processes of a SLURM machine") {
  CHECK(read(with(kSlurm, "SLURM_NTASKS_PER_NODE", "3")).local_world_size == 3);
  auto uneven = with(kSlurm, "SLURM_STEP_TASKS_PER_NODE", "2,3,1");
  uneven["SLURM_LOCALID"] = "0";
  CHECK(read(uneven).local_world_size == 1);
  uneven["SLURM_NODEID"] = "1";
  CHECK(read(uneven).local_world_size == 3);
  const auto alone =
      Variables{{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_NODELIST", "login"}};
  CHECK(read(alone).local_world_size == 4);
  CHECK(read(alone).local_rank == 1);
  CHECK(read(alone).master_address == "127.0.0.1");
}

TEST_CASE("the variables of Open MPI and of PMI") {
  const auto open_mpi = read(kOpenMpi);
  CHECK(open_mpi.launcher == Launcher::open_mpi);
  CHECK(open_mpi.rank == 1);
  CHECK(open_mpi.world_size == 2);
  CHECK(open_mpi.local_rank == 1);
  CHECK(open_mpi.local_world_size == 2);
  CHECK(open_mpi.master_port == 29500);
  CHECK(read(with(kOpenMpi, "MASTER_PORT", "1234")).master_port == 1234);

  const auto pmi = read(kPmi);
  CHECK(pmi.launcher == Launcher::pmi);
  CHECK(pmi.rank == 2);
  CHECK(pmi.world_size == 3);
  auto two_machines = with(kPmi, "MPI_LOCALRANKID", "0");
  two_machines["MPI_LOCALNRANKS"] = "1";
  CHECK(refusal(two_machines) ==
        "[environment] MASTER_ADDR: expected the address of rank 0, since this machine has 1 of 3 "
        "processes, got none.");
  two_machines["MASTER_ADDR"] = "head";
  CHECK(read(two_machines).local_rank == 0);
  CHECK(read(two_machines).master_address == "head");
}

TEST_CASE("the variables of vizoo launch") {
  const auto environment = read(kVizoo);
  CHECK(environment.launcher == Launcher::vizoo);
  CHECK(environment.rank == 0);
  CHECK(environment.world_size == 2);
  CHECK(environment.master_port == 40001);
  CHECK(environment.listen_descriptor == 7);
  CHECK(environment.warning.empty());
  CHECK_FALSE(read(with(kVizoo, "VIZOO_RANK", "1")).listen_descriptor);  // rank 0 alone has it
}

TEST_CASE("the first launcher wins") {
  Variables all = kTorchrun;
  for (const auto& others : {kSlurm, kOpenMpi, kPmi, kVizoo}) {
    all.insert(others.begin(), others.end());
  }
  CHECK(read(all).launcher == Launcher::torchrun);
  all = kOpenMpi;
  all.insert(kPmi.begin(), kPmi.end());
  all.insert(kVizoo.begin(), kVizoo.end());
  CHECK(read(all).launcher == Launcher::open_mpi);
}

TEST_CASE("what is no number or out of range is refused by name") {
  const auto whole = [](const std::string& name, const std::string& range, const std::string& got) {
    return "[environment] " + name + ": expected a whole number from " + range + ", got " + got +
           ".";
  };
  CHECK(refusal(with(kTorchrun, "RANK", "x")) == whole("RANK", "0 to 65535", "\"x\""));
  CHECK(refusal(with(kTorchrun, "RANK", "-1")) == whole("RANK", "0 to 65535", "\"-1\""));
  CHECK(refusal(with(kTorchrun, "RANK", " 1")) == whole("RANK", "0 to 65535", "\" 1\""));
  CHECK(refusal(with(kTorchrun, "RANK", "1.5")) == whole("RANK", "0 to 65535", "\"1.5\""));
  CHECK(refusal(with(kTorchrun, "WORLD_SIZE", "0")) == whole("WORLD_SIZE", "1 to 65536", "\"0\""));
  CHECK(refusal(with(kTorchrun, "WORLD_SIZE", "99999999999999999999")) ==
        whole("WORLD_SIZE", "1 to 65536", "\"99999999999999999999\""));
  CHECK(refusal(with(kTorchrun, "MASTER_PORT", "65536")) ==
        whole("MASTER_PORT", "1 to 65535", "\"65536\""));
  CHECK(refusal(with(kVizoo, "VIZOO_LISTEN_FD", "1")) ==
        whole("VIZOO_LISTEN_FD", "3 to 2147483647", "\"1\""));
  CHECK(refusal(with(kSlurm, "SLURM_PROCID", "a\nb")) ==
        whole("SLURM_PROCID", "0 to 65535", "\"a\\x0ab\""));
  CHECK(refusal(with(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE", "1")) ==
        "[environment] TORCHELASTIC_USE_AGENT_STORE: expected True or False, got \"1\".");
}

TEST_CASE("variables that are missing or contradict each other are refused by name") {
  CHECK(refusal(without(kTorchrun, "WORLD_SIZE")) ==
        "[environment] WORLD_SIZE: expected a value beside RANK, got none.");
  CHECK(refusal(without(kTorchrun, "RANK")) ==
        "[environment] RANK: expected a value beside WORLD_SIZE, got none.");
  CHECK(refusal(with(kTorchrun, "RANK", "4")) ==
        "[environment] RANK: expected a rank below WORLD_SIZE = 4, got 4.");
  CHECK(refusal(with(kTorchrun, "LOCAL_RANK", "2")) ==
        "[environment] LOCAL_RANK: expected a rank below LOCAL_WORLD_SIZE = 2, got 2.");
  CHECK(refusal(with(kTorchrun, "LOCAL_WORLD_SIZE", "5")) ==
        "[environment] LOCAL_WORLD_SIZE: expected at most WORLD_SIZE = 4, got 5.");
  CHECK(refusal(without(kTorchrun, "MASTER_ADDR")) ==
        "[environment] MASTER_ADDR: expected the address of rank 0, since this machine has 2 of 4 "
        "processes, got none.");
  CHECK(refusal(without(kSlurm, "SLURM_NTASKS")) ==
        "[environment] SLURM_NTASKS: expected a value beside SLURM_PROCID, got none.");
  CHECK(refusal(with(kSlurm, "SLURM_PROCID", "6")) ==
        "[environment] SLURM_PROCID: expected a rank below SLURM_NTASKS = 6, got 6.");
  CHECK(refusal(with(kSlurm, "SLURM_NODEID", "3")) ==
        "[environment] SLURM_NODEID: expected a rank below the machines of "
        "SLURM_STEP_TASKS_PER_NODE = 3, got 3.");
  CHECK(refusal(without(kSlurm, "SLURM_JOB_NODELIST")) ==
        "[environment] SLURM_JOB_NODELIST: expected the machines of the job, got none. "
        "Set MASTER_ADDR.");
  CHECK(refusal(with(kSlurm, "SLURM_JOB_NODELIST", "node[")) ==
        "[environment] SLURM node list: expected names such as node[01-03,07], at most 65536, got "
        "\"node[\".");
  CHECK(refusal(without(kVizoo, "VIZOO_WORLD_SIZE")) ==
        "[environment] VIZOO_WORLD_SIZE: expected a value beside VIZOO_RANK, got none.");
}

TEST_CASE("mpirun within a SLURM step is refused where both count differently") {
  Variables both = kSlurm;
  both.insert(kOpenMpi.begin(), kOpenMpi.end());
  CHECK(refusal(both) ==
        "[environment] SLURM_PROCID: expected 1, as OMPI_COMM_WORLD_RANK says, got 5. With mpirun "
        "in a SLURM job, start env -u SLURM_PROCID COMMAND.");
  both["OMPI_COMM_WORLD_RANK"] = "5";
  CHECK(test::contains(refusal(both), "SLURM_NTASKS: expected 2, as OMPI_COMM_WORLD_SIZE says"));
  both["OMPI_COMM_WORLD_SIZE"] = "6";
  CHECK(read(both).launcher == Launcher::slurm);
}

TEST_CASE("a rank of a SLURM machine that does not exist there is refused") {
  CHECK(refusal(with(kSlurm, "SLURM_LOCALID", "2")) ==
        "[environment] SLURM_LOCALID: expected a rank below the processes of this machine = 2, got "
        "2.");
}

TEST_CASE("loopback addresses") {
  for (const auto* address : {"localhost", "127.0.0.1", "127.8.9.1", "::1"}) {
    CHECK(is_loopback(address));
  }
  for (const auto* address : {"0.0.0.0", "10.0.0.1", "example.org", "127.evil.org", "", "1::1"}) {
    INFO(address);
    CHECK_FALSE(is_loopback(address));
  }
}

TEST_CASE("launchers have names") {
  CHECK(launcher_name(Launcher::none) == "none");
  CHECK(launcher_name(Launcher::torchrun) == "torchrun");
  CHECK(launcher_name(Launcher::slurm) == "SLURM");
  CHECK(launcher_name(Launcher::open_mpi) == "Open MPI");
  CHECK(launcher_name(Launcher::pmi) == "PMI");
  CHECK(launcher_name(Launcher::vizoo) == "vizoo launch");
}
