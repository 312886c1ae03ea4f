// The rules of scans, sorting, linear algebra, Fourier transforms and alignments.
#include "checker.h"

namespace chainrule {

bool Checker::scan() {
  if (!attributes(2) || !inRange(0, 0, 2) || !counts(attribute(0) == 2 ? 2 : 1, 1)) return false;
  const View& y = output(0);
  const bool integers = attribute(0) < 2 && y.dtype == DType::int32;
  if (!axisIn(1, y) || !require(integers || y.dtype == DType::float32, Check::operandType, instruction.inputCount)) return false;
  for (int i = 0; i < instruction.inputCount; ++i)
    if (!require(input(i).dtype == y.dtype, Check::operandType, i) || !shape(input(i), y, i)) return false;
  return true;
}

bool Checker::sort() {
  if (!counts(1, 2) || !attributes(2) || !inRange(1, 0, 1)) return false;
  const View &x = input(0), &values = output(0), &indices = output(1);
  if (!axisIn(0, x) || !require(x.dtype <= DType::boolean, Check::operandType, 0) ||
      !require(values.dtype == x.dtype, Check::operandType, 1) || !require(indices.dtype == DType::int32, Check::operandType, 2) ||
      !rank(values, x.rank, 1) || !shape(indices, values, 2))
    return false;
  for (int d = 0; d < x.rank; ++d)
    if (!require(d == attribute(0) ? values.shape[d] <= x.shape[d] : values.shape[d] == x.shape[d], Check::operandShape, 1)) return false;
  return true;
}

/// Kinds: 0 cholesky, 1 solve, 2 solveTriangular, 3 determinant, 4 qr, 5 svd, 6 eigh.
bool Checker::linalg() {
  if (!attributes(2) || !inRange(0, 0, 6)) return false;
  const int32_t kind = attribute(0);
  const bool solves = kind == 1 || kind == 2;
  if (!inRange(1, 0, kind == 2 ? 3 : 0) || !counts(solves ? 2 : 1, 1)) return false;
  const View &a = input(0), &y = output(0), &b = input(solves ? 1 : 0);
  if (!isFloat(a, 0) || !isFloat(b, 1) || !isFloat(y, 2) || !require(a.rank >= 2, Check::operandRank) || !rank(b, a.rank, 1) ||
      !rank(y, a.rank, 2))
    return false;
  const int batch = a.rank - 2;
  for (int d = 0; d < batch; ++d)
    if (!require(b.shape[d] == a.shape[d], Check::operandShape, 1) || !require(y.shape[d] == a.shape[d], Check::operandShape, 2))
      return false;
  const int64_t m = a.shape[batch], n = a.shape[batch + 1], k = m < n ? m : n;
  if (kind != 4 && kind != 5 && !require(m == n, Check::operandShape)) return false;
  if (solves && !require(b.shape[batch] == n, Check::operandShape, 1)) return false;
  const int64_t rows = kind == 3 ? 1 : kind == 4 ? m + n : kind == 5 ? m + n + 1 : kind == 6 ? n + 1 : n;
  const int64_t columns = solves ? b.shape[batch + 1] : kind == 3 ? 3 : kind == 4 || kind == 5 ? k : n;
  return require(y.shape[batch] == rows && y.shape[batch + 1] == columns, Check::operandShape, 2);
}

/// Kinds: 0 forward, 1 inverse, 2 of real numbers, 3 to real numbers.
bool Checker::fft() {
  if (!counts(1, 1) || !attributes(1) || !inRange(0, 0, 3) || !isFloat(input(0), 0) || !isFloat(output(0), 1)) return false;
  const int32_t kind = attribute(0);
  const View &x = input(0), &y = output(0);
  const int rows = x.rank - (kind == 2 ? 1 : 2);
  if (!require(rows >= 0, Check::operandRank) || !rank(y, rows + (kind == 3 ? 1 : 2), 1)) return false;
  for (int d = 0; d < rows; ++d)
    if (!require(y.shape[d] == x.shape[d], Check::operandShape, 1)) return false;
  if (kind != 2 && !require(x.shape[rows + 1] == 2, Check::operandShape, 0)) return false;
  if (kind != 3 && !require(y.shape[rows + 1] == 2, Check::operandShape, 1)) return false;
  const int64_t in = x.shape[rows], out = y.shape[rows];
  return require(kind < 2 ? in == out : kind == 2 ? in >= 1 && out == in / 2 + 1 : out >= 1 && in == out / 2 + 1, Check::operandShape, 1);
}

/// Kinds: 0 the loss, 1 its gradient. An odd number of states, each a class; lengths of inputs and labels.
bool Checker::ctc() {
  if (!counts(3, 1) || !attributes(2) || !inRange(0, 0, 1) || !inRange(1, 0, 1)) return false;
  const View &logProbs = input(0), &states = input(1), &lengths = input(2), &y = output(0);
  if (!isFloat(logProbs, 0) || !require(states.dtype == DType::int32, Check::operandType, 1) ||
      !require(lengths.dtype == DType::int32, Check::operandType, 2) || !isFloat(y, 3) || !rank(logProbs, 3, 0) || !rank(states, 2, 1) ||
      !rank(lengths, 2, 2))
    return false;
  const int64_t n = logProbs.shape[1];
  if (!require(logProbs.shape[0] > 0, Check::operandShape, 0) ||
      !require(states.shape[0] == n && states.shape[1] % 2 == 1, Check::operandShape, 1) ||
      !require(lengths.shape[0] == n && lengths.shape[1] == 2, Check::operandShape, 2))
    return false;
  if (attribute(0) == 1) return shape(y, logProbs, 3);
  return rank(y, 1, 3) && require(y.shape[0] == n, Check::operandShape, 3);
}

}  // namespace chainrule
