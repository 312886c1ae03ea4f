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

/// kWidth windows side by side: the first cell of the first, in memory, and what lies between cells and between windows there.
struct Windows {
  const float* corner;
  int64_t rowStep, columnStep, step;
  int64_t rows;  ///< of the window, as far as they are inside the input
  I index;       ///< of each window's first cell in the plane; of a cell outside it is never taken
};

/// The largest cells and where they are. In: `at`, the windows' first cells inside the input. kColumns: the windows' columns side by side
/// in memory, and kStep: what lies between windows, or 0 where they are anything.
template <int kColumns, int kStep>
CHAINRULE_INLINE void bestVector(const PoolGeometry& g, const Windows& w, F& best, I& at) {
  const int64_t step = kStep ? kStep : w.step;
  best = loadStep(w.corner, step);  // where that is outside, it is -infinity
  for (int64_t i = 0; i < w.rows; i++) {
    const float* x = w.corner + i * w.rowStep;
    const I index = w.index + set1(static_cast<int32_t>(i * g.dh * g.width));
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
  CHAINRULE_INLINE void put(int64_t c, F best, I at) const {
    if (valueStep != 1 || indexStep != 1) return put(c, best, at, kWidth);
    store(value + c, best);
    store(index + c, at);
  }
  void put(int64_t c, F best, I at, int64_t n) const {
    if (valueStep == 1 && indexStep == 1) {
      storePartial(value + c, best, n);
      storePartial(index + c, at, n);
      return;
    }
    float values[kWidth];
    int32_t places[kWidth];
    store(values, best);
    store(places, at);
    for (int64_t k = 0; k < n; k++) put(c + k, {values[k], places[k]});
  }
  void put(int64_t c, Best best) const {
    value[c * valueStep] = best.value;
    index[c * indexStep] = best.index;
  }
};

/// Max pooling of planes, a row of results at a time.
class MaxRow {
 public:
  MaxRow(const PoolGeometry& g, const View& view, const float* data) : g_(g), stride_(view.stride), last_(data) {
    for (int32_t d = 0; d < 4; d++) {
      if (view.stride[d] < 0) readsOn_ = false;
      if (readsOn_) last_ += (view.shape[d] - 1) * view.stride[d];
    }
  }

  template <int kColumns, int kStep>
  void run(const float* plane, int64_t row, const MaxTarget& to) const {
    const int64_t top = row * g_.sh - g_.ph, above = top < 0 ? (g_.dh - 1 - top) / g_.dh : 0, first = top + above * g_.dh;
    const int64_t below = first < g_.height ? (g_.height - first + g_.dh - 1) / g_.dh : 0;
    const int64_t rows = below < g_.kh - above ? below : g_.kh - above;
    const int64_t rowStep = g_.dh * stride_[2], span = (rows - 1) * rowStep + (reach_ - 1) * stride_[3];
    for (int64_t c = 0; c < g_.outWidth; c += kWidth) {
      if (c + kWidth > g_.outWidth && g_.outWidth >= kWidth) c = g_.outWidth - kWidth;  // overlaps the vector before
      const int64_t n = g_.outWidth - c < kWidth ? g_.outWidth - c : kWidth;
      const float* corner = plane + first * stride_[2] + (c * g_.sw - g_.pw) * stride_[3];
      // Lanes without a window read on in the next rows, which must be there.
      if (rows <= 0 || c < firstInside_ || c + n > endInside_ || (n < kWidth && !(readsOn_ && last_ - corner >= span))) {
        atEdge(plane, row, first, rows, c, to);
        continue;
      }
      F best;
      I at = cells(first, c);
      bestVector<kColumns, kStep>(g_, {corner, rowStep, g_.dw * stride_[3], g_.sw * stride_[3], rows, at}, best, at);
      if (n == kWidth) {
        to.put(c, best, at);
      } else {
        to.put(c, best, at, n);
      }
    }
  }

 private:
  static constexpr int64_t kCopiedRows = 5, kCopiedColumns = 6 * kWidth;

  /// Up to kWidth windows from column c on, of which some reach beyond the input: through a copy with -infinity there, or one by one.
  [[gnu::noinline]] void atEdge(const float* plane, int64_t row, int64_t first, int64_t rows, int64_t c, const MaxTarget& to) const {
    const int64_t n = g_.outWidth - c < kWidth ? g_.outWidth - c : kWidth;
    if (rows <= 0 || rows > kCopiedRows || reach_ + kWidth > kCopiedColumns) {
      for (int64_t k = c; k < c + n; k++) to.put(k, bestOf(g_, plane, stride_, row, k));
      return;
    }
    alignas(64) float copy[kCopiedRows * kCopiedColumns];
    copyRows(plane + first * stride_[2], rows, c, copy);
    F best;
    I at = firstCells(first, c);
    const Windows windows{copy, kCopiedColumns, g_.dw, g_.sw, rows, cells(first, c)};
    g_.sw == 2 ? bestVector<0, 2>(g_, windows, best, at) : bestVector<0, 0>(g_, windows, best, at);
    to.put(c, best, at, n);
  }

  /// The places of the windows' left cells in a row of the plane, inside the input or not.
  I cells(int64_t row, int64_t c) const {
    return set1(static_cast<int32_t>(row * g_.width + c * g_.sw - g_.pw)) + lanes() * set1(static_cast<int32_t>(g_.sw));
  }

  /// The places of the first cells that are inside; 0 where there is none.
  I firstCells(int64_t row, int64_t c) const {
    const I dilation = set1(static_cast<int32_t>(g_.dw)), none = set1(0);
    I column = set1(static_cast<int32_t>(c * g_.sw - g_.pw)) + lanes() * set1(static_cast<int32_t>(g_.sw));
    for (int64_t left = c * g_.sw - g_.pw; left < 0; left += g_.dw) column = select(lt(column, none), column + dilation, column);
    return select(lt(column, set1(static_cast<int32_t>(g_.width))), column + set1(static_cast<int32_t>(row * g_.width)), none);
  }

  /// The windows' cells, -infinity where the input has none; `from`: the first row's column 0.
  void copyRows(const float* from, int64_t rows, int64_t c, float* copy) const {
    const int64_t left = c * g_.sw - g_.pw, begin = left < 0 ? -left : 0;
    const int64_t end = g_.width - left < reach_ ? g_.width - left : reach_;
    for (int64_t i = 0; i < rows; i++, from += g_.dh * stride_[2], copy += kCopiedColumns) {
      for (int64_t k = 0; k < reach_; k += kWidth) store(copy + k, set1(-__builtin_inff()));
      const float* x = from + left * stride_[3];
      if (stride_[3] == 1) {
        int64_t k = begin;
        for (; k + kWidth <= end; k += kWidth) store(copy + k, load(x + k));
        if (k < end) storePartial(copy + k, loadPartial(x + k, end - k), end - k);
      } else {
        for (int64_t k = begin; k < end; k++) copy[k] = x[k * stride_[3]];
      }
    }
  }

  const PoolGeometry& g_;
  const int64_t* stride_;
  const float* last_;    ///< the tensor's last element in memory
  bool readsOn_ = true;  ///< no stride is negative
  const int64_t firstInside_ = g_.firstInside(), endInside_ = g_.endInside();
  const int64_t reach_ = (kWidth - 1) * g_.sw + (g_.kw - 1) * g_.dw + 1;  ///< columns that kWidth windows see
};

using MaxRowFunction = void (MaxRow::*)(const float*, int64_t, const MaxTarget&) const;

MaxRowFunction maxRowFor(const PoolGeometry& g, const int64_t* stride) {
  const int64_t step = g.sw * stride[3];
  const bool dense = g.dw * stride[3] == 1;
  if (dense && g.kw == 2 && step == 2) return &MaxRow::run<2, 2>;
  if (dense && g.kw == 3 && step == 2) return &MaxRow::run<3, 2>;
  if (dense && g.kw == 3 && step == 1) return &MaxRow::run<3, 1>;
  return step == 2 ? &MaxRow::run<0, 2> : step == 1 ? &MaxRow::run<0, 1> : &MaxRow::run<0, 0>;
}

void maxChunk(void* argument, int64_t chunk, std::byte*) {
  const PoolJob& job = *static_cast<const PoolJob*>(argument);
  const View &xs = job.instruction->inputs[0], &ys = job.instruction->outputs[0], &is = job.instruction->outputs[1];
  const PoolGeometry g(xs, ys, job.instruction->attributes, true);
  const MaxRow maxRow(g, xs, job.run->data<float>(xs));
  const MaxRowFunction run = maxRowFor(g, xs.stride);
  const int64_t total = g.planes * g.outHeight, end = (chunk + 1) * job.rowsPerChunk;
  for (int64_t r = chunk * job.rowsPerChunk; r < end && r < total; r++) {
    const int64_t plane = r / g.outHeight, row = r % g.outHeight;
    (maxRow.*run)(job.run->data<float>(xs) + planeOffset(xs, g, plane), row,
                  {job.run->data<float>(ys) + planeOffset(ys, g, plane) + row * ys.stride[2], ys.stride[3],
                   job.run->data<int32_t>(is) + planeOffset(is, g, plane) + row * is.stride[2], is.stride[3]});
  }
}

Status runMax(const Instruction& instruction, const Run& run) {
  const View& y = instruction.outputs[0];
  return runPool(instruction, run, planesOf(y) * y.shape[2], y.shape[3] * instruction.attributes[1], maxChunk);
}

}  // namespace

const KernelFamily maxPool2dFamily = {preparePool, runMax, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
