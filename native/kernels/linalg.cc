// Factorizations, decompositions and solutions of dense matrices (dense.h). In: matrices of float32 in any layout; out: factors, where there are
// several below one another in one output (docs/program-format.md). Small matrices are independent and run in parallel; with a large one all
// threads are busy.
#include <cstdlib>
#include <cstring>

#include "dense.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

enum Kind { cholesky, solve, solveTriangular, determinant, qr, svd, eigh };

/// Small matrices that are worked on at once at most; a matrix of more numbers than kLarge has all threads.
constexpr int64_t kAtOnce = 8, kLarge = 64 * 64;
/// Rows that one chunk converts.
constexpr int64_t kRowBlock = 32;

/// Views: A, the output, B (A again where there is none).
struct LinalgPlan {
  Space batch;
  Strides strides[3];
  int64_t count, m, n, k, doubles, chunks;
  bool large;
};

int64_t doublesOf(Kind kind, int64_t m, int64_t n, int64_t k) {
  const int64_t step = denseStep(n), longer = m > n ? m : n, shorter = m + n - longer;
  switch (kind) {
    case cholesky:
      return n * step;
    case solve:
      return n * denseStep(n + k) + 2 * n;
    case solveTriangular:
      return n * (step + denseStep(k));
    case determinant:
      return n * step + 2 * n;
    case qr:
      return m * (step + denseStep(shorter)) + shorter + reflectorRoom(m);
    case svd:
      return shorter * (denseStep(longer) + denseStep(shorter) + 1) + singularRoom(longer, shorter);
    case eigh:
      return n * (2 * step + 1) + symmetricRoom(n);
  }
  return 0;
}

Status prepareLinalg(Instruction& instruction) {
  auto* plan = static_cast<LinalgPlan*>(calloc(1, sizeof(LinalgPlan)));
  if (!plan) return {StatusCode::outOfMemory};
  const View* views[3] = {&instruction.inputs[0], &instruction.outputs[0], &instruction.inputs[instruction.inputCount - 1]};
  const View& a = *views[0];
  const int32_t batch = a.rank - 2;
  plan->batch.rank = batch;
  for (int32_t d = 0; d < batch; d++) {
    plan->batch.shape[d] = a.shape[d];
    for (int32_t v = 0; v < 3; v++) plan->strides[v][d] = views[v]->stride[d];
  }
  plan->count = plan->batch.count();
  plan->m = a.shape[batch];
  plan->n = a.shape[batch + 1];
  plan->k = instruction.inputCount == 2 ? views[2]->shape[batch + 1] : 0;
  // whole cache lines, for the next matrix's room
  plan->doubles = (doublesOf(static_cast<Kind>(instruction.attributes[0]), plan->m, plan->n, plan->k) + 15) / 8 * 8;
  plan->large = plan->m * (plan->n + plan->k) > kLarge;
  plan->chunks = plan->large ? (plan->count > 0) : plan->count < kAtOnce ? plan->count : kAtOnce;
  instruction.plan = plan;
  instruction.sharedScratch = sizeof(double) * static_cast<size_t>(plan->doubles * plan->chunks);
  return {};
}

/// A matrix of a view.
struct Matrix {
  float* p;
  int64_t row, column;
  float& at(int64_t i, int64_t j) const { return p[i * row + j * column]; }
  Matrix turned() const { return {p, column, row}; }
  Matrix below(int64_t rows) const { return {p + rows * row, row, column}; }
};

Matrix matrixOf(const View& view, float* data, int64_t offset) {
  return {data + offset, view.stride[view.rank - 2], view.stride[view.rank - 1]};
}

void read(const Team& team, Matrix from, double* to, int64_t step, int64_t rows, int64_t columns) {
  forBlocks(team, rows, kRowBlock, [&](int64_t first, int64_t count, std::byte*) {
    for (int64_t i = first; i < first + count; i++) {
      for (int64_t j = 0; j < columns; j++) to[i * step + j] = static_cast<double>(from.at(i, j));
    }
  });
}

void write(const Team& team, Steps from, Matrix to, int64_t rows, int64_t columns) {
  forBlocks(team, rows, kRowBlock, [&](int64_t first, int64_t count, std::byte*) {
    for (int64_t i = first; i < first + count; i++) {
      for (int64_t j = 0; j < columns; j++) to.at(i, j) = static_cast<float>(from.at(i, j));
    }
  });
}

/// One matrix of the batch, and room for it.
struct Task {
  const Team& team;
  int64_t m, n, k;
  Matrix a, b, y;
  double* room;
};

