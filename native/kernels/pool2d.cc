// Max and average pooling over planes, and the gradient of the latter. In: x [N, C, H, W] (or gy) of any strides and the window;
// out: as docs/program-format.md. Work is cut into blocks of output rows; vectors run along a row of windows.
#include <cstring>

#include "../simd/simd.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 8192;

struct Job {
  const Instruction* instruction;
  const Run* run;
  int64_t rowsPerChunk;
};

/// Sizes, window and strides of a pooling; `in` is the large side, `out` the small.
struct Geometry {
  int64_t planes, channels, height, width, outHeight, outWidth;
  int64_t kh, kw, sh, sw, ph, pw, dh, dw;
  Geometry(const View& in, const View& out, const int32_t* a, bool dilated)
      : planes(in.shape[0] * in.shape[1]),
        channels(in.shape[1]),
        height(in.shape[2]),
        width(in.shape[3]),
        outHeight(out.shape[2]),
        outWidth(out.shape[3]),
        kh(a[0]),
        kw(a[1]),
        sh(a[2]),
        sw(a[3]),
        ph(a[4]),
        pw(a[5]),
        dh(dilated ? a[6] : 1),
        dw(dilated ? a[7] : 1) {}
  /// The output columns whose windows lie inside the input.
  int64_t firstInside() const { return (pw + sw - 1) / sw; }
  int64_t endInside() const {
    const int64_t room = width + pw - (kw - 1) * dw - 1;
    const int64_t end = room < 0 ? 0 : room / sw + 1;
    return end < outWidth ? end : outWidth;
  }
};

int64_t planeOffset(const View& v, const Geometry& g, int64_t plane) {
  return plane / g.channels * v.stride[0] + plane % g.channels * v.stride[1];
}

/// kWidth elements, `step` apart.
CHAINRULE_INLINE F loadStep(const float* p, int64_t step) { return step == 1 ? load(p) : step == 2 ? loadEven(p) : loadStrided(p, step); }

// --- max -------------------------------------------------------------------------------------------------------

struct Best {
  float value;
  int32_t index;
};

