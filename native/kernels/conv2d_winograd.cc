// Correlation with 3×3 taps and steps of 1 (forward and input gradient) by Winograd's transforms (winograd.h). Of each tile's patch
// every one of the 36 points makes a product of its own: tiles × channels times channels × output channels, with the gemm's micro-kernels.
// A chunk takes rows of tiles through input transform, products and output transform, all in its cache; where the transformed weights alone
// do not fit there, the three are phases over all threads, and each weight is read once a block of tiles. Transformed data has channels
// innermost, a vector of them at a time.
#include "conv2d_winograd.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

constexpr int64_t kTilesBytes = 384 << 10;    // of transformed tiles in a chunk, about
constexpr int64_t kTilesMost = 576 << 10;     // and at most
constexpr int64_t kLocalWeights = 768 << 10;  // transformed weights larger than this are not read by every chunk
constexpr int64_t kWeightChannels = 16;       // input channels of a chunk of weights
constexpr int64_t kSteps = 320;               // of k at a time
static_assert(kTilesMost + kCopyBytes + kLinesBytes + int64_t{kRowsScratchBytes} <= int64_t{kThreadScratchBytes});

struct WinogradPlan {
  ConvPlan head;
  int64_t images, inChannels, outChannels, outH, outW;
  Tiled input;
  Planes weights;
  int64_t weightOut, weightIn;
  int64_t weightStep;  ///< of transformed weights, from point to point
  bool flip;           ///< taps in reverse: the input gradient
  int64_t tilesH, tilesW;
  int64_t outWidth;  ///< channels in whole vectors
  int64_t panels;
  bool phased;
  int64_t rows, chunks;                  ///< of tiles, in a chunk or a block
  int64_t inStep, outStep;               ///< from point to point
  int64_t localIn, localOut, localRows;  ///< thread scratch, in bytes (copied lines are at 0)
  int64_t sharedIn, sharedOut;           ///< phased: shared scratch, in floats
  int64_t sharedProduct;                 ///< likewise, -1: the product goes to an output
  ProductPlan product;

  int64_t rowsInAll() const { return images * tilesH; }
};

struct WinogradJob {
  const WinogradPlan* plan;
  const Run* run;
  int64_t first, last;  ///< phased: rows of tiles at hand

  float* weights;

  float* shared(int64_t floats) const { return reinterpret_cast<float*>(run->sharedScratch) + floats; }
};

/// The weights of a panel's output channels and kWeightChannels input channels, transformed into right panels [point][panel][channel].
void transformWeights(void* argument, int64_t chunk, std::byte* scratch) {
  const WinogradJob& job = *static_cast<const WinogradJob*>(argument);
  const WinogradPlan& p = *job.plan;
  const int64_t q = chunk % p.panels, c0 = chunk / p.panels * kWeightChannels, c1 = smaller(p.inChannels, c0 + kWeightChannels);
  const int64_t lanes = smaller(kTileColumns, p.outChannels - q * kTileColumns), h = p.weights.stride[2], w = p.weights.stride[3];
  float* taps = reinterpret_cast<float*>(scratch);
  float* half = taps + 9 * kTileColumns;
  for (int64_t c = c0; c < c1; c++) {
    const float* from = dataOf(p.weights, *job.run) + q * kTileColumns * p.weightOut + c * p.weightIn;
    if (w == 1 && h == 3) {
      packRight(taps, 0, from, p.weightOut, 1, lanes, 9);
    } else {
      for (int64_t t = 0; t < 9; t++)
        for (int64_t l = 0; l < kTileColumns; l++)
          taps[t * kTileColumns + l] = l < lanes ? from[l * p.weightOut + t / 3 * h + t % 3 * w] : 0.0f;
    }
    float* to = job.weights + (q * p.inChannels + c) * kTileColumns;
    const int64_t first = p.flip ? 8 : 0, next = p.flip ? -1 : 1;
    for (int64_t j = 0; j < kTileColumns; j += kWidth) {
      for (int64_t x = 0; x < 3; x++)
        winogradTaps(taps + (first + x * next) * kTileColumns + j, 3 * next * kTileColumns, half + x * kWidth, 3 * kWidth);
      for (int64_t y = 0; y < kPatch; y++) winogradTaps(half + y * 3 * kWidth, kWidth, to + y * kPatch * p.weightStep + j, p.weightStep);
    }
  }
}

