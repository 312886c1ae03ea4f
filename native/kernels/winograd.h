// The transforms of Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2015): 16 outputs of a 3×3 filter by 36 products
// instead of 144. In one dimension y = Aᵀ[(G·g) ⊙ (Bᵀ·d)] from 6 inputs d, 3 taps g to 4 outputs, and the gradient of the taps is
// Gᵀ[(A·gy) ⊙ (Bᵀ·d)]. Interpolation points are 0, ±√½, ±√2 and infinity: with numbers of unit variance the error of a sum stays below
// 5e-7 of the sum of magnitudes of its products, where that of the usual points 0, ±1, ±2 is 1.6e-6, and direct summation's 1e-7. Errors
// are relative to all of a tile's neighbourhood of 6×6 inputs, and one NaN or infinity in it makes all of the tile's outputs NaN. Each
// function takes and gives vectors, `step` apart in memory.
#pragma once
#include "gemm_micro.h"

namespace chainrule::CHAINRULE_ISA {

constexpr int64_t kTile = 4;           ///< outputs of a tile, a side
constexpr int64_t kPatch = kTile + 2;  ///< inputs that it sees
constexpr int64_t kPoints = kPatch * kPatch;
constexpr float kRoot2 = 1.41421356f, kRootHalf = 0.707106781f, kRootEighth = 0.353553391f;

/// Bᵀ·d.
CHAINRULE_INLINE void winogradInput(const float* from, int64_t step, float* to, int64_t toStep) {
  const F d0 = load(from), d1 = load(from + step), d2 = load(from + 2 * step), d3 = load(from + 3 * step), d4 = load(from + 4 * step),
          d5 = load(from + 5 * step);
  const F two = set1(2.0f), half = set1(0.5f), more = set1(2.5f);
  const F a = nfma(two, d2, d4), b = nfma(two, d1, d3), c = nfma(half, d2, d4), e = nfma(half, d1, d3);
  store(to, d0 + nfma(more, d2, d4));
  store(to + toStep, fma(set1(kRootHalf), b, a));
  store(to + 2 * toStep, nfma(set1(kRootHalf), b, a));
  store(to + 3 * toStep, fma(set1(kRoot2), e, c));
  store(to + 4 * toStep, nfma(set1(kRoot2), e, c));
  store(to + 5 * toStep, d1 + nfma(more, d3, d5));
}

/// Aᵀ·m.
CHAINRULE_INLINE void winogradOutput(const float* from, int64_t step, float* to, int64_t toStep) {
  const F m0 = load(from), m1 = load(from + step), m2 = load(from + 2 * step), m3 = load(from + 3 * step), m4 = load(from + 4 * step),
          m5 = load(from + 5 * step);
  const F p = m1 + m2, q = m1 - m2, u = m3 + m4, w = m3 - m4;
  store(to, (m0 + p) + u);
  store(to + toStep, fma(set1(kRoot2), w, set1(kRootHalf) * q));
  store(to + 2 * toStep, fma(set1(2.0f), u, set1(0.5f) * p));
  store(to + 3 * toStep, fma(set1(2 * kRoot2), w, fma(set1(kRootEighth), q, m5)));
}

/// G·g.
CHAINRULE_INLINE void winogradTaps(const float* from, int64_t step, float* to, int64_t toStep) {
  const F g0 = load(from), g1 = load(from + step), g2 = load(from + 2 * step);
  const F a = fma(set1(1.0f / 3), g2, set1(2.0f / 3) * g0), b = set1(kRoot2 / 3) * g1;
  const F c = fma(set1(1.0f / 3), g2, set1(1.0f / 6) * g0), e = set1(kRoot2 / 6) * g1;
  store(to, g0);
  store(to + toStep, zero() - (a + b));
  store(to + 2 * toStep, b - a);
  store(to + 3 * toStep, c + e);
  store(to + 4 * toStep, c - e);
  store(to + 5 * toStep, g2);
}

/// A·gy.
CHAINRULE_INLINE void winogradOutputGrad(const float* from, int64_t step, float* to, int64_t toStep) {
  const F y0 = load(from), y1 = load(from + step), y2 = load(from + 2 * step), y3 = load(from + 3 * step);
  const F two = set1(2.0f), half = set1(0.5f);
  const F a = fma(half, y2, y0), b = fma(half, y3, y1), c = fma(two, y2, y0), e = fma(two, y3, y1);
  store(to, y0);
  store(to + toStep, fma(set1(kRootHalf), b, a));
  store(to + 2 * toStep, nfma(set1(kRootHalf), b, a));
  store(to + 3 * toStep, fma(set1(kRoot2), e, c));
  store(to + 4 * toStep, nfma(set1(kRoot2), e, c));
  store(to + 5 * toStep, y3);
}

/// Gᵀ·m.
CHAINRULE_INLINE void winogradTapsGrad(const float* from, int64_t step, float* to, int64_t toStep) {
  const F m0 = load(from), m1 = load(from + step), m2 = load(from + 2 * step), m3 = load(from + 3 * step), m4 = load(from + 4 * step),
          m5 = load(from + 5 * step);
  const F p = m1 + m2, q = m2 - m1, u = m3 + m4, w = m3 - m4;
  store(to, fma(set1(1.0f / 6), u, nfma(set1(2.0f / 3), p, m0)));
  store(to + toStep, fma(set1(kRoot2 / 6), w, set1(kRoot2 / 3) * q));
  store(to + 2 * toStep, fma(set1(1.0f / 3), u - p, m5));
}

}  // namespace chainrule::CHAINRULE_ISA
