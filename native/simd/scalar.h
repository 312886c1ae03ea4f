// The vector types with one lane, in plain C++: the reference for the other sets and the set of machines we know
// nothing about. Included by simd.h, which documents the use.
#pragma once

namespace chainrule::CHAINRULE_ISA {

constexpr int kWidth = 1;
constexpr const char* kIsaName = "scalar";
/// True where fma() rounds once.
constexpr bool kHasFma = false;

struct F {
  float v;
};
struct I {
  int32_t v;
};
/// 0 or -1, as the lanes of the wider sets.
struct M {
  int32_t v;
};

CHAINRULE_INLINE int32_t asBits(float a) { return __builtin_bit_cast(int32_t, a); }
CHAINRULE_INLINE float fromBits(int32_t a) { return __builtin_bit_cast(float, a); }

CHAINRULE_INLINE F load(const float* p) { return {*p}; }
CHAINRULE_INLINE I load(const int32_t* p) { return {*p}; }
CHAINRULE_INLINE void store(float* p, F a) { *p = a.v; }
CHAINRULE_INLINE void store(int32_t* p, I a) { *p = a.v; }
/// Like store, past the caches; p is aligned to the vector. Needs streamFence() before another thread reads.
CHAINRULE_INLINE void stream(float* p, F a) { *p = a.v; }
CHAINRULE_INLINE void stream(int32_t* p, I a) { *p = a.v; }
CHAINRULE_INLINE void streamFence() {}
CHAINRULE_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
CHAINRULE_INLINE F set1(float a) { return {a}; }
CHAINRULE_INLINE I set1(int32_t a) { return {a}; }
CHAINRULE_INLINE F zero() { return {0.0f}; }
/// 0, 1, 2, … by lane.
CHAINRULE_INLINE I lanes() { return {0}; }
/// The first n lanes, 0 <= n <= kWidth; the others read as zero and are not written.
CHAINRULE_INLINE F loadPartial(const float* p, int64_t n) { return {n > 0 ? *p : 0.0f}; }
CHAINRULE_INLINE I loadPartial(const int32_t* p, int64_t n) { return {n > 0 ? *p : 0}; }
CHAINRULE_INLINE void storePartial(float* p, F a, int64_t n) {
  if (n > 0) *p = a.v;
}
CHAINRULE_INLINE void storePartial(int32_t* p, I a, int64_t n) {
  if (n > 0) *p = a.v;
}
/// kWidth elements, `stride` elements apart.
CHAINRULE_INLINE F loadStrided(const float* p, int64_t) { return {*p}; }
CHAINRULE_INLINE I loadStrided(const int32_t* p, int64_t) { return {*p}; }
/// 2·kWidth elements, those with even and those with odd index.
CHAINRULE_INLINE void loadPairs(const float* p, F& even, F& odd) {
  even = {p[0]};
  odd = {p[1]};
}
/// Those with even index, without touching what lies behind the last.
CHAINRULE_INLINE F loadEven(const float* p) { return {*p}; }
/// kWidth bytes, zero-extended; and the low bytes of the lanes.
CHAINRULE_INLINE I loadBytes(const uint8_t* p) { return {*p}; }
CHAINRULE_INLINE void storeBytes(uint8_t* p, I a) { *p = static_cast<uint8_t>(a.v); }

CHAINRULE_INLINE F operator+(F a, F b) { return {a.v + b.v}; }
CHAINRULE_INLINE F operator-(F a, F b) { return {a.v - b.v}; }
CHAINRULE_INLINE F operator*(F a, F b) { return {a.v * b.v}; }
CHAINRULE_INLINE F operator/(F a, F b) { return {a.v / b.v}; }
/// b where either is NaN, as minps and maxps.
CHAINRULE_INLINE F min(F a, F b) { return {a.v < b.v ? a.v : b.v}; }
CHAINRULE_INLINE F max(F a, F b) { return {a.v > b.v ? a.v : b.v}; }
/// a·b + c, c − a·b, a·b − c.
CHAINRULE_INLINE F fma(F a, F b, F c) { return {a.v * b.v + c.v}; }
CHAINRULE_INLINE F nfma(F a, F b, F c) { return {c.v - a.v * b.v}; }
CHAINRULE_INLINE F fms(F a, F b, F c) { return {a.v * b.v - c.v}; }
CHAINRULE_INLINE F sqrt(F a) { return {__builtin_sqrtf(a.v)}; }
CHAINRULE_INLINE F round(F a) { return {__builtin_rintf(a.v)}; }
CHAINRULE_INLINE F floor(F a) { return {__builtin_floorf(a.v)}; }
CHAINRULE_INLINE F ceil(F a) { return {__builtin_ceilf(a.v)}; }
CHAINRULE_INLINE F trunc(F a) { return {__builtin_truncf(a.v)}; }

CHAINRULE_INLINE uint32_t bitsOf(I a) { return static_cast<uint32_t>(a.v); }
CHAINRULE_INLINE I operator+(I a, I b) { return {static_cast<int32_t>(bitsOf(a) + bitsOf(b))}; }
CHAINRULE_INLINE I operator-(I a, I b) { return {static_cast<int32_t>(bitsOf(a) - bitsOf(b))}; }
CHAINRULE_INLINE I operator*(I a, I b) { return {static_cast<int32_t>(bitsOf(a) * bitsOf(b))}; }
CHAINRULE_INLINE I operator&(I a, I b) { return {a.v & b.v}; }
CHAINRULE_INLINE I operator|(I a, I b) { return {a.v | b.v}; }
CHAINRULE_INLINE I operator^(I a, I b) { return {a.v ^ b.v}; }
/// By a constant number of bits; right shifts: with sign and without.
template <int n>
CHAINRULE_INLINE I shiftLeft(I a) {
  return {static_cast<int32_t>(bitsOf(a) << n)};
}
template <int n>
CHAINRULE_INLINE I shiftRight(I a) {
  return {a.v >> n};
}
template <int n>
CHAINRULE_INLINE I shiftRightLogical(I a) {
  return {static_cast<int32_t>(bitsOf(a) >> n)};
}
/// High and low 32 bits of the unsigned products, lane by lane.
CHAINRULE_INLINE void mulWide(I a, I b, I& high, I& low) {
  const uint64_t product = uint64_t{bitsOf(a)} * bitsOf(b);
  high = {static_cast<int32_t>(product >> 32)};
  low = {static_cast<int32_t>(product)};
}

CHAINRULE_INLINE F operator&(F a, F b) { return {fromBits(asBits(a.v) & asBits(b.v))}; }
CHAINRULE_INLINE F operator|(F a, F b) { return {fromBits(asBits(a.v) | asBits(b.v))}; }
CHAINRULE_INLINE F operator^(F a, F b) { return {fromBits(asBits(a.v) ^ asBits(b.v))}; }
/// b & ~a.
CHAINRULE_INLINE F andNot(F a, F b) { return {fromBits(~asBits(a.v) & asBits(b.v))}; }

CHAINRULE_INLINE M eq(F a, F b) { return {-(a.v == b.v)}; }
CHAINRULE_INLINE M ne(F a, F b) { return {-(a.v != b.v)}; }
CHAINRULE_INLINE M lt(F a, F b) { return {-(a.v < b.v)}; }
CHAINRULE_INLINE M le(F a, F b) { return {-(a.v <= b.v)}; }
CHAINRULE_INLINE M eq(I a, I b) { return {-(a.v == b.v)}; }
CHAINRULE_INLINE M lt(I a, I b) { return {-(a.v < b.v)}; }
CHAINRULE_INLINE M operator&(M a, M b) { return {a.v & b.v}; }
CHAINRULE_INLINE M operator|(M a, M b) { return {a.v | b.v}; }
CHAINRULE_INLINE M operator!(M a) { return {~a.v}; }
CHAINRULE_INLINE F select(M m, F a, F b) { return {m.v ? a.v : b.v}; }
CHAINRULE_INLINE I select(M m, I a, I b) { return {m.v ? a.v : b.v}; }
/// a where m, else 0.
CHAINRULE_INLINE F keep(M m, F a) { return {fromBits(asBits(a.v) & m.v)}; }
CHAINRULE_INLINE I keep(M m, I a) { return {a.v & m.v}; }
CHAINRULE_INLINE bool any(M m) { return m.v != 0; }
/// Bit i is lane i.
CHAINRULE_INLINE int bits(M m) { return m.v & 1; }

CHAINRULE_INLINE I asInt(F a) { return {asBits(a.v)}; }
CHAINRULE_INLINE F asFloat(I a) { return {fromBits(a.v)}; }
CHAINRULE_INLINE I asInt(M a) { return {a.v}; }
/// Lanes must be 0 or -1.
CHAINRULE_INLINE M asMask(I a) { return {a.v}; }
CHAINRULE_INLINE F toFloat(I a) { return {static_cast<float>(a.v)}; }
/// Toward zero, and to the nearest (even); NaN and out of range give INT32_MIN.
CHAINRULE_INLINE I toInt(F a) { return {a.v >= -2147483648.0f && a.v < 2147483648.0f ? static_cast<int32_t>(a.v) : INT32_MIN}; }
CHAINRULE_INLINE I roundToInt(F a) { return toInt(round(a)); }

// Over the lanes, by a fixed tree.
CHAINRULE_INLINE float reduceAdd(F a) { return a.v; }
CHAINRULE_INLINE float reduceMax(F a) { return a.v; }
CHAINRULE_INLINE float reduceMin(F a) { return a.v; }
CHAINRULE_INLINE int32_t reduceAdd(I a) { return a.v; }

/// Transposes the square of kWidth vectors.
CHAINRULE_INLINE void transpose(F*) {}

}  // namespace chainrule::CHAINRULE_ISA
