// load, programInfo, runSync, runOne. In: words and slots from JavaScript. Out: programs, and results in the slots' memory.
#include <cstdlib>
#include <cstring>
#include <new>

#include "environment.h"
#include "values.h"

namespace chainrule::addon {

int32_t ProgramTable::add(Program* program) {
  for (int32_t i = 0; i < capacity; ++i) {
    if (entries[i]) continue;
    entries[i] = program;
    ++references;
    return i;
  }
  const int32_t larger = capacity ? 2 * capacity : 64;
  Program** grown = static_cast<Program**>(realloc(entries, static_cast<size_t>(larger) * sizeof(Program*)));
  if (!grown) return -1;
  entries = grown;
  memset(entries + capacity, 0, static_cast<size_t>(larger - capacity) * sizeof(Program*));
  const int32_t index = capacity;
  capacity = larger;
  entries[index] = program;
  ++references;
  return index;
}

Program* ProgramTable::find(const void* handle) const {
  const uintptr_t number = reinterpret_cast<uintptr_t>(handle);
  return number >= 1 && number <= static_cast<uintptr_t>(capacity) ? entries[number - 1] : nullptr;
}

void ProgramTable::release() {
  if (--references > 0) return;
  free(entries);
  delete this;
}

OneCache::~OneCache() {
  for (Program* program : entries_)
    if (program) program->release();
}

const Program* OneCache::find(const int32_t* words, int64_t count, const KernelTable& kernels, Status& status) {
  Program* program = &large_;
  if (count <= kMaxWords) {
    uint64_t hash = static_cast<uint64_t>(count);
    for (int64_t i = 0; i < count; ++i) hash = (hash ^ static_cast<uint32_t>(words[i])) * 0x9e3779b97f4a7c15u;
    Program*& entry = entries_[(hash >> 40) % kEntries];
    if (!entry) entry = new (std::nothrow) Program;
    if (entry) program = entry;
    // An entry that failed to decode has no words.
    if (program->kernels == &kernels && program->wordCount == count && count > 0 &&
        !memcmp(program->words, words, static_cast<size_t>(count) * sizeof(int32_t)))
      return program;
  }
  status = program->decode(words, count, kernels);
  return status.ok() ? program : nullptr;
}

namespace {

/// Tells the garbage collector of memory that hangs on a handle, or no longer does.
void account(napi_env env, const Program& program, int sign) {
  int64_t total;
  if (program.keptBytes) napi_adjust_external_memory(env, sign * static_cast<int64_t>(program.keptBytes), &total);
}

void finalizeProgram(napi_env env, void* handle, void* hint) {
  ProgramTable* table = static_cast<ProgramTable*>(hint);
  const uintptr_t index = reinterpret_cast<uintptr_t>(handle) - 1;
  account(env, *table->entries[index], -1);
  table->entries[index]->release();
  table->entries[index] = nullptr;
  table->release();
}

/// Runs a program now. Indices that another thread could change between their check and their use are copied first.
Status runHere(Environment& environment, const Program& program, Slots& slots, bool whole) {
  Status status = checkSlots(program, slots.memory(), slots.resolved());
  if (!status.ok()) return status;
  auto isCopied = [&](int32_t s) {
    const SlotInfo& slot = program.slots[s];
    return slot.index && !slot.written && !slots.detachable(environment.env, s);
  };
  size_t total = 0;
  for (int32_t s = 0; program.indexed && s < program.slotCount; ++s)
    if (isCopied(s)) total += wholeLines(static_cast<size_t>(program.slots[s].bytes));
  StagingBlock block;
  if (total > 0) {
    block = environment.staging.acquire(total);
    if (!block.memory) return {StatusCode::outOfMemory, -1, {static_cast<int64_t>(total), 0}};
    std::byte* copy = block.memory;
    for (int32_t s = 0; s < program.slotCount; ++s) {
      if (!isCopied(s)) continue;
      const size_t bytes = static_cast<size_t>(program.slots[s].bytes);
      if (bytes) memcpy(copy, slots.memory()[s].data, bytes);
      slots.replace(s, {copy, static_cast<int64_t>(bytes)});
      copy += wholeLines(bytes);
    }
  }
  status = runProgram(program, slots.memory(), environment.arena, environment.caller, nullptr, whole);
  if (block.memory) environment.staging.release(block);
  return status;
}

/// Memory that another thread may change must not be decoded in place.
const int32_t* privateWords(Arena& arena, const TypedMemory& memory, int64_t count) {
  std::byte* copy = arena.reserve(static_cast<size_t>(count) * sizeof(int32_t));
  if (copy && count) memcpy(copy, memory.data, static_cast<size_t>(count) * sizeof(int32_t));
  return reinterpret_cast<int32_t*>(copy);
}

}  // namespace

napi_value load(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  Arguments<1> arguments(env, info);
  TypedMemory memory;
  if (!environment || !arguments.ok || !typedMemory(env, arguments[0], memory) || memory.type != napi_int32_array)
    return fail(env, "load(words): words must be an Int32Array");
  const Status outOfMemory{StatusCode::outOfMemory, -1};
  const int64_t count = memory.bytes / 4;
  const int32_t* words = privateWords(environment->words, memory, count);
  Program* program = new (std::nothrow) Program;
  if (!words || !program) {
    delete program;
    return statusValue(env, outOfMemory);
  }
  const Status status = program->decode(words, count, *environment->kernels);
  if (!status.ok()) {
    program->release();
    return statusValue(env, status);
  }
  ProgramTable* table = environment->programs;
  const int32_t index = table->add(program);
  if (index < 0) {
    program->release();
    return statusValue(env, outOfMemory);
  }
  account(env, *program, 1);
  void* handle = reinterpret_cast<void*>(static_cast<uintptr_t>(index) + 1);
  napi_value external = nullptr;
  if (napi_create_external(env, handle, finalizeProgram, table, &external) != napi_ok) {
    finalizeProgram(env, handle, table);
    return fail(env, "cannot create the program's handle");
  }
  return external;
}

Program* programOf(Environment* environment, napi_value value) {
  void* handle = nullptr;
  if (!environment || !value || napi_get_value_external(environment->env, value, &handle) != napi_ok) return nullptr;
  return environment->programs->find(handle);
}

napi_value programInfo(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  const Program* program = programOf(environmentOf(env), arguments[0]);
  if (!program) return fail(env, "programInfo(program): not a program");
  napi_value result = nullptr, slots = nullptr;
  if (napi_create_object(env, &result) != napi_ok ||
      napi_create_array_with_length(env, static_cast<size_t>(program->slotCount) * 3, &slots) != napi_ok)
    return nullptr;
  uint32_t at = 0;
  for (int32_t s = 0; s < program->slotCount; ++s) {
    const SlotInfo& slot = program->slots[s];
    napi_set_element(env, slots, at++, number(env, static_cast<double>(slot.bytes)));
    napi_set_element(env, slots, at++, number(env, slot.read));
    napi_set_element(env, slots, at++, number(env, slot.written));
  }
  napi_set_named_property(env, result, "bytes", number(env, static_cast<double>(program->bytes())));
  napi_set_named_property(env, result, "arenaBytes", number(env, static_cast<double>(program->arenaBytes)));
  napi_set_named_property(env, result, "scratchBytes", number(env, static_cast<double>(program->scratchBytes)));
  napi_set_named_property(env, result, "slots", slots);
  return result;
}

napi_value runSync(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  Arguments<3> arguments(env, info);
  const Program* program = programOf(environment, arguments[0]);
  if (!program) return fail(env, "runSync(program, slots, whole): not a program");
  Slots slots;
  if (!slots.read(env, arguments[1]) || !slots.resolve(env, program->slotCount)) return nullptr;
  return statusValue(env, runHere(*environment, *program, slots, wholeArgument(env, arguments[2])));
}

napi_value runOne(napi_env env, napi_callback_info info) {
  Environment* environment = environmentOf(env);
  Arguments<3> arguments(env, info);
  int64_t count = 0;
  Slots slots;
  TypedMemory memory;
  if (!environment || !arguments.ok || !arguments[1] || napi_get_value_int64(env, arguments[1], &count) != napi_ok)
    return fail(env, "runOne(words, count, slots): count must be a number");
  if (!slots.read(env, arguments[2])) return nullptr;
  // From here on no JavaScript runs.
  if (!typedMemory(env, arguments[0], memory) || memory.type != napi_int32_array || count < 0 || count > memory.bytes / 4)
    return fail(env, "runOne(words, count, slots): words must be an Int32Array of at least count words");
  Status status{StatusCode::outOfMemory, -1};
  const int32_t* words = privateWords(environment->words, memory, count);
  const Program* program = words ? environment->one.find(words, count, *environment->kernels, status = {}) : nullptr;
  if (program) {
    if (!slots.resolve(env, program->slotCount)) return nullptr;
    status = runHere(*environment, *program, slots, true);
  }
  return statusValue(env, status);
}

}  // namespace chainrule::addon
