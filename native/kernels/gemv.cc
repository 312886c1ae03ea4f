// Products of very few rows, bound by memory: the right operand is read once, where it is. Dot products where it is
// contiguous along k (a linear layer's weights), sums of rows where it is contiguous along n.
#include "gemm.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

/// Dot products of R rows of a and C rows of b (columns of B), all contiguous; U vectors of k at a time with sums of their own.
template <int R, int C, int U>
void dots(const float* a, int64_t aStep, const float* b, int64_t bStep, int64_t k, float* out, int64_t outStep) {
  F sum[R][C][U];
#pragma GCC unroll 32
  for (int i = 0; i < R; i++)
#pragma GCC unroll 32
    for (int j = 0; j < C; j++)
#pragma GCC unroll 32
      for (int u = 0; u < U; u++) sum[i][j][u] = zero();
  int64_t at = 0;
  for (; at + U * kWidth <= k; at += U * kWidth) {
#pragma GCC unroll 32
    for (int u = 0; u < U; u++) {
      F x[R];
#pragma GCC unroll 32
      for (int i = 0; i < R; i++) x[i] = load(a + i * aStep + at + u * kWidth);
#pragma GCC unroll 32
      for (int j = 0; j < C; j++) {
        const F y = load(b + j * bStep + at + u * kWidth);
        if (u == 0 && C > 1) __builtin_prefetch(b + (C + j) * bStep + at);  // the rows that come next
#pragma GCC unroll 32
        for (int i = 0; i < R; i++) sum[i][j][u] = fma(x[i], y, sum[i][j][u]);
      }
    }
  }
  for (; at < k; at += kWidth) {
    const int64_t have = smaller(kWidth, k - at);
#pragma GCC unroll 32
    for (int j = 0; j < C; j++) {
      const F y = loadPartial(b + j * bStep + at, have);
#pragma GCC unroll 32
      for (int i = 0; i < R; i++) sum[i][j][0] = fma(loadPartial(a + i * aStep + at, have), y, sum[i][j][0]);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < R; i++)
#pragma GCC unroll 32
    for (int j = 0; j < C; j++) {
      F total = sum[i][j][0];
#pragma GCC unroll 32
      for (int u = 1; u < U; u++) total = total + sum[i][j][u];
      out[i * outStep + j] = reduceAdd(total);
    }
}

template <int R>
void dotRows(const float* a, int64_t aStep, const float* b, int64_t bStep, int64_t k, float* out, int64_t outStep, int64_t count) {
  int64_t n = 0;
  for (; n + 4 <= count; n += 4) dots<R, 4, R == 1 ? 2 : 1>(a, aStep, b + n * bStep, bStep, k, out + n, outStep);
  for (; n < count; n++) dots<R, 1, R == 1 ? 4 : 2>(a, aStep, b + n * bStep, bStep, k, out + n, outStep);
}

/// What follows the product, for rows still in cache.
void finishAll(const GemmJob& job, const GemmMatrix& at, int64_t n0, int64_t n1, float* c, int64_t step, std::byte* scratch) {
  const GemmPlan& p = *job.plan;
  if (p.product.kind == ProductKind::finish && !p.product.plain)
    for (int64_t m = 0; m < p.m; m++)
      for (int64_t n = n0; n < n1; n += kWidth) {
        const int64_t have = smaller(kWidth, n1 - n);
        float* to = c + m * step + n - n0;
        storePartial(to, finishVector(loadPartial(to, have), at.finish, m, n, have), have);
      }
  finishRows(job, at, 0, p.m, n0, n1 - n0, c, step, scratch);
}

}  // namespace

void runDots(const GemmJob& job, const GemmMatrix& at, int64_t n0, int64_t n1, std::byte* scratch) {
  const GemmPlan& p = *job.plan;
  float* c = at.c ? at.c + n0 : reinterpret_cast<float*>(scratch);
  const int64_t step = at.c ? at.cStep : n1 - n0, aStep = p.a.m, bStep = p.b.n, count = n1 - n0;
  const float* b = at.b + n0 * bStep;
  switch (p.m) {
    case 1:
      dotRows<1>(at.a, aStep, b, bStep, p.k, c, step, count);
      break;
    case 2:
      dotRows<2>(at.a, aStep, b, bStep, p.k, c, step, count);
      break;
    default:  // 3 or 4: the rows of b come from L1 the second time
      for (int64_t n = 0; n < count; n += 4) {
        const int64_t some = smaller(4, count - n);
        dotRows<2>(at.a, aStep, b + n * bStep, bStep, p.k, c + n, step, some);
        if (p.m == 3)
          dotRows<1>(at.a + 2 * aStep, aStep, b + n * bStep, bStep, p.k, c + 2 * step + n, step, some);
        else
          dotRows<2>(at.a + 2 * aStep, aStep, b + n * bStep, bStep, p.k, c + 2 * step + n, step, some);
      }
  }
  finishAll(job, at, n0, n1, c, step, scratch + p.localRows);
}

void runAxpy(const GemmJob& job, const GemmMatrix& at, int64_t n0, int64_t n1, std::byte* scratch) {
  const GemmPlan& p = *job.plan;
  float* c = at.c ? at.c + n0 : reinterpret_cast<float*>(scratch);
  constexpr int kRows = 8;  // streams of memory at a time
  const int64_t count = n1 - n0, step = p.b.m;
  for (int64_t k = 0; k < p.k; k += kRows) {
    const int64_t rows = smaller(kRows, p.k - k);
    F x[kRows];
    for (int i = 0; i < kRows; i++) x[i] = i < rows ? set1(at.a[(k + i) * p.a.n]) : zero();
    const float* b = at.b + k * step + n0;
    int64_t n = 0;
    if (rows == kRows)
      for (; n + kWidth <= count; n += kWidth) {
        F y = k == 0 ? zero() : load(c + n);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; i++) y = fma(x[i], load(b + i * step + n), y);
        store(c + n, y);
      }
    for (; n < count; n += kWidth) {
      const int64_t have = smaller(kWidth, count - n);
      F y = k == 0 ? zero() : loadPartial(c + n, have);
      for (int64_t i = 0; i < rows; i++) y = fma(x[i], loadPartial(b + i * step + n, have), y);
      storePartial(c + n, y, have);
    }
  }
  finishAll(job, at, n0, n1, c, count, scratch + p.localRows);
}

}  // namespace chainrule::CHAINRULE_ISA
