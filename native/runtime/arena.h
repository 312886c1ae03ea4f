// Native memory that programs work in: 64-byte aligned, huge pages where they help, kept and reused between runs.
// In: a size. Out: memory of at least that size with unspecified content, or nullptr when the system refuses.
#pragma once
#include <atomic>
#include <cstddef>

namespace chainrule {

constexpr size_t kAlignment = 64;

/// Rounded up to whole cache lines.
constexpr size_t wholeLines(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// A raw aligned block. `bytes` must be the same in both calls.
void* allocateAligned(size_t bytes);
void freeAligned(void* memory, size_t bytes);

class Arena {
 public:
  Arena() = default;
  ~Arena() { release(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Memory of at least `bytes`; what an earlier call returned is gone when this one had to grow.
  std::byte* reserve(size_t bytes);
  void release();
  size_t capacity() const { return capacity_.load(std::memory_order_relaxed); }  ///< may be asked from any thread

 private:
  std::byte* memory_ = nullptr;
  std::atomic<size_t> capacity_{0};
};

}  // namespace chainrule
