// The vector types on AVX-512 (F, DQ, BW, VL): sixteen lanes, masks in mask registers. Included by simd.h; scalar.h documents
// each function.
#pragma once
#if defined(CHAINRULE_TWIN)
#include "avx512_twin.h"
#else
#if !defined(__AVX512F__) || !defined(__AVX512DQ__) || !defined(__AVX512BW__) || !defined(__AVX512VL__)
#error "the avx512 kernels are compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl"
#endif
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of the values its own header leaves undefined on purpose.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

namespace chainrule::CHAINRULE_ISA {

constexpr int kWidth = 16;
constexpr const char* kIsaName = "avx512";
constexpr bool kHasFma = true;

struct F {
  __m512 v;
};
struct I {
  __m512i v;
};
struct M {
  __mmask16 v;
};

CHAINRULE_INLINE I lanes() { return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}; }
CHAINRULE_INLINE __mmask16 firstLanes(int64_t n) { return static_cast<__mmask16>((uint32_t{1} << n) - 1); }

CHAINRULE_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
CHAINRULE_INLINE I load(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
CHAINRULE_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
CHAINRULE_INLINE void store(int32_t* p, I a) { _mm512_storeu_si512(p, a.v); }
CHAINRULE_INLINE void stream(float* p, F a) { _mm512_stream_ps(p, a.v); }
CHAINRULE_INLINE void stream(int32_t* p, I a) { _mm512_stream_si512(reinterpret_cast<__m512i*>(p), a.v); }
CHAINRULE_INLINE void streamFence() { _mm_sfence(); }
CHAINRULE_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
CHAINRULE_INLINE F set1(float a) { return {_mm512_set1_ps(a)}; }
CHAINRULE_INLINE I set1(int32_t a) { return {_mm512_set1_epi32(a)}; }
CHAINRULE_INLINE F zero() { return {_mm512_setzero_ps()}; }
CHAINRULE_INLINE F loadPartial(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(firstLanes(n), p)}; }
CHAINRULE_INLINE I loadPartial(const int32_t* p, int64_t n) { return {_mm512_maskz_loadu_epi32(firstLanes(n), p)}; }
CHAINRULE_INLINE void storePartial(float* p, F a, int64_t n) { _mm512_mask_storeu_ps(p, firstLanes(n), a.v); }
CHAINRULE_INLINE void storePartial(int32_t* p, I a, int64_t n) { _mm512_mask_storeu_epi32(p, firstLanes(n), a.v); }
CHAINRULE_INLINE F loadStrided(const float* p, int64_t s) {
  return {_mm512_setr_ps(p[0], p[s], p[2 * s], p[3 * s], p[4 * s], p[5 * s], p[6 * s], p[7 * s], p[8 * s], p[9 * s], p[10 * s], p[11 * s],
                         p[12 * s], p[13 * s], p[14 * s], p[15 * s])};
}
CHAINRULE_INLINE I loadStrided(const int32_t* p, int64_t s) {
  return {_mm512_setr_epi32(p[0], p[s], p[2 * s], p[3 * s], p[4 * s], p[5 * s], p[6 * s], p[7 * s], p[8 * s], p[9 * s], p[10 * s],
                            p[11 * s], p[12 * s], p[13 * s], p[14 * s], p[15 * s])};
}
CHAINRULE_INLINE void loadPairs(const float* p, F& even, F& odd) {
  const __m512 a = _mm512_loadu_ps(p), b = _mm512_loadu_ps(p + 16);
  const __m512i index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  even = {_mm512_permutex2var_ps(a, index, b)};
  odd = {_mm512_permutex2var_ps(a, _mm512_add_epi32(index, _mm512_set1_epi32(1)), b)};
}
CHAINRULE_INLINE F loadEven(const float* p) {
  const __m512i index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
  return {_mm512_permutex2var_ps(_mm512_loadu_ps(p), index, _mm512_loadu_ps(p + 15))};
}
CHAINRULE_INLINE I loadBytes(const uint8_t* p) { return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))}; }
CHAINRULE_INLINE void storeBytes(uint8_t* p, I a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v)); }

CHAINRULE_INLINE F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator/(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
CHAINRULE_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
CHAINRULE_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
CHAINRULE_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
CHAINRULE_INLINE F nfma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
CHAINRULE_INLINE F fms(F a, F b, F c) { return {_mm512_fmsub_ps(a.v, b.v, c.v)}; }
CHAINRULE_INLINE F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
CHAINRULE_INLINE F round(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
CHAINRULE_INLINE F floor(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }
CHAINRULE_INLINE F ceil(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)}; }
CHAINRULE_INLINE F trunc(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)}; }

