// Factorizations of small dense matrices in double precision, row-major, plain loops: the same, line for line, as src/ops/matrix.ts. In:
// matrices that may be overwritten; out: factors. Those that can meet a singular matrix return the row or column where they did, others -1.
#pragma once
#include <cstdint>

#include "../simd/simd.h"

namespace chainrule::CHAINRULE_ISA {

constexpr double kEpsilon = 0x1p-52;

inline double sizeOfNumber(double x) { return x < 0 ? -x : x; }
inline double root(double x) { return __builtin_sqrt(x); }

/// Lower triangle L with A = L·Lᵀ in place of A, reading its lower triangle; zeros above.
inline int64_t choleskyInPlace(double* a, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    double d = a[j * n + j];
    for (int64_t k = 0; k < j; k++) d -= a[j * n + k] * a[j * n + k];
    if (!(d > 0)) return j;
    d = root(d);
    a[j * n + j] = d;
    for (int64_t i = j + 1; i < n; i++) {
      double s = a[i * n + j];
      for (int64_t k = 0; k < j; k++) s -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = s / d;
    }
    for (int64_t k = j + 1; k < n; k++) a[j * n + k] = 0;
  }
  return -1;
}

inline void swapRows(double* a, int64_t i, int64_t j, int64_t n) {
  for (int64_t c = 0; c < n; c++) {
    const double t = a[i * n + c];
    a[i * n + c] = a[j * n + c];
    a[j * n + c] = t;
  }
}

/// LU with row exchanges in place of A, applied to B (n × k) as well when there is one. `scale` has room for n numbers. The sign is that of
/// the exchanges. A pivot lost to rounding against its column counts as none.
inline int64_t luInPlace(double* a, int64_t n, double* b, int64_t k, double* scale, double& sign) {
  sign = 1;
  int64_t singular = -1;
  for (int64_t j = 0; j < n; j++) {
    scale[j] = 0;
    for (int64_t i = 0; i < n; i++) scale[j] = sizeOfNumber(a[i * n + j]) > scale[j] ? sizeOfNumber(a[i * n + j]) : scale[j];
  }
  for (int64_t j = 0; j < n; j++) {
    int64_t pivot = j;
    for (int64_t i = j + 1; i < n; i++) pivot = sizeOfNumber(a[i * n + j]) > sizeOfNumber(a[pivot * n + j]) ? i : pivot;
    if (singular < 0 && sizeOfNumber(a[pivot * n + j]) <= kEpsilon * static_cast<double>(n) * scale[j]) singular = j;
    if (pivot != j) {
      sign = -sign;
      swapRows(a, j, pivot, n);
      swapRows(b, j, pivot, k);
    }
    if (a[j * n + j] == 0) continue;
    for (int64_t i = j + 1; i < n; i++) {
      const double f = a[i * n + j] / a[j * n + j];
      a[i * n + j] = f;
      if (f == 0) continue;
      for (int64_t c = j + 1; c < n; c++) a[i * n + c] -= f * a[j * n + c];
      for (int64_t c = 0; c < k; c++) b[i * k + c] -= f * b[j * k + c];
    }
  }
  return singular;
}

/// X with A·X = B in place of B (n × k), of a triangular A; `unit` takes ones for its diagonal.
inline int64_t solveTriangularInPlace(const double* a, double* b, int64_t n, int64_t k, bool upper, bool unit) {
  for (int64_t step = 0; step < n; step++) {
    const int64_t i = upper ? n - 1 - step : step;
    if (!unit && a[i * n + i] == 0) return i;
    for (int64_t j = upper ? i + 1 : 0; j < (upper ? n : i); j++) {
      const double f = a[i * n + j];
      if (f == 0) continue;
      for (int64_t c = 0; c < k; c++) b[i * k + c] -= f * b[j * k + c];
    }
    if (unit) continue;
    for (int64_t c = 0; c < k; c++) b[i * k + c] /= a[i * n + i];
  }
  return -1;
}

