// State of one JavaScript environment (the main thread or a Worker). In: napi_env's instance data. Out: what the entry points in
// programs.cc, jobs.cc and module.cc work on. Everything is used on the environment's own thread, except where noted.
#pragma once
#include <node_api.h>

#include "../runtime/isa.h"
#include "../runtime/queue.h"
#include "staging.h"

namespace chainrule::addon {

/// Loaded programs by number. JavaScript holds the number in an External, so that a foreign External is recognised without following its
/// pointer. Outlives the environment while Externals do: their finalizers come in no fixed order at the end.
struct ProgramTable {
  Program** entries = nullptr;
  int32_t capacity = 0;
  int64_t references = 1;

  int32_t add(Program* program);  ///< takes over the reference; -1 when out of memory
  Program* find(const void* handle) const;
  void release();
};

/// Programs of runOne by their words: eager code repeats the same few instructions, and decoding costs more than running a small one.
class OneCache {
 public:
  OneCache() = default;
  ~OneCache();
  OneCache(const OneCache&) = delete;
  OneCache& operator=(const OneCache&) = delete;
  /// The decoded program, good until the next call. `words` must not change meanwhile. After a failure `status` says why.
  const Program* find(const int32_t* words, int64_t count, const KernelTable& kernels, Status& status);

 private:
  static constexpr uint64_t kEntries = 128;
  static constexpr int64_t kMaxWords = 1024;  ///< longer ones are decoded each time, to bound the memory
  Program* entries_[kEntries] = {};
  Program large_;
};

/// A submitted job with its slots and copies, all in one staging block.
struct JobRecord : Job {
  StagingBlock block;
  napi_ref keep = nullptr;  ///< the slots array, for memory used in place
  JobRecord* previous = nullptr;
  JobRecord* following = nullptr;
};

constexpr int kQueues = 2;

struct Environment {
  explicit Environment(napi_env env, const KernelTable* kernels);

  napi_env env;
  const KernelTable* kernels;
  ProgramTable* programs = nullptr;

  // Synchronous runs.
  Caller caller;
  Arena arena;
  Arena words;  ///< private copy of the words of runOne
  OneCache one;

  // Jobs. The list holds all that JavaScript has not heard of, in order of their tickets.
  Owner owner;
  Queue foreground, predictions;
  Queue* queues[kQueues] = {&foreground, &predictions};
  Staging staging;
  JobRecord* first = nullptr;
  JobRecord* last = nullptr;
  double lastTicket = 0;
  bool closed = false;
  napi_threadsafe_function completions = nullptr;
  napi_ref callback = nullptr;
  napi_ref results = nullptr;  ///< the Float64Array handed to the callback, reused

  // Finished jobs on their way back; the executor appends.
  Mutex finishedMutex;
  Job* finishedHead = nullptr;
  Job* finishedTail = nullptr;
};

Environment* environmentOf(napi_env env);

/// Creates the completion function and the clean-up hook; false when Node refuses.
bool openJobs(Environment& environment);

// Entry points.
napi_value load(napi_env env, napi_callback_info info);
napi_value programInfo(napi_env env, napi_callback_info info);
napi_value runSync(napi_env env, napi_callback_info info);
napi_value runOne(napi_env env, napi_callback_info info);
napi_value submit(napi_env env, napi_callback_info info);
napi_value onComplete(napi_env env, napi_callback_info info);
napi_value wait(napi_env env, napi_callback_info info);
napi_value pending(napi_env env, napi_callback_info info);
napi_value cancel(napi_env env, napi_callback_info info);
napi_value peak(napi_env env, napi_callback_info info);  // peak.cc

}  // namespace chainrule::addon
