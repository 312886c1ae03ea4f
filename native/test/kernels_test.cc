// reduce, softmax, cross-entropy, gather, scatterAdd, random and pooling against plain loops in double precision: random shapes,
// strides, broadcasts and edges; the same bits by one thread and by two; nothing written outside the outputs.
#include "../simd/simd.h"
#include "tensors.h"

using namespace chainrule;
namespace K = chainrule::CHAINRULE_ISA;

namespace {

constexpr int32_t op(MapOp o) { return static_cast<int32_t>(o); }
int32_t bits(float f) { return __builtin_bit_cast(int32_t, f); }
void append(std::vector<int32_t>& to, const std::vector<int32_t>& from) { to.insert(to.end(), from.begin(), from.end()); }

bool near(double got, double want, double tolerance) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
  return got == want || std::fabs(got - want) <= tolerance * std::fmax(1.0, std::fabs(want));
}

// --- reduce ----------------------------------------------------------------------------------------------------

struct ReduceCase {
  std::vector<int64_t> shape;
  std::vector<bool> reduced;
};

void reduceOne(const ReduceCase& c, int32_t kind, bool integer, int form, bool fused) {
  const size_t rank = c.shape.size();
  std::vector<int> order(rank);
  for (size_t d = 0; d < rank; d++) order[d] = static_cast<int>(d);
  if (form == 1) std::shuffle(order.begin(), order.end(), gRandom);
  const DType type = integer ? DType::int32 : DType::float32;
  Tensor x = make(type, c.shape, order, form == 2 ? 2 : 0, form == 3);
  fill(x, -1, 1);
  if (kind >= 2 && !integer && x.count() > 3 && pick(0, 3) == 0) x.set(pick(0, x.count() - 1), NAN);
  if (kind == 1) {
    for (int64_t i = 0; i < x.count(); i++) x.set(i, integer ? static_cast<double>(pick(-3, 3)) : uniform(0.9f, 1.1f));
  }
  std::vector<bool> along(rank);
  for (size_t d = 0; d < rank; d++) along[d] = pick(0, 1);
  Tensor b = broadcast(type, c.shape, along);
  // Where b is the same along many elements, partial products of a wider range would leave float's, some above and some below: inf·0.
  if (kind == 1 && !integer) {
    fill(b, 0.98f, 1.02f);
  } else {
    fill(b, 0.5f, 1.5f);
  }
  std::vector<int64_t> outShape = c.shape;
  int64_t reducedCount = 1;
  for (size_t d = 0; d < rank; d++) {
    if (c.reduced[d]) reducedCount *= c.shape[d], outShape[d] = 1;
  }
  const bool arg = kind >= 4;
  Tensor y = make(arg || integer ? DType::int32 : DType::float32, outShape), z = make(DType::float32, outShape),
         e = make(DType::float32, outShape);
  fill(e);
  // Value: x, or x·b; results: the value itself, and as a float plus e.
  std::vector<int32_t> words{kind, fused ? 2 : 1, static_cast<int32_t>(rank)};
  for (int64_t s : c.shape) words.push_back(static_cast<int32_t>(s));
  append(words, (fused ? Program{{}, {{op(MapOp::mul), 0, 1}}, {2}} : kIdentity).words());
  std::vector<Tensor*> in{&x}, out{&y};
  if (fused) {
    in.push_back(&b), in.push_back(&e), out.push_back(&z);
    const bool whole = arg || integer;
    append(words, (whole ? Program{{}, {{op(MapOp::toFloat32), 0}, {op(MapOp::add), 1, 2}}, {0, 3}}
                         : Program{{}, {{op(MapOp::add), 0, 1}}, {0, 2}})
                      .words());
  } else {
    append(words, kIdentity.words());
  }
  CHECK(both("reduce", K::reduceFamily, Opcode::reduce, in, out, words).ok(), "reduce");
  // The same by plain loops.
  std::vector<double> value(static_cast<size_t>(y.count()), kind == 1 ? 1 : 0);
  std::vector<int64_t> best(value.size(), -1), seen(value.size(), 0);
  for (int64_t i = 0; i < x.count(); i++) {
    int64_t o = 0, r = i, step = 1, place = 0, placeStep = 1;
    for (size_t d = rank; d-- > 0;) {
      const int64_t k = r % c.shape[d];
      r /= c.shape[d];
      if (c.reduced[d]) {
        place += k * placeStep, placeStep *= c.shape[d];
      } else {
        o += k * step, step *= c.shape[d];
      }
    }
    double v = x.get(i);
    if (fused) v = integer ? v * b.get(i) : static_cast<double>(static_cast<float>(v) * static_cast<float>(b.get(i)));
    auto& a = value[static_cast<size_t>(o)];
    if (kind == 0) a += v;
    if (kind == 1) a = integer ? static_cast<double>(static_cast<int32_t>(static_cast<int64_t>(a) * static_cast<int64_t>(v))) : a * v;
    if (kind >= 2) {
      const bool larger = kind % 2 == 0, first = seen[static_cast<size_t>(o)] == 0;
      if (first || (!std::isnan(a) && (std::isnan(v) || (larger ? v > a : v < a))))
        a = v, best[static_cast<size_t>(o)] = place;
      else if (v == a && place < best[static_cast<size_t>(o)])
        best[static_cast<size_t>(o)] = place;
    }
    seen[static_cast<size_t>(o)] = 1;
  }
  for (int64_t o = 0; o < y.count(); o++) {
    const double want = arg ? static_cast<double>(best[static_cast<size_t>(o)]) : value[static_cast<size_t>(o)];
    const bool fine = arg || integer ? y.get(o) == want
                                     : near(y.get(o), static_cast<float>(want),
                                            kind == 1 ? 1e-4 : 3e-6 * std::sqrt(static_cast<double>(reducedCount) + 1));
    CHECK(fine, "reduce kind %d form %d fused %d rank %zu, element %lld: %.9g, not %.9g", kind, form, fused, rank,
          static_cast<long long>(o), y.get(o), want);
    if (fused)
      CHECK(near(z.get(o), y.get(o) + e.get(o), 1e-6), "reduce: epilogue, element %lld: %g + %g = %g", static_cast<long long>(o), y.get(o),
            e.get(o), z.get(o));
    if (!fine) break;
  }
}

