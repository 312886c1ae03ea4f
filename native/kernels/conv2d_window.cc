// The correlation of few channels and taps (a network's first layer): too few steps of k to pay for a transposed tile. Here
// a tile is output channels × pixels of one line, as the output lies in memory: weights are broadcast from left panels, and
// the input is read as unaligned vectors through the table of offsets.
#include "conv2d.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

template <int u, int Run, int R, int V>
CHAINRULE_INLINE void windowSteps(Accumulators<R, V>& acc, const float*& left, const float* right) {
  if constexpr (u < Run) {
    Vectors<V> b;
    loadVectors(b, right + u);
    PackedLeft<R> a(left, 0);
    fmaRows<0, 0>(acc, a, b);
    left += R;
    windowSteps<u + 1, Run>(acc, left, right);
  }
}

using Window = void (*)(int64_t k, const float* left, const int32_t* offset, const float* right, const Tile& tile);

template <int R, int Run, int V>
[[gnu::noinline]] void window(int64_t k, const float* left, const int32_t* offset, const float* right, const Tile& tile) {
  Accumulators<R, V> acc;
  each(
      acc, [](F & x, int, int) __attribute__((always_inline)) { x = zero(); });
  for (; k > 0; k -= Run) {
    windowSteps<0, Run>(acc, left, right + *offset++);
    asm volatile("" ::: "memory");
  }
  storeTile(acc, tile);
}

/// For 1 … kTileRows rows.
template <int Run, int V>
struct Windows {
  Window rows[kTileRows];
  constexpr Windows() : rows{} { fill<kTileRows>(); }

 private:
  template <int r>
  constexpr void fill() {
    if constexpr (r > 0) {
      rows[r - 1] = window<r, Run, V>;
      fill<r - 1>();
    }
  }
};
template <int Run, int V>
constexpr Windows<Run, V> windows;

/// Pixels of a tile: short lines take single vectors, of which the rest reads on in the strip's memory.
int64_t columnsOf(const CorrelatePlan& p) { return p.outW >= kTileColumns ? kTileColumns : kWidth; }

}  // namespace

void packWindow(const CorrelatePlan& p, const Run& run, float* weights, int64_t group) {
  const Phase& f = *p.phase(0);
  const int64_t steps = p.inChannels * f.taps, panels = ceilDiv(p.outChannels, kTileRows);
  const float* w = dataOf(p.weights, run) + group * p.weightGroup;
  float* to = weights + f.weights + group * p.outChannels * steps;
  for (int64_t r = 0, o = 0; r < panels; r++) {
    const int64_t rows = cut(p.outChannels, panels, r + 1) - o;
    for (int64_t k = 0; k < steps; k++) {
      int64_t c, t;
      stepOf(p, f, k, p.inChannels, c, t);
      const int32_t* tap = p.tableAt(f.kernel + 4 * t);
      const float* s = w + o * p.weightOut + c * p.weightIn + tap[0] * p.weights.stride[2] + tap[1] * p.weights.stride[3];
      for (int64_t l = 0; l < rows; l++) *to++ = s[l * p.weightOut];
    }
    o += rows;
  }
}

void runWindow(const CorrelatePlan& p, const Run& run, const float* weights, int64_t image, int64_t group, int64_t line0, int64_t line1,
               float* to, int64_t mStep, const Finish* finish, std::byte* scratch) {
  const Phase& f = *p.phase(0);
  const int64_t steps = p.inChannels * f.taps, panels = ceilDiv(p.outChannels, kTileRows), across = ceilDiv(p.outW, columnsOf(p));
  const float* from = dataOf(p.input, run) + image * p.input.stride[0] + group * p.inChannels * p.input.stride[1];
  int64_t h = p.input.stride[2], first = line0;
  if (p.padded) {
    float* copy = reinterpret_cast<float*>(scratch);
    copyStrip(copy, p.pitch, p.plane, from, p.input.stride[1], p.input.stride[2], p.input.stride[3], p.inChannels, p.inH, p.inW,
              line0 * p.inStepH + f.top, (line1 - line0 - 1) * p.inStepH + f.height, f.left, f.columns - 1 + f.width, true);
    from = copy, h = p.pitch, first = 0;
  }
  weights += f.weights + group * p.outChannels * steps;
  const int64_t rows = p.outChannels / panels, tall = p.outChannels % panels;
  const int64_t columns = columnsOf(p);
  const Window* kernels = columns == kTileColumns ? (p.run == 3 ? windows<3, kTileVectors>.rows : windows<1, kTileVectors>.rows)
                                                  : (p.run == 3 ? windows<3, 1>.rows : windows<1, 1>.rows);
  Tile t{nullptr, mStep, smaller(columns, p.outW), false, finish, 0, 0};
  for (int64_t i = line0; i < line1; i++)
    for (int64_t a = 0; a < across; a++) {
      // The last tile of a line overlaps the one before, and computes the same.
      const int64_t j = larger(0, smaller(a * columns, p.outW - columns));
      const float* right = from + (first + i - line0) * p.inStepH * h + j;
      const float* left = weights;
      t.n = i * p.outW + j;
      t.c = to + t.n;
      t.m = group * p.outChannels;
      for (int64_t r = 0; r < panels; r++) {
        const int64_t some = rows + (r < tall);
        kernels[some - 1](steps, left, p.tableAt(f.offsets[0]), right, t);
        left += some * steps;
        t.c += some * mStep;
        t.m += some;
      }
    }
}

}  // namespace chainrule::CHAINRULE_ISA
