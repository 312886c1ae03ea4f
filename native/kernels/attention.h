// Attention: softmax(Q·Kᵀ·scale + mask)·V of each head, in tiles. What the forward kernel (attention.cc) and its gradient
// (attention_grad.cc) share. In: an instruction of docs/program-format.md; out: an AttentionPlan, and scores of a tile.
#pragma once
#include "../simd/math.h"
#include "rows.h"

namespace chainrule::CHAINRULE_ISA {

constexpr int64_t kMaxHeadSize = 512;  ///< runtime/check refuses more
constexpr int64_t kQueries = 64;       ///< of a tile
constexpr int64_t kMaxKeys = 128;

struct AttentionPlan {
  float scale;
  bool causal, mask;
  int64_t batch, heads, rows, keys, size, width;  ///< Q [batch, heads, rows, size], K [… keys, size], V [… keys, width]
  int64_t parts;                                  ///< of the queries, forward only
  int64_t keyBlock;                               ///< keys of a tile
  int64_t deltas;                                 ///< offset in shared scratch: Σ y·gy, base and factor of each query (gradient)
  RowCopies copies;
};

/// The matrices of all heads; rows contiguous.
struct Heads {
  float* p = nullptr;
  int64_t step[3] = {0, 0, 0};  ///< of batch, head and row
  float* at(int64_t batch, int64_t head) const { return p + batch * step[0] + head * step[1]; }
};

AttentionPlan* planAttention(Instruction& instruction);

inline Heads openHeads(const Instruction& instruction, const Run& run, int32_t i) {
  Heads h;
  h.p = static_cast<const AttentionPlan*>(instruction.plan)->copies.open(instruction, run, i, h.step);
  return h;
}
inline Heads openHeads(const Run& run, const View& v) {
  return {run.data<float>(v), {v.stride[0], v.stride[1], v.rank == 4 ? v.stride[2] : 1}};
}

/// The mask of one head. Steps count elements.
struct Mask {
  const std::byte* p = nullptr;
  DType dtype = DType::boolean;
  int64_t row = 0, key = 0;
};
Mask maskOf(const AttentionPlan& plan, const View& view, const Run& run, int64_t batch, int64_t head);

/// left · right into c: `rows` rows, `columns` columns, over k steps. The right operand is packed.
template <template <int> class Left>
inline void multiplyTiles(const float* left, int64_t leftRow, int64_t leftK, int64_t rows, const float* right, int64_t columns, int64_t k,
                          float* c, int64_t step, bool add) {
  const int64_t tiles = ceilDiv(rows, kTileRows);
  for (int64_t n = 0; n < columns; n += kTileColumns, right += k * kTileColumns) {
    const int64_t have = smaller(kTileColumns, columns - n);
    for (int64_t i = 0; i < tiles; i++) {
      const int64_t first = cut(rows, tiles, i), some = cut(rows, tiles, i + 1) - first;
      const Tile tile{c + first * step + n, step, have, add, nullptr, 0, 0};
      microFor<Left>(some, have)(k, left + first * leftRow, leftK, right, kTileColumns, tile);
    }
  }
}

/// Floats of a packed operand of `columns` columns and k steps.
constexpr int64_t packedSize(int64_t columns, int64_t k) { return ceilDiv(columns, kTileColumns) * kTileColumns * k; }

/// Packs `rows` rows of `size` numbers as a right operand: transposed, rows are columns (Kᵀ); else rows are steps of k.
inline void packTransposed(float* to, const float* from, int64_t step, int64_t rows, int64_t size) {
  packRight(to, size * kTileColumns, from, step, 1, rows, size);
}
inline void packPlain(float* to, const float* from, int64_t step, int64_t rows, int64_t size) {
  packRight(to, rows * kTileColumns, from, 1, step, size, rows);
}

/// One tile: queries [i0, i0 + rows) against keys [j0, j0 + keys).
struct ScoreTile {
  const AttentionPlan* plan;
  Mask mask;
  int64_t i0, rows, j0, keys;

  /// Keys that any query of the tile sees.
  int64_t seen() const { return plan->causal ? larger(0, smaller(keys, i0 + rows - j0)) : keys; }
  /// Keys that query i0 + r sees.
  int64_t seenBy(int64_t r) const { return plan->causal ? larger(0, smaller(keys, i0 + r - j0 + 1)) : keys; }

  /// Scales and masks the scores of query i0 + r: those of keys nobody may see become -infinity.
  void finish(float* scores, int64_t r, int64_t all) const {
    const int64_t n = seenBy(r);
    const F scale = set1(plan->scale);
    alongUnits(
        n, [&](int64_t k, int64_t have) __attribute__((always_inline)) { put(scores + k, get(scores + k, have) * scale, have); });
    for (int64_t k = n; k < all; k++) scores[k] = -kInfinity;
    if (!mask.p) return;
    const int64_t at = (i0 + r) * mask.row + j0 * mask.key;
    if (mask.dtype == DType::boolean) {
      const auto* m = reinterpret_cast<const uint8_t*>(mask.p) + at;
      for (int64_t k = 0; k < n; k++)
        if (!m[k * mask.key]) scores[k] = -kInfinity;
    } else {
      const auto* m = reinterpret_cast<const float*>(mask.p) + at;
      for (int64_t k = 0; k < n; k++) scores[k] += m[k * mask.key];
    }
  }
};

}  // namespace chainrule::CHAINRULE_ISA
