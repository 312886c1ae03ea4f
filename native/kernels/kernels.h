// The table of kernels of one instruction set. Every file in native/kernels/*.cc is compiled once per instruction set,
// into the namespace CHAINRULE_ISA (scalar, sse2, avx2, avx512, neon); kernels/table.cc gathers them. The runtime picks a table at start.
#pragma once
#include "instruction.h"

namespace chainrule {

struct KernelFamily {
  /// Makes `instruction.plan` (malloc'd plain data, or nullptr where none is needed) and sets `sharedScratch`. The instruction has
  /// passed runtime/check: ranks, shapes, dtypes and micro-programs are valid. Fails only with outOfMemory.
  Status (*prepare)(Instruction& instruction);
  /// Never fails but for indexOutOfRange and singular.
  Status (*run)(const Instruction& instruction, const Run& run);
  /// Runs `count` instructions of this family as one parallel region, or nullptr where the family has none.
  Status (*runRegion)(const Instruction* first, int32_t count, const Run& run);
};

struct KernelTable {
  const char* name;
  int vectorWidth;  ///< floats per vector
  KernelFamily families[kOpcodeLimit];
};

// One per instruction set compiled in; kernels/table.cc defines `kernels()` inside each namespace.
#define CHAINRULE_DECLARE_ISA(isa)   \
  namespace isa {                    \
  const KernelTable& kernels();      \
  }
CHAINRULE_DECLARE_ISA(scalar)
CHAINRULE_DECLARE_ISA(sse2)
CHAINRULE_DECLARE_ISA(avx2)
CHAINRULE_DECLARE_ISA(avx512)
CHAINRULE_DECLARE_ISA(neon)
#undef CHAINRULE_DECLARE_ISA

}  // namespace chainrule
