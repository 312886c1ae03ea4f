// Planning of a gemm by shape and strides: orientation, what is packed and by whom, how C is cut into chunks.
#include <cstdlib>

#include "gemm.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

constexpr int64_t kKBlock = kBlocks.steps, kChunkWork = kBlocks.chunkWork;
constexpr int64_t kTallBlock = 512;  ///< rows
constexpr int64_t kSharedLimit = int64_t{64} << 20;
static_assert(kLocalRightBytes + kLocalLeftBytes + kLocalTileBytes + int64_t{kRowsScratchBytes} <= int64_t{kThreadScratchBytes});

/// How the views are seen as matrices: which of their dimensions are the batch, the rows and the columns.
struct Seen {
  bool swap;          ///< C^T = B^T · A^T
  int32_t batchRank;  ///< dimensions before the rows that are not folded into them
  int32_t rows, columns;
  int64_t m;
};

Operand asOperand(const View& v, const void* context) {
  const Seen& seen = *static_cast<const Seen*>(context);
  Operand o{};
  o.buffer = v.buffer;
  o.dtype = v.dtype;
  o.offset = v.offset;
  for (int32_t d = 0; d < seen.batchRank; d++) o.batch[d] = v.stride[d];
  o.m = v.stride[seen.rows];
  o.setAlong(v.shape[seen.columns], v.stride[seen.columns]);
  return o;
}

/// Columns of C are to lie side by side. A single column is better a row, so that the other operand is read once, in its order.
bool swaps(const View& c) {
  const int32_t rows = c.rank - 2, columns = c.rank - 1;
  if (c.shape[columns] == 1) return c.rank == 2 && c.stride[rows] == 1;
  return !c.unit(columns) && c.unit(rows);
}

/// Folds batch dimensions into the rows where the right operand is the same for all and everything else goes on in the same steps.
Seen seeMatrices(const Instruction& instruction) {
  const View& c = instruction.outputs[0];
  const bool swap = swaps(c);
  const int32_t rows = c.rank - (swap ? 1 : 2);
  Seen seen{swap, c.rank - 2, rows, c.rank - (swap ? 2 : 1), c.shape[rows]};
  const View& right = instruction.inputs[swap ? 0 : 1];
  for (; seen.batchRank > 0; seen.batchRank--) {
    const int32_t d = seen.batchRank - 1;
    if (c.shape[d] == 1) continue;
    auto goesOn = [&](const View& v) { return seen.m == 1 || v.stride[d] == seen.m * v.stride[seen.rows]; };
    bool folds = right.stride[d] == 0;
    for (int32_t i = 0; i < instruction.inputCount; i++)
      folds = folds && (&instruction.inputs[i] == &right || goesOn(instruction.inputs[i]));
    for (int32_t i = 0; i < instruction.outputCount; i++) folds = folds && goesOn(instruction.outputs[i]);
    if (!folds) break;
    if (seen.m == 1) seen.rows = d;
    seen.m *= c.shape[d];
  }
  return seen;
}

/// How many chunks are worth while for this much work.
int64_t chunksFor(int64_t work) {
  if (work < 2 * kChunkWork) return 1;
  return smaller(smaller(work / kChunkWork, 8 + work / (kChunkWork * 64)), 32);
}

/// How many blocks of rows. Each packs the right operand again, so they are tall. They are even in number: threads begin with different
/// halves, and what one packs of the left operand the others hardly read.
int64_t rowBlocks(int64_t m, bool inPlace) { return m <= (inPlace ? kTallBlock : kTallBlock / 2) ? 1 : 2 * ceilDiv(m, 2 * kTallBlock); }

/// Modes dots and axpy: bound by memory, so a chunk is worth while four times earlier. Cut along n.
void planVectors(GemmPlan& p) {
  const int64_t work = p.m * p.k * p.n * 4;
  p.mBlocks = p.splits = 1;
  p.nBlocks = larger(smaller(larger(1, p.n / (4 * kWidth)), chunksFor(work)), ceilDiv(p.n * p.m * 8, kLocalTileBytes));
  p.batchBlocks = smaller(p.batch, larger(1, chunksFor(work * p.batch) / p.nBlocks));
  p.localRows = kLocalTileBytes;
}

