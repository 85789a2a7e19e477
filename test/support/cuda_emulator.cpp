// Jumps between stacks are what the checked longjmp of hardened builds forbids.
#undef _FORTIFY_SOURCE

#include "test/support/cuda_emulator.h"

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace vizoo::test {
namespace {

constexpr int kLanes = 32;
constexpr size_t kStackBytes = 128 * 1024;

/// Where threads meet. The last to arrive opens it for all.
struct Gate {
  int arrived = 0;
  unsigned generation = 0;
  const char* purpose = nullptr;
};

struct Warp {
  std::array<Gate, kLanes> gates;  // by the lowest lane of those that meet
  // What the lanes bring to a collective operation, and what they take from it.
  std::array<std::array<unsigned char, 32>, kLanes> given{};
  std::array<std::array<unsigned char, 16>, kLanes> taken{};
};

struct Copy {
  void* to;
  const void* from;
};

struct Thread {
  ucontext_t context{};  // where it starts; from then on `place` says where it stands
  jmp_buf place{};
  bool started = false;
  std::unique_ptr<unsigned char[]> stack;
  bool done = false;
  const Gate* waits_for = nullptr;
  unsigned waits_generation = 0;
  std::vector<std::vector<Copy>> groups;  // committed copies that have not happened yet
  std::vector<Copy> open;
};

struct Machine {
  int64_t block = 0;
  int64_t blocks = 0;
  int thread = 0;
  int block_threads = 0;
  unsigned char* shared = nullptr;
  bool copies_at_once = false;
  const std::function<void()>* kernel = nullptr;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Gate block_gate;
  jmp_buf scheduler{};
  std::string error;

  Thread& current() { return threads[static_cast<size_t>(thread)]; }
  Warp& warp() { return warps[static_cast<size_t>(thread / kLanes)]; }
  int lane() const { return thread % kLanes; }
};

// One kernel runs at a time; coroutines need to find their machine without arguments.
Machine* machine = nullptr;

// _setjmp and _longjmp switch between coroutines without a system call; ucontext only starts them.
// Not inlined: a caller's variables in registers would not survive the jump.
__attribute__((noinline)) void give_way() {
  if (_setjmp(machine->current().place) == 0) _longjmp(machine->scheduler, 1);
}

__attribute__((noinline)) void resume(Thread& thread) {
  if (_setjmp(machine->scheduler) != 0) return;
  if (thread.started) _longjmp(thread.place, 1);
  thread.started = true;
  setcontext(&thread.context);
}

[[noreturn]] void fail(const std::string& what) {
  machine->error = what;
  while (true) give_way();  // the scheduler does not come back
}

/// Returns true in the last thread to arrive, which then has to call open().
bool arrive(Gate& gate, int participants, const char* purpose) {
  if (gate.arrived == 0) gate.purpose = purpose;
  if (std::strcmp(gate.purpose, purpose) != 0) {
    fail(std::string("threads meet in ") + gate.purpose + " and in " + purpose);
  }
  if (++gate.arrived == participants) return true;
  Thread& self = machine->current();
  self.waits_for = &gate;
  self.waits_generation = gate.generation;
  give_way();
  return false;
}

void open(Gate& gate) {
  gate.arrived = 0;
  ++gate.generation;
}

/// Lanes of `mask` meet; the last one computes what all take.
template <class Compute>
void meet(unsigned mask, const char* purpose, const Compute& compute) {
  if ((mask >> machine->lane() & 1U) == 0) fail("a lane is not in its own mask");
  Warp& warp = machine->warp();
  Gate& gate = warp.gates[static_cast<size_t>(__builtin_ctz(mask))];
  if (arrive(gate, __builtin_popcount(mask), purpose)) {
    compute(warp);
    open(gate);
  }
}

void run_thread() {
  (*machine->kernel)();
  machine->current().done = true;
  give_way();
}

bool can_run(const Thread& thread) {
  if (thread.done) return false;
  return thread.waits_for == nullptr || thread.waits_for->generation != thread.waits_generation;
}

void start_threads(Machine& m) {
  for (Thread& thread : m.threads) {
    thread.done = false;
    thread.started = false;
    thread.waits_for = nullptr;
    thread.groups.clear();
    thread.open.clear();
    if (!thread.stack) thread.stack.reset(new unsigned char[kStackBytes]);
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = kStackBytes;
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, run_thread, 0);
  }
}

void run_block(Machine& m, bool reversed) {
  m.warps.assign(static_cast<size_t>((m.block_threads + kLanes - 1) / kLanes), Warp());
  m.block_gate = Gate();
  start_threads(m);
  bool progress = true;
  while (progress) {
    progress = false;
    for (int i = 0; i < m.block_threads; ++i) {
      m.thread = reversed ? m.block_threads - 1 - i : i;
      Thread& thread = m.current();
      if (!can_run(thread)) continue;
      thread.waits_for = nullptr;
      progress = true;
      resume(thread);
      if (!m.error.empty()) throw std::runtime_error(m.error);
    }
  }
  for (const Thread& thread : m.threads) {
    if (!thread.done) throw std::runtime_error("threads wait for others that never come");
    if (!thread.groups.empty() || !thread.open.empty()) {
      throw std::runtime_error("a copy was never waited for");
    }
  }
}

}  // namespace

