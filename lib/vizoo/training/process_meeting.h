#pragma once

// How processes find each other: part of process_connection.cpp, which is built with c10d only.

#include <chrono>
#include <string>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "vizoo/training/process_environment.h"

namespace vizoo {

/// What a process has when all have met.
struct Meeting {
  c10::intrusive_ptr<c10d::Store> server;         ///< in the process that hosts the store
  c10::intrusive_ptr<c10d::Store> store;          ///< used while they meet; the backends keep it
  c10::intrusive_ptr<c10d::Store> monitor_store;  ///< a connection of its own
  c10::intrusive_ptr<c10d::Backend> foreground;
  c10::intrusive_ptr<c10d::Backend> gradients;
  std::string place;  ///< host:port of the store, for messages
};

/// As ProcessGroup::join, for two processes and more.
Meeting meet(const ProcessEnvironment& environment,
             std::chrono::milliseconds timeout,
             bool uses_nccl);

/// A text up to its first line break: c10d's messages go on with stack traces.
std::string first_line(const char* text);

/// "600 s", for messages.
std::string seconds_text(std::chrono::milliseconds time);

}  // namespace vizoo
