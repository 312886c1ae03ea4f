// The weight gradient of a convolution: gw[o, (c, tap)] = Σ over images and pixels of gy[o, pixel] · x[c, pixel's place + tap].
// The micro-kernel's tile is (channel, tap) × output channels and k runs over pixels: gy is transposed into right panels a
// strip at a time, x is read in place (or from a strip copied with zeros around it), broadcast, one pointer a (channel, tap)
// and a table of offsets, one a pixel. Images are cut into fixed groups with sums of their own, added up in order at the end.
#include <cstdlib>

#include "conv2d.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

constexpr int64_t kStripPixels = 160;       // most steps of k at a time, about: a right panel and the input it meets stay in L1
constexpr int64_t kCopyBytes = 512 << 10;   // most for a copied strip,
constexpr int64_t kPanelBytes = 256 << 10;  // for one right panel,
constexpr int64_t kTableBytes = 64 << 10;   // and for the offsets
constexpr int64_t kPartialsLimit = int64_t{32} << 20;
constexpr int64_t kSumRows = 16;

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }

struct WeightGradPlan {
  ConvPlan head;
  Planes x, gy, gw;
  ConvAttributes a;
  int64_t inChannels, outChannels;  ///< of a group
  int64_t taps, rows;               ///< rows of the product: inChannels · taps
  int64_t width;                    ///< outChannels in whole panels
  int64_t channelBlocks, imageGroups;
  int64_t lines, strips;  ///< lines of gy at a time
  bool padded, serial;
  int64_t run;  ///< pixels for each entry of the table of offsets
  int64_t pitch, plane;
  int64_t localPanel, localTable;  ///< offsets into scratch, in bytes (the copied strip is at 0)
  int64_t scratch;                 ///< serial: where in shared scratch it is
};

struct WeightGradJob {
  const WeightGradPlan* plan;
  const Run* run;
};

float* partialOf(const WeightGradJob& job, int64_t imageGroup, int64_t group) {
  const WeightGradPlan& p = *job.plan;
  return reinterpret_cast<float*>(job.run->sharedScratch) + (imageGroup * p.a.groups + group) * p.rows * p.width;
}

/// Lines [i0, i1) of gy's channels o … of one image into a right panel, k along pixels.
void packPixels(const WeightGradPlan& p, const float* gy, int64_t lanes, int64_t i0, int64_t i1, float* to) {
  const int64_t columns = p.gy.size[3], h = p.gy.stride[2], w = p.gy.stride[3];
  if (columns == 1) return packRight(to, 0, gy + i0 * h, p.gy.stride[1], h, lanes, i1 - i0);
  if (h == columns * w) return packRight(to, 0, gy + i0 * h, p.gy.stride[1], w, lanes, (i1 - i0) * columns);
  for (int64_t i = i0; i < i1; i++) packRight(to + (i - i0) * columns * kTileColumns, 0, gy + i * h, p.gy.stride[1], w, lanes, columns);
}

