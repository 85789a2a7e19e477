#pragma once

#include <chrono>
#include <string>

namespace vizoo {

/// A socket that is closed with its owner.
class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  ~Socket();
  Socket(Socket&& other) noexcept : descriptor_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;

  int descriptor() const { return descriptor_; }
  /// Gives the descriptor away.
  int release();

 private:
  int descriptor_;
};

/// Listens at `port` (0: one that is free) of the loopback interface if `address` is its, else of
/// all interfaces. Not inherited by programs that this one starts. Throws ProcessGroupError if the
/// port is in use or not allowed.
Socket listen_at(const std::string& address, int port);

/// The port of a listening socket. Throws UsageError if `descriptor` is none, calling it `name`.
int listening_port(int descriptor, const std::string& name);

/// Tries to connect until somebody listens at address:port; false if nobody does in time.
bool wait_until_reachable(const std::string& address,
                          int port,
                          std::chrono::steady_clock::time_point deadline);

/// The address under which this machine sends to `address`: what others there can reach it by.
/// Throws ProcessGroupError if there is no way.
std::string local_address_towards(const std::string& address, int port);

/// From now on this thread looks names up in files of this machine only, such as /etc/hosts.
void forget_name_servers();

}  // namespace vizoo
