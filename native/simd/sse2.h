// The vector types on SSE2, the baseline of x86-64: four lanes. Included by simd.h; scalar.h documents each function.
#pragma once
#include <emmintrin.h>

namespace chainrule::CHAINRULE_ISA {

constexpr int kWidth = 4;
constexpr const char* kIsaName = "sse2";
constexpr bool kHasFma = false;

struct F {
  __m128 v;
};
struct I {
  __m128i v;
};
struct M {
  __m128 v;
};

CHAINRULE_INLINE I lanes() { return {_mm_setr_epi32(0, 1, 2, 3)}; }

CHAINRULE_INLINE F load(const float* p) { return {_mm_loadu_ps(p)}; }
CHAINRULE_INLINE I load(const int32_t* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))}; }
CHAINRULE_INLINE void store(float* p, F a) { _mm_storeu_ps(p, a.v); }
CHAINRULE_INLINE void store(int32_t* p, I a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), a.v); }
CHAINRULE_INLINE void stream(float* p, F a) { _mm_stream_ps(p, a.v); }
CHAINRULE_INLINE void stream(int32_t* p, I a) { _mm_stream_si128(reinterpret_cast<__m128i*>(p), a.v); }
CHAINRULE_INLINE void streamFence() { _mm_sfence(); }
CHAINRULE_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
CHAINRULE_INLINE F set1(float a) { return {_mm_set1_ps(a)}; }
CHAINRULE_INLINE I set1(int32_t a) { return {_mm_set1_epi32(a)}; }
CHAINRULE_INLINE F zero() { return {_mm_setzero_ps()}; }
CHAINRULE_INLINE F loadPartial(const float* p, int64_t n) {
  if (n >= 4) return load(p);
  const __m128 first = n > 0 ? _mm_load_ss(p) : _mm_setzero_ps();
  if (n < 2) return {first};
  const __m128 pair = _mm_unpacklo_ps(first, _mm_load_ss(p + 1));
  return {n < 3 ? pair : _mm_movelh_ps(pair, _mm_load_ss(p + 2))};
}
CHAINRULE_INLINE I loadPartial(const int32_t* p, int64_t n) {
  return {_mm_setr_epi32(n > 0 ? p[0] : 0, n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, n > 3 ? p[3] : 0)};
}
CHAINRULE_INLINE void storePartial(float* p, F a, int64_t n) {
  if (n >= 4) return store(p, a);
  if (n > 0) _mm_store_ss(p, a.v);
  if (n > 1) _mm_store_ss(p + 1, _mm_shuffle_ps(a.v, a.v, 0x55));
  if (n > 2) _mm_store_ss(p + 2, _mm_movehl_ps(a.v, a.v));
}
CHAINRULE_INLINE void storePartial(int32_t* p, I a, int64_t n) {
  alignas(16) int32_t lane[4];
  store(lane, a);
  for (int64_t i = 0; i < 4 && i < n; i++) p[i] = lane[i];
}
CHAINRULE_INLINE F loadStrided(const float* p, int64_t s) { return {_mm_setr_ps(p[0], p[s], p[2 * s], p[3 * s])}; }
CHAINRULE_INLINE I loadStrided(const int32_t* p, int64_t s) { return {_mm_setr_epi32(p[0], p[s], p[2 * s], p[3 * s])}; }
CHAINRULE_INLINE void loadPairs(const float* p, F& even, F& odd) {
  const __m128 a = _mm_loadu_ps(p), b = _mm_loadu_ps(p + 4);
  even = {_mm_shuffle_ps(a, b, 0x88)};
  odd = {_mm_shuffle_ps(a, b, 0xdd)};
}
CHAINRULE_INLINE F loadEven(const float* p) { return {_mm_shuffle_ps(_mm_loadu_ps(p), _mm_loadu_ps(p + 3), 0xd8)}; }
CHAINRULE_INLINE I loadBytes(const uint8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  const __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), _mm_setzero_si128());
  return {_mm_unpacklo_epi16(words, _mm_setzero_si128())};
}
CHAINRULE_INLINE void storeBytes(uint8_t* p, I a) {
  const __m128i low = _mm_and_si128(a.v, _mm_set1_epi32(255));
  const __m128i words = _mm_packs_epi32(low, low);
  const int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  memcpy(p, &four, 4);
}

