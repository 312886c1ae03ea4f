// Average pooling over planes and its gradient. Vectors run along a row of windows where all of them lie inside the input.
#include <cstring>

#include "pool2d.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

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

/// A row of averages.
struct AverageRow {
  const PoolGeometry& g;
  const View& xs;
  const float* x;
  float* y;
  int64_t step;
  Span rows;
  bool padding;
  const float* divisors;  ///< of the windows' columns

  CHAINRULE_INLINE void write(const PoolWindows& w, F average) const {
    if (step == 1) return put(y + w.column, average, w.count);
    float lane[kWidth];
    store(lane, average);
    for (int64_t k = 0; k < w.count; k++) y[(w.column + k) * step] = lane[k];
  }

  CHAINRULE_INLINE void some(const PoolWindows& w) const {
    F sum = zero();
    for (int64_t i = 0; i < w.rows; i++)
      for (int64_t j = 0; j < g.kw; j++) sum += loadStep(w.corner + i * w.rowStep + j * w.columnStep, w.step);
    const F columns = w.clipped ? loadPartial(divisors + w.column, w.count) : set1(static_cast<float>(g.kw));
    write(w, sum / (columns * set1(static_cast<float>(rows.divisor))));
  }

  /// Along the window.
  [[gnu::noinline]] void one(int64_t c) const {
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
    y[c * step] = (sum + reduceAdd(parts)) / static_cast<float>(rows.divisor * columns.divisor);
  }
};

constexpr int64_t kDivisors = (static_cast<int64_t>(kThreadScratchBytes) - PoolRows::kCopyBytes) / 4 - 2 * kWidth;

void averageChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const PoolJob& job = *static_cast<const PoolJob*>(argument);
  const View &xs = job.instruction->inputs[0], &ys = job.instruction->outputs[0];
  const PoolGeometry g(xs, ys, job.instruction->attributes, false);
  const bool padding = job.instruction->attributes[6] != 0;
  PoolRows pool(g, xs, job.run->data<float>(xs), 0.0f, scratch + kDivisors * 4);
  float* divisors = reinterpret_cast<float*>(scratch);
  // Vectors along windows instead of across them, where windows are few and wide.
  const int64_t across = smaller(g.outWidth, kWidth);
  const bool along = across * (g.kh * ((g.kw + kWidth - 1) / kWidth) + 8) < g.kh * g.kw + 4 || g.outWidth > kDivisors;
  for (int64_t c = 0; !along && c < g.outWidth; c++) divisors[c] = static_cast<float>(Span(c, g.sw, g.pw, g.kw, g.width, padding).divisor);
  eachPlane(g, job.first(chunk), job.last(chunk, g.planes * g.outHeight), [&](int64_t plane, int64_t first, int64_t last) {
    const float* x = job.run->data<float>(xs) + planeOffset(xs, g, plane);
    float* y = job.run->data<float>(ys) + planeOffset(ys, g, plane);
    if (!along) pool.enter(x, first, last);
    for (int64_t row = first; row < last; row++) {
      const Span rows(row, g.sh, g.ph, g.kh, g.height, padding);
      const AverageRow average{g, xs, x, y + row * ys.stride[2], ys.stride[3], rows, padding, divisors};
      const auto one = [&](int64_t c) { average.one(c); };
      if (along) {
        for (int64_t c = 0; c < g.outWidth; c++) one(c);
      } else {
        pool.each(
            row, [&](const PoolWindows& w) __attribute__((always_inline)) { average.some(w); }, one);
      }
    }
  });
}

/// A row of gy over the sizes of its windows, for the columns first … first+n-1.
void sharesOf(const float* gy, int64_t step, const PoolGeometry& g, const Span& rows, bool padding, int64_t first, int64_t n,
              float* shares) {
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
  alongUnits(n, [&](int64_t i, int64_t have) { put(x + i, get(x + i, have) + set1(share), have); });
}

/// A row of gx gathers from all windows that touch it.
void averageGradChunk(void* argument, int64_t chunk, std::byte*) {
  const PoolJob& job = *static_cast<const PoolJob*>(argument);
  const View &gs = job.instruction->inputs[0], &xs = job.instruction->outputs[0];
  const PoolGeometry g(xs, gs, job.instruction->attributes, false);
  const bool padding = job.instruction->attributes[6] != 0;
  const int64_t firstInside = g.firstInside(), endInside = g.endInside(), step = xs.stride[3];
  constexpr int64_t kShares = 256;
  float shares[kShares];
  for (int64_t r = job.first(chunk); r < job.last(chunk, g.planes * g.height); r++) {
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
        const int64_t n = smaller(g.outWidth - begin, kShares);
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

/// One window that sees the whole plane, as global pooling has it: all of gx's plane is one number.
bool isGlobal(const PoolGeometry& g) {
  return g.outHeight == 1 && g.outWidth == 1 && g.ph == 0 && g.pw == 0 && g.kh == g.height && g.kw == g.width;
}

void globalGradChunk(void* argument, int64_t chunk, std::byte*) {
  const PoolJob& job = *static_cast<const PoolJob*>(argument);
  const View &gs = job.instruction->inputs[0], &xs = job.instruction->outputs[0];
  const PoolGeometry g(xs, gs, job.instruction->attributes, false);
  const float cells = static_cast<float>(g.height * g.width);
  for (int64_t plane = job.first(chunk); plane < job.last(chunk, g.planes); plane++) {
    const float share = job.run->data<float>(gs)[planeOffset(gs, g, plane)] / cells;
    float* x = job.run->data<float>(xs) + planeOffset(xs, g, plane);
    if (xs.unit(3) && (g.height == 1 || xs.stride[2] == g.width)) {
      alongUnits(g.height * g.width, [&](int64_t i, int64_t have) { put(x + i, set1(share), have); });
    } else {
      for (int64_t h = 0; h < g.height; h++)
        for (int64_t w = 0; w < g.width; w++) x[h * xs.stride[2] + w * xs.stride[3]] = share;
    }
  }
}

Status runAverage(const Instruction& instruction, const Run& run) {
  const View& y = instruction.outputs[0];
  return runPool(instruction, run, planeCount(y) * y.shape[2], y.shape[3] * instruction.attributes[1] * instruction.attributes[0],
                 averageChunk);
}
Status runAverageGrad(const Instruction& instruction, const Run& run) {
  const View& x = instruction.outputs[0];
  const PoolGeometry g(x, instruction.inputs[0], instruction.attributes, false);
  if (isGlobal(g)) return runPool(instruction, run, g.planes, g.height * g.width, globalGradChunk);
  return runPool(instruction, run, g.planes * g.height, 2 * g.width, averageGradChunk);
}

}  // namespace

const KernelFamily avgPool2dFamily = {preparePool, runAverage, nullptr};
const KernelFamily avgPool2dGradFamily = {preparePool, runAverageGrad, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
