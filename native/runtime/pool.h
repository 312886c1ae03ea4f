// The thread pool: one per process, shared by all environments. In: chunks of a kernel, through parallel() of kernels/instruction.h.
// Out: every chunk run once. The calling thread is one of the n; whoever finds the pool taken runs its chunks alone.
// Fork and join go through a few atomic words while the workers still spin, which they do for at most 50 us before they park.
//
// Each thread has a lane, a stretch of the chunks, and begins with that; who is done takes from the others' lanes. So the same part of
// a tensor stays with the same core from one instruction to the next: where cores do not share a cache, what another one has just
// written comes at a third of the speed, and writing it again costs more than that.
#pragma once
#include <atomic>

#include "../kernels/instruction.h"
#include "thread.h"

namespace chainrule {

constexpr int kMaxThreads = 256;
constexpr int kMaxLanes = 64;

class Pool;

/// What Run::pool points to: the pool and the caller's own scratch (kThreadScratchBytes, aligned). A chunk must not call parallel() again.
struct ParallelContext {
  Pool* pool = nullptr;
  std::byte* scratch = nullptr;
};

class Pool {
 public:
  /// The pool of the process. Never destroyed: threads may outlive main() when the process exits in mid-work.
  static Pool& instance();

  int threads() const { return target_.load(std::memory_order_relaxed); }
  const char* source() const { return source_.load(std::memory_order_relaxed); }
  /// Of the workers there are now.
  size_t scratchBytes() const { return static_cast<size_t>(alive_.load(std::memory_order_relaxed)) * kThreadScratchBytes; }
  /// Clamped to 1 … kMaxThreads. Waits for the parallel region that runs now.
  void setThreads(int count, const char* source);

  /// Runs all chunks and returns true, or returns false when the pool is taken or has only one thread.
  bool tryRun(int64_t chunks, ChunkFunction function, void* argument, std::byte* callerScratch);

 private:
  struct Worker {
    Pool* pool;
    int index;
    std::byte* scratch;
  };

  Pool();
  // A job's number in the upper half, chunks not yet claimed in the lower. A claim is a compare-and-swap, so a worker that read the job
  // and then slept through its end cannot claim a chunk of the next job with the old data.
  struct alignas(64) Lane {
    std::atomic<uint64_t> word{0};
    std::atomic<int64_t> end{0};  ///< the chunk behind the last
  };

  static void enter(void* worker);
  void work(const Worker& worker);
  void drain(int thread, std::byte* scratch);
  int64_t drainLane(Lane& lane, std::byte* scratch);
  void startMissing();
  void join();

  alignas(64) std::atomic<uint32_t> job_{0};  ///< number of the latest
  std::atomic<ChunkFunction> function_{nullptr};
  std::atomic<void*> argument_{nullptr};
  std::atomic<int> lanes_{0};
  Lane lane_[kMaxLanes];
  alignas(64) std::atomic<int64_t> pending_{0};  ///< chunks not yet finished
  std::atomic<bool> joining_{false};             ///< the caller may be asleep at joinGate_
  alignas(64) std::atomic<bool> owned_{false};
  int started_ = 0;       ///< workers started, guarded by owned_
  bool refused_ = false;  ///< the system gave no further thread, guarded by owned_
  std::atomic<int64_t> spin_{kSpinNanoseconds};
  std::atomic<int> target_{1};
  std::atomic<const char*> source_{""};
  std::atomic<int> alive_{0};
  alignas(64) std::atomic<int> parked_{0};
  Gate gate_;
  Gate joinGate_;
};

}  // namespace chainrule