/// Returns the bytes of shared scratch.
int64_t planBlocks(GemmPlan& p) {
  p.mPanels = ceilDiv(p.m, kTileRows);
  p.nPanels = ceilDiv(p.n, kTileColumns);
  p.panelRows = p.m / p.mPanels;
  p.tallPanels = p.m % p.mPanels;
  const int64_t parts = larger(1, ceilDiv(p.k, kKBlock));
  p.kBlock = ceilDiv(p.k, parts);
  p.splits = 1;
  const int64_t each = p.m * p.n * p.k, want = chunksFor(each * p.batch);
  p.sequential = p.batch > 1 && each >= 64 * kChunkWork;
  const int64_t wantEach = p.sequential ? chunksFor(each) : ceilDiv(want, p.batch);

  // The right operand: in place when it fits L1 or is used only a few times, else packed, by the chunk that uses it: what a
  // chunk has packed is in its L2 cache, what another thread has packed comes from L3, or from another one's.
  const bool rightVectors = p.b.n == 1 || p.n == 1;
  const bool fewUses = p.mPanels <= 4;
  const bool fits = p.n * p.k * 4 <= (24 << 10);
  p.right = rightVectors && (fewUses || fits) ? RightForm::direct : RightForm::local;

  // The left operand: read in place where k is contiguous, unless its rows lie at multiples of a page. Then the same lines of
  // six rows share one set of L1, and push the right panel out of it (a fifth slower). Contiguous rows, where
  // each step of k is another line, are read in place while all of it stays in L1, or in L2 if there are too few columns to pay
  // for packing.
  const bool rows = p.a.n == 1 || p.k == 1, columns = p.a.m == 1 || p.m == 1;
  const bool collide = p.nPanels >= 16 && (p.a.m * 4) % 4096 == 0;
  const int64_t columnBytes = (p.a.n < 0 ? -p.a.n : p.a.n) * 4;
  const bool cached = columnBytes * p.k <= (16 << 10) || (columnBytes * p.k <= (256 << 10) && p.n <= 512 && columnBytes % 4096 != 0);
  p.left = !collide && rows ? LeftForm::rows : cached && columns ? LeftForm::columns : LeftForm::local;

  const bool inPlace = p.left != LeftForm::local;
  p.mBlocks = smaller(p.mPanels, smaller(wantEach, rowBlocks(p.m, inPlace)));
  p.nBlocks = smaller(p.nPanels, ceilDiv(wantEach, p.mBlocks));
  p.nBlocks = larger(p.nBlocks, ceilDiv(p.nPanels * kTileColumns * p.kBlock * 4, kLocalRightBytes - kTileColumns * kKBlock * 4));
  const bool needTile = p.product.target < 0;
  if (needTile) p.nBlocks = larger(p.nBlocks, ceilDiv(p.nPanels, kLocalTileBytes / 4 / kTileColumns / (2 * kTileRows)));
  p.nBlocks = smaller(p.nBlocks, p.nPanels);
  // Panels are packed four at a time where there are as many.
  const int64_t blockPanels = ceilDiv(p.nPanels, p.nBlocks);
  if (blockPanels > 2) p.nBlocks = ceilDiv(p.nPanels, (blockPanels + 3) / 4 * 4);
  // Few columns: more blocks of rows, as long as they are worth packing for; a long k is cut below.
  const int64_t mostBlocks = p.right == RightForm::local ? larger(1, p.m / (8 * kTileRows)) : p.mPanels;
  p.mBlocks = smaller(p.mPanels, larger(p.mBlocks, smaller(wantEach / p.nBlocks, mostBlocks)));
  const int64_t blockColumns = ceilDiv(p.nPanels, p.nBlocks) * kTileColumns;
  if (needTile) {
    const int64_t rows = larger(kTileRows, kLocalTileBytes / 4 / blockColumns);
    p.mBlocks = larger(p.mBlocks, ceilDiv(p.m + kTileRows * p.mBlocks, rows));
    p.mBlocks = smaller(p.mBlocks, p.mPanels);
  }

  // Packed once for all where each chunk would pack the same again (right: where that is not cheap beside the use of it), unless it
  // is too large.
  const bool alone = p.batch == 1 || p.sequential;
  const int64_t leftBytes = (p.m * p.k * 4 + 63) & ~int64_t{63}, rightBytes = p.nPanels * kTileColumns * p.k * 4;
  const bool shareLeft = alone && p.left == LeftForm::local && p.nBlocks > 1;
  const bool shareRight = alone && p.right == RightForm::local && p.mBlocks > 1 && p.m / p.mBlocks < 128;
  int64_t bytes = 0;
  if ((shareLeft ? leftBytes : 0) + (shareRight ? rightBytes : 0) <= kSharedLimit) {
    if (shareLeft) p.left = LeftForm::shared, p.sharedLeft = bytes, bytes += leftBytes;
    if (shareRight) p.right = RightForm::shared, p.sharedRight = bytes, bytes += rightBytes;
  }

  // Too few chunks, a long k: cut k, and add up the parts.
  const int64_t chunks = p.mBlocks * p.nBlocks;
  if (p.batch == 1 && chunks < wantEach && p.k >= 4 * kKBlock && p.m * p.n <= (64 << 10)) {
    p.splits = larger(1, smaller(smaller(wantEach / chunks, p.k / (2 * kKBlock)), 32));
    if (p.splits > 1) {
      const int64_t part = ceilDiv(p.k, p.splits);
      p.kBlock = ceilDiv(part, ceilDiv(part, kKBlock));
      p.sharedPartials = bytes;
      bytes += p.splits * p.m * p.n * 4;
    }
  }
  if (p.left == LeftForm::shared) p.sharedStates = bytes, bytes += (p.splits * p.mBlocks * 4 + 63) & ~int64_t{63};
  p.batchBlocks = p.sequential ? 1 : smaller(p.batch, larger(1, want / chunks));
  p.localLeft = kLocalRightBytes;
  p.localTile = kLocalRightBytes + kLocalLeftBytes;
  p.localRows = p.localTile + kLocalTileBytes;
  return bytes;
}

}  // namespace

