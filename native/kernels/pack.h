// Packing: strided operands into the panels that the micro-kernels read from end to end. In: numbers at
// src[lane·laneStep + i·kStep]; out: dst[i·width + lane]. A right panel is kTileColumns wide and filled up with zeros, a left
// panel exactly as wide as it has rows.
#pragma once
#include "gemm_micro.h"

namespace chainrule::CHAINRULE_ISA {

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

inline void packRight(float* dst, const float* src, int64_t laneStep, int64_t kStep, int64_t lanes, int64_t count) {
  packVectors<kTileVectors>(dst, src, laneStep, kStep, lanes, count);
}

/// A left panel: `rows` numbers a step of k, nothing between the steps. Whole vectors are stored and the next step overwrites
/// what is too much, except at the end of the panel, behind which another thread may be at work.
inline void packLeft(float* dst, const float* src, int64_t laneStep, int64_t kStep, int64_t rows, int64_t count) {
  const bool vectors = rows <= kWidth && kWidth > 1;
  const int64_t end = count * rows;
  auto put = [&](int64_t i, F x) {
    if (i * rows + kWidth <= end)
      store(dst + i * rows, x);
    else
      storePartial(dst + i * rows, x, rows);
  };
  if (vectors && laneStep == 1) {
    for (int64_t i = 0; i < count; i++) put(i, loadPartial(src + i * kStep, rows));
  } else if (vectors && kStep == 1) {
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
      if ((i + kWidth) * rows + kWidth <= end) {
#pragma GCC unroll 16
        for (int l = 0; l < kWidth; l++) store(dst + (i + l) * rows, square[l]);
      } else {
        for (int64_t l = 0; l < have; l++) put(i + l, square[l]);
      }
    }
  } else {
    for (int64_t i = 0; i < count; i++)
      for (int64_t l = 0; l < rows; l++) dst[i * rows + l] = src[l * laneStep + i * kStep];
  }
}

/// Cuts `size` into `parts` that differ by at most one; where part i begins.
constexpr int64_t cut(int64_t size, int64_t parts, int64_t i) {
  if (parts == 1) return i == 0 ? 0 : size;  // divisions cost more than a small product
  const int64_t base = size / parts, more = size % parts;
  return i * base + (i < more ? i : more);
}
constexpr int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

}  // namespace chainrule::CHAINRULE_ISA
