// The rules of recurrent layers, attention and normalization.
#include "checker.h"

namespace chainrule {

/// Operands in the order of docs/program-format.md; which of them are there, kind and flags say.
bool Checker::recurrent(bool gradient) {
  if (!attributes(2) || !inRange(0, 0, 3) || !inRange(1, 0, 31)) return false;
  const int kind = attribute(0), flags = attribute(1);
  const bool lstm = kind == 2, gru = kind == 3, gated = lstm || gru, state = flags & 2, lengths = flags & 4, bias = flags & 8,
             cells = flags & 16;
  if (!require(!(bias && (gradient || !gru)) && !(cells && !(gradient && lstm)), Check::attribute, 1)) return false;
  const int states = state ? 1 + lstm : 0;
  const int inputs = gradient ? 3 + cells + lstm + gated + states + lengths : 2 + bias + states + lengths;
  if (!counts(inputs, gradient ? 1 + gru + states : 1 + lstm + gated)) return false;
  const View& sequence = gradient ? input(0) : output(0);
  if (!rank(sequence, 3, 0)) return false;
  const int64_t steps = sequence.shape[0], batch = sequence.shape[1], size = sequence.shape[2], rows = size * (lstm ? 4 : gru ? 3 : 1);
  if (!require(rows <= INT32_MAX / 4, Check::operandShape)) return false;
  int which = 0;
  auto is = [&](const View& v, int r, int64_t a, int64_t b, int64_t c) {
    const bool fits = v.rank == r && v.shape[0] == a && (r < 2 || v.shape[1] == b) && (r < 3 || v.shape[2] == c);
    return isFloat(v, which) && require(v.rank == r, Check::operandRank, which) && require(fits, Check::operandShape, which);
  };
  int in = 0;
  auto takes = [&](bool there, int r, int64_t a, int64_t b = 0, int64_t c = 0) {
    if (!there) return true;
    which = in;
    return is(input(in++), r, a, b, c);
  };
  if (gradient) {
    if (!takes(true, 3, steps, batch, size) || !takes(cells, 3, steps, batch, size) || !takes(true, 3, steps, batch, size) ||
        !takes(lstm, 3, steps, batch, size) || !takes(gated, 3, steps, batch, 4 * size))
      return false;
  } else if (!takes(true, 3, steps, batch, rows)) {
    return false;
  }
  if (!takes(true, 2, rows, size) || !takes(bias, 1, rows) || !takes(state, 2, batch, size) || !takes(state && lstm, 2, batch, size))
    return false;
  if (lengths) {
    const View& v = input(in);
    if (!require(v.dtype == DType::int32, Check::operandType, in) || !rank(v, 1, in) ||
        !require(v.shape[0] == batch, Check::operandShape, in))
      return false;
  }
  int out = 0;
  auto gives = [&](bool there, int r, int64_t a, int64_t b, int64_t c = 0) {
    if (!there) return true;
    which = inputs + out;
    const View& v = output(out++);
    return is(v, r, a, b, c) && contiguous(v, which);
  };
  if (gradient)
    return gives(true, 3, steps, batch, rows) && gives(gru, 3, steps, batch, rows) && gives(state, 2, batch, size) &&
           gives(state && lstm, 2, batch, size);
  return gives(true, 3, steps, batch, size) && gives(lstm, 3, steps, batch, size) && gives(gated, 3, steps, batch, 4 * size);
}

/// Q, K, V, (Y, log-sums, gradient of Y), (mask) to Y and log-sums, or to the gradients of Q, K, V.
bool Checker::attention(bool gradient) {
  if (!attributes(2) || !inRange(1, 0, 3)) return false;
  const bool mask = attribute(1) & 2;
  const int given = gradient ? 6 : 3;
  if (!counts(given + mask, gradient ? 3 : 2)) return false;
  for (int i = 0; i < given; ++i)
    if (!isFloat(input(i), i) || !rank(input(i), i == 4 ? 3 : 4, i)) return false;
  const View &q = input(0), &k = input(1), &v = input(2);
  constexpr int64_t kMaxHeadSize = 512;
  const int64_t batch = q.shape[0], heads = q.shape[1], rows = q.shape[2], keys = k.shape[2], size = q.shape[3], width = v.shape[3];
  auto is = [&](const View& view, int64_t c, int64_t d, int64_t which) {
    return require(view.shape[0] == batch && view.shape[1] == heads && view.shape[2] == c && (view.rank < 4 || view.shape[3] == d),
                   Check::operandShape, which);
  };
  if (!require(size >= 1 && size <= kMaxHeadSize, Check::operandShape, 0) ||
      !require(width >= 1 && width <= kMaxHeadSize, Check::operandShape, 2) || !is(k, keys, size, 1) || !is(v, keys, width, 2))
    return false;
  if (gradient && (!is(input(3), rows, width, 3) || !is(input(4), rows, 0, 4) || !is(input(5), rows, width, 5))) return false;
  if (mask) {
    const View& m = input(given);
    if (!require(m.dtype == DType::float32 || m.dtype == DType::boolean, Check::operandType, given) || !rank(m, 4, given) ||
        !is(m, rows, keys, given))
      return false;
  }
  for (int i = 0; i < instruction.outputCount; ++i) {
    const View& out = output(i);
    const int which = instruction.inputCount + i;
    const bool sums = !gradient && i == 1;
    if (!isFloat(out, which) || !rank(out, sums ? 3 : 4, which)) return false;
    const bool fits = sums                ? is(out, rows, 0, which)
                      : gradient && i > 0 ? is(out, keys, i == 1 ? size : width, which)
                                          : is(out, rows, gradient ? size : width, which);
    const int last = out.rank - 1;
    if (!fits || !require(elementCount(out) == 0 || out.unit(last), Check::contiguous, which)) return false;
  }
  return true;
}

/// moments: x → mean, variance; normSums: g, x, mean, rstd → sums.
bool Checker::groups(bool sums) {
  if (!counts(sums ? 4 : 1, 2) || !attributes(0)) return false;
  const View& x = input(sums ? 1 : 0);
  if (!isFloat(x, 0) || !rank(x, 3, 0) || (sums && (!isFloat(input(0), 0) || !shape(input(0), x, 0)))) return false;
  auto vector = [&](const View& v, int64_t which) {
    return isFloat(v, which) && rank(v, 1, which) && require(v.shape[0] == x.shape[1], Check::operandShape, which);
  };
  for (int i = 2; i < instruction.inputCount; ++i)
    if (!vector(input(i), i)) return false;
  return vector(output(0), instruction.inputCount) && vector(output(1), instruction.inputCount + 1);
}

/// x, (weight, (bias)) → y, mean, rstd; or g, x, mean, rstd, (weight) → gradients of x, (weight, bias).
bool Checker::normRows(bool gradient) {
  if (!attributes(gradient ? 1 : 2) || !inRange(0, 0, 1) || !atLeast(gradient ? 4 : 1, 1)) return false;
  const int weights = instruction.inputCount - (gradient ? 4 : 1);
  if (!require(weights <= (gradient ? 1 : 2), Check::operandCount) || !counts(instruction.inputCount, gradient ? 1 + 2 * weights : 3))
    return false;
  const View& x = input(gradient ? 1 : 0);
  if (!rank(x, 2, gradient ? 1 : 0)) return false;
  auto is = [&](const View& v, int64_t which, int r, int64_t extent) {
    return isFloat(v, which) && rank(v, r, which) &&
           (r == 2 ? shape(v, x, which) : require(v.shape[0] == extent, Check::operandShape, which));
  };
  const int wide = gradient ? 2 : 1, rows = gradient ? 4 : 1;
  for (int i = 0; i < instruction.inputCount; ++i)
    if (!is(input(i), i, i < wide ? 2 : 1, i < rows ? x.shape[0] : x.shape[1])) return false;
  for (int i = 0; i < instruction.outputCount; ++i) {
    const int which = instruction.inputCount + i;
    if (!is(output(i), which, i == 0 ? 2 : 1, gradient ? x.shape[1] : x.shape[0]) || !contiguous(output(i), which)) return false;
  }
  return true;
}

}  // namespace chainrule
