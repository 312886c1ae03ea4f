// The rules of every opcode (see check.h and the table in docs/program-format.md).
#include "check.h"

#include "micro.h"

namespace chainrule {
namespace {

constexpr int kMaxOperands = kMaxMicroValues;

using Types = ValueType[kMaxOperands];

bool sameShape(const View& a, const View& b) {
  if (a.rank != b.rank) return false;
  for (int d = 0; d < a.rank; ++d)
    if (a.shape[d] != b.shape[d]) return false;
  return true;
}

/// One instruction under check. Each rule returns false after noting what failed, so that rules chain with &&.
struct Checker {
  const Instruction& instruction;
  Status status{};

  bool fail(Check check, int64_t which = 0) {
    status = malformed(check, which);
    return false;
  }
  const View& input(int i) const { return instruction.inputs[i]; }
  const View& output(int i) const { return instruction.outputs[i]; }
  int32_t attribute(int i) const { return instruction.attributes[i]; }

  bool require(bool condition, Check check, int64_t which = 0) { return condition || fail(check, which); }
  bool counts(int inputs, int outputs) {
    return require(instruction.inputCount == inputs && instruction.outputCount == outputs, Check::operandCount);
  }
  bool atLeast(int inputs, int outputs) {
    return require(instruction.inputCount >= inputs && instruction.outputCount >= outputs, Check::operandCount);
  }
  bool attributes(int count) { return require(instruction.attributeCount == count, Check::attributeCount, count); }
  bool isFloat(const View& view, int64_t which) { return require(view.dtype == DType::float32, Check::operandType, which); }
  bool isIndex(const View& view, int64_t which) {
    return require(view.dtype == DType::int32 || view.dtype == DType::uint8, Check::operandType, which);
  }
  bool rank(const View& view, int rank, int64_t which) { return require(view.rank == rank, Check::operandRank, which); }
  bool shape(const View& view, const View& like, int64_t which) { return require(sameShape(view, like), Check::operandShape, which); }
  bool inRange(int at, int32_t low, int32_t high) { return require(attribute(at) >= low && attribute(at) <= high, Check::attribute, at); }
  bool atLeastOne(int from, int to) {
    for (int i = from; i < to; ++i)
      if (attribute(i) < 1) return fail(Check::attribute, i);
    return true;
  }
  bool notNegative(int from, int to) {
    for (int i = from; i < to; ++i)
      if (attribute(i) < 0) return fail(Check::attribute, i);
    return true;
  }

  /// The outputs' shape, and inputs from `first` on, all like `like`.
  bool shapesFrom(int first, const View& like) {
    for (int i = first; i < instruction.inputCount; ++i)
      if (!shape(input(i), like, i)) return false;
    for (int i = 0; i < instruction.outputCount; ++i)
      if (!shape(output(i), like, instruction.inputCount + i)) return false;
    return true;
  }

  bool micro(const Micro& result) {
    status = result.status;
    return status.ok();
  }

  /// A micro-program over `head` and the inputs from `first` on, yielding the outputs, that ends the attributes.
  bool epilogue(int64_t at, const ValueType* head, int first) {
    const int given = head ? 1 : 0, count = given + instruction.inputCount - first;
    if (count > kMaxOperands) {
      status = {StatusCode::unsupported, 0, {count, 0}};
      return false;
    }
    Types types;
    if (head) types[0] = *head;
    for (int i = first; i < instruction.inputCount; ++i) types[given + i - first] = valueTypeOf(input(i).dtype);
    const Micro result = checkMicro(instruction.attributes + at, instruction.attributeCount - at, types, count, instruction.outputs,
                                    instruction.outputCount);
    return micro(result) && require(at + result.words == instruction.attributeCount, Check::attributeCount, at + result.words);
  }

