// Type and structure check of micro-programs (see micro.h).
#include "micro.h"

namespace chainrule {
namespace {

/// How an operation maps operand types to its result; T is f32 or i32, the same in all places.
enum class Signature : uint8_t {
  unknown,
  numberUnary,   // T → T
  floatUnary,    // f32 → f32
  numberBinary,  // T T → T
  floatBinary,   // f32 f32 → f32
  compare,       // T T → mask
  maskBinary,    // mask mask → mask
  maskUnary,     // mask → mask
  select,        // mask T T → T
  toFloat32,     // i32, mask → f32
  toInt32,       // f32, mask → i32
  toBool,        // f32, i32 → mask
  floatTernary,  // f32 f32 f32 → f32
};

constexpr Signature signatureOf(int32_t op) {
  switch (static_cast<MapOp>(op)) {
    case MapOp::neg:
    case MapOp::abs:
    case MapOp::sign:
    case MapOp::square:
    case MapOp::relu:
      return Signature::numberUnary;
    case MapOp::floor:
    case MapOp::ceil:
    case MapOp::round:
    case MapOp::trunc:
    case MapOp::sqrt:
    case MapOp::rsqrt:
    case MapOp::reciprocal:
    case MapOp::exp:
    case MapOp::expm1:
    case MapOp::log:
    case MapOp::log1p:
    case MapOp::sin:
    case MapOp::cos:
    case MapOp::tanh:
    case MapOp::sigmoid:
    case MapOp::erf:
    case MapOp::gelu:
    case MapOp::geluSlope:
    case MapOp::tan:
    case MapOp::asin:
    case MapOp::acos:
    case MapOp::atan:
    case MapOp::sinh:
    case MapOp::cosh:
    case MapOp::asinh:
    case MapOp::acosh:
    case MapOp::atanh:
      return Signature::floatUnary;
    case MapOp::add:
    case MapOp::sub:
    case MapOp::mul:
    case MapOp::maximum:
    case MapOp::minimum:
    case MapOp::fmod:
    case MapOp::remainder:
    case MapOp::floorDivide:
      return Signature::numberBinary;
    case MapOp::div:
    case MapOp::pow:
    case MapOp::atan2:
    case MapOp::hypot:
      return Signature::floatBinary;
    case MapOp::eq:
    case MapOp::ne:
    case MapOp::lt:
    case MapOp::le:
      return Signature::compare;
    case MapOp::logicalAnd:
    case MapOp::logicalOr:
      return Signature::maskBinary;
    case MapOp::logicalNot:
      return Signature::maskUnary;
    case MapOp::where:
      return Signature::select;
    case MapOp::toFloat32:
      return Signature::toFloat32;
    case MapOp::toInt32:
      return Signature::toInt32;
    case MapOp::toBool:
      return Signature::toBool;
    case MapOp::fma:
      return Signature::floatTernary;
  }
  return Signature::unknown;
}

constexpr int arityOf(Signature s) {
  switch (s) {
    case Signature::unknown:
      return 0;
    case Signature::numberBinary:
    case Signature::floatBinary:
    case Signature::compare:
    case Signature::maskBinary:
      return 2;
    case Signature::select:
    case Signature::floatTernary:
      return 3;
    default:
      return 1;
  }
}

constexpr bool everyOperationHasASignature() {
  for (int32_t op = 0; op < kMapOpLimit; ++op)
    if (signatureOf(op) == Signature::unknown) return false;
  return signatureOf(kMapOpLimit) == Signature::unknown;
}
static_assert(everyOperationHasASignature(), "an operation of opcodes.h is missing above");

/// The result's type, or false when the operands do not fit.
bool resultOf(Signature signature, ValueType a, ValueType b, ValueType c, ValueType& result) {
  constexpr ValueType f32 = ValueType::f32, i32 = ValueType::i32, mask = ValueType::mask;
  switch (signature) {
    case Signature::numberUnary:
      result = a;
      return a != mask;
    case Signature::floatUnary:
      result = f32;
      return a == f32;
    case Signature::numberBinary:
      result = a;
      return a != mask && a == b;
    case Signature::floatBinary:
      result = f32;
      return a == f32 && b == f32;
    case Signature::compare:
      result = mask;
      return a != mask && a == b;
    case Signature::maskBinary:
      result = mask;
      return a == mask && b == mask;
    case Signature::maskUnary:
      result = mask;
      return a == mask;
    case Signature::select:
      result = b;
      return a == mask && b != mask && b == c;
    case Signature::toFloat32:
      result = f32;
      return a != f32;
    case Signature::toInt32:
      result = i32;
      return a != i32;
    case Signature::toBool:
      result = mask;
      return a != mask;
    case Signature::floatTernary:
      result = f32;
      return a == f32 && b == f32 && c == f32;
    case Signature::unknown:
      break;
  }
  return false;
}

bool fits(ValueType value, DType view) {
  switch (value) {
    case ValueType::f32:
      return view == DType::float32;
    case ValueType::i32:
      return view == DType::int32 || view == DType::uint8;
    case ValueType::mask:
      return view == DType::boolean;
  }
  return false;
}

Micro failed(Check check, int64_t which = 0) { return {malformed(check, which)}; }

}  // namespace

ValueType valueTypeOf(DType dtype) {
  return dtype == DType::float32 ? ValueType::f32 : dtype == DType::boolean ? ValueType::mask : ValueType::i32;
}

Micro checkMicro(const int32_t* words, int64_t available, const ValueType* operands, int32_t operandCount, const View* results,
                 int32_t resultCount) {
  if (available < 3) return failed(Check::microSize);
  const int64_t constants = words[0], operations = words[1], given = words[2];
  if (constants < 0 || operations < 0 || given < 0) return failed(Check::microSize);
  Micro micro;
  micro.words = 3 + 2 * constants + 4 * operations + given;
  if (micro.words > available || given != resultCount) return failed(Check::microSize, micro.words);
  if (operandCount + constants + operations > kMaxMicroValues)
    return {{StatusCode::unsupported, 0, {operandCount + constants + operations, 0}}};

  ValueType types[kMaxMicroValues];
  int64_t count = 0;
  while (count < operandCount) {
    types[count] = operands[count];
    ++count;
  }
  const int32_t* at = words + 3;
  for (int64_t i = 0; i < constants; ++i, at += 2) {
    if (at[0] < 0 || at[0] > 2 || (at[0] == 2 && (at[1] < 0 || at[1] > 1))) return failed(Check::microConstant, i);
    types[count++] = static_cast<ValueType>(at[0]);
  }
  for (int64_t i = 0; i < operations; ++i, at += 4) {
    if (at[0] < 0 || at[0] >= kMapOpLimit) return failed(Check::microOperation, i);
    const Signature signature = signatureOf(at[0]);
    const int arity = arityOf(signature);
    for (int operand = 0; operand < 3; ++operand) {
      const int64_t value = at[1 + operand];
      if (operand < arity ? value < 0 || value >= count : value != 0) return failed(Check::microOperation, i);
    }
    const ValueType a = types[at[1]], b = arity > 1 ? types[at[2]] : a, c = arity > 2 ? types[at[3]] : a;
    ValueType result;
    if (!resultOf(signature, a, b, c, result)) return failed(Check::microType, i);
    types[count++] = result;
  }
  for (int64_t i = 0; i < given; ++i, ++at) {
    if (*at < 0 || *at >= count) return failed(Check::microResult, i);
    if (i == 0) micro.resultType = types[*at];
    if (results && !fits(types[*at], results[i].dtype)) return failed(Check::microResult, i);
  }
  return micro;
}

}  // namespace chainrule
