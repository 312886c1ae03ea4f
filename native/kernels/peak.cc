// What multiply-adds alone can do on this machine: the yardstick of `chainrule doctor` and of the benchmarks. In: a number of rounds. Out: nothing
// but the time it took. All operands stay in registers.
#include "peak.h"

#include "../simd/simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

/// Enough to hide the latency of a multiply-add, few enough for 16 registers.
constexpr int kChains = 12;

/// Keeps a value in a register, and the compiler from seeing through what happens to it.
CHAINRULE_INLINE void hold(F& a) {
#if defined(CHAINRULE_TWIN)
  __asm__ volatile("" : "+m"(a.v));
#elif defined(__x86_64__)
  __asm__ volatile("" : "+x"(a.v));
#elif defined(__aarch64__)
  __asm__ volatile("" : "+w"(a.v));
#else
  __asm__ volatile("" : "+m"(a.v));
#endif
}

void multiplyAdds(int64_t rounds) {
  F a0 = zero(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, a8 = a0, a9 = a0, a10 = a0, a11 = a0;
  F m = set1(0.999999f), c = set1(1e-7f);
  hold(m), hold(c);
  auto step = [&](F& a) {
    a = fma(a, m, c);
    hold(a);
  };
  for (int64_t i = 0; i < rounds; i++) {
    step(a0), step(a1), step(a2), step(a3), step(a4), step(a5);
    step(a6), step(a7), step(a8), step(a9), step(a10), step(a11);
  }
}

}  // namespace

const Peak peak = {multiplyAdds, 2.0 * kWidth * kChains};

}  // namespace chainrule::CHAINRULE_ISA
