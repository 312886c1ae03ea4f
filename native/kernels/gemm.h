// The plan of one gemm: C[M, N] = A[M, K] · B[K, N] for each matrix of a batch, made by gemm_plan.cc, run by gemm.cc and
// gemv.cc. "Left" is the operand whose numbers are broadcast, in panels of up to kTileRows rows; "right" is read as vectors,
// in panels of kTileColumns columns. All is decided by shape and strides alone, so that results do not depend on threads.
#pragma once
#include "pack.h"
#include "product.h"

namespace chainrule::CHAINRULE_ISA {

enum class LeftForm : int32_t {
  shared,   ///< packed into shared scratch by the first chunk that needs it
  local,    ///< packed by each chunk, into thread scratch
  rows,     ///< read in place, k contiguous
  columns,  ///< read in place, rows contiguous
};
enum class RightForm : int32_t {
  shared,  ///< packed by all threads, before
  local,
  direct,  ///< read in place, columns contiguous; a last panel that is not full is packed by each chunk
};
enum class GemmMode : int32_t {
  blocks,  ///< the five loops
  dots,    ///< few rows, both operands contiguous along k: dot products, the right operand read once
  axpy,    ///< one row, right operand contiguous along n: its rows are added up
  nothing,
};

constexpr int64_t kLocalRightBytes = 512 << 10, kLocalLeftBytes = 160 << 10, kLocalTileBytes = 224 << 10;  ///< in thread scratch
constexpr int64_t kPanelsAtOnce = kLocalLeftBytes / (kTileRows * kBlocks.steps * 4);  ///< left panels that a chunk has packed

struct GemmPlan {
  GemmMode mode;
  LeftForm left;
  RightForm right;
  int32_t batchRank;
  int64_t batchShape[kMaxBatchRank];
  int64_t batch, m, n, k;
  Operand a, b;  ///< a: m, n are M, K; b: m, n are K, N
  int64_t mPanels, nPanels;
  int64_t panelRows, tallPanels;                    ///< rows of a panel; the first ones have one more
  int64_t mBlocks, nBlocks, splits;                 ///< chunks of one matrix
  int64_t batchBlocks;                              ///< chunks of the batch
  int64_t kBlock;                                   ///< most steps of k at a time
  bool sequential;                                  ///< the matrices of the batch one after the other, each in parallel
  int64_t sharedLeft, sharedRight, sharedPartials;  ///< offsets in bytes into shared scratch
  int64_t sharedStates;                             ///< of the blocks of the left operand
  int64_t localLeft, localTile, localRows;          ///< and into thread scratch (localRight is 0)
  ProductPlan product;                              ///< last: its tables follow
};

/// Where one run is: plan, and base addresses of the matrix at hand.
struct GemmJob {
  const GemmPlan* plan;
  const Run* run;
  int64_t matrix;  ///< of the batch (sequential), else 0
};

struct GemmMatrix {
  const float *a, *b;
  float* c;  ///< target of the product, nullptr: scratch
  int64_t cStep;
  int64_t index[kMaxBatchRank];
  Finish finish;
};

GemmMatrix matrixOf(const GemmJob& job, int64_t matrix);

/// Rows of a finished tile through the epilogue, where there is one. `c` is the tile's first number.
void finishRows(const GemmJob& job, const GemmMatrix& at, int64_t m0, int64_t m1, int64_t n0, int64_t columns, const float* c, int64_t step,
                std::byte* scratch);

/// Columns [n0, n1) of one matrix in modes dots and axpy.
void runDots(const GemmJob& job, const GemmMatrix& at, int64_t n0, int64_t n1, std::byte* scratch);
void runAxpy(const GemmJob& job, const GemmMatrix& at, int64_t n0, int64_t n1, std::byte* scratch);

Status prepareGemm(Instruction& instruction);

}  // namespace chainrule::CHAINRULE_ISA
