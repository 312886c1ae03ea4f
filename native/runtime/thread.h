// Threads, locks and waiting. In: nothing. Out: Mutex, Condition, Gate, startThread, spinUntil for pool, queue and addon.
// Not std::thread and std::mutex: those report failure by throwing, and native code here never throws. Nothing has a destructor that
// runs at exit: process.exit() ends the process while our threads are still running.
#pragma once
#include <atomic>
#include <cstdint>
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <pthread.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace chainrule {

class Mutex {
 public:
  void lock();
  void unlock();

 private:
  friend class Condition;
#if defined(_WIN32)
  SRWLOCK handle_ = SRWLOCK_INIT;
#else
  pthread_mutex_t handle_ = PTHREAD_MUTEX_INITIALIZER;
#endif
};

class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

class Condition {
 public:
  void wait(Mutex& mutex);
  void notifyAll();

 private:
#if defined(_WIN32)
  CONDITION_VARIABLE handle_ = CONDITION_VARIABLE_INIT;
#else
  pthread_cond_t handle_ = PTHREAD_COND_INITIALIZER;
#endif
};

/// A place to sleep: take ticket(), look once more for what you wait for, then sleep(ticket). An open() after ticket() makes sleep()
/// return at once, so no wake-up is lost. Sleep may also return for no reason.
class Gate {
 public:
  uint32_t ticket() const { return opened_.load(std::memory_order_seq_cst); }
  void sleep(uint32_t ticket);
  void open(int sleepers);  ///< wakes at most about this many

 private:
  std::atomic<uint32_t> opened_{0};
#if !defined(__linux__)
  Mutex mutex_;
  Condition condition_;
#endif
};

/// Starts a detached thread; false when the system refuses.
bool startThread(void (*body)(void*), void* argument);
int64_t nowNanoseconds();
void yieldThread();

inline void relaxCpu() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// No wait burns a core for longer than this; waking a parked thread costs about as much.
constexpr int64_t kSpinNanoseconds = 50'000;

template <class Ready>
bool spinUntil(int64_t nanoseconds, Ready ready) {
  if (ready()) return true;
  const int64_t end = nowNanoseconds() + nanoseconds;
  do {
    for (int i = 0; i < 16; ++i) {
      relaxCpu();
      if (ready()) return true;
    }
  } while (nowNanoseconds() < end);
  return false;
}

}  // namespace chainrule
