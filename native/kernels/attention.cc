// Attention forward. In: Q, K, V, a mask; out: Y and the logarithm of each query's sum of exponentials, from which the gradient makes
// the weights again. A chunk is some queries of one head: it goes through the keys block by block, keeping each query's maximum, sum
// and weighted values so far (Dao et al. 2022), so that scores exist for one tile only.
#include "attention.h"

#include <cstdlib>

namespace chainrule::CHAINRULE_ISA {

AttentionPlan* planAttention(Instruction& instruction) {
  auto* plan = static_cast<AttentionPlan*>(malloc(sizeof(AttentionPlan)));
  if (!plan) return nullptr;
  const View &q = instruction.inputs[0], &v = instruction.inputs[2];
  const int32_t flags = instruction.attributes[1];
  memcpy(&plan->scale, instruction.attributes, 4);
  plan->causal = flags & 1;
  plan->mask = flags & 2;
  plan->batch = q.shape[0];
  plan->heads = q.shape[1];
  plan->rows = q.shape[2];
  plan->size = q.shape[3];
  plan->keys = v.shape[2];
  plan->width = v.shape[3];
  const int64_t widest = larger(plan->size, plan->width);
  plan->keyBlock = widest <= 128 ? kMaxKeys : widest <= 256 ? kMaxKeys / 2 : kMaxKeys / 4;
  // Enough chunks where there are few heads, and not more queries than their maxima and sums have room for.
  constexpr int64_t kMaxQueries = 2048, kChunks = 8;
  const int64_t matrices = larger(1, plan->batch * plan->heads), blocks = larger(1, ceilDiv(plan->rows, kQueries));
  plan->parts = smaller(blocks, larger(ceilDiv(plan->rows, kMaxQueries), ceilDiv(kChunks, matrices)));
  Reservation scratch;
  plan->deltas = scratch.floats(3 * plan->batch * plan->heads * plan->rows);
  plan->copies.reserve(instruction, scratch);
  instruction.plan = plan;
  instruction.sharedScratch = static_cast<size_t>(scratch.bytes);
  return plan;
}

Mask maskOf(const AttentionPlan& plan, const View& view, const Run& run, int64_t batch, int64_t head) {
  if (!plan.mask) return {};
  const int64_t at = view.offset + batch * view.stride[0] + head * view.stride[1];
  return {static_cast<const std::byte*>(run.buffers[view.buffer]) + at * sizeOf(view.dtype), view.dtype, view.stride[2], view.stride[3]};
}

namespace {

struct Job {
  const AttentionPlan* plan;
  const Run* run;
  const View* mask;
  Heads q, k, v, y, logSums;
};

/// Weights of one query from its scores; what it has of the values so far is scaled to the new maximum.
void weigh(float* scores, int64_t n, float& top, float& sum, float* y, int64_t width, bool first) {
  F high = set1(-kInfinity);
  alongUnits(
      n, [&](int64_t i, int64_t have) __attribute__((always_inline)) {
        if (have == kWidth)
          high = max(load(scores + i), high);
        else
          for (int64_t k = 0; k < have; k++) high = max(set1(scores[i + k]), high);
      });
  const float best = reduceMax(high), now = best > top ? best : top;
  // Nothing but -infinity so far: any finite maximum gives weights of 0.
  const F base = set1(now == -kInfinity ? 0.0f : now);
  F total = zero();
  alongUnits(
      n, [&](int64_t i, int64_t have) __attribute__((always_inline)) {
        const F p = exp(get(scores + i, have) - base);
        put(scores + i, p, have);
        total = total + (have == kWidth ? p : keep(lt(lanes(), set1(static_cast<int32_t>(have))), p));
      });
  if (!first && now > top) {
    float factor[kWidth];
    store(factor, exp(set1(top) - base));
    sum *= factor[0];
    const F by = set1(factor[0]);
    alongUnits(
        width, [&](int64_t i, int64_t have) __attribute__((always_inline)) { put(y + i, get(y + i, have) * by, have); });
  }
  sum += reduceAdd(total);
  top = now;
}

/// Some queries of one head.
void queriesChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Job& job = *static_cast<const Job*>(argument);
  const AttentionPlan& p = *job.plan;
  const int64_t part = chunk % p.parts, head = chunk / p.parts % p.heads, batch = chunk / p.parts / p.heads;
  const int64_t blocks = ceilDiv(p.rows, kQueries);
  const int64_t begin = cut(blocks, p.parts, part) * kQueries, end = smaller(p.rows, cut(blocks, p.parts, part + 1) * kQueries);
  const float *q = job.q.at(batch, head), *k = job.k.at(batch, head), *v = job.v.at(batch, head);
  float *y = job.y.at(batch, head), *logSums = job.logSums.at(batch, head);
  const int64_t qStep = job.q.step[2], kStep = job.k.step[2], vStep = job.v.step[2], yStep = job.y.step[2];
  const Mask mask = job.mask ? maskOf(p, *job.mask, *job.run, batch, head) : Mask{};

