// The background executor (see queue.h).
#include "queue.h"

namespace chainrule {

Executor& Executor::instance() {
  static Executor* executor = new Executor;
  return *executor;
}

void Executor::enter(void* self) { static_cast<Executor*>(self)->loop(); }

void Executor::updateTop() {
  int64_t top = INT64_MIN;
  for (Queue* queue = ready_; queue; queue = queue->nextReady_)
    if (queue->priority_ > top) top = queue->priority_;
  top_.store(top, std::memory_order_seq_cst);
}

void Executor::pushReady(Queue& queue) {
  Queue** end = &ready_;  // last, so that equals are served in the order they came
  while (*end) end = &(*end)->nextReady_;
  *end = &queue;
  queue.nextReady_ = nullptr;
  updateTop();
}

bool Executor::submit(Queue& queue, Job& job) {
  job.queue = &queue;
  job.next = nullptr;
  {
    Lock lock(mutex_);
    if (!started_) {
      if (!startThread(&Executor::enter, this)) return false;
      started_ = true;
    }
    queue.owner_.unfinished_.fetch_add(1, std::memory_order_relaxed);
    const bool first = !queue.head_;
    (first ? queue.head_ : queue.tail_->next) = &job;
    queue.tail_ = &job;
    if (first && !queue.running_) pushReady(queue);
  }
  // Only the first of a burst pays for the wake-up.
  if (parked_.load(std::memory_order_seq_cst) && parked_.exchange(false, std::memory_order_seq_cst)) gate_.open(1);
  return true;
}

/// Takes a job of the highest priority above the given one; among equals the owner that waited longest comes first.
Job* Executor::take(int64_t above) {
  if (top_.load(std::memory_order_acquire) <= above) return nullptr;
  Lock lock(mutex_);
  Queue** best = nullptr;
  for (Queue** at = &ready_; *at; at = &(*at)->nextReady_) {
    if ((*at)->priority_ <= above) continue;
    if (!best || (*at)->priority_ > (*best)->priority_ ||
        ((*at)->priority_ == (*best)->priority_ && (*at)->owner_.served_ < (*best)->owner_.served_))
      best = at;
  }
  if (!best) return nullptr;
  Queue& queue = **best;
  *best = queue.nextReady_;
  Job* job = queue.head_;
  queue.head_ = job->next;
  job->next = nullptr;
  queue.running_ = true;
  ++queue.owner_.running_;
  queue.owner_.served_ = ++turn_;
  updateTop();
  return job;
}

void Executor::loop() {
  for (;;) {
    Job* job = nullptr;
    if (spinUntil(kSpinNanoseconds, [&] { return top_.load(std::memory_order_acquire) != INT64_MIN; })) job = take(INT64_MIN);
    if (job) {
      run(*job);
      continue;
    }
    const uint32_t ticket = gate_.ticket();
    parked_.store(true, std::memory_order_seq_cst);
    if (top_.load(std::memory_order_seq_cst) == INT64_MIN) gate_.sleep(ticket);
    parked_.store(false, std::memory_order_relaxed);
  }
}

void Executor::run(Job& job) {
  const int64_t start = nowNanoseconds();
  int64_t nested = 0;
  job.status = runSteps(job, nested);
  // an owner that is closing has nobody left who could see it
  if (!job.status.ok() && !job.queue->owner_.closed_.load(std::memory_order_acquire)) fallBack(*job.program, job.slots);
  job.elapsedNanoseconds = nowNanoseconds() - start - nested;
  finish(job);
}

Status Executor::runSteps(Job& job, int64_t& nested) {
  Owner& owner = job.queue->owner_;
  const int64_t priority = job.queue->priority_;
  Execution execution;
  if (owner.closed_.load(std::memory_order_acquire) || job.cancel.load(std::memory_order_relaxed)) return {StatusCode::cancelled, 0};
  Status status = execution.begin(*job.program, job.slots, job.queue->arena_, caller_, job.whole);
  while (status.ok() && !execution.done()) {
    if (!execution.committed()) {
      while (top_.load(std::memory_order_relaxed) > priority) {
        const int64_t start = nowNanoseconds();
        if (Job* other = take(priority)) run(*other);
        nested += nowNanoseconds() - start;
      }
      if (owner.closed_.load(std::memory_order_acquire) || job.cancel.load(std::memory_order_relaxed))
        return {StatusCode::cancelled, execution.instruction()};
    }
    status = execution.step();
  }
  return status;
}

void Executor::finish(Job& job) {
  Queue& queue = *job.queue;
  Owner& owner = queue.owner_;
  owner.unfinished_.fetch_sub(1, std::memory_order_release);
  {
    // Before the owner hears of it, so that it never meets a queue that lags behind.
    Lock lock(mutex_);
    queue.running_ = false;
    if (queue.head_) pushReady(queue);
  }
  job.done.store(true, std::memory_order_seq_cst);
  if (owner.waiting_.load(std::memory_order_seq_cst)) owner.gate_.open(1);
  owner.completed_(owner.context_, &job);  // the job may be gone from here on
  Lock lock(mutex_);
  --owner.running_;
  if (owner.closed_.load(std::memory_order_relaxed)) idle_.notifyAll();  // else nobody waits, and the owner may be gone after the lock
}

void Executor::wait(const Job& job) {
  auto done = [&] { return job.done.load(std::memory_order_seq_cst); };
  if (spinUntil(kSpinNanoseconds / 10, done)) return;
  yieldThread();  // the executor may have been woken on this very core
  if (spinUntil(kSpinNanoseconds, done)) return;
  Owner& owner = job.queue->owner_;
  owner.waiting_.store(1, std::memory_order_seq_cst);
  for (;;) {
    const uint32_t ticket = owner.gate_.ticket();
    if (done()) break;
    owner.gate_.sleep(ticket);
  }
  owner.waiting_.store(0, std::memory_order_relaxed);
}

Job* Executor::close(Owner& owner, Queue** queues, int count) {
  Lock lock(mutex_);
  owner.closed_.store(true, std::memory_order_release);
  Job* dropped = nullptr;
  for (int q = 0; q < count; ++q) {
    Queue& queue = *queues[q];
    for (Queue** at = &ready_; *at;) {
      if (*at == &queue) {
        *at = queue.nextReady_;
      } else {
        at = &(*at)->nextReady_;
      }
    }
    while (Job* job = queue.head_) {
      queue.head_ = job->next;
      job->next = dropped;
      dropped = job;
      owner.unfinished_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  updateTop();
  while (owner.running_ > 0) idle_.wait(mutex_);
  return dropped;
}

}  // namespace chainrule
