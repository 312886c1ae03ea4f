// A program as the executor runs it. In: the words of docs/program-format.md, from anywhere, trusted in nothing. Out: instructions with
// their plans, or a Status that says what is wrong with the words. Immutable once decoded, but for the memory that instructions keep
// between runs; any number of threads may run it, though no other at the same time as one that runs the whole of it.
#pragma once
#include <atomic>

#include "../kernels/kernels.h"

namespace chainrule {

constexpr int32_t kProgramMagic = 0x31505243;
constexpr int32_t kFormatVersion = 3;
constexpr int kHeaderWords = 12, kBufferWords = 4, kInstructionWords = 6, kViewWords = 4;
constexpr int kMaxSlots = 1 << 20;

struct BufferInfo {
  int32_t slot;    ///< -1 for the arena
  int64_t offset;  ///< bytes into the arena
  int64_t bytes;   ///< of an arena buffer
};

struct SlotInfo {
  int64_t bytes;      ///< what the typed array must hold at least
  int32_t alignment;  ///< of its first byte
  bool read, written;
  bool index;             ///< holds indices: must not change while an instruction runs, or a kernel would leave its memory
  int32_t fallback;       ///< the slot whose contents it has after a failed run, or -1
  int64_t fallbackBytes;  ///< how many of its bytes others fall back on
};

/// What the executor runs in one go: one instruction, or a region of maps.
struct Step {
  int32_t first, count;
};

class Program {
 public:
  Program() = default;
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Replaces the content. The words are copied, but must not change during the call: memory shared with another thread has to be copied
  /// first. After a failure the program is empty.
  Status decode(const int32_t* words, int64_t count, const KernelTable& kernels);
  void clear();  ///< drops plans, keeps the memory for the next decode

  size_t bytes() const { return blockBytes_ + keptBytes; }  ///< without the kernels' plans

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  const KernelTable* kernels = nullptr;
  const int32_t* words = nullptr;
  int64_t wordCount = 0;
  Instruction* instructions = nullptr;
  BufferInfo* buffers = nullptr;
  SlotInfo* slots = nullptr;
  Step* steps = nullptr;
  int32_t instructionCount = 0, bufferCount = 0, slotCount = 0, stepCount = 0, commitIndex = 0;
  int32_t mainStep = 0;    ///< where runs begin that leave out the prologue
  bool indexed = false;    ///< some slot holds indices
  bool fallsBack = false;  ///< some slot has a fallback
  size_t arenaBytes = 0;
  size_t scratchBytes = 0;  ///< the largest shared scratch of any instruction
  size_t keptBytes = 0;     ///< what instructions keep between runs

  /// Whether the whole has been run; before that nothing is kept.
  bool filled() const { return filled_.load(std::memory_order_acquire); }
  void noteFilled() const { filled_.store(true, std::memory_order_release); }

 private:
  struct Decoder;
  Status decodeAll(const int32_t* words, int64_t count);

  Status reserveKept();

  std::atomic<int32_t> references_{1};
  mutable std::atomic<bool> filled_{false};
  void* block_ = nullptr;  ///< all arrays above
  size_t blockBytes_ = 0;
  int32_t prepared_ = 0;  ///< instructions that have a plan to free
  void* kept_ = nullptr;
};

}  // namespace chainrule
