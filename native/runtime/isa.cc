// The instruction sets compiled in (see isa.h). CMake defines CHAINRULE_HAVE_* for those it builds.
#include "isa.h"

#include <cstdlib>
#include <cstring>

#include "cpu.h"

namespace chainrule {
#if defined(CHAINRULE_HAVE_AVX512_TWIN)
namespace avx512_twin {
const KernelTable& kernels();
}  // namespace avx512_twin
#endif
namespace {

struct Isas {
  const KernelTable* tables[kMaxIsas];
  const Peak* peaks[kMaxIsas];
  int count = 0;
  void add(const KernelTable& table, const Peak& peak) {
    tables[count] = &table;
    peaks[count++] = &peak;
  }
  Isas() {
#if defined(CHAINRULE_HAVE_AVX512)
    // Before AVX2 only where it was measured to be better: docs/architecture.md.
    if (cpuPrefersAvx512()) add(avx512::kernels(), avx512::peak);
#endif
#if defined(CHAINRULE_HAVE_AVX2)
    if (cpuHasAvx2()) add(avx2::kernels(), avx2::peak);
#endif
#if defined(CHAINRULE_HAVE_AVX512)
    if (cpuHasAvx512() && !cpuPrefersAvx512()) add(avx512::kernels(), avx512::peak);
#endif
#if defined(CHAINRULE_HAVE_AVX512_TWIN)
    add(avx512_twin::kernels(), avx512_twin::peak);
#endif
#if defined(CHAINRULE_HAVE_NEON)
    add(neon::kernels(), neon::peak);
#endif
#if defined(CHAINRULE_HAVE_SSE2)
    add(sse2::kernels(), sse2::peak);
#endif
#if defined(CHAINRULE_HAVE_SCALAR)
    add(scalar::kernels(), scalar::peak);
#endif
  }
};

// Once: kernels() fills its table at the call, which two threads must not do together.
const Isas& isas() {
  static const Isas found;
  return found;
}

}  // namespace

int availableIsas(const KernelTable** tables) {
  const Isas& found = isas();
  for (int i = 0; i < found.count; ++i) tables[i] = found.tables[i];
  return found.count;
}

const KernelTable* findIsa(const char* name) {
  const Isas& found = isas();
  for (int i = 0; i < found.count; ++i)
    if (!strcmp(found.tables[i]->name, name)) return found.tables[i];
  return nullptr;
}

const KernelTable* defaultIsa() {
  const char* name = getenv("CHAINRULE_ISA");
  return name && *name ? findIsa(name) : isas().tables[0];
}

const Peak& peakOf(const KernelTable& table) {
  const Isas& found = isas();
  for (int i = 0; i < found.count; ++i)
    if (found.tables[i] == &table) return *found.peaks[i];
  return *found.peaks[0];
}

}  // namespace chainrule
