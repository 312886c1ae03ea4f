// The correlation engine (conv2d.h), and with it conv2d and its input gradient. A run is two parallel phases: the weights
// into panels, then chunks of (image, group, strip of lines, block of output channels).
#include "conv2d.h"

namespace chainrule::CHAINRULE_ISA {

void copyStrip(float* to, int64_t pitch, int64_t plane, const float* from, int64_t cStep, int64_t hStep, int64_t wStep, int64_t channels,
               int64_t inH, int64_t inW, int64_t line0, int64_t height, int64_t column0, int64_t width, bool clear) {
  // Lines [y0, y1) and columns [x0, x1) of the strip lie inside; the rest stays zero once it is.
  const int64_t y0 = smaller(height, larger(0, -line0)), y1 = larger(y0, smaller(height, inH - line0));
  const int64_t x0 = smaller(width, larger(0, -column0)), x1 = larger(x0, smaller(width, inW - column0)), count = x1 - x0;
  if (clear) memset(static_cast<void*>(to), 0, static_cast<size_t>(channels * plane) * 4);
  if (count == 0) return;
  for (int64_t c = 0; c < channels; c++) {
    const float* s = from + c * cStep + (line0 + y0) * hStep + (column0 + x0) * wStep;
    float* d = to + c * plane + y0 * pitch + x0;
    for (int64_t y = y0; y < y1; y++, s += hStep, d += pitch) {
      if (wStep != 1) {
        for (int64_t x = 0; x < count; x++) d[x] = s[x * wStep];
      } else if (count < kWidth) {
        storePartial(d, loadPartial(s, count), count);
      } else {  // the last vector overlaps the one before
        for (int64_t x = 0; x + kWidth < count; x += kWidth) store(d + x, load(s + x));
        store(d + count - kWidth, load(s + count - kWidth));
      }
    }
  }
}

namespace {

struct ConvJob {
  const CorrelatePlan* plan;
  const Run* run;
  float* weights;  ///< the packed panels
};

/// Panels of weights: chunk (phase, group, panel).
void packWeights(void* argument, int64_t chunk, std::byte* scratch) {
  const ConvJob& job = *static_cast<const ConvJob*>(argument);
  const CorrelatePlan& p = *job.plan;
  if (p.window) return packWindow(p, *job.run, job.weights, chunk);
  const Phase& f = *p.phase(static_cast<int32_t>(chunk / (p.groups * p.panels)));
  const int64_t panel = chunk % (p.groups * p.panels), g = panel / p.panels, q = panel % p.panels;
  const int64_t lanes = smaller(kTileColumns, p.outChannels - q * kTileColumns), steps = p.inChannels * f.taps;
  const float* w = dataOf(p.weights, *job.run) + g * p.weightGroup + q * kTileColumns * p.weightOut;
  float* to = job.weights + f.weights + panel * steps * kTileColumns;
  const int64_t kw = p.weights.size[3], wh = p.weights.stride[2], ww = p.weights.stride[3], area = p.weights.size[2] * kw;
  const bool flat = p.weights.packed(2), inOrder = f.taps == area && p.tableAt(f.kernel)[1] == 0;
  // The kernel of one channel after the other is the order of k, and contiguous in memory.
  if (flat && inOrder && !p.padded && (p.inChannels == 1 || p.weightIn == area)) return packRight(to, 0, w, p.weightOut, 1, lanes, steps);
  // All taps of a channel, in the order they have in memory; then those of the phase to where they belong.
  const bool fits = area * kTileColumns * 4 <= int64_t{kThreadScratchBytes};
  float* all = reinterpret_cast<float*>(scratch);
  const int64_t across = f.rows ? f.taps / f.rows : 0;
  for (int64_t b = 0; b < p.channelBlocks; b++) {
    const int64_t c0 = cut(p.inChannels, p.channelBlocks, b), channels = cut(p.inChannels, p.channelBlocks, b + 1) - c0;
    for (int64_t c = 0; c < channels; c++) {
      const float* from = w + (c0 + c) * p.weightIn;
      if (flat && fits) packRight(all, 0, from, p.weightOut, 1, lanes, area);
      for (int64_t t = 0; t < f.taps; t++) {
        const int32_t* tap = p.tableAt(f.kernel + 4 * t);
        const int64_t k = p.padded ? (t / across * channels + c) * across + t % across : c * f.taps + t;
        float* d = to + (c0 * f.taps + k) * kTileColumns;
        if (flat && fits) {
          for (int j = 0; j < kTileColumns; j += kWidth) store(d + j, load(all + (tap[0] * kw + tap[1]) * kTileColumns + j));
        } else {
          const float* s = from + tap[0] * wh + tap[1] * ww;
          for (int64_t l = 0; l < kTileColumns; l++) d[l] = l < lanes ? s[l * p.weightOut] : 0.0f;
        }
      }
    }
  }
}

/// One phase of a chunk.
struct Strip {
  const CorrelatePlan& p;
  const Run& run;
  const float* weights;
  const Phase& f;
  int64_t image, group, i0, i1, q0, q1;  ///< lines of the phase, panels
  std::byte* scratch;

