// Tangent, hyperbolic functions and the inverses of both on vectors of floats, after Cephes (single precision) and identities of exp, log
// and their like in math.h. In: any float; out: as C's math.h at infinities, NaN, denormals and signed zeros. Each comment states the
// largest error found over dense samples of all floats, with and without fma (native/test/math_test.cc checks it).
#pragma once
#include "math.h"

namespace chainrule::CHAINRULE_ISA {

constexpr float kPi = 3.14159265f, kHalfPi = 1.57079633f, kQuarterPi = 0.785398163f;
/// What is lost in kHalfPi.
constexpr float kHalfPiLow = -4.37113883e-8f;

/// Error <= 3.5 ulp at any magnitude.
CHAINRULE_INLINE F tan(F x) { return select(eq(x, zero()), x, sine<0>(x) / sine<1>(x)); }

/// For |x| <= tan(π/8): the arc tangent.
CHAINRULE_INLINE F atanReduced(F x) {
  const F z = x * x;
  return fma(polynomial(z, 8.05374449538e-2f, -1.38776856032e-1f, 1.99777106478e-1f, -3.33329491539e-1f) * z, x, x);
}

/// Error <= 2.5 ulp.
CHAINRULE_INLINE F atan(F x) {
  const F a = abs(x), one = set1(1.0f);
  const M far = gt(a, set1(2.41421356f)), middle = gt(a, set1(0.414213562f));
  const F t = select(far, set1(-1.0f) / a, select(middle, (a - one) / (a + one), a));
  const F high = select(far, set1(kHalfPi), keep(middle, set1(kQuarterPi)));
  const F low = select(far, set1(kHalfPiLow), keep(middle, set1(0.5f * kHalfPiLow)));
  return copySign(high + (low + atanReduced(t)), x);
}

/// The arc sine for 0 <= x <= 1/2; z is x².
CHAINRULE_INLINE F asinReduced(F x, F z) {
  return fma(polynomial(z, 4.2163199048e-2f, 2.4181311049e-2f, 4.5470025998e-2f, 7.4953002686e-2f, 1.6666752422e-1f) * z, x, x);
}

/// Error <= 2.5 ulp.
CHAINRULE_INLINE F asin(F x) {
  const F a = abs(x), half = set1(0.5f);
  const M large = gt(a, half);
  const F z = select(large, half * (set1(1.0f) - a), a * a);
  const F p = asinReduced(select(large, sqrt(z), a), z);
  return copySign(select(large, set1(kHalfPi) - (p + p - set1(kHalfPiLow)), p), x);
}

/// Error <= 1.5 ulp.
CHAINRULE_INLINE F acos(F x) {
  const F a = abs(x), half = set1(0.5f);
  const M large = gt(a, half);
  const F z = select(large, half * (set1(1.0f) - a), a * a);
  const F p = asinReduced(select(large, sqrt(z), a), z);
  const F outer = select(lt(x, zero()), set1(kPi) - (p + p - set1(2 * kHalfPiLow)), p + p);
  const F inner = set1(kHalfPi) - (copySign(p, x) - set1(kHalfPiLow));
  return select(large, outer, select(isNaN(x), x, inner));
}

/// Half of e^a for a >= 0, also where e^a overflows.
CHAINRULE_INLINE F halfExp(F a) {
  const F root = exp(min(a, set1(200.0f)) * set1(0.5f));  // the product is exact
  return select(gt(a, set1(88.0f)), (set1(0.5f) * root) * root, set1(0.5f) * exp(a));
}

/// Error <= 2.5 ulp.
CHAINRULE_INLINE F sinh(F x) {
  const F a = abs(x);
  const F e = expm1(min(a, set1(1.0f)));
  const F small = set1(0.5f) * (e + e / (e + set1(1.0f)));
  const F h = halfExp(a);
  const F large = h - set1(0.25f) / h;
  return select(isNaN(x) | eq(x, zero()), x, copySign(select(lt(a, set1(1.0f)), small, large), x));
}

/// Error <= 2.5 ulp.
CHAINRULE_INLINE F cosh(F x) {
  const F h = halfExp(abs(x));
  return select(isNaN(x), x, h + set1(0.25f) / h);
}

/// Error <= 2.0 ulp.
CHAINRULE_INLINE F asinh(F x) {
  const F a = abs(x), one = set1(1.0f), z = a * a;
  const F near = log1p(a + z / (one + sqrt(z + one)));
  const F far = log(a) + set1(0.693147181f);  // from 2^24 on
  const F r = select(gt(a, set1(16777216.0f)), far, near);
  return select(isNaN(x) | eq(x, zero()), x, copySign(r, x));
}

/// Error <= 2.5 ulp.
CHAINRULE_INLINE F acosh(F x) {
  const F t = x - set1(1.0f);
  const F near = log1p(t + sqrt(fma(t, t, t + t)));
  const F far = log(x) + set1(0.693147181f);
  const F r = select(gt(x, set1(16777216.0f)), far, near);
  return select(lt(x, set1(1.0f)), set1(__builtin_nanf("")), r);
}

/// Error <= 2.5 ulp.
CHAINRULE_INLINE F atanh(F x) {
  const F a = abs(x);
  const F r = set1(0.5f) * log1p((a + a) / (set1(1.0f) - a));
  return select(isNaN(x) | eq(x, zero()), x, copySign(r, x));
}

/// As C's atan2f; error <= 3.0 ulp.
CHAINRULE_INLINE F atan2(F y, F x) {
  const F a = abs(y), b = abs(x);
  const M steep = gt(a, b);
  const F low = select(steep, b, a), high = select(steep, a, b);
  F t = low / high;
  t = select(eq(high, zero()), zero(), t);
  t = select(eq(low, set1(kInfinity)), set1(1.0f), t);
  const F p = atan(t);
  F r = select(steep, set1(kHalfPi) - (p - set1(kHalfPiLow)), p);
  const M left = lt(asInt(x), set1(0));  // also for -0
  r = select(left, set1(kPi) - (r - set1(2 * kHalfPiLow)), r);
  return select(isNaN(x) | isNaN(y), x + y, copySign(r, y));
}

/// As C's hypotf: no square overflows or vanishes, since both numbers are scaled by a power of two first; error <= 1.5 ulp.
CHAINRULE_INLINE F hypot(F a, F b) {
  const F x = abs(a), y = abs(b), larger = max(x, y);
  const M large = gt(larger, set1(0x1p63f)), small = lt(larger, set1(0x1p-63f));
  const F scale = select(large, set1(0x1p-65f), select(small, set1(0x1p86f), set1(1.0f)));
  const F back = select(large, set1(0x1p65f), select(small, set1(0x1p-86f), set1(1.0f)));
  const F u = x * scale, v = y * scale, r = sqrt(fma(u, u, v * v)) * back;
  return select(eq(x, set1(kInfinity)) | eq(y, set1(kInfinity)), set1(kInfinity), r);
}

// Division with remainder has no vector instruction. Floats go through doubles, where quotients below 2^29 and their products are exact:
// without branches, so that compilers vectorize it. Lanes with larger quotients, zeros, infinities or NaN go to libm.

/// Quotients from here on are not exact.
constexpr double kLargeQuotient = 0x1p29;

[[gnu::cold, gnu::noinline]] inline void remainderOfHuge(const float* x, const float* y, float* r) {
  for (int i = 0; i < kWidth; i++) {
    const double q = static_cast<double>(x[i]) / static_cast<double>(y[i]);
    if (!(__builtin_fabs(q) < kLargeQuotient) || !(__builtin_fabsf(y[i]) < kInfinity)) r[i] = __builtin_fmodf(x[i], y[i]);
  }
}

/// As C's fmodf: with the sign of the dividend.
CHAINRULE_INLINE F fmod(F a, F b) {
  alignas(64) float x[kWidth], y[kWidth], r[kWidth];
  store(x, a);
  store(y, b);
  int32_t huge = 0;
  for (int i = 0; i < kWidth; i++) {
    const double p = x[i], d = y[i], q = p / d;
    const bool fine = __builtin_fabs(q) < kLargeQuotient && __builtin_fabs(d) < static_cast<double>(kInfinity);
    huge |= !fine;
    const auto whole = static_cast<double>(static_cast<int32_t>(fine ? q : 0.0));
    const double rest = p - whole * (fine ? d : 0.0);
    // a quotient that was rounded up to a whole number is one too far from zero
    const bool beyond = p < 0 ? rest > 0 : rest < 0;
    const double size = __builtin_fabs(d);
    r[i] = static_cast<float>(beyond ? rest + (p < 0 ? -size : size) : rest);
  }
  if (huge) [[unlikely]]
    remainderOfHuge(x, y, r);
  const F result = load(r);
  return select(eq(result, zero()), copySign(result, a), result);
}

/// With the sign of the divisor.
CHAINRULE_INLINE F remainder(F a, F b) {
  const F r = fmod(a, b);
  return select(ne(r, zero()) & asMask(asInt(lt(r, zero())) ^ asInt(lt(b, zero()))), r + b, r);
}

/// The quotient rounded down, by way of the exact remainder.
CHAINRULE_INLINE F floorDivide(F a, F b) {
  const F r = fmod(a, b), exact = a / b;
  const M lower = ne(r, zero()) & asMask(asInt(lt(r, zero())) ^ asInt(lt(b, zero())));
  const F q = (a - r) / b - keep(lower, set1(1.0f));
  const F whole = floor(q);
  const F near = select(gt(q - whole, set1(0.5f)), whole + set1(1.0f), whole);
  return select(eq(b, zero()), exact, select(eq(q, zero()), copySign(zero(), exact), near));
}

// Integers over 0 give 0.

template <class Operation>
CHAINRULE_INLINE I eachLane(I a, I b, Operation operation) {
  int32_t x[kWidth], y[kWidth];
  store(x, a);
  store(y, b);
  for (int i = 0; i < kWidth; i++) x[i] = operation(x[i], y[i]);
  return load(x);
}

CHAINRULE_INLINE I fmod(I a, I b) {
  return eachLane(a, b, [](int32_t x, int32_t y) { return y == 0 || y == -1 ? 0 : x % y; });
}
CHAINRULE_INLINE I remainder(I a, I b) {
  return eachLane(a, b, [](int32_t x, int32_t y) {
    const int32_t r = y == 0 || y == -1 ? 0 : x % y;
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
  });
}
CHAINRULE_INLINE I floorDivide(I a, I b) {
  return eachLane(a, b, [](int32_t x, int32_t y) {
    if (y == 0) return 0;
    if (y == -1) return static_cast<int32_t>(0u - static_cast<uint32_t>(x));
    const int32_t q = x / y;
    return q * y != x && (x < 0) != (y < 0) ? q - 1 : q;
  });
}

}  // namespace chainrule::CHAINRULE_ISA
