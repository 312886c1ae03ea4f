// For the stand-alone tests and benchmarks of single kernel families: a tiny parallel(), and instructions built by hand.
// Compiled with CHAINRULE_ISA set, as the kernels under test.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "../kernels/families.h"

namespace chainrule {

/// Threads that spin while a test runs; as in the pool, each begins with its own stretch of the chunks.
class Team {
 public:
  explicit Team(int threads) : threads_(std::min(threads, most())) {
    for (int i = 0; i < threads_; i++) scratch_.push_back(static_cast<std::byte*>(std::aligned_alloc(64, kThreadScratchBytes)));
    for (int i = 1; i < threads_; i++) workers_.emplace_back([this, i] { work(i); });
  }
  ~Team() {
    stop_ = true;
    generation_.fetch_add(1);
    for (auto& w : workers_) w.join();
    for (auto* s : scratch_) std::free(s);
  }
  void run(int64_t chunks, ChunkFunction fn, void* argument) {
    if (chunks == 1 || threads_ == 1) {
      for (int64_t i = 0; i < chunks; i++) call(fn, argument, i, 0);
      return;
    }
    fn_ = fn, argument_ = argument;
    for (int i = 0; i < threads_; i++) {
      Lane& lane = lanes_[static_cast<size_t>(i)];
      lane.next.store(chunks * i / threads_), lane.end = chunks * (i + 1) / threads_;
    }
    busy_.store(threads_ - 1);
    generation_.fetch_add(1, std::memory_order_release);
    claim(0);
    while (busy_.load(std::memory_order_acquire) != 0) pause();
  }
  bool poison = false;  ///< fill scratch with NaN before each chunk

 private:
  /// Emulated processors crawl where more threads spin than there are real ones.
  static int most() {
    const char* wanted = std::getenv("CHAINRULE_TEST_THREADS");
    return wanted ? std::max(1, std::atoi(wanted)) : 64;
  }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  void call(ChunkFunction fn, void* argument, int64_t chunk, int thread) {
    std::byte* s = scratch_[static_cast<size_t>(thread)];
    if (poison) std::memset(s, 0xff, kThreadScratchBytes);
    fn(argument, chunk, s);
  }
  void claim(int thread) {
    for (int l = 0; l < threads_; l++) {
      Lane& lane = lanes_[static_cast<size_t>((thread + l) % threads_)];
      for (int64_t i; (i = lane.next.fetch_add(1)) < lane.end;) call(fn_, argument_, i, thread);
    }
  }
  void work(int thread) {
    for (int seen = 0;;) {
      int spins = 0;
      while (generation_.load(std::memory_order_acquire) == seen) {
        pause();
        if (threads_ > 2 && ++spins > 100) std::this_thread::yield();
      }
      seen++;
      if (stop_) return;
      claim(thread);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }
  int threads_;
  std::vector<std::thread> workers_;
  std::vector<std::byte*> scratch_;
  ChunkFunction fn_ = nullptr;
  void* argument_ = nullptr;
  struct alignas(64) Lane {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::array<Lane, 64> lanes_;
  alignas(64) std::atomic<int> generation_{0};
  alignas(64) std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
};

#ifndef CHAINRULE_HARNESS_NO_PARALLEL
void parallel(const Run& run, int64_t chunks, ChunkFunction fn, void* argument) { static_cast<Team*>(run.pool)->run(chunks, fn, argument); }
#endif

/// A buffer of floats whose bounds the sanitizer knows.
struct Floats {
  struct Free {
    void operator()(float* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<float[], Free> data;
  int64_t size;
  explicit Floats(int64_t n) : data(static_cast<float*>(::operator new[](static_cast<size_t>(n) * 4, std::align_val_t{64}))), size(n) {}
};

inline void fillRandom(Floats& f, uint32_t seed) {
  std::minstd_rand g(seed * 7919u + 1u);
  for (int64_t i = 0; i < f.size; i++) f.data[static_cast<size_t>(i)] = static_cast<float>(g() % 2001) / 1000.0f - 1.0f;
}

inline View viewOf(int32_t buffer, int64_t offset, std::vector<int64_t> shape, std::vector<int64_t> stride, DType t = DType::float32) {
  View v{};
  v.buffer = buffer, v.dtype = t, v.offset = offset, v.rank = static_cast<int32_t>(shape.size());
  for (size_t i = 0; i < shape.size(); i++) v.shape[i] = shape[i], v.stride[i] = stride[i];
  return v;
}

inline std::vector<int64_t> contiguous(const std::vector<int64_t>& shape) {
  std::vector<int64_t> s(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) s[i] = step, step *= shape[i];
  return s;
}

/// An instruction that owns its parts; prepare() then run() with any team.
struct TestInstruction {
  Instruction instruction{};
  std::vector<View> inputs, outputs;
  std::vector<int32_t> attributes;
  const KernelFamily* family = nullptr;
  std::byte* shared = nullptr;
  TestInstruction() = default;
  TestInstruction(const TestInstruction&) = delete;
  ~TestInstruction() {
    std::free(instruction.plan);
    std::free(shared);
  }
  void prepare(const KernelFamily& f) {
    family = &f;
    for (View& v : inputs) settleStrides(v);
    for (View& v : outputs) settleStrides(v);
    instruction.inputs = inputs.data(), instruction.outputs = outputs.data(), instruction.attributes = attributes.data();
    instruction.inputCount = static_cast<int32_t>(inputs.size()), instruction.outputCount = static_cast<int32_t>(outputs.size());
    instruction.attributeCount = static_cast<int32_t>(attributes.size());
    if (!f.prepare(instruction).ok()) std::printf("prepare failed\n"), std::exit(1);
    // as the runtime does: on huge pages, if it is large
    const size_t bytes = (instruction.sharedScratch + 127) & ~size_t{63}, huge = size_t{2} << 20;
    shared = static_cast<std::byte*>(
        std::aligned_alloc(bytes < 2 * huge ? 64 : huge, bytes < 2 * huge ? bytes : (bytes + huge - 1) & ~(huge - 1)));
#if defined(__linux__)
    if (bytes >= 2 * huge) madvise(shared, (bytes + huge - 1) & ~(huge - 1), MADV_HUGEPAGE);
#endif
  }
  void run(void* const* buffers, Team& team) {
    Run r{buffers, shared, &team};
    family->run(instruction, r);
  }
};

}  // namespace chainrule
