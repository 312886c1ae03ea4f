// The instruction sets compiled in. In: a name. Out: the table of kernels, if this machine can run it.
#pragma once
#include "../kernels/kernels.h"
#include "../kernels/peak.h"

namespace chainrule {

/// Tables this machine can run, the one to use first. Returns how many there are; at most kMaxIsas.
constexpr int kMaxIsas = 8;
int availableIsas(const KernelTable** tables);

/// nullptr when the name is unknown or the machine lacks the instruction set.
const KernelTable* findIsa(const char* name);

/// CHAINRULE_ISA if set (nullptr when it cannot be had), else the first.
const KernelTable* defaultIsa();

/// What to hold a table's kernels against.
const Peak& peakOf(const KernelTable& table);

}  // namespace chainrule
