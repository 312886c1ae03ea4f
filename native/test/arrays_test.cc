// scan, sort, linalg and fft against plain loops in double precision: random shapes, strides and edges; the same bits by one thread and by
// two; nothing written outside the outputs.
#include <algorithm>

#include "../simd/simd.h"
#include "tensors.h"

using namespace chainrule;
namespace K = chainrule::CHAINRULE_ISA;

namespace {

bool near(double got, double want, double tolerance) {
  return got == want || std::fabs(got - want) <= tolerance * std::fmax(1.0, std::fabs(want));
}

/// A tensor of the shape in one of four layouts.
Tensor arranged(DType type, const std::vector<int64_t>& shape, int form) {
  std::vector<int> order;
  for (size_t d = shape.size(); d-- > 0;) order.push_back(static_cast<int>(d));
  if (form != 1) order.clear();
  return make(type, shape, order, form == 2 ? 2 : 0, form == 3);
}

const std::vector<std::vector<int64_t>> kShapes = {{1},       {50},      {4, 9},      {3, 0},    {0, 3},
                                                   {30, 200}, {3, 5, 7}, {2, 300, 2}, {64, 130}, {5, 20000}};

/// Calls visit(the linear position of element i of a run, i) along the axis of a row-major shape, run by run.
template <class Visit>
void eachRun(const std::vector<int64_t>& shape, size_t axis, Visit visit) {
  int64_t inner = 1, outer = 1;
  for (size_t d = axis + 1; d < shape.size(); d++) inner *= shape[d];
  for (size_t d = 0; d < axis; d++) outer *= shape[d];
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t j = 0; j < inner; j++) visit([=](int64_t i) { return (o * shape[axis] + i) * inner + j; });
  }
}

void scans() {
  for (const auto& shape : kShapes) {
    for (size_t axis = 0; axis < shape.size(); axis++) {
      for (int form = 0; form < 4; form++) {
        for (int32_t kind = 0; kind < 3; kind++) {
          const DType type = form == 2 && kind < 2 ? DType::int32 : DType::float32;
          Tensor a = arranged(type, shape, form), b = arranged(type, shape, (form + 1) % 4), y = arranged(type, shape, (form + 2) % 4);
          kind == 1 ? fill(a, 0.9f, 1.1f) : fill(a, -1, 1);
          fill(b);
          std::vector<Tensor*> in{&a};
          if (kind == 2) in.push_back(&b);
          CHECK(both("scan", K::scanFamily, Opcode::scan, in, {&y}, {kind, static_cast<int32_t>(axis)}).ok(), "scan");
          eachRun(shape, axis, [&](auto at) {
            double total = kind == 1 ? 1 : 0;
            uint32_t whole = kind == 1 ? 1 : 0;
            for (int64_t i = 0; i < shape[axis]; i++) {
              const double x = a.get(at(i)), z = b.get(at(i));
              total = kind == 0 ? total + x : kind == 1 ? total * x : total * x + z;
              const auto w = static_cast<uint32_t>(static_cast<int32_t>(x));
              whole = kind == 0 ? whole + w : whole * w;
              const double want = type == DType::int32 ? static_cast<int32_t>(whole) : total;
              CHECK(near(y.get(at(i)), want, 1e-6), "scan kind %d axis %zu form %d: %g, not %g", kind, axis, form, y.get(at(i)), want);
            }
          });
        }
      }
    }
  }
}

void sorts() {
  const DType types[] = {DType::float32, DType::int32, DType::uint8, DType::boolean};
  for (const auto& shape : kShapes) {
    for (size_t axis = 0; axis < shape.size(); axis++) {
      for (int form = 0; form < 4; form++) {
        const DType type = types[form];
        const bool descending = pick(0, 1);
        const int64_t n = shape[axis], wanted = form % 2 ? n : pick(0, n);
        std::vector<int64_t> outShape = shape;
        outShape[axis] = wanted;
        Tensor x = arranged(type, shape, form), values = arranged(type, outShape, (form + 1) % 4),
               indices = arranged(DType::int32, outShape, (form + 2) % 4);
        fill(x);
        if (type == DType::float32) {
          for (int64_t i = 0; i < x.count(); i += 3) x.set(i, i % 2 ? NAN : std::round(x.get(i)));
        }
        CHECK(both("sort", K::sortFamily, Opcode::sort, {&x}, {&values, &indices}, {static_cast<int32_t>(axis), descending}).ok(), "sort");
        std::vector<double> run;
        std::vector<int64_t> order;
        std::vector<std::vector<int64_t>> orders;
        eachRun(shape, axis, [&](auto at) {
          run.clear(), order.clear();
          for (int64_t i = 0; i < n; i++) run.push_back(x.get(at(i))), order.push_back(i);
          std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
            const double p = run[static_cast<size_t>(descending ? j : i)], q = run[static_cast<size_t>(descending ? i : j)];
            return std::isnan(p) ? false : std::isnan(q) || p < q;
          });
          orders.push_back(order);
        });
        size_t next = 0;
        if (wanted == 0) continue;
        std::vector<std::vector<double>> rows;
        eachRun(shape, axis, [&](auto at) {
          rows.emplace_back();
          for (int64_t i = 0; i < n; i++) rows.back().push_back(x.get(at(i)));
        });
        eachRun(outShape, axis, [&](auto at) {
          for (int64_t i = 0; i < wanted; i++) {
            const auto from = orders[next][static_cast<size_t>(i)];
            const double want = rows[next][static_cast<size_t>(from)], got = values.get(at(i));
            CHECK(indices.get(at(i)) == static_cast<double>(from), "sort: index %g, not %lld", indices.get(at(i)),
                  static_cast<long long>(from));
            CHECK(got == want || (std::isnan(got) && std::isnan(want)), "sort: value %g, not %g", got, want);
          }
          next++;
        });
      }
    }
  }
}

