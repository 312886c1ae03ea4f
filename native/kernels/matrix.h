// Factorizations of small dense matrices in double precision, row-major, plain loops: the same, line for line, as src/ops/matrix.ts. In: matrices
// that may be overwritten; out: factors. Those that can meet a singular matrix return the row or column where they did, others -1.
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

/// LU with row exchanges in place of A, applied to B (n × k) as well when there is one. `scale` has room for n numbers. The sign is that of the
/// exchanges. A pivot lost to rounding against its column counts as none.
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
      for (int64_t c = 0; c < n; c++) {
        const double t = a[j * n + c];
        a[j * n + c] = a[pivot * n + c];
        a[pivot * n + c] = t;
      }
      for (int64_t c = 0; c < k; c++) {
        const double t = b[j * k + c];
        b[j * k + c] = b[pivot * k + c];
        b[pivot * k + c] = t;
      }
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

/// Householder reflections as LAPACK's: A (m × n) becomes R in its upper triangle; Q (m × k), k = min(m, n), is written out. `factors` has room for k.
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

/// Makes column j a unit vector orthogonal to the columns before it, from the first axis that is not among them.
inline void completeColumn(double* u, int64_t m, int64_t n, int64_t j) {
  for (int64_t axis = 0; axis < m; axis++) {
    for (int64_t i = 0; i < m; i++) u[i * n + j] = i == axis ? 1 : 0;
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t c = 0; c < j; c++) {
        double s = 0;
        for (int64_t i = 0; i < m; i++) s += u[i * n + c] * u[i * n + j];
        for (int64_t i = 0; i < m; i++) u[i * n + j] -= s * u[i * n + c];
      }
    }
    double norm = 0;
    for (int64_t i = 0; i < m; i++) norm += u[i * n + j] * u[i * n + j];
    if (norm < 0.25 / static_cast<double>(m)) continue;
    for (int64_t i = 0; i < m; i++) u[i * n + j] /= root(norm);
    return;
  }
}

/// Swaps columns so that `values` fall (or rise); u has `rows` rows and v `more`, both of n columns.
inline void sortColumns(double* values, double* u, int64_t rows, double* v, int64_t more, int64_t n, bool falling) {
  for (int64_t j = 0; j < n; j++) {
    int64_t best = j;
    for (int64_t i = j + 1; i < n; i++) best = (falling ? values[i] > values[best] : values[i] < values[best]) ? i : best;
    if (best == j) continue;
    const double t = values[j];
    values[j] = values[best];
    values[best] = t;
    for (int64_t i = 0; i < rows + more; i++) {
      double* row = i < rows ? u + i * n : v + (i - rows) * n;
      const double x = row[j];
      row[j] = row[best];
      row[best] = x;
    }
  }
}

/// One-sided Jacobi rotations (Hestenes 1958) for m >= n: A (m × n) becomes U, `v` (n × n) the right vectors as columns, s the values, falling.
inline void svdInPlace(double* a, double* v, double* s, int64_t m, int64_t n) {
  for (int64_t i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0 ? 1 : 0;
  bool turned = true;
  for (int sweep = 0; turned && sweep < 60; sweep++) {
    turned = false;
    for (int64_t p = 0; p < n; p++) {
      for (int64_t q = p + 1; q < n; q++) {
        double alpha = 0, beta = 0, gamma = 0;
        for (int64_t i = 0; i < m; i++) {
          const double x = a[i * n + p], y = a[i * n + q];
          alpha += x * x;
          beta += y * y;
          gamma += x * y;
        }
        if (!(sizeOfNumber(gamma) > 1e-15 * root(alpha * beta))) continue;
        turned = true;
        double c, sine;
        rotationOf(alpha, beta, gamma, c, sine);
        rotateColumns(a, m, n, p, q, c, sine);
        rotateColumns(v, n, n, p, q, c, sine);
      }
    }
  }
  for (int64_t j = 0; j < n; j++) {
    double norm = 0;
    for (int64_t i = 0; i < m; i++) norm += a[i * n + j] * a[i * n + j];
    s[j] = root(norm);
  }
  sortColumns(s, a, m, v, n, n, true);
  for (int64_t j = 0; j < n; j++) {
    if (s[j] > kEpsilon * s[0] || s[j] != s[j]) {
      for (int64_t i = 0; i < m; i++) a[i * n + j] /= s[j];
    } else {
      completeColumn(a, m, n, j);
    }
  }
}

/// Two-sided Jacobi rotations: the symmetric A (n × n, both triangles read) becomes diagonal; `v` its vectors as columns, w the values, rising.
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
        for (int64_t i = 0; i < n; i++) {
          const double x = a[p * n + i], y = a[q * n + i];
          a[p * n + i] = c * x - s * y;
          a[q * n + i] = s * x + c * y;
        }
        a[p * n + q] = a[q * n + p] = 0;
        rotateColumns(v, n, n, p, q, c, s);
      }
    }
  }
  for (int64_t j = 0; j < n; j++) w[j] = a[j * n + j];
  sortColumns(w, v, n, v, 0, n, false);
}

}  // namespace chainrule::CHAINRULE_ISA