void emulate(int64_t blocks,
             int threads,
             int64_t shared_bytes,
             const std::function<void()>& kernel,
             bool reversed) {
  Machine m;
  m.blocks = blocks;
  m.block_threads = threads;
  m.kernel = &kernel;
  m.copies_at_once = reversed;
  m.threads.resize(static_cast<size_t>(threads));
  machine = &m;
  for (m.block = 0; m.block < blocks; ++m.block) {
    // New for each block, and of exactly this size, so that a sanitizer sees reads beyond it.
    const std::unique_ptr<unsigned char[]> shared(new unsigned char[shared_bytes + 16]);
    const auto misaligned = reinterpret_cast<uintptr_t>(shared.get()) % 16;
    m.shared = shared.get() + (misaligned == 0 ? 0 : 16 - misaligned);
    std::memset(m.shared, 0xff, static_cast<size_t>(shared_bytes));
    run_block(m, reversed);
  }
  machine = nullptr;
}

namespace emulator {

int thread_index() { return machine->thread; }
int64_t block_index() { return machine->block; }
int block_size() { return machine->block_threads; }
int64_t grid_size() { return machine->blocks; }
unsigned char* shared_memory() { return machine->shared; }

void sync_threads() {
  if (arrive(machine->block_gate, machine->block_threads, "sync_threads")) {
    open(machine->block_gate);
  }
}

void sync_warp() {
  meet(0xffffffffU, "sync_warp", [](Warp& /*warp*/) {});
}

void shuffle_xor(unsigned mask, void* value, int bytes, int offset) {
  const int lane = machine->lane();
  Warp& warp = machine->warp();
  if ((mask >> (lane ^ offset) & 1U) == 0) fail("a shuffle reads a lane that is not in its mask");
  std::memcpy(warp.given[lane].data(), value, static_cast<size_t>(bytes));
  meet(mask, "shuffle_xor", [&](Warp& w) {
    for (int i = 0; i < kLanes; ++i) {
      if (mask >> i & 1U) {
        std::memcpy(w.taken[i].data(), w.given[i ^ offset].data(), static_cast<size_t>(bytes));
      }
    }
  });
  std::memcpy(value, warp.taken[lane].data(), static_cast<size_t>(bytes));
}

void copy_async(void* shared, const void* global) {
  const auto misaligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 != 0; };
  if (misaligned(shared) || misaligned(global)) fail("a copy is not aligned to 16 bytes");
  if (machine->copies_at_once) {
    std::memcpy(shared, global, 16);
  } else {
    machine->current().open.push_back({shared, global});
  }
}

void copy_async_commit() {
  Thread& thread = machine->current();
  thread.groups.push_back(std::move(thread.open));
  thread.open.clear();
}

void copy_async_wait(int open_groups) {
  auto& groups = machine->current().groups;
  while (static_cast<int>(groups.size()) > open_groups) {
    for (const Copy& copy : groups.front()) std::memcpy(copy.to, copy.from, 16);
    groups.erase(groups.begin());
  }
}

void load_matrices(uint32_t (&matrix)[4], const void* row, bool transposed) {
  const int lane = machine->lane();
  Warp& warp = machine->warp();
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) fail("a matrix row is not aligned to 16 bytes");
  std::memcpy(warp.given[lane].data(), row, 16);  // row lane % 8 of matrix lane / 8
  meet(0xffffffffU, transposed ? "transposed load_matrices" : "load_matrices", [&](Warp& w) {
    for (int receiver = 0; receiver < kLanes; ++receiver) {
      for (int i = 0; i < 4; ++i) {
        for (int half = 0; half < 2; ++half) {
          int r = receiver / 4;
          int c = 2 * (receiver % 4) + half;
          if (transposed) std::swap(r, c);
          std::memcpy(&w.taken[receiver][4 * i + 2 * half], &w.given[8 * i + r][2 * c], 2);
        }
      }
    }
  });
  std::memcpy(matrix, warp.taken[lane].data(), 16);
}

void multiply_add(
    float* c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1, float (*widen)(uint16_t)) {
  const int lane = machine->lane();
  Warp& warp = machine->warp();
  std::memcpy(&warp.given[lane][0], a, 16);
  std::memcpy(&warp.given[lane][16], &b0, 4);
  std::memcpy(&warp.given[lane][20], &b1, 4);
  meet(0xffffffffU, "multiply_add", [&](Warp& w) {
    const auto element = [&](int from, int index) {
      uint16_t bits = 0;
      std::memcpy(&bits, &w.given[from][2 * index], 2);
      return widen(bits);
    };
    // Lane 4 g + t and element i of its eight of a: row g, plus 8 if i has bit 1; column 2 t + bit
    // 0, plus 8 if i has bit 2. Of its four of b: row 2 t + bit 0, plus 8 with bit 1; column g.
    float left[16][16];
    float right[16][8];
    for (int from = 0; from < kLanes; ++from) {
      const int g = from / 4;
      const int t = from % 4;
      for (int i = 0; i < 8; ++i) {
        const int row = g + ((i & 2) != 0 ? 8 : 0);
        const int column = 2 * t + (i & 1) + ((i & 4) != 0 ? 8 : 0);
        left[row][column] = element(from, i);
      }
      for (int i = 0; i < 4; ++i) {
        right[2 * t + (i & 1) + ((i & 2) != 0 ? 8 : 0)][g] = element(from, 8 + i);
      }
    }
    for (int to = 0; to < kLanes; ++to) {
      for (int i = 0; i < 4; ++i) {
        const int row = to / 4 + (i >= 2 ? 8 : 0);
        const int column = 2 * (to % 4) + i % 2;
        float sum = 0.0F;
        for (int k = 0; k < 16; ++k) sum += left[row][k] * right[k][column];
        std::memcpy(&w.taken[to][4 * i], &sum, 4);
      }
    }
  });
  for (int i = 0; i < 4; ++i) {
    float sum = 0.0F;
    std::memcpy(&sum, &warp.taken[lane][4 * i], 4);
    c[i] += sum;
  }
}

}  // namespace emulator
}  // namespace vizoo::test