  bool map() { return atLeast(0, 1) && shapesFrom(0, output(0)) && epilogue(0, nullptr, 0); }
  bool reduce();
  bool gemm();
  bool conv(bool inputGrad);
  bool convWeightGrad();
  bool convShapes(const View& x, const View& w, const View& y);
  bool maxPool();
  bool avgPool(const View& x, const View& y);
  bool window(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, int64_t which);
  bool softmax();
  bool crossEntropy(bool gradient);
  bool gather(const View& large, const View& moved, bool scatter);
  bool random();
  bool contiguous(const View& view, int64_t which);
  bool recurrent(bool gradient);
  bool attention(bool gradient);
  bool axisIn(int at, const View& view) { return require(view.rank >= 1, Check::operandRank) && inRange(at, 0, view.rank - 1); }
  bool scan();
  bool sort();
  bool linalg();
  bool fft();
  bool groups(bool sums);
  bool normRows(bool gradient);
  bool run();
};

bool Checker::reduce() {
  if (!require(instruction.attributeCount >= 3, Check::attributeCount) || !inRange(0, 0, 5)) return false;
  const int32_t kind = attribute(0), prologueInputs = attribute(1), rank = attribute(2);
  if (!require(prologueInputs >= 0 && prologueInputs <= instruction.inputCount, Check::attribute, 1) ||
      !require(rank >= 0 && rank <= kMaxRank, Check::attribute, 2) ||
      !require(instruction.attributeCount >= 3 + rank, Check::attributeCount) || !atLeast(prologueInputs, 1))
    return false;
  View domain{};
  domain.rank = rank;
  int64_t size = 1;
  for (int d = 0; d < rank; ++d) {
    domain.shape[d] = attribute(3 + d);
    if (!require(domain.shape[d] >= 0, Check::attribute, 3 + d)) return false;
    size *= domain.shape[d] > 0 ? domain.shape[d] : 1;
    if (!require(size <= INT32_MAX, Check::viewShape)) return false;
  }
  for (int i = 0; i < prologueInputs; ++i)
    if (!shape(input(i), domain, i)) return false;
  if (!this->rank(output(0), rank, instruction.inputCount)) return false;
  for (int d = 0; d < rank; ++d) {
    const int64_t extent = output(0).shape[d];
    if (!require(extent == domain.shape[d] || extent == 1, Check::operandShape, instruction.inputCount)) return false;
  }
  if (!shapesFrom(prologueInputs, output(0))) return false;
  // Sums and products have a value over nothing; where nothing comes out, nothing is asked for.
  if (kind >= 2 && elementCount(domain) == 0 && !require(elementCount(output(0)) == 0, Check::emptyReduction)) return false;

  if (prologueInputs > kMaxOperands) {
    status = {StatusCode::unsupported, 0, {prologueInputs, 0}};
    return false;
  }
  Types types;
  for (int i = 0; i < prologueInputs; ++i) types[i] = valueTypeOf(input(i).dtype);
  const int64_t at = 3 + rank;
  const Micro prologue = checkMicro(instruction.attributes + at, instruction.attributeCount - at, types, prologueInputs, nullptr, 1);
  if (!micro(prologue) || !require(prologue.resultType != ValueType::mask, Check::microType)) return false;
  const ValueType reduced = kind >= 4 ? ValueType::i32 : prologue.resultType;
  return epilogue(at + prologue.words, &reduced, prologueInputs);
}

bool Checker::gemm() {
  if (!atLeast(2, 1)) return false;
  const View &a = input(0), &b = input(1), &c = output(0);
  const int rank = c.rank;
  if (!isFloat(a, 0) || !isFloat(b, 1) || !require(rank >= 2, Check::operandRank, instruction.inputCount) || !this->rank(a, rank, 0) ||
      !this->rank(b, rank, 1))
    return false;
  for (int d = 0; d < rank - 2; ++d)
    if (!require(a.shape[d] == c.shape[d], Check::operandShape, 0) || !require(b.shape[d] == c.shape[d], Check::operandShape, 1))
      return false;
  if (!require(a.shape[rank - 2] == c.shape[rank - 2], Check::operandShape, 0) ||
      !require(b.shape[rank - 1] == c.shape[rank - 1], Check::operandShape, 1) ||
      !require(a.shape[rank - 1] == b.shape[rank - 2], Check::operandShape, 1) || !shapesFrom(2, c))
    return false;
  constexpr ValueType product = ValueType::f32;
  return epilogue(0, &product, 2);
}

/// sh, sw, ph, pw, dh, dw, groups are the attributes 0…6.
bool Checker::convShapes(const View& x, const View& w, const View& y) {
  if (!atLeastOne(0, 2) || !notNegative(2, 4) || !atLeastOne(4, 7) || !rank(x, 4, 0) || !rank(w, 4, 1) || !rank(y, 4, 2)) return false;
  const int64_t groups = attribute(6);
  if (!require(x.shape[0] == y.shape[0] && w.shape[0] == y.shape[1] && w.shape[1] * groups == x.shape[1] && w.shape[0] % groups == 0,
               Check::operandShape))
    return false;
  for (int d = 0; d < 2; ++d) {
    const int64_t kernel = w.shape[2 + d];
    if (!require(kernel >= 1, Check::operandShape, 1)) return false;
    const int64_t room = x.shape[2 + d] + 2 * int64_t{attribute(2 + d)} - attribute(4 + d) * (kernel - 1) - 1;
    if (!require(room >= 0 && y.shape[2 + d] == room / attribute(d) + 1, Check::operandShape, 2)) return false;
  }
  return true;
}

bool Checker::conv(bool inputGrad) {
  if (!atLeast(2, 1) || !require(instruction.attributeCount >= 7, Check::attributeCount) || !isFloat(input(0), 0) || !isFloat(input(1), 1))
    return false;
  const bool fits = inputGrad ? convShapes(output(0), input(1), input(0)) : convShapes(input(0), input(1), output(0));
  constexpr ValueType product = ValueType::f32;
  return fits && shapesFrom(2, output(0)) && epilogue(7, &product, 2);
}

bool Checker::convWeightGrad() {
  return counts(2, 1) && attributes(7) && isFloat(input(0), 0) && isFloat(input(1), 1) && isFloat(output(0), 2) &&
         convShapes(input(0), output(0), input(1));
}

/// Pooling windows along one dimension. Rounding up is allowed as long as every window starts inside the padded input; with padding smaller
/// than the kernel, every window then touches the padded input.
bool Checker::window(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, int64_t which) {
  const int64_t reach = dilation * (kernel - 1) + 1, room = in + 2 * padding - reach;
  if (!require(padding < reach, Check::attribute, which) || !require(room >= 0, Check::operandShape, which)) return false;
  const int64_t down = room / stride + 1, up = (room + stride - 1) / stride + 1;
  return require(out == down || (out == up && (out - 1) * stride < in + padding), Check::operandShape, which);
}

bool Checker::maxPool() {
  if (!counts(1, 2) || !attributes(8) || !atLeastOne(0, 4) || !notNegative(4, 6) || !atLeastOne(6, 8)) return false;
  const View &x = input(0), &y = output(0), &index = output(1);
  if (!isFloat(x, 0) || !isFloat(y, 1) || !require(index.dtype == DType::int32, Check::operandType, 2) || !rank(x, 4, 0) ||
      !rank(y, 4, 1) || !shape(index, y, 2) || !require(x.shape[0] == y.shape[0] && x.shape[1] == y.shape[1], Check::operandShape, 1))
    return false;
  for (int d = 0; d < 2; ++d)
    if (!window(x.shape[2 + d], y.shape[2 + d], attribute(d), attribute(2 + d), attribute(4 + d), attribute(6 + d), 1)) return false;
  return true;
}

bool Checker::avgPool(const View& x, const View& y) {
  if (!isFloat(x, 0) || !isFloat(y, 1) || !atLeastOne(0, 4) || !notNegative(4, 6) || !inRange(6, 0, 1) || !rank(x, 4, 0) ||
      !rank(y, 4, 1) || !require(x.shape[0] == y.shape[0] && x.shape[1] == y.shape[1], Check::operandShape, 1))
    return false;
  for (int d = 0; d < 2; ++d)
    if (!window(x.shape[2 + d], y.shape[2 + d], attribute(d), attribute(2 + d), attribute(4 + d), 1, 1)) return false;
  return true;
}

bool Checker::softmax() {
  return counts(1, 1) && attributes(1) && inRange(0, 0, 1) && isFloat(input(0), 0) && isFloat(output(0), 1) &&
         require(input(0).rank >= 1, Check::operandRank) && shape(output(0), input(0), 1);
}

bool Checker::crossEntropy(bool gradient) {
  if (!counts(gradient ? 3 : 2, 1) || !attributes(1)) return false;
  const View &logits = input(0), &targets = input(1), &rows = gradient ? input(2) : output(0);
  if (!isFloat(logits, 0) || !isIndex(targets, 1) || !isFloat(rows, 2) || !rank(logits, 2, 0) || !rank(targets, 1, 1) ||
      !rank(rows, 1, 2) || !require(targets.shape[0] == logits.shape[0], Check::operandShape, 1) ||
      !require(rows.shape[0] == logits.shape[0], Check::operandShape, 2))
    return false;
  return !gradient || (isFloat(output(0), 3) && shape(output(0), logits, 3));
}

/// gather: large is x, moved is y. scatterAdd: large is y, moved is src.
bool Checker::gather(const View& large, const View& moved, bool scatter) {
  if (!counts(2, 1) || !attributes(scatter ? 2 : 1) || !isIndex(input(1), 1) ||
      !require(input(0).dtype == output(0).dtype, Check::operandType, 2))
    return false;
  const bool adds = scatter && attribute(1) == 0;
  if (scatter && !inRange(1, 0, 1)) return false;
  if (adds && !require(large.dtype == DType::float32 || large.dtype == DType::int32, Check::operandType, 2)) return false;
  if (!require(large.rank >= 1, Check::operandRank) || !rank(moved, large.rank, 0) || !shape(input(1), moved, 1) ||
      !inRange(0, 0, large.rank - 1))
    return false;
  for (int d = 0; d < large.rank; ++d)
    if (d != attribute(0) && !require(large.shape[d] == moved.shape[d], Check::operandShape, 0)) return false;
  return true;
}

bool Checker::random() {
  if (!counts(1, 1) || !attributes(4) || !inRange(0, 0, 3)) return false;
  const int32_t kind = attribute(0);
  const View &state = input(0), &y = output(0);
  if (!require(state.dtype == DType::int32, Check::operandType, 0) || !rank(state, 1, 0) ||
      !require(state.shape[0] == 4, Check::operandShape, 0) ||
      !require(kind == 3 ? y.dtype == DType::int32 : y.dtype == DType::float32 || (kind == 2 && y.dtype == DType::boolean), Check::operandType,
               1))
    return false;
  return contiguous(y, 1);
}

bool Checker::contiguous(const View& view, int64_t which) {
  int64_t stride = 1;
  for (int d = view.rank - 1; d >= 0; --d) {
    if (view.shape[d] > 1 && !require(view.stride[d] == stride, Check::contiguous, which)) return false;
    stride *= view.shape[d];
  }
  return true;
}

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
    if (!fits || !require(out.shape[last] <= 1 || out.stride[last] == 1, Check::contiguous, which)) return false;
  }
  return true;
}

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
  if (!require(weights <= (gradient ? 1 : 2), Check::operandCount) ||
      !counts(instruction.inputCount, gradient ? 1 + 2 * weights : 3))
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

