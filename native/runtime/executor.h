// Runs decoded programs. In: a program, the base address and length of each slot, a workspace. Out: a Status. An Execution runs step by
// step, so that the queue can put another program in between; runProgram runs it in one go.
#pragma once
#include "arena.h"
#include "pool.h"
#include "program.h"

namespace chainrule {

/// The scratch of one thread that calls kernels.
class Caller {
 public:
  Caller() = default;
  ~Caller() { freeAligned(context_.scratch, kThreadScratchBytes); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  bool prepare();  ///< allocates on the first call; false when out of memory
  ParallelContext* context() { return &context_; }

 private:
  ParallelContext context_;
};

struct SlotMemory {
  void* data;
  int64_t bytes;
};

/// badSlot for the first slot that is too short or misaligned, or when there are too few.
Status checkSlots(const Program& program, const SlotMemory* slots, int64_t count);

/// What a failed run leaves: slots with a fallback get its contents.
void fallBack(const Program& program, const SlotMemory* slots);

class Execution {
 public:
  /// Reserves memory. The slots must have passed checkSlots; program, slots and arena must outlast the execution. Without `whole` the
  /// prologue is left out, if it has been run before.
  Status begin(const Program& program, const SlotMemory* slots, Arena& arena, Caller& caller, bool whole);
  bool done() const { return next_ >= program_->stepCount; }
  /// Captured state has been, or is about to be written: the rest runs without interruption.
  bool committed() const { return program_->steps[next_].first >= program_->commitIndex; }
  int32_t instruction() const { return program_->steps[next_].first; }
  Status step();

 private:
  const Program* program_ = nullptr;
  Run run_{};
  int32_t next_ = 0;
};

/// `cancelled` is looked at between steps, up to the commit index; may be null.
Status runProgram(const Program& program, const SlotMemory* slots, Arena& arena, Caller& caller, const std::atomic<bool>* cancelled,
                  bool whole = true);

}  // namespace chainrule
