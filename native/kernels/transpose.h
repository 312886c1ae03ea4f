// Transposing copies of 32-bit elements, by squares of vectors transposed in registers. In: columns that run on in memory;
// out: rows that do.
#pragma once
#include "../simd/simd.h"

namespace chainrule::CHAINRULE_ISA {

/// to[r·toStride + c] = from[c·fromStride + r] for r < rows, c < columns.
inline void transposeCopy(const float* from, int64_t fromStride, float* to, int64_t toStride, int64_t rows, int64_t columns) {
  // 16 columns at a time: a whole cache line of each output row, read from 16 input streams.
  constexpr int64_t kColumns = 16;
  static_assert(kColumns % kWidth == 0);
  int64_t c = 0;
  for (; c + kColumns <= columns; c += kColumns) {
    int64_t r = 0;
    for (; r + kWidth <= rows; r += kWidth) {
      for (int64_t k = 0; k < kColumns; k += kWidth) {
        F square[kWidth];
        const float* p = from + (c + k) * fromStride + r;
        for (int i = 0; i < kWidth; i++) square[i] = load(p + i * fromStride);
        transpose(square);
        float* q = to + r * toStride + c + k;
        for (int i = 0; i < kWidth; i++) store(q + i * toStride, square[i]);
      }
    }
    for (; r < rows; r++) {
      for (int64_t k = c; k < c + kColumns; k++) memcpy(to + r * toStride + k, from + k * fromStride + r, 4);
    }
  }
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t k = c; k < columns; k++) memcpy(to + r * toStride + k, from + k * fromStride + r, 4);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
