// Tile and block sizes of each instruction set: what gemm, convolution and whatever else multiplies in panels is cut into.
#pragma once
#include "../simd/simd.h"

namespace chainrule::CHAINRULE_ISA {

struct Blocks {
  int rows, vectors;  ///< of a micro-kernel's tile: rows · vectors accumulators, and registers for `vectors` + 1 operands beside them
  int gatherRows;     ///< rows with a pointer each: x86-64 has registers for ten
  int64_t steps;      ///< of k at a time in a gemm
  int64_t chunkWork;  ///< multiply-adds of a gemm that are worth a chunk of their own; of a convolution twice as many
};

// In the order of CHAINRULE_SET_*.
constexpr Blocks kBlocksOf[] = {
    {},
    {2, 4, 2, 384, 16 << 10},     // scalar
    {4, 2, 4, 384, 48 << 10},     // sse2
    {6, 2, 6, 320, 128 << 10},    // avx2: 16 registers
    {14, 2, 10, 256, 128 << 10},  // avx512: 32 registers
    {4, 4, 4, 384, 48 << 10},     // neon: 32 registers
};
constexpr Blocks kBlocks = kBlocksOf[CHAINRULE_SET];

constexpr int kTileRows = kBlocks.rows;
constexpr int kTileVectors = kBlocks.vectors;
constexpr int kTileColumns = kTileVectors * kWidth;
constexpr int kGatherRows = kBlocks.gatherRows;

}  // namespace chainrule::CHAINRULE_ISA