/// One window, clipped to the input: the first of the largest cells, and NaN above all.
Best bestOf(const Geometry& g, const float* x, const int64_t* stride, int64_t row, int64_t column) {
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
CHAINRULE_INLINE void bestVector(const Geometry& g, const Windows& w, F& best, I& at) {
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
  MaxRow(const Geometry& g, const View& view, const float* data) : g_(g), stride_(view.stride), last_(data) {
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

  const Geometry& g_;
  const int64_t* stride_;
  const float* last_;    ///< the tensor's last element in memory
  bool readsOn_ = true;  ///< no stride is negative
  const int64_t firstInside_ = g_.firstInside(), endInside_ = g_.endInside();
  const int64_t reach_ = (kWidth - 1) * g_.sw + (g_.kw - 1) * g_.dw + 1;  ///< columns that kWidth windows see
};

using MaxRowFunction = void (MaxRow::*)(const float*, int64_t, const MaxTarget&) const;

MaxRowFunction maxRowFor(const Geometry& g, const int64_t* stride) {
  const int64_t step = g.sw * stride[3];
  const bool dense = g.dw * stride[3] == 1;
  if (dense && g.kw == 2 && step == 2) return &MaxRow::run<2, 2>;
  if (dense && g.kw == 3 && step == 2) return &MaxRow::run<3, 2>;
  if (dense && g.kw == 3 && step == 1) return &MaxRow::run<3, 1>;
  return step == 2 ? &MaxRow::run<0, 2> : step == 1 ? &MaxRow::run<0, 1> : &MaxRow::run<0, 0>;
}

void maxChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const View &xs = job.instruction->inputs[0], &ys = job.instruction->outputs[0], &is = job.instruction->outputs[1];
  const Geometry g(xs, ys, job.instruction->attributes, true);
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

// --- average ---------------------------------------------------------------------------------------------------

/// The cells of a window along one dimension: those inside the input, and how many count in the divisor.
struct Span {
  int64_t begin, end, divisor;
  Span(int64_t position, int64_t stride, int64_t padding, int64_t kernel, int64_t size, bool countPadding) {
    const int64_t from = position * stride - padding, to = from + kernel, padded = to < size + padding ? to : size + padding;
    begin = from > 0 ? from : 0;
    end = to < size ? to : size;
    if (end < begin) end = begin;
    divisor = countPadding ? padded - from : end - begin;
  }
};

void averageChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const View &xs = job.instruction->inputs[0], &ys = job.instruction->outputs[0];
  const Geometry g(xs, ys, job.instruction->attributes, false);
  const bool padding = job.instruction->attributes[6] != 0;
  const int64_t total = g.planes * g.outHeight, firstInside = g.firstInside(), endInside = g.endInside();
  for (int64_t r = chunk * job.rowsPerChunk; r < (chunk + 1) * job.rowsPerChunk && r < total; r++) {
    const int64_t plane = r / g.outHeight, row = r % g.outHeight;
    const float* x = job.run->data<float>(xs) + planeOffset(xs, g, plane);
    float* y = job.run->data<float>(ys) + planeOffset(ys, g, plane) + row * ys.stride[2];
    const Span rows(row, g.sh, g.ph, g.kh, g.height, padding);
    for (int64_t c = 0; c < g.outWidth;) {
      // The last vector of a row may overlap the one before.
      if (c > firstInside && c < endInside && c + kWidth > endInside && endInside - kWidth >= firstInside && ys.stride[3] == 1)
        c = endInside - kWidth;
      if (c >= firstInside && c + kWidth <= endInside && ys.stride[3] == 1) {
        F sum = zero();
        for (int64_t h = rows.begin; h < rows.end; h++) {
          const float* p = x + h * xs.stride[2] + (c * g.sw - g.pw) * xs.stride[3];
          for (int64_t j = 0; j < g.kw; j++) sum += loadStep(p + j * xs.stride[3], g.sw * xs.stride[3]);
        }
        store(y + c, sum / set1(static_cast<float>(rows.divisor * g.kw)));
        c += kWidth;
      } else {
        const Span columns(c, g.sw, g.pw, g.kw, g.width, padding);
        F parts = zero();
        float sum = 0.0f;
        for (int64_t h = rows.begin; h < rows.end; h++) {
          int64_t w = columns.begin;
          const float* p = x + h * xs.stride[2];
          for (; w + kWidth <= columns.end; w += kWidth) parts += loadStep(p + w * xs.stride[3], xs.stride[3]);
          if (xs.stride[3] == 1) {
            parts += loadPartial(p + w, columns.end - w);
          } else {
            for (; w < columns.end; w++) sum += p[w * xs.stride[3]];
          }
        }
        sum += reduceAdd(parts);
        y[c * ys.stride[3]] = sum / static_cast<float>(rows.divisor * columns.divisor);
        c++;
      }
    }
  }
}

/// A row of gy over the sizes of its windows, for the columns first … first+n-1.
void sharesOf(const float* gy, int64_t step, const Geometry& g, const Span& rows, bool padding, int64_t first, int64_t n, float* shares) {
  const F whole = set1(static_cast<float>(rows.divisor * g.kw));
  for (int64_t i = 0; i < n;) {
    const int64_t c = first + i;
    if (c >= g.firstInside() && i + kWidth <= n && c + kWidth <= g.endInside()) {
      store(shares + i, loadStep(gy + c * step, step) / whole);
      i += kWidth;
    } else {
      const Span columns(c, g.sw, g.pw, g.kw, g.width, padding);
      shares[i++] = gy[c * step] / static_cast<float>(rows.divisor * columns.divisor);
    }
  }
}

/// x[0..n-1] += share.
CHAINRULE_INLINE void addToRun(float* x, int64_t n, float share) {
  const F shares = set1(share);
  for (; n >= kWidth; n -= kWidth, x += kWidth) store(x, load(x) + shares);
  if (n > 0) storePartial(x, loadPartial(x, n) + shares, n);
}

/// A row of gx gathers from all windows that touch it.
void averageGradChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const View &gs = job.instruction->inputs[0], &xs = job.instruction->outputs[0];
  const Geometry g(xs, gs, job.instruction->attributes, false);
  const bool padding = job.instruction->attributes[6] != 0;
  const int64_t total = g.planes * g.height, firstInside = g.firstInside(), endInside = g.endInside(), step = xs.stride[3];
  constexpr int64_t kShares = 256;
  float shares[kShares];
  for (int64_t r = chunk * job.rowsPerChunk; r < (chunk + 1) * job.rowsPerChunk && r < total; r++) {
    const int64_t plane = r / g.height, h = r % g.height;
    float* x = job.run->data<float>(xs) + planeOffset(xs, g, plane) + h * xs.stride[2];
    if (step == 1) {
      memset(x, 0, static_cast<size_t>(g.width) * sizeof(float));
    } else {
      for (int64_t w = 0; w < g.width; w++) x[w * step] = 0.0f;
    }
    const int64_t below = h + g.ph - g.kh;  // windows begin after this row
    const int64_t first = below < 0 ? 0 : below / g.sh + 1, last = (h + g.ph) / g.sh;
    for (int64_t row = first; row <= last && row < g.outHeight; row++) {
      const Span rows(row, g.sh, g.ph, g.kh, g.height, padding);
      const float* gy = job.run->data<float>(gs) + planeOffset(gs, g, plane) + row * gs.stride[2];
      for (int64_t begin = 0; begin < g.outWidth; begin += kShares) {
        const int64_t n = g.outWidth - begin < kShares ? g.outWidth - begin : kShares;
        sharesOf(gy, gs.stride[3], g, rows, padding, begin, n, shares);
        // Whole windows cell by cell, so that the loops are long; those at the edges are clipped.
        int64_t inside = firstInside > begin ? firstInside - begin : 0, end = endInside - begin < n ? endInside - begin : n;
        if (end - inside < g.kw) inside = end = n;  // few and wide windows: one by one
        for (int64_t i = inside > 0 ? 0 : end; i < n; i = i + 1 == inside ? end : i + 1) {
          const Span columns(begin + i, g.sw, g.pw, g.kw, g.width, padding);
          if (step == 1) {
            addToRun(x + columns.begin, columns.end - columns.begin, shares[i]);
          } else {
            for (int64_t w = columns.begin; w < columns.end; w++) x[w * step] += shares[i];
          }
        }
        for (int64_t j = 0; j < g.kw; j++) {
          float* to = x + ((begin + inside) * g.sw - g.pw + j) * step;
          for (int64_t i = inside; i < end; i++, to += g.sw * step) *to += shares[i];
        }
      }
    }
  }
}

