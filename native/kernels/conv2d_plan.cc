// Planning of a correlation (conv2d.h): phases and their tables of offsets, blocks, scratch.
#include <cstdlib>

#include "conv2d.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

constexpr int64_t kBlockSteps = 160;        // most steps of k at a time: a right panel and the input it meets stay in L1
constexpr int64_t kWindowSteps = 64;        // most steps of k for which conv2d_window.cc is faster
constexpr int64_t kStripPixels = 160;       // pixels of a chunk, about
constexpr int64_t kStripBytes = 448 << 10;  // most for a copied strip,
constexpr int64_t kTileBytes = 384 << 10;   // a tile of pixels × output channels,
constexpr int64_t kPixelBytes = 64 << 10;   // and the pixels' bases
constexpr int64_t kKeptPixels = 4096;       // of output, up to which packed weights are kept between runs
constexpr int64_t kChunkWork = 2 * kBlocks.chunkWork;
static_assert(kStripBytes + kTileBytes + kPixelBytes + int64_t{kRowsScratchBytes} <= int64_t{kThreadScratchBytes});

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }

Operand asOperand(const View& v, const void*) {
  Operand o{};
  o.buffer = v.buffer;
  o.dtype = v.dtype;
  o.offset = v.offset;
  o.batch[0] = v.stride[0];
  o.m = v.stride[1];
  o.setAlong(v.shape[2], v.shape[3], v.stride[2], v.stride[3]);
  return o;
}

constexpr int64_t modulo(int64_t a, int64_t n) { return ((a % n) + n) % n; }

/// The input line that tap k reads for output line 0 of the phase that begins at output line `first`; false if this phase
/// does not use the tap.
bool tapLine(bool gradient, int64_t first, int64_t k, int64_t stride, int64_t pad, int64_t dilation, int64_t& line) {
  if (!gradient) {
    line = k * dilation - pad;
    return true;
  }
  const int64_t at = first + pad - k * dilation;
  if (modulo(at, stride) != 0) return false;
  line = (at - modulo(at, stride)) / stride;
  return true;
}

}  // namespace

bool keepsWeights(const Instruction& instruction, int64_t pixels) { return instruction.keep && pixels <= 4096; }

Planes planesOf(const View& v) {
  Planes p{};
  p.buffer = v.buffer;
  p.offset = v.offset;
  for (int i = 0; i < 4; i++) p.size[i] = v.shape[i], p.stride[i] = v.stride[i];
  return p;
}

