// Connectionist temporal classification (Graves et al. 2006): the loss of a label sequence summed over its alignments, or the gradient of that loss.
// In: log-probabilities [T, N, C], the states' classes, lengths; out: [N], or [T, N, C]. Forward and backward recursions in logarithms, in double
// precision. Sequences are independent and run in parallel.
#include <cstdlib>
#include <cstring>

#include "../simd/math.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

/// Sequences that are worked on at once at most.
constexpr int64_t kAtOnce = 8;
constexpr double kNever = -__builtin_inf();

struct CtcPlan {
  int64_t steps, count, classes, states, doubles, chunks;
};

Status prepareCtc(Instruction& instruction) {
  auto* plan = static_cast<CtcPlan*>(calloc(1, sizeof(CtcPlan)));
  if (!plan) return {StatusCode::outOfMemory};
  const View& x = instruction.inputs[0];
  plan->steps = x.shape[0];
  plan->count = x.shape[1];
  plan->classes = x.shape[2];
  plan->states = instruction.inputs[1].shape[1];
  // all rows of the forward recursion for a gradient, and a row by class; two rows otherwise; and floats of two rows
  const bool gradient = instruction.attributes[0] == 1;
  plan->doubles = ((gradient ? plan->steps + 3 : 3) * plan->states + (gradient ? plan->classes : 0) + 7) / 8 * 8;
  plan->chunks = plan->count < kAtOnce ? plan->count : kAtOnce;
  instruction.plan = plan;
  instruction.sharedScratch = sizeof(double) * static_cast<size_t>(plan->doubles * plan->chunks);
  return {};
}

/// log(eᵃ + eᵇ + eᶜ) of a row of states. The greatest of the three is taken out in doubles; what is left lies between 0 and log 3, for which floats do.
struct LogSums {
  double* row;
  float* middle;  ///< and the low ones behind it, `states` further
  int64_t states;

  CHAINRULE_INLINE void put(int64_t s, double a, double b, double c) const {
    const double most = a > b ? a : b, least = a > b ? b : a;
    const double rest = c > most ? most : c;
    double top = c > most ? c : most;
    if (!(top > kNever)) {  // nothing, or NaN
      top = a + b + c;
      top = top == kNever ? kNever : __builtin_nan("");
      middle[s] = middle[states + s] = 0;
    } else {
      middle[s] = static_cast<float>(rest - top);
      middle[states + s] = static_cast<float>(least - top);
    }
    row[s] = top;
  }
  void finish(int64_t n) const {
    for (int64_t s = 0; s < n; s += kWidth) {
      const int64_t have = n - s < kWidth ? n - s : kWidth;
      const F sum = exp(loadPartial(middle + s, have)) + exp(loadPartial(middle + states + s, have)) + set1(1.0f);
      storePartial(middle + s, log(sum), have);
    }
    for (int64_t s = 0; s < n; s++) row[s] += static_cast<double>(middle[s]);
  }
};

/// log(eᵃ + eᵇ)
double logSum(double a, double b) {
  float room[2];
  double sum;
  const LogSums one{&sum, room, 1};
  one.put(0, a, b, kNever);
  one.finish(1);
  return sum;
}

/// One sequence: its log-probabilities, its states, and how long both are.
struct Sequence {
  const float* x;
  int64_t step, column;  // of x, in time and by class
  const int32_t* classes;
  int64_t stride;  // of the states' classes
  int64_t steps, states;

  int32_t classOf(int64_t s) const { return classes[s * stride]; }
  double emission(int64_t t, int64_t s) const { return static_cast<double>(x[t * step + classOf(s) * column]); }
  /// Whether s can be reached from s − 2.
  bool skips(int64_t s) const { return s % 2 == 1 && s >= 3 && classOf(s) != classOf(s - 2); }
};

void firstRow(const Sequence& q, double* row) {
  for (int64_t s = 0; s < q.states; s++) row[s] = s < 2 ? q.emission(0, s) : kNever;
}

/// log P(first t + 1 inputs, ending in the state), from the row before.
void nextRow(const Sequence& q, int64_t t, const double* before, double* row, float* work, int64_t states) {
  const LogSums sums{row, work, states};
  for (int64_t s = 0; s < q.states; s++) {
    sums.put(s, before[s], s >= 1 ? before[s - 1] : kNever, q.skips(s) ? before[s - 2] : kNever);
  }
  sums.finish(q.states);
  for (int64_t s = 0; s < q.states; s++) row[s] += q.emission(t, s);
}

double lossOf(const Sequence& q, const double* last) {
  return -logSum(last[q.states - 1], q.states >= 2 ? last[q.states - 2] : kNever);
}

double lossOf(const Sequence& q, double* room, int64_t states) {
  if (q.steps == 0) return q.states == 1 ? 0 : -kNever;
  double *row = room, *next = room + states;
  auto* work = reinterpret_cast<float*>(room + 2 * states);
  firstRow(q, row);
  for (int64_t t = 1; t < q.steps; t++) {
    nextRow(q, t, row, next, work, states);
    double* swap = row;
    row = next;
    next = swap;
  }
  return lossOf(q, row);
}

struct Gradient {
  float* y;
  int64_t step, column;
};

