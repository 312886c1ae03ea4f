// Tangent, hyperbolic functions and the inverses of both on vectors of floats, after Cephes (single precision) and identities of exp, log
// and their like in math.h. In: any float; out: as C's math.h at infinities, NaN, denormals and signed zeros. Each comment states the largest
// error found over dense samples of all floats, with and without fma (native/test/math_test.cc checks it).
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

// Division with remainder has no vector instruction: lane by lane.
template <class Operation>
CHAINRULE_INLINE F eachLane(F a, F b, Operation operation) {
  float x[kWidth], y[kWidth];
  store(x, a);
  store(y, b);
  for (int i = 0; i < kWidth; i++) x[i] = operation(x[i], y[i]);
  return load(x);
}
template <class Operation>
CHAINRULE_INLINE I eachLane(I a, I b, Operation operation) {
  int32_t x[kWidth], y[kWidth];
  store(x, a);
  store(y, b);
  for (int i = 0; i < kWidth; i++) x[i] = operation(x[i], y[i]);
  return load(x);
}

/// With the sign of the dividend; integers over 0 give 0.
inline float truncRemainder(float a, float b) { return __builtin_fmodf(a, b); }
inline int32_t truncRemainder(int32_t a, int32_t b) { return b == 0 || b == -1 ? 0 : a % b; }

/// With the sign of the divisor.
template <class T>
inline T floorRemainder(T a, T b) {
  const T r = truncRemainder(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/// Rounded down by way of the exact remainder.
inline float floorQuotient(float a, float b) {
  if (b == 0) return a / b;
  const float r = truncRemainder(a, b);
  float quotient = (a - r) / b;
  if (r != 0 && (r < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return __builtin_copysignf(0, a / b);
  const float whole = __builtin_floorf(quotient);
  return quotient - whole > 0.5f ? whole + 1 : whole;
}
inline int32_t floorQuotient(int32_t a, int32_t b) {
  if (b == 0) return 0;
  if (b == -1) return static_cast<int32_t>(0u - static_cast<uint32_t>(a));
  const int32_t q = a / b;
  return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
}

CHAINRULE_INLINE auto fmod(auto a, auto b) {
  return eachLane(a, b, [](auto x, auto y) { return truncRemainder(x, y); });
}
CHAINRULE_INLINE auto remainder(auto a, auto b) {
  return eachLane(a, b, [](auto x, auto y) { return floorRemainder(x, y); });
}
CHAINRULE_INLINE auto floorDivide(auto a, auto b) {
  return eachLane(a, b, [](auto x, auto y) { return floorQuotient(x, y); });
}

}  // namespace chainrule::CHAINRULE_ISA