bool Checker::run() {
  switch (instruction.opcode) {
    case Opcode::map:
      return map();
    case Opcode::reduce:
      return reduce();
    case Opcode::gemm:
      return gemm();
    case Opcode::conv2d:
      return conv(false);
    case Opcode::conv2dInputGrad:
      return conv(true);
    case Opcode::conv2dWeightGrad:
      return convWeightGrad();
    case Opcode::maxPool2d:
      return maxPool();
    case Opcode::avgPool2d:
      return counts(1, 1) && attributes(7) && avgPool(input(0), output(0));
    case Opcode::avgPool2dGrad:
      return counts(1, 1) && attributes(7) && avgPool(output(0), input(0));
    case Opcode::softmax:
      return softmax();
    case Opcode::crossEntropy:
      return crossEntropy(false);
    case Opcode::crossEntropyGrad:
      return crossEntropy(true);
    case Opcode::gather:
      return counts(2, 1) && gather(input(0), output(0), false);
    case Opcode::scatterAdd:
      return counts(2, 1) && gather(output(0), input(0), true);
    case Opcode::random:
      return random();
    case Opcode::moments:
      return groups(false);
    case Opcode::normSums:
      return groups(true);
    case Opcode::normRows:
      return normRows(false);
    case Opcode::normRowsGrad:
      return normRows(true);
    case Opcode::recurrent:
      return recurrent(false);
    case Opcode::recurrentGrad:
      return recurrent(true);
    case Opcode::attention:
      return attention(false);
    case Opcode::attentionGrad:
      return attention(true);
    case Opcode::scan:
      return scan();
    case Opcode::sort:
      return sort();
    case Opcode::linalg:
      return linalg();
    case Opcode::fft:
      return fft();
    case Opcode::collective:
      status = {StatusCode::unsupported, 0, {static_cast<int64_t>(instruction.opcode), 0}};
      return false;
  }
  return fail(Check::opcode, static_cast<int64_t>(instruction.opcode));
}

}  // namespace

bool canFail(Opcode opcode) {
  return opcode == Opcode::gather || opcode == Opcode::scatterAdd || opcode == Opcode::crossEntropy || opcode == Opcode::crossEntropyGrad ||
         opcode == Opcode::linalg;
}

Status checkInstruction(const Instruction& instruction) {
  Checker checker{instruction};
  checker.run();
  return checker.status;
}

}  // namespace chainrule
