// Convolution as gemm without an im2col buffer. One engine, the correlation, does forward and input gradient: for each
// output pixel a sum over (channel, tap) of an input number times a weight. Its micro-kernel tile is pixels × output
// channels: weights are packed once into right panels, and the input is read in place, broadcast, through a table of
// offsets (one a (channel, tap)) from each pixel's base. Only where taps reach over the border, strips of lines are
// copied with zeros around them. The tile is transposed into NCHW when its last channels are summed up, and finished there.
#pragma once
#include "pack.h"
#include "product.h"

namespace chainrule::CHAINRULE_ISA {

struct ConvAttributes {
  int64_t sh, sw, ph, pw, dh, dw, groups;
};
inline ConvAttributes convAttributes(const int32_t* a) { return {a[0], a[1], a[2], a[3], a[4], a[5], a[6]}; }
constexpr int32_t kConvAttributes = 7;

/// A rank 4 view without its dtype.
struct Planes {
  int32_t buffer;
  int64_t offset, size[4], stride[4];

  /// Whether all of the dimensions from d on is one run without gaps.
  bool packed(int d) const {
    int64_t step = 1;
    for (int i = 3; i >= d; i--) {
      if (size[i] > 1 && stride[i] != step) return false;
      step *= size[i];
    }
    return true;
  }
};
Planes planesOf(const View& v);
inline const float* dataOf(const Planes& p, const Run& run) { return static_cast<const float*>(run.buffers[p.buffer]) + p.offset; }

/// The output pixels (h0 + i·outStepH, w0 + j·outStepW), all of which use the same taps. Forward and stride 1 have one phase,
/// the input gradient of a strided convolution one for each remainder.
struct Phase {
  int64_t h0, w0, lines, columns;
  int64_t taps, rows;                ///< and in how many rows (of the same kh) they lie
  int64_t top, left, height, width;  ///< taps read lines top … top+height-1 for output line 0; columns likewise
  int64_t weights;                   ///< of its packed panels, in floats from the first
  int64_t kernel;                    ///< in the plan's int32 table: taps × (kh, kw, input line, input column)
  int64_t offsets[2];                ///< likewise: offsets of k from a pixel's base, for channelBlock and channelBlock - 1 channels
};

/// What the plans of all ways begin with.
struct ConvPlan {
  bool winograd;  ///< made by prepareWinograd or prepareWinogradGrad
};

/// The order of k within a block of channels is (channel, kh, kw), or with padding (kh, channel, kw): then the rows of taps that
/// lie above or below the image, for the lines near its border, are a piece of k to leave out.
struct CorrelatePlan {
  ConvPlan head;
  int64_t images, groups, inChannels, outChannels;  ///< channels of a group
  int64_t inH, inW, outH, outW;
  int64_t inStepH, inStepW, outStepH, outStepW;
  Planes input, weights;
  int64_t weightOut, weightIn;  ///< steps of weights along output and input channels, in elements
  int64_t weightGroup;          ///< and from group to group
  int64_t channelBlock, channelBlocks;
  int64_t panels, panelBlocks;  ///< right panels of a group, and in how many blocks a chunk takes them
  int64_t stripLines, strips;   ///< output lines of a chunk
  bool padded, serial;
  bool window;                                ///< few steps of k: conv2d_window.cc
  int64_t run;                                ///< steps of k for each entry of the tables of offsets
  int64_t pitch, plane;                       ///< line and channel steps of a copied strip
  int64_t stripPixels;                        ///< most pixels of a phase in a strip
  int64_t localTile, localPixels, localRows;  ///< offsets in bytes into scratch (the copied strip is at 0)
  int64_t sharedProduct;                      ///< in floats, -1: the product goes to an output
  int64_t sharedScratch;                      ///< serial: thread scratch is there, in bytes
  int32_t phaseCount;
  int64_t phases, table;  ///< offsets in bytes from the plan
  ProductPlan product;

  const Phase* phase(int32_t i) const { return reinterpret_cast<const Phase*>(reinterpret_cast<const char*>(this) + phases) + i; }
  const int32_t* tableAt(int64_t i) const { return reinterpret_cast<const int32_t*>(reinterpret_cast<const char*>(this) + table) + i; }
};

/// The channel and tap of step k in a block of `channels`.
inline void stepOf(const CorrelatePlan& p, const Phase& f, int64_t k, int64_t channels, int64_t& c, int64_t& t) {
  const int64_t across = f.taps / f.rows;
  c = p.padded ? k / across % channels : k / f.taps;
  t = p.padded ? k / across / channels * across + k % across : k % f.taps;
}

/// Left panels of one group's weights, and output lines [line0, line1) of all its channels, for plans with `window`.
void packWindow(const CorrelatePlan& p, const Run& run, float* weights, int64_t group);
void runWindow(const CorrelatePlan& p, const Run& run, const float* weights, int64_t image, int64_t group, int64_t line0, int64_t line1,
               float* to, int64_t mStep, const Finish* finish, std::byte* scratch);

/// What differs between forward and input gradient.
struct CorrelateSpec {
  Planes input, weights;
  int64_t inChannels, outChannels, weightOut, weightIn, weightGroup;
  bool gradient;
  AsOperand asOperand = nullptr;  ///< filled in by prepareCorrelate
};

/// Whether what is made of the weights is kept between runs: only so few output pixels that making it is much of the work, since each
/// variant of a program keeps its own.
bool keepsWeights(const Instruction& instruction, int64_t pixels);

enum class WinogradUse { product, keptWeights, weightGrad };

/// Whether transforms pay, for convolutions of 3×3 taps and steps of 1, by an estimate of the work.
bool winogradPays(int64_t images, int64_t outH, int64_t outW, int64_t inChannels, int64_t outChannels, WinogradUse use);

/// Plans a correlation that is worth Winograd's transforms; false: it is not.
bool prepareWinograd(Instruction& instruction, const CorrelateSpec& spec, Status& status);
void runWinograd(const Instruction& instruction, const Run& run);

/// The same of a weight gradient.
bool prepareWinogradGrad(Instruction& instruction, const Planes& x, const Planes& gy, const Planes& gw, Status& status);
void runWinogradGrad(const Instruction& instruction, const Run& run);

/// Pixels n … n + have - 1 of output channel m, finished.
CHAINRULE_INLINE void putVector(float* to, F x, int64_t have, const Finish& f, int64_t m, int64_t n) {
  if (have < kWidth) return storePartial(to, finishVector(x, f, m, n, have), have);
  if (f.alongN) x = x + load(f.alongN + n);
  if (f.alongM) x = x + set1(f.alongM[m * f.alongMStep]);
  if (f.full) x = x + load(f.full + m * f.fullStep + n);
  store(to, f.relu ? reluOf(x) : x);
}

Status prepareCorrelate(Instruction& instruction, CorrelateSpec spec);
Status runCorrelate(const Instruction& instruction, const Run& run);

/// Copies lines [line0, line0+height) × columns [column0, column0+width) of `channels` planes at `from` into `to`; what is
/// outside of inH × inW is zero there, if `clear`, and else left as the strip before in the same place made it.
void copyStrip(float* to, int64_t pitch, int64_t plane, const float* from, int64_t cStep, int64_t hStep, int64_t wStep, int64_t channels,
               int64_t inH, int64_t inW, int64_t line0, int64_t height, int64_t column0, int64_t width, bool clear);

}  // namespace chainrule::CHAINRULE_ISA