/// The products of one point: `tiles` rows of `in` by the panels [q0, q1) of the weights.
void multiply(const WinogradPlan& p, const float* weights, const float* in, float* out, int64_t tiles, int64_t q0, int64_t q1) {
  const int64_t groups = ceilDiv(tiles, kTileRows), few = tiles / groups, tall = tiles % groups;
  const int64_t blocks = ceilDiv(p.inChannels, kSteps);
  for (int64_t q = q0; q < q1; q++) {
    const int64_t columns = smaller(kTileColumns, p.outWidth - q * kTileColumns);
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t k0 = cut(p.inChannels, blocks, b), steps = cut(p.inChannels, blocks, b + 1) - k0;
      const float* left = in + k0;
      Tile t{out + q * kTileColumns, p.outWidth, columns, b > 0, nullptr, 0, 0};
      for (int64_t g = 0; g < groups; g++) {
        const int64_t some = few + (g < tall);
        microFor<RowsLeft>(some, columns)(steps, left, p.input.width(), weights + (q * p.inChannels + k0) * kTileColumns, kTileColumns, t);
        left += some * p.input.width();
        t.c += some * p.outWidth;
      }
    }
  }
}

/// Where one image's product goes.
struct Target {
  float* to;
  int64_t step;  ///< between channels
  Finish finish;
};

Target targetOf(const WinogradPlan& p, const Run& run, int64_t image) {
  Target t;
  if (p.sharedProduct >= 0) {
    t.step = p.outH * p.outW;
    t.to = reinterpret_cast<float*>(run.sharedScratch) + p.sharedProduct + image * p.outChannels * t.step;
  } else {
    const Operand& o = p.product.output(p.product.target);
    t.step = o.m;
    t.to = reinterpret_cast<float*>(addressOf(o, run, batchStep(o, &image, 1)));
  }
  if (p.product.kind == ProductKind::finish && !p.product.plain) t.finish = finishFor(p.product, run, &image, 1);
  return t;
}

/// Rows of one image's tiles, output channels [o0, o1), from the products at `from` (the first tile's channel 0) to the output, finished.
void transformOutput(const WinogradPlan& p, const Run& run, int64_t image, int64_t row, int64_t rows, int64_t o0, int64_t o1,
                     const float* from, std::byte* scratch) {
  const Target target = targetOf(p, run, image);
  float* lines = reinterpret_cast<float*>(scratch + kCopyBytes);
  const int64_t pitch = p.tilesW * kTile * kWidth;
  for (int64_t o = o0; o < o1; o += kWidth) {
    const int64_t channels = smaller(kWidth, o1 - o);
    for (int64_t r = row; r < row + rows; r++) {
      const float* m = from + (r - row) * p.tilesW * p.outWidth + o;
      for (int64_t t = 0; t < p.tilesW; t++, m += p.outWidth) {
        alignas(64) float half[kTile * kPatch * kWidth];
        for (int64_t x = 0; x < kPatch; x++) winogradOutput(m + x * p.outStep, kPatch * p.outStep, half + x * kWidth, kPatch * kWidth);
        for (int64_t y = 0; y < kTile; y++)
          winogradOutput(half + y * kPatch * kWidth, kWidth, lines + y * pitch + t * kTile * kWidth, kWidth);
      }
      for (int64_t y = 0; y < smaller(kTile, p.outH - r * kTile); y++) {
        const int64_t n0 = (r * kTile + y) * p.outW;
        for (int64_t x = 0; x < p.outW; x += kWidth) {
          F square[kWidth];
          const int64_t have = smaller(kWidth, p.outW - x);
          const float* s = lines + y * pitch + x * kWidth;
          if (have == kWidth) {
#pragma GCC unroll 16
            for (int l = 0; l < kWidth; l++) square[l] = load(s + l * kWidth);
          } else {
            for (int l = 0; l < kWidth; l++) square[l] = l < have ? load(s + l * kWidth) : zero();
          }
          transpose(square);
          for (int l = 0; l < channels; l++)
            putVector(target.to + (o + l) * target.step + n0 + x, square[l], have, target.finish, o + l, n0 + x);
        }
      }
    }
  }
  if (p.product.kind != ProductKind::rows) return;
  const int64_t line0 = row * kTile, line1 = smaller(p.outH, (row + rows) * kTile);
  runRows(p.product, run, &image, 1, o0, o1, line0 * p.outW, (line1 - line0) * p.outW, p.outW,
          target.to + o0 * target.step + line0 * p.outW, target.step, scratch + p.localRows);
}

const float* weightsAt(const WinogradJob& job, int64_t point) { return job.weights + point * job.plan->weightStep; }

