// One instruction under check, and the steps that its rules share. The rules of an opcode are in check.cc or in the file of its family.
#pragma once
#include "check.h"
#include "micro.h"

namespace chainrule {

constexpr int kMaxOperands = kMaxMicroValues;

inline bool sameShape(const View& a, const View& b) {
  if (a.rank != b.rank) return false;
  for (int d = 0; d < a.rank; ++d)
    if (a.shape[d] != b.shape[d]) return false;
  return true;
}

/// Each rule returns false after noting what failed, so that rules chain with &&.
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
  bool axisIn(int at, const View& view) { return require(view.rank >= 1, Check::operandRank) && inRange(at, 0, view.rank - 1); }
  bool contiguous(const View& view, int64_t which);

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
    ValueType types[kMaxOperands];
    if (head) types[0] = *head;
    for (int i = first; i < instruction.inputCount; ++i) types[given + i - first] = valueTypeOf(input(i).dtype);
    const Micro result = checkMicro(instruction.attributes + at, instruction.attributeCount - at, types, count, instruction.outputs,
                                    instruction.outputCount);
    return micro(result) && require(at + result.words == instruction.attributeCount, Check::attributeCount, at + result.words);
  }

  bool map() { return atLeast(0, 1) && shapesFrom(0, output(0)) && epilogue(0, nullptr, 0); }
  bool reduce();
  bool gemm();
  bool softmax();
  bool crossEntropy(bool gradient);
  bool gather(const View& large, const View& moved, bool scatter);
  bool random();

  // check_images.cc
  bool conv(bool inputGrad);
  bool convWeightGrad();
  bool convShapes(const View& x, const View& w, const View& y);
  bool maxPool();
  bool avgPool(const View& x, const View& y);
  bool window(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, int64_t which);

  // check_layers.cc
  bool recurrent(bool gradient);
  bool attention(bool gradient);
  bool groups(bool sums);
  bool normRows(bool gradient);

  // check_arrays.cc
  bool scan();
  bool sort();
  bool linalg();
  bool fft();
  bool ctc();

  bool run();
};

}  // namespace chainrule