  float* scores = reinterpret_cast<float*>(scratch);
  float* packedK = scores + kQueries * p.keyBlock;
  float* packedV = packedK + packedSize(p.keyBlock, p.size);
  float* top = packedV + packedSize(p.width, p.keyBlock);
  float* sum = top + (end - begin);
  for (int64_t i = 0; i < end - begin; i++) top[i] = -kInfinity, sum[i] = 0.0f;

  for (int64_t j0 = 0; j0 < p.keys; j0 += p.keyBlock) {
    if (p.causal && j0 >= end) break;
    const int64_t keys = smaller(p.keyBlock, p.keys - j0);
    packTransposed(packedK, k + j0 * kStep, kStep, keys, p.size);
    packPlain(packedV, v + j0 * vStep, vStep, keys, p.width);
    for (int64_t i0 = begin; i0 < end; i0 += kQueries) {
      const ScoreTile tile{&p, mask, i0, smaller(kQueries, end - i0), j0, keys};
      const int64_t seen = tile.seen();
      if (seen == 0) continue;
      multiplyTiles<RowsLeft>(q + i0 * qStep, qStep, qStep, tile.rows, packedK, seen, p.size, scores, p.keyBlock, false);
      for (int64_t r = 0; r < tile.rows; r++) {
        tile.finish(scores + r * p.keyBlock, r, seen);
        weigh(scores + r * p.keyBlock, seen, top[i0 - begin + r], sum[i0 - begin + r], y + (i0 + r) * yStep, p.width, j0 == 0);
      }
      // the packed values have `keys` steps, of which the tile reads the first `seen`
      const int64_t panel = keys * kTileColumns;
      for (int64_t n = 0; n < p.width; n += kTileColumns)
        multiplyTiles<RowsLeft>(scores, p.keyBlock, p.keyBlock, tile.rows, packedV + n / kTileColumns * panel,
                                smaller(kTileColumns, p.width - n), seen, y + i0 * yStep + n, yStep, j0 > 0);
    }
  }

  for (int64_t i = begin; i < end; i++) {
    const float total = sum[i - begin], best = top[i - begin];
    const bool nothing = best == -kInfinity && total == 0.0f;
    // A query that may attend to nothing: zeros, and weights of 0 in the gradient.
    const F by = set1(nothing ? 0.0f : 1.0f / total);
    float* row = y + i * yStep;
    if (nothing)
      memset(row, 0, static_cast<size_t>(p.width) * 4);
    else
      alongUnits(
          p.width, [&](int64_t e, int64_t have) __attribute__((always_inline)) { put(row + e, get(row + e, have) * by, have); });
    float logarithm[kWidth];
    store(logarithm, log(set1(total)));
    logSums[i] = nothing ? kInfinity : best + logarithm[0];
  }
}

Status prepareAttention(Instruction& instruction) {
  if (!planAttention(instruction)) return {StatusCode::outOfMemory};
  return {};
}

Status runAttention(const Instruction& instruction, const Run& run) {
  const auto& p = *static_cast<const AttentionPlan*>(instruction.plan);
  const int64_t matrices = p.batch * p.heads;
  if (matrices == 0 || p.rows == 0) return {};
  Job job{&p, &run, p.mask ? &instruction.inputs[3] : nullptr, {}, {}, {}, {}, {}};
  job.q = openHeads(instruction, run, 0);
  job.k = openHeads(instruction, run, 1);
  job.v = openHeads(instruction, run, 2);
  job.y = openHeads(run, instruction.outputs[0]);
  job.logSums = openHeads(run, instruction.outputs[1]);
  parallel(run, matrices * p.parts, queriesChunk, &job);
  return {};
}

}  // namespace

const KernelFamily attentionFamily = {prepareAttention, runAttention, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
