// Matrix products: C[M, N] = A[M, K] · B[K, N] with the epilogue on C's tiles while they are in cache. In: the plan made by
// gemm_plan.cc; out: the instruction's outputs. A run is up to three parallel phases: packing of a right operand that all chunks
// share, the chunks of C, and the sum of the parts where k was cut.
#include "gemm.h"

#include <cstring>

namespace chainrule::CHAINRULE_ISA {

GemmMatrix matrixOf(const GemmJob& job, int64_t matrix) {
  const GemmPlan& p = *job.plan;
  const ProductPlan& product = p.product;
  GemmMatrix at;
  for (int32_t d = p.batchRank - 1; d >= 0; d--) {
    at.index[d] = matrix % p.batchShape[d];
    matrix /= p.batchShape[d];
  }
  at.a = reinterpret_cast<const float*>(addressOf(p.a, *job.run, batchStep(p.a, at.index, p.batchRank)));
  at.b = reinterpret_cast<const float*>(addressOf(p.b, *job.run, batchStep(p.b, at.index, p.batchRank)));
  at.c = nullptr;
  at.cStep = 0;
  if (product.target >= 0) {
    const Operand& c = product.output(product.target);
    at.c = reinterpret_cast<float*>(addressOf(c, *job.run, batchStep(c, at.index, p.batchRank)));
    at.cStep = c.m;
  }
  if (product.kind == ProductKind::finish && !product.plain) at.finish = finishFor(product, *job.run, at.index, p.batchRank);
  return at;
}

void finishRows(const GemmJob& job, const GemmMatrix& at, int64_t m0, int64_t m1, int64_t n0, int64_t columns, const float* c, int64_t step,
                std::byte* scratch) {
  if (job.plan->product.kind != ProductKind::rows) return;
  runRows(job.plan->product, *job.run, at.index, job.plan->batchRank, m0, m1, n0, columns, 0, c, step, scratch);
}

namespace {

float* sharedAt(const GemmJob& job, int64_t offset) { return reinterpret_cast<float*>(job.run->sharedScratch + offset); }

/// A right panel of kTileColumns columns from k0 on, wherever it is.
struct RightPanel {
  const float* p;
  int64_t step;
};

/// A block of the left operand in shared scratch. The first thread that comes packs it, and most of its next chunks use it; others that
/// come meanwhile pack for themselves. So nobody waits, and what a core reads it has mostly written itself.
enum LeftState : int32_t { kUntouched, kBeingPacked, kPacked };

/// One chunk: panels [p0, p1) × [q0, q1) of C over steps [k0, k1) of k, into c, finished if `finish`.
struct Chunk {
  const GemmJob& job;
  const GemmMatrix& at;
  int64_t p0, p1, q0, q1, k0, k1;
  float* c;  ///< of row 0, column 0 of the matrix
  int64_t cStep;
  const Finish* finish;
  std::byte* scratch;
  const float* left = nullptr;  ///< the block of the left operand, if it lies packed in shared scratch

  // Panels differ by one row at most: no tile of two rows at the end that would run at half speed.
  int64_t rowOf(int64_t panel) const {
    const GemmPlan& p = *job.plan;
    return panel * p.panelRows + smaller(panel, p.tallPanels);
  }
  int64_t rowsOf(int64_t panel) const { return job.plan->panelRows + (panel < job.plan->tallPanels); }

  RightPanel rightPanel(int64_t q, int64_t from, int64_t steps) const {
    const GemmPlan& p = *job.plan;
    if (p.right == RightForm::shared) return {sharedAt(job, p.sharedRight) + (q * p.k + from) * kTileColumns, kTileColumns};
    const bool full = (q + 1) * kTileColumns <= p.n;
    if (p.right == RightForm::direct && full) return {at.b + from * p.b.m + q * kTileColumns, p.b.m};
    const int64_t place = p.right == RightForm::direct ? 0 : q - q0;
    return {reinterpret_cast<const float*>(scratch) + place * steps * kTileColumns, kTileColumns};
  }

  void packRights(int64_t from, int64_t steps) const {
    const GemmPlan& p = *job.plan;
    if (p.right == RightForm::shared) return;
    // Direct: the last panel only, if it is not full.
    const int64_t first = p.right == RightForm::direct ? larger(q0, p.n / kTileColumns) : q0;
    if (first < q1)
      packRight(const_cast<float*>(rightPanel(first, from, steps).p), steps * kTileColumns,
                at.b + from * p.b.m + first * kTileColumns * p.b.n, p.b.n, p.b.m, smaller(p.n, q1 * kTileColumns) - first * kTileColumns,
                steps);
  }