/// Chunk: rows of tiles, through everything.
void runChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const WinogradJob& job = *static_cast<const WinogradJob*>(argument);
  const WinogradPlan& p = *job.plan;
  const int64_t first = cut(p.rowsInAll(), p.chunks, chunk), last = cut(p.rowsInAll(), p.chunks, chunk + 1);
  float *in = reinterpret_cast<float*>(scratch + p.localIn), *out = reinterpret_cast<float*>(scratch + p.localOut);
  eachImage(p.tilesH, first, last, [&](int64_t image, int64_t row, int64_t rows, int64_t before) {
    transformTiles(p.input, *job.run, image, row, rows, 0, p.inChannels, in + before * p.tilesW * p.input.width(), p.inStep, scratch);
  });
  for (int64_t i = 0; i < kPoints; i++)
    multiply(p, weightsAt(job, i), in + i * p.inStep, out + i * p.outStep, (last - first) * p.tilesW, 0, p.panels);
  eachImage(p.tilesH, first, last, [&](int64_t image, int64_t row, int64_t rows, int64_t before) {
    transformOutput(p, *job.run, image, row, rows, 0, p.outChannels, out + before * p.tilesW * p.outWidth, scratch);
  });
}

// Phased. Chunks: (channels, row of tiles), a point, (channels, row of tiles).
void inputChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const WinogradJob& job = *static_cast<const WinogradJob*>(argument);
  const WinogradPlan& p = *job.plan;
  const int64_t rows = job.last - job.first, r = chunk % rows, c = chunk / rows * kPhasedChannels;
  transformTiles(p.input, *job.run, (job.first + r) / p.tilesH, (job.first + r) % p.tilesH, 1, c,
                 smaller(p.inChannels, c + kPhasedChannels), job.shared(p.sharedIn) + r * p.tilesW * p.input.width(), p.inStep, scratch);
}
void pointChunk(void* argument, int64_t chunk, std::byte*) {
  const WinogradJob& job = *static_cast<const WinogradJob*>(argument);
  const WinogradPlan& p = *job.plan;
  multiply(p, weightsAt(job, chunk), job.shared(p.sharedIn) + chunk * p.inStep, job.shared(p.sharedOut) + chunk * p.outStep,
           (job.last - job.first) * p.tilesW, 0, p.panels);
}
void outputChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const WinogradJob& job = *static_cast<const WinogradJob*>(argument);
  const WinogradPlan& p = *job.plan;
  const int64_t rows = job.last - job.first, r = chunk % rows, o = chunk / rows * kPhasedChannels;
  transformOutput(p, *job.run, (job.first + r) / p.tilesH, (job.first + r) % p.tilesH, 1, o, smaller(p.outChannels, o + kPhasedChannels),
                  job.shared(p.sharedOut) + r * p.tilesW * p.outWidth, scratch);
}

}  // namespace

bool winogradPays(int64_t images, int64_t outH, int64_t outW, int64_t inChannels, int64_t outChannels, WinogradUse use) {
  const int64_t tiles = images * ceilDiv(outH, kTile) * ceilDiv(outW, kTile), pairs = inChannels * outChannels;
  if (inChannels < 8 || outChannels < 8 || tiles == 0 || tiles > INT32_MAX / kPoints) return false;
  // In multiply-adds: products, transforms of tiles, and of weights, which may have to come from far away.
  const int64_t bytes = kPoints * pairs * 4;
  const int size = bytes > (int64_t{16} << 20) ? 2 : bytes > (int64_t{1} << 20) ? 1 : 0;
  constexpr int64_t kFar[2][3] = {{60, 300, 1400}, {20, 200, 600}};  // made and read, or only read
  const int64_t far = kFar[use == WinogradUse::keptWeights][size];
  const int64_t direct = 9 * images * outH * outW * pairs + (use == WinogradUse::weightGrad ? 0 : far / 4 * pairs);
  return tiles * (40 * pairs + 250 * (inChannels + outChannels)) + far * pairs < direct;
}