CHAINRULE_INLINE I operator+(I a, I b) { return {_mm512_add_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator-(I a, I b) { return {_mm512_sub_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator*(I a, I b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
CHAINRULE_INLINE I operator&(I a, I b) { return {_mm512_and_si512(a.v, b.v)}; }
CHAINRULE_INLINE I operator|(I a, I b) { return {_mm512_or_si512(a.v, b.v)}; }
CHAINRULE_INLINE I operator^(I a, I b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int n>
CHAINRULE_INLINE I shiftLeft(I a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRight(I a) {
  return {_mm512_srai_epi32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRightLogical(I a) {
  return {_mm512_srli_epi32(a.v, n)};
}
CHAINRULE_INLINE void mulWide(I a, I b, I& high, I& low) {
  const __m512i even = _mm512_mul_epu32(a.v, b.v);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), _mm512_srli_epi64(b.v, 32));
  high = {_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd)};
  low = {_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32))};
}

CHAINRULE_INLINE F operator&(F a, F b) { return {_mm512_and_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator|(F a, F b) { return {_mm512_or_ps(a.v, b.v)}; }
CHAINRULE_INLINE F operator^(F a, F b) { return {_mm512_xor_ps(a.v, b.v)}; }
CHAINRULE_INLINE F andNot(F a, F b) { return {_mm512_andnot_ps(a.v, b.v)}; }

CHAINRULE_INLINE M eq(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
CHAINRULE_INLINE M ne(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ)}; }
CHAINRULE_INLINE M lt(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
CHAINRULE_INLINE M le(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
CHAINRULE_INLINE M eq(I a, I b) { return {_mm512_cmpeq_epi32_mask(a.v, b.v)}; }
CHAINRULE_INLINE M lt(I a, I b) { return {_mm512_cmplt_epi32_mask(a.v, b.v)}; }
CHAINRULE_INLINE M operator&(M a, M b) { return {static_cast<__mmask16>(a.v & b.v)}; }
CHAINRULE_INLINE M operator|(M a, M b) { return {static_cast<__mmask16>(a.v | b.v)}; }
CHAINRULE_INLINE M operator!(M a) { return {static_cast<__mmask16>(~a.v)}; }
CHAINRULE_INLINE F select(M m, F a, F b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
CHAINRULE_INLINE I select(M m, I a, I b) { return {_mm512_mask_blend_epi32(m.v, b.v, a.v)}; }
CHAINRULE_INLINE F keep(M m, F a) { return {_mm512_maskz_mov_ps(m.v, a.v)}; }
CHAINRULE_INLINE I keep(M m, I a) { return {_mm512_maskz_mov_epi32(m.v, a.v)}; }
CHAINRULE_INLINE bool any(M m) { return m.v != 0; }
CHAINRULE_INLINE int bits(M m) { return m.v; }

CHAINRULE_INLINE I asInt(F a) { return {_mm512_castps_si512(a.v)}; }
CHAINRULE_INLINE F asFloat(I a) { return {_mm512_castsi512_ps(a.v)}; }
CHAINRULE_INLINE I asInt(M a) { return {_mm512_movm_epi32(a.v)}; }
CHAINRULE_INLINE M asMask(I a) { return {_mm512_movepi32_mask(a.v)}; }
CHAINRULE_INLINE F toFloat(I a) { return {_mm512_cvtepi32_ps(a.v)}; }
CHAINRULE_INLINE I toInt(F a) { return {_mm512_cvttps_epi32(a.v)}; }
CHAINRULE_INLINE I roundToInt(F a) { return {_mm512_cvtps_epi32(a.v)}; }

CHAINRULE_INLINE __m256 upperHalf(__m512 a) { return _mm512_extractf32x8_ps(a, 1); }
CHAINRULE_INLINE float reduceAdd(F a) {
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v), upperHalf(a.v));
  __m128 r = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  r = _mm_add_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}
CHAINRULE_INLINE float reduceMax(F a) {
  const __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a.v), upperHalf(a.v));
  __m128 r = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  r = _mm_max_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_max_ss(r, _mm_movehdup_ps(r)));
}
CHAINRULE_INLINE float reduceMin(F a) {
  const __m256 h = _mm256_min_ps(_mm512_castps512_ps256(a.v), upperHalf(a.v));
  __m128 r = _mm_min_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  r = _mm_min_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_min_ss(r, _mm_movehdup_ps(r)));
}
CHAINRULE_INLINE int32_t reduceAdd(I a) {
  const __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(a.v), _mm512_extracti32x8_epi32(a.v, 1));
  __m128i r = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(r, _mm_shuffle_epi32(r, 0xb1)));
}

CHAINRULE_INLINE void transpose(F* r) {
  // Squares of four within each quarter, then the quarters to their places.
  __m512 t[16], u[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    u[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    u[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    u[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    u[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512 a = _mm512_shuffle_f32x4(u[i], u[4 + i], 0x44), b = _mm512_shuffle_f32x4(u[i], u[4 + i], 0xee);
    const __m512 c = _mm512_shuffle_f32x4(u[8 + i], u[12 + i], 0x44), d = _mm512_shuffle_f32x4(u[8 + i], u[12 + i], 0xee);
    r[i].v = _mm512_shuffle_f32x4(a, c, 0x88);
    r[4 + i].v = _mm512_shuffle_f32x4(a, c, 0xdd);
    r[8 + i].v = _mm512_shuffle_f32x4(b, d, 0x88);
    r[12 + i].v = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
#endif
