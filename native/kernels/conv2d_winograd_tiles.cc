// Images into transformed tiles (conv2d_winograd.h): lines are copied with channels innermost, then transformed along columns, which
// tiles side by side share, and along lines.
#include "conv2d_winograd.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

/// `count` pixels, kWidth channels (`have` of them there) side by side.
void copyPixels(const float* from, int64_t cStep, int64_t wStep, int64_t have, int64_t count, float* to) {
  if (wStep != 1) {
    for (int64_t x = 0; x < count; x++)
      for (int64_t l = 0; l < kWidth; l++) to[x * kWidth + l] = l < have ? from[l * cStep + x * wStep] : 0.0f;
    return;
  }
  if (count < kWidth) {
    F square[kWidth];
    for (int l = 0; l < kWidth; l++) square[l] = l < have ? loadPartial(from + l * cStep, count) : zero();
    transpose(square);
    for (int l = 0; l < count; l++) store(to + l * kWidth, square[l]);
    return;
  }
  for (int64_t x = 0; x < count; x += kWidth) {
    const int64_t at = smaller(x, count - kWidth);  // the last ones overlap those before
    F square[kWidth];
    if (have == kWidth) {
#pragma GCC unroll 16
      for (int l = 0; l < kWidth; l++) square[l] = load(from + l * cStep + at);
    } else {
      for (int l = 0; l < kWidth; l++) square[l] = l < have ? load(from + l * cStep + at) : zero();
    }
    transpose(square);
#pragma GCC unroll 16
    for (int l = 0; l < kWidth; l++) store(to + (at + l) * kWidth, square[l]);
  }
}

struct Input {
  CHAINRULE_INLINE static void apply(const float* from, int64_t step, float* to, int64_t toStep) { winogradInput(from, step, to, toStep); }
};
struct OutputGrad {
  CHAINRULE_INLINE static void apply(const float* from, int64_t step, float* to, int64_t toStep) {
    winogradOutputGrad(from, step, to, toStep);
  }
};

/// One row of tiles from copied lines.
template <class Transform>
void transformRow(const float* copy, int64_t pitch, float* lines, int64_t tiles, float* to, int64_t width, int64_t step) {
  for (int64_t x = 0; x < pitch; x += kWidth) Transform::apply(copy + x, pitch, lines + x, pitch);
  for (int64_t t = 0; t < tiles; t++, to += width)
    for (int64_t y = 0; y < kPatch; y++) Transform::apply(lines + y * pitch + t * kTile * kWidth, kWidth, to + y * kPatch * step, step);
}

}  // namespace

void copyLines(const Tiled& in, const float* image, int64_t c, int64_t y0, int64_t height, float* to) {
  const int64_t pitch = in.pitch(), have = smaller(kWidth, in.channels() - c), wStep = in.planes.stride[3];
  const int64_t skip = larger(0, -in.left), x0 = larger(0, in.left), count = smaller(in.planes.size[3], pitch / kWidth - in.left) - skip;
  for (int64_t y = 0; y < height; y++, to += pitch) {
    const int64_t line = y0 + y;
    if (line < 0 || line >= in.planes.size[2] || count <= 0) {
      memset(static_cast<void*>(to), 0, static_cast<size_t>(pitch) * 4);
      continue;
    }
    for (int64_t i = 0; i < x0 * kWidth; i += kWidth) store(to + i, zero());
    for (int64_t i = (x0 + count) * kWidth; i < pitch; i += kWidth) store(to + i, zero());
    copyPixels(image + c * in.planes.stride[1] + line * in.planes.stride[2] + skip * wStep, in.planes.stride[1], wStep, have, count,
               to + x0 * kWidth);
  }
}

void transformTiles(const Tiled& in, const Run& run, int64_t image, int64_t row, int64_t rows, int64_t c0, int64_t c1, float* to,
                    int64_t step, std::byte* scratch) {
  const float* from = dataOf(in.planes, run) + image * in.planes.stride[0];
  float *copy = reinterpret_cast<float*>(scratch), *lines = reinterpret_cast<float*>(scratch + kCopyBytes);
  const int64_t pitch = in.pitch(), most = larger(1, (kCopyBytes / 4 / pitch - in.overlap) / kTile), width = in.width();
  for (int64_t c = c0; c < c1; c += kWidth)
    for (int64_t r0 = 0; r0 < rows; r0 += most) {
      const int64_t some = smaller(most, rows - r0);
      copyLines(in, from, c, (row + r0) * kTile - in.top, some * kTile + in.overlap, copy);
      for (int64_t r = 0; r < some; r++)
        (in.overlap ? transformRow<Input> : transformRow<OutputGrad>)(copy + r * kTile * pitch, pitch, lines, in.tilesW,
                                                                      to + (r0 + r) * in.tilesW * width + c, width, step);
    }
}

}  // namespace chainrule::CHAINRULE_ISA
