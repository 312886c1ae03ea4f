// submit, onComplete, wait, pending, cancel. In: programs to run in the background. Out: tickets, and one call of JavaScript per batch of
// finished jobs. The executor's thread calls nothing of Node but napi_call_threadsafe_function; what it needs of JavaScript's memory is
// copied or shared, and an environment that ends first takes its jobs back.
#include <algorithm>
#include <cstring>
#include <new>

#include "environment.h"
#include "values.h"

namespace chainrule::addon {

Program* programOf(Environment* environment, napi_value value);

namespace {

constexpr size_t kResultFields = 6;  // ticket, code, instruction, detail0, detail1, nanoseconds

JobRecord* record(Job* job) { return static_cast<JobRecord*>(job); }

/// On the executor's thread.
void jobCompleted(void* context, Job* job) {
  Environment& environment = *static_cast<Environment*>(context);
  bool first;
  {
    Lock lock(environment.finishedMutex);
    first = !environment.finishedHead;
    job->next = nullptr;
    (first ? environment.finishedHead : environment.finishedTail->next) = job;
    environment.finishedTail = job;
  }
  // One call fetches the whole batch. Its status does not matter: when the environment is closing, its clean-up hook takes the jobs.
  if (first) napi_call_threadsafe_function(environment.completions, nullptr, napi_tsfn_nonblocking);
}

void dispose(Environment& environment, JobRecord* job, bool ended) {
  (job->previous ? job->previous->following : environment.first) = job->following;
  (job->following ? job->following->previous : environment.last) = job->previous;
  // At the end of the environment Node drops the references itself.
  if (job->keep && !ended) napi_delete_reference(environment.env, job->keep);
  job->program->release();
  const StagingBlock block = job->block;
  job->~JobRecord();
  environment.staging.release(block);
}

/// The result array, at least `jobs` long. JavaScript may have detached the old one.
double* resultArray(Environment& environment, size_t jobs, napi_value* array) {
  napi_env env = environment.env;
  TypedMemory memory;
  const int64_t needed = static_cast<int64_t>(jobs * kResultFields * sizeof(double));
  if (environment.results && napi_get_reference_value(env, environment.results, array) == napi_ok && *array &&
      typedMemory(env, *array, memory) && memory.bytes >= needed)
    return static_cast<double*>(memory.data);
  const size_t length = (jobs < 16 ? 16 : 2 * jobs) * kResultFields;
  napi_value buffer;
  void* data;
  if (napi_create_arraybuffer(env, length * sizeof(double), &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_float64_array, length, buffer, 0, array) != napi_ok)
    return nullptr;
  if (environment.results) napi_delete_reference(env, environment.results);
  environment.results = nullptr;
  napi_create_reference(env, *array, 1, &environment.results);
  return static_cast<double*>(data);
}

/// On the environment's thread, called by Node. `env` is null when the environment is ending.
void deliver(napi_env env, napi_value, void* context, void*) {
  if (!env) return;
  Environment& environment = *static_cast<Environment*>(context);
  if (environment.closed) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  Job* head;
  {
    Lock lock(environment.finishedMutex);
    head = environment.finishedHead;
    environment.finishedHead = environment.finishedTail = nullptr;
  }
  size_t count = 0;
  for (Job* job = head; job; job = job->next) ++count;
  napi_value array = nullptr;
  double* out = count ? resultArray(environment, count, &array) : nullptr;
  for (Job *job = head, *next; job; job = next) {
    next = job->next;
    if (out) {
      const double fields[kResultFields] = {job->ticket,
                                            static_cast<double>(job->status.code),
                                            static_cast<double>(job->status.instruction),
                                            static_cast<double>(job->status.detail[0]),
                                            static_cast<double>(job->status.detail[1]),
                                            static_cast<double>(job->elapsedNanoseconds)};
      memcpy(out, fields, sizeof fields);
      out += kResultFields;
    }
    dispose(environment, record(job), false);
  }
  if (!environment.first) napi_unref_threadsafe_function(env, environment.completions);
  napi_value callback, receiver;
  // Statuses are ignored on purpose: in a Worker that is being terminated every call that could run JavaScript fails.
  if (out && environment.callback && napi_get_reference_value(env, environment.callback, &callback) == napi_ok && callback &&
      napi_get_undefined(env, &receiver) == napi_ok) {
    napi_value arguments[] = {number(env, static_cast<double>(count)), array};
    napi_call_function(env, receiver, callback, 2, arguments, nullptr);
  }
  napi_close_handle_scope(env, scope);
}

/// Runs before Node closes the completion function, since it was added later. After it nothing of ours touches the environment's memory.
void closeJobs(void* raw) {
  Environment& environment = *static_cast<Environment*>(raw);
  environment.closed = true;
  Executor::instance().close(environment.owner, environment.queues, kQueues);
  while (environment.first) dispose(environment, environment.first, true);
  napi_release_threadsafe_function(environment.completions, napi_tsfn_abort);
}

JobRecord* findTicket(Environment& environment, double ticket) {
  for (JobRecord* job = environment.first; job; job = job->following)
    if (job->ticket == ticket) return job;
  return nullptr;
}

/// The job a ticket stands for, or nullptr if it has been delivered; throws when it is no ticket.
bool ticketArgument(Environment* environment, napi_env env, napi_callback_info info, JobRecord*& job) {
  Arguments<1> arguments(env, info);
  double ticket = 0;
  if (!environment || !arguments.ok || !arguments[0] || napi_get_value_double(env, arguments[0], &ticket) != napi_ok || !(ticket >= 1) ||
      ticket > environment->lastTicket) {
    fail(env, "not a ticket of submit()");
    return false;
  }
  job = findTicket(*environment, ticket);
  return true;
}

}  // namespace

Environment::Environment(napi_env env, const KernelTable* kernels)
    : env(env), kernels(kernels), owner(jobCompleted, this), foreground(owner, 0), predictions(owner, 1) {}

bool openJobs(Environment& environment) {
  napi_env env = environment.env;
  napi_value name;
  return napi_create_string_utf8(env, "chainrule", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, &environment, deliver,
                                         &environment.completions) == napi_ok &&
         napi_unref_threadsafe_function(env, environment.completions) == napi_ok &&
         napi_add_env_cleanup_hook(env, closeJobs, &environment) == napi_ok;
}

napi_value submit(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  Arguments<5> arguments(env, info);
  Program* program = programOf(environment, arguments[0]);
  if (!program) return fail(env, "submit(program, slots, queue, whole, held): not a program");
  int32_t queue = 0;
  napi_valuetype type = napi_undefined;
  if (arguments[2]) napi_typeof(env, arguments[2], &type);
  if (type != napi_undefined && (napi_get_value_int32(env, arguments[2], &queue) != napi_ok || queue < 0 || queue >= kQueues))
    return fail(env, "submit(program, slots, queue, whole, held): queue must be 0 or 1");
  Slots slots;
  if (!slots.read(env, arguments[1]) || !slots.resolve(env, program->slotCount)) return nullptr;
  if (environment->closed) return statusValue(env, {StatusCode::cancelled, -1});
  const Status checked = checkSlots(*program, slots.memory(), slots.resolved());
  if (!checked.ok()) return statusValue(env, checked);
  bool held = false;
  if (arguments[4]) napi_get_value_bool(env, arguments[4], &held);
  // Node-API can hold an object but not its memory: a transfer, or a change of the list, would end what the job still writes.
  napi_value kept = arguments[1];
  if (!held) {
    for (int32_t s = 0; s < program->slotCount; ++s) {
      if (program->slots[s].written && slots.detachable(env, s))
        return fail(env, "submit(program, slots, queue, whole, held): a slot that is written can be transferred; use a SharedArrayBuffer");
    }
    kept = slots.copy(env);
    if (!kept) return fail(env, "cannot keep the slots alive");
  }

  // What JavaScript could detach or resize while we read it is copied, and indices, which another thread could change after their check.
  const size_t table = wholeLines(sizeof(JobRecord)),
               copies = table + wholeLines(static_cast<size_t>(program->slotCount) * sizeof(SlotMemory));
  auto isCopied = [&](int32_t s) {
    const SlotInfo& slot = program->slots[s];
    return (slot.read || slot.fallbackBytes > 0) && !slot.written && (slot.index || slots.detachable(env, s));
  };
  auto copiedBytes = [&](int32_t s) {
    const SlotInfo& slot = program->slots[s];
    return static_cast<size_t>(std::max(slot.bytes, std::min(slot.fallbackBytes, slots.memory()[s].bytes)));
  };
  constexpr int32_t kMarks = 64;
  bool marks[kMarks];
  size_t total = copies;
  for (int32_t s = 0; s < program->slotCount; ++s) {
    const bool copied = isCopied(s);
    if (s < kMarks) marks[s] = copied;
    if (copied) total += wholeLines(copiedBytes(s));
  }
  const StagingBlock block = environment->staging.acquire(total);
  if (!block.memory) return statusValue(env, {StatusCode::outOfMemory, -1, {static_cast<int64_t>(total), 0}});
  JobRecord* job = new (block.memory) JobRecord;
  job->block = block;
  job->program = program;
  job->whole = wholeArgument(env, arguments[3]);
  program->retain();
  SlotMemory* memory = reinterpret_cast<SlotMemory*>(block.memory + table);
  job->slots = memory;
  std::byte* copy = block.memory + copies;
  bool inPlace = false;
  for (int32_t s = 0; s < program->slotCount; ++s) {
    memory[s] = slots.memory()[s];
    if (s < kMarks ? marks[s] : isCopied(s)) {
      const size_t bytes = copiedBytes(s);
      if (bytes) memcpy(copy, memory[s].data, bytes);
      memory[s] = {copy, static_cast<int64_t>(bytes)};
      copy += wholeLines(bytes);
    } else {
      inPlace = true;
    }
  }
  auto drop = [&] {
    program->release();
    job->~JobRecord();
    environment->staging.release(block);
  };
  if (inPlace && napi_create_reference(env, kept, 1, &job->keep) != napi_ok) {
    drop();
    return fail(env, "cannot keep the slots alive");
  }
  job->ticket = environment->lastTicket + 1;
  job->previous = environment->last;
  if (!Executor::instance().submit(*environment->queues[queue], *job)) {
    if (job->keep) napi_delete_reference(env, job->keep);
    drop();
    return statusValue(env, {StatusCode::outOfMemory, -1});
  }
  // The executor may be done with the job by now, but the record is ours until deliver().
  environment->lastTicket = job->ticket;
  if (!environment->first) napi_ref_threadsafe_function(env, environment->completions);
  (environment->last ? environment->last->following : environment->first) = job;
  environment->last = job;
  return number(env, job->ticket);
}

napi_value onComplete(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  Arguments<1> arguments(env, info);
  napi_valuetype type = napi_undefined;
  if (!environment || !arguments.ok || !arguments[0] || napi_typeof(env, arguments[0], &type) != napi_ok || type != napi_function)
    return fail(env, "onComplete(callback): callback must be a function");
  if (environment->callback) napi_delete_reference(env, environment->callback);
  environment->callback = nullptr;
  if (napi_create_reference(env, arguments[0], 1, &environment->callback) != napi_ok) return fail(env, "cannot keep the callback");
  return nullptr;
}

napi_value wait(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  JobRecord* job = nullptr;
  if (!ticketArgument(environment, env, info, job)) return nullptr;
  if (!job) return statusValue(env, {});
  Executor::instance().wait(*job);
  const Status status = job->status;
  // What is done is handed back now: in a loop that never yields it would pile up.
  deliver(env, nullptr, environment, nullptr);
  return statusValue(env, status);
}

napi_value cancel(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  JobRecord* job = nullptr;
  if (!ticketArgument(environment, env, info, job)) return nullptr;
  const bool open = job && !job->done.load(std::memory_order_acquire);
  if (open) job->cancel.store(true, std::memory_order_relaxed);
  napi_value result = nullptr;
  napi_get_boolean(env, open, &result);
  return result;
}

napi_value pending(napi_env env, napi_callback_info) {
  Environment* environment = environmentOf(env);
  return environment ? number(env, static_cast<double>(environment->owner.unfinished())) : nullptr;
}

}  // namespace chainrule::addon