int64_t runCholesky(const Task& t) {
  const int64_t n = t.n, step = denseStep(n);
  double* u = t.room;
  // the lower triangle of A is the upper one of its transpose
  read(t.team, t.a.turned(), u, step, n, n);
  const int64_t failed = factorizeSymmetric(t.team, u, step, n);
  forBlocks(t.team, n, kRowBlock, [&](int64_t first, int64_t count, std::byte*) {
    for (int64_t i = first; i < first + count; i++) {
      for (int64_t j = 0; j < n; j++) t.y.at(i, j) = j > i ? 0.0f : static_cast<float>(u[j * step + i]);
    }
  });
  return failed;
}

/// LU of A beside B.
int64_t runSolve(const Task& t) {
  const int64_t n = t.n, k = t.k, step = denseStep(n + k);
  double* a = t.room;
  double* pivots = a + n * step;
  double sign;
  read(t.team, t.a, a, step, n, n);
  read(t.team, t.b, a + n, step, n, k);
  const int64_t failed = factorizeGeneral(t.team, a, step, n, n + k, pivots, pivots + n, sign);
  if (failed >= 0) return failed;
  solveTriangle(t.team, {a, step, 1}, true, false, a + n, step, n, k);
  write(t.team, {a + n, step, 1}, t.y, n, k);
  return failed;
}

/// Flags: 1 upper, 2 ones on the diagonal.
int64_t runSolveTriangular(const Task& t, int32_t flags) {
  const int64_t n = t.n, k = t.k, step = denseStep(n), bStep = denseStep(k);
  const bool upper = (flags & 1) != 0, unit = (flags & 2) != 0;
  double* a = t.room;
  double* b = a + n * step;
  read(t.team, t.a, a, step, n, n);
  for (int64_t i = 0; i < n && !unit; i++) {
    const int64_t at = upper ? n - 1 - i : i;
    if (a[at * step + at] == 0) return at;
  }
  read(t.team, t.b, b, bStep, n, k);
  solveTriangle(t.team, {a, step, 1}, upper, unit, b, bStep, n, k);
  write(t.team, {b, bStep, 1}, t.y, n, k);
  return -1;
}

/// The determinant, its sign, and the logarithm of its magnitude.
void runDeterminant(const Task& t) {
  const int64_t n = t.n, step = denseStep(n);
  double* a = t.room;
  double* pivots = a + n * step;
  double sign;
  read(t.team, t.a, a, step, n, n);
  factorizeGeneral(t.team, a, step, n, n, pivots, pivots + n, sign);
  double product = sign, logarithm = 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = a[i * step + i];
    product *= d;
    sign = d < 0 ? -sign : d == 0 ? 0 : sign;
    logarithm += __builtin_log(sizeOfNumber(d));
  }
  t.y.at(0, 0) = static_cast<float>(product);
  t.y.at(0, 1) = static_cast<float>(sign);
  t.y.at(0, 2) = static_cast<float>(logarithm);
}

/// Q (m × k) above the transpose of R (n × k).
void runQr(const Task& t) {
  const int64_t m = t.m, n = t.n, k = m < n ? m : n, step = denseStep(n), qStep = denseStep(k);
  double* a = t.room;
  double* q = a + m * step;
  double* tau = q + m * qStep;
  read(t.team, t.a, a, step, m, n);
  factorizeOrthogonal(t.team, a, step, q, qStep, m, n, tau, tau + k);
  write(t.team, {q, qStep, 1}, t.y, m, k);
  for (int64_t j = 0; j < n; j++) {
    for (int64_t i = 0; i < k; i++) t.y.at(m + j, i) = j < i ? 0.0f : static_cast<float>(a[i * step + j]);
  }
}

/// Signs of vectors are arbitrary; the same rule everywhere makes backends agree: the first number of at least half the largest magnitude is positive.
/// What else belongs to a vector changes its sign with it.
void orient(double* vectors, int64_t step, int64_t count, int64_t n, double* others, int64_t otherStep, int64_t m) {
  for (int64_t r = 0; r < count; r++) {
    double *v = vectors + r * step, *other = others + r * otherStep, most = 0;
    for (int64_t i = 0; i < n; i++) most = sizeOfNumber(v[i]) > most ? sizeOfNumber(v[i]) : most;
    int64_t first = 0;
    while (first < n && !(sizeOfNumber(v[first]) >= most / 2)) first++;
    if (first == n || v[first] >= 0) continue;
    for (int64_t i = 0; i < n; i++) v[i] = -v[i];
    for (int64_t i = 0; i < m; i++) other[i] = -other[i];
  }
}

