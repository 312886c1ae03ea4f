// Vectors of double precision for the instruction set being compiled: D with kDoubles lanes, and the compiler's operators on it. Beside
// simd.h, for the few families that compute in doubles.
#pragma once
#include "simd.h"

#if CHAINRULE_SET == CHAINRULE_SET_avx2 || CHAINRULE_SET == CHAINRULE_SET_avx512
#include <immintrin.h>
#elif CHAINRULE_SET == CHAINRULE_SET_neon
#include <arm_neon.h>
#endif

namespace chainrule::CHAINRULE_ISA {

constexpr int kDoubles = kWidth < 4 ? 2 : kWidth / 2;

typedef double D __attribute__((vector_size(kDoubles * sizeof(double))));

CHAINRULE_INLINE D loadDoubles(const double* p) {
  D a;
  __builtin_memcpy(&a, p, sizeof a);
  return a;
}
CHAINRULE_INLINE void storeDoubles(double* p, D a) { __builtin_memcpy(p, &a, sizeof a); }
CHAINRULE_INLINE D everyDouble(double a) { return a - D{}; }

/// a·b + c, rounded once where the set can.
CHAINRULE_INLINE D fma(D a, D b, D c) {
#if CHAINRULE_SET == CHAINRULE_SET_avx2
  return _mm256_fmadd_pd(a, b, c);
#elif CHAINRULE_SET == CHAINRULE_SET_avx512 && defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(CHAINRULE_TWIN)
  D r;
  for (int i = 0; i < kDoubles; i++) r[i] = __builtin_fma(a[i], b[i], c[i]);
  return r;
#elif CHAINRULE_SET == CHAINRULE_SET_neon
  return vfmaq_f64(c, a, b);
#else
  return a * b + c;
#endif
}

CHAINRULE_INLINE double sumOfDoubles(D a) {
  double total = a[0];
  for (int i = 1; i < kDoubles; i++) total += a[i];
  return total;
}

}  // namespace chainrule::CHAINRULE_ISA