/// Householder reflections as LAPACK's: A (m × n) becomes R in its upper triangle; Q (m × k), k = min(m, n), is written out. `factors` has
/// room for k.
inline void qrInPlace(double* a, double* q, double* factors, int64_t m, int64_t n) {
  const int64_t k = m < n ? m : n;
  for (int64_t j = 0; j < k; j++) {
    double below = 0;
    for (int64_t i = j + 1; i < m; i++) below += a[i * n + j] * a[i * n + j];
    const double head = a[j * n + j];
    factors[j] = 0;
    if (below == 0) continue;
    const double beta = head > 0 ? -root(head * head + below) : root(head * head + below);
    factors[j] = (beta - head) / beta;
    for (int64_t i = j + 1; i < m; i++) a[i * n + j] /= head - beta;
    a[j * n + j] = beta;
    for (int64_t c = j + 1; c < n; c++) {
      double s = a[j * n + c];
      for (int64_t i = j + 1; i < m; i++) s += a[i * n + j] * a[i * n + c];
      s *= factors[j];
      a[j * n + c] -= s;
      for (int64_t i = j + 1; i < m; i++) a[i * n + c] -= s * a[i * n + j];
    }
  }
  for (int64_t i = 0; i < m; i++) {
    for (int64_t c = 0; c < k; c++) q[i * k + c] = i == c ? 1 : 0;
  }
  for (int64_t j = k - 1; j >= 0; j--) {
    for (int64_t c = j; c < k; c++) {
      double s = q[j * k + c];
      for (int64_t i = j + 1; i < m; i++) s += a[i * n + j] * q[i * k + c];
      s *= factors[j];
      q[j * k + c] -= s;
      for (int64_t i = j + 1; i < m; i++) q[i * k + c] -= s * a[i * n + j];
    }
  }
}

/// The rotation that makes two columns with these products orthogonal.
inline void rotationOf(double alpha, double beta, double gamma, double& c, double& s) {
  const double zeta = (beta - alpha) / (2 * gamma);
  const double t = (zeta < 0 ? -1 : 1) / (sizeOfNumber(zeta) + root(1 + zeta * zeta));
  c = 1 / root(1 + t * t);
  s = c * t;
}

/// Columns p and q of a (rows × stride) turned.
inline void rotateColumns(double* a, int64_t rows, int64_t stride, int64_t p, int64_t q, double c, double s) {
  for (int64_t i = 0; i < rows; i++) {
    const double x = a[i * stride + p], y = a[i * stride + q];
    a[i * stride + p] = c * x - s * y;
    a[i * stride + q] = s * x + c * y;
  }
}

/// Makes row j (of m numbers) a unit vector orthogonal to the rows before it, from the first axis that is not among them.
inline void completeRow(double* u, int64_t m, int64_t j) {
  double* row = u + j * m;
  for (int64_t axis = 0; axis < m; axis++) {
    for (int64_t i = 0; i < m; i++) row[i] = i == axis ? 1 : 0;
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t c = 0; c < j; c++) {
        double s = 0;
        for (int64_t i = 0; i < m; i++) s += u[c * m + i] * row[i];
        for (int64_t i = 0; i < m; i++) row[i] -= s * u[c * m + i];
      }
    }
    double norm = 0;
    for (int64_t i = 0; i < m; i++) norm += row[i] * row[i];
    if (norm < 0.25 / static_cast<double>(m)) continue;
    for (int64_t i = 0; i < m; i++) row[i] /= root(norm);
    return;
  }
}

/// Swaps rows so that the n `values` fall (or rise): of u, of `width` numbers each, and of v, of `more`.
inline void sortRows(double* values, double* u, int64_t width, double* v, int64_t more, int64_t n, bool falling) {
  for (int64_t j = 0; j < n; j++) {
    int64_t best = j;
    for (int64_t i = j + 1; i < n; i++) best = (falling ? values[i] > values[best] : values[i] < values[best]) ? i : best;
    if (best == j) continue;
    swapRows(values, j, best, 1);
    swapRows(u, j, best, width);
    swapRows(v, j, best, more);
  }
}