  int64_t pixels() const { return (i1 - i0) * f.columns; }
  float* tile() const { return reinterpret_cast<float*>(scratch + p.localTile); }
  int64_t tileStep() const { return (q1 - q0) * kTileColumns; }

  /// The rows of taps that reach into the image from line i: [first, last) of f.rows.
  void rowsOfTaps(int64_t i, int64_t& first, int64_t& last) const {
    const int64_t across = f.rows ? f.taps / f.rows : 0;
    auto inside = [&](int64_t row) {
      const int64_t line = i * p.inStepH + p.tableAt(f.kernel + 4 * row * across)[2];
      return line >= 0 && line < p.inH;
    };
    first = 0, last = f.rows;
    if (!p.padded) return;
    while (first < last && !inside(first)) first++;
    while (first < last && !inside(last - 1)) last--;
  }

  /// Sums up all channels and taps into the tile.
  void sum() const {
    int32_t* base = reinterpret_cast<int32_t*>(scratch + p.localPixels);
    const int64_t h = p.padded ? p.pitch : p.input.stride[2], w = p.padded ? 1 : p.input.stride[3];
    const int64_t origin = p.padded ? 0 : i0;
    for (int64_t i = 0, at = 0; i < i1 - i0; i++)
      for (int64_t j = 0; j < f.columns; j++, at++) base[at] = static_cast<int32_t>((origin + i) * p.inStepH * h + j * p.inStepW * w);
    const float* in = dataOf(p.input, run) + image * p.input.stride[0] + group * p.inChannels * p.input.stride[1];
    for (int64_t b = 0; b < p.channelBlocks; b++) {
      const int64_t c0 = cut(p.inChannels, p.channelBlocks, b), c1 = cut(p.inChannels, p.channelBlocks, b + 1);
      const float* from = in + c0 * p.input.stride[1];
      if (p.padded) {
        float* copy = reinterpret_cast<float*>(scratch);
        copyStrip(copy, p.pitch, p.plane, from, p.input.stride[1], p.input.stride[2], p.input.stride[3], c1 - c0, p.inH, p.inW,
                  i0 * p.inStepH + f.top, (i1 - i0 - 1) * p.inStepH + f.height, f.left, (f.columns - 1) * p.inStepW + f.width, b == 0);
        from = copy;
      }
      // Stretches of lines that use the same rows of taps.
      for (int64_t i = i0; i < i1;) {
        int64_t first, last, end = i + 1, a, z;
        rowsOfTaps(i, first, last);
        for (; end < i1; end++) {
          rowsOfTaps(end, a, z);
          if (a != first || z != last) break;
        }
        sumLines(from, base, i, end, c0, c1 - c0, first, last);
        i = end;
      }
    }
  }