void transforms() {
  for (int64_t n : {1, 2, 3, 4, 5, 8, 15, 16, 31, 64, 100, 127, 1024}) {
    for (int form = 0; form < 4; form++) {
      Tensor z = arranged(DType::float32, {3, n, 2}, form), y = arranged(DType::float32, {3, n, 2}, (form + 1) % 4);
      Tensor x = arranged(DType::float32, {3, n}, form), h = arranged(DType::float32, {3, n / 2 + 1, 2}, (form + 2) % 4),
             back = arranged(DType::float32, {3, n}, form);
      fill(z), fill(x);
      const double tolerance = 1e-6 * std::sqrt(static_cast<double>(n));
      for (int32_t kind = 0; kind < 2; kind++) {
        CHECK(both("fft", K::fftFamily, Opcode::fft, {&z}, {&y}, {kind}).ok(), "fft");
        for (int64_t r = 0; r < 3; r++) {
          for (int64_t k = 0; k < n; k++) {
            double re = 0, im = 0;
            for (int64_t j = 0; j < n; j++) {
              const double angle = (kind == 0 ? -2 : 2) * M_PI * static_cast<double>(j * k % n) / static_cast<double>(n);
              const double a = z.get((r * n + j) * 2), b = z.get((r * n + j) * 2 + 1);
              re += a * std::cos(angle) - b * std::sin(angle);
              im += a * std::sin(angle) + b * std::cos(angle);
            }
            CHECK(near(y.get((r * n + k) * 2), re, tolerance) && near(y.get((r * n + k) * 2 + 1), im, tolerance), "fft of %lld points",
                  static_cast<long long>(n));
          }
        }
      }
      CHECK(both("fft of real", K::fftFamily, Opcode::fft, {&x}, {&h}, {2}).ok(), "fft");
      CHECK(both("fft to real", K::fftFamily, Opcode::fft, {&h}, {&back}, {3}).ok(), "fft");
      for (int64_t i = 0; i < x.count(); i++)
        CHECK(near(back.get(i) / static_cast<double>(n), x.get(i), 2e-6), "fft there and back of %lld points: %g, not %g",
              static_cast<long long>(n), back.get(i) / static_cast<double>(n), x.get(i));
    }
  }
}

void matrices() {
  for (int64_t batch : {0, 1, 3, 20}) {
    for (int64_t n : {0, 1, 2, 5, 17}) {
      for (int64_t m : {n, n + 3}) {
        for (int form = 0; form < 4; form++) {
          const int64_t k = m < n ? m : n;
          Tensor a = arranged(DType::float32, {batch, m, n}, form), s = arranged(DType::float32, {batch, m + n + 1, k}, (form + 1) % 4);
          fill(a, -1, 1);
          CHECK(both("svd", K::linalgFamily, Opcode::linalg, {&a}, {&s}, {5, 0}).ok(), "svd");
          const auto part = [&](int64_t b, int64_t row, int64_t column) { return s.get((b * (m + n + 1) + row) * k + column); };
          for (int64_t b = 0; b < batch; b++) {
            for (int64_t i = 0; i < m; i++) {
              for (int64_t j = 0; j < n; j++) {
                double sum = 0;
                for (int64_t c = 0; c < k; c++) sum += part(b, i, c) * part(b, m + n, c) * part(b, m + j, c);
                CHECK(near(sum, a.get((b * m + i) * n + j), 1e-5), "svd of %lld x %lld: %g", static_cast<long long>(m),
                      static_cast<long long>(n), sum);
              }
            }
          }
          if (m != n) continue;
          for (int64_t b = 0; b < batch; b++) {
            for (int64_t i = 0; i < n; i++) a.set((b * n + i) * n + i, a.get((b * n + i) * n + i) + static_cast<double>(n) + 1);
          }
          Tensor right = arranged(DType::float32, {batch, n, 3}, (form + 1) % 4),
                 x = arranged(DType::float32, {batch, n, 3}, (form + 2) % 4);
          fill(right);
          CHECK(both("solve", K::linalgFamily, Opcode::linalg, {&a, &right}, {&x}, {1, 0}).ok(), "solve");
          for (int64_t i = 0; i < x.count(); i++) {
            const int64_t b = i / (n * 3), row = i / 3 % n, column = i % 3;
            double sum = 0;
            for (int64_t j = 0; j < n; j++) sum += a.get((b * n + row) * n + j) * x.get((b * n + j) * 3 + column);
            CHECK(near(sum, right.get(i), 1e-5), "solve of %lld: %g, not %g", static_cast<long long>(n), sum, right.get(i));
          }
          if (batch < 2 || n < 2) continue;
          for (int64_t j = 0; j < n; j++) a.set((batch - 1) * n * n + j, 0);
          Call call(Opcode::linalg, {&a, &right}, {&x}, {1, 0});
          const Status status = call(K::linalgFamily, *gTwo);
          CHECK(status.code == StatusCode::singular && status.detail[0] == batch - 1, "solve: a singular matrix");
        }
      }
    }
  }
}

}  // namespace

int main() {
  Team one(1), two(2);
  one.poison = two.poison = true;
  gOne = &one, gTwo = &two;
  std::printf("%s\n", K::kIsaName);
  scans();
  sorts();
  transforms();
  matrices();
  if (gFailures) std::printf("%d failures\n", gFailures);
  return gFailures != 0;
}
