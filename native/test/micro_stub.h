// A micro-program interpreter as plain as can be, in place of map.cc, for tests of gemm and conv alone.
#pragma once
#include "../kernels/epilogue.h"

namespace chainrule::CHAINRULE_ISA {

struct MicroPlan {
  int32_t operands, results, words;
  DType types[64];
  int32_t program[256];
};

inline int32_t microWords(const int32_t* w) { return 3 + 2 * w[0] + 4 * w[1] + w[2]; }

MicroPlan* prepareMicro(const int32_t* words, const DType* operandTypes, int32_t operandCount, const DType* resultTypes, int32_t resultCount) {
  MicroPlan* p = static_cast<MicroPlan*>(std::malloc(sizeof(MicroPlan)));
  p->operands = operandCount, p->results = resultCount, p->words = microWords(words);
  for (int i = 0; i < operandCount; i++) p->types[i] = operandTypes[i];
  for (int i = 0; i < resultCount; i++) p->types[operandCount + i] = resultTypes[i];
  std::memcpy(p->program, words, static_cast<size_t>(p->words) * 4);
  return p;
}
size_t microPlanBytes(const MicroPlan*) { return sizeof(MicroPlan); }
bool microIsIdentity(const MicroPlan*) { return false; }

void runMicroRow(const MicroPlan* p, const void* const* operands, const int64_t* operandStride, void* const* results,
                 const int64_t* resultStride, int64_t count, std::byte*) {
  const int32_t constants = p->program[0], operations = p->program[1], *ops = p->program + 3 + 2 * constants, *out = ops + 4 * operations;
  for (int64_t i = 0; i < count; i++) {
    float v[128];
    for (int j = 0; j < p->operands; j++) {
      const int64_t at = i * operandStride[j];
      v[j] = p->types[j] == DType::float32 ? static_cast<const float*>(operands[j])[at]
             : p->types[j] == DType::int32 ? static_cast<float>(static_cast<const int32_t*>(operands[j])[at])
                                           : static_cast<float>(static_cast<const uint8_t*>(operands[j])[at]);
    }
    for (int j = 0; j < constants; j++) std::memcpy(&v[p->operands + j], &p->program[3 + 2 * j + 1], 4);
    for (int j = 0; j < operations; j++) {
      const float a = v[ops[4 * j + 1]], b = v[ops[4 * j + 2]];
      float& r = v[p->operands + constants + j];
      switch (static_cast<MapOp>(ops[4 * j])) {
        case MapOp::add: r = a + b; break;
        case MapOp::mul: r = a * b; break;
        case MapOp::relu: r = a < 0 ? 0 : a; break;
        case MapOp::lt: r = a < b ? 1 : 0; break;
        case MapOp::tanh: r = std::tanh(a); break;
        default: std::abort();
      }
    }
    for (int j = 0; j < p->results; j++) {
      const int64_t at = i * resultStride[j];
      if (p->types[p->operands + j] == DType::float32)
        static_cast<float*>(results[j])[at] = v[out[j]];
      else
        static_cast<uint8_t*>(results[j])[at] = static_cast<uint8_t>(v[out[j]]);
    }
  }
}

}  // namespace chainrule::CHAINRULE_ISA
