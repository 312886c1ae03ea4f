// The decoded form of one instruction (docs/program-format.md), as the kernels see it: plain data, checked before a
// kernel gets it. Produced by runtime/program, consumed by every kernel family.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../generated/opcodes.h"

namespace chainrule {

constexpr int kMaxRank = 8;

enum class DType : uint8_t { float32, int32, uint8, boolean, float64, bfloat16, float16 };

constexpr int64_t sizeOf(DType t) {
  return t == DType::float32 || t == DType::int32 ? 4 : t == DType::float64 ? 8 : t == DType::uint8 || t == DType::boolean ? 1 : 2;
}

/// A strided window on a buffer. Offset, shape and stride count elements. Strides that lead nowhere, of dimensions of one element and
/// of empty views, are 0 (settleStrides): nothing may be read into them.
struct View {
  int32_t buffer;
  DType dtype;
  uint8_t layout;
  int32_t rank;
  int64_t offset;
  int64_t shape[kMaxRank];
  int64_t stride[kMaxRank];

  /// Whether neighbours along dimension d lie side by side, or there are none.
  bool unit(int32_t d) const { return stride[d] == 1 || shape[d] <= 1; }
};

/// Every view goes through this when it is made, before a kernel sees it: what a size of 1 leaves to chance says 0.
inline void settleStrides(View& view) {
  bool empty = false;
  for (int32_t d = 0; d < view.rank; d++) empty = empty || view.shape[d] == 0;
  for (int32_t d = 0; d < view.rank; d++)
    if (empty || view.shape[d] == 1) view.stride[d] = 0;
}

enum class StatusCode : int32_t {
  ok = 0,
  outOfMemory = 1,
  indexOutOfRange = 2,
  cancelled = 3,
  badSlot = 4,
  singular = 5,
  truncated = 16,
  badHeader = 17,
  tableMismatch = 18,
  malformed = 19,
  outOfBounds = 20,
  unsupported = 21,
};

struct Status {
  StatusCode code = StatusCode::ok;
  int32_t instruction = 0;
  int64_t detail[2] = {0, 0};
  bool ok() const { return code == StatusCode::ok; }
};

struct Instruction {
  Opcode opcode;
  int32_t inputCount;
  int32_t outputCount;
  int32_t attributeCount;
  bool region;  ///< may run in one parallel region with the instruction before it
  bool keep;    ///< its second input changes only before runs of the whole program
  const View* inputs;
  const View* outputs;
  const int32_t* attributes;
  void* plan;            ///< made by the family's prepare, freed with free()
  size_t sharedScratch;  ///< bytes of scratch, shared by all threads, that run needs (set by prepare)
  size_t keptBytes;      ///< with `keep`: bytes of memory of its own in which run keeps what it makes of the second input (set by prepare)
  std::byte* kept;       ///< that memory, aligned to 64, or nullptr
};

/// What one run gives a kernel. `buffers[i]` is the base address of buffer i of the program.
struct Run {
  void* const* buffers;
  std::byte* sharedScratch;  ///< at least Instruction::sharedScratch bytes, aligned to 64
  void* pool;                ///< for parallel(); opaque to the kernels
  bool whole = false;        ///< kept memory is to be filled anew
  /// Where an instruction has what it makes of its second input, and whether it has to be made.
  std::byte* made(const Instruction& instruction) const { return instruction.kept ? instruction.kept : sharedScratch; }
  bool makes(const Instruction& instruction) const { return !instruction.kept || whole; }
  template <class T>
  T* data(const View& v) const {
    return static_cast<T*>(buffers[v.buffer]) + v.offset;
  }
};

/// Calls fn(argument, chunk, threadScratch) for chunk = 0 … chunks-1, on any number of threads, in any order, and returns when all are
/// done. `threadScratch` is kThreadScratchBytes of memory, aligned to 64, that no other thread uses during the call.
/// With one chunk, or when the pool is busy, everything runs on the caller. Defined by runtime/pool.
using ChunkFunction = void (*)(void* argument, int64_t chunk, std::byte* threadScratch);
void parallel(const Run& run, int64_t chunks, ChunkFunction fn, void* argument);

constexpr size_t kThreadScratchBytes = size_t{1} << 20;

}  // namespace chainrule