void reduces() {
  const std::vector<ReduceCase> cases = {{{1}, {false}},
                                         {{1}, {true}},
                                         {{7}, {true}},
                                         {{1000}, {true}},
                                         {{100003}, {true}},
                                         {{5, 1}, {false, true}},
                                         {{128, 70}, {true, false}},
                                         {{33, 10}, {true, false}},
                                         {{33, 10}, {false, true}},
                                         {{700, 3}, {true, false}},
                                         {{3, 700}, {false, true}},
                                         {{40000, 2}, {true, false}},
                                         {{2, 40000}, {false, true}},
                                         {{300, 600}, {true, false}},
                                         {{300, 600}, {false, true}},
                                         {{4, 5, 6}, {true, false, true}},
                                         {{4, 5, 6}, {false, true, false}},
                                         {{8, 16, 9, 9}, {true, false, true, true}},
                                         {{2, 3, 20, 30}, {true, false, true, true}},
                                         {{3, 70, 200}, {false, true, false}},
                                         {{4, 2, 3, 2, 5}, {true, false, true, false, true}},
                                         {{0, 5}, {true, false}},
                                         {{5, 0}, {true, false}},
                                         {{9, 1, 7}, {false, true, true}},
                                         {{130, 2, 513}, {true, true, false}}};
  for (const auto& c : cases) {
    for (int32_t kind = 0; kind < 6; kind++) {
      bool empty = false;
      for (size_t d = 0; d < c.shape.size(); d++) empty = empty || (c.reduced[d] && c.shape[d] == 0);
      if (empty && kind >= 2) continue;
      for (int form = 0; form < 4; form++) {
        for (bool fused : {false, true}) {
          reduceOne(c, kind, false, form, fused);
          reduceOne(c, kind, true, form, fused);
        }
      }
    }
  }
  const int64_t n = int64_t{1} << 24;
  Tensor x = make(DType::float32, {n}), y = make(DType::float32, {1});
  for (int64_t i = 0; i < n; i++) x.set(i, 1);
  std::vector<int32_t> words{0, 1, 1, static_cast<int32_t>(n)};
  append(words, kIdentity.words());
  append(words, kIdentity.words());
  both("sum of ones", K::reduceFamily, Opcode::reduce, {&x}, {&y}, words);
  CHECK(y.get(0) == static_cast<double>(n), "the sum of 2^24 ones is %.9g", y.get(0));
  double want = 0;
  for (int64_t i = 0; i < n; i++) x.set(i, uniform(0, 1)), want += x.get(i);
  both("sum", K::reduceFamily, Opcode::reduce, {&x}, {&y}, words);
  CHECK(near(y.get(0) / want, 1, 2e-7), "the sum of 2^24 numbers is %.9g, not %.9g", y.get(0), want);
}

