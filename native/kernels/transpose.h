// Transposing copies of 32-bit elements, by squares of vectors transposed in registers. In: columns that run on in memory;
// out: rows that do.
#pragma once
#include "../simd/simd.h"

namespace chainrule::CHAINRULE_ISA {

/// to[r·toStride + c] = from[c·fromStride + r] for r < rows, c < columns.
inline void transposeCopy(const float* from, int64_t fromStride, float* to, int64_t toStride, int64_t rows, int64_t columns) {
  // A cache line squared at a time. It is assembled in a block of its own, because lines a power of two apart, as the rows of `to` often
  // are, push each other out of the cache when they are written in pieces.
  constexpr int64_t kSide = 16;
  static_assert(kSide % kWidth == 0);
  alignas(64) float block[kSide * kSide];
  int64_t c = 0;
  for (; c + kSide <= columns; c += kSide) {
    int64_t r = 0;
    for (; r + kSide <= rows; r += kSide) {
      for (int64_t k = 0; k < kSide; k += kWidth) {
        const float* p = from + (c + k) * fromStride + r;
        for (int64_t h = 0; h < kSide; h += kWidth) {
          F square[kWidth];
          for (int i = 0; i < kWidth; i++) square[i] = load(p + i * fromStride + h);
          transpose(square);
          for (int i = 0; i < kWidth; i++) store(block + (h + i) * kSide + k, square[i]);
        }
      }
      for (int64_t i = 0; i < kSide; i++) {
        for (int64_t k = 0; k < kSide; k += kWidth) store(to + (r + i) * toStride + c + k, load(block + i * kSide + k));
      }
    }
    for (; r < rows; r++) {
      for (int64_t k = c; k < c + kSide; k++) memcpy(to + r * toStride + k, from + k * fromStride + r, 4);
    }
  }
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t k = c; k < columns; k++) memcpy(to + r * toStride + k, from + k * fromStride + r, 4);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