void fill(const Gradient& g, int64_t first, int64_t end, int64_t classes, float value) {
  for (int64_t t = first; t < end; t++) {
    for (int64_t c = 0; c < classes; c++) g.y[t * g.step + c * g.column] = value;
  }
}

void exponentials(float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kWidth) {
    const int64_t have = n - i < kWidth ? n - i : kWidth;
    storePartial(x + i, exp(loadPartial(x + i, have)), have);
  }
}

/// The probabilities at t less the shares.
void putGradient(const Sequence& q, int64_t t, int64_t classes, const double* shares, const Gradient& g) {
  float p[kWidth];
  for (int64_t c = 0; c < classes; c += kWidth) {
    const int64_t have = classes - c < kWidth ? classes - c : kWidth;
    for (int64_t i = 0; i < have; i++) p[i] = q.x[t * q.step + (c + i) * q.column];
    exponentials(p, have);
    for (int64_t i = 0; i < have; i++) {
      g.y[t * g.step + (c + i) * g.column] = static_cast<float>(static_cast<double>(p[i]) - shares[c + i]);
    }
  }
}

void gradientOf(const Sequence& q, const CtcPlan& plan, double* room, const Gradient& g, bool zeros) {
  const int64_t classes = plan.classes;
  fill(g, q.steps, plan.steps, classes, 0);
  if (q.steps == 0) return;
  double* behind = room + plan.steps * plan.states;
  double* shares = behind + 3 * plan.states;
  auto* work = reinterpret_cast<float*>(behind + 2 * plan.states);
  firstRow(q, room);
  for (int64_t t = 1; t < q.steps; t++) nextRow(q, t, room + (t - 1) * plan.states, room + t * plan.states, work, plan.states);
  const double loss = lossOf(q, room + (q.steps - 1) * plan.states);
  if (loss == -kNever) return fill(g, 0, q.steps, classes, zeros ? 0 : __builtin_nanf(""));
  // log P(inputs behind t | the state at t), and the same with the state's own input
  double* own = behind + plan.states;
  const LogSums sums{behind, work, plan.states};
  for (int64_t t = q.steps - 1; t >= 0; t--) {
    const double* alpha = room + t * plan.states;
    if (t == q.steps - 1) {
      for (int64_t s = 0; s < q.states; s++) behind[s] = s >= q.states - 2 ? 0 : kNever;
    } else {
      for (int64_t s = 0; s < q.states; s++) {
        const bool skips = s + 2 < q.states && q.skips(s + 2);
        sums.put(s, own[s], s + 1 < q.states ? own[s + 1] : kNever, skips ? own[s + 2] : kNever);
      }
      sums.finish(q.states);
    }
    for (int64_t s = 0; s < q.states; s++) {
      own[s] = behind[s] + q.emission(t, s);
      work[s] = static_cast<float>(alpha[s] + behind[s] + loss);
    }
    exponentials(work, q.states);
    for (int64_t c = 0; c < classes; c++) shares[c] = 0;
    for (int64_t s = 0; s < q.states; s++) shares[q.classOf(s)] += static_cast<double>(work[s]);
    putGradient(q, t, classes, shares, g);
  }
}

struct Job {
  const Instruction* instruction;
  const Run* run;
};

int64_t within(int64_t x, int64_t most) { return x < 0 ? 0 : x > most ? most : x; }

void ctcChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const CtcPlan*>(instruction.plan);
  const View &x = instruction.inputs[0], &states = instruction.inputs[1], &lengths = instruction.inputs[2], &y = instruction.outputs[0];
  double* room = reinterpret_cast<double*>(job.run->sharedScratch) + chunk * plan.doubles;
  for (int64_t n = chunk; n < plan.count; n += plan.chunks) {
    const int32_t* length = job.run->data<int32_t>(lengths) + n * lengths.stride[0];
    const Sequence q{job.run->data<float>(x) + n * x.stride[1],
                     x.stride[0],
                     x.stride[2],
                     job.run->data<int32_t>(states) + n * states.stride[0],
                     states.stride[1],
                     within(length[0], plan.steps),
                     2 * within(length[lengths.stride[1]], (plan.states - 1) / 2) + 1};
    if (instruction.attributes[0] == 0) {
      job.run->data<float>(y)[n * y.stride[0]] = static_cast<float>(lossOf(q, room, plan.states));
    } else {
      gradientOf(q, plan, room, {job.run->data<float>(y) + n * y.stride[1], y.stride[0], y.stride[2]}, instruction.attributes[1] == 1);
    }
  }
}

Status runCtc(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const CtcPlan*>(instruction.plan);
  const View& states = instruction.inputs[1];
  const auto* classes = run.data<int32_t>(states);
  for (int64_t i = 0; i < plan.count * plan.states; i++) {
    const int32_t c = classes[i / plan.states * states.stride[0] + i % plan.states * states.stride[1]];
    if (c < 0 || c >= plan.classes) return {StatusCode::indexOutOfRange, 0, {c, i}};
  }
  Job job{&instruction, &run};
  if (plan.chunks > 0) parallel(run, plan.chunks, ctcChunk, &job);
  return {};
}

}  // namespace

const KernelFamily ctcFamily = {prepareCtc, runCtc, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