// --- softmax ---------------------------------------------------------------------------------------------------

void softmaxes() {
  for (int64_t rows : {0, 1, 3, 200}) {
    for (int64_t columns : {1, 2, 7, 8, 9, 10, 100, 1000}) {
      for (int form = 0; form < 4; form++) {
        Tensor x = make(DType::float32, {rows, columns}, form & 1 ? std::vector<int>{1, 0} : std::vector<int>{}, form & 2),
               y = make(DType::float32, {rows, columns}, form & 2 ? std::vector<int>{1, 0} : std::vector<int>{});
        fill(x, -30, 30);
        if (rows > 0 && columns > 2) x.set(0, -INFINITY), x.set(1, 200);
        if (rows > 2) x.set(columns, form == 0 ? NAN : form == 1 ? INFINITY : 0);
        std::vector<double> want(static_cast<size_t>(x.count())), loss(static_cast<size_t>(rows));
        Tensor targets = make(form & 1 ? DType::uint8 : DType::int32, {rows}), l = make(DType::float32, {rows}),
               g = broadcast(DType::float32, {rows}, {form == 2});
        fill(g);
        for (int64_t r = 0; r < rows; r++)
          targets.set(r, static_cast<double>(r % 5 == 4 ? 255 : pick(0, columns < 250 ? columns - 1 : 249)));
        for (int mode = 0; mode < 2; mode++) {
          CHECK(both("softmax", K::softmaxFamily, Opcode::softmax, {&x}, {&y}, {mode}).ok(), "softmax");
          for (int64_t r = 0; r < rows; r++) {
            double top = -INFINITY, sum = 0;
            for (int64_t i = 0; i < columns; i++) top = std::fmax(top, x.get(r * columns + i));
            for (int64_t i = 0; i < columns; i++) sum += std::exp(x.get(r * columns + i) - top);
            for (int64_t i = 0; i < columns; i++) {
              const int64_t k = r * columns + i;
              const double w = mode ? x.get(k) - top - std::log(sum) : std::exp(x.get(k) - top) / sum;
              want[static_cast<size_t>(k)] = std::exp(x.get(k) - top) / sum;
              CHECK(near(y.get(k), w, 2e-6), "softmax mode %d, [%lld, %lld] at %lld: %g, not %g", mode, static_cast<long long>(rows),
                    static_cast<long long>(columns), static_cast<long long>(k), y.get(k), w);
            }
            const double t = targets.get(r);
            loss[static_cast<size_t>(r)] = t == 255 ? 0 : top - x.get(r * columns + static_cast<int64_t>(t)) + std::log(sum);
          }
        }
        CHECK(both("crossEntropy", K::crossEntropyFamily, Opcode::crossEntropy, {&x, &targets}, {&l}, {255}).ok(), "crossEntropy");
        CHECK(both("crossEntropyGrad", K::crossEntropyGradFamily, Opcode::crossEntropyGrad, {&x, &targets, &g}, {&y}, {255}).ok(),
              "crossEntropyGrad");
        for (int64_t r = 0; r < rows; r++) {
          CHECK(near(l.get(r), loss[static_cast<size_t>(r)], 2e-6), "crossEntropy row %lld: %g, not %g", static_cast<long long>(r),
                l.get(r), loss[static_cast<size_t>(r)]);
          for (int64_t i = 0; i < columns; i++) {
            const double t = targets.get(r),
                         w = t == 255 ? 0 : (want[static_cast<size_t>(r * columns + i)] - (static_cast<double>(i) == t)) * g.get(r);
            CHECK(near(y.get(r * columns + i), w, 2e-6), "crossEntropyGrad [%lld, %lld]: %g, not %g", static_cast<long long>(r),
                  static_cast<long long>(i), y.get(r * columns + i), w);
          }
        }
        if (rows < 3) continue;
        const Bytes before = l.memory;
        targets.set(1, static_cast<double>(columns < 250 ? columns : 254));
        if (targets.get(1) < static_cast<double>(columns)) continue;
        Call call(Opcode::crossEntropy, {&x, &targets}, {&l}, {255});
        const Status s = call(K::crossEntropyFamily, *gTwo);
        CHECK(s.code == StatusCode::indexOutOfRange && s.detail[0] == static_cast<int64_t>(targets.get(1)) && s.detail[1] == 1,
              "crossEntropy: bad target");
        CHECK(before == l.memory, "crossEntropy: written before the check");
      }
    }
  }
}