/// Rows p and q of a (rows of `n`) turned.
inline void rotateRows(double* a, int64_t n, int64_t p, int64_t q, double c, double s) {
  double* x = a + p * n;
  double* y = a + q * n;
  for (int64_t i = 0; i < n; i++) {
    const double t = x[i];
    x[i] = c * t - s * y[i];
    y[i] = s * t + c * y[i];
  }
}

/// The products of two rows with themselves and with each other, in four sums each.
inline void productsOf(const double* x, const double* y, int64_t n, double& alpha, double& beta, double& gamma) {
  double a[4] = {}, b[4] = {}, g[4] = {};
  for (int64_t i = 0; i < n; i += 4) {
    const int64_t left = n - i < 4 ? n - i : 4;
    for (int64_t k = 0; k < left; k++) {
      a[k] += x[i + k] * x[i + k];
      b[k] += y[i + k] * y[i + k];
      g[k] += x[i + k] * y[i + k];
    }
  }
  alpha = (a[0] + a[1]) + (a[2] + a[3]);
  beta = (b[0] + b[1]) + (b[2] + b[3]);
  gamma = (g[0] + g[1]) + (g[2] + g[3]);
}

/// One-sided Jacobi rotations (Hestenes 1958) of Aᵀ (n × m, m >= n), whose rows become those of Uᵀ; `v` (n × n) has the right vectors as
/// rows, s the values, falling. Rows count as orthogonal when the cosine between them is below `limit`.
inline void svdInPlace(double* a, double* v, double* s, int64_t m, int64_t n, double limit) {
  for (int64_t i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0 ? 1 : 0;
  bool turned = true;
  for (int sweep = 0; turned && sweep < 60; sweep++) {
    turned = false;
    for (int64_t p = 0; p < n; p++) {
      for (int64_t q = p + 1; q < n; q++) {
        double alpha, beta, gamma;
        productsOf(a + p * m, a + q * m, m, alpha, beta, gamma);
        if (!(sizeOfNumber(gamma) > limit * root(alpha * beta))) continue;
        turned = true;
        double c, sine;
        rotationOf(alpha, beta, gamma, c, sine);
        rotateRows(a, m, p, q, c, sine);
        rotateRows(v, n, p, q, c, sine);
      }
    }
  }
  for (int64_t j = 0; j < n; j++) {
    double norm = 0;
    for (int64_t i = 0; i < m; i++) norm += a[j * m + i] * a[j * m + i];
    s[j] = root(norm);
  }
  sortRows(s, a, m, v, n, n, true);
  for (int64_t j = 0; j < n; j++) {
    if (s[j] > kEpsilon * s[0] || s[j] != s[j]) {
      for (int64_t i = 0; i < m; i++) a[j * m + i] /= s[j];
    } else {
      completeRow(a, m, j);
    }
  }
}

/// Two-sided Jacobi rotations: the symmetric A (n × n, both triangles read) becomes diagonal; `v` its vectors as rows, w the values,
/// rising.
inline void eighInPlace(double* a, double* v, double* w, int64_t n) {
  double norm = 0;
  for (int64_t i = 0; i < n * n; i++) {
    v[i] = i % (n + 1) == 0 ? 1 : 0;
    norm += a[i] * a[i];
  }
  bool turned = true;
  for (int sweep = 0; turned && sweep < 60; sweep++) {
    turned = false;
    for (int64_t p = 0; p < n; p++) {
      for (int64_t q = p + 1; q < n; q++) {
        if (!(sizeOfNumber(a[p * n + q]) > 1e-17 * root(norm))) continue;
        turned = true;
        double c, s;
        rotationOf(a[p * n + p], a[q * n + q], a[p * n + q], c, s);
        rotateColumns(a, n, n, p, q, c, s);
        rotateRows(a, n, p, q, c, s);
        a[p * n + q] = a[q * n + p] = 0;
        rotateRows(v, n, p, q, c, s);
      }
    }
  }
  for (int64_t j = 0; j < n; j++) w[j] = a[j * n + j];
  sortRows(w, v, n, v, 0, n, false);
}

}  // namespace chainrule::CHAINRULE_ISA
