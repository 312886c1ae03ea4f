// A recurrent layer over a whole sequence, one direction. In: the input projections of all time steps; out: hidden states of all time
// steps, and what the gradient needs. The recurrent weights are packed once; each chunk of the batch then runs through all steps:
// products of a block of hidden units for all gates, then the gates of that block while they are in the first-level cache.
#include "recurrent.h"

#include <cstdlib>

#include "../simd/math.h"

namespace chainrule::CHAINRULE_ISA {

RecurrentPlan* planRecurrent(Instruction& instruction, const View& like, int64_t packedCount, int64_t stateRows) {
  auto* plan = static_cast<RecurrentPlan*>(malloc(sizeof(RecurrentPlan)));
  if (!plan) return nullptr;
  const int32_t flags = instruction.attributes[1];
  plan->kind = static_cast<RecurrentKind>(instruction.attributes[0]);
  plan->reverse = flags & 1;
  plan->state = flags & 2;
  plan->lengths = flags & 4;
  plan->bias = flags & 8;
  plan->cells = flags & 16;
  plan->steps = like.shape[0];
  plan->batch = like.shape[1];
  plan->size = like.shape[2];
  plan->gates = gatesOf(plan->kind);
  plan->blocks = ceilDiv(plan->size, kTileColumns);
  // About 16 sequences a chunk: enough rows to make use of each weight that is loaded, and an even number of chunks.
  plan->chunks = plan->batch < 8 ? 1 : plan->batch < 32 ? 2 : plan->batch / 32 * 2;
  Reservation scratch;
  plan->packed = scratch.floats(packedCount);
  plan->states = scratch.floats(stateRows * plan->batch * plan->size);
  plan->copies.reserve(instruction, scratch);
  instruction.plan = plan;
  instruction.sharedScratch = static_cast<size_t>(scratch.bytes);
  return plan;
}

Rows openInput(const Instruction& instruction, const Run& run, int32_t i) {
  const int32_t rank = instruction.inputs[i].rank;
  int64_t step[kMaxRank];
  float* p = static_cast<const RecurrentPlan*>(instruction.plan)->copies.open(instruction, run, i, step);
  return {p, rank == 3 ? step[0] : 0, rank > 1 ? step[rank - 2] : 0};
}

Rows openOutput(const Run& run, const View& v) {
  return {run.data<float>(v), v.rank == 3 ? v.stride[0] : 0, v.rank > 1 ? v.stride[v.rank - 2] : 0};
}

namespace {

/// Panel (block, gate): the weights that give gate `gate` of kTileColumns hidden units, by steps of the state before.
void packChunk(void* argument, int64_t chunk, std::byte*) {
  const RecurrentJob& job = *static_cast<const RecurrentJob*>(argument);
  const RecurrentPlan& p = *job.plan;
  const View& w = *job.weight;
  for (int64_t gate = 0; gate < p.gates; gate++) {
    const int64_t unit = chunk * kTileColumns, panel = p.size * kTileColumns;
    packRight(job.packed + (chunk * p.gates + gate) * panel, panel, job.run->data<float>(w) + (gate * p.size + unit) * w.stride[0],
              w.stride[0], w.stride[1], smaller(kTileColumns, p.size - unit), p.size);
  }
}

/// One step of one chunk: sequences [b0, b1).
struct Step {
  const RecurrentJob& job;
  int64_t s, t, b0, b1;
  const float* left;  ///< hidden states before, of b0; nullptr: zeros
  int64_t leftStep;

