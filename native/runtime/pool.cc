// The thread pool (see pool.h) and parallel(), its face towards the kernels.
#include "pool.h"

#include <algorithm>
#include <new>

#include "arena.h"
#include "cpu.h"

namespace chainrule {

Pool& Pool::instance() {
  static Pool* pool = new Pool;  // leaked on purpose
  return *pool;
}

Pool::Pool() {
  const ThreadCount count = defaultThreadCount();
  target_.store(std::clamp(count.threads, 1, kMaxThreads));
  source_.store(count.source);
  // Spinning helps only while every thread has a core of its own; seven spinners on two cores delay each other by milliseconds.
  spin_.store(target_.load() <= usableCores() ? kSpinNanoseconds : kSpinNanoseconds / 25);
}

void Pool::setThreads(int count, const char* source) {
  count = std::clamp(count, 1, kMaxThreads);
  while (owned_.exchange(true, std::memory_order_acquire)) yieldThread();
  target_.store(count);
  source_.store(source);
  spin_.store(count <= usableCores() ? kSpinNanoseconds : kSpinNanoseconds / 25);
  refused_ = false;
  // Workers beyond the new count leave; their numbers are free again when they have gone.
  while (alive_.load(std::memory_order_seq_cst) > count - 1) {
    gate_.open(kMaxThreads);
    yieldThread();
  }
  started_ = std::min(started_, count - 1);
  owned_.store(false, std::memory_order_release);
}

void Pool::startMissing() {
  const int wanted = target_.load(std::memory_order_relaxed) - 1;
  while (started_ < wanted && !refused_) {
    Worker* worker = new (std::nothrow) Worker{this, started_, nullptr};
    if (worker) worker->scratch = static_cast<std::byte*>(allocateAligned(kThreadScratchBytes));
    alive_.fetch_add(1);
    if (worker && worker->scratch && startThread(&Pool::enter, worker)) {
      ++started_;
      continue;
    }
    alive_.fetch_sub(1);
    if (worker) freeAligned(worker->scratch, kThreadScratchBytes);
    delete worker;
    refused_ = true;  // go on with the threads there are
  }
}

void Pool::enter(void* raw) {
  Worker* worker = static_cast<Worker*>(raw);
  Pool* pool = worker->pool;
  pool->work(*worker);
  freeAligned(worker->scratch, kThreadScratchBytes);
  delete worker;
  pool->alive_.fetch_sub(1);
}

void Pool::work(const Worker& worker) {
  auto retired = [&] { return worker.index >= target_.load(std::memory_order_seq_cst) - 1; };
  while (!retired()) {
    const uint32_t seen = job_.load(std::memory_order_seq_cst);
    auto hasWork = [&] { return job_.load(std::memory_order_seq_cst) != seen; };
    drain(worker.index + 1, worker.scratch);
    if (spinUntil(spin_.load(std::memory_order_relaxed), hasWork)) continue;
    const uint32_t ticket = gate_.ticket();
    parked_.fetch_add(1, std::memory_order_seq_cst);
    if (!hasWork() && !retired()) gate_.sleep(ticket);
    parked_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

int64_t Pool::drainLane(Lane& lane, std::byte* scratch) {
  int64_t ran = 0;
  uint64_t word = lane.word.load(std::memory_order_acquire);
  while (const uint32_t left = static_cast<uint32_t>(word)) {
    // Valid if the swap succeeds: a new job is written only when every chunk of this one has been claimed and finished.
    const ChunkFunction function = function_.load(std::memory_order_relaxed);
    void* const argument = argument_.load(std::memory_order_relaxed);
    const int64_t chunk = lane.end.load(std::memory_order_relaxed) - left;
    if (!lane.word.compare_exchange_weak(word, word - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    function(argument, chunk, scratch);
    ++ran;
    word = lane.word.load(std::memory_order_acquire);
  }
  return ran;
}

void Pool::drain(int thread, std::byte* scratch) {
  int64_t ran = 0;
  const int lanes = lanes_.load(std::memory_order_relaxed);
  for (int i = 0; i < lanes; ++i) ran += drainLane(lane_[(thread + i) % lanes], scratch);
  if (ran && pending_.fetch_sub(ran, std::memory_order_seq_cst) == ran && joining_.load(std::memory_order_seq_cst)) joinGate_.open(1);
}

void Pool::join() {
  if (spinUntil(spin_.load(std::memory_order_relaxed), [&] { return pending_.load(std::memory_order_acquire) == 0; })) return;
  joining_.store(true, std::memory_order_seq_cst);
  for (;;) {
    const uint32_t ticket = joinGate_.ticket();
    if (pending_.load(std::memory_order_seq_cst) == 0) break;
    joinGate_.sleep(ticket);
  }
  joining_.store(false, std::memory_order_relaxed);
}

bool Pool::tryRun(int64_t chunks, ChunkFunction function, void* argument, std::byte* callerScratch) {
  if (target_.load(std::memory_order_relaxed) <= 1) return false;
  if (owned_.load(std::memory_order_relaxed) || owned_.exchange(true, std::memory_order_acquire)) return false;
  startMissing();
  constexpr int64_t kBatch = int64_t{1} << 31;  // the words count 32 bits of chunks
  for (int64_t base = 0; base < chunks; base += kBatch) {
    const int64_t count = std::min(chunks - base, kBatch);
    const int lanes = static_cast<int>(std::min<int64_t>(std::min(target_.load(std::memory_order_relaxed), kMaxLanes), count));
    const uint32_t job = job_.load(std::memory_order_relaxed) + 1;
    function_.store(function, std::memory_order_relaxed);
    argument_.store(argument, std::memory_order_relaxed);
    lanes_.store(lanes, std::memory_order_relaxed);
    pending_.store(count, std::memory_order_relaxed);
    for (int i = 0; i < lanes; ++i) {
      const int64_t from = count * i / lanes, to = count * (i + 1) / lanes;
      lane_[i].end.store(base + to, std::memory_order_relaxed);
      lane_[i].word.store(static_cast<uint64_t>(job) << 32 | static_cast<uint64_t>(to - from), std::memory_order_release);
    }
    job_.store(job, std::memory_order_seq_cst);
    const int parked = parked_.load(std::memory_order_seq_cst);
    if (parked > 0) gate_.open(static_cast<int>(std::min<int64_t>(parked, count - 1)));
    drain(0, callerScratch);
    join();
  }
  owned_.store(false, std::memory_order_release);
  return true;
}

void parallel(const Run& run, int64_t chunks, ChunkFunction fn, void* argument) {
  const ParallelContext& context = *static_cast<const ParallelContext*>(run.pool);
  if (chunks > 1 && context.pool && context.pool->tryRun(chunks, fn, argument, context.scratch)) return;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) fn(argument, chunk, context.scratch);
}

}  // namespace chainrule