// --- gather, scatterAdd ----------------------------------------------------------------------------------------

void gathers() {
  const std::vector<std::vector<int64_t>> shapes = {{1}, {50}, {4, 9}, {30, 200}, {3, 5, 7}, {2, 300, 2}, {64, 100}, {0, 4}, {20, 4000}};
  for (const auto& shape : shapes) {
    for (size_t axis = 0; axis < shape.size(); axis++) {
      for (int form = 0; form < 6; form++) {
        std::vector<int64_t> large = shape;
        large[axis] = pick(1, 60);
        const DType type = form == 5 ? DType::int32 : DType::float32;
        std::vector<int> order;
        for (size_t d = shape.size(); d-- > 0;) order.push_back(static_cast<int>(d));
        if (form % 2 == 0) order.clear();
        Tensor x = make(type, large, order), y = make(type, shape, {}, form == 3 ? 2 : 0), src = make(type, shape, order);
        std::vector<bool> along(shape.size(), form == 1 || form == 2);  // an embedding: one index for a row
        along[axis] = false;
        Tensor index = broadcast(form == 4 ? DType::uint8 : DType::int32, shape, along);
        fill(x), fill(src);
        for (int64_t i = 0; i < index.count(); i++) index.set(i, static_cast<double>(pick(0, large[axis] - 1)));
        CHECK(both("gather", K::gatherFamily, Opcode::gather, {&x, &index}, {&y}, {static_cast<int32_t>(axis)}).ok(), "gather");
        Tensor z = make(type, large), want = make(type, large);
        for (int64_t i = 0; i < want.count(); i++) want.set(i, 0);
        CHECK(both("scatterAdd", K::scatterAddFamily, Opcode::scatterAdd, {&src, &index}, {&z}, {static_cast<int32_t>(axis), 0}).ok(),
              "scatterAdd");
        int64_t inner = 1;
        for (size_t d = axis + 1; d < shape.size(); d++) inner *= shape[d];
        for (int64_t i = 0; i < y.count(); i++) {
          const int64_t outer = i / inner / shape[axis], k = (outer * large[axis] + static_cast<int64_t>(index.get(i))) * inner + i % inner;
          CHECK(y.get(i) == x.get(k), "gather axis %zu form %d: element %lld", axis, form, static_cast<long long>(i));
          want.set(k, static_cast<float>(want.get(k)) + static_cast<float>(src.get(i)));
        }
        for (int64_t k = 0; k < want.count(); k++)
          CHECK(z.get(k) == want.get(k), "scatterAdd axis %zu form %d: element %lld: %g, not %g", axis, form, static_cast<long long>(k),
                z.get(k), want.get(k));
        if (y.count() == 0 || form == 4) continue;
        const auto before = y.memory;
        const int64_t at = pick(0, index.count() - 1);
        index.set(at, form % 2 ? -1 : static_cast<double>(large[axis]));
        Call call(Opcode::gather, {&x, &index}, {&y}, {static_cast<int32_t>(axis)});
        const Status s = call(K::gatherFamily, *gTwo);
        CHECK(s.code == StatusCode::indexOutOfRange && index.at(s.detail[1]) == index.at(at) && before == y.memory, "gather: bad index");
      }
    }
  }
}

// --- random ----------------------------------------------------------------------------------------------------

/// Philox4x32-10 as in its paper.
void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
  for (int r = 0; r < 10; r++) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0], p1 = uint64_t{0xCD9E8D57u} * c[2];
    const uint32_t n[4] = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
                           static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    memcpy(c, n, 16);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
}

