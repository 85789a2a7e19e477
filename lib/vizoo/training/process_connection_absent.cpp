#include "vizoo/training/process_connection.h"

namespace vizoo {

std::shared_ptr<ProcessConnection> ProcessConnection::join(const ProcessEnvironment& environment,
                                                           const ProcessGroupOptions& /*options*/) {
  throw UsageError("process group",
                   "number of processes",
                   "1, since this build of vizoo has no distributed training",
                   std::to_string(environment.world_size),
                   "Install libgloo-dev and build again with -DVIZOO_DISTRIBUTED=ON");
}

std::vector<std::string> process_backends() { return {}; }

}  // namespace vizoo
