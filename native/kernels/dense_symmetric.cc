// Eigenvalues and eigenvectors of symmetric matrices of doubles (dense.h): blocked reduction to a tridiagonal matrix (Dongarra, Sorensen and
// Hammarling 1989), implicit QL with shifts, whose rotations are gathered and then applied to columns that stay in cache.
#include "dense.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

/// Rows of A that one chunk multiplies; columns that one chunk rotates; columns that are rotated at once.
constexpr int64_t kRowBlock = 64, kTurned = 64, kAbreast = 4 * kDoubles;
/// Reflections that A is updated by at once.
constexpr int64_t kPanel = 32;
/// Rotations per column that are gathered, and iterations until an eigenvalue is taken as it is.
constexpr int64_t kSweeps = 24, kPatience = 60;

struct Rotation {
  double c, s;
};
/// Rotations of rows `last` and `last + 1`, then those before, down to `first`.
struct Sweep {
  int64_t first, last, at;
};

CHAINRULE_INLINE double dot(const double* a, const double* b, int64_t n) {
  D sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * kDoubles <= n; i += 4 * kDoubles) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++) sum[u] = fma(loadDoubles(a + i + u * kDoubles), loadDoubles(b + i + u * kDoubles), sum[u]);
  }
  double total = sumOfDoubles((sum[0] + sum[1]) + (sum[2] + sum[3]));
  for (; i < n; i++) total += a[i] * b[i];
  return total;
}

/// to += f·from.
CHAINRULE_INLINE void accumulate(double* to, double f, const double* from, int64_t n) {
  const D by = everyDouble(f);
  int64_t j = 0;
  for (; j + kDoubles <= n; j += kDoubles) storeDoubles(to + j, fma(by, loadDoubles(from + j), loadDoubles(to + j)));
  for (; j < n; j++) to[j] += f * from[j];
}

/// A becomes tridiagonal: d on the diagonal, e beside it. Row j of `reflections` is the vector of reflection j, zeros up to its 1 at j + 1.
void reduceSymmetric(const Team& team, double* a, int64_t step, int64_t n, double* d, double* e, double* tau, double* reflections,
                     double* partners) {
  for (int64_t p = 0; p < n; p += kPanel) {
    const int64_t end = n - p < kPanel ? n : p + kPanel;
    for (int64_t j = p; j < end; j++) {
      double* row = a + j * step;
      // the updates that A has not seen yet
      for (int64_t l = p; l < j; l++) {
        accumulate(row + j, -reflections[l * step + j], partners + (l - p) * step + j, n - j);
        accumulate(row + j, -partners[(l - p) * step + j], reflections + l * step + j, n - j);
      }
      d[j] = row[j];
      e[j] = 0;
      tau[j] = 0;
      double* v = reflections + j * step;
      double* w = partners + (j - p) * step;
      for (int64_t i = 0; i < n; i++) v[i] = w[i] = 0;
      if (j + 1 >= n) continue;
      const int64_t first = j + 1, m = n - first;
      tau[j] = makeReflection(row + first, 1, m);
      e[j] = row[first];
      if (tau[j] == 0) continue;
      v[first] = 1;
      for (int64_t i = first + 1; i < n; i++) v[i] = row[i];
      forBlocks(team, m, kRowBlock, [&](int64_t begin, int64_t count, std::byte*) {
        for (int64_t i = first + begin; i < first + begin + count; i++) w[i] = dot(a + i * step + first, v + first, m);
      });
      for (int64_t l = p; l < j; l++) {
        const double* other = partners + (l - p) * step + first;
        const double byOther = dot(other, v + first, m), byReflection = dot(reflections + l * step + first, v + first, m);
        accumulate(w + first, -byOther, reflections + l * step + first, m);
        accumulate(w + first, -byReflection, other, m);
      }
      for (int64_t i = first; i < n; i++) w[i] *= tau[j];
      accumulate(w + first, -0.5 * tau[j] * dot(w + first, v + first, m), v + first, m);
    }
    forBlocks(team, n - end, kRowBlock, [&](int64_t begin, int64_t count, std::byte*) {
      const int64_t i = end + begin;
      const double *v = reflections + p * step, *w = partners;
      addProduct(a + i * step + end, step, -1, {v + i, 1, step}, w + end, step, count, n - end, end - p);
      addProduct(a + i * step + end, step, -1, {w + i, 1, step}, v + end, step, count, n - end, end - p);
    });
  }
}

/// One sweep over `width` columns that begin at x: each row is read and written once.
template <int vectors>
CHAINRULE_INLINE void turnColumns(double* x, int64_t step, const Sweep& sweep, const Rotation* rotations) {
  D below[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) below[v] = loadDoubles(x + (sweep.last + 1) * step + v * kDoubles);
  const Rotation* r = rotations + sweep.at;
  for (int64_t i = sweep.last; i >= sweep.first; i--, r++) {
    const D c = everyDouble(r->c), s = everyDouble(r->s);
    double* row = x + i * step;
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) {
      const D here = loadDoubles(row + v * kDoubles);
      storeDoubles(row + step + v * kDoubles, fma(s, here, c * below[v]));
      below[v] = fma(c, here, -(s * below[v]));
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) storeDoubles(x + sweep.first * step + v * kDoubles, below[v]);
}

void turnColumn(double* x, int64_t step, const Sweep& sweep, const Rotation* rotations) {
  const Rotation* r = rotations + sweep.at;
  for (int64_t i = sweep.last; i >= sweep.first; i--, r++) {
    const double here = x[i * step], below = x[(i + 1) * step];
    x[(i + 1) * step] = r->s * here + r->c * below;
    x[i * step] = r->c * here - r->s * below;
  }
}