void randoms() {
  uint32_t known[4] = {0, 0, 0, 0};  // the paper's first known answer
  philox(known, 0, 0);
  CHECK(known[0] == 0x6627e8d5u && known[3] == 0x9b00dbd8u, "philox");
  for (int64_t n : {0, 1, 3, 31, 32, 33, 1000, 40000}) {
    for (uint32_t start : {0u, 0xfffffff0u}) {
      Tensor state = make(DType::int32, {4});
      state.set(0, 123), state.set(1, -77), state.set(2, static_cast<int32_t>(start)), state.set(3, 5);
      for (int32_t kind = 0; kind < 4; kind++) {
        Tensor y = make(kind == 3 ? DType::boolean : DType::float32, {n});
        CHECK(both("random", K::randomFamily, Opcode::random, {&state}, {&y},
                   {kind == 3 ? 2 : kind, bits(kind >= 2 ? 0.3f : -1.5f), bits(2.5f), 3})
                  .ok(),
              "random");
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++) {
          const uint64_t counter = (start | uint64_t{5} << 32) + 3 + static_cast<uint64_t>(i / 4);
          uint32_t c[4] = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0};
          philox(c, 123, static_cast<uint32_t>(-77));
          const double u = (c[i % 4] >> 8) * 0x1p-24;
          double want = kind == 0 ? -1.5 + 4.0 * u : u < static_cast<double>(0.3f);
          if (kind == 1) {
            const double r = std::sqrt(-2 * std::log(((c[i % 4 / 2 * 2] >> 8) + 1) * 0x1p-24)),
                         angle = 2 * M_PI * (c[i % 4 / 2 * 2 + 1] >> 8) * 0x1p-24;
            want = -1.5 + 2.5 * r * (i % 2 ? std::sin(angle) : std::cos(angle));
          }
          CHECK(near(y.get(i), want, 3e-6), "random kind %d, element %lld: %.9g, not %.9g", kind, static_cast<long long>(i), y.get(i),
                want);
          sum += y.get(i), squares += y.get(i) * y.get(i);
        }
        const double mean = sum / static_cast<double>(n), deviation = std::sqrt(squares / static_cast<double>(n) - mean * mean);
        if (n >= 40000 && kind == 1)
          CHECK(std::fabs(mean + 1.5) < 0.05 && std::fabs(deviation - 2.5) < 0.05, "normal: mean %g, deviation %g", mean, deviation);
        if (n >= 40000 && kind == 0) CHECK(std::fabs(mean - 0.5) < 0.03, "uniform: mean %g", mean);
      }
    }
  }
}

// --- pooling ---------------------------------------------------------------------------------------------------

