// The gradient of a recurrent layer over a whole sequence, one direction. In: gradients of all hidden states (and cells), what the
// forward kept; out: gradients of the sums at all time steps, from which weight gradients are one product over time, and of the initial
// states. Chunks of the batch run through all steps backwards, as in recurrent.cc.
#include <cstdlib>

#include "../simd/math.h"
#include "recurrent.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kSteps = 256;  ///< of k at a time: a part of a panel that stays in the first-level cache

/// The panel of a block of hidden units, by steps of the gates' sums.
void packChunk(void* argument, int64_t chunk, std::byte*) {
  const RecurrentJob& job = *static_cast<const RecurrentJob*>(argument);
  const RecurrentPlan& p = *job.plan;
  const View& w = *job.weight;
  const int64_t unit = chunk * kTileColumns, k = p.gates * p.size, panel = k * kTileColumns;
  packRight(job.packed + chunk * panel, panel, job.run->data<float>(w) + unit * w.stride[1], w.stride[1], w.stride[0],
            smaller(kTileColumns, p.size - unit), k);
}

/// One step backwards of sequences [b0, b1). `dh` and `dc` are gradients of the states after the step, then before it.
struct StepBack {
  const RecurrentJob& job;
  int64_t s, t, b0, b1;

  float* dh(int64_t b) const { return job.states + b * job.plan->size; }
  float* dc(int64_t b) const { return job.states + (job.plan->batch + b) * job.plan->size; }

  void lstm(int64_t b) const {
    const int64_t n = job.plan->size;
    const float *i = job.gates.at(t, b), *f = i + n, *g = f + n, *o = g + n;
    const float *cells = job.cells.at(t, b), *before = job.before(job.cells, job.cell, s, b), *gh = job.gOutput.at(t, b);
    const float* gc = job.gCells ? job.gCells.at(t, b) : nullptr;
    float *h = dh(b), *c = dc(b), *d = job.gProjected.at(t, b);
    const F one = set1(1.0f);
    alongUnits(
        n, [&](int64_t k, int64_t have) __attribute__((always_inline)) {
          const F in = get(i + k, have), forget = get(f + k, have), cell = get(g + k, have), out = get(o + k, have);
          const F squashed = tanh(get(cells + k, have)), past = before ? get(before + k, have) : zero();
          const F gradH = get(h + k, have) + get(gh + k, have);
          F gradC = fma(gradH * out, nfma(squashed, squashed, one), get(c + k, have));
          if (gc) gradC = gradC + get(gc + k, have);
          put(d + k, gradC * cell * in * (one - in), have);
          put(d + n + k, gradC * past * forget * (one - forget), have);
          put(d + 2 * n + k, gradC * in * nfma(cell, cell, one), have);
          put(d + 3 * n + k, gradH * squashed * out * (one - out), have);
          put(c + k, gradC * forget, have);
          put(h + k, zero(), have);
        });
  }

  void gru(int64_t b) const {
    const int64_t n = job.plan->size;
    const float *r = job.gates.at(t, b), *z = r + n, *cell = z + n, *q = cell + n;
    const float *before = job.before(job.output, job.hidden, s, b), *gh = job.gOutput.at(t, b);
    float *h = dh(b), *d = job.gProjected.at(t, b), *e = job.gRecurrent.at(t, b);
    const F one = set1(1.0f);
    alongUnits(
        n, [&](int64_t k, int64_t have) __attribute__((always_inline)) {
          const F reset = get(r + k, have), update = get(z + k, have), fresh = get(cell + k, have);
          const F past = before ? get(before + k, have) : zero();
          const F grad = get(h + k, have) + get(gh + k, have);
          const F inner = grad * (one - update) * nfma(fresh, fresh, one);
          const F forReset = inner * get(q + k, have) * reset * (one - reset);
          const F forUpdate = grad * (past - fresh) * update * (one - update);
          put(d + k, forReset, have), put(e + k, forReset, have);
          put(d + n + k, forUpdate, have), put(e + n + k, forUpdate, have);
          put(d + 2 * n + k, inner, have), put(e + 2 * n + k, inner * reset, have);
          put(h + k, grad * update, have);
        });
  }

  void plain(int64_t b) const {
    const float *y = job.output.at(t, b), *gh = job.gOutput.at(t, b);
    float *h = dh(b), *d = job.gProjected.at(t, b);
    const bool relu = job.plan->kind == RecurrentKind::relu;
    alongUnits(
        job.plan->size, [&](int64_t k, int64_t have) __attribute__((always_inline)) {
          const F state = get(y + k, have), grad = get(h + k, have) + get(gh + k, have);
          put(d + k, relu ? keep(lt(zero(), state), grad) : grad * nfma(state, state, set1(1.0f)), have);
          put(h + k, zero(), have);
        });
  }

  void nothing(int64_t b) const {
    const size_t bytes = static_cast<size_t>(job.plan->gates * job.plan->size) * 4;
    memset(job.gProjected.at(t, b), 0, bytes);
    if (job.gRecurrent) memset(job.gRecurrent.at(t, b), 0, bytes);
  }