bool prepareWinograd(Instruction& instruction, const CorrelateSpec& spec, Status& status) {
  const ConvAttributes a = convAttributes(instruction.attributes);
  const View& out = instruction.outputs[0];
  if (!winogradFits(spec.weights, a)) return false;
  const bool kept = keepsWeights(instruction, out.shape[0] * out.shape[2] * out.shape[3]);
  const WinogradUse use = kept ? WinogradUse::keptWeights : WinogradUse::product;
  if (!winogradPays(out.shape[0], out.shape[2], out.shape[3], spec.inChannels, spec.outChannels, use)) return false;
  const int64_t tilesH = ceilDiv(out.shape[2], kTile), tilesW = ceilDiv(out.shape[3], kTile);
  const Tiled input{spec.input, spec.gradient ? 2 - a.ph : a.ph, spec.gradient ? 2 - a.pw : a.pw, tilesH, tilesW, 2};
  const int64_t outWidth = wholeVectors(spec.outChannels), tileBytes = kPoints * (input.width() + outWidth) * 4;
  const int64_t panels = ceilDiv(spec.outChannels, kTileColumns), weightStep = pointStep(panels * spec.inChannels * kTileColumns),
                weightFloats = kPoints * weightStep;
  if (!input.fits()) return false;
  const bool phased = weightFloats * 4 > kLocalWeights || tilesW * tileBytes > kTilesMost - (int64_t{8} << 10);
  if (phased && tilesW * tileBytes > kPhasedBytes) return false;

  std::byte* memory = makeProduct(instruction, sizeof(WinogradPlan), offsetof(WinogradPlan, product), 2,
                                  instruction.attributes + kConvAttributes, spec.asOperand, nullptr);
  if (!memory) {
    status.code = StatusCode::outOfMemory;
    return true;
  }
  instruction.plan = memory;
  WinogradPlan& p = *reinterpret_cast<WinogradPlan*>(memory);
  p.head.winograd = true;
  p.weightStep = weightStep;
  p.images = out.shape[0];
  p.inChannels = spec.inChannels, p.outChannels = spec.outChannels;
  p.outH = out.shape[2], p.outW = out.shape[3];
  p.input = input;
  p.weights = spec.weights;
  p.weightOut = spec.weightOut, p.weightIn = spec.weightIn;
  p.flip = spec.gradient;
  p.tilesH = tilesH, p.tilesW = tilesW;
  p.outWidth = outWidth;
  p.panels = panels;
  p.phased = phased;

  // Chunks of even size, enough of them, of tiles that keep the micro-kernel's rows full.
  const int64_t rows = p.rowsInAll(), most = larger(1, (phased ? kPhasedBytes : kTilesBytes) / (tilesW * tileBytes));
  p.chunks = ceilDiv(rows, most);
  if (!phased) p.chunks = larger(p.chunks, smaller(smaller(16, rows), rows * tilesW / (2 * kTileRows)));
  p.rows = ceilDiv(rows, p.chunks);
  p.inStep = pointStep(p.rows * tilesW * input.width()), p.outStep = pointStep(p.rows * tilesW * outWidth);
  p.localIn = kCopyBytes + kLinesBytes;
  p.localOut = p.localIn + (phased ? 0 : kPoints * p.inStep * 4);
  p.localRows = p.localOut + (phased ? 0 : kPoints * p.outStep * 4);
  instruction.keptBytes = kept ? static_cast<size_t>(weightFloats * 4) : 0;
  p.sharedIn = kept ? 0 : weightFloats, p.sharedOut = p.sharedIn + kPoints * p.inStep;
  int64_t floats = p.sharedIn + (phased ? kPoints * (p.inStep + p.outStep) : 0);
  p.sharedProduct = -1;
  if (p.product.target < 0) p.sharedProduct = floats, floats += p.images * p.outChannels * p.outH * p.outW;
  instruction.sharedScratch = static_cast<size_t>(align64(floats * 4));
  return true;
}

void runWinograd(const Instruction& instruction, const Run& run) {
  const WinogradPlan& p = *static_cast<const WinogradPlan*>(instruction.plan);
  WinogradJob job{&p, &run, 0, 0, reinterpret_cast<float*>(run.made(instruction))};
  if (run.makes(instruction)) parallel(run, p.panels * ceilDiv(p.inChannels, kWeightChannels), transformWeights, &job);
  if (!p.phased) return parallel(run, p.chunks, runChunk, &job);
  for (int64_t i = 0; i < p.chunks; i++) {
    job.first = cut(p.rowsInAll(), p.chunks, i), job.last = cut(p.rowsInAll(), p.chunks, i + 1);
    parallel(run, (job.last - job.first) * ceilDiv(p.inChannels, kPhasedChannels), inputChunk, &job);
    parallel(run, kPoints, pointChunk, &job);
    parallel(run, (job.last - job.first) * ceilDiv(p.outChannels, kPhasedChannels), outputChunk, &job);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
