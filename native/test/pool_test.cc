// The thread pool: every chunk once, from many callers, at every size; and how long a fork and join take.
#include "../runtime/pool.h"

#include <thread>

#include "programs.h"

using namespace chainrule;
using namespace chainrule::test;

namespace {

struct Counters {
  std::vector<std::atomic<int>> seen;
  explicit Counters(size_t n) : seen(n) {}
};

void count(void* argument, int64_t chunk, std::byte* scratch) {
  Counters& counters = *static_cast<Counters*>(argument);
  scratch[0] = static_cast<std::byte>(chunk);
  scratch[kThreadScratchBytes - 1] = scratch[0];
  counters.seen[static_cast<size_t>(chunk)].fetch_add(1, std::memory_order_relaxed);
  EXPECT(scratch[kThreadScratchBytes - 1] == static_cast<std::byte>(chunk));
}

void runsEveryChunkOnce(int rounds) {
  Caller caller;
  EXPECT(caller.prepare());
  Run run{nullptr, nullptr, caller.context()};
  for (int round = 0; round < rounds; ++round) {
    const int64_t chunks = round % 37;
    Counters counters(static_cast<size_t>(chunks));
    parallel(run, chunks, count, &counters);
    for (auto& seen : counters.seen) EXPECT(seen.load() == 1);
    if (round % 1000 == 999) std::this_thread::sleep_for(std::chrono::microseconds(200));  // let the workers park
  }
}

void changesSizeWhileRunning() {
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) callers.emplace_back([] { runsEveryChunkOnce(3000); });
  for (int i = 0; i < 30; ++i) Pool::instance().setThreads(1 + i * 5 % 9, "test");
  for (std::thread& caller : callers) caller.join();
}

void nothing(void*, int64_t, std::byte*) {}

double forkJoin(int threads, int64_t chunks) {
  Pool::instance().setThreads(threads, "test");
  Caller caller;
  caller.prepare();
  Run run{nullptr, nullptr, caller.context()};
  double best = 1e9;
  for (int repeat = 0; repeat < 20; ++repeat) {
    const int64_t start = nowNanoseconds();
    for (int i = 0; i < 1000; ++i) parallel(run, chunks, nothing, nullptr);
    const double each = static_cast<double>(nowNanoseconds() - start) / 1000;
    if (each < best) best = each;
  }
  return best;
}

}  // namespace

int main() {
  for (int threads : {1, 2, 3, 7}) {
    Pool::instance().setThreads(threads, "test");
    runsEveryChunkOnce(4000);
  }
  changesSizeWhileRunning();
  for (int threads : {1, 2, 7})
    printf("fork and join, %d threads: %.0f ns (2 chunks), %.0f ns (16 chunks)\n", threads, forkJoin(threads, 2), forkJoin(threads, 16));
  puts("pool ok");
}
