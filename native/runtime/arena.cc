// Aligned memory for arenas, staging and scratch (see arena.h).
#include "arena.h"

#include <cstdint>
#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#elif defined(_WIN32)
#include <malloc.h>
#endif

namespace chainrule {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// Far beyond any machine, and small enough that sums of sizes cannot overflow.
constexpr size_t kLimit = size_t{1} << 46;

constexpr size_t roundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

#if defined(__linux__)
// A first touch costs 2 us per 4 KB page; with huge pages a large arena is ready some 20 times sooner.
bool usesMap(size_t bytes) { return bytes >= 2 * kHugePage; }

void* mapHuge(size_t bytes) {
  const size_t size = roundUp(bytes, kHugePage), extra = size + kHugePage;
  void* raw = mmap(nullptr, extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const uintptr_t start = reinterpret_cast<uintptr_t>(raw), aligned = roundUp(start, kHugePage);
  if (aligned > start) munmap(raw, aligned - start);
  const uintptr_t end = start + extra;
  if (end > aligned + size) munmap(reinterpret_cast<void*>(aligned + size), end - aligned - size);
  madvise(reinterpret_cast<void*>(aligned), size, MADV_HUGEPAGE);
  return reinterpret_cast<void*>(aligned);
}
#endif

}  // namespace

void* allocateAligned(size_t bytes) {
  if (bytes > kLimit) return nullptr;
  bytes = roundUp(bytes ? bytes : 1, kAlignment);
#if defined(__linux__)
  if (usesMap(bytes)) return mapHuge(bytes);
#endif
#if defined(_WIN32)
  return _aligned_malloc(bytes, kAlignment);
#else
  void* memory = nullptr;
  return posix_memalign(&memory, kAlignment, bytes) == 0 ? memory : nullptr;
#endif
}

void freeAligned(void* memory, size_t bytes) {
  if (!memory) return;
  bytes = roundUp(bytes ? bytes : 1, kAlignment);
#if defined(__linux__)
  if (usesMap(bytes)) {
    munmap(memory, roundUp(bytes, kHugePage));
    return;
  }
#endif
#if defined(_WIN32)
  _aligned_free(memory);
#else
  free(memory);
#endif
}

std::byte* Arena::reserve(size_t bytes) {
  if (bytes <= capacity() && memory_) return memory_;
  if (bytes > kLimit) return nullptr;
  // The old block goes first: nothing in it is wanted, and both together may not fit.
  release();
  // Some headroom, so that programs of slowly growing size do not each pay for fresh pages.
  size_t wanted = roundUp(bytes + bytes / 8 + 4096, kAlignment);
  memory_ = static_cast<std::byte*>(allocateAligned(wanted));
  if (!memory_) {
    wanted = roundUp(bytes ? bytes : 1, kAlignment);
    memory_ = static_cast<std::byte*>(allocateAligned(wanted));
  }
  if (memory_) capacity_ = wanted;
  return memory_;
}

void Arena::release() {
  freeAligned(memory_, capacity());
  memory_ = nullptr;
  capacity_ = 0;
}

}  // namespace chainrule
