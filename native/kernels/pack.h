// Packing: strided operands into the panels that the micro-kernels read from end to end. In: numbers at
// src[lane·laneStep + i·kStep]; out: dst[i·width + lane]. A right panel is kTileColumns wide and filled up with zeros, a left
// panel exactly as wide as it has rows.
#pragma once
#include "gemm_micro.h"

namespace chainrule::CHAINRULE_ISA {

/// Cuts `size` into `parts` that differ by at most one; where part i begins.
constexpr int64_t cut(int64_t size, int64_t parts, int64_t i) {
  if (parts == 1) return i == 0 ? 0 : size;  // divisions cost more than a small product
  const int64_t base = size / parts, more = size % parts;
  return i * base + (i < more ? i : more);
}
constexpr int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/// How many steps of k ahead a line is asked for into L2, where they lie apart: L1 has no place for as many of one set. Never beyond the
/// operand, where another core may be at work.
constexpr int64_t kLinesAhead = 32;

/// `count` steps of k of a panel with `lanes` <= V·kWidth numbers each, into rows of V vectors.
template <int V>
inline void packVectors(float* dst, const float* src, int64_t laneStep, int64_t kStep, int64_t lanes, int64_t count) {
  constexpr int width = V * kWidth;
  if (laneStep == 1 && lanes == width) {
    for (int64_t i = 0; i < count; i++, src += kStep, dst += width) {
      __builtin_prefetch(src + 8 * kStep);
      for (int j = 0; j < V; j++) store(dst + j * kWidth, load(src + j * kWidth));
    }
    return;
  }
  if (laneStep == 1) {
    for (int64_t i = 0; i < count; i++, src += kStep, dst += width)
      for (int j = 0; j < V; j++) {
        const int64_t rest = lanes - j * kWidth;
        store(dst + j * kWidth, rest <= 0 ? zero() : loadPartial(src + j * kWidth, rest < kWidth ? rest : kWidth));
      }
    return;
  }
  if (kStep == 1) {
    for (int64_t i = 0; i < count; i += kWidth) {
      const int64_t have = count - i < kWidth ? count - i : kWidth;
      for (int j = 0; j < V; j++) {
        F square[kWidth];
        const float* s = src + i + j * kWidth * laneStep;
        if (have == kWidth && lanes - j * kWidth >= kWidth) {
#pragma GCC unroll 16
          for (int l = 0; l < kWidth; l++) square[l] = load(s + l * laneStep);
        } else {
          for (int l = 0; l < kWidth; l++) square[l] = j * kWidth + l < lanes ? loadPartial(s + l * laneStep, have) : zero();
        }
        transpose(square);
        float* d = dst + i * width + j * kWidth;
        if (have == kWidth) {
#pragma GCC unroll 16
          for (int l = 0; l < kWidth; l++) store(d + l * width, square[l]);
        } else {
          for (int64_t l = 0; l < have; l++) store(d + l * width, square[l]);
        }
      }
    }
    return;
  }
  for (int64_t i = 0; i < count; i++)
    for (int64_t l = 0; l < width; l++) dst[i * width + l] = l < lanes ? src[l * laneStep + i * kStep] : 0.0f;
}

/// Right panels of `columns` columns, `panelStep` apart. Contiguous columns are read line by line through a few panels at a
/// time: a line of one panel alone is a cache line, or half of one, out of each page.
inline void packRight(float* dst, int64_t panelStep, const float* src, int64_t laneStep, int64_t kStep, int64_t columns, int64_t count) {
  constexpr int64_t kTogether = 4;
  if (columns == 1) laneStep = 1;  // there is no other to step to
  while (columns > 0) {
    if (laneStep == 1 && columns >= kTogether * kTileColumns) {
      for (int64_t i = 0; i < count; i++) {
        const float* s = src + i * kStep;
        const float* later = s + (i + kLinesAhead < count ? kLinesAhead * kStep : 0);
        float* d = dst + i * kTileColumns;
#pragma GCC unroll 4
        for (int64_t q = 0; q < kTogether; q++) {
          __builtin_prefetch(s + 6 * kStep + q * kTileColumns);
          __builtin_prefetch(later + q * kTileColumns, 0, 2);
#pragma GCC unroll 4
          for (int j = 0; j < kTileVectors; j++) store(d + q * panelStep + j * kWidth, load(s + q * kTileColumns + j * kWidth));
        }
      }
      dst += kTogether * panelStep, src += kTogether * kTileColumns, columns -= kTogether * kTileColumns;
      continue;
    }
    packVectors<kTileVectors>(dst, src, laneStep, kStep, columns < kTileColumns ? columns : kTileColumns, count);
    dst += panelStep, src += kTileColumns * laneStep, columns -= kTileColumns;
  }
}

/// A left panel: `rows` numbers a step of k, nothing between the steps. Whole vectors are stored and the next step overwrites
/// what is too much, except at the end of the panel, behind which another thread may be at work.
struct LeftPanel {
  float* dst;
  int64_t rows, end;  ///< end: rows · steps
  CHAINRULE_INLINE void put(int64_t i, F x) const {
    if (i * rows + kWidth <= end)
      store(dst + i * rows, x);
    else
      storePartial(dst + i * rows, x, rows);
  }
};

/// k contiguous: squares of it are transposed.
inline void packLeftRows(float* dst, const float* src, int64_t laneStep, int64_t rows, int64_t count) {
  const LeftPanel panel{dst, rows, count * rows};
  for (int64_t i = 0; i < count; i += kWidth) {
    const int64_t have = count - i < kWidth ? count - i : kWidth;
    F square[kWidth];
    if (have == kWidth) {
#pragma GCC unroll 16
      for (int l = 0; l < kWidth; l++) square[l] = l < rows ? load(src + l * laneStep + i) : zero();
    } else {
      for (int l = 0; l < kWidth; l++) square[l] = l < rows ? loadPartial(src + l * laneStep + i, have) : zero();
    }
    transpose(square);
    if ((i + kWidth) * rows + kWidth <= panel.end) {
#pragma GCC unroll 16
      for (int l = 0; l < kWidth; l++) store(dst + (i + l) * rows, square[l]);
    } else {
      for (int64_t l = 0; l < have; l++) panel.put(i + l, square[l]);
    }
  }
}

/// Left panels [0, panels): the first `tall` of them have rows + 1 rows, the others `rows`; one behind the other in dst.
inline void packLeft(float* dst, const float* src, int64_t laneStep, int64_t kStep, int64_t rows, int64_t tall, int64_t panels,
                     int64_t count) {
  constexpr int64_t kTogether = 8;       // panels through which a line of contiguous rows is read at a time
  constexpr int64_t kStepsTogether = 4;  // lines: panels are often a multiple of a page apart, and share one set of L1
  for (int64_t first = 0; first < panels; first += kTogether) {
    const int64_t some = panels - first < kTogether ? panels - first : kTogether;
    LeftPanel panel[kTogether];
    const float* from[kTogether];
    int64_t left = (panels - first) * rows + smaller(larger(0, tall - first), panels - first);  // lanes from here on
    bool whole[kTogether];  // a whole vector may be read: the lanes that are too many are the next panel's
    for (int64_t p = 0; p < some; p++) {
      const int64_t high = rows + (first + p < tall);
      panel[p] = {dst, high, high * count};
      from[p] = src;
      whole[p] = left >= kWidth;
      left -= high;
      dst += high * count, src += high * laneStep;
    }
    if (kWidth > 1 && laneStep == 1) {
      for (int64_t from0 = 0; from0 < count; from0 += kStepsTogether) {
        const int64_t to = smaller(count, from0 + kStepsTogether);
        for (int64_t i = from0; i < to && i + kLinesAhead < count; i++)
          for (int64_t l = 0; l < some * kTileRows + kWidth; l += 16) __builtin_prefetch(from[0] + (i + kLinesAhead) * kStep + l, 0, 2);
        for (int64_t p = 0; p < some; p++)
          for (int64_t i = from0; i < to; i++) {
            const float* s = from[p] + i * kStep;
            panel[p].put(i, whole[p] ? load(s) : loadPartial(s, panel[p].rows));
          }
      }
    } else if (kWidth > 1 && kStep == 1) {
      for (int64_t p = 0; p < some; p++) packLeftRows(panel[p].dst, from[p], laneStep, panel[p].rows, count);
    } else {
      for (int64_t p = 0; p < some; p++)
        for (int64_t i = 0; i < count; i++)
          for (int64_t l = 0; l < panel[p].rows; l++) panel[p].dst[i * panel[p].rows + l] = from[p][l * laneStep + i * kStep];
    }
  }
}
static_assert(kTileRows <= kWidth || kWidth == 1, "a step of a left panel is a vector at most");

}  // namespace chainrule::CHAINRULE_ISA
