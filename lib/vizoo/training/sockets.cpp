#include "vizoo/training/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "vizoo/core/error.h"
#include "vizoo/training/process_group.h"

namespace vizoo {
namespace {

using Clock = std::chrono::steady_clock;
using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

std::string place(const std::string& address, int port) {
  return printable(address) + ":" + std::to_string(port);
}

// What a name stands for; none if it cannot be resolved.
Addresses resolve(const std::string& address, int port, int type) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = type;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    found = nullptr;
  }
  return Addresses(found, &freeaddrinfo);
}

bool connects(const addrinfo& to, std::chrono::milliseconds limit) {
  const Socket socket(::socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.descriptor() < 0) return false;
  if (connect(socket.descriptor(), to.ai_addr, to.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  pollfd event{socket.descriptor(), POLLOUT, 0};
  if (poll(&event, 1, static_cast<int>(limit.count())) != 1) return false;
  int problem = 0;
  socklen_t length = sizeof(problem);
  getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &problem, &length);
  return problem == 0;
}

}  // namespace

Socket::~Socket() {
  if (descriptor_ >= 0) close(descriptor_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

int Socket::release() {
  const int descriptor = descriptor_;
  descriptor_ = -1;
  return descriptor;
}

Socket listen_at(const std::string& address, int port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(is_loopback(address) ? INADDR_LOOPBACK : INADDR_ANY);
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  // A port whose last user has just ended is free.
  setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (socket.descriptor() < 0 ||
      bind(socket.descriptor(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0 ||
      listen(socket.descriptor(), SOMAXCONN) != 0) {
    const int problem = errno;
    throw ProcessGroupError(
        Error::describe("process group",
                        "port " + std::to_string(port),
                        "expected a free port for the processes to meet at, got: " +
                            std::string(std::strerror(problem)),
                        problem == EADDRINUSE ? "Another job may use it: choose another port"
                                              : "Choose another port"),
        {0});
  }
  return socket;
}

int listening_port(int descriptor, const std::string& name) {
  int listens = 0;
  socklen_t length = sizeof(listens);
  sockaddr_in to{};
  socklen_t address_length = sizeof(to);
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0 ||
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&to), &address_length) != 0) {
    throw UsageError("environment",
                     name,
                     "a listening socket from vizoo launch",
                     "descriptor " + std::to_string(descriptor) + ", which is none",
                     "Programs between vizoo launch and this one must pass open files on");
  }
  return ntohs(to.sin_port);
}

bool wait_until_reachable(const std::string& address, int port, Clock::time_point deadline) {
  auto pause = std::chrono::milliseconds(10);
  while (true) {
    const auto addresses = resolve(address, port, SOCK_STREAM);
    for (const auto* to = addresses.get(); to != nullptr; to = to->ai_next) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
      const auto limit =
          std::clamp(left, std::chrono::milliseconds(0), std::chrono::milliseconds(5000));
      if (connects(*to, limit)) return true;
    }
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::milliseconds(500));
  }
}

std::string local_address_towards(const std::string& address, int port) {
  const auto addresses = resolve(address, port, SOCK_DGRAM);
  for (const auto* to = addresses.get(); to != nullptr; to = to->ai_next) {
    const Socket socket(::socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage own{};
    socklen_t length = sizeof(own);
    char text[NI_MAXHOST] = {};
    // For datagrams this sends nothing: it only chooses the way.
    if (socket.descriptor() < 0 || connect(socket.descriptor(), to->ai_addr, to->ai_addrlen) != 0 ||
        getsockname(socket.descriptor(), reinterpret_cast<sockaddr*>(&own), &length) != 0 ||
        getnameinfo(reinterpret_cast<sockaddr*>(&own),
                    length,
                    text,
                    sizeof(text),
                    nullptr,
                    0,
                    NI_NUMERICHOST) != 0) {
      continue;
    }
    return text;
  }
  throw ProcessGroupError(
      Error::describe("process group", place(address, port), "there is no way to this address"),
      {});
}

void forget_name_servers() {
#ifdef __GLIBC__  // elsewhere _res is not the thread's own
  if (res_init() == 0) _res.nscount = 0;
#endif
}

}  // namespace vizoo