  /// Row panels [r0, r1) by all columns, for one block of k.
  template <template <int> class Left, class Address>
  void tiles(int64_t r0, int64_t r1, int64_t from, int64_t steps, int64_t leftStep, Address left) const {
    const GemmPlan& p = *job.plan;
    const bool last = from + steps == k1;
    for (int64_t q = q0; q < q1; q++) {
      const int64_t n = q * kTileColumns, columns = smaller(kTileColumns, p.n - n);
      const RightPanel right = rightPanel(q, from, steps);
      Tile tile{nullptr, cStep, columns, from != k0, last ? finish : nullptr, rowOf(r0), n};
      for (int64_t r = r0; r < r1; r++) {
        const int64_t rows = rowsOf(r);
        tile.c = c + tile.m * cStep + n;
        microFor<Left>(rows, columns)(steps, left(tile.m, rows), leftStep, right.p, right.step, tile);
        tile.m += rows;
      }
    }
  }

  void block(int64_t from, int64_t steps) const {
    const GemmPlan& p = *job.plan;
    packRights(from, steps);
    // A packed block of the left operand stays in L2 while all columns pass by.
    for (int64_t r0 = p0; r0 < p1; r0 += kPanelsAtOnce) {
      const int64_t r1 = smaller(r0 + kPanelsAtOnce, p1);
      switch (p.left) {
        case LeftForm::shared:
          if (left) {
            tiles<PackedLeft>(r0, r1, from, steps, 0,
                              [&](int64_t m, int64_t rows) { return left + (m - rowOf(p0)) * (k1 - k0) + (from - k0) * rows; });
            break;
          }
          [[fallthrough]];
        case LeftForm::local: {
          float* packed = reinterpret_cast<float*>(scratch + p.localLeft);
          const int64_t m0 = rowOf(r0);
          packLeft(packed, at.a + m0 * p.a.m + from * p.a.n, p.a.m, p.a.n, p.panelRows, p.tallPanels - r0, r1 - r0, steps);
          tiles<PackedLeft>(r0, r1, from, steps, 0, [&](int64_t m, int64_t) { return packed + (m - m0) * steps; });
          break;
        }
        case LeftForm::rows:
          tiles<RowsLeft>(r0, r1, from, steps, p.a.m, [&](int64_t m, int64_t) { return at.a + m * p.a.m + from; });
          break;
        case LeftForm::columns:
          tiles<ColumnsLeft>(r0, r1, from, steps, p.a.n, [&](int64_t m, int64_t) { return at.a + m + from * p.a.n; });
          break;
      }
    }
  }