  /// Sums of gate `gate` for the hidden units of a block, to where the gates are kept.
  void sums(int64_t block, int64_t gate) const {
    const RecurrentPlan& p = *job.plan;
    const int64_t unit = block * kTileColumns, columns = smaller(kTileColumns, p.size - unit), column = gate * p.size + unit;
    const bool inner = p.kind == RecurrentKind::gru && gate == 2;  // kept apart: the reset gate is in between
    const Rows& to = p.kind == RecurrentKind::lstm || p.kind == RecurrentKind::gru ? job.gates : job.output;
    const int64_t place = inner ? 3 * p.size + unit : column;
    if (!left) {
      for (int64_t b = b0; b < b1; b++) {
        float* c = to.at(t, b) + place;
        const float* x = job.projected.at(t, b) + column;
        alongUnits(
            columns, [&](int64_t i, int64_t have) __attribute__((always_inline)) {
              F sum = inner ? zero() : get(x + i, have);
              if (job.bias) sum = get(job.bias.p + column + i, have) + sum;
              put(c + i, sum, have);
            });
      }
      return;
    }
    Finish finish;
    if (job.bias) finish.alongN = job.bias.p;
    if (!inner) finish.full = job.projected.at(t, b0), finish.fullStep = job.projected.batch;
    const float* right = job.packed + (block * p.gates + gate) * p.size * kTileColumns;
    const int64_t tiles = ceilDiv(b1 - b0, kTileRows);
    Tile tile{nullptr, to.batch, columns, false, finish.alongN || finish.full ? &finish : nullptr, 0, column};
    for (int64_t i = 0; i < tiles; i++) {
      const int64_t first = cut(b1 - b0, tiles, i), rows = cut(b1 - b0, tiles, i + 1) - first;
      tile.c = to.at(t, b0 + first) + place;
      tile.m = first;
      microFor<RowsLeft>(rows, columns)(p.size, left + first * leftStep, leftStep, right, kTileColumns, tile);
    }
  }

  void lstm(int64_t b, int64_t unit, int64_t count) const {
    const int64_t n = job.plan->size;
    float *i = job.gates.at(t, b) + unit, *f = i + n, *g = f + n, *o = g + n;
    float *h = job.output.at(t, b) + unit, *c = job.cells.at(t, b) + unit;
    const float* before = job.before(job.cells, job.cell, s, b);
    alongUnits(
        count, [&](int64_t k, int64_t have) __attribute__((always_inline)) {
          const F in = sigmoid(get(i + k, have)), forget = sigmoid(get(f + k, have)), cell = tanh(get(g + k, have)),
                  out = sigmoid(get(o + k, have));
          const F past = before ? get(before + unit + k, have) : zero();
          const F next = fma(forget, past, in * cell);
          put(i + k, in, have), put(f + k, forget, have), put(g + k, cell, have), put(o + k, out, have);
          put(c + k, next, have);
          put(h + k, out * tanh(next), have);
        });
  }

  void gru(int64_t b, int64_t unit, int64_t count) const {
    const int64_t n = job.plan->size;
    float *r = job.gates.at(t, b) + unit, *z = r + n, *cell = z + n, *q = cell + n, *h = job.output.at(t, b) + unit;
    const float* x = job.projected.at(t, b) + 2 * n + unit;
    const float* before = job.before(job.output, job.hidden, s, b);
    alongUnits(
        count, [&](int64_t k, int64_t have) __attribute__((always_inline)) {
          const F reset = sigmoid(get(r + k, have)), update = sigmoid(get(z + k, have));
          const F fresh = tanh(fma(reset, get(q + k, have), get(x + k, have)));
          const F past = before ? get(before + unit + k, have) : zero();
          put(r + k, reset, have), put(z + k, update, have), put(cell + k, fresh, have);
          put(h + k, fma(update, past - fresh, fresh), have);
        });
  }

  void plain(int64_t b, int64_t unit, int64_t count) const {
    float* h = job.output.at(t, b) + unit;
    const bool relu = job.plan->kind == RecurrentKind::relu;
    alongUnits(
        count, [&](int64_t k, int64_t have) __attribute__((always_inline)) {
          const F sum = get(h + k, have);
          put(h + k, relu ? reluOf(sum) : tanh(sum), have);
        });
  }

  /// A sequence that has ended: zeros.
  void nothing(int64_t b, int64_t unit, int64_t count) const {
    const int64_t n = job.plan->size;
    auto clear = [&](float* at) { alongUnits(count, [&](int64_t k, int64_t have) { put(at + unit + k, zero(), have); }); };
    clear(job.output.at(t, b));
    if (job.cells) clear(job.cells.at(t, b));
    for (int64_t gate = 0; job.gates && gate < 4; gate++) clear(job.gates.at(t, b) + gate * n);
  }

