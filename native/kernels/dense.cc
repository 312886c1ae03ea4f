// Products and triangular solutions of dense matrices of doubles (dense.h), and the factorizations made of them: Cholesky, LU.
#include "dense.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int kRows = 6, kVectors = 2;
constexpr int64_t kColumns = kVectors * kDoubles;
/// Steps of k at a time: a panel of B stays in L1.
constexpr int64_t kSteps = 192;
/// Columns that one chunk of a team works on, and columns of a panel.
constexpr int64_t kBlock = 64, kPanel = 32;
/// Rows of triangles that are solved number by number.
constexpr int64_t kLeaf = 6;

/// R rows of one panel of columns; `columns` of them are written.
template <int R>
void tile(double* c, int64_t cStep, double scale, Steps a, const double* b, int64_t bStep, int64_t k, int64_t columns) {
  D sum[R][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < R; i++)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; v++) sum[i][v] = D{};
  const double* row[R];
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) row[i] = a.p + i * a.row;
  for (int64_t s = 0; s < k; s++) {
    const D b0 = loadDoubles(b + s * bStep), b1 = loadDoubles(b + s * bStep + kDoubles);
#pragma GCC unroll 8
    for (int i = 0; i < R; i++) {
      const D x = everyDouble(row[i][s * a.column]);
      sum[i][0] = fma(x, b0, sum[i][0]);
      sum[i][1] = fma(x, b1, sum[i][1]);
    }
  }
  const D by = everyDouble(scale);
  if (columns == kColumns) {
#pragma GCC unroll 8
    for (int i = 0; i < R; i++)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v++) {
        double* to = c + i * cStep + v * kDoubles;
        storeDoubles(to, fma(sum[i][v], by, loadDoubles(to)));
      }
    return;
  }
  for (int i = 0; i < R; i++)
    for (int64_t j = 0; j < columns; j++) c[i * cStep + j] += scale * sum[i][j / kDoubles][j % kDoubles];
}

using Tile = void (*)(double*, int64_t, double, Steps, const double*, int64_t, int64_t, int64_t);
constexpr Tile kTiles[kRows + 1] = {nullptr, tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};

void swapStretch(double* a, double* b, int64_t n) {
  for (int64_t c = 0; c < n; c++) {
    const double t = a[c];
    a[c] = b[c];
    b[c] = t;
  }
}

/// to −= f·from.
CHAINRULE_INLINE void subtract(double* to, double f, const double* from, int64_t n) {
  const D by = everyDouble(-f);
  int64_t j = 0;
  for (; j + kDoubles <= n; j += kDoubles) storeDoubles(to + j, fma(by, loadDoubles(from + j), loadDoubles(to + j)));
  for (; j < n; j++) to[j] -= f * from[j];
}

/// The next half, of whole leaves.
int64_t halfOf(int64_t n) { return (n / 2 + kLeaf - 1) / kLeaf * kLeaf; }

/// Columns c … c + w - 1 of rows c … n - 1, which begin at `a`.
struct Panel {
  double* a;
  int64_t step, n, from, width;  ///< the whole panel's columns, whose rows are exchanged
  double* pivots;
  const double* scale;
  double sign;
  int64_t singular;
};

void panelColumn(Panel& p, int64_t j, int64_t end) {
  double* at = p.a + j * p.step;
  int64_t pivot = j;
  double largest = sizeOfNumber(at[j]);
  for (int64_t i = j + 1; i < p.n; i++) {
    const double size = sizeOfNumber(p.a[i * p.step + j]);
    if (size > largest) largest = size, pivot = i;
  }
  p.pivots[j] = static_cast<double>(pivot);
  if (p.singular < 0 && largest <= kEpsilon * static_cast<double>(p.n) * p.scale[j]) p.singular = j;
  if (pivot != j) {
    p.sign = -p.sign;
    swapStretch(at + p.from, p.a + pivot * p.step + p.from, p.width);
  }
  if (at[j] == 0) return;
  for (int64_t i = j + 1; i < p.n; i++) {
    double* row = p.a + i * p.step;
    row[j] /= at[j];
    for (int64_t c = j + 1; c < end; c++) row[c] -= row[j] * at[c];
  }
}

void panelHalves(Panel& p, int64_t c, int64_t w) {
  if (w <= 4) {
    for (int64_t j = c; j < c + w; j++) panelColumn(p, j, c + w);
    return;
  }
  const int64_t h = w / 2, right = c + h;
  panelHalves(p, c, h);
  const Steps l{p.a + c * p.step + c, p.step, 1};
  solveLower(l, true, p.a + c * p.step + right, p.step, h, w - h);
  addProduct(p.a + right * p.step + right, p.step, -1, l.from(h, 0), p.a + c * p.step + right, p.step, p.n - right, w - h, h);
  panelHalves(p, right, w - h);
}

}  // namespace

