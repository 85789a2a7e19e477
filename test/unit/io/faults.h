#pragma once

namespace vizoo::test {

/// What goes wrong with the chosen system call.
enum class Fault {
  none,         ///< calls are only counted
  fail,         ///< it fails with `error`
  interrupted,  ///< it fails with EINTR, once
  short_write,  ///< write() takes half of the bytes; other calls work
};

/// While it lives, the system calls of this program by which files are written (open for writing
/// or of a folder, write, fsync, rename) are counted, and the `at`-th of them, from 1, goes wrong.
class FaultInjection {
 public:
  FaultInjection(Fault fault, int at, int error = 0);
  ~FaultInjection();
  FaultInjection(const FaultInjection&) = delete;
  FaultInjection& operator=(const FaultInjection&) = delete;

  /// Calls so far.
  int calls() const;

  /// Whether a rename has succeeded.
  bool renamed() const;
};

}  // namespace vizoo::test
