// The passes of a complex Fourier transform of mixed radix in double precision. In: numbers in place and room for as many; out: their transform in
// place, in order. `lanes` transforms run abreast: number j of lane l lies at j·lanes + l.
#pragma once
#include "../simd/doubles.h"

namespace chainrule::CHAINRULE_ISA {

constexpr double kPi = 3.14159265358979323846;
constexpr int kMostPasses = 40;
/// 4 before 2: passes after the first have whole vectors.
constexpr int32_t kRadixes[] = {4, 2, 3, 5, 7, 11, 13};

/// Complex numbers, real and imaginary parts apart.
struct Complex {
  double* re;
  double* im;
};

/// The radixes of each pass; `doubles` of tables: for each pass the cosines and sines of its radix (2·radix), then the roots by which each butterfly's
/// results are turned (2·(radix − 1) a butterfly).
struct Passes {
  int64_t size, doubles;
  int32_t count;
  int32_t radix[kMostPasses];
};

/// Whether the size has only small factors.
inline bool planPasses(Passes& passes, int64_t size) {
  passes = {size, 0, 0, {}};
  int64_t rest = size > 0 ? size : 1;
  for (const int32_t r : kRadixes) {
    while (rest % r == 0) {
      passes.radix[passes.count++] = r;
      passes.doubles += 2 * r + 2 * (r - 1) * (rest / r);
      rest /= r;
    }
  }
  return rest == 1;
}

inline void makeTwiddles(const Passes& passes, double* to) {
  int64_t n = passes.size;
  for (int32_t pass = 0; pass < passes.count; pass++) {
    const int64_t r = passes.radix[pass], butterflies = n / r;
    const auto put = [&](int64_t k, int64_t of) {
      const double angle = 2 * kPi * static_cast<double>(k) / static_cast<double>(of);
      *to++ = __builtin_cos(angle);
      *to++ = __builtin_sin(angle);
    };
    for (int64_t k = 0; k < r; k++) put(k, r);
    for (int64_t p = 0; p < butterflies; p++)
      for (int64_t k = 1; k < r; k++) put(-(p * k % n), n);
    n = butterflies;
  }
}

template <class V>
CHAINRULE_INLINE V numbersAt(const double* p) {
  V a;
  __builtin_memcpy(&a, p, sizeof a);
  return a;
}
CHAINRULE_INLINE D scaledSum(double by, D a, D c) { return fma(everyDouble(by), a, c); }
CHAINRULE_INLINE double scaledSum(double by, double a, double c) { return by * a + c; }

/// The transform of R numbers in place; `circle` has cosine and sine of each R-th part of it.
template <int R, class V>
CHAINRULE_INLINE void butterfly(V* re, V* im, const double* circle) {
  if constexpr (R == 2) {
    const V r = re[0] - re[1], i = im[0] - im[1];
    re[0] = re[0] + re[1], im[0] = im[0] + im[1];
    re[1] = r, im[1] = i;
  } else if constexpr (R == 4) {
    const V ar = re[0] + re[2], ai = im[0] + im[2], br = re[0] - re[2], bi = im[0] - im[2];
    const V cr = re[1] + re[3], ci = im[1] + im[3], dr = im[1] - im[3], di = re[3] - re[1];
    re[0] = ar + cr, im[0] = ai + ci;
    re[1] = br + dr, im[1] = bi + di;
    re[2] = ar - cr, im[2] = ai - ci;
    re[3] = br - dr, im[3] = bi - di;
  } else {
    constexpr int H = R / 2;
    V sr[H], si[H], dr[H], di[H];
    const V r0 = re[0], i0 = im[0];
    V allR = r0, allI = i0;
#pragma GCC unroll 8
    for (int k = 0; k < H; k++) {
      sr[k] = re[k + 1] + re[R - 1 - k], si[k] = im[k + 1] + im[R - 1 - k];
      dr[k] = re[k + 1] - re[R - 1 - k], di[k] = im[k + 1] - im[R - 1 - k];
      allR = allR + sr[k], allI = allI + si[k];
    }
    re[0] = allR, im[0] = allI;
#pragma GCC unroll 8
    for (int j = 1; j <= H; j++) {
      V er = r0, ei = i0, or_ = r0 - r0, oi = or_;
#pragma GCC unroll 8
      for (int k = 1; k <= H; k++) {
        const double c = circle[2 * (j * k % R)], s = circle[2 * (j * k % R) + 1];
        er = scaledSum(c, sr[k - 1], er), ei = scaledSum(c, si[k - 1], ei);
        or_ = scaledSum(s, dr[k - 1], or_), oi = scaledSum(s, di[k - 1], oi);
      }
      re[j] = er + oi, im[j] = ei - or_;
      re[R - j] = er - oi, im[R - j] = ei + or_;
    }
  }
}

/// One vector (or number) of one butterfly: R numbers `in` apart become R numbers `out` apart, turned by the roots w.
template <int R, class V>
CHAINRULE_INLINE void turnedButterfly(const Complex& x, int64_t in, const Complex& y, int64_t out, const double* w, const double* circle) {
  V re[R], im[R];
#pragma GCC unroll 16
  for (int k = 0; k < R; k++) re[k] = numbersAt<V>(x.re + k * in), im[k] = numbersAt<V>(x.im + k * in);
  butterfly<R, V>(re, im, circle);
  __builtin_memcpy(y.re, &re[0], sizeof(V));
  __builtin_memcpy(y.im, &im[0], sizeof(V));
#pragma GCC unroll 16
  for (int k = 1; k < R; k++) {
    const double wr = w[2 * k - 2], wi = w[2 * k - 1];
    const V r = scaledSum(wr, re[k], -(im[k] * wi)), i = scaledSum(wr, im[k], re[k] * wi);
    __builtin_memcpy(y.re + k * out, &r, sizeof(V));
    __builtin_memcpy(y.im + k * out, &i, sizeof(V));
  }
}

/// All butterflies of a pass: `n` numbers are left to transform in each of `runs` neighbouring sequences.
template <int R>
void runPass(Complex x, Complex y, int64_t n, int64_t runs, const double* tables) {
  const int64_t m = n / R, in = runs * m, out = runs;
  const double* w = tables + 2 * R;
  for (int64_t p = 0; p < m; p++, w += 2 * (R - 1)) {
    const Complex from{x.re + runs * p, x.im + runs * p}, to{y.re + runs * R * p, y.im + runs * R * p};
    int64_t q = 0;
    for (; q + kDoubles <= runs; q += kDoubles) {
      turnedButterfly<R, D>({from.re + q, from.im + q}, in, {to.re + q, to.im + q}, out, w, tables);
    }
    for (; q < runs; q++) turnedButterfly<R, double>({from.re + q, from.im + q}, in, {to.re + q, to.im + q}, out, w, tables);
  }
}

template <int lanes>
void runPasses(const Passes& passes, const double* tables, Complex z, Complex room) {
  Complex x = z, y = room;
  int64_t n = passes.size, runs = lanes;
  for (int32_t pass = 0; pass < passes.count; pass++) {
    const int32_t r = passes.radix[pass];
    const auto run = r == 4   ? runPass<4>
                     : r == 2 ? runPass<2>
                     : r == 3 ? runPass<3>
                     : r == 5 ? runPass<5>
                     : r == 7 ? runPass<7>
                     : r == 11 ? runPass<11>
                               : runPass<13>;
    run(x, y, n, runs, tables);
    tables += 2 * r + 2 * (r - 1) * (n / r);
    n /= r;
    runs *= r;
    const Complex swap = x;
    x = y;
    y = swap;
  }
  if (x.re == z.re) return;
  const size_t bytes = sizeof(double) * static_cast<size_t>(passes.size * lanes);
  memcpy(z.re, x.re, bytes);
  memcpy(z.im, x.im, bytes);
}

}  // namespace chainrule::CHAINRULE_ISA