/// Chunk (image group, group, channel block).
void sumImages(void* argument, int64_t chunk, std::byte* scratch) {
  const WeightGradJob& job = *static_cast<const WeightGradJob*>(argument);
  const WeightGradPlan& p = *job.plan;
  const int64_t block = chunk % p.channelBlocks, group = chunk / p.channelBlocks % p.a.groups,
                images = chunk / p.channelBlocks / p.a.groups;
  const int64_t c0 = cut(p.inChannels, p.channelBlocks, block), c1 = cut(p.inChannels, p.channelBlocks, block + 1);
  const int64_t n0 = cut(p.x.size[0], p.imageGroups, images), n1 = cut(p.x.size[0], p.imageGroups, images + 1);
  const int64_t kh = p.gw.size[2], kw = p.gw.size[3], columns = p.gy.size[3];
  const int64_t rows = (c1 - c0) * p.taps, panels = ceilDiv(rows, kGatherRows), few = panels ? rows / panels : 0,
                tall = panels ? rows % panels : 0;
  float* partial = partialOf(job, images, group) + c0 * p.taps * p.width;
  float* panel = reinterpret_cast<float*>(scratch + p.localPanel);
  int32_t* table = reinterpret_cast<int32_t*>(scratch + p.localTable);
  const int64_t cStep = p.padded ? p.plane : p.x.stride[1], hStep = p.padded ? p.pitch : p.x.stride[2],
                wStep = p.padded ? 1 : p.x.stride[3];
  for (int64_t i = 0, at = 0; i < p.lines; i++)
    for (int64_t j = 0; j < columns; j += p.run, at++) table[at] = static_cast<int32_t>(i * p.a.sh * hStep + j * p.a.sw * wStep);
  Gather gather;
  gather.offset = table;
  bool add = false;
  for (int64_t n = n0; n < n1; n++)
    for (int64_t s = 0; s < p.strips; s++, add = true) {
      const int64_t i0 = s * p.lines, i1 = smaller(p.gy.size[2], i0 + p.lines);
      const float* x = dataOf(p.x, *job.run) + n * p.x.stride[0] + (group * p.inChannels + c0) * p.x.stride[1];
      if (p.padded) {
        float* copy = reinterpret_cast<float*>(scratch);
        copyStrip(copy, p.pitch, p.plane, x, p.x.stride[1], p.x.stride[2], p.x.stride[3], c1 - c0, p.x.size[2], p.x.size[3],
                  i0 * p.a.sh - p.a.ph, (i1 - i0 - 1) * p.a.sh + (kh - 1) * p.a.dh + 1, -p.a.pw, p.pitch, p.strips > 1 || n == n0);
        x = copy;
      } else {
        x += i0 * p.a.sh * hStep;
      }
      const float* gy = dataOf(p.gy, *job.run) + n * p.gy.stride[0] + group * p.outChannels * p.gy.stride[1];
      for (int64_t o = 0; o < p.outChannels; o += kTileColumns) {
        packPixels(p, gy + o * p.gy.stride[1], smaller(kTileColumns, p.outChannels - o), i0, i1, panel);
        const int64_t vectors = smaller(kTileColumns, ceilDiv(p.outChannels - o, kWidth) * kWidth);
        Tile t{partial + o, p.width, vectors, add, nullptr, 0, 0};
        int64_t c = 0, y = 0, z = 0;  // channel and tap of the next row
        for (int64_t r = 0; r < panels; r++) {
          const int64_t some = few + (r < tall);
          for (int64_t i = 0; i < some; i++) {
            gather.row[i] = x + c * cStep + y * p.a.dh * hStep + z * p.a.dw * wStep;
            if (++z == kw) {
              z = 0;
              if (++y == kh) y = 0, c++;
            }
          }
          gatherFor(p.run, some, vectors)((i1 - i0) * columns, &gather, 0, panel, kTileColumns, t);
          t.c += some * p.width;
        }
      }
    }
  if (!add)  // no images, or no pixels
    for (int64_t i = 0; i < rows * p.width; i++) partial[i] = 0.0f;
}

void sumSerial(void* argument, int64_t, std::byte*) {
  const WeightGradJob& job = *static_cast<const WeightGradJob*>(argument);
  const WeightGradPlan& p = *job.plan;
  for (int64_t i = 0; i < p.imageGroups * p.a.groups * p.channelBlocks; i++) sumImages(argument, i, job.run->sharedScratch + p.scratch);
}

/// Rows of the partial sums, added up in order and transposed into gw. Chunk (group, rows).
void sumPartials(void* argument, int64_t chunk, std::byte*) {
  const WeightGradJob& job = *static_cast<const WeightGradJob*>(argument);
  const WeightGradPlan& p = *job.plan;
  const int64_t blocks = ceilDiv(p.rows, kSumRows), group = chunk / blocks, first = chunk % blocks * kSumRows;
  const int64_t step = p.a.groups * p.rows * p.width, kw = p.gw.size[3], oStep = p.gw.stride[0];
  float* gw = const_cast<float*>(dataOf(p.gw, *job.run)) + group * p.outChannels * oStep;
  const bool flat = p.gw.packed(1);
  for (int64_t r = first; r < smaller(p.rows, first + kSumRows); r += kWidth) {
    const int64_t rows = smaller(kWidth, p.rows - r);
    for (int64_t o = 0; o < p.outChannels; o += kWidth) {
      const int64_t lanes = smaller(kWidth, p.outChannels - o);
      F square[kWidth];
      for (int64_t l = 0; l < kWidth; l++) {
        const float* from = partialOf(job, 0, group) + (r + l) * p.width + o;
        square[l] = l < rows ? load(from) : zero();
        for (int64_t i = 1; i < p.imageGroups && l < rows; i++) square[l] = square[l] + load(from + i * step);
      }
      transpose(square);
      for (int64_t l = 0; l < lanes; l++) {
        float* to = gw + (o + l) * oStep;
        if (flat) {
          storePartial(to + r, square[l], rows);
          continue;
        }
        float lane[kWidth];
        store(lane, square[l]);
        for (int64_t i = 0; i < rows; i++)
          to[(r + i) / p.taps * p.gw.stride[1] + (r + i) % p.taps / kw * p.gw.stride[2] + (r + i) % kw * p.gw.stride[3]] = lane[i];
      }
    }
  }
}

