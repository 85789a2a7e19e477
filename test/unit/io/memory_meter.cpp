#include "memory_meter.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VIZOO_TEST_METER 0
#else
#define VIZOO_TEST_METER 1
#endif

namespace {

std::atomic<std::size_t> held{0};
std::atomic<std::size_t> peak{0};

}  // namespace

#if VIZOO_TEST_METER
void* operator new(std::size_t size) {
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  const std::size_t now =
      held.fetch_add(::malloc_usable_size(memory)) + ::malloc_usable_size(memory);
  std::size_t known = peak.load();
  while (now > known && !peak.compare_exchange_weak(known, now)) {
  }
  return memory;
}

void* operator new[](std::size_t size) { return operator new(size); }

void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  held.fetch_sub(::malloc_usable_size(memory));
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
void operator delete[](void* memory) noexcept { operator delete(memory); }
void operator delete[](void* memory, std::size_t) noexcept { operator delete(memory); }
#endif

namespace vizoo::test {

MemoryMeter::MemoryMeter() : begin_(held.load()) { peak.store(begin_); }

bool MemoryMeter::measures() { return VIZOO_TEST_METER != 0; }

std::size_t MemoryMeter::peak_bytes() const { return peak.load() - begin_; }

}  // namespace vizoo::test
