// Householder reflections of dense matrices of doubles (dense.h), in blocks I − V·T·Vᵀ (Schreiber and Van Loan 1989), and QR made of them.
#include "dense.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kBlock = 64;

/// The columns p … p + w - 1 of A, from row p on, reflected one by one; their products with a reflection are gathered in a row.
void factorizePanel(double* a, int64_t step, int64_t m, int64_t w, double* tau) {
  double sums[kReflectors];
  for (int64_t j = 0; j < w && j < m; j++) {
    tau[j] = makeReflection(a + j * step + j, step, m - j);
    const int64_t first = j + 1, rest = w - first;
    if (tau[j] == 0 || rest == 0) continue;
    double* head = a + j * step + first;
    for (int64_t c = 0; c < rest; c++) sums[c] = head[c];
    for (int64_t i = j + 1; i < m; i++) {
      const double x = a[i * step + j];
      const double* row = a + i * step + first;
      for (int64_t c = 0; c < rest; c++) sums[c] += x * row[c];
    }
    for (int64_t c = 0; c < rest; c++) head[c] -= sums[c] *= tau[j];
    for (int64_t i = j + 1; i < m; i++) {
      const double x = a[i * step + j];
      double* row = a + i * step + first;
      for (int64_t c = 0; c < rest; c++) row[c] -= x * sums[c];
    }
  }
}

}  // namespace

double makeReflection(double* x, int64_t stride, int64_t n) {
  double below = 0;
  for (int64_t i = 1; i < n; i++) below += x[i * stride] * x[i * stride];
  const double head = x[0];
  if (below == 0) return 0;
  const double beta = head > 0 ? -root(head * head + below) : root(head * head + below);
  const double by = 1 / (head - beta);
  for (int64_t i = 1; i < n; i++) x[i * stride] *= by;
  x[0] = beta;
  return (beta - head) / beta;
}

Reflectors gatherReflectors(Steps from, const double* tau, int64_t m, int64_t count, double* room) {
  const Reflectors r{m, count, room, room + m * kReflectors};
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < count; j++) r.v[i * kReflectors + j] = i < j ? 0 : i == j ? 1 : from.at(i, j);
  }
  double* products = r.t + kReflectors * kReflectors;
  for (int64_t i = 0; i < kReflectors * kReflectors; i++) r.t[i] = products[i] = 0;
  addProduct(products, kReflectors, 1, {r.v, 1, kReflectors}, r.v, kReflectors, count, count, m);
  for (int64_t j = 0; j < count; j++) {
    for (int64_t i = 0; i < j; i++) {
      double sum = 0;
      for (int64_t k = i; k < j; k++) sum += r.t[i * kReflectors + k] * products[k * kReflectors + j];
      r.t[i * kReflectors + j] = -tau[j] * sum;
    }
    r.t[j * kReflectors + j] = tau[j];
  }
  return r;
}

void reflect(const Team& team, const Reflectors& r, bool transposed, double* c, int64_t cStep, int64_t n) {
  forBlocks(team, n, kBlock, [&](int64_t begin, int64_t all, std::byte* scratch) {
    auto* products = reinterpret_cast<double*>(scratch);
    double* turned = products + kReflectors * kBlock;
    for (int64_t first = begin; first < begin + all; first += kBlock) {
      const int64_t left = begin + all - first, count = left < kBlock ? left : kBlock;
      for (int64_t i = 0; i < 2 * kReflectors * kBlock; i++) products[i] = 0;
      addProduct(products, kBlock, 1, {r.v, 1, kReflectors}, c + first, cStep, r.count, count, r.m);
      const Steps t{r.t, transposed ? 1 : kReflectors, transposed ? kReflectors : 1};
      addProduct(turned, kBlock, 1, t, products, kBlock, r.count, count, r.count);
      addProduct(c + first, cStep, -1, {r.v, kReflectors, 1}, turned, kBlock, r.m, count, r.count);
    }
  });
}

void factorizeOrthogonal(const Team& team, double* a, int64_t step, double* q, int64_t qStep, int64_t m, int64_t n, double* tau,
                         double* room) {
  const int64_t k = m < n ? m : n;
  const auto width = [&](int64_t p) { return k - p < kReflectors ? k - p : kReflectors; };
  const auto block = [&](int64_t p) { return gatherReflectors({a + p * step + p, step, 1}, tau + p, m - p, width(p), room); };
  for (int64_t p = 0; p < k; p += kReflectors) {
    const int64_t w = width(p);
    factorizePanel(a + p * step + p, step, m - p, w, tau + p);
    if (p + w < n) reflect(team, block(p), true, a + p * step + p + w, step, n - p - w);
  }
  for (int64_t i = 0; i < m; i++) {
    for (int64_t c = 0; c < k; c++) q[i * qStep + c] = i == c ? 1 : 0;
  }
  for (int64_t p = (k - 1) / kReflectors * kReflectors; p >= 0 && k > 0; p -= kReflectors) {
    reflect(team, block(p), false, q + p * qStep + p, qStep, k - p);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
