// Singular values and vectors of dense matrices of doubles (dense.h): the eigenvectors V of AᵀA make the columns of A·V nearly orthogonal, and
// one-sided Jacobi rotations (Hestenes 1958) of the pairs that are not make them so to the last digit, as far as small values are concerned as well.
#include "dense.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kBlock = 64;
/// Cosines below this are lost in float32: rotations converge quadratically, so one more sweep would reach the square of it.
constexpr double kOrthogonal = 1e-12;
constexpr int kMostSweeps = 60;

/// The products of two rows with themselves and with each other.
void productsOf(const double* x, const double* y, int64_t n, double& alpha, double& beta, double& gamma) {
  D a{}, b{}, g{};
  int64_t i = 0;
  for (; i + kDoubles <= n; i += kDoubles) {
    const D p = loadDoubles(x + i), q = loadDoubles(y + i);
    a = fma(p, p, a);
    b = fma(q, q, b);
    g = fma(p, q, g);
  }
  alpha = sumOfDoubles(a);
  beta = sumOfDoubles(b);
  gamma = sumOfDoubles(g);
  for (; i < n; i++) {
    alpha += x[i] * x[i];
    beta += y[i] * y[i];
    gamma += x[i] * y[i];
  }
}

void rotateRows(double* x, double* y, int64_t n, double c, double s) {
  const D cosines = everyDouble(c), sines = everyDouble(s);
  int64_t i = 0;
  for (; i + kDoubles <= n; i += kDoubles) {
    const D p = loadDoubles(x + i), q = loadDoubles(y + i);
    storeDoubles(x + i, fma(cosines, p, -(sines * q)));
    storeDoubles(y + i, fma(sines, p, cosines * q));
  }
  for (; i < n; i++) {
    const double p = x[i];
    x[i] = c * p - s * y[i];
    y[i] = s * p + c * y[i];
  }
}

void swapRows(double* x, double* y, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const double p = x[i];
    x[i] = y[i];
    y[i] = p;
  }
}

/// G = X·Xᵀ of rows (n × m), of which `turned` gets the transpose (m × n). The upper triangle in blocks.
void productsOfRows(const Team& team, const double* x, int64_t step, double* turned, double* g, int64_t gStep, int64_t n, int64_t m) {
  forBlocks(team, n, kBlock, [&](int64_t first, int64_t count, std::byte*) {
    for (int64_t i = 0; i < m; i++) {
      for (int64_t j = first; j < first + count; j++) turned[i * gStep + j] = x[j * step + i];
    }
  });
  forBlocks(team, n, kBlock, [&](int64_t begin, int64_t all, std::byte*) {
    for (int64_t first = begin; first < begin + all; first += kBlock) {
      const int64_t left = begin + all - first, count = left < kBlock ? left : kBlock;
      for (int64_t i = 0; i < first + count; i++) {
        for (int64_t j = first; j < first + count; j++) g[i * gStep + j] = 0;
      }
      addProduct(g + first, gStep, 1, {x, step, 1}, turned + first, gStep, first + count, count, m);
    }
  });
}

/// Rotates the pairs of rows that G shows not to be orthogonal; whether there were any. Rows of norm² up to `nothing` are left alone.
bool orthogonalize(double* at, int64_t step, double* v, int64_t vStep, const double* g, int64_t m, int64_t n, double nothing) {
  bool turned = false;
  for (int64_t p = 0; p < n; p++) {
    for (int64_t q = p + 1; q < n; q++) {
      const double pp = g[p * vStep + p], qq = g[q * vStep + q], known = g[p * vStep + q];
      if (!(known * known > 0.25 * kOrthogonal * kOrthogonal * pp * qq) || !(pp > nothing) || !(qq > nothing)) continue;
      double alpha, beta, gamma;
      productsOf(at + p * step, at + q * step, m, alpha, beta, gamma);
      if (!(sizeOfNumber(gamma) > kOrthogonal * root(alpha * beta))) continue;
      turned = true;
      const double zeta = (beta - alpha) / (2 * gamma);
      const double t = (zeta < 0 ? -1 : 1) / (sizeOfNumber(zeta) + root(1 + zeta * zeta));
      const double c = 1 / root(1 + t * t);
      rotateRows(at + p * step, at + q * step, m, c, c * t);
      rotateRows(v + p * vStep, v + q * vStep, n, c, c * t);
    }
  }
  return turned;
}

