// The weight gradient of a 3×3 convolution with steps of 1 by Winograd's transforms (winograd.h): of each of the 36 points a product,
// transformed input times transformed gradient, summed up over all tiles. Where those sums fit a cache, chunks are groups of tiles with
// sums of their own, added up in order at the end; else transforms and products are phases over all threads, and a chunk is a point.
#include <cstdlib>

#include "conv2d_winograd.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

constexpr int64_t kTilesBytes = 320 << 10;  // of transformed tiles at a time, about
constexpr int64_t kTilesMost = 800 << 10;   // and at most
constexpr int64_t kSumsBytes = 320 << 10;   // of a chunk of its own
constexpr int64_t kGroupTiles = 64;         // least of a chunk
constexpr int64_t kMostGroups = 16;
constexpr int64_t kFinalChannels = 8;  // input channels of a chunk of the last phase
static_assert(kTilesMost + kCopyBytes + kLinesBytes <= int64_t{kThreadScratchBytes});

struct WinogradGradPlan {
  ConvPlan head;
  Tiled x, gy;
  Planes gw;
  int64_t inChannels, outChannels;
  bool phased;
  int64_t groups;             ///< of rows of tiles; phased: blocks
  int64_t rows;               ///< of tiles that are transformed at a time
  int64_t xStep, gyStep;      ///< from point to point
  int64_t localX, localGy;    ///< thread scratch, in bytes
  int64_t sharedX, sharedGy;  ///< phased: shared scratch, in floats; the sums are at 0

  int64_t rowsInAll() const { return x.planes.size[0] * x.tilesH; }
  int64_t sumStep() const { return inChannels * gy.width(); }
};

struct WinogradGradJob {
  const WinogradGradPlan* plan;
  const Run* run;
  int64_t first, last;  ///< phased: rows of tiles at hand

  float* shared(int64_t floats) const { return reinterpret_cast<float*>(run->sharedScratch) + floats; }
};

/// The sums of one point over `tiles`.
void sumPoint(const WinogradGradPlan& p, const float* x, const float* gy, int64_t tiles, bool add, float* sums) {
  const int64_t groups = ceilDiv(p.inChannels, kTileRows), few = p.inChannels / groups, tall = p.inChannels % groups, width = p.gy.width();
  for (int64_t o = 0; o < width; o += kTileColumns) {
    const int64_t columns = smaller(kTileColumns, width - o);
    const float* left = x;
    Tile t{sums + o, width, columns, add, nullptr, 0, 0};
    for (int64_t g = 0; g < groups; g++) {
      const int64_t some = few + (g < tall);
      microFor<ColumnsLeft>(some, columns)(tiles, left, p.x.width(), gy + o, width, t);
      left += some;
      t.c += some * width;
    }
  }
}

/// Chunk: a group of rows of tiles.
void groupChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const WinogradGradJob& job = *static_cast<const WinogradGradJob*>(argument);
  const WinogradGradPlan& p = *job.plan;
  const int64_t first = cut(p.rowsInAll(), p.groups, chunk), last = cut(p.rowsInAll(), p.groups, chunk + 1);
  float *x = reinterpret_cast<float*>(scratch + p.localX), *gy = reinterpret_cast<float*>(scratch + p.localGy);
  float* sums = job.shared(chunk * kPoints * p.sumStep());
  for (int64_t r = first; r < last; r += p.rows) {
    const int64_t end = smaller(last, r + p.rows);
    eachImage(p.x.tilesH, r, end, [&](int64_t image, int64_t row, int64_t rows, int64_t before) {
      transformTiles(p.x, *job.run, image, row, rows, 0, p.inChannels, x + before * p.x.tilesW * p.x.width(), p.xStep, scratch);
      transformTiles(p.gy, *job.run, image, row, rows, 0, p.outChannels, gy + before * p.gy.tilesW * p.gy.width(), p.gyStep, scratch);
    });
    for (int64_t i = 0; i < kPoints; i++)
      sumPoint(p, x + i * p.xStep, gy + i * p.gyStep, (end - r) * p.x.tilesW, r != first, sums + i * p.sumStep());
  }
}

