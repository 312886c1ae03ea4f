// The vector types on AVX2 with FMA: eight lanes. Included by simd.h; scalar.h documents each function.
#pragma once
#if !defined(__AVX2__) || !defined(__FMA__)
#error "the avx2 kernels are compiled with -mavx2 -mfma"
#endif
#include <immintrin.h>

namespace chainrule::CHAINRULE_ISA {

constexpr int kWidth = 8;
constexpr const char* kIsaName = "avx2";
constexpr bool kHasFma = true;

struct F {
  __m256 v;
};
struct I {
  __m256i v;
};
struct M {
  __m256 v;
};

CHAINRULE_INLINE I lanes() { return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)}; }
CHAINRULE_INLINE __m256i firstLanes(int64_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lanes().v); }

CHAINRULE_INLINE F load(const float* p) { return {_mm256_loadu_ps(p)}; }
CHAINRULE_INLINE I load(const int32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
CHAINRULE_INLINE void store(float* p, F a) { _mm256_storeu_ps(p, a.v); }
CHAINRULE_INLINE void store(int32_t* p, I a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
CHAINRULE_INLINE void stream(float* p, F a) { _mm256_stream_ps(p, a.v); }
CHAINRULE_INLINE void stream(int32_t* p, I a) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), a.v); }
CHAINRULE_INLINE void streamFence() { _mm_sfence(); }
CHAINRULE_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
CHAINRULE_INLINE F set1(float a) { return {_mm256_set1_ps(a)}; }
CHAINRULE_INLINE I set1(int32_t a) { return {_mm256_set1_epi32(a)}; }
CHAINRULE_INLINE F zero() { return {_mm256_setzero_ps()}; }
CHAINRULE_INLINE F loadPartial(const float* p, int64_t n) { return {_mm256_maskload_ps(p, firstLanes(n))}; }
CHAINRULE_INLINE I loadPartial(const int32_t* p, int64_t n) { return {_mm256_maskload_epi32(p, firstLanes(n))}; }
CHAINRULE_INLINE void storePartial(float* p, F a, int64_t n) { _mm256_maskstore_ps(p, firstLanes(n), a.v); }
CHAINRULE_INLINE void storePartial(int32_t* p, I a, int64_t n) { _mm256_maskstore_epi32(p, firstLanes(n), a.v); }
CHAINRULE_INLINE F loadStrided(const float* p, int64_t s) {
  return {_mm256_setr_ps(p[0], p[s], p[2 * s], p[3 * s], p[4 * s], p[5 * s], p[6 * s], p[7 * s])};
}
CHAINRULE_INLINE I loadStrided(const int32_t* p, int64_t s) {
  return {_mm256_setr_epi32(p[0], p[s], p[2 * s], p[3 * s], p[4 * s], p[5 * s], p[6 * s], p[7 * s])};
}
CHAINRULE_INLINE void loadPairs(const float* p, F& even, F& odd) {
  const __m256 a = _mm256_loadu_ps(p), b = _mm256_loadu_ps(p + 8);
  // Within halves first, then the quarters to their places.
  even = {_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88)), 0xd8))};
  odd = {_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd)), 0xd8))};
}
CHAINRULE_INLINE F loadEven(const float* p) {
  const __m256 pairs = _mm256_shuffle_ps(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 7), 0xd8);
  return {_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), 0xd8))};
}
CHAINRULE_INLINE I loadBytes(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))};
}
CHAINRULE_INLINE void storeBytes(uint8_t* p, I a) {
  const __m256i low = _mm256_and_si256(a.v, _mm256_set1_epi32(255));
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}

