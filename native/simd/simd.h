// The vector types of the instruction set being compiled: F (floats), I (int32), M (lane masks), kWidth lanes each,
// in namespace chainrule::CHAINRULE_ISA. In: -DCHAINRULE_ISA=scalar|sse2|avx2|avx512|neon and the compiler flags of that set. Each
// header below provides the same functions; an instruction set more is one header more and one line here.
//
// Build kernels with -ffp-contract=off: a mul and an add that the program states separately are rounded separately,
// so that a fused program equals an unfused one bit for bit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifndef CHAINRULE_ISA
#error "kernel files are compiled with -DCHAINRULE_ISA=scalar|sse2|avx2|avx512|neon"
#endif

#define CHAINRULE_INLINE [[gnu::always_inline]] inline

#define CHAINRULE_SET_scalar 1
#define CHAINRULE_SET_sse2 2
#define CHAINRULE_SET_avx2 3
#define CHAINRULE_SET_avx512 4
#define CHAINRULE_SET_neon 5
#define CHAINRULE_PASTE_(a, b) a##b
#define CHAINRULE_PASTE(a, b) CHAINRULE_PASTE_(a, b)
#define CHAINRULE_SET CHAINRULE_PASTE(CHAINRULE_SET_, CHAINRULE_ISA)

#if CHAINRULE_SET == CHAINRULE_SET_scalar
#include "scalar.h"
#elif CHAINRULE_SET == CHAINRULE_SET_sse2
#include "sse2.h"
#elif CHAINRULE_SET == CHAINRULE_SET_avx2
#include "avx2.h"
#elif CHAINRULE_SET == CHAINRULE_SET_avx512
#include "avx512.h"
#elif CHAINRULE_SET == CHAINRULE_SET_neon
#include "neon.h"
#else
#error "CHAINRULE_ISA names no instruction set that simd.h knows"
#endif

namespace chainrule::CHAINRULE_ISA {

// What follows from the functions of the set.

CHAINRULE_INLINE M gt(F a, F b) { return lt(b, a); }
CHAINRULE_INLINE M ge(F a, F b) { return le(b, a); }
CHAINRULE_INLINE M gt(I a, I b) { return lt(b, a); }
CHAINRULE_INLINE M le(I a, I b) { return !lt(b, a); }
CHAINRULE_INLINE M ge(I a, I b) { return !lt(a, b); }
CHAINRULE_INLINE M ne(I a, I b) { return !eq(a, b); }
CHAINRULE_INLINE M isNaN(F a) { return ne(a, a); }
CHAINRULE_INLINE F operator-(F a) { return a ^ set1(-0.0f); }
CHAINRULE_INLINE F abs(F a) { return andNot(set1(-0.0f), a); }
/// Magnitude of `a`, sign bit of `sign`.
CHAINRULE_INLINE F copySign(F a, F sign) { return andNot(set1(-0.0f), a) | (sign & set1(-0.0f)); }
CHAINRULE_INLINE I min(I a, I b) { return select(lt(a, b), a, b); }
CHAINRULE_INLINE I max(I a, I b) { return select(lt(a, b), b, a); }
/// Maximum and minimum that hand on NaN from either side (max and min return b then).
CHAINRULE_INLINE F maximum(F a, F b) { return select(isNaN(a), a, max(a, b)); }
CHAINRULE_INLINE F minimum(F a, F b) { return select(isNaN(a), a, min(a, b)); }
CHAINRULE_INLINE F& operator+=(F& a, F b) { return a = a + b; }
CHAINRULE_INLINE I& operator+=(I& a, I b) { return a = a + b; }

/// Element type ↔ vector type, for templates.
template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using Type = F;
};
template <>
struct VectorOf<int32_t> {
  using Type = I;
};
template <class T>
using Vector = typename VectorOf<T>::Type;

}  // namespace chainrule::CHAINRULE_ISA
