// The instruction sets compiled in (see isa.h). CMake defines CHAINRULE_HAVE_* for those it builds.
#include "isa.h"

#include <cstdlib>
#include <cstring>

#include "cpu.h"

namespace chainrule {
namespace {

struct Isas {
  const KernelTable* tables[kMaxIsas];
  int count = 0;
  Isas() {
#if defined(CHAINRULE_HAVE_AVX2)
    if (cpuHasAvx2()) tables[count++] = &avx2::kernels();
#endif
#if defined(CHAINRULE_HAVE_AVX512)
    // Behind AVX2, so never by itself: docs/architecture.md has the measurements.
    if (cpuHasAvx512()) tables[count++] = &avx512::kernels();
#endif
#if defined(CHAINRULE_HAVE_NEON)
    tables[count++] = &neon::kernels();
#endif
#if defined(CHAINRULE_HAVE_SSE2)
    tables[count++] = &sse2::kernels();
#endif
    tables[count++] = &scalar::kernels();
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

}  // namespace chainrule