CHAINRULE_INLINE F operator+(F a, F b) { return {_mm256_add_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator-(F a, F b) { return {_mm256_sub_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator*(F a, F b) { return {_mm256_mul_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator/(F a, F b) { return {_mm256_div_ps(a.v, b.v)}; }
CHAINRULE_INLINE F min(F a, F b) { return {_mm256_min_ps(a.v, b.v)}; }
CHAINRULE_INLINE F max(F a, F b) { return {_mm256_max_ps(a.v, b.v)}; }
CHAINRULE_INLINE F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
CHAINRULE_INLINE F nfma(F a, F b, F c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
CHAINRULE_INLINE F fms(F a, F b, F c) { return {_mm256_fmsub_ps(a.v, b.v, c.v)}; }
CHAINRULE_INLINE F sqrt(F a) { return {_mm256_sqrt_ps(a.v)}; }
CHAINRULE_INLINE F round(F a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
CHAINRULE_INLINE F floor(F a) { return {_mm256_floor_ps(a.v)}; }
CHAINRULE_INLINE F ceil(F a) { return {_mm256_ceil_ps(a.v)}; }
CHAINRULE_INLINE F trunc(F a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)}; }

CHAINRULE_INLINE I operator+(I a, I b) { return {_mm256_add_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator-(I a, I b) { return {_mm256_sub_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator*(I a, I b) { return {_mm256_mullo_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator&(I a, I b) { return {_mm256_and_si256(a.v, b.v)}; }
CHAINRULE_INLINE I operator|(I a, I b) { return {_mm256_or_si256(a.v, b.v)}; }
CHAINRULE_INLINE I operator^(I a, I b) { return {_mm256_xor_si256(a.v, b.v)}; }
template <int n>
CHAINRULE_INLINE I shiftLeft(I a) {
  return {_mm256_slli_epi32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRight(I a) {
  return {_mm256_srai_epi32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRightLogical(I a) {
  return {_mm256_srli_epi32(a.v, n)};
}
CHAINRULE_INLINE void mulWide(I a, I b, I& high, I& low) {
  const __m256i even = _mm256_mul_epu32(a.v, b.v);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a.v, 32), _mm256_srli_epi64(b.v, 32));
  high = {_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa)};
  low = {_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa)};
}

CHAINRULE_INLINE F operator&(F a, F b) { return {_mm256_and_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator|(F a, F b) { return {_mm256_or_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator^(F a, F b) { return {_mm256_xor_ps(a.v, b.v)}; }
CHAINRULE_INLINE F andNot(F a, F b) { return {_mm256_andnot_ps(a.v, b.v)}; }

CHAINRULE_INLINE M eq(F a, F b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
CHAINRULE_INLINE M ne(F a, F b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ)}; }
CHAINRULE_INLINE M lt(F a, F b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
CHAINRULE_INLINE M le(F a, F b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
CHAINRULE_INLINE M eq(I a, I b) { return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.v, b.v))}; }
CHAINRULE_INLINE M lt(I a, I b) { return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(b.v, a.v))}; }
CHAINRULE_INLINE M operator&(M a, M b) { return {_mm256_and_ps(a.v, b.v)}; }
CHAINRULE_INLINE M operator|(M a, M b) { return {_mm256_or_ps(a.v, b.v)}; }
CHAINRULE_INLINE M operator!(M a) { return {_mm256_xor_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))}; }
CHAINRULE_INLINE F select(M m, F a, F b) { return {_mm256_blendv_ps(b.v, a.v, m.v)}; }
CHAINRULE_INLINE I select(M m, I a, I b) {
  return {_mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(b.v), _mm256_castsi256_ps(a.v), m.v))};
}
CHAINRULE_INLINE F keep(M m, F a) { return {_mm256_and_ps(m.v, a.v)}; }
CHAINRULE_INLINE I keep(M m, I a) { return {_mm256_and_si256(_mm256_castps_si256(m.v), a.v)}; }
CHAINRULE_INLINE bool any(M m) { return _mm256_movemask_ps(m.v) != 0; }
CHAINRULE_INLINE int bits(M m) { return _mm256_movemask_ps(m.v); }

CHAINRULE_INLINE I asInt(F a) { return {_mm256_castps_si256(a.v)}; }
CHAINRULE_INLINE F asFloat(I a) { return {_mm256_castsi256_ps(a.v)}; }
CHAINRULE_INLINE I asInt(M a) { return {_mm256_castps_si256(a.v)}; }
CHAINRULE_INLINE M asMask(I a) { return {_mm256_castsi256_ps(a.v)}; }
CHAINRULE_INLINE F toFloat(I a) { return {_mm256_cvtepi32_ps(a.v)}; }
CHAINRULE_INLINE I toInt(F a) { return {_mm256_cvttps_epi32(a.v)}; }
CHAINRULE_INLINE I roundToInt(F a) { return {_mm256_cvtps_epi32(a.v)}; }

CHAINRULE_INLINE float reduceAdd(F a) {
  __m128 r = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  r = _mm_add_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}
CHAINRULE_INLINE float reduceMax(F a) {
  __m128 r = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  r = _mm_max_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_max_ss(r, _mm_movehdup_ps(r)));
}
CHAINRULE_INLINE float reduceMin(F a) {
  __m128 r = _mm_min_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  r = _mm_min_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_min_ss(r, _mm_movehdup_ps(r)));
}
CHAINRULE_INLINE int32_t reduceAdd(I a) {
  __m128i r = _mm_add_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
  r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(r, _mm_shuffle_epi32(r, 0xb1)));
}

CHAINRULE_INLINE void transpose(F* r) {
  __m256 t[8], u[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i].v, r[2 * i + 1].v);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i].v, r[2 * i + 1].v);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    r[i].v = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
    r[i + 4].v = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