  void run() const {
    const RecurrentPlan& p = *job.plan;
    for (int64_t block = 0; block < p.blocks; block++) {
      for (int64_t gate = 0; gate < p.gates; gate++) sums(block, gate);
      const int64_t unit = block * kTileColumns, count = smaller(kTileColumns, p.size - unit);
      for (int64_t b = b0; b < b1; b++) {
        if (job.lengthView && !job.valid(t, b))
          nothing(b, unit, count);
        else if (p.kind == RecurrentKind::lstm)
          lstm(b, unit, count);
        else if (p.kind == RecurrentKind::gru)
          gru(b, unit, count);
        else
          plain(b, unit, count);
      }
    }
  }
};

/// Sequences of a batch through all time steps.
void sequencesChunk(void* argument, int64_t chunk, std::byte*) {
  const RecurrentJob& job = *static_cast<const RecurrentJob*>(argument);
  const RecurrentPlan& p = *job.plan;
  const int64_t b0 = cut(p.batch, p.chunks, chunk), b1 = cut(p.batch, p.chunks, chunk + 1);
  if (!job.lengthView) {
    for (int64_t s = 0; s < p.steps; s++) {
      const Rows& from = s > 0 ? job.output : job.hidden;
      Step{job, s, job.timeOf(s), b0, b1, from ? from.at(s > 0 ? job.timeOf(s - 1) : 0, b0) : nullptr, from.batch}.run();
    }
    return;
  }
  // With lengths a state may come from before the step that went before: it is kept in rows of its own.
  float* state = job.states;
  for (int64_t b = b0; b < b1; b++) {
    for (int64_t k = 0; k < p.size; k++) state[b * p.size + k] = job.hidden ? job.hidden.at(0, b)[k] : 0.0f;
  }
  for (int64_t s = 0; s < p.steps; s++) {
    const int64_t t = job.timeOf(s);
    Step{job, s, t, b0, b1, state + b0 * p.size, p.size}.run();
    for (int64_t b = b0; b < b1; b++)
      if (job.valid(t, b)) memcpy(state + b * p.size, job.output.at(t, b), static_cast<size_t>(p.size) * 4);
  }
}

Status prepareRecurrent(Instruction& instruction) {
  const View& output = instruction.outputs[0];
  const int64_t blocks = ceilDiv(output.shape[2], kTileColumns), gates = gatesOf(static_cast<RecurrentKind>(instruction.attributes[0]));
  const bool lengths = instruction.attributes[1] & 4;
  if (!planRecurrent(instruction, output, blocks * gates * output.shape[2] * kTileColumns, lengths ? 1 : 0))
    return {StatusCode::outOfMemory};
  return {};
}

Status runRecurrent(const Instruction& instruction, const Run& run) {
  const auto& p = *static_cast<const RecurrentPlan*>(instruction.plan);
  if (p.steps == 0 || p.batch == 0 || p.size == 0) return {};
  RecurrentJob job{};
  job.plan = &p;
  job.run = &run;
  job.packed = reinterpret_cast<float*>(run.sharedScratch + p.packed);
  job.states = reinterpret_cast<float*>(run.sharedScratch + p.states);
  int32_t in = 0, out = 0;
  job.projected = openInput(instruction, run, in++);
  job.weight = &instruction.inputs[in++];
  if (p.bias) job.bias = openInput(instruction, run, in++);
  if (p.state) job.hidden = openInput(instruction, run, in++);
  if (p.state && p.kind == RecurrentKind::lstm) job.cell = openInput(instruction, run, in++);
  if (p.lengths) job.lengthView = &instruction.inputs[in++];
  job.output = openOutput(run, instruction.outputs[out++]);
  if (p.kind == RecurrentKind::lstm) job.cells = openOutput(run, instruction.outputs[out++]);
  if (p.gates > 1) job.gates = openOutput(run, instruction.outputs[out++]);
  parallel(run, p.blocks, packChunk, &job);
  parallel(run, p.chunks, sequencesChunk, &job);
  return {};
}

}  // namespace

const KernelFamily recurrentFamily = {prepareRecurrent, runRecurrent, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
