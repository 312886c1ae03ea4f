// What Winograd's correlation and its weight gradient share: images cut into tiles, and their transforms. Tiles are numbered by image,
// row and column; "rows" are rows of tiles. Transformed tiles lie as [point][tile][channel], points `step` apart and channels in whole
// vectors.
#pragma once
#include "conv2d.h"
#include "winograd.h"

namespace chainrule::CHAINRULE_ISA {

constexpr int64_t kCopyBytes = 96 << 10;   // most, of copied lines
constexpr int64_t kLinesBytes = 96 << 10;  // and of lines whose columns are transformed, or of output
constexpr int64_t kPhasedBytes = 8 << 20;  // of transformed tiles in shared scratch
constexpr int64_t kPhasedChannels = 64;    // channels of a chunk there

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }
constexpr int64_t wholeVectors(int64_t n) { return ceilDiv(n, kWidth) * kWidth; }

/// Floats from point to point, for so many at each: an odd number of cache lines, so that the points of a tile lie in different sets.
constexpr int64_t pointStep(int64_t floats) { return (ceilDiv(floats, 16) | 1) * 16; }

/// Images of which each tile sees patches of 4×4 pixels and, with `overlap` 2, two more.
struct Tiled {
  Planes planes;
  int64_t top, left;  ///< zeros above and left of the image
  int64_t tilesH, tilesW;
  int64_t overlap;

  int64_t channels() const { return planes.size[1]; }
  int64_t width() const { return wholeVectors(channels()); }
  int64_t pitch() const { return (tilesW * kTile + overlap) * kWidth; }  ///< of a copied line
  bool fits() const { return pitch() * kPatch * 4 <= smaller(kCopyBytes, kLinesBytes); }
};

/// Whether a 3×3 convolution of these attributes is one for Winograd. Outputs that see nothing of the image are to be zero, so no more
/// padding.
inline bool winogradFits(const Planes& weights, const ConvAttributes& a) {
  return weights.size[2] == 3 && weights.size[3] == 3 && a.sh == 1 && a.sw == 1 && a.dh == 1 && a.dw == 1 && a.groups == 1 && a.ph <= 2 &&
         a.pw <= 2;
}

/// Calls fn(image, row within it, rows, how many came before) for the pieces of the rows [first, last) that lie in one image.
template <class Fn>
CHAINRULE_INLINE void eachImage(int64_t tilesH, int64_t first, int64_t last, Fn fn) {
  for (int64_t r = first; r < last;) {
    const int64_t image = r / tilesH, row = r % tilesH, rows = smaller(last - r, tilesH - row);
    fn(image, row, rows, r - first);
    r += rows;
  }
}

/// `height` lines from line y0 on, kWidth channels from c on side by side, with zeros around the image.
void copyLines(const Tiled& in, const float* image, int64_t c, int64_t y0, int64_t height, float* to);

/// Rows [row, row + rows) of one image, channels [c0, c1), through Bᵀ (with overlap) or A (without) to `to`: the first tile's channel 0.
/// `scratch` has room for kCopyBytes + kLinesBytes.
void transformTiles(const Tiled& in, const Run& run, int64_t image, int64_t row, int64_t rows, int64_t c0, int64_t c1, float* to,
                    int64_t step, std::byte* scratch);

}  // namespace chainrule::CHAINRULE_ISA