/// Makes row j (of m numbers) a unit vector orthogonal to the rows before it, from the first axis at or behind `axis` that is not among them.
int64_t completeRow(double* u, int64_t step, int64_t m, int64_t j, int64_t axis) {
  double* row = u + j * step;
  for (; axis < m; axis++) {
    for (int64_t i = 0; i < m; i++) row[i] = i == axis ? 1 : 0;
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t c = 0; c < j; c++) {
        double alpha, beta, gamma;
        productsOf(u + c * step, row, m, alpha, beta, gamma);
        for (int64_t i = 0; i < m; i++) row[i] -= gamma * u[c * step + i];
      }
    }
    double alpha, beta, norm;
    productsOf(row, row, m, alpha, beta, norm);
    if (norm < 0.25 / static_cast<double>(m)) continue;
    for (int64_t i = 0; i < m; i++) row[i] /= root(norm);
    return axis + 1;
  }
  return axis;
}

/// Rows by falling values, of length one; those of no value are completed to a basis.
void finish(double* at, int64_t step, double* v, int64_t vStep, double* values, int64_t m, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    double alpha, beta, gamma;
    productsOf(at + j * step, at + j * step, m, alpha, beta, gamma);
    values[j] = root(gamma);
  }
  for (int64_t j = 0; j < n; j++) {
    int64_t best = j;
    for (int64_t i = j + 1; i < n; i++) best = values[i] > values[best] ? i : best;
    if (best == j) continue;
    swapRows(values + j, values + best, 1);
    swapRows(at + j * step, at + best * step, m);
    swapRows(v + j * vStep, v + best * vStep, n);
  }
  // where there is no value any vectors will do: the same ones on every backend
  int64_t left = 0, right = 0;
  for (int64_t j = 0; j < n; j++) {
    if (values[j] > kEpsilon * static_cast<double>(m) * values[0] || values[j] != values[j]) {
      for (int64_t i = 0; i < m; i++) at[j * step + i] /= values[j];
    } else {
      left = completeRow(at, step, m, j, left);
      right = completeRow(v, vStep, n, j, right);
    }
  }
}

}  // namespace

int64_t singularRoom(int64_t m, int64_t n) { return n * denseStep(m) + (m + n) * denseStep(n) + symmetricRoom(n); }

void decomposeSingular(const Team& team, double* at, int64_t step, double* v, double* values, int64_t m, int64_t n, double* room) {
  if (n == 0) return;
  const int64_t vStep = denseStep(n);
  double* product = room;
  double* turned = product + n * step;
  double* g = turned + m * vStep;
  productsOfRows(team, at, step, turned, g, vStep, n, m);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < i; j++) g[i * vStep + j] = g[j * vStep + i];
  }
  decomposeSymmetric(team, g, vStep, v, values, n, g + n * vStep);
  // falling from the start: fewer rotations
  for (int64_t i = 0; i < n / 2; i++) swapRows(v + i * vStep, v + (n - 1 - i) * vStep, n);
  forBlocks(team, m, kBlock, [&](int64_t first, int64_t count, std::byte*) {
    for (int64_t i = 0; i < n; i++) {
      for (int64_t j = first; j < first + count; j++) product[i * step + j] = 0;
    }
    addProduct(product + first, step, 1, {v, vStep, 1}, at + first, step, n, count, n);
  });
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < m; j++) at[i * step + j] = product[i * step + j];
  }
  const double none = kEpsilon * static_cast<double>(m);
  for (int sweep = 0; sweep < kMostSweeps; sweep++) {
    productsOfRows(team, at, step, turned, g, vStep, n, m);
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = g[i * vStep + i] > most ? g[i * vStep + i] : most;
    if (!orthogonalize(at, step, v, vStep, g, m, n, none * none * most)) break;
  }
  finish(at, step, v, vStep, values, m, n);
}

}  // namespace chainrule::CHAINRULE_ISA