  /// dh += gradients of the sums · recurrent weights
  void product() const {
    const RecurrentPlan& p = *job.plan;
    const Rows& left = job.gRecurrent ? job.gRecurrent : job.gProjected;
    const int64_t k = p.gates * p.size, tiles = ceilDiv(b1 - b0, kTileRows);
    for (int64_t block = 0; block < p.blocks; block++) {
      const int64_t unit = block * kTileColumns, columns = smaller(kTileColumns, p.size - unit);
      for (int64_t from = 0; from < k; from += kSteps) {
        const float* right = job.packed + (block * k + from) * kTileColumns;
        for (int64_t i = 0; i < tiles; i++) {
          const int64_t first = b0 + cut(b1 - b0, tiles, i), rows = b0 + cut(b1 - b0, tiles, i + 1) - first;
          const Tile tile{dh(first) + unit, p.size, columns, true, nullptr, 0, 0};
          microFor<RowsLeft>(rows, columns)(smaller(kSteps, k - from), left.at(t, first) + from, left.batch, right, kTileColumns, tile);
        }
      }
    }
  }

  void run() const {
    const RecurrentPlan& p = *job.plan;
    for (int64_t b = b0; b < b1; b++) {
      if (job.lengthView && !job.valid(t, b))
        nothing(b);
      else if (p.kind == RecurrentKind::lstm)
        lstm(b);
      else if (p.kind == RecurrentKind::gru)
        gru(b);
      else
        plain(b);
    }
    // before the first step there is a state only where one was given
    if (s > 0 || p.state) product();
  }
};

void sequencesChunk(void* argument, int64_t chunk, std::byte*) {
  const RecurrentJob& job = *static_cast<const RecurrentJob*>(argument);
  const RecurrentPlan& p = *job.plan;
  const int64_t b0 = cut(p.batch, p.chunks, chunk), b1 = cut(p.batch, p.chunks, chunk + 1);
  const size_t bytes = static_cast<size_t>((b1 - b0) * p.size) * 4;
  memset(job.states + b0 * p.size, 0, bytes);
  if (p.kind == RecurrentKind::lstm) memset(job.states + (p.batch + b0) * p.size, 0, bytes);
  for (int64_t s = p.steps - 1; s >= 0; s--) StepBack{job, s, job.timeOf(s), b0, b1}.run();
  for (int64_t b = b0; b < b1; b++) {
    if (job.gHidden) memcpy(job.gHidden.at(0, b), job.states + b * p.size, static_cast<size_t>(p.size) * 4);
    if (job.gCell) memcpy(job.gCell.at(0, b), job.states + (p.batch + b) * p.size, static_cast<size_t>(p.size) * 4);
  }
}

Status prepareRecurrentGrad(Instruction& instruction) {
  const View& gOutput = instruction.inputs[0];
  const int64_t blocks = ceilDiv(gOutput.shape[2], kTileColumns), gates = gatesOf(static_cast<RecurrentKind>(instruction.attributes[0]));
  if (!planRecurrent(instruction, gOutput, blocks * gates * gOutput.shape[2] * kTileColumns, 2)) return {StatusCode::outOfMemory};
  return {};
}

Status runRecurrentGrad(const Instruction& instruction, const Run& run) {
  const auto& p = *static_cast<const RecurrentPlan*>(instruction.plan);
  if (p.batch == 0 || p.size == 0) return {};
  const bool lstm = p.kind == RecurrentKind::lstm;
  RecurrentJob job{};
  job.plan = &p;
  job.run = &run;
  job.packed = reinterpret_cast<float*>(run.sharedScratch + p.packed);
  job.states = reinterpret_cast<float*>(run.sharedScratch + p.states);
  int32_t in = 0, out = 0;
  job.gOutput = openInput(instruction, run, in++);
  if (p.cells) job.gCells = openInput(instruction, run, in++);
  job.output = openInput(instruction, run, in++);
  if (lstm) job.cells = openInput(instruction, run, in++);
  if (p.gates > 1) job.gates = openInput(instruction, run, in++);
  job.weight = &instruction.inputs[in++];
  if (p.state) job.hidden = openInput(instruction, run, in++);
  if (p.state && lstm) job.cell = openInput(instruction, run, in++);
  if (p.lengths) job.lengthView = &instruction.inputs[in++];
  job.gProjected = openOutput(run, instruction.outputs[out++]);
  if (p.kind == RecurrentKind::gru) job.gRecurrent = openOutput(run, instruction.outputs[out++]);
  if (p.state) job.gHidden = openOutput(run, instruction.outputs[out++]);
  if (p.state && lstm) job.gCell = openOutput(run, instruction.outputs[out++]);
  parallel(run, p.blocks, packChunk, &job);
  parallel(run, p.chunks, sequencesChunk, &job);
  return {};
}

}  // namespace

const KernelFamily recurrentGradFamily = {prepareRecurrentGrad, runRecurrentGrad, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
