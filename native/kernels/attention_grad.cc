// The gradient of attention. In: what the forward had and gave, and the gradient of Y; out: gradients of Q, K and V. The weights are made
// again from the scores and the log-sums, tile by tile. A chunk is one head: blocks of keys outside, whose gradients gather while all
// queries pass by.
#include <cstdlib>

#include "attention.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

struct Job {
  const AttentionPlan* plan;
  const Run* run;
  const View* mask;
  Heads q, k, v, y, logSums, gy, gq, gk, gv;
  float* deltas;
};

/// One head. Matrices by name, rows `…Step` apart.
struct Head {
  const Job& job;
  const AttentionPlan& p;
  Mask mask;
  const float *q, *k, *v, *gy, *logSums;
  float *gq, *gk, *gv, *deltas;
  float *bases, *factors;           ///< of each query: a weight is exp(score − base) · factor
  float *scores, *slopes, *packed;  ///< tiles of weights and of their gradients; room for packed operands

  /// Weights from scores, and the scores' gradients from the weights'.
  void weights(const ScoreTile& tile, int64_t seen) const {
    for (int64_t r = 0; r < tile.rows; r++) {
      float *s = scores + r * p.keyBlock, *g = slopes + r * p.keyBlock;
      tile.finish(s, r, seen);
      // A query that sees one key has weight 1 whatever the score: no gradient, and no rounding of one.
      const bool single = p.keys == 1 || (p.causal && tile.i0 + r == 0);
      const F base = set1(bases[tile.i0 + r]), factor = set1(factors[tile.i0 + r]);
      const F delta = set1(deltas[tile.i0 + r]), scale = set1(single ? 0.0f : p.scale);
      alongUnits(
          seen, [&](int64_t i, int64_t have) __attribute__((always_inline)) {
            const F w = exp(get(s + i, have) - base) * factor;
            put(s + i, w, have);
            put(g + i, w * (get(g + i, have) - delta) * scale, have);
          });
    }
  }

  /// Whether the digits of a log-sum may not hold the sum: a mask of -1e9 for all keys takes it so far from 0. Infinity stands for no keys.
  static bool far(float logSum) { return logSum < -kFar || (logSum > kFar && logSum < kInfinity); }
  static constexpr float kFar = 1024;

  /// Bases are the log-sums; where those are far, the greatest scores, and factors then one over the sums of exponentials.
  void findBases() const {
    for (int64_t i = 0; i < p.rows; i++) bases[i] = logSums[i], factors[i] = 1;
    for (int64_t i0 = 0; i0 < p.rows; i0 += kQueries) {
      const int64_t rows = smaller(kQueries, p.rows - i0);
      bool any = false;
      for (int64_t i = i0; i < i0 + rows; i++)
        if (far(logSums[i])) any = true, bases[i] = -kInfinity, factors[i] = 0;
      if (any) sumAgain(i0, rows);
    }
  }

  void sumAgain(int64_t i0, int64_t rows) const {
    for (int64_t j0 = 0; j0 < p.keys; j0 += p.keyBlock) {
      const ScoreTile tile{&p, mask, i0, rows, j0, smaller(p.keyBlock, p.keys - j0)};
      packTransposed(packed, k + j0 * job.k.step[2], job.k.step[2], tile.keys, p.size);
      multiplyTiles<RowsLeft>(q + i0 * job.q.step[2], job.q.step[2], job.q.step[2], rows, packed, tile.keys, p.size, scores, p.keyBlock,
                              false);
      for (int64_t r = 0; r < rows; r++) {
        if (!far(logSums[i0 + r])) continue;
        float *s = scores + r * p.keyBlock, &top = bases[i0 + r], &sum = factors[i0 + r];
        tile.finish(s, r, tile.keys);
        float now = top;
        for (int64_t n = 0; n < tile.keys; n++) now = s[n] > now ? s[n] : now;
        if (now == -kInfinity) continue;
        sum *= first(exp(set1(top - now)));
        for (int64_t n = 0; n < tile.keys; n++) sum += first(exp(set1(s[n] - now)));
        top = now;
      }
    }
    for (int64_t i = i0; i < i0 + rows; i++)
      if (far(logSums[i])) factors[i] = factors[i] > 0 ? 1 / factors[i] : 0;
  }
  static float first(F x) {
    float lane[kWidth];
    store(lane, x);
    return lane[0];
  }