  /// Finds or packs the block's place in shared scratch; `number` counts blocks of rows and k.
  void shareLeft(int64_t number) {
    const GemmPlan& p = *job.plan;
    int32_t& state = reinterpret_cast<int32_t*>(job.run->sharedScratch + p.sharedStates)[number];
    float* block = sharedAt(job, p.sharedLeft) + k0 * p.m + rowOf(p0) * (k1 - k0);
    int32_t seen = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
    if (seen == kUntouched && __atomic_compare_exchange_n(&state, &seen, kBeingPacked, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
      packLeft(block, at.a + rowOf(p0) * p.a.m + k0 * p.a.n, p.a.m, p.a.n, p.panelRows, p.tallPanels - p0, p1 - p0, k1 - k0);
      __atomic_store_n(&state, kPacked, __ATOMIC_RELEASE);
      seen = kPacked;
    }
    if (seen == kPacked) left = block;
  }

  void run() const {
    const int64_t length = k1 - k0, blocks = larger(1, ceilDiv(length, larger(1, job.plan->kBlock)));
    for (int64_t i = 0; i < blocks; i++) {
      const int64_t from = k0 + cut(length, blocks, i), to = k0 + cut(length, blocks, i + 1);
      block(from, to - from);
    }
  }
};

/// Chunk (batch block, split, m block, n block), n fastest.
void runChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const GemmJob& job = *static_cast<const GemmJob*>(argument);
  const GemmPlan& p = *job.plan;
  const int64_t nb = chunk % p.nBlocks, mb = chunk / p.nBlocks % p.mBlocks, rest = chunk / p.nBlocks / p.mBlocks;
  const int64_t split = rest % p.splits, bb = rest / p.splits;
  const int64_t first = p.sequential ? job.matrix : cut(p.batch, p.batchBlocks, bb);
  const int64_t last = p.sequential ? job.matrix + 1 : cut(p.batch, p.batchBlocks, bb + 1);
  const int64_t p0 = cut(p.mPanels, p.mBlocks, mb), p1 = cut(p.mPanels, p.mBlocks, mb + 1);
  const int64_t q0 = cut(p.nPanels, p.nBlocks, nb), q1 = cut(p.nPanels, p.nBlocks, nb + 1);
  const int64_t m0 = cut(p.m, p.mPanels, p0), m1 = cut(p.m, p.mPanels, p1);
  const int64_t n0 = q0 * kTileColumns, n1 = smaller(p.n, q1 * kTileColumns);
  for (int64_t matrix = first; matrix < last; matrix++) {
    const GemmMatrix at = matrixOf(job, matrix);
    Chunk c{job, at, p0, p1, q0, q1, cut(p.k, p.splits, split), cut(p.k, p.splits, split + 1), at.c, at.cStep, nullptr, scratch};
    if (p.left == LeftForm::shared) c.shareLeft(split * p.mBlocks + mb);
    if (p.splits > 1) {
      c.c = sharedAt(job, p.sharedPartials) + split * p.m * p.n;
      c.cStep = p.n;
      c.run();
      continue;
    }
    if (p.product.kind == ProductKind::finish && !p.product.plain) c.finish = &at.finish;
    if (!at.c) {
      c.cStep = (q1 - q0) * kTileColumns;
      c.c = reinterpret_cast<float*>(scratch + p.localTile) - (m0 * c.cStep + n0);
    }
    c.run();
    finishRows(job, at, m0, m1, n0, n1 - n0, c.c + m0 * c.cStep + n0, c.cStep, scratch + p.localRows);
  }
}

constexpr int64_t kPackRight = 4;  ///< panels a packing chunk

int64_t rightChunks(const GemmPlan& p) { return p.right == RightForm::shared ? ceilDiv(p.nPanels, kPackRight) : 0; }

void packChunk(void* argument, int64_t chunk, std::byte*) {
  const GemmJob& job = *static_cast<const GemmJob*>(argument);
  const GemmPlan& p = *job.plan;
  const GemmMatrix at = matrixOf(job, job.matrix);
  const int64_t q = chunk * kPackRight, n = q * kTileColumns;
  packRight(sharedAt(job, p.sharedRight) + q * p.k * kTileColumns, p.k * kTileColumns, at.b + n * p.b.n, p.b.n, p.b.m,
            smaller(p.n - n, kPackRight * kTileColumns), p.k);
}

constexpr int64_t kSumRows = 8;

/// Rows of the parts, added up in order, finished, and through the epilogue.
void sumChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const GemmJob& job = *static_cast<const GemmJob*>(argument);
  const GemmPlan& p = *job.plan;
  const GemmMatrix at = matrixOf(job, 0);
  const float* parts = sharedAt(job, p.sharedPartials);
  for (int64_t m = chunk * kSumRows; m < smaller(p.m, (chunk + 1) * kSumRows); m++) {
    float* c = at.c ? at.c + m * at.cStep : sharedAt(job, p.sharedPartials) + m * p.n;
    for (int64_t n = 0; n < p.n; n += kWidth) {
      const int64_t have = smaller(kWidth, p.n - n);
      F x = loadPartial(parts + m * p.n + n, have);
      for (int64_t s = 1; s < p.splits; s++) x = x + loadPartial(parts + (s * p.m + m) * p.n + n, have);
      storePartial(c + n, finishVector(x, at.finish, m, n, have), have);
    }
    finishRows(job, at, m, m + 1, 0, p.n, c, 0, scratch);
  }
}

void runVectors(void* argument, int64_t chunk, std::byte* scratch) {
  const GemmJob& job = *static_cast<const GemmJob*>(argument);
  const GemmPlan& p = *job.plan;
  const int64_t nb = chunk % p.nBlocks, bb = chunk / p.nBlocks;
  // Cuts at whole vectors.
  const int64_t vectors = ceilDiv(p.n, kWidth);
  const int64_t n0 = smaller(p.n, cut(vectors, p.nBlocks, nb) * kWidth), n1 = smaller(p.n, cut(vectors, p.nBlocks, nb + 1) * kWidth);
  if (n0 >= n1) return;
  for (int64_t matrix = cut(p.batch, p.batchBlocks, bb); matrix < cut(p.batch, p.batchBlocks, bb + 1); matrix++)
    (p.mode == GemmMode::dots ? runDots : runAxpy)(job, matrixOf(job, matrix), n0, n1, scratch);
}

Status runGemm(const Instruction& instruction, const Run& run) {
  const GemmPlan& p = *static_cast<const GemmPlan*>(instruction.plan);
  GemmJob job{&p, &run, 0};
  switch (p.mode) {
    case GemmMode::nothing:
      break;
    case GemmMode::dots:
    case GemmMode::axpy:
      parallel(run, p.batchBlocks * p.nBlocks, runVectors, &job);
      break;
    case GemmMode::blocks: {
      const int64_t packs = rightChunks(p), matrices = p.sequential ? p.batch : 1;
      for (job.matrix = 0; job.matrix < matrices; job.matrix++) {
        if (p.left == LeftForm::shared)
          std::memset(run.sharedScratch + p.sharedStates, 0, static_cast<size_t>(p.splits * p.mBlocks) * sizeof(int32_t));
        if (packs > 0) parallel(run, packs, packChunk, &job);
        parallel(run, p.batchBlocks * p.splits * p.mBlocks * p.nBlocks, runChunk, &job);
        if (p.splits > 1) parallel(run, ceilDiv(p.m, kSumRows), sumChunk, &job);
      }
      break;
    }
  }
  return {};
}

}  // namespace

const KernelFamily gemmFamily = {prepareGemm, runGemm, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
