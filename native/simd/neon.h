// The vector types on NEON (AArch64, its baseline): four lanes. Included by simd.h; scalar.h documents each function.
#pragma once
#if !defined(__aarch64__) && !defined(_M_ARM64)
#error "the neon kernels are for AArch64"
#endif
#include <arm_neon.h>

namespace chainrule::CHAINRULE_ISA {

constexpr int kWidth = 4;
constexpr const char* kIsaName = "neon";
constexpr bool kHasFma = true;

struct F {
  float32x4_t v;
};
struct I {
  int32x4_t v;
};
struct M {
  uint32x4_t v;
};

CHAINRULE_INLINE I lanes() {
  alignas(16) static constexpr int32_t kLanes[4] = {0, 1, 2, 3};
  return {vld1q_s32(kLanes)};
}

CHAINRULE_INLINE F load(const float* p) { return {vld1q_f32(p)}; }
CHAINRULE_INLINE I load(const int32_t* p) { return {vld1q_s32(p)}; }
CHAINRULE_INLINE void store(float* p, F a) { vst1q_f32(p, a.v); }
CHAINRULE_INLINE void store(int32_t* p, I a) { vst1q_s32(p, a.v); }
CHAINRULE_INLINE void stream(float* p, F a) { vst1q_f32(p, a.v); }  // whole lines written in order bypass the caches by themselves
CHAINRULE_INLINE void stream(int32_t* p, I a) { vst1q_s32(p, a.v); }
CHAINRULE_INLINE void streamFence() {}
CHAINRULE_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
CHAINRULE_INLINE F set1(float a) { return {vdupq_n_f32(a)}; }
CHAINRULE_INLINE I set1(int32_t a) { return {vdupq_n_s32(a)}; }
CHAINRULE_INLINE F zero() { return {vdupq_n_f32(0.0f)}; }
CHAINRULE_INLINE F loadPartial(const float* p, int64_t n) {
  if (n >= 4) return load(p);
  float32x4_t r = vdupq_n_f32(0.0f);
  if (n > 0) r = vld1q_lane_f32(p, r, 0);
  if (n > 1) r = vld1q_lane_f32(p + 1, r, 1);
  if (n > 2) r = vld1q_lane_f32(p + 2, r, 2);
  return {r};
}
CHAINRULE_INLINE I loadPartial(const int32_t* p, int64_t n) {
  if (n >= 4) return load(p);
  int32x4_t r = vdupq_n_s32(0);
  if (n > 0) r = vld1q_lane_s32(p, r, 0);
  if (n > 1) r = vld1q_lane_s32(p + 1, r, 1);
  if (n > 2) r = vld1q_lane_s32(p + 2, r, 2);
  return {r};
}
CHAINRULE_INLINE void storePartial(float* p, F a, int64_t n) {
  if (n >= 4) return store(p, a);
  if (n > 0) vst1q_lane_f32(p, a.v, 0);
  if (n > 1) vst1q_lane_f32(p + 1, a.v, 1);
  if (n > 2) vst1q_lane_f32(p + 2, a.v, 2);
}
CHAINRULE_INLINE void storePartial(int32_t* p, I a, int64_t n) {
  if (n >= 4) return store(p, a);
  if (n > 0) vst1q_lane_s32(p, a.v, 0);
  if (n > 1) vst1q_lane_s32(p + 1, a.v, 1);
  if (n > 2) vst1q_lane_s32(p + 2, a.v, 2);
}
CHAINRULE_INLINE F loadStrided(const float* p, int64_t s) {
  return {vld1q_lane_f32(p + 3 * s, vld1q_lane_f32(p + 2 * s, vld1q_lane_f32(p + s, vld1q_dup_f32(p), 1), 2), 3)};
}
CHAINRULE_INLINE I loadStrided(const int32_t* p, int64_t s) {
  return {vld1q_lane_s32(p + 3 * s, vld1q_lane_s32(p + 2 * s, vld1q_lane_s32(p + s, vld1q_dup_s32(p), 1), 2), 3)};
}
CHAINRULE_INLINE void loadPairs(const float* p, F& even, F& odd) {
  const float32x4x2_t pairs = vld2q_f32(p);
  even = {pairs.val[0]};
  odd = {pairs.val[1]};
}
CHAINRULE_INLINE F loadEven(const float* p) {
  // p[0..3] and p[3..6]: 0 2 of the first, 1 3 of the second.
  const float32x4_t a = vld1q_f32(p), b = vld1q_f32(p + 3);
  return {vcombine_f32(vget_low_f32(vuzp1q_f32(a, a)), vget_low_f32(vuzp2q_f32(b, b)))};
}
CHAINRULE_INLINE I loadBytes(const uint8_t* p) {
  uint32_t four;
  memcpy(&four, p, 4);
  const uint16x8_t words = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
  return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words)))};
}
CHAINRULE_INLINE void storeBytes(uint8_t* p, I a) {
  const uint16x4_t words = vmovn_u32(vreinterpretq_u32_s32(a.v));
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
  const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
  memcpy(p, &four, 4);
}

