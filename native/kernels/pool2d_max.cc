// Max pooling over planes. Out: the largest cell of each window, and its place in the plane. Vectors run along a row of windows; those that
// reach beyond the input see -infinity there.
#include "pool2d.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

struct Best {
  float value;
  int32_t index;
};

/// One window, clipped to the input: the first of the largest cells, and NaN above all.
Best bestOf(const PoolGeometry& g, const float* x, const int64_t* stride, int64_t row, int64_t column) {
  Best best{-__builtin_inff(), 0};
  bool found = false;
  for (int64_t i = 0; i < g.kh; i++) {
    const int64_t h = row * g.sh - g.ph + i * g.dh;
    if (h < 0 || h >= g.height) continue;
    for (int64_t j = 0; j < g.kw; j++) {
      const int64_t w = column * g.sw - g.pw + j * g.dw;
      if (w < 0 || w >= g.width) continue;
      const float value = x[h * stride[2] + w * stride[3]];
      if (!found || (!(value <= best.value) && best.value == best.value)) best = {value, static_cast<int32_t>(h * g.width + w)};
      found = true;
    }
  }
  return best;
}

CHAINRULE_INLINE void take(F value, I index, F& best, I& at) {
  const M better = (!le(value, best)) & eq(best, best);
  best = select(better, value, best);
  at = select(better, index, at);
}

/// The largest cells and where they are. In: the places of the windows' first cells, inside the input or not, and in `at` those inside.
/// kColumns: the windows' columns side by side in memory, and kStep: what lies between windows, or 0 where they are anything.
template <int kColumns, int kStep>
CHAINRULE_INLINE void bestVector(const PoolGeometry& g, const PoolWindows& w, I places, F& best, I& at) {
  const int64_t step = kStep ? kStep : w.step;
  best = loadStep(w.corner, step);  // where that is outside, it is -infinity
  for (int64_t i = 0; i < w.rows; i++) {
    const float* x = w.corner + i * w.rowStep;
    const I index = places + set1(static_cast<int32_t>(i * g.dh * g.width));
    if constexpr (kColumns >= 2 && kStep == 2) {
      F even, odd;
      loadPairs(x, even, odd);
      if (i > 0) take(even, index, best, at);
      take(odd, index + set1(1), best, at);
      if constexpr (kColumns == 3) take(loadEven(x + 2), index + set1(2), best, at);
    } else if constexpr (kColumns) {
#pragma GCC unroll 3
      for (int j = 0; j < kColumns; j++) take(loadStep(x + j, step), index + set1(j), best, at);
    } else {
      for (int64_t j = 0; j < g.kw; j++) take(loadStep(x + j * w.columnStep, step), index + set1(static_cast<int32_t>(j * g.dw)), best, at);
    }
  }
}

/// Where a row of results goes.
struct MaxTarget {
  float* value;
  int64_t valueStep;
  int32_t* index;
  int64_t indexStep;
  CHAINRULE_INLINE void write(int64_t c, F best, I at, int64_t n) const {
    if (valueStep == 1 && indexStep == 1) {
      put(value + c, best, n);
      put(index + c, at, n);
      return;
    }
    float values[kWidth];
    int32_t places[kWidth];
    store(values, best);
    store(places, at);
    for (int64_t k = 0; k < n; k++) write(c + k, {values[k], places[k]});
  }
  void write(int64_t c, Best best) const {
    value[c * valueStep] = best.value;
    index[c * indexStep] = best.index;
  }
};

/// The places of the windows' left cells in the first row, inside the input or not.
CHAINRULE_INLINE I placesOf(const PoolGeometry& g, const PoolWindows& w) {
  const int64_t first = w.firstRow * g.width + w.column * g.sw - g.pw;
  return set1(static_cast<int32_t>(first)) + lanes() * set1(static_cast<int32_t>(g.sw));
}

/// The places of the first cells that are inside; 0 where there is none.
[[gnu::noinline]] I placesInside(const PoolGeometry& g, const PoolWindows& w) {
  const I dilation = set1(static_cast<int32_t>(g.dw)), none = set1(0);
  const int64_t left = w.column * g.sw - g.pw;
  I column = set1(static_cast<int32_t>(left)) + lanes() * set1(static_cast<int32_t>(g.sw));
  for (int64_t k = left; k < 0; k += g.dw) column = select(lt(column, none), column + dilation, column);
  const I place = column + set1(static_cast<int32_t>(w.firstRow * g.width));
  return select(lt(column, set1(static_cast<int32_t>(g.width))), place, none);
}

template <int kColumns, int kStep>
void maxRow(const PoolRows& rows, const PoolGeometry& g, const int64_t* stride, const float* plane, int64_t row, const MaxTarget& to) {
  const auto some = [&](const PoolWindows& w) __attribute__((always_inline)) {
    const I places = placesOf(g, w);
    F best;
    I at = w.clipped ? placesInside(g, w) : places;
    bestVector<kColumns, kStep>(g, w, places, best, at);
    to.write(w.column, best, at, w.count);
  };
  rows.each(row, some, [&](int64_t c) { to.write(c, bestOf(g, plane, stride, row, c)); });
}

using MaxRow = decltype(&maxRow<0, 0>);

/// `columnStep`: from one column to the next in memory.
MaxRow maxRowFor(const PoolGeometry& g, int64_t columnStep) {
  const int64_t step = g.sw * columnStep;
  const bool dense = g.dw * columnStep == 1;
  if (dense && g.kw == 2 && step == 2) return maxRow<2, 2>;
  if (dense && g.kw == 3 && step == 2) return maxRow<3, 2>;
  if (dense && g.kw == 3 && step == 1) return maxRow<3, 1>;
  return step == 2 ? maxRow<0, 2> : step == 1 ? maxRow<0, 1> : maxRow<0, 0>;
}

void maxChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const PoolJob& job = *static_cast<const PoolJob*>(argument);
  const View &xs = job.instruction->inputs[0], &ys = job.instruction->outputs[0], &is = job.instruction->outputs[1];
  const PoolGeometry g(xs, ys, job.instruction->attributes, true);
  PoolRows rows(g, xs, job.run->data<float>(xs), -__builtin_inff(), scratch);
  eachPlane(g, job.first(chunk), job.last(chunk, g.planes * g.outHeight), [&](int64_t plane, int64_t first, int64_t last) {
    const float* x = job.run->data<float>(xs) + planeOffset(xs, g, plane);
    float* y = job.run->data<float>(ys) + planeOffset(ys, g, plane);
    int32_t* index = job.run->data<int32_t>(is) + planeOffset(is, g, plane);
    rows.enter(x, first, last);
    const MaxRow run = maxRowFor(g, rows.columnStep());
    for (int64_t row = first; row < last; row++)
      run(rows, g, xs.stride, x, row, {y + row * ys.stride[2], ys.stride[3], index + row * is.stride[2], is.stride[3]});
  });
}

Status runMax(const Instruction& instruction, const Run& run) {
  const View& y = instruction.outputs[0];
  return runPool(instruction, run, planeCount(y) * y.shape[2], y.shape[3] * instruction.attributes[1], maxChunk);
}

}  // namespace

const KernelFamily maxPool2dFamily = {preparePool, runMax, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