Status prepareNothing(Instruction& instruction) {
  instruction.plan = nullptr;
  instruction.sharedScratch = 0;
  return {};
}

/// `rows` of about `work` elements each, in blocks.
Status runRows(const Instruction& instruction, const Run& run, int64_t rows, int64_t work, ChunkFunction function) {
  if (rows == 0) return {};
  Job job{&instruction, &run, work >= kChunkElements ? 1 : kChunkElements / (work > 0 ? work : 1)};
  parallel(run, (rows + job.rowsPerChunk - 1) / job.rowsPerChunk, function, &job);
  return {};
}

int64_t planesOf(const View& v) { return v.shape[0] * v.shape[1]; }

Status runMax(const Instruction& instruction, const Run& run) {
  const View& y = instruction.outputs[0];
  return runRows(instruction, run, planesOf(y) * y.shape[2], y.shape[3] * instruction.attributes[1], maxChunk);
}
Status runAverage(const Instruction& instruction, const Run& run) {
  const View& y = instruction.outputs[0];
  return runRows(instruction, run, planesOf(y) * y.shape[2], y.shape[3] * instruction.attributes[1] * instruction.attributes[0],
                 averageChunk);
}
Status runAverageGrad(const Instruction& instruction, const Run& run) {
  const View& x = instruction.outputs[0];
  return runRows(instruction, run, planesOf(x) * x.shape[2], 2 * x.shape[3], averageGradChunk);
}

}  // namespace

const KernelFamily maxPool2dFamily = {prepareNothing, runMax, nullptr};
const KernelFamily avgPool2dFamily = {prepareNothing, runAverage, nullptr};
const KernelFamily avgPool2dGradFamily = {prepareNothing, runAverageGrad, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
