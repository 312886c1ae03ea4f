// Max and average pooling over planes, and the gradient of the latter. In: x [N, C, H, W] (or gy) of any strides and the window;
// out: as docs/program-format.md. Work is cut into blocks of output rows; vectors run along a row where all its
// windows lie inside the input.
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
      : planes(in.shape[0] * in.shape[1]), channels(in.shape[1]), height(in.shape[2]), width(in.shape[3]), outHeight(out.shape[2]),
        outWidth(out.shape[3]), kh(a[0]), kw(a[1]), sh(a[2]), sw(a[3]), ph(a[4]), pw(a[5]), dh(dilated ? a[6] : 1), dw(dilated ? a[7] : 1) {}
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

/// kWidth windows that lie inside the input, the first at column `column`. `x` is the top left of the first.
CHAINRULE_INLINE void bestVector(const Geometry& g, const float* x, const int64_t* stride, int64_t corner, F& best, I& at) {
  const I first = set1(static_cast<int32_t>(corner)) + lanes() * set1(static_cast<int32_t>(g.sw));
  best = loadStep(x, g.sw * stride[3]);
  at = first;
  for (int64_t i = 0; i < g.kh; i++) {
    for (int64_t j = 0; j < g.kw; j++) {
      if (i == 0 && j == 0) continue;
      const F v = loadStep(x + i * g.dh * stride[2] + j * g.dw * stride[3], g.sw * stride[3]);
      take(v, first + set1(static_cast<int32_t>(i * g.dh * g.width + j * g.dw)), best, at);
    }
  }
}

/// The same for 2×2 windows side by side.
CHAINRULE_INLINE void bestOfPairs(const float* x, int64_t rowStride, int64_t width, int64_t corner, F& best, I& at) {
  const I first = set1(static_cast<int32_t>(corner)) + lanes() + lanes();
  F a, b, c, d;
  loadPairs(x, a, b);
  loadPairs(x + rowStride, c, d);
  best = a;
  at = first;
  take(b, first + set1(1), best, at);
  take(c, first + set1(static_cast<int32_t>(width)), best, at);
  take(d, first + set1(static_cast<int32_t>(width + 1)), best, at);
}

void maxChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const View &xs = job.instruction->inputs[0], &ys = job.instruction->outputs[0], &is = job.instruction->outputs[1];
  const Geometry g(xs, ys, job.instruction->attributes, true);
  const bool pairs = g.kh == 2 && g.kw == 2 && g.sw == 2 && g.dh == 1 && g.dw == 1 && xs.stride[3] == 1;
  const int64_t total = g.planes * g.outHeight, firstInside = g.firstInside(), endInside = g.endInside();
  for (int64_t r = chunk * job.rowsPerChunk; r < (chunk + 1) * job.rowsPerChunk && r < total; r++) {
    const int64_t plane = r / g.outHeight, row = r % g.outHeight, top = row * g.sh - g.ph;
    const float* x = job.run->data<float>(xs) + planeOffset(xs, g, plane);
    float* y = job.run->data<float>(ys) + planeOffset(ys, g, plane) + row * ys.stride[2];
    int32_t* index = job.run->data<int32_t>(is) + planeOffset(is, g, plane) + row * is.stride[2];
    const bool inside = top >= 0 && top + (g.kh - 1) * g.dh < g.height;
    for (int64_t c = 0; c < g.outWidth;) {
      // The last vector of a row may overlap the one before.
      if (inside && c > firstInside && c < endInside && c + kWidth > endInside && endInside - kWidth >= firstInside) c = endInside - kWidth;
      const int64_t left = c * g.sw - g.pw;
      if (inside && c >= firstInside && c + kWidth <= endInside) {
        const float* corner = x + top * xs.stride[2] + left * xs.stride[3];
        F best;
        I at;
        if (pairs) {
          bestOfPairs(corner, xs.stride[2], g.width, top * g.width + left, best, at);
        } else {
          bestVector(g, corner, xs.stride, top * g.width + left, best, at);
        }
        if (ys.stride[3] == 1 && is.stride[3] == 1) {
          store(y + c, best);
          store(index + c, at);
        } else {
          float values[kWidth];
          int32_t places[kWidth];
          store(values, best);
          store(places, at);
          for (int k = 0; k < kWidth; k++) {
            y[(c + k) * ys.stride[3]] = values[k];
            index[(c + k) * is.stride[3]] = places[k];
          }
        }
        c += kWidth;
      } else {
        const Best best = bestOf(g, x, xs.stride, row, c);
        y[c * ys.stride[3]] = best.value;
        index[c * is.stride[3]] = best.index;
        c++;
      }
    }
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
      if (c > firstInside && c < endInside && c + kWidth > endInside && endInside - kWidth >= firstInside && ys.stride[3] == 1) c = endInside - kWidth;
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
        float sum = 0.0f;
        for (int64_t h = rows.begin; h < rows.end; h++) {
          F part = zero();
          int64_t w = columns.begin;
          const float* p = x + h * xs.stride[2];
          for (; w + kWidth <= columns.end; w += kWidth) part += loadStep(p + w * xs.stride[3], xs.stride[3]);
          float rest = reduceAdd(part);
          for (; w < columns.end; w++) rest += p[w * xs.stride[3]];
          sum += rest;
        }
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
    for (int64_t w = 0; w < g.width; w++) x[w * step] = 0.0f;
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
            for (int64_t w = columns.begin; w < columns.end; w++) x[w] += shares[i];
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
  return runRows(instruction, run, planesOf(y) * y.shape[2], y.shape[3] * instruction.attributes[1] * instruction.attributes[0], averageChunk);
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
