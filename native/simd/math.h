// Elementary functions on vectors of floats. In: any float; out: as C's math.h at infinities, NaN, denormals and signed
// zeros. Each comment states the largest error found over dense samples of all floats, with and without fma
// (native/test/kernels_test.cc checks it).
#pragma once
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {

constexpr float kInfinity = __builtin_inff();

/// Horner's scheme: c[0]·x^n + … + c[n].
template <class... C>
CHAINRULE_INLINE F polynomial(F x, float first, C... rest) {
  F r = set1(first);
  ((r = fma(r, x, set1(static_cast<float>(rest)))), ...);
  return r;
}

/// 2^n for -126 <= n <= 127.
CHAINRULE_INLINE F powerOfTwo(I n) { return asFloat(shiftLeft<23>(n + set1(127))); }

/// Error <= 1.0 ulp.
CHAINRULE_INLINE F exp(F x) {
  x = max(set1(-104.0f), min(set1(89.0f), x));  // NaN stays: min and max return their second operand then
  const F n = round(x * set1(1.44269504f));
  F r = nfma(n, set1(0.693359375f), x);  // exact: the constant has nine bits
  r = nfma(n, set1(-2.12194440e-4f), r);
  // By pairs of terms, which shortens the chain of dependent operations.
  const F z = r * r;
  const F high = polynomial(r, 1.9875691500e-4f, 1.3981999507e-3f), middle = polynomial(r, 8.3334519073e-3f, 4.1665795894e-2f);
  const F p = fma(fma(high, z, middle), z, polynomial(r, 1.6666665459e-1f, 5.0000001201e-1f));
  const F e = fma(p, z, r) + set1(1.0f);
  // In two steps, so that results below 2^-126 and from 2^127 on come out right.
  const I k = roundToInt(n);
  const I half = shiftRight<1>(k);
  return e * powerOfTwo(half) * powerOfTwo(k - half);
}

/// Error <= 1.5 ulp.
CHAINRULE_INLINE F expm1(F x) {
  const F clamped = max(set1(-30.0f), min(set1(89.0f), x));
  const F n = round(clamped * set1(1.44269504f));
  const F high = nfma(n, set1(0.693359375f), clamped);
  const F low = n * set1(-2.12194440e-4f);
  const F r = high - low;
  const F lost = (high - r) - low;
  const F p = polynomial(r, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f);
  const F e = r + fma(p, r * r, lost);  // expm1(r)
  // 2^n·e + (2^n − 1), with half of 2^n because n = 128 occurs.
  const F s = powerOfTwo(roundToInt(n) - set1(1));
  const F y = fma(s, e, s - set1(0.5f)) * set1(2.0f);
  return select(eq(x, zero()), x, y);
}

/// The logarithm of (1 + f)·2^e for sqrt(1/2) <= 1 + f <= sqrt(2).
CHAINRULE_INLINE F logReduced(F f, F e) {
  const F z = f * f;
  F p = polynomial(f, 7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                   2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f);
  p = p * (f * z);
  p = fma(e, set1(-2.12194440e-4f), p);
  p = nfma(set1(0.5f), z, p);
  return fma(e, set1(0.693359375f), f + p);
}

/// The exponent that leaves x·2^-e in [0.70, 1.41), for x normal and positive.
CHAINRULE_INLINE I exponentOf(F x) { return shiftRight<23>(asInt(x) - set1(0x3f3504f3)); }

/// What is left of log at zero, below zero, at infinity and NaN.
CHAINRULE_INLINE F logEdges(F x, F y) {
  y = select(lt(x, set1(kInfinity)), y, x);  // also NaN
  y = select(eq(x, zero()), set1(-kInfinity), y);
  return select(lt(x, zero()), set1(__builtin_nanf("")), y);
}

/// Error <= 0.8 ulp.
CHAINRULE_INLINE F log(F x) {
  const M tiny = lt(x, set1(1.17549435e-38f));
  const F scaled = select(tiny, x * set1(8388608.0f), x);
  const I k = exponentOf(scaled);
  const F m = asFloat(asInt(scaled) - shiftLeft<23>(k));
  const F e = toFloat(k) - keep(tiny, set1(23.0f));
  return logEdges(x, logReduced(m - set1(1.0f), e));
}

/// Error <= 1.4 ulp.
CHAINRULE_INLINE F log1p(F x) {
  const F u = x + set1(1.0f);
  const F b = u - x;
  const F lost = (x - (u - b)) + (set1(1.0f) - b);  // u + lost is exactly 1 + x
  const I k = exponentOf(u);
  const F m = asFloat(asInt(u) - shiftLeft<23>(k));
  const F f = (m - set1(1.0f)) + lost * asFloat(set1(0x3f800000) - shiftLeft<23>(max(k, set1(-126))));
  // From 2^100 on the one does not matter, and 2^-k would be denormal.
  const F y = logReduced(select(lt(x, set1(1e30f)), f, m - set1(1.0f)), toFloat(k));
  return select(eq(x, zero()), x, logEdges(u, y));
}

/// Error <= 1.4 ulp.
CHAINRULE_INLINE F tanh(F x) {
  const F a = abs(x);
  const F z = x * x;
  const F small = fma(polynomial(z, -5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f) * z, x, x);
  const F large = set1(1.0f) - set1(2.0f) / (exp(a + a) + set1(1.0f));
  return copySign(select(lt(a, set1(0.625f)), small, large), x);
}

/// Error <= 2.3 ulp; also where the result is denormal.
CHAINRULE_INLINE F sigmoid(F x) {
  const F e = exp(-abs(x));  // <= 1, so that nothing overflows
  return select(lt(x, zero()), e, set1(1.0f)) / (set1(1.0f) + e);
}

/// Error <= 1.2 ulp.
CHAINRULE_INLINE F erf(F x) {
  const F z = x * x;
  const F small = fma(polynomial(z, -5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f, 1.12819925e-1f, -3.76125336e-1f, 1.28379166e-1f), x, x);
  const F t = min(set1(4.0f), abs(x));  // erf rounds to 1 from 3.92 on
  F r = polynomial(t, -1.72853470e-5f, 3.83197126e-4f, -3.88396438e-3f, 2.42546219e-2f, -1.06777877e-1f, -6.34846687e-1f, -1.28717512e-1f);
  r = set1(1.0f) - exp(fms(r, t, t));
  return select(gt(abs(x), set1(0.927734375f)), copySign(r, x), small);
}

/// 1/sqrt(x) in full precision; error <= 1.5 ulp.
CHAINRULE_INLINE F rsqrt(F x) { return set1(1.0f) / sqrt(x); }

// Lanes whose argument is too large for the fast reduction go to libm.
[[gnu::cold, gnu::noinline]] inline void sineOfHuge(const float* x, float* y, float limit, bool cosine) {
  for (int i = 0; i < kWidth; i++) {
    const double d = x[i];
    if (__builtin_fabs(d) > static_cast<double>(limit)) y[i] = static_cast<float>(cosine ? __builtin_cos(d) : __builtin_sin(d));
  }
}

constexpr float kSineLimit = kHasFma ? 71476.0f : 134217728.0f;

/// x = q·π/2 + r with |r| <= π/4.
CHAINRULE_INLINE F reducePiHalf(F x, I& q) {
  if constexpr (kHasFma) {
    const F n = round(x * set1(0.636619747f));
    F r = nfma(n, set1(1.57079637e+0f), x);
    r = nfma(n, set1(-4.37113883e-8f), r);
    r = nfma(n, set1(-1.71512451e-15f), r);
    q = roundToInt(n);
    return r;
  } else {
    // Without fma the float steps would lose the digits that cancel; doubles have them.
    float lane[kWidth];
    int32_t quadrant[kWidth];
    store(lane, x);
    for (int i = 0; i < kWidth; i++) {
      const double d = lane[i];
      const double n = (d * 0.63661977236758134308 + 6755399441055744.0) - 6755399441055744.0;
      lane[i] = static_cast<float>((d - n * 1.57079631090164184570) - n * 1.58932547735281966916e-08);
      quadrant[i] = __builtin_fabs(n) < 1e9 ? static_cast<int32_t>(n) : 0;
    }
    q = load(quadrant);
    return load(lane);
  }
}

CHAINRULE_INLINE F sineReduced(F r) {
  const F z = r * r;
  return fma(polynomial(z, 2.86567956e-6f, -1.98559923e-4f, 8.33338592e-3f, -1.66666672e-1f) * z, r, r);
}
CHAINRULE_INLINE F cosineReduced(F r) {
  const F z = r * r;
  return polynomial(z, 2.44677067e-5f, -1.38877297e-3f, 4.16666567e-2f, -0.5f, 1.0f);
}

/// Sine (turn 0) and cosine (turn 1).
template <int turn>
CHAINRULE_INLINE F sine(F x) {
  I q;
  const F r = reducePiHalf(x, q);
  if (turn) q = q + set1(1);
  const F y = select(eq(q & set1(1), set1(0)), sineReduced(r), cosineReduced(r)) ^ asFloat(shiftLeft<30>(q & set1(2)));
  const F a = abs(x);
  if (any(gt(a, set1(kSineLimit)) & lt(a, set1(kInfinity)))) [[unlikely]] {
    float in[kWidth], out[kWidth];
    store(in, x);
    store(out, y);
    sineOfHuge(in, out, kSineLimit, turn != 0);
    return load(out);
  }
  return y;
}

/// Error <= 1.5 ulp at any magnitude.
CHAINRULE_INLINE F sin(F x) { return select(eq(x, zero()), x, sine<0>(x)); }
/// Error <= 1.5 ulp at any magnitude.
CHAINRULE_INLINE F cos(F x) { return sine<1>(x); }

/// |x|^y for x not 1 and y not 0, in doubles, lane by lane without branches: compilers vectorize it.
CHAINRULE_INLINE F powMagnitude(F x, F y) {
  alignas(64) float base[kWidth], power[kWidth], logarithm[kWidth];
  alignas(64) int32_t exponent[kWidth];
  const F a = abs(x);
  const M tiny = lt(a, set1(1.17549435e-38f));
  const F scaled = select(tiny, a * set1(8388608.0f), a);
  const I k = exponentOf(scaled);
  store(base, asFloat(asInt(scaled) - shiftLeft<23>(k)));
  store(exponent, k - keep(tiny, set1(23)));
  // Further out the result is 0 or infinity, and the sums below would not be whole.
  store(power, max(set1(-4e9f), min(set1(4e9f), y)));
  for (int i = 0; i < kWidth; i++) {
    const double m = base[i];
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 1.0 / 15;
    p = p * z + 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    const double log2 = exponent[i] + 2.88539008177792681472 * (s + s * z * p);
    const double t = power[i] * log2;
    logarithm[i] = static_cast<float>(t);
    const double whole = (t + 6755399441055744.0) - 6755399441055744.0;
    const double f = (t - whole) * 0.69314718055994530942;
    double e = 1.0 / 40320;
    e = e * f + 1.0 / 5040;
    e = e * f + 1.0 / 720;
    e = e * f + 1.0 / 120;
    e = e * f + 1.0 / 24;
    e = e * f + 1.0 / 6;
    e = e * f + 0.5;
    e = e * f + 1.0;
    e = e * f + 1.0;
    // Adding the magic number left the whole part in the low bits: shifted up they are an exponent.
    const uint64_t scale = (__builtin_bit_cast(uint64_t, t + 6755399441055744.0) + 1023) << 52;
    base[i] = static_cast<float>(e * __builtin_bit_cast(double, scale));
  }
  const F t = load(logarithm);
  return select(gt(t, set1(200.0f)), set1(kInfinity), select(lt(t, set1(-200.0f)), zero(), load(base)));
}

/// As C's powf; error <= 0.6 ulp.
CHAINRULE_INLINE F pow(F x, F y) {
  const F one = set1(1.0f), infinity = set1(kInfinity);
  const F a = abs(x), b = abs(y);
  F r = powMagnitude(x, y);
  // |x| of 0 or infinity, or |y| of infinity: 0 or infinity, by whether log|x|·y is below zero.
  const M shrinks = asMask(asInt(lt(a, one)) ^ asInt(lt(y, zero())));
  const M extreme = eq(a, zero()) | eq(a, infinity) | eq(b, infinity);
  r = select(extreme, select(shrinks, zero(), infinity), r);
  r = select(eq(a, one), one, r);
  r = select(isNaN(x) | isNaN(y), x + y, r);
  // A negative base takes the sign of an odd power, and has no other than whole powers.
  const M whole = eq(trunc(y), y);
  const F half = y * set1(0.5f);
  const M odd = whole & ne(trunc(half), half) & lt(b, infinity);
  r = r ^ keep(odd, x & set1(-0.0f));
  r = select(lt(x, zero()) & !whole & lt(a, infinity), set1(__builtin_nanf("")), r);
  return select(eq(x, one) | eq(y, zero()), one, r);
}

}  // namespace chainrule::CHAINRULE_ISA