  void sumLines(const float* from, const int32_t* base, int64_t lineA, int64_t lineZ, int64_t c0, int64_t channels, int64_t first,
                int64_t last) const {
    const int64_t pixel0 = (lineA - i0) * f.columns, count = (lineZ - lineA) * f.columns;
    const int64_t groups = ceilDiv(count, kGatherRows), rows = count / groups, tall = count % groups;
    const int64_t row = f.rows ? f.taps / f.rows * channels : 0, skip = p.padded ? first * row : 0, steps = (last - first) * row;
    const float* panels = weights + f.weights;
    Gather gather;
    gather.offset = p.tableAt(f.offsets[channels != p.channelBlock] + skip / p.run);
    for (int64_t q = q0; q < q1; q++) {
      const float* panel = panels + (((group * p.panels + q) * p.inChannels + c0) * f.taps + skip) * kTileColumns;
      const int64_t columns = smaller(kTileColumns, ceilDiv(p.outChannels - q * kTileColumns, kWidth) * kWidth);
      Tile t{tile() + (q - q0) * kTileColumns + pixel0 * tileStep(), tileStep(), columns, c0 > 0, nullptr, 0, 0};
      const int32_t* at = base + pixel0;
      for (int64_t r = 0; r < groups; r++) {
        const int64_t some = rows + (r < tall);
        for (int64_t i = 0; i < some; i++) gather.row[i] = from + at[i];
        gatherFor(p.run, some, columns)(steps, &gather, 0, panel, kTileColumns, t);
        at += some;
        t.c += some * t.step;
      }
    }
  }