/// The eigenvectors, as rows, and the rotations they still have to undergo.
struct Turning {
  const Team& team;
  double* vectors;
  int64_t step, n;
  Rotation* rotations;
  Sweep* sweeps;
  int64_t count, used;

  void apply() {
    forBlocks(team, n, kTurned, [&](int64_t first, int64_t width, std::byte*) {
      int64_t j = first;
      for (; j + kAbreast <= first + width; j += kAbreast) {
        for (int64_t k = 0; k < count; k++) turnColumns<4>(vectors + j, step, sweeps[k], rotations);
      }
      for (; j + kDoubles <= first + width; j += kDoubles) {
        for (int64_t k = 0; k < count; k++) turnColumns<1>(vectors + j, step, sweeps[k], rotations);
      }
      for (; j < first + width; j++) {
        for (int64_t k = 0; k < count; k++) turnColumn(vectors + j, step, sweeps[k], rotations);
      }
    });
    count = used = 0;
  }
};

/// One implicit QL step on rows l … m, with the shift nearest to the eigenvalue at l (EISPACK's tql2).
void shiftedStep(Turning& turning, double* d, double* e, int64_t l, int64_t m) {
  if (turning.count == kSweeps || turning.used + (m - l) > kSweeps * turning.n) turning.apply();
  double g = (d[l + 1] - d[l]) / (2 * e[l]);
  double r = root(g * g + 1);
  g = d[m] - d[l] + e[l] / (g + (g < 0 ? -r : r));
  double s = 1, c = 1, p = 0;
  Rotation* to = turning.rotations + turning.used;
  int64_t i = m - 1, made = 0;
  for (; i >= l; i--) {
    const double f = s * e[i], b = c * e[i];
    r = root(f * f + g * g);
    e[i + 1] = r;
    if (r == 0) {
      d[i + 1] -= p;
      e[m] = 0;
      break;
    }
    const double by = 1 / r;
    s = f * by;
    c = g * by;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    to[made++] = {c, s};
  }
  if (made > 0) {
    turning.sweeps[turning.count++] = {m - made, m - 1, turning.used};
    turning.used += made;
  }
  if (i >= l) return;
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

void diagonalize(Turning& turning, double* d, double* e, int64_t n) {
  for (int64_t l = 0; l < n; l++) {
    for (int64_t turn = 0; turn < kPatience; turn++) {
      int64_t m = l;
      for (; m + 1 < n; m++) {
        const double near = sizeOfNumber(d[m]) + sizeOfNumber(d[m + 1]);
        if (sizeOfNumber(e[m]) <= kEpsilon * near) break;
      }
      if (m == l) break;
      shiftedStep(turning, d, e, l, m);
    }
  }
  turning.apply();
}

/// Rows of `vectors` by rising values.
void sortVectors(double* values, double* vectors, int64_t step, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    int64_t best = j;
    for (int64_t i = j + 1; i < n; i++) best = values[i] < values[best] ? i : best;
    if (best == j) continue;
    const double value = values[j];
    values[j] = values[best];
    values[best] = value;
    for (int64_t c = 0; c < n; c++) {
      const double x = vectors[j * step + c];
      vectors[j * step + c] = vectors[best * step + c];
      vectors[best * step + c] = x;
    }
  }
}

bool isFinite(const double* a, int64_t step, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) sum += 0 * a[i * step + j];
  }
  return sum == 0;
}

}  // namespace

int64_t symmetricRoom(int64_t n) {
  const int64_t step = denseStep(n);
  return n * step + kPanel * step + 3 * n + reflectorRoom(n) + 2 * kSweeps * n + 3 * kSweeps + 64;
}

void decomposeSymmetric(const Team& team, double* a, int64_t step, double* vectors, double* values, int64_t n, double* room) {
  if (n == 0) return;
  if (!isFinite(a, step, n)) {
    for (int64_t i = 0; i < n; i++) values[i] = __builtin_nan("");
    for (int64_t i = 0; i < n * step; i++) vectors[i] = __builtin_nan("");
    return;
  }
  double* reflections = room;
  double* partners = reflections + n * step;
  double* e = partners + kPanel * step;
  double* tau = e + n;
  double* block = tau + n;
  auto* rotations = reinterpret_cast<Rotation*>(block + reflectorRoom(n));
  auto* sweeps = reinterpret_cast<Sweep*>(rotations + kSweeps * n);
  reduceSymmetric(team, a, step, n, values, e, tau, reflections, partners);
  // Q, in place of A: reflection j leaves the first j + 1 coordinates alone
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) a[i * step + j] = i == j ? 1 : 0;
  }
  for (int64_t p = (n - 1) / kReflectors * kReflectors; p >= 0; p -= kReflectors) {
    const int64_t left = n - 1 - p, count = left < kReflectors ? left : kReflectors;
    if (count <= 0) continue;
    const Reflectors r = gatherReflectors({reflections + p * step + p + 1, 1, step}, tau + p, left, count, block);
    reflect(team, r, false, a + (p + 1) * step + p + 1, step, left);
  }
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) vectors[i * step + j] = a[j * step + i];
  }
  Turning turning{team, vectors, step, n, rotations, sweeps, 0, 0};
  diagonalize(turning, values, e, n);
  sortVectors(values, vectors, step, n);
}

}  // namespace chainrule::CHAINRULE_ISA