/// U (m × k) above V (n × k) above the singular values.
void runSvd(const Task& t) {
  const int64_t m = t.m, n = t.n, k = m < n ? m : n, longer = m + n - k, step = denseStep(longer), vStep = denseStep(k);
  const bool wide = m < n;
  double* u = t.room;
  double* v = u + k * step;
  double* values = v + k * vStep;
  read(t.team, wide ? t.a : t.a.turned(), u, step, k, longer);
  decomposeSingular(t.team, u, step, v, values, longer, k, values + k);
  orient(v, vStep, k, k, u, step, longer);
  write(t.team, {wide ? v : u, 1, wide ? vStep : step}, t.y, m, k);
  write(t.team, {wide ? u : v, 1, wide ? step : vStep}, t.y.below(m), n, k);
  write(t.team, {values, k, 1}, t.y.below(m + n), 1, k);
}

/// Eigenvectors as columns (n × n) above the eigenvalues.
void runEigh(const Task& t) {
  const int64_t n = t.n, step = denseStep(n);
  double* a = t.room;
  double* vectors = a + n * step;
  double* values = vectors + n * step;
  read(t.team, t.a, a, step, n, n);
  decomposeSymmetric(t.team, a, step, vectors, values, n, values + n);
  orient(vectors, step, n, n, vectors, step, 0);
  write(t.team, {vectors, 1, step}, t.y, n, n);
  write(t.team, {values, n, 1}, t.y.below(n), 1, n);
}

/// The number of the row or column where a matrix is singular, or -1.
int64_t runTask(const Task& task, const int32_t* attributes) {
  switch (static_cast<Kind>(attributes[0])) {
    case cholesky:
      return runCholesky(task);
    case solve:
      return runSolve(task);
    case solveTriangular:
      return runSolveTriangular(task, attributes[1]);
    case determinant:
      runDeterminant(task);
      break;
    case qr:
      runQr(task);
      break;
    case svd:
      runSvd(task);
      break;
    case eigh:
      runEigh(task);
      break;
  }
  return -1;
}

struct Job {
  const Instruction* instruction;
  const Run* run;
  /// The first singular matrix and its row, by chunk; -1 where there is none.
  int64_t failed[kAtOnce][2];
};

void runMatrices(Job& job, const Team& team, int64_t chunk) {
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const LinalgPlan*>(instruction.plan);
  const View &a = instruction.inputs[0], &y = instruction.outputs[0], &b = instruction.inputs[instruction.inputCount - 1];
  double* room = reinterpret_cast<double*>(job.run->sharedScratch) + chunk * plan.doubles;
  job.failed[chunk][0] = -1;
  for (int64_t i = chunk; i < plan.count; i += plan.chunks) {
    const auto offset = [&](int v) { return offsetOf(plan.batch, plan.strides[v], plan.batch.rank, i); };
    const Task task{team,
                    plan.m,
                    plan.n,
                    plan.k,
                    matrixOf(a, job.run->data<float>(a), offset(0)),
                    matrixOf(b, job.run->data<float>(b), offset(2)),
                    matrixOf(y, job.run->data<float>(y), offset(1)),
                    room};
    const int64_t failed = runTask(task, instruction.attributes);
    if (failed < 0 || job.failed[chunk][0] >= 0) continue;
    job.failed[chunk][0] = i;
    job.failed[chunk][1] = failed;
  }
}

void linalgChunk(void* argument, int64_t chunk, std::byte* scratch) {
  runMatrices(*static_cast<Job*>(argument), {nullptr, scratch}, chunk);
}

Status runLinalg(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const LinalgPlan*>(instruction.plan);
  if (plan.chunks == 0) return {};
  Job job{&instruction, &run, {}};
  if (plan.large) {
    runMatrices(job, {&run, nullptr}, 0);
  } else {
    parallel(run, plan.chunks, linalgChunk, &job);
  }
  int64_t first = -1;
  for (int64_t c = 0; c < plan.chunks; c++) {
    if (job.failed[c][0] >= 0 && (first < 0 || job.failed[c][0] < job.failed[first][0])) first = c;
  }
  return first < 0 ? Status{} : Status{StatusCode::singular, 0, {job.failed[first][0], job.failed[first][1]}};
}

}  // namespace

const KernelFamily linalgFamily = {prepareLinalg, runLinalg, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
