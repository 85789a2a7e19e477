// The functions below take the place of the C library's in this program: the linker prefers the
// program's own definitions.
#include "faults.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>

namespace vizoo::test {
namespace {

struct State {
  bool active = false;
  Fault fault = Fault::none;
  int at = 0;
  int error = 0;
  int calls = 0;
  bool renamed = false;
};
State state;

// Whether this call is the one that goes wrong.
bool strikes() { return state.active && ++state.calls == state.at && state.fault != Fault::none; }

// Whether it fails; sets errno.
bool fails() {
  if (!strikes() || state.fault == Fault::short_write) return false;
  errno = state.fault == Fault::interrupted ? EINTR : state.error;
  return true;
}

}  // namespace

FaultInjection::FaultInjection(Fault fault, int at, int error) {
  state = {true, fault, at, error, 0, false};
}
FaultInjection::~FaultInjection() { state = {}; }
int FaultInjection::calls() const { return state.calls; }
bool FaultInjection::renamed() const { return state.renamed; }

}  // namespace vizoo::test

using vizoo::test::fails;
using vizoo::test::Fault;
using vizoo::test::state;
using vizoo::test::strikes;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(arguments, unsigned) : 0;
  va_end(arguments);
  const bool counted = (flags & (O_WRONLY | O_DIRECTORY)) != 0;
  if (counted && fails()) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t write(int file, const void* data, std::size_t size) {
  if (file > 2 && strikes()) {
    if (state.fault != Fault::short_write) {
      errno = state.fault == Fault::interrupted ? EINTR : state.error;
      return -1;
    }
    size = (size + 1) / 2;
  }
  return ::syscall(SYS_write, file, data, size);
}

int fsync(int file) {
  if (fails()) return -1;
  return static_cast<int>(::syscall(SYS_fsync, file));
}

int rename(const char* from, const char* to) noexcept {
  if (fails()) return -1;
  const int result = static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0U));
  state.renamed = state.renamed || result == 0;
  return result;
}

}  // extern "C"
