// Checks micro-programs (docs/program-format.md). In: words, the types of the operands given, the views of the results.
// Out: the check that failed, or how many words the micro-program has.
#pragma once
#include "check.h"

namespace chainrule {

enum class ValueType : uint8_t { f32, i32, mask };

ValueType valueTypeOf(DType dtype);  ///< of a dtype the backend supports

/// Constants, operands and operations together; more are refused as unsupported.
constexpr int kMaxMicroValues = 4096;

struct Micro {
  Status status;
  int64_t words = 0;                      ///< length of the micro-program
  ValueType resultType = ValueType::f32;  ///< of the first result
};

/// `operands[0..operandCount)` are the types of values 0…; `results` may be null when the caller looks at resultType alone.
Micro checkMicro(const int32_t* words, int64_t available, const ValueType* operands, int32_t operandCount, const View* results,
                 int32_t resultCount);

}  // namespace chainrule