CHAINRULE_INLINE F operator+(F a, F b) { return {vaddq_f32(a.v, b.v)}; }
CHAINRULE_INLINE F operator-(F a, F b) { return {vsubq_f32(a.v, b.v)}; }
CHAINRULE_INLINE F operator*(F a, F b) { return {vmulq_f32(a.v, b.v)}; }
CHAINRULE_INLINE F operator/(F a, F b) { return {vdivq_f32(a.v, b.v)}; }
// NEON's own hand on NaN from either side and order zeros; these return b, as scalar.h states.
CHAINRULE_INLINE F min(F a, F b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
CHAINRULE_INLINE F max(F a, F b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
CHAINRULE_INLINE F fma(F a, F b, F c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
CHAINRULE_INLINE F nfma(F a, F b, F c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
CHAINRULE_INLINE F fms(F a, F b, F c) { return {vfmaq_f32(vnegq_f32(c.v), a.v, b.v)}; }
CHAINRULE_INLINE F sqrt(F a) { return {vsqrtq_f32(a.v)}; }
CHAINRULE_INLINE F round(F a) { return {vrndnq_f32(a.v)}; }
CHAINRULE_INLINE F floor(F a) { return {vrndmq_f32(a.v)}; }
CHAINRULE_INLINE F ceil(F a) { return {vrndpq_f32(a.v)}; }
CHAINRULE_INLINE F trunc(F a) { return {vrndq_f32(a.v)}; }

CHAINRULE_INLINE I operator+(I a, I b) { return {vaddq_s32(a.v, b.v)}; }
CHAINRULE_INLINE I operator-(I a, I b) { return {vsubq_s32(a.v, b.v)}; }
CHAINRULE_INLINE I operator*(I a, I b) { return {vmulq_s32(a.v, b.v)}; }
CHAINRULE_INLINE I operator&(I a, I b) { return {vandq_s32(a.v, b.v)}; }
CHAINRULE_INLINE I operator|(I a, I b) { return {vorrq_s32(a.v, b.v)}; }
CHAINRULE_INLINE I operator^(I a, I b) { return {veorq_s32(a.v, b.v)}; }
template <int n>
CHAINRULE_INLINE I shiftLeft(I a) {
  return {vshlq_n_s32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRight(I a) {
  return {vshrq_n_s32(a.v, n)};
}
template <int n>
CHAINRULE_INLINE I shiftRightLogical(I a) {
  return {vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v), n))};
}
CHAINRULE_INLINE void mulWide(I a, I b, I& high, I& low) {
  const uint32x4_t x = vreinterpretq_u32_s32(a.v), y = vreinterpretq_u32_s32(b.v);
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(x), vget_low_u32(y)));
  const uint32x4_t last = vreinterpretq_u32_u64(vmull_high_u32(x, y));
  low = {vreinterpretq_s32_u32(vuzp1q_u32(first, last))};
  high = {vreinterpretq_s32_u32(vuzp2q_u32(first, last))};
}

CHAINRULE_INLINE uint32x4_t bitsIn(F a) { return vreinterpretq_u32_f32(a.v); }
CHAINRULE_INLINE F operator&(F a, F b) { return {vreinterpretq_f32_u32(vandq_u32(bitsIn(a), bitsIn(b)))}; }
CHAINRULE_INLINE F operator|(F a, F b) { return {vreinterpretq_f32_u32(vorrq_u32(bitsIn(a), bitsIn(b)))}; }
CHAINRULE_INLINE F operator^(F a, F b) { return {vreinterpretq_f32_u32(veorq_u32(bitsIn(a), bitsIn(b)))}; }
CHAINRULE_INLINE F andNot(F a, F b) { return {vreinterpretq_f32_u32(vbicq_u32(bitsIn(b), bitsIn(a)))}; }

CHAINRULE_INLINE M eq(F a, F b) { return {vceqq_f32(a.v, b.v)}; }
CHAINRULE_INLINE M ne(F a, F b) { return {vmvnq_u32(vceqq_f32(a.v, b.v))}; }
CHAINRULE_INLINE M lt(F a, F b) { return {vcltq_f32(a.v, b.v)}; }
CHAINRULE_INLINE M le(F a, F b) { return {vcleq_f32(a.v, b.v)}; }
CHAINRULE_INLINE M eq(I a, I b) { return {vceqq_s32(a.v, b.v)}; }
CHAINRULE_INLINE M lt(I a, I b) { return {vcltq_s32(a.v, b.v)}; }
CHAINRULE_INLINE M operator&(M a, M b) { return {vandq_u32(a.v, b.v)}; }
CHAINRULE_INLINE M operator|(M a, M b) { return {vorrq_u32(a.v, b.v)}; }
CHAINRULE_INLINE M operator!(M a) { return {vmvnq_u32(a.v)}; }
CHAINRULE_INLINE F select(M m, F a, F b) { return {vbslq_f32(m.v, a.v, b.v)}; }
CHAINRULE_INLINE I select(M m, I a, I b) { return {vbslq_s32(m.v, a.v, b.v)}; }
CHAINRULE_INLINE F keep(M m, F a) { return {vreinterpretq_f32_u32(vandq_u32(m.v, bitsIn(a)))}; }
CHAINRULE_INLINE I keep(M m, I a) { return {vandq_s32(vreinterpretq_s32_u32(m.v), a.v)}; }
CHAINRULE_INLINE bool any(M m) { return vmaxvq_u32(m.v) != 0; }
CHAINRULE_INLINE int bits(M m) {
  alignas(16) static constexpr uint32_t kBits[4] = {1, 2, 4, 8};
  return static_cast<int>(vaddvq_u32(vandq_u32(m.v, vld1q_u32(kBits))));
}

CHAINRULE_INLINE I asInt(F a) { return {vreinterpretq_s32_f32(a.v)}; }
CHAINRULE_INLINE F asFloat(I a) { return {vreinterpretq_f32_s32(a.v)}; }
CHAINRULE_INLINE I asInt(M a) { return {vreinterpretq_s32_u32(a.v)}; }
CHAINRULE_INLINE M asMask(I a) { return {vreinterpretq_u32_s32(a.v)}; }
CHAINRULE_INLINE F toFloat(I a) { return {vcvtq_f32_s32(a.v)}; }
/// NEON's conversions saturate and turn NaN into 0; INT32_MIN wherever the value is not one of int32's, as on x86.
CHAINRULE_INLINE I inRange(F a, I converted) {
  const M fits = le(set1(-2147483648.0f), a) & lt(a, set1(2147483648.0f));
  return select(fits, converted, set1(INT32_MIN));
}
CHAINRULE_INLINE I toInt(F a) { return inRange(a, {vcvtq_s32_f32(a.v)}); }
CHAINRULE_INLINE I roundToInt(F a) { return inRange(a, {vcvtnq_s32_f32(a.v)}); }

// The same tree as SSE2's: halves, then the pair.
CHAINRULE_INLINE float reduceAdd(F a) {
  const float32x2_t r = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(r, 0) + vget_lane_f32(r, 1);
}
CHAINRULE_INLINE float reduceMax(F a) {
  const F r = max(a, {vextq_f32(a.v, a.v, 2)});
  return vgetq_lane_f32(max(r, {vextq_f32(r.v, r.v, 1)}).v, 0);
}
CHAINRULE_INLINE float reduceMin(F a) {
  const F r = min(a, {vextq_f32(a.v, a.v, 2)});
  return vgetq_lane_f32(min(r, {vextq_f32(r.v, r.v, 1)}).v, 0);
}
CHAINRULE_INLINE int32_t reduceAdd(I a) { return vaddvq_s32(a.v); }

CHAINRULE_INLINE void transpose(F* r) {
  const float32x4x2_t a = vtrnq_f32(r[0].v, r[1].v), b = vtrnq_f32(r[2].v, r[3].v);
  r[0].v = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
  r[1].v = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
  r[2].v = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
  r[3].v = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

}  // namespace chainrule::CHAINRULE_ISA
