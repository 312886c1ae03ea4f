// Factorizations and solutions of small dense matrices (matrix.h), one matrix after another. In: matrices of float32 in any layout; out:
// factors, where there are several below one another in one output (docs/program-format.md). Matrices are independent and run in parallel.
#include <cstdlib>
#include <cstring>

#include "matrix.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

enum Kind { cholesky, solve, solveTriangular, determinant, qr, svd, eigh };

/// Matrices that are worked on at once at most.
constexpr int64_t kAtOnce = 8;

/// Views: A, the output, B (A again where there is none).
struct LinalgPlan {
  Space batch;
  Strides strides[3];
  int64_t count, m, n, k, second, doubles, chunks;
};

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
  // a copy of A, B or a second factor of at most max(m, n)², and a row
  const int64_t longer = plan->m > plan->n ? plan->m : plan->n, shorter = plan->m + plan->n - longer;
  plan->second = instruction.inputCount == 2 ? plan->n * plan->k : longer * shorter;
  plan->doubles = longer * shorter + plan->second + longer + 8;
  plan->chunks = plan->count < kAtOnce ? plan->count : kAtOnce;
  instruction.plan = plan;
  instruction.sharedScratch = sizeof(double) * static_cast<size_t>(plan->doubles * plan->chunks);
  return {};
}

/// A matrix of a view.
struct Matrix {
  float* p;
  int64_t row, column;
  float& at(int64_t i, int64_t j) const { return p[i * row + j * column]; }
};

Matrix matrixOf(const View& view, float* data, int64_t offset) {
  return {data + offset, view.stride[view.rank - 2], view.stride[view.rank - 1]};
}

void read(Matrix from, double* to, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) to[i * columns + j] = static_cast<double>(from.at(i, j));
  }
}
/// Row `first` of the output is where the factor starts.
void write(const double* from, Matrix to, int64_t rows, int64_t columns, int64_t first = 0) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) to.at(first + i, j) = static_cast<float>(from[i * columns + j]);
  }
}

void writeTransposed(const double* from, Matrix to, int64_t rows, int64_t columns, int64_t first = 0) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) to.at(first + i, j) = static_cast<float>(from[j * rows + i]);
  }
}

/// Cosines below this are lost in float32: rotations converge quadratically, so one more sweep would reach the square of it.
constexpr double kOrthogonal = 1e-12;

/// U (m × k) above V (n × k) above the singular values.
void writeSvd(const LinalgPlan& plan, Matrix a, Matrix y, double* work, double* v, double* s) {
  const int64_t m = plan.m, n = plan.n;
  const int64_t k = m < n ? m : n;
  const Matrix turned{a.p, a.column, a.row};
  read(m < n ? a : turned, work, k, m + n - k);
  svdInPlace(work, v, s, m + n - k, k, kOrthogonal);
  writeTransposed(m < n ? v : work, y, m, k);
  writeTransposed(m < n ? work : v, y, n, k, m);
  write(s, y, 1, k, m + n);
}

/// Q (m × k) above the transpose of R (n × k).
void writeQr(const LinalgPlan& plan, Matrix a, Matrix y, double* work, double* q, double* factors) {
  const int64_t m = plan.m, n = plan.n, k = m < n ? m : n;
  read(a, work, m, n);
  qrInPlace(work, q, factors, m, n);
  write(q, y, m, k);
  for (int64_t i = 0; i < k; i++) {
    for (int64_t j = 0; j < n; j++) y.at(m + j, i) = j < i ? 0.0f : static_cast<float>(work[i * n + j]);
  }
}

/// The determinant, its sign, and the logarithm of its magnitude. `lu` has been factorized.
void writeDeterminant(const double* lu, double sign, Matrix y, int64_t n) {
  double product = sign, logarithm = 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = lu[i * n + i];
    product *= d;
    sign = d < 0 ? -sign : d == 0 ? 0 : sign;
    logarithm += __builtin_log(sizeOfNumber(d));
  }
  y.at(0, 0) = static_cast<float>(product);
  y.at(0, 1) = static_cast<float>(sign);
  y.at(0, 2) = static_cast<float>(logarithm);
}

/// The number of the row or column where a matrix is singular, or -1.
int64_t linalgOne(const LinalgPlan& plan, const int32_t* attributes, Matrix a, Matrix b, Matrix y, double* work) {
  const int64_t m = plan.m, n = plan.n, k = plan.k;
  double* second = work + m * n;
  double* row = second + plan.second;
  double sign;
  int64_t failed = -1;
  switch (static_cast<Kind>(attributes[0])) {
    case cholesky:
      read(a, work, n, n);
      failed = choleskyInPlace(work, n);
      write(work, y, n, n);
      break;
    case solve:
      read(a, work, n, n);
      read(b, second, n, k);
      failed = luInPlace(work, n, second, k, row, sign);
      if (failed < 0) failed = solveTriangularInPlace(work, second, n, k, true, false);
      write(second, y, n, k);
      break;
    case solveTriangular:
      read(a, work, n, n);
      read(b, second, n, k);
      failed = solveTriangularInPlace(work, second, n, k, (attributes[1] & 1) != 0, (attributes[1] & 2) != 0);
      write(second, y, n, k);
      break;
    case determinant:
      read(a, work, n, n);
      luInPlace(work, n, second, 0, row, sign);
      writeDeterminant(work, sign, y, n);
      break;
    case qr:
      writeQr(plan, a, y, work, second, row);
      break;
    case svd:
      writeSvd(plan, a, y, work, second, row);
      break;
    case eigh:
      read(a, work, n, n);
      eighInPlace(work, second, row, n);
      writeTransposed(second, y, n, n);
      write(row, y, 1, n, n);
      break;
  }
  return failed;
}

struct Job {
  const Instruction* instruction;
  const Run* run;
  /// The first singular matrix and its row, by chunk; -1 where there is none.
  int64_t failed[kAtOnce][2];
};

void linalgChunk(void* argument, int64_t chunk, std::byte*) {
  Job& job = *static_cast<Job*>(argument);
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const LinalgPlan*>(instruction.plan);
  const View &a = instruction.inputs[0], &y = instruction.outputs[0], &b = instruction.inputs[instruction.inputCount - 1];
  double* work = reinterpret_cast<double*>(job.run->sharedScratch) + chunk * plan.doubles;
  job.failed[chunk][0] = -1;
  for (int64_t i = chunk; i < plan.count; i += plan.chunks) {
    const auto offset = [&](int v) { return offsetOf(plan.batch, plan.strides[v], plan.batch.rank, i); };
    const int64_t failed =
        linalgOne(plan, instruction.attributes, matrixOf(a, job.run->data<float>(a), offset(0)),
                  matrixOf(b, job.run->data<float>(b), offset(2)), matrixOf(y, job.run->data<float>(y), offset(1)), work);
    if (failed < 0 || job.failed[chunk][0] >= 0) continue;
    job.failed[chunk][0] = i;
    job.failed[chunk][1] = failed;
  }
}

Status runLinalg(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const LinalgPlan*>(instruction.plan);
  if (plan.chunks == 0) return {};
  Job job{&instruction, &run, {}};
  parallel(run, plan.chunks, linalgChunk, &job);
  int64_t first = -1;
  for (int64_t c = 0; c < plan.chunks; c++) {
    if (job.failed[c][0] >= 0 && (first < 0 || job.failed[c][0] < job.failed[first][0])) first = c;
  }
  return first < 0 ? Status{} : Status{StatusCode::singular, 0, {job.failed[first][0], job.failed[first][1]}};
}

}  // namespace

const KernelFamily linalgFamily = {prepareLinalg, runLinalg, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
