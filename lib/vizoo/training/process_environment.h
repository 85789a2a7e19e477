#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace vizoo {

/// Who started this process.
enum class Launcher {
  none,      ///< nobody: one process
  torchrun,  ///< `torchrun --no-python`, or anything else that sets RANK and WORLD_SIZE
  slurm,     ///< `srun`
  open_mpi,  ///< `mpirun` of Open MPI
  pmi,       ///< `mpiexec` of MPICH, Intel MPI and others with PMI
  vizoo      ///< `vizoo launch`
};

/// "torchrun", "SLURM", ... for messages.
std::string launcher_name(Launcher launcher);

/// Which of how many processes this one is, and where they meet.
struct ProcessEnvironment {
  Launcher launcher = Launcher::none;
  int rank = 0;              ///< 0 <= rank < world_size
  int world_size = 1;        ///< processes of the group, at most 65,536
  int local_rank = 0;        ///< among the processes of this machine: the number of its GPU
  int local_world_size = 1;  ///< processes of this machine
  std::string master_address = "127.0.0.1";  ///< host name or address of rank 0
  int master_port = 29500;                   ///< 1 to 65535
  /// A socket that listens at master_port already and that rank 0 takes over (`vizoo launch`).
  std::optional<int> listen_descriptor;
  /// The launcher hosts the store at master_address: rank 0 joins as the others do (torchrun).
  bool store_is_hosted = false;
  /// Of the launcher; tells apart two runs that meet in one store.
  std::string job;
  int restart_count = 0;  ///< how often the launcher has started this job again
  /// One line for the user if the processes do not meet on the loopback interface: whoever reaches
  /// the port can take part, since c10d knows no authentication. Else empty.
  std::string warning;
};

/// Value of an environment variable, nullopt if it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// Reads the first of these that is there; an empty variable counts as not set:
///
/// 1. torchrun: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT,
///    TORCHELASTIC_USE_AGENT_STORE, TORCHELASTIC_RUN_ID, TORCHELASTIC_RESTART_COUNT;
/// 2. SLURM: SLURM_PROCID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS, SLURM_LOCALID,
///    SLURM_NTASKS_PER_NODE or SLURM_STEP_TASKS_PER_NODE with SLURM_NODEID, SLURM_STEP_NODELIST or
///    SLURM_JOB_NODELIST, SLURM_JOB_ID, SLURM_RESTART_COUNT. Rank 0 is on the first node. The port
///    is 20000 + SLURM_JOB_ID % 10000, so that two jobs of one machine do not meet;
/// 3. Open MPI: OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE; PMI: PMI_RANK, PMI_SIZE,
///    MPI_LOCALRANKID, MPI_LOCALNRANKS;
/// 4. `vizoo launch`: VIZOO_RANK, VIZOO_WORLD_SIZE, VIZOO_LOCAL_RANK, VIZOO_LOCAL_WORLD_SIZE,
///    VIZOO_MASTER_ADDR, VIZOO_MASTER_PORT, VIZOO_LISTEN_FD.
///
/// For 2 and 3, MASTER_ADDR and MASTER_PORT win over what is said above. Where no address is given
/// and all processes are on one machine, it is 127.0.0.1.
///
/// Throws UsageError, which names the variable, for what is no number, out of range or missing,
/// and where variables contradict each other (a rank that is not below the number of processes,
/// mpirun inside a SLURM step that counts differently, several machines without an address).
ProcessEnvironment read_process_environment(const EnvironmentLookup& lookup);

/// The same from this process's own environment.
ProcessEnvironment read_process_environment();

/// The hosts of a SLURM node list, in order: "node[01-03,07],login" -> node01 node02 node03 node07
/// login. Throws UsageError for what is not of that form and for more than 65,536 hosts.
std::vector<std::string> expand_node_list(const std::string& text);

/// Whether a host name or address is the loopback interface's: localhost, 127.0.0.0/8, ::1.
bool is_loopback(const std::string& address);

}  // namespace vizoo