void poolOne(int64_t h, int64_t w, const std::vector<int32_t>& a, bool channelsLast, bool ceilMode) {
  // a: kh, kw, sh, sw, ph, pw, dh, dw
  const auto size = [&](int64_t n, int i) {
    const int64_t room = n + 2 * a[static_cast<size_t>(4 + i)] - a[static_cast<size_t>(6 + i)] * (a[static_cast<size_t>(i)] - 1) - 1,
                  s = a[static_cast<size_t>(2 + i)];
    return room < 0 ? 0 : (room + (ceilMode ? s - 1 : 0)) / s + 1;
  };
  const int64_t n = 2, c = 3, ho = size(h, 0), wo = size(w, 1);
  if (ho <= 0 || wo <= 0 || (ceilMode && ((ho - 1) * a[2] >= h + a[4] || (wo - 1) * a[3] >= w + a[5]))) return;
  const std::vector<int> order = channelsLast ? std::vector<int>{0, 2, 3, 1} : std::vector<int>{};
  Tensor x = make(DType::float32, {n, c, h, w}, order), y = make(DType::float32, {n, c, ho, wo}, order),
         index = make(DType::int32, {n, c, ho, wo});
  Tensor mean = make(DType::float32, {n, c, ho, wo}), gy = make(DType::float32, {n, c, ho, wo}, order),
         gx = make(DType::float32, {n, c, h, w}, order);
  fill(x), fill(gy);
  for (int64_t i = 0; i < x.count(); i += 3) x.set(i, static_cast<double>(pick(-2, 2)));  // equal ones
  if (pick(0, 1)) x.set(pick(0, x.count() - 1), NAN);
  if (pick(0, 2) == 0) {  // as small as what lies around the input
    for (int64_t i = 0; i < x.count(); i++)
      if (pick(0, 3)) x.set(i, -INFINITY);
  }
  CHECK(both("maxPool2d", K::maxPool2dFamily, Opcode::maxPool2d, {&x}, {&y, &index}, a).ok(), "maxPool2d");
  for (int32_t countPadding = 0; countPadding < 2; countPadding++) {
    const std::vector<int32_t> b{a[0], a[1], a[2], a[3], a[4], a[5], countPadding};
    const bool average = a[6] == 1 && a[7] == 1;
    if (average) {
      CHECK(both("avgPool2d", K::avgPool2dFamily, Opcode::avgPool2d, {&x}, {&mean}, b).ok(), "avgPool2d");
      CHECK(both("avgPool2dGrad", K::avgPool2dGradFamily, Opcode::avgPool2dGrad, {&gy}, {&gx}, b).ok(), "avgPool2dGrad");
    }
    std::vector<double> gradient(static_cast<size_t>(gx.count()));
    for (int64_t o = 0; o < y.count(); o++) {
      const int64_t plane = o / (ho * wo), row = o / wo % ho, column = o % wo;
      double best = -INFINITY, sum = 0;
      int64_t at = -1, inside = 0, padded = 0;
      std::vector<int64_t> cells;
      for (int64_t i = 0; i < a[0]; i++) {
        for (int64_t j = 0; j < a[1]; j++) {
          const int64_t r = row * a[2] - a[4] + i * a[6], k = column * a[3] - a[5] + j * a[7];
          padded += r < h + a[4] && k < w + a[5];
          if (r < 0 || r >= h || k < 0 || k >= w) continue;
          const double v = x.get((plane * h + r) * w + k);
          inside++, sum += v, cells.push_back((plane * h + r) * w + k);
          if (at < 0 || (!std::isnan(best) && (v > best || std::isnan(v)))) best = v, at = r * w + k;
        }
      }
      CHECK(near(y.get(o), best, 0) && index.get(o) == static_cast<double>(at),
            "maxPool2d %lldx%lld k%d s%d: element %lld: %g at %g, not %g at %lld", static_cast<long long>(h), static_cast<long long>(w),
            a[0], a[2], static_cast<long long>(o), y.get(o), index.get(o), best, static_cast<long long>(at));
      if (!average) continue;
      const double divisor = static_cast<double>(countPadding ? padded : inside);
      CHECK(near(mean.get(o), sum / divisor, 2e-6), "avgPool2d element %lld: %g, not %g", static_cast<long long>(o), mean.get(o),
            sum / divisor);
      for (int64_t k : cells) gradient[static_cast<size_t>(k)] += gy.get(o) / divisor;
    }
    for (int64_t k = 0; average && k < gx.count(); k++)
      CHECK(near(gx.get(k), gradient[static_cast<size_t>(k)], 2e-6), "avgPool2dGrad element %lld: %g, not %g", static_cast<long long>(k),
            gx.get(k), gradient[static_cast<size_t>(k)]);
  }
}

void pools() {
  const std::vector<std::vector<int32_t>> windows = {{2, 2, 2, 2, 0, 0, 1, 1}, {3, 3, 2, 2, 1, 1, 1, 1}, {3, 2, 1, 3, 1, 0, 1, 1},
                                                     {2, 2, 2, 2, 1, 1, 1, 1}, {2, 3, 1, 1, 0, 1, 2, 2}, {4, 4, 4, 4, 0, 0, 1, 1},
                                                     {3, 3, 1, 1, 1, 1, 1, 1}, {5, 5, 2, 2, 2, 2, 1, 1}, {7, 3, 3, 2, 3, 1, 1, 1},
                                                     {3, 3, 2, 2, 1, 1, 2, 3}, {2, 9, 1, 7, 1, 4, 1, 1}};
  for (const auto& window : windows) {
    for (int64_t h : {1, 4, 7, 26}) {
      for (int64_t w : {1, 4, 5, 12, 16, 26, 37}) {
        for (bool channelsLast : {false, true}) {
          for (bool ceilMode : {false, true}) poolOne(h, w, window, channelsLast, ceilMode);
        }
      }
    }
  }
  for (bool channelsLast : {false, true}) {
    poolOne(7, 7, {7, 7, 1, 1, 0, 0, 1, 1}, channelsLast, false);
    poolOne(5, 13, {5, 13, 1, 2, 0, 0, 1, 1}, channelsLast, false);
  }
}

}  // namespace

int main() {
  Team one(1), two(2);
  one.poison = two.poison = true;
  gOne = &one, gTwo = &two;
  std::printf("%s\n", K::kIsaName);
  reduces();
  softmaxes();
  gathers();
  randoms();
  pools();
  if (gFailures) std::printf("%d failures\n", gFailures);
  return gFailures != 0;
}