// Phased. Chunks: (channels of x, then of gy; row of tiles), a point.
void tilesChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const WinogradGradJob& job = *static_cast<const WinogradGradJob*>(argument);
  const WinogradGradPlan& p = *job.plan;
  const int64_t rows = job.last - job.first, r = chunk % rows, block = chunk / rows, blocks = ceilDiv(p.inChannels, kPhasedChannels);
  const bool ofX = block < blocks;
  const Tiled& in = ofX ? p.x : p.gy;
  const int64_t c = (ofX ? block : block - blocks) * kPhasedChannels;
  float* to = job.shared(ofX ? p.sharedX : p.sharedGy) + r * in.tilesW * in.width();
  transformTiles(in, *job.run, (job.first + r) / in.tilesH, (job.first + r) % in.tilesH, 1, c, smaller(in.channels(), c + kPhasedChannels),
                 to, ofX ? p.xStep : p.gyStep, scratch);
}
void pointChunk(void* argument, int64_t chunk, std::byte*) {
  const WinogradGradJob& job = *static_cast<const WinogradGradJob*>(argument);
  const WinogradGradPlan& p = *job.plan;
  // Of so many tiles that their part of gy stays in the second cache.
  const int64_t tiles = (job.last - job.first) * p.x.tilesW, parts = ceilDiv(tiles, 320);
  for (int64_t i = 0; i < parts; i++) {
    const int64_t t0 = cut(tiles, parts, i), t1 = cut(tiles, parts, i + 1);
    sumPoint(p, job.shared(p.sharedX) + chunk * p.xStep + t0 * p.x.width(), job.shared(p.sharedGy) + chunk * p.gyStep + t0 * p.gy.width(),
             t1 - t0, job.first > 0 || i > 0, job.shared(chunk * p.sumStep()));
  }
}

/// The sums of all groups, transformed back into taps. Chunk: kFinalChannels input channels.
void finalChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const WinogradGradJob& job = *static_cast<const WinogradGradJob*>(argument);
  const WinogradGradPlan& p = *job.plan;
  const int64_t c0 = chunk * kFinalChannels, channels = smaller(kFinalChannels, p.inChannels - c0), step = p.sumStep();
  const int64_t groups = p.phased ? 1 : p.groups;
  float *sum = reinterpret_cast<float*>(scratch), *half = sum + kPoints * kWidth, *taps = half + 3 * kPatch * kWidth;
  const bool flat = p.gw.packed(1);
  for (int64_t o = 0; o < p.outChannels; o += kWidth) {
    for (int64_t c = 0; c < channels; c++) {
      for (int64_t i = 0; i < kPoints; i++) {
        const float* from = job.shared(i * step + (c0 + c) * p.gy.width() + o);
        F x = load(from);
        for (int64_t g = 1; g < groups; g++) x = x + load(from + g * kPoints * step);
        store(sum + i * kWidth, x);
      }
      for (int64_t x = 0; x < kPatch; x++) winogradTapsGrad(sum + x * kWidth, kPatch * kWidth, half + x * kWidth, kPatch * kWidth);
      for (int64_t y = 0; y < 3; y++) winogradTapsGrad(half + y * kPatch * kWidth, kWidth, taps + (c * 9 + y * 3) * kWidth, kWidth);
    }
    const int64_t lanes = smaller(kWidth, p.outChannels - o), count = channels * 9;
    float* gw = const_cast<float*>(dataOf(p.gw, *job.run)) + o * p.gw.stride[0] + c0 * p.gw.stride[1];
    for (int64_t k = 0; k < count; k += kWidth) {
      const int64_t have = smaller(kWidth, count - k);
      if (flat) {
        F square[kWidth];
        for (int l = 0; l < kWidth; l++) square[l] = l < have ? load(taps + (k + l) * kWidth) : zero();
        transpose(square);
        for (int l = 0; l < lanes; l++) storePartial(gw + l * p.gw.stride[0] + k, square[l], have);
        continue;
      }
      for (int64_t i = k; i < k + have; i++)
        for (int64_t l = 0; l < lanes; l++)
          gw[l * p.gw.stride[0] + i / 9 * p.gw.stride[1] + i % 9 / 3 * p.gw.stride[2] + i % 3 * p.gw.stride[3]] = taps[i * kWidth + l];
    }
  }
}

}  // namespace

