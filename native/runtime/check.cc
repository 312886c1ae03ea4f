// The rules of opcodes (see check.h and the table in docs/program-format.md): those of every day, and which rule is whose.
#include "checker.h"

namespace chainrule {

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
  ValueType types[kMaxOperands];
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
      !require(kind == 3 ? y.dtype == DType::int32 : y.dtype == DType::float32 || (kind == 2 && y.dtype == DType::boolean),
               Check::operandType, 1))
    return false;
  return contiguous(y, 1);
}

bool Checker::contiguous(const View& view, int64_t which) {
  if (elementCount(view) == 0) return true;
  int64_t stride = 1;
  for (int d = view.rank - 1; d >= 0; --d) {
    if (view.shape[d] > 1 && !require(view.stride[d] == stride, Check::contiguous, which)) return false;
    stride *= view.shape[d];
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
    case Opcode::ctc:
      return ctc();
    case Opcode::collective:
      status = {StatusCode::unsupported, 0, {static_cast<int64_t>(instruction.opcode), 0}};
      return false;
  }
  return fail(Check::opcode, static_cast<int64_t>(instruction.opcode));
}

bool canFail(Opcode opcode) {
  return opcode == Opcode::gather || opcode == Opcode::scatterAdd || opcode == Opcode::crossEntropy || opcode == Opcode::crossEntropyGrad ||
         opcode == Opcode::ctc || opcode == Opcode::linalg;
}

Status checkInstruction(const Instruction& instruction) {
  Checker checker{instruction};
  checker.run();
  return checker.status;
}

}  // namespace chainrule
