// Background execution: one thread per process that runs the jobs of all environments. In: jobs, submitted to queues. Out: each job's
// status, and a call of its owner's `completed`. Jobs of a queue run in order. Between two steps a job gives way to queues of higher
// priority; owners of equal priority take turns, job by job.
#pragma once
#include <atomic>
#include <cstdint>

#include "executor.h"
#include "thread.h"

namespace chainrule {

class Owner;
class Queue;

/// Memory belongs to whoever submits; it must stay until `completed` has been called (or close() has handed the job back).
struct Job {
  Program* program = nullptr;
  const SlotMemory* slots = nullptr;
  bool whole = true;  ///< with the program's prologue
  double ticket = 0;
  Status status;
  int64_t elapsedNanoseconds = 0;  ///< its own steps only
  std::atomic<bool> cancel{false};
  std::atomic<bool> done{false};
  Queue* queue = nullptr;
  Job* next = nullptr;  ///< the queue's until done, then the owner's
};

/// All of a queue's fields but the arena belong to the executor and are guarded by its lock.
class Queue {
 public:
  Queue(Owner& owner, int32_t priority) : owner_(owner), priority_(priority) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  size_t arenaBytes() const { return arena_.capacity(); }

 private:
  friend class Executor;
  Owner& owner_;
  const int32_t priority_;
  Job* head_ = nullptr;
  Job* tail_ = nullptr;
  bool running_ = false;
  Queue* nextReady_ = nullptr;
  Arena arena_;  ///< queues interleave, so each has its own
};

/// What an environment is to the executor.
class Owner {
 public:
  /// Called on the executor's thread when a job is done; the job is the owner's again and may be gone before this returns.
  using Completed = void (*)(void* context, Job* job);
  Owner(Completed completed, void* context) : completed_(completed), context_(context) {}
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  int64_t unfinished() const { return unfinished_.load(std::memory_order_acquire); }

 private:
  friend class Executor;
  Completed completed_;
  void* context_;
  std::atomic<int64_t> unfinished_{0};
  std::atomic<bool> closed_{false};
  std::atomic<int> waiting_{0};
  Gate gate_;            ///< opened when a job is done and somebody waits
  int running_ = 0;      ///< jobs begun, guarded by the executor's lock
  uint64_t served_ = 0;  ///< when it last had a turn, guarded by the executor's lock
};

class Executor {
 public:
  /// Leaked, like the pool.
  static Executor& instance();

  /// False when the background thread cannot be started.
  bool submit(Queue& queue, Job& job);
  /// Blocks until the job is done. Only for the thread that would free it.
  void wait(const Job& job);
  /// Cancels the owner's jobs and waits until none runs. `completed` is not called for jobs that had not begun; they are returned as a
  /// list.
  Job* close(Owner& owner, Queue** queues, int count);

 private:
  Executor() = default;
  static void enter(void* self);
  [[noreturn]] void loop();
  Job* take(int64_t above);
  void run(Job& job);
  Status runSteps(Job& job, int64_t& nested);
  void finish(Job& job);
  void pushReady(Queue& queue);
  void updateTop();

  Mutex mutex_;
  Condition idle_;  ///< a job ended
  Queue* ready_ = nullptr;
  uint64_t turn_ = 0;
  bool started_ = false;
  Caller caller_;
  std::atomic<int64_t> top_{INT64_MIN};  ///< the highest priority that has a job to start
  std::atomic<bool> parked_{false};      ///< the thread sleeps at gate_, or is about to
  Gate gate_;
};

}  // namespace chainrule
