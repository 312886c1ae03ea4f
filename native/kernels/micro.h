// The micro-program engine, as map.cc, reduce.cc and micro.cc see it. In: the words of a micro-program
// (docs/program-format.md) and where its operands and results lie; out: results computed tile by tile. A tile is a few
// hundred elements; every operation is one loop over it (micro_ops.cc), from and to buffers that stay in L1, or straight
// from and to memory. Values with one element for the whole row are computed once per row.
#pragma once
#include "../simd/simd.h"
#include "epilogue.h"

namespace chainrule::CHAINRULE_ISA {

enum class ValueType : uint8_t { f32, i32, mask };

/// One operation over n elements. Elements are 32 bits (masks: 0 or -1), except on the memory side of byte conversions.
using Loop = void (*)(const void* a, const void* b, const void* c, void* out, int64_t n);

/// The loops of one operation for one choice of types; bit i of the index is set where operand i is a single value.
struct Signature {
  ValueType args[3];
  ValueType result;
  int8_t arity;
  bool heavy;
  Loop loops[8];
  Loop streamed[8];  ///< the same, storing past the caches; nullptr for heavy operations
};
/// nullptr when the operation does not take these types.
const Signature* signatureOf(MapOp op, const ValueType* args);
int arityOf(MapOp op);

/// Loops between memory and values: a = source, b = address of the int64 element stride.
struct MoveLoops {
  Loop unit, strided;
};
MoveLoops loadLoops(DType type);                ///< for bytes both; for 32-bit types only strided, unit needs none
MoveLoops storeLoops(DType type, bool scalar);  ///< scalar: the value is a single one
Loop streamLoop(bool scalar);                   ///< 32-bit, unit stride, past the caches

struct MicroOp {
  const Signature* signature;
  int32_t in[3];
  int32_t slot;  ///< the tile buffer of its value
  bool inner;    ///< other operations read its value
};

struct MicroPlan {
  int32_t bytes;
  int32_t operands, constants, ops, results, slots;
  int32_t cost;           ///< about passes over a tile, for choosing chunks
  bool identity;
  ValueType resultType;   ///< of result 0
  int32_t fixedBytes;     ///< scratch that does not depend on the tile's length
  int64_t tile;           ///< longest tile that fits kMicroScratchBytes
  // Then: MicroOp[ops], int32 constants[], int32 results[], int32 lastUse[operands], DType operandTypes[], DType resultTypes[].
  int32_t values() const { return operands + constants + ops; }
  const MicroOp* opList() const { return reinterpret_cast<const MicroOp*>(this + 1); }
  MicroOp* opList() { return reinterpret_cast<MicroOp*>(this + 1); }
  const int32_t* constantList() const { return reinterpret_cast<const int32_t*>(opList() + ops); }
  const int32_t* resultList() const { return constantList() + constants; }
  /// The last operation that reads each operand; `ops` when it is a result itself.
  const int32_t* lastUse() const { return resultList() + results; }
  const DType* operandTypes() const { return reinterpret_cast<const DType*>(lastUse() + operands); }
  const DType* resultTypes() const { return operandTypes() + operands; }
};

struct Step {
  Loop run;
  int32_t in[3];
  int32_t out;
};

/// A plan bound to addresses: a list of loops over `at`, a table of addresses. Lives in the caller's scratch.
struct Bound {
  struct Stream {
    int32_t cursor;
    int32_t advance;  ///< bytes per element
  };
  char** at;
  Step* steps;         ///< first those that run once a row
  Stream* streams;     ///< the addresses that advance from tile to tile
  int32_t* operandAt;  ///< where in `at` operand i's memory is
  int32_t* resultAt;
  int32_t scalarSteps, stepCount, streamCount;
  int32_t alignTo;     ///< index in `at` of a result written past the caches, or -1
  int64_t tile;
  /// With results kept (bindMicro's results == nullptr): where the value of result 0 is after a tile, and whether it is a single value.
  int32_t keptAt;
  bool keptIsScalar;
};

/// Strides in elements; 0 is one value for the row. `results` nullptr: results stay in tile buffers (Bound::keptAt). `streamed` (or
/// nullptr) marks results to be written past the caches. `scratch` as in runMicroRow.
Bound* bindMicro(const MicroPlan* plan, const void* const* operands, const int64_t* operandStride, void* const* results,
                 const int64_t* resultStride, const bool* streamed, std::byte* scratch);

/// Runs the steps that do not change along a row; call at the start of each.
inline void startRow(const Bound& b) {
  for (int32_t i = 0; i < b.scalarSteps; i++) {
    const Step& s = b.steps[i];
    s.run(b.at[s.in[0]], b.at[s.in[1]], b.at[s.in[2]], b.at[s.out], 1);
  }
}
/// Runs one tile of n <= b.tile elements.
inline void runTile(const Bound& b, int64_t n) {
  for (int32_t i = b.scalarSteps; i < b.stepCount; i++) {
    const Step& s = b.steps[i];
    s.run(b.at[s.in[0]], b.at[s.in[1]], b.at[s.in[2]], b.at[s.out], n);
  }
}
inline void advance(const Bound& b, int64_t n) {
  for (int32_t i = 0; i < b.streamCount; i++) b.at[b.streams[i].cursor] += n * b.streams[i].advance;
}
/// The length of the next tile of a row with `left` elements to go.
inline int64_t nextTile(const Bound& b, int64_t left) {
  int64_t n = b.tile;
  // So that the tiles after this one begin on a cache line.
  if (b.alignTo >= 0) n -= static_cast<int64_t>((reinterpret_cast<uintptr_t>(b.at[b.alignTo]) & 63) / 4);
  return left < n ? left : n;
}
/// Runs one tile, and asks for the beginning of the next one before the last pass: memory would have nothing to do then.
inline void runTileAhead(const Bound& b, int64_t n) {
  const int32_t last = b.stepCount - 1;
  for (int32_t i = b.scalarSteps; i <= last; i++) {
    const Step& s = b.steps[i];
    if (i == last) {
      for (int32_t k = 0; k < b.streamCount; k++) {
        const Bound::Stream& stream = b.streams[k];
        if (stream.cursor == b.alignTo) continue;
        const char* p = b.at[stream.cursor] + n * stream.advance;
        for (int line = 0; line < 12; line++) prefetch(p + 64 * line);
      }
    }
    s.run(b.at[s.in[0]], b.at[s.in[1]], b.at[s.in[2]], b.at[s.out], n);
  }
}
/// A whole row (or the rest of one).
inline void runRow(const Bound& b, int64_t count) {
  while (count > 0) {
    const int64_t n = nextTile(b, count);
    count -= n;
    if (count > 0) {
      runTileAhead(b, n);
    } else {
      runTile(b, n);
    }
    advance(b, n);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
