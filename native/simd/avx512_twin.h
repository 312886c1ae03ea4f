// A twin of avx512.h in plain loops: the same lanes, the same trees, the same results bit for bit, on machines without AVX-512. For tests
// only (CMake's CHAINRULE_TWIN, test/platforms/twin.test.ts): the kernels compiled for it are those of avx512, block sizes included.
// Included by avx512.h; scalar.h documents each function.
#pragma once

// Not inlined: kernels unroll dozens of vector operations, and as many unrolled loops take a compiler minutes.
#define CHAINRULE_TWIN_FUNCTION [[gnu::noinline]] inline

namespace chainrule::CHAINRULE_ISA {

constexpr int kWidth = 16;
constexpr const char* kIsaName = "avx512-twin";
constexpr bool kHasFma = true;

struct F {
  float v[kWidth];
};
struct I {
  int32_t v[kWidth];
};
struct M {
  uint16_t v;
};

/// A vector whose lane i is f(i).
template <class V, class Fn>
CHAINRULE_INLINE V each(Fn f) {
  V r;
  for (int i = 0; i < kWidth; i++) r.v[i] = f(i);
  return r;
}
template <class Fn>
CHAINRULE_INLINE M eachBit(Fn f) {
  uint32_t m = 0;
  for (int i = 0; i < kWidth; i++) m |= static_cast<uint32_t>(f(i) ? 1 : 0) << i;
  return {static_cast<uint16_t>(m)};
}
CHAINRULE_INLINE bool lane(M m, int i) { return m.v >> i & 1; }
CHAINRULE_INLINE int32_t asBits(float a) { return __builtin_bit_cast(int32_t, a); }
CHAINRULE_INLINE float fromBits(int32_t a) { return __builtin_bit_cast(float, a); }
CHAINRULE_INLINE uint32_t bitsOf(I a, int i) { return static_cast<uint32_t>(a.v[i]); }

CHAINRULE_TWIN_FUNCTION I lanes() {
  return each<I>([&](int i) { return i; });
}

CHAINRULE_TWIN_FUNCTION F load(const float* p) {
  return each<F>([&](int i) { return p[i]; });
}
CHAINRULE_TWIN_FUNCTION I load(const int32_t* p) {
  return each<I>([&](int i) { return p[i]; });
}
CHAINRULE_TWIN_FUNCTION void store(float* p, F a) {
  for (int i = 0; i < kWidth; i++) p[i] = a.v[i];
}
CHAINRULE_TWIN_FUNCTION void store(int32_t* p, I a) {
  for (int i = 0; i < kWidth; i++) p[i] = a.v[i];
}
CHAINRULE_TWIN_FUNCTION void stream(float* p, F a) { store(p, a); }
CHAINRULE_TWIN_FUNCTION void stream(int32_t* p, I a) { store(p, a); }
CHAINRULE_TWIN_FUNCTION void streamFence() {}
CHAINRULE_TWIN_FUNCTION void prefetch(const void* p) { __builtin_prefetch(p); }
CHAINRULE_TWIN_FUNCTION F set1(float a) {
  return each<F>([&](int i) { return static_cast<void>(i), a; });
}
CHAINRULE_TWIN_FUNCTION I set1(int32_t a) {
  return each<I>([&](int i) { return static_cast<void>(i), a; });
}
CHAINRULE_TWIN_FUNCTION F zero() { return set1(0.0f); }
CHAINRULE_TWIN_FUNCTION F loadPartial(const float* p, int64_t n) {
  return each<F>([&](int i) { return i < n ? p[i] : 0.0f; });
}
CHAINRULE_TWIN_FUNCTION I loadPartial(const int32_t* p, int64_t n) {
  return each<I>([&](int i) { return i < n ? p[i] : 0; });
}
CHAINRULE_TWIN_FUNCTION void storePartial(float* p, F a, int64_t n) {
  for (int i = 0; i < n; i++) p[i] = a.v[i];
}
CHAINRULE_TWIN_FUNCTION void storePartial(int32_t* p, I a, int64_t n) {
  for (int i = 0; i < n; i++) p[i] = a.v[i];
}
CHAINRULE_TWIN_FUNCTION F loadStrided(const float* p, int64_t s) {
  return each<F>([&](int i) { return p[i * s]; });
}
CHAINRULE_TWIN_FUNCTION I loadStrided(const int32_t* p, int64_t s) {
  return each<I>([&](int i) { return p[i * s]; });
}
CHAINRULE_TWIN_FUNCTION void loadPairs(const float* p, F& even, F& odd) {
  even = each<F>([&](int i) { return p[2 * i]; });
  odd = each<F>([&](int i) { return p[2 * i + 1]; });
}
CHAINRULE_TWIN_FUNCTION F loadEven(const float* p) {
  return each<F>([&](int i) { return p[2 * i]; });
}
CHAINRULE_TWIN_FUNCTION I loadBytes(const uint8_t* p) {
  return each<I>([&](int i) { return static_cast<int32_t>(p[i]); });
}
CHAINRULE_TWIN_FUNCTION void storeBytes(uint8_t* p, I a) {
  for (int i = 0; i < kWidth; i++) p[i] = static_cast<uint8_t>(a.v[i]);
}

CHAINRULE_TWIN_FUNCTION F operator+(F a, F b) {
  return each<F>([&](int i) { return a.v[i] + b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION F operator-(F a, F b) {
  return each<F>([&](int i) { return a.v[i] - b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION F operator*(F a, F b) {
  return each<F>([&](int i) { return a.v[i] * b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION F operator/(F a, F b) {
  return each<F>([&](int i) { return a.v[i] / b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION F min(F a, F b) {
  return each<F>([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION F max(F a, F b) {
  return each<F>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION F fma(F a, F b, F c) {
  return each<F>([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F nfma(F a, F b, F c) {
  return each<F>([&](int i) { return __builtin_fmaf(-a.v[i], b.v[i], c.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F fms(F a, F b, F c) {
  return each<F>([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], -c.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F sqrt(F a) {
  return each<F>([&](int i) { return __builtin_sqrtf(a.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F round(F a) {
  return each<F>([&](int i) { return __builtin_rintf(a.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F floor(F a) {
  return each<F>([&](int i) { return __builtin_floorf(a.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F ceil(F a) {
  return each<F>([&](int i) { return __builtin_ceilf(a.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F trunc(F a) {
  return each<F>([&](int i) { return __builtin_truncf(a.v[i]); });
}

CHAINRULE_TWIN_FUNCTION I operator+(I a, I b) {
  return each<I>([&](int i) { return static_cast<int32_t>(bitsOf(a, i) + bitsOf(b, i)); });
}
CHAINRULE_TWIN_FUNCTION I operator-(I a, I b) {
  return each<I>([&](int i) { return static_cast<int32_t>(bitsOf(a, i) - bitsOf(b, i)); });
}
CHAINRULE_TWIN_FUNCTION I operator*(I a, I b) {
  return each<I>([&](int i) { return static_cast<int32_t>(bitsOf(a, i) * bitsOf(b, i)); });
}
CHAINRULE_TWIN_FUNCTION I operator&(I a, I b) {
  return each<I>([&](int i) { return a.v[i] & b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION I operator|(I a, I b) {
  return each<I>([&](int i) { return a.v[i] | b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION I operator^(I a, I b) {
  return each<I>([&](int i) { return a.v[i] ^ b.v[i]; });
}
template <int n>
CHAINRULE_TWIN_FUNCTION I shiftLeft(I a) {
  return each<I>([&](int i) { return static_cast<int32_t>(bitsOf(a, i) << n); });
}
template <int n>
CHAINRULE_TWIN_FUNCTION I shiftRight(I a) {
  return each<I>([&](int i) { return a.v[i] >> n; });
}
template <int n>
CHAINRULE_TWIN_FUNCTION I shiftRightLogical(I a) {
  return each<I>([&](int i) { return static_cast<int32_t>(bitsOf(a, i) >> n); });
}
CHAINRULE_TWIN_FUNCTION void mulWide(I a, I b, I& high, I& low) {
  high = each<I>([&](int i) { return static_cast<int32_t>(uint64_t{bitsOf(a, i)} * bitsOf(b, i) >> 32); });
  low = each<I>([&](int i) { return static_cast<int32_t>(uint64_t{bitsOf(a, i)} * bitsOf(b, i)); });
}

CHAINRULE_TWIN_FUNCTION F operator&(F a, F b) {
  return each<F>([&](int i) { return fromBits(asBits(a.v[i]) & asBits(b.v[i])); });
}
CHAINRULE_TWIN_FUNCTION F operator|(F a, F b) {
  return each<F>([&](int i) { return fromBits(asBits(a.v[i]) | asBits(b.v[i])); });
}
CHAINRULE_TWIN_FUNCTION F operator^(F a, F b) {
  return each<F>([&](int i) { return fromBits(asBits(a.v[i]) ^ asBits(b.v[i])); });
}
CHAINRULE_TWIN_FUNCTION F andNot(F a, F b) {
  return each<F>([&](int i) { return fromBits(~asBits(a.v[i]) & asBits(b.v[i])); });
}

CHAINRULE_TWIN_FUNCTION M eq(F a, F b) {
  return eachBit([&](int i) { return a.v[i] == b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION M ne(F a, F b) {
  return eachBit([&](int i) { return a.v[i] != b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION M lt(F a, F b) {
  return eachBit([&](int i) { return a.v[i] < b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION M le(F a, F b) {
  return eachBit([&](int i) { return a.v[i] <= b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION M eq(I a, I b) {
  return eachBit([&](int i) { return a.v[i] == b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION M lt(I a, I b) {
  return eachBit([&](int i) { return a.v[i] < b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION M operator&(M a, M b) { return {static_cast<uint16_t>(a.v & b.v)}; }
CHAINRULE_TWIN_FUNCTION M operator|(M a, M b) { return {static_cast<uint16_t>(a.v | b.v)}; }
CHAINRULE_TWIN_FUNCTION M operator!(M a) { return {static_cast<uint16_t>(~a.v)}; }
CHAINRULE_TWIN_FUNCTION F select(M m, F a, F b) {
  return each<F>([&](int i) { return lane(m, i) ? a.v[i] : b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION I select(M m, I a, I b) {
  return each<I>([&](int i) { return lane(m, i) ? a.v[i] : b.v[i]; });
}
CHAINRULE_TWIN_FUNCTION F keep(M m, F a) {
  return each<F>([&](int i) { return lane(m, i) ? a.v[i] : 0.0f; });
}
CHAINRULE_TWIN_FUNCTION I keep(M m, I a) {
  return each<I>([&](int i) { return lane(m, i) ? a.v[i] : 0; });
}
CHAINRULE_TWIN_FUNCTION bool any(M m) { return m.v != 0; }
CHAINRULE_TWIN_FUNCTION int bits(M m) { return m.v; }

CHAINRULE_TWIN_FUNCTION I asInt(F a) {
  return each<I>([&](int i) { return asBits(a.v[i]); });
}
CHAINRULE_TWIN_FUNCTION F asFloat(I a) {
  return each<F>([&](int i) { return fromBits(a.v[i]); });
}
CHAINRULE_TWIN_FUNCTION I asInt(M a) {
  return each<I>([&](int i) { return lane(a, i) ? -1 : 0; });
}
CHAINRULE_TWIN_FUNCTION M asMask(I a) {
  return eachBit([&](int i) { return a.v[i] < 0; });
}
CHAINRULE_TWIN_FUNCTION F toFloat(I a) {
  return each<F>([&](int i) { return static_cast<float>(a.v[i]); });
}
CHAINRULE_TWIN_FUNCTION I toInt(F a) {
  return each<I>([&](int i) { return a.v[i] >= -2147483648.0f && a.v[i] < 2147483648.0f ? static_cast<int32_t>(a.v[i]) : INT32_MIN; });
}
CHAINRULE_TWIN_FUNCTION I roundToInt(F a) { return toInt(round(a)); }

/// The tree of avx512.h: halves, quarters, then the pairs of a quarter.
template <class T, class Fn>
CHAINRULE_TWIN_FUNCTION T reduce(const T* v, Fn f) {
  T r[8];
  for (int i = 0; i < 8; i++) r[i] = f(v[i], v[8 + i]);
  for (int i = 0; i < 4; i++) r[i] = f(r[i], r[4 + i]);
  for (int i = 0; i < 2; i++) r[i] = f(r[i], r[2 + i]);
  return f(r[0], r[1]);
}
CHAINRULE_TWIN_FUNCTION float reduceAdd(F a) {
  return reduce(a.v, [](float x, float y) { return x + y; });
}
CHAINRULE_TWIN_FUNCTION float reduceMax(F a) {
  return reduce(a.v, [](float x, float y) { return x > y ? x : y; });
}
CHAINRULE_TWIN_FUNCTION float reduceMin(F a) {
  return reduce(a.v, [](float x, float y) { return x < y ? x : y; });
}
CHAINRULE_TWIN_FUNCTION int32_t reduceAdd(I a) {
  return reduce(a.v, [](int32_t x, int32_t y) { return static_cast<int32_t>(static_cast<uint32_t>(x) + static_cast<uint32_t>(y)); });
}

CHAINRULE_TWIN_FUNCTION void transpose(F* r) {
  for (int i = 0; i < kWidth; i++)
    for (int j = 0; j < i; j++) {
      const float t = r[i].v[j];
      r[i].v[j] = r[j].v[i];
      r[j].v[i] = t;
    }
}

}  // namespace chainrule::CHAINRULE_ISA
#undef CHAINRULE_TWIN_FUNCTION