CHAINRULE_INLINE F operator+(F a, F b) { return {_mm_add_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator-(F a, F b) { return {_mm_sub_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator*(F a, F b) { return {_mm_mul_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator/(F a, F b) { return {_mm_div_ps(a.v, b.v)}; }
CHAINRULE_INLINE F min(F a, F b) { return {_mm_min_ps(a.v, b.v)}; }
CHAINRULE_INLINE F max(F a, F b) { return {_mm_max_ps(a.v, b.v)}; }
CHAINRULE_INLINE F fma(F a, F b, F c) { return a * b + c; }
CHAINRULE_INLINE F nfma(F a, F b, F c) { return c - a * b; }
CHAINRULE_INLINE F fms(F a, F b, F c) { return a * b - c; }
CHAINRULE_INLINE F sqrt(F a) { return {_mm_sqrt_ps(a.v)}; }

CHAINRULE_INLINE F operator&(F a, F b) { return {_mm_and_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator|(F a, F b) { return {_mm_or_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator^(F a, F b) { return {_mm_xor_ps(a.v, b.v)}; }
CHAINRULE_INLINE F andNot(F a, F b) { return {_mm_andnot_ps(a.v, b.v)}; }

CHAINRULE_INLINE M eq(F a, F b) { return {_mm_cmpeq_ps(a.v, b.v)}; }
CHAINRULE_INLINE M ne(F a, F b) { return {_mm_cmpneq_ps(a.v, b.v)}; }
CHAINRULE_INLINE M lt(F a, F b) { return {_mm_cmplt_ps(a.v, b.v)}; }
CHAINRULE_INLINE M le(F a, F b) { return {_mm_cmple_ps(a.v, b.v)}; }
CHAINRULE_INLINE M eq(I a, I b) { return {_mm_castsi128_ps(_mm_cmpeq_epi32(a.v, b.v))}; }
CHAINRULE_INLINE M lt(I a, I b) { return {_mm_castsi128_ps(_mm_cmplt_epi32(a.v, b.v))}; }
CHAINRULE_INLINE M operator&(M a, M b) { return {_mm_and_ps(a.v, b.v)}; }
CHAINRULE_INLINE M operator|(M a, M b) { return {_mm_or_ps(a.v, b.v)}; }
CHAINRULE_INLINE M operator!(M a) { return {_mm_xor_ps(a.v, _mm_castsi128_ps(_mm_set1_epi32(-1)))}; }
CHAINRULE_INLINE F select(M m, F a, F b) { return {_mm_or_ps(_mm_and_ps(m.v, a.v), _mm_andnot_ps(m.v, b.v))}; }
CHAINRULE_INLINE I select(M m, I a, I b) {
  const __m128i k = _mm_castps_si128(m.v);
  return {_mm_or_si128(_mm_and_si128(k, a.v), _mm_andnot_si128(k, b.v))};
}
CHAINRULE_INLINE F keep(M m, F a) { return {_mm_and_ps(m.v, a.v)}; }
CHAINRULE_INLINE I keep(M m, I a) { return {_mm_and_si128(_mm_castps_si128(m.v), a.v)}; }
CHAINRULE_INLINE bool any(M m) { return _mm_movemask_ps(m.v) != 0; }
CHAINRULE_INLINE int bits(M m) { return _mm_movemask_ps(m.v); }

CHAINRULE_INLINE I asInt(F a) { return {_mm_castps_si128(a.v)}; }
CHAINRULE_INLINE F asFloat(I a) { return {_mm_castsi128_ps(a.v)}; }
CHAINRULE_INLINE I asInt(M a) { return {_mm_castps_si128(a.v)}; }
CHAINRULE_INLINE M asMask(I a) { return {_mm_castsi128_ps(a.v)}; }
CHAINRULE_INLINE F toFloat(I a) { return {_mm_cvtepi32_ps(a.v)}; }
CHAINRULE_INLINE I toInt(F a) { return {_mm_cvttps_epi32(a.v)}; }
CHAINRULE_INLINE I roundToInt(F a) { return {_mm_cvtps_epi32(a.v)}; }

// From 2^23 on every float is whole, and below it an int32 holds the rounded value; the sign bit is kept for -0.
CHAINRULE_INLINE F whole(F a, F rounded) {
  const F sign = a & set1(-0.0f);
  return select(lt(andNot(set1(-0.0f), a), set1(8388608.0f)), rounded | sign, a);
}
CHAINRULE_INLINE F round(F a) { return whole(a, toFloat(roundToInt(a))); }
CHAINRULE_INLINE F trunc(F a) { return whole(a, toFloat(toInt(a))); }
CHAINRULE_INLINE F floor(F a) {
  const F t = toFloat(toInt(a));
  return whole(a, t - keep(lt(a, t), set1(1.0f)));
}
CHAINRULE_INLINE F ceil(F a) {
  const F t = toFloat(toInt(a));
  return whole(a, t + keep(lt(t, a), set1(1.0f)));
}

CHAINRULE_INLINE I operator+(I a, I b) { return {_mm_add_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator-(I a, I b) { return {_mm_sub_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator&(I a, I b) { return {_mm_and_si128(a.v, b.v)}; }
CHAINRULE_INLINE I operator|(I a, I b) { return {_mm_or_si128(a.v, b.v)}; }
CHAINRULE_INLINE I operator^(I a, I b) { return {_mm_xor_si128(a.v, b.v)}; }
template <int n>
CHAINRULE_INLINE I shiftLeft(I a) {
  return {_mm_slli_epi32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRight(I a) {
  return {_mm_srai_epi32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRightLogical(I a) {
  return {_mm_srli_epi32(a.v, n)};
}
CHAINRULE_INLINE void mulWide(I a, I b, I& high, I& low) {
  const __m128i even = _mm_mul_epu32(a.v, b.v);
  const __m128i odd = _mm_mul_epu32(_mm_srli_epi64(a.v, 32), _mm_srli_epi64(b.v, 32));
  const __m128i upper = _mm_setr_epi32(0, -1, 0, -1);
  high = {_mm_or_si128(_mm_srli_epi64(even, 32), _mm_and_si128(odd, upper))};
  low = {_mm_or_si128(_mm_andnot_si128(upper, even), _mm_slli_epi64(odd, 32))};
}
CHAINRULE_INLINE I operator*(I a, I b) {
  I high, low;
  mulWide(a, b, high, low);
  return low;
}

CHAINRULE_INLINE float reduceAdd(F a) {
  const __m128 r = _mm_add_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_add_ss(r, _mm_shuffle_ps(r, r, 0x55)));
}
CHAINRULE_INLINE float reduceMax(F a) {
  const __m128 r = _mm_max_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_max_ss(r, _mm_shuffle_ps(r, r, 0x55)));
}
CHAINRULE_INLINE float reduceMin(F a) {
  const __m128 r = _mm_min_ps(a.v, _mm_movehl_ps(a.v, a.v));
  return _mm_cvtss_f32(_mm_min_ss(r, _mm_shuffle_ps(r, r, 0x55)));
}
CHAINRULE_INLINE int32_t reduceAdd(I a) {
  const __m128i r = _mm_add_epi32(a.v, _mm_shuffle_epi32(a.v, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(r, _mm_shuffle_epi32(r, 0xb1)));
}

CHAINRULE_INLINE void transpose(F* r) { _MM_TRANSPOSE4_PS(r[0].v, r[1].v, r[2].v, r[3].v); }

}  // namespace chainrule::CHAINRULE_ISA