  /// The tile, transposed and finished, to channel planes at `to` (`mStep` apart, of group's channel 0). The tile's pixels are
  /// whole lines of the output.
  void put(float* to, int64_t mStep, const Finish& finish) const {
    const int64_t count = pixels(), n0 = i0 * p.outW;
    for (int64_t q = q0; q < q1; q++)
      for (int j = 0; j < kTileVectors; j++) {
        const int64_t o = q * kTileColumns + j * kWidth, channels = smaller(kWidth, p.outChannels - o);
        if (channels <= 0) continue;
        const float* from = tile() + (q - q0) * kTileColumns + j * kWidth;
        for (int64_t n = 0; n < count; n += kWidth) {
          F square[kWidth];
          const int64_t have = smaller(kWidth, count - n);
#pragma GCC unroll 16
          for (int l = 0; l < kWidth; l++) square[l] = l < have ? load(from + (n + l) * tileStep()) : zero();
          transpose(square);
          for (int l = 0; l < channels; l++)
            putVector(to + (o + l) * mStep + n0 + n, square[l], have, finish, group * p.outChannels + o + l, n0 + n);
        }
      }
  }
  /// The same for phases whose pixels have gaps between them.
  void scatter(float* to, int64_t mStep, const Finish& finish) const {
    const bool plain = !finish.alongN && !finish.alongM && !finish.full && !finish.relu;
    for (int64_t o = q0 * kTileColumns; o < smaller(p.outChannels, q1 * kTileColumns); o += kWidth) {
      const int64_t channels = smaller(kWidth, p.outChannels - o);
      for (int64_t i = i0; i < i1; i++)
        for (int64_t j = 0; j < f.columns; j += kWidth) {
          const int64_t have = smaller(kWidth, f.columns - j), n0 = (f.h0 + i * p.outStepH) * p.outW + f.w0 + j * p.outStepW;
          const float* from = tile() + o - q0 * kTileColumns + ((i - i0) * f.columns + j) * tileStep();
          F square[kWidth];
#pragma GCC unroll 16
          for (int l = 0; l < kWidth; l++) square[l] = l < have ? load(from + l * tileStep()) : zero();
          transpose(square);
          for (int64_t l = 0; l < channels; l++) {
            float lane[kWidth];
            store(lane, square[l]);
            float* d = to + (o + l) * mStep + n0;
            for (int64_t x = 0, at = 0; x < have; x++, at += p.outStepW) {
              if (plain)
                d[at] = lane[x];
              else
                storePartial(d + at, finishVector(loadPartial(lane + x, 1), finish, group * p.outChannels + o + l, n0 + at, 1), 1);
            }
          }
        }
    }
  }
};

/// Chunk (image, group, strip, block of panels), blocks fastest.
void runStrip(void* argument, int64_t chunk, std::byte* scratch) {
  const ConvJob& job = *static_cast<const ConvJob*>(argument);
  const CorrelatePlan& p = *job.plan;
  const int64_t block = chunk % p.panelBlocks, strip = chunk / p.panelBlocks % p.strips, rest = chunk / p.panelBlocks / p.strips;
  const int64_t group = rest % p.groups, image = rest / p.groups;
  const int64_t line0 = strip * p.stripLines, line1 = smaller(p.outH, line0 + p.stripLines);
  const int64_t q0 = cut(p.panels, p.panelBlocks, block), q1 = cut(p.panels, p.panelBlocks, block + 1);
  const ProductPlan& product = p.product;
  const bool rows = product.kind == ProductKind::rows;
  float* to;
  int64_t mStep;
  if (p.sharedProduct >= 0) {
    mStep = p.outH * p.outW;
    to = reinterpret_cast<float*>(job.run->sharedScratch) + p.sharedProduct + (image * p.groups + group) * p.outChannels * mStep;
  } else {
    const Operand& o = product.output(product.target);
    mStep = o.m;
    to = reinterpret_cast<float*>(addressOf(o, *job.run, batchStep(o, &image, 1))) + group * p.outChannels * mStep;
  }
  const Finish finish = rows || product.plain ? Finish{} : finishFor(product, *job.run, &image, 1);
  if (p.window)
    runWindow(p, *job.run, job.weights, image, group, line0, line1, to, mStep, rows || product.plain ? nullptr : &finish, scratch);
  for (int32_t i = 0; i < (p.window ? 0 : p.phaseCount); i++) {
    const Phase& f = *p.phase(i);
    const int64_t i0 = ceilDiv(larger(0, line0 - f.h0), p.outStepH), i1 = smaller(f.lines, ceilDiv(larger(0, line1 - f.h0), p.outStepH));
    if (i0 >= i1 || f.columns == 0) continue;
    const Strip s{p, *job.run, job.weights, f, image, group, i0, i1, q0, q1, scratch};
    s.sum();
    if (p.phaseCount == 1 && p.outStepH == 1 && p.outStepW == 1)
      s.put(to, mStep, finish);
    else
      s.scatter(to, mStep, finish);
  }
  if (!rows) return;
  const int64_t m0 = q0 * kTileColumns, m1 = smaller(p.outChannels, q1 * kTileColumns), base = group * p.outChannels;
  runRows(product, *job.run, &image, 1, base + m0, base + m1, line0 * p.outW, (line1 - line0) * p.outW, p.outW,
          to + m0 * mStep + line0 * p.outW, mStep, scratch + p.localRows);
}

void runSerial(void* argument, int64_t, std::byte*) {
  const ConvJob& job = *static_cast<const ConvJob*>(argument);
  const CorrelatePlan& p = *job.plan;
  for (int64_t i = 0; i < p.images * p.groups * p.strips * p.panelBlocks; i++)
    runStrip(argument, i, job.run->sharedScratch + p.sharedScratch);
}

Status prepareForward(Instruction& instruction) {
  const Planes x = planesOf(instruction.inputs[0]), w = planesOf(instruction.inputs[1]);
  const int64_t groups = convAttributes(instruction.attributes).groups, out = w.size[0] / groups;
  return prepareCorrelate(instruction, {x, w, w.size[1], out, w.stride[0], w.stride[1], out * w.stride[0], false});
}

Status prepareInputGrad(Instruction& instruction) {
  const Planes gy = planesOf(instruction.inputs[0]), w = planesOf(instruction.inputs[1]);
  const int64_t groups = convAttributes(instruction.attributes).groups, in = w.size[0] / groups;
  return prepareCorrelate(instruction, {gy, w, in, w.size[1], w.stride[1], w.stride[0], in * w.stride[0], true});
}

}  // namespace

Status runCorrelate(const Instruction& instruction, const Run& run) {
  if (static_cast<const ConvPlan*>(instruction.plan)->winograd) {
    runWinograd(instruction, run);
    return {};
  }
  const CorrelatePlan& p = *static_cast<const CorrelatePlan*>(instruction.plan);
  const int64_t chunks = p.images * p.groups * p.strips * p.panelBlocks;
  if (chunks == 0 || p.outH == 0 || p.outW == 0) return {};
  ConvJob job{&p, &run, reinterpret_cast<float*>(run.made(instruction))};
  if (run.makes(instruction)) parallel(run, p.window ? p.groups : p.phaseCount * p.groups * p.panels, packWeights, &job);
  if (p.serial)
    parallel(run, 1, runSerial, &job);
  else
    parallel(run, chunks, runStrip, &job);
  return {};
}

const KernelFamily conv2dFamily = {prepareForward, runCorrelate, nullptr};
const KernelFamily conv2dInputGradFamily = {prepareInputGrad, runCorrelate, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