Status prepareCorrelate(Instruction& instruction, CorrelateSpec spec) {
  Status status;
  instruction.sharedScratch = 0;
  if (instruction.inputCount + instruction.outputCount > kMaxRowOperands) {
    status.code = StatusCode::unsupported;
    return status;
  }
  spec.asOperand = asOperand;
  if (prepareWinograd(instruction, spec, status)) return status;
  const ConvAttributes a = convAttributes(instruction.attributes);
  const View& out = instruction.outputs[0];
  const int64_t kh = spec.weights.size[2], kw = spec.weights.size[3];
  const int64_t phasesH = spec.gradient ? smaller(a.sh, larger(1, out.shape[2])) : 1;
  const int64_t phasesW = spec.gradient ? smaller(a.sw, larger(1, out.shape[3])) : 1;
  const int64_t phases = phasesH * phasesW;
  // As many steps of k at a time as a panel in L1 has; at least one channel.
  const int64_t block = larger(1, smaller(spec.inChannels, kBlockSteps / larger(1, kh * kw)));
  const int64_t blocks = larger(1, ceilDiv(spec.inChannels, block)), channelBlock = ceilDiv(spec.inChannels, blocks);
  const int64_t tableWords = phases * kh * kw * (4 + 2 * channelBlock);
  const int64_t phasesAt = align64(sizeof(CorrelatePlan)), tableAt = align64(phasesAt + phases * int64_t{sizeof(Phase)});
  std::byte* memory = makeProduct(instruction, static_cast<size_t>(tableAt + tableWords * 4), offsetof(CorrelatePlan, product), 2,
                                  instruction.attributes + kConvAttributes, asOperand, nullptr);
  if (!memory) {
    status.code = StatusCode::outOfMemory;
    return status;
  }
  instruction.plan = memory;
  CorrelatePlan& p = *reinterpret_cast<CorrelatePlan*>(memory);
  p.images = out.shape[0];
  p.groups = a.groups;
  p.inChannels = spec.inChannels;
  p.outChannels = spec.outChannels;
  p.inH = spec.input.size[2];
  p.inW = spec.input.size[3];
  p.outH = out.shape[2];
  p.outW = out.shape[3];
  p.inStepH = spec.gradient ? 1 : a.sh;
  p.inStepW = spec.gradient ? 1 : a.sw;
  p.outStepH = spec.gradient ? a.sh : 1;
  p.outStepW = spec.gradient ? a.sw : 1;
  p.input = spec.input;
  p.weights = spec.weights;
  p.weightOut = spec.weightOut;
  p.weightIn = spec.weightIn;
  p.weightGroup = spec.weightGroup;
  p.channelBlock = channelBlock;
  p.channelBlocks = blocks;
  p.phaseCount = static_cast<int32_t>(phases);
  p.phases = phasesAt;
  p.table = tableAt;
  p.panels = ceilDiv(spec.outChannels, kTileColumns);

  // The taps of each phase.
  Phase* phase = reinterpret_cast<Phase*>(memory + phasesAt);
  int32_t* table = reinterpret_cast<int32_t*>(memory + tableAt);
  int64_t words = 0, packed = 0, height = 1, width = 1, tapsMost = 0;
  for (int64_t i = 0; i < phases; i++) {
    Phase& f = phase[i];
    f.h0 = i / phasesW;
    f.w0 = i % phasesW;
    f.lines = f.h0 < p.outH ? (p.outH - f.h0 - 1) / p.outStepH + 1 : 0;
    f.columns = f.w0 < p.outW ? (p.outW - f.w0 - 1) / p.outStepW + 1 : 0;
    f.kernel = words;
    f.taps = 0;
    int64_t bottom = 0, right = 0;
    for (int64_t y = 0; y < kh; y++)
      for (int64_t i = 0; i < kw; i++) {
        const int64_t x = spec.gradient ? kw - 1 - i : i;  // so that the columns read ascend
        int64_t line, column;
        if (!tapLine(spec.gradient, f.h0, y, a.sh, a.ph, a.dh, line) || !tapLine(spec.gradient, f.w0, x, a.sw, a.pw, a.dw, column))
          continue;
        f.top = f.taps ? smaller(f.top, line) : line;
        f.left = f.taps ? smaller(f.left, column) : column;
        bottom = f.taps ? larger(bottom, line) : line;
        right = f.taps ? larger(right, column) : column;
        int32_t* tap = table + words;
        if (f.taps == 0 || tap[-4] != y) f.rows++;
        tap[0] = static_cast<int32_t>(y), tap[1] = static_cast<int32_t>(x);
        tap[2] = static_cast<int32_t>(line), tap[3] = static_cast<int32_t>(column);
        words += 4;
        f.taps++;
      }
    f.height = bottom - f.top + 1;
    f.width = right - f.left + 1;
    if (f.taps == 0) f.top = f.left = 0, f.height = f.width = 1;
    if (f.taps && f.lines && f.columns) {
      if (f.top < 0 || f.left < 0 || (f.lines - 1) * p.inStepH + bottom >= p.inH || (f.columns - 1) * p.inStepW + right >= p.inW)
        p.padded = true;
    }
    height = larger(height, f.height);
    width = larger(width, (f.columns - 1) * p.inStepW + f.width);
    tapsMost = larger(tapsMost, f.taps);
    for (int64_t& at : f.offsets) at = words, words += f.taps * channelBlock;
    f.weights = packed;
    packed += p.groups * p.panels * p.inChannels * f.taps * kTileColumns;
  }

  // Strips of output lines (whole phases of them), as many pixels as fit the scratch and leave enough chunks.
  const int64_t step = p.outStepH, across = ceilDiv(larger(1, p.outW), p.outStepW);
  const int64_t blockPanels0 = smaller(p.panels, larger(1, 256 / kTileColumns));
  auto stripBytes = [&](int64_t lines) { return p.padded ? channelBlock * ((lines - 1) * p.inStepH + height) * width * 4 : 0; };
  auto tileBytes = [&](int64_t lines) { return lines * across * blockPanels0 * kTileColumns * 4; };
  int64_t lines = larger(1, ceilDiv(kStripPixels, across));
  const int64_t imageWork = p.inChannels * tapsMost * p.outChannels * across, perImage = p.images * p.groups;
  // Chunks for all threads: of fewer lines, or, where weights come from beyond L2, of fewer channels, so that they are read once.
  const int64_t parts = p.inChannels * tapsMost * p.outChannels * 4 > (1 << 20) ? p.panels : 1;
  while (lines > 1 && (stripBytes(lines) > kStripBytes || tileBytes(lines) > kTileBytes || lines * across * 4 > kPixelBytes ||
                       (perImage * ceilDiv(ceilDiv(larger(1, p.outH), step), lines) * parts < 16 && lines * imageWork > 2 * kChunkWork)))
    lines--;
  p.serial = stripBytes(lines) > kStripBytes || tileBytes(lines) > kTileBytes || lines * across * 4 > kPixelBytes;
  // Lines shorter than a vector pay where a transposed tile would be emptier still, and need the strip behind them.
  const bool wideEnough = p.outW >= kWidth || (p.padded && (2 * p.outW >= kWidth || 4 * p.outChannels <= kTileColumns));
  p.window = !p.serial && phases == 1 && step == 1 && p.outStepW == 1 && p.inStepW == 1 && (p.padded || p.input.stride[3] == 1) &&
             blocks == 1 && p.inChannels * tapsMost <= kWindowSteps && p.inChannels * tapsMost > 0 && wideEnough;
  p.strips = ceilDiv(larger(1, p.outH), lines * step);
  lines = ceilDiv(ceilDiv(larger(1, p.outH), step), p.strips);  // even strips
  p.stripLines = lines * step;
  p.strips = ceilDiv(larger(1, p.outH), p.stripLines);
  p.stripPixels = lines * across;
  p.panelBlocks = ceilDiv(p.panels, blockPanels0);
  if (p.window) p.panelBlocks = 1;
  while (!p.window && perImage * p.strips * p.panelBlocks < 16 && p.panelBlocks < p.panels &&
         lines * imageWork / p.panelBlocks > 2 * kChunkWork)
    p.panelBlocks++;
  p.pitch = width;
  p.plane = ((lines - 1) * p.inStepH + height) * width;
  p.localTile = align64(stripBytes(lines));
  p.localPixels = p.localTile + align64(tileBytes(lines));
  p.localRows = p.localPixels + align64(p.stripPixels * 4);

  // Three taps side by side share one offset.
  p.run = p.padded || p.input.stride[3] == 1 ? 3 : 1;
  for (int64_t i = 0; i < phases; i++)
    for (int64_t t = 0; t < phase[i].taps; t++) {
      const int32_t* tap = table + phase[i].kernel + 4 * t;
      if (phase[i].taps % 3 != 0 || (t % 3 != 0 && (tap[2] != tap[-2] || tap[3] != tap[-1] + 1))) p.run = 1;
    }

  // Offsets of k: in the strip, or in the input where it is.
  for (int64_t i = 0; i < phases; i++)
    for (int64_t shorter = 0; shorter < 2; shorter++) {
      const Phase& f = phase[i];
      int32_t* to = table + f.offsets[shorter];
      const int64_t channels = channelBlock - shorter;
      for (int64_t k = 0; k < channels * f.taps; k += p.run) {
        int64_t c, t;
        stepOf(p, f, k, channels, c, t);
        const int32_t* tap = table + f.kernel + 4 * t;
        const int64_t at = p.padded ? c * p.plane + (tap[2] - f.top) * p.pitch + tap[3] - f.left
                                    : c * p.input.stride[1] + tap[2] * p.input.stride[2] + tap[3] * p.input.stride[3];
        *to++ = static_cast<int32_t>(at);
      }
    }

  const bool kept = keepsWeights(instruction, out.shape[0] * out.shape[2] * out.shape[3]);
  instruction.keptBytes = kept ? static_cast<size_t>(packed * 4) : 0;
  int64_t bytes = kept ? 0 : align64(packed * 4);
  p.sharedProduct = -1;
  if (p.product.target < 0) {
    p.sharedProduct = bytes / 4;
    bytes += align64(p.images * p.groups * p.outChannels * p.outH * p.outW * 4);
  }
  if (p.serial) {
    p.sharedScratch = bytes;
    bytes += p.localRows + int64_t{kRowsScratchBytes};
  }
  instruction.sharedScratch = static_cast<size_t>(bytes);
  return status;
}

}  // namespace chainrule::CHAINRULE_ISA