Status prepareGemm(Instruction& instruction) {
  instruction.sharedScratch = 0;
  const View &a = instruction.inputs[0], &b = instruction.inputs[1], &c = instruction.outputs[0];
  const int32_t r = c.rank;
  Status status;
  if (instruction.inputCount + instruction.outputCount > kMaxRowOperands) {
    status.code = StatusCode::unsupported;
    return status;
  }
  const Seen seen = seeMatrices(instruction);
  std::byte* block = makeProduct(instruction, sizeof(GemmPlan), offsetof(GemmPlan, product), 2, instruction.attributes, asOperand, &seen);
  if (!block) {
    status.code = StatusCode::outOfMemory;
    return status;
  }
  GemmPlan& p = *reinterpret_cast<GemmPlan*>(block);
  instruction.plan = block;
  p.m = seen.m;
  p.n = c.shape[seen.columns];
  p.k = a.shape[r - 1];
  p.a = asOperand(seen.swap ? b : a, &seen);
  p.b = asOperand(seen.swap ? a : b, &seen);
  p.b.m = (seen.swap ? a : b).stride[seen.swap ? r - 1 : r - 2];  // k; its rows are not those that were folded
  p.batchRank = seen.batchRank;
  for (int32_t d = 0; d < p.batchRank; d++) p.batchShape[d] = c.shape[d];
  p.batch = 1;
  for (int32_t d = 0; d < p.batchRank; d++) p.batch *= p.batchShape[d];
  if (p.batch == 0 || p.m == 0 || p.n == 0) {
    p.mode = GemmMode::nothing;
    return status;
  }
  if (p.k >= 2 * kWidth && p.b.m == 1 && p.a.n == 1 && p.m <= 4) {
    p.mode = GemmMode::dots;
    planVectors(p);
  } else if (p.m == 1 && p.b.n == 1 && p.k >= 8 && p.n >= kWidth) {
    p.mode = GemmMode::axpy;
    planVectors(p);
  } else {
    p.mode = GemmMode::blocks;
    instruction.sharedScratch = static_cast<size_t>(planBlocks(p));
  }
  return status;
}

}  // namespace chainrule::CHAINRULE_ISA
