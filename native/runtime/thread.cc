// Threads, locks and waiting on pthreads, futexes and Win32 (see thread.h).
#include "thread.h"

#include <chrono>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if !defined(_WIN32)
#include <sched.h>
#include <signal.h>
#endif
#include <new>

namespace chainrule {
namespace {

struct Start {
  void (*body)(void*);
  void* argument;
};

void runStart(void* raw) {
  Start start = *static_cast<Start*>(raw);
  delete static_cast<Start*>(raw);
  start.body(start.argument);
}

}  // namespace

#if defined(_WIN32)

void Mutex::lock() { AcquireSRWLockExclusive(&handle_); }
void Mutex::unlock() { ReleaseSRWLockExclusive(&handle_); }
void Condition::wait(Mutex& mutex) { SleepConditionVariableSRW(&handle_, &mutex.handle_, INFINITE, 0); }
void Condition::notifyAll() { WakeAllConditionVariable(&handle_); }
void yieldThread() { SwitchToThread(); }

bool startThread(void (*body)(void*), void* argument) {
  Start* start = new (std::nothrow) Start{body, argument};
  if (!start) return false;
  auto entry = [](void* raw) -> DWORD {
    runStart(raw);
    return 0;
  };
  HANDLE thread = CreateThread(nullptr, 0, static_cast<DWORD(WINAPI*)(void*)>(entry), start, 0, nullptr);
  if (!thread) {
    delete start;
    return false;
  }
  CloseHandle(thread);
  return true;
}

#else

void Mutex::lock() { pthread_mutex_lock(&handle_); }
void Mutex::unlock() { pthread_mutex_unlock(&handle_); }
void Condition::wait(Mutex& mutex) { pthread_cond_wait(&handle_, &mutex.handle_); }
void Condition::notifyAll() { pthread_cond_broadcast(&handle_); }
void yieldThread() { sched_yield(); }

bool startThread(void (*body)(void*), void* argument) {
  Start* start = new (std::nothrow) Start{body, argument};
  if (!start) return false;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // musl's default of 128 KB is small for kernels that keep tiles on the stack.
  pthread_attr_setstacksize(&attributes, size_t{2} << 20);
  // The host's signal handlers are not to run here.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int failed = pthread_create(
      &thread, &attributes,
      [](void* raw) -> void* {
        runStart(raw);
        return nullptr;
      },
      start);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (failed) delete start;
  return !failed;
}

#endif

#if defined(__linux__)

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

void Gate::sleep(uint32_t ticket) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&opened_), FUTEX_WAIT_PRIVATE, ticket, nullptr, nullptr, 0);
}

void Gate::open(int sleepers) {
  opened_.fetch_add(1, std::memory_order_seq_cst);
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&opened_), FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0);
}

#else

void Gate::sleep(uint32_t ticket) {
  Lock lock(mutex_);
  while (opened_.load(std::memory_order_seq_cst) == ticket) condition_.wait(mutex_);
}

void Gate::open(int) {
  Lock lock(mutex_);
  opened_.fetch_add(1, std::memory_order_seq_cst);
  condition_.notifyAll();
}

#endif

int64_t nowNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace chainrule