Status prepareWeightGrad(Instruction& instruction) {
  Status status;
  if (prepareWinogradGrad(instruction, planesOf(instruction.inputs[0]), planesOf(instruction.inputs[1]), planesOf(instruction.outputs[0]),
                          status))
    return status;
  WeightGradPlan* plan = static_cast<WeightGradPlan*>(malloc(sizeof(WeightGradPlan)));
  if (!plan) {
    status.code = StatusCode::outOfMemory;
    return status;
  }
  memset(static_cast<void*>(plan), 0, sizeof(WeightGradPlan));
  instruction.plan = plan;
  WeightGradPlan& p = *plan;
  p.a = convAttributes(instruction.attributes);
  p.x = planesOf(instruction.inputs[0]);
  p.gy = planesOf(instruction.inputs[1]);
  p.gw = planesOf(instruction.outputs[0]);
  const int64_t kh = p.gw.size[2], kw = p.gw.size[3], images = p.x.size[0];
  p.inChannels = p.gw.size[1];
  p.outChannels = p.gw.size[0] / p.a.groups;
  p.taps = kh * kw;
  p.rows = p.inChannels * p.taps;
  p.width = ceilDiv(p.outChannels, kTileColumns) * kTileColumns;
  // No gap at the bottom or right may be read either: the last tap of the last pixel must lie inside.
  p.padded = p.a.ph > 0 || p.a.pw > 0;
  const int64_t columns = larger(1, p.gy.size[3]), lines = larger(1, p.gy.size[2]);
  const bool adjacent = p.a.sw == 1 && (p.padded || p.x.stride[3] == 1);
  p.run = adjacent && columns % 4 == 0 ? 4 : adjacent && columns % 2 == 0 ? 2 : 1;
  p.pitch = (columns - 1) * p.a.sw + (kw - 1) * p.a.dw + 1;
  // Blocks of channels: enough chunks, and strips that fit.
  p.channelBlocks = larger(1, ceilDiv(p.rows, 320));
  p.channelBlocks = larger(1, smaller(p.channelBlocks, p.inChannels));
  auto channels = [&] { return ceilDiv(p.inChannels, p.channelBlocks); };
  auto copyBytes = [&](int64_t l) { return p.padded ? channels() * ((l - 1) * p.a.sh + (kh - 1) * p.a.dh + 1) * p.pitch * 4 : 0; };
  p.lines = smaller(lines, larger(1, kStripPixels / columns));
  auto tooLarge = [&] {
    return copyBytes(p.lines) > kCopyBytes || p.lines * columns * kTileColumns * 4 > kPanelBytes || p.lines * columns * 4 > kTableBytes;
  };
  while (tooLarge() && p.lines > 1) p.lines--;
  while (tooLarge() && p.channelBlocks < p.inChannels) p.channelBlocks++;
  p.serial = tooLarge();
  p.strips = ceilDiv(lines, p.lines);
  p.lines = ceilDiv(lines, p.strips);
  p.strips = p.gy.size[2] == 0 || p.gy.size[3] == 0 ? 0 : ceilDiv(lines, p.lines);
  const int64_t bytes = p.a.groups * p.rows * p.width * 4;
  p.imageGroups = larger(1, smaller(images, ceilDiv(16, p.channelBlocks * p.a.groups)));
  p.imageGroups = larger(1, smaller(p.imageGroups, kPartialsLimit / larger(1, bytes)));
  p.plane = ((p.lines - 1) * p.a.sh + (kh - 1) * p.a.dh + 1) * p.pitch;
  p.localPanel = align64(copyBytes(p.lines));
  p.localTable = p.localPanel + align64(p.lines * columns * kTileColumns * 4);
  p.scratch = align64(p.imageGroups * bytes);
  instruction.sharedScratch = static_cast<size_t>(p.scratch + (p.serial ? p.localTable + align64(p.lines * columns * 4) : 0));
  return status;
}

Status runWeightGrad(const Instruction& instruction, const Run& run) {
  if (static_cast<const ConvPlan*>(instruction.plan)->winograd) {
    runWinogradGrad(instruction, run);
    return {};
  }
  const WeightGradPlan& p = *static_cast<const WeightGradPlan*>(instruction.plan);
  WeightGradJob job{&p, &run};
  if (p.rows == 0 || p.outChannels == 0) return {};
  if (p.serial)
    parallel(run, 1, sumSerial, &job);
  else
    parallel(run, p.imageGroups * p.a.groups * p.channelBlocks, sumImages, &job);
  parallel(run, p.a.groups * ceilDiv(p.rows, kSumRows), sumPartials, &job);
  return {};
}

}  // namespace

const KernelFamily conv2dWeightGradFamily = {prepareWeightGrad, runWeightGrad, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
