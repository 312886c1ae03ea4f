// The program executor (see executor.h). A run's memory is one block: arena, shared scratch, table of buffer addresses.
#include "executor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "check.h"

namespace chainrule {
namespace {

// Kernels may do arithmetic on the address of an empty tensor, whose typed array has none.
alignas(kAlignment) std::byte nowhere[kAlignment];

/// CHAINRULE_POISON=1 fills arenas with NaNs before each run, so that tests see reads of memory nobody wrote.
bool poisoned() {
  static const bool on = [] {
    const char* text = getenv("CHAINRULE_POISON");
    return text && !strcmp(text, "1");
  }();
  return on;
}

/// The decoder has seen to it that no instruction writes its own indices through one slot; two slots may still be given the same memory.
bool indicesApart(const Program& program, const SlotMemory* slots) {
  auto start = [&](int32_t s) { return reinterpret_cast<uintptr_t>(slots[s].data); };
  auto end = [&](int32_t s) { return start(s) + static_cast<uintptr_t>(program.slots[s].bytes); };
  for (int32_t s = 0; s < program.slotCount; ++s)
    for (int32_t other = 0; program.slots[s].index && other < program.slotCount; ++other)
      if (other != s && program.slots[other].written && start(other) < end(s) && start(s) < end(other)) return false;
  return true;
}

}  // namespace

bool Caller::prepare() {
  if (context_.scratch) return true;
  context_.scratch = static_cast<std::byte*>(allocateAligned(kThreadScratchBytes));
  context_.pool = &Pool::instance();
  return context_.scratch != nullptr;
}

Status checkSlots(const Program& program, const SlotMemory* slots, int64_t count) {
  for (int32_t s = 0; s < program.slotCount; ++s) {
    const SlotInfo& info = program.slots[s];
    if (s >= count || slots[s].bytes < info.bytes ||
        reinterpret_cast<uintptr_t>(slots[s].data) % static_cast<uintptr_t>(info.alignment) != 0)
      return {StatusCode::badSlot, -1, {s, info.bytes}};
  }
  if (program.indexed && !indicesApart(program, slots)) return {StatusCode::malformed, -1, {static_cast<int64_t>(Check::aliasing), 0}};
  return {};
}

void fallBack(const Program& program, const SlotMemory* slots) {
  for (int32_t s = 0; program.fallsBack && s < program.slotCount; ++s) {
    const SlotInfo& slot = program.slots[s];
    if (slot.fallback < 0) continue;
    const SlotMemory from = slots[slot.fallback];
    const size_t wanted = static_cast<size_t>(slot.bytes), there = std::min(wanted, static_cast<size_t>(from.bytes));
    std::byte* to = static_cast<std::byte*>(slots[s].data);
    if (there) memmove(to, from.data, there);
    if (wanted > there) memset(to + there, 0, wanted - there);
  }
}

Status Execution::begin(const Program& program, const SlotMemory* slots, Arena& arena, Caller& caller, bool whole) {
  program_ = &program;
  whole = whole || !program.filled();
  next_ = whole ? 0 : program.mainStep;
  const size_t scratch = wholeLines(program.scratchBytes), table = static_cast<size_t>(program.bufferCount) * sizeof(void*);
  const size_t total = program.arenaBytes + scratch + table;
  std::byte* memory = arena.reserve(total);
  if (!memory || !caller.prepare()) return {StatusCode::outOfMemory, -1, {static_cast<int64_t>(total), 0}};
  if (poisoned()) memset(memory, 0xff, program.arenaBytes + scratch);
  void** buffers = reinterpret_cast<void**>(memory + program.arenaBytes + scratch);
  for (int32_t b = 0; b < program.bufferCount; ++b) {
    const BufferInfo& buffer = program.buffers[b];
    void* data = buffer.slot < 0 ? memory + buffer.offset : slots[buffer.slot].data;
    buffers[b] = data ? data : nowhere;
  }
  run_ = {buffers, memory + program.arenaBytes, caller.context(), whole};
  return {};
}

Status Execution::step() {
  const Step& step = program_->steps[next_++];
  const Instruction* first = program_->instructions + step.first;
  const KernelFamily& family = program_->kernels->families[static_cast<int>(first->opcode)];
  Status status = step.count > 1 ? family.runRegion(first, step.count, run_) : family.run(*first, run_);
  if (!status.ok())
    status.instruction = step.first;
  else if (run_.whole && done())
    program_->noteFilled();
  return status;
}

Status runProgram(const Program& program, const SlotMemory* slots, Arena& arena, Caller& caller, const std::atomic<bool>* cancelled,
                  bool whole) {
  Execution execution;
  Status status = execution.begin(program, slots, arena, caller, whole);
  while (status.ok() && !execution.done()) {
    if (cancelled && !execution.committed() && cancelled->load(std::memory_order_relaxed))
      status = {StatusCode::cancelled, execution.instruction()};
    else
      status = execution.step();
  }
  if (!status.ok()) fallBack(program, slots);
  return status;
}

}  // namespace chainrule
