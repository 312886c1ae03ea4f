// What this machine can do at this moment, for the benchmarks to compare with: one program for each instruction set, compiled with its flags.
// In: the number of threads. Out, as JSON: GFLOP/s of multiply-adds that touch nothing but registers, and GB/s of a copy
// from memory to memory past the caches (a read and a write counted), each the best of several short tries.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "../kernels/peak.h"
#include "../simd/simd.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

using namespace chainrule::CHAINRULE_ISA;

namespace {

constexpr int kTries = 12;
constexpr int64_t kRounds = 400000;
constexpr size_t kCopied = size_t{1} << 24;  // floats, as in the workload `ew`

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void copy(float* to, const float* from, size_t n) {
  for (size_t i = 0; i < n; i += kWidth * 4)
    for (int k = 0; k < 4; k++) stream(to + i + k * kWidth, load(from + i + k * kWidth));
  streamFence();
}

/// Seconds of the fastest try; in each, all threads run `part(thread)` once, from the same moment.
template <class Part>
double fastest(int threads, Part part) {
  std::atomic<int> ready{0}, go{0}, finished{0};
  std::vector<std::thread> workers;
  for (int t = 1; t < threads; t++)
    workers.emplace_back([&, t] {
      for (int k = 1; k <= kTries; k++) {
        ready.fetch_add(1);
        while (go.load(std::memory_order_acquire) < k) std::this_thread::yield();
        part(t);
        finished.fetch_add(1);
      }
    });
  double best = 1e9;
  for (int k = 1; k <= kTries; k++) {
    while (ready.load() < k * (threads - 1)) std::this_thread::yield();
    const double start = now();
    go.store(k, std::memory_order_release);
    part(0);
    while (finished.load(std::memory_order_acquire) < k * (threads - 1)) std::this_thread::yield();
    best = std::min(best, now() - start);
  }
  for (auto& w : workers) w.join();
  return best;
}

float* pages(size_t floats) {
  constexpr size_t huge = size_t{2} << 20;
  auto* p = static_cast<float*>(std::aligned_alloc(huge, floats * sizeof(float)));
  if (!p) std::exit(1);
#if defined(__linux__)
  madvise(p, floats * sizeof(float), MADV_HUGEPAGE);
#endif
  std::fill(p, p + floats, 1.0f);
  return p;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::clamp(std::atoi(argv[1]), 1, 256) : 1;
  const double flops = peak.flopsPerRound * kRounds * threads;
  const double gflops = flops / fastest(threads, [](int) { peak.multiplyAdds(kRounds); }) / 1e9;

  float *from = pages(kCopied), *to = pages(kCopied);
  const size_t share = kCopied / static_cast<size_t>(threads) / 64 * 64;
  const double bytes = 8.0 * static_cast<double>(share) * threads;
  const double gbps = bytes / fastest(threads, [&](int t) {
                        const size_t at = share * static_cast<size_t>(t);
                        copy(to + at, from + at, share);
                      }) / 1e9;
  std::printf("{\"isa\":\"%s\",\"threads\":%d,\"gflops\":%.1f,\"gbps\":%.1f}\n", kIsaName, threads, gflops, gbps);
}
