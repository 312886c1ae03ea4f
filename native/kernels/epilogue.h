// What gemm, conv and reduce use of the map family: a micro-program applied to a finished tile that is still in cache.
// Implemented by map.cc; plain data, prepared once at load.
#pragma once
#include "families.h"

namespace chainrule::CHAINRULE_ISA {

/// A prepared micro-program: register allocation and operand kinds resolved. Opaque outside map.cc; malloc'd, freed with free().
struct MicroPlan;

/// Prepares the micro-program at `words` (format: docs/program-format.md). Value 0..valueCount-1 are the operands with the given
/// dtypes. Returns nullptr when out of memory.
MicroPlan* prepareMicro(const int32_t* words, const DType* operandTypes, int32_t operandCount, const DType* resultTypes,
                        int32_t resultCount);
/// Bytes of the plan, so that a family can embed it in its own plan block (plans hold no pointers into themselves: offsets only).
size_t microPlanBytes(const MicroPlan* plan);
/// True for the epilogue that only hands on value 0 as its single result.
bool microIsIdentity(const MicroPlan* plan);

/// One row of elements: operand i is at `operands[i]`, advancing `operandStride[i]` elements (0 = one value for the row); result j likewise.
/// A result may be the same memory as an operand with the same stride. `scratch` is at least kMicroScratchBytes, aligned to 64.
void runMicroRow(const MicroPlan* plan, const void* const* operands, const int64_t* operandStride, void* const* results,
                 const int64_t* resultStride, int64_t count, std::byte* scratch);

constexpr size_t kMicroScratchBytes = size_t{64} << 10;

}  // namespace chainrule::CHAINRULE_ISA