  void keyBlock(int64_t j0, int64_t keys) const {
    const int64_t qStep = job.q.step[2], gyStep = job.gy.step[2], gqStep = job.gq.step[2], gkStep = job.gk.step[2], gvStep = job.gv.step[2];
    float* kTransposed = packed;
    float* vTransposed = kTransposed + packedSize(p.keyBlock, p.size);
    float* kPlain = vTransposed + packedSize(p.keyBlock, p.width);
    float* rowsPacked = kPlain + packedSize(p.size, p.keyBlock);
    packTransposed(kTransposed, k + j0 * job.k.step[2], job.k.step[2], keys, p.size);
    packTransposed(vTransposed, v + j0 * job.v.step[2], job.v.step[2], keys, p.width);
    packPlain(kPlain, k + j0 * job.k.step[2], job.k.step[2], keys, p.size);
    const int64_t start = p.causal ? j0 / kQueries * kQueries : 0;
    if (start >= p.rows) {
      for (int64_t j = j0; j < j0 + keys; j++) {
        memset(gk + j * gkStep, 0, static_cast<size_t>(p.size) * 4);
        memset(gv + j * gvStep, 0, static_cast<size_t>(p.width) * 4);
      }
      return;
    }
    for (int64_t i0 = start; i0 < p.rows; i0 += kQueries) {
      const ScoreTile tile{&p, mask, i0, smaller(kQueries, p.rows - i0), j0, keys};
      // All keys of the block, also those the tile does not see: their gradients are written here.
      multiplyTiles<RowsLeft>(q + i0 * qStep, qStep, qStep, tile.rows, kTransposed, keys, p.size, scores, p.keyBlock, false);
      multiplyTiles<RowsLeft>(gy + i0 * gyStep, gyStep, gyStep, tile.rows, vTransposed, keys, p.width, slopes, p.keyBlock, false);
      weights(tile, keys);
      const bool more = i0 > start;
      packPlain(rowsPacked, gy + i0 * gyStep, gyStep, tile.rows, p.width);
      multiplyTiles<ColumnsLeft>(scores, 1, p.keyBlock, keys, rowsPacked, p.width, tile.rows, gv + j0 * gvStep, gvStep, more);
      packPlain(rowsPacked, q + i0 * qStep, qStep, tile.rows, p.size);
      multiplyTiles<ColumnsLeft>(slopes, 1, p.keyBlock, keys, rowsPacked, p.size, tile.rows, gk + j0 * gkStep, gkStep, more);
      multiplyTiles<RowsLeft>(slopes, p.keyBlock, p.keyBlock, tile.rows, kPlain, p.size, keys, gq + i0 * gqStep, gqStep, j0 > 0);
    }
  }
};

void headChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Job& job = *static_cast<const Job*>(argument);
  const AttentionPlan& p = *job.plan;
  const int64_t head = chunk % p.heads, batch = chunk / p.heads;
  float* scores = reinterpret_cast<float*>(scratch);
  float* slopes = scores + kQueries * p.keyBlock;
  const Head h{job,
               p,
               job.mask ? maskOf(p, *job.mask, *job.run, batch, head) : Mask{},
               job.q.at(batch, head),
               job.k.at(batch, head),
               job.v.at(batch, head),
               job.gy.at(batch, head),
               job.logSums.at(batch, head),
               job.gq.at(batch, head),
               job.gk.at(batch, head),
               job.gv.at(batch, head),
               job.deltas + 3 * chunk * p.rows,
               job.deltas + (3 * chunk + 1) * p.rows,
               job.deltas + (3 * chunk + 2) * p.rows,
               scores,
               slopes,
               slopes + kQueries * p.keyBlock};
  const float* y = job.y.at(batch, head);
  for (int64_t i = 0; i < p.rows; i++) {
    const float *a = y + i * job.y.step[2], *b = h.gy + i * job.gy.step[2];
    F total = zero();
    alongUnits(
        p.width, [&](int64_t e, int64_t have) __attribute__((always_inline)) { total = fma(get(a + e, have), get(b + e, have), total); });
    h.deltas[i] = reduceAdd(total);
  }
  h.findBases();
  for (int64_t j0 = 0; j0 < p.keys; j0 += p.keyBlock) h.keyBlock(j0, smaller(p.keyBlock, p.keys - j0));
  for (int64_t i = 0; p.keys == 0 && i < p.rows; i++) memset(h.gq + i * job.gq.step[2], 0, static_cast<size_t>(p.size) * 4);
}

Status prepareAttentionGrad(Instruction& instruction) {
  if (!planAttention(instruction)) return {StatusCode::outOfMemory};
  return {};
}

Status runAttentionGrad(const Instruction& instruction, const Run& run) {
  const auto& p = *static_cast<const AttentionPlan*>(instruction.plan);
  if (p.batch * p.heads == 0) return {};
  Job job{&p, &run, p.mask ? &instruction.inputs[6] : nullptr, {}, {}, {}, {}, {}, {}, {}, {}, {}, nullptr};
  job.q = openHeads(instruction, run, 0);
  job.k = openHeads(instruction, run, 1);
  job.v = openHeads(instruction, run, 2);
  job.y = openHeads(instruction, run, 3);
  job.logSums = openHeads(instruction, run, 4);
  job.gy = openHeads(instruction, run, 5);
  job.gq = openHeads(run, instruction.outputs[0]);
  job.gk = openHeads(run, instruction.outputs[1]);
  job.gv = openHeads(run, instruction.outputs[2]);
  job.deltas = reinterpret_cast<float*>(run.sharedScratch + p.deltas);
  parallel(run, p.batch * p.heads, headChunk, &job);
  return {};
}

}  // namespace

const KernelFamily attentionGradFamily = {prepareAttentionGrad, runAttentionGrad, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