void addProduct(double* c, int64_t cStep, double scale, Steps a, const double* b, int64_t bStep, int64_t m, int64_t n, int64_t k) {
  alignas(64) double packed[kSteps * kColumns];
  for (int64_t s = 0; s < k; s += kSteps) {
    const int64_t steps = k - s < kSteps ? k - s : kSteps;
    for (int64_t j = 0; j < n; j += kColumns) {
      const int64_t columns = n - j < kColumns ? n - j : kColumns;
      const double* panel = b + s * bStep + j;
      int64_t panelStep = bStep;
      // what lies behind the last column is not ours to read
      if (columns < kColumns || m > 4 * kRows) {
        for (int64_t i = 0; i < steps; i++) {
          if (columns == kColumns) {
            storeDoubles(packed + i * kColumns, loadDoubles(panel + i * bStep));
            storeDoubles(packed + i * kColumns + kDoubles, loadDoubles(panel + i * bStep + kDoubles));
          } else {
            for (int64_t x = 0; x < kColumns; x++) packed[i * kColumns + x] = x < columns ? panel[i * bStep + x] : 0;
          }
        }
        panel = packed;
        panelStep = kColumns;
      }
      for (int64_t i = 0; i < m; i += kRows) {
        const int64_t rows = m - i < kRows ? m - i : kRows;
        kTiles[rows](c + i * cStep + j, cStep, scale, a.from(i, s), panel, panelStep, steps, columns);
      }
    }
  }
}

void solveLower(Steps t, bool unit, double* b, int64_t bStep, int64_t n, int64_t w) {
  if (n > kLeaf) {
    const int64_t h = halfOf(n);
    solveLower(t, unit, b, bStep, h, w);
    addProduct(b + h * bStep, bStep, -1, t.from(h, 0), b, bStep, n - h, w, h);
    return solveLower(t.from(h, h), unit, b + h * bStep, bStep, n - h, w);
  }
  for (int64_t i = 0; i < n; i++) {
    double* to = b + i * bStep;
    for (int64_t j = 0; j < i; j++) subtract(to, t.at(i, j), b + j * bStep, w);
    if (unit) continue;
    for (int64_t c = 0; c < w; c++) to[c] /= t.at(i, i);
  }
}

void solveUpper(Steps t, bool unit, double* b, int64_t bStep, int64_t n, int64_t w) {
  if (n > kLeaf) {
    const int64_t h = halfOf(n);
    solveUpper(t.from(h, h), unit, b + h * bStep, bStep, n - h, w);
    addProduct(b, bStep, -1, t.from(0, h), b + h * bStep, bStep, h, w, n - h);
    return solveUpper(t, unit, b, bStep, h, w);
  }
  for (int64_t i = n - 1; i >= 0; i--) {
    double* to = b + i * bStep;
    for (int64_t j = i + 1; j < n; j++) subtract(to, t.at(i, j), b + j * bStep, w);
    if (unit) continue;
    for (int64_t c = 0; c < w; c++) to[c] /= t.at(i, i);
  }
}

void solveTriangle(const Team& team, Steps t, bool upper, bool unit, double* b, int64_t bStep, int64_t n, int64_t w) {
  forBlocks(team, w, kBlock, [&](int64_t first, int64_t count, std::byte*) {
    (upper ? solveUpper : solveLower)(t, unit, b + first, bStep, n, count);
  });
}

int64_t factorizeSymmetric(const Team& team, double* a, int64_t step, int64_t n) {
  for (int64_t p = 0; p < n; p += kPanel) {
    const int64_t w = n - p < kPanel ? n - p : kPanel, end = p + w;
    for (int64_t j = p; j < end; j++) {
      double* row = a + j * step;
      if (!(row[j] > 0)) return j;
      row[j] = root(row[j]);
      for (int64_t c = j + 1; c < end; c++) row[c] /= row[j];
      for (int64_t i = j + 1; i < end; i++) subtract(a + i * step + i, row[i], row + i, end - i);
    }
    const Steps lower{a + p * step + p, 1, step};
    double* right = a + p * step + end;
    forBlocks(team, n - end, kBlock,
              [&](int64_t first, int64_t count, std::byte*) { solveLower(lower, false, right + first, step, w, count); });
    // columns of the upper triangle, in blocks
    forBlocks(team, n - end, kBlock, [&](int64_t first, int64_t count, std::byte*) {
      for (int64_t c = first; c < first + count; c += kPanel) {
        const int64_t width = first + count - c < kPanel ? first + count - c : kPanel;
        addProduct(a + end * step + end + c, step, -1, {right, 1, step}, right + c, step, c + width, width, w);
      }
    });
  }
  return -1;
}

int64_t factorizeGeneral(const Team& team, double* a, int64_t step, int64_t n, int64_t width, double* pivots, double* scale, double& sign) {
  for (int64_t j = 0; j < n; j++) scale[j] = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) scale[j] = sizeOfNumber(a[i * step + j]) > scale[j] ? sizeOfNumber(a[i * step + j]) : scale[j];
  }
  Panel panel{a, step, n, 0, 0, pivots, scale, 1, -1};
  for (int64_t p = 0; p < n; p += kPanel) {
    const int64_t w = n - p < kPanel ? n - p : kPanel, end = p + w;
    panel.from = p;
    panel.width = w;
    panelHalves(panel, p, w);
    const Steps l{a + p * step + p, step, 1};
    forBlocks(team, width - end, kBlock, [&](int64_t first, int64_t count, std::byte*) {
      double* top = a + p * step + end + first;
      for (int64_t j = p; j < end; j++) {
        const auto other = static_cast<int64_t>(pivots[j]);
        if (other != j) swapStretch(a + j * step + end + first, a + other * step + end + first, count);
      }
      solveLower(l, true, top, step, w, count);
      addProduct(top + w * step, step, -1, l.from(w, 0), top, step, n - end, count, w);
    });
  }
  sign = panel.sign;
  return panel.singular;
}

}  // namespace chainrule::CHAINRULE_ISA
