// What this machine offers. In: CPUID, the scheduler's affinity mask, cgroup quotas, CHAINRULE_THREADS. Out: instruction-set
// features and how many threads to use.
#pragma once

namespace chainrule {

/// AVX2 and FMA, in the processor and enabled by the operating system.
bool cpuHasAvx2();

/// AVX-512 F, DQ, BW and VL, likewise.
bool cpuHasAvx512();

/// A processor with the cores on which AVX-512 was measured to be worth more than AVX2.
bool cpuPrefersAvx512();

struct ThreadCount {
  int threads;
  const char* source;  ///< "environment", "cores" or "cgroup": what set the number
};

/// CHAINRULE_THREADS, else the lesser of physical cores in the affinity mask and cgroup quota.
ThreadCount defaultThreadCount();

/// Logical processors this process may run on, found once.
int usableCores();

}  // namespace chainrule