bool prepareWinogradGrad(Instruction& instruction, const Planes& x, const Planes& gy, const Planes& gw, Status& status) {
  const ConvAttributes a = convAttributes(instruction.attributes);
  if (!winogradFits(gw, a) || !winogradPays(gy.size[0], gy.size[2], gy.size[3], gw.size[1], gw.size[0], WinogradUse::weightGrad))
    return false;
  WinogradGradPlan p{};
  p.head.winograd = true;
  p.gw = gw;
  p.inChannels = gw.size[1], p.outChannels = gw.size[0];
  const int64_t tilesH = ceilDiv(gy.size[2], kTile), tilesW = ceilDiv(gy.size[3], kTile);
  p.x = {x, a.ph, a.pw, tilesH, tilesW, 2};
  p.gy = {gy, 0, 0, tilesH, tilesW, 0};
  const int64_t rowBytes = tilesW * kPoints * (p.x.width() + p.gy.width()) * 4, sums = kPoints * p.sumStep(), rows = p.rowsInAll();
  p.phased = sums * 4 > kSumsBytes || rowBytes > kTilesMost - (int64_t{8} << 10);
  if (!p.x.fits() || !p.gy.fits() || (p.phased && rowBytes > kPhasedBytes)) return false;
  if (p.phased) {
    p.groups = ceilDiv(rows, kPhasedBytes / rowBytes);
    p.rows = ceilDiv(rows, p.groups);
  } else {
    p.groups = larger(1, smaller(smaller(kMostGroups, rows), rows * tilesW / kGroupTiles));
    const int64_t each = ceilDiv(rows, p.groups), parts = ceilDiv(each, larger(1, kTilesBytes / rowBytes));
    p.rows = ceilDiv(each, parts);
  }
  p.xStep = pointStep(p.rows * tilesW * p.x.width()), p.gyStep = pointStep(p.rows * tilesW * p.gy.width());
  p.localX = kCopyBytes + kLinesBytes;
  p.localGy = p.localX + kPoints * p.xStep * 4;
  p.sharedX = p.phased ? sums : sums * p.groups;
  p.sharedGy = p.sharedX + kPoints * p.xStep;
  instruction.sharedScratch = static_cast<size_t>(align64((p.phased ? p.sharedGy + kPoints * p.gyStep : p.sharedX) * 4));
  WinogradGradPlan* plan = static_cast<WinogradGradPlan*>(malloc(sizeof(WinogradGradPlan)));
  if (plan)
    *plan = p;
  else
    status.code = StatusCode::outOfMemory;
  instruction.plan = plan;
  return true;
}

void runWinogradGrad(const Instruction& instruction, const Run& run) {
  const WinogradGradPlan& p = *static_cast<const WinogradGradPlan*>(instruction.plan);
  WinogradGradJob job{&p, &run, 0, 0};
  if (!p.phased) parallel(run, p.groups, groupChunk, &job);
  for (int64_t i = 0; i < (p.phased ? p.groups : 0); i++) {
    job.first = cut(p.rowsInAll(), p.groups, i), job.last = cut(p.rowsInAll(), p.groups, i + 1);
    const int64_t blocks = ceilDiv(p.inChannels, kPhasedChannels) + ceilDiv(p.outChannels, kPhasedChannels);
    parallel(run, (job.last - job.first) * blocks, tilesChunk, &job);
    parallel(run, kPoints, pointChunk, &job);
  }
  parallel(run, ceilDiv(p.inChannels, kFinalChannels), finalChunk, &job);
}

}  // namespace chainrule::CHAINRULE_ISA
