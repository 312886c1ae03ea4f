// What pooling over planes shares: the windows' geometry, and work in blocks of rows. In: x [N, C, H, W] (or gy) of any strides and the
// window's attributes, as docs/program-format.md.
#pragma once
#include "rows.h"

namespace chainrule::CHAINRULE_ISA {

/// Elements of a chunk.
constexpr int64_t kPoolChunk = 8192;

struct PoolJob {
  const Instruction* instruction;
  const Run* run;
  int64_t rowsPerChunk;
  int64_t first(int64_t chunk) const { return chunk * rowsPerChunk; }
  /// Behind the last row of a chunk, of `rows` in all.
  int64_t last(int64_t chunk, int64_t rows) const { return smaller((chunk + 1) * rowsPerChunk, rows); }
};

/// Sizes, window and strides of a pooling; `in` is the large side, `out` the small.
struct PoolGeometry {
  int64_t planes, channels, height, width, outHeight, outWidth;
  int64_t kh, kw, sh, sw, ph, pw, dh, dw;
  PoolGeometry(const View& in, const View& out, const int32_t* a, bool dilated)
      : planes(in.shape[0] * in.shape[1]),
        channels(in.shape[1]),
        height(in.shape[2]),
        width(in.shape[3]),
        outHeight(out.shape[2]),
        outWidth(out.shape[3]),
        kh(a[0]),
        kw(a[1]),
        sh(a[2]),
        sw(a[3]),
        ph(a[4]),
        pw(a[5]),
        dh(dilated ? a[6] : 1),
        dw(dilated ? a[7] : 1) {}
  /// The output columns whose windows lie inside the input.
  int64_t firstInside() const { return (pw + sw - 1) / sw; }
  int64_t endInside() const {
    const int64_t room = width + pw - (kw - 1) * dw - 1;
    const int64_t end = room < 0 ? 0 : room / sw + 1;
    return smaller(end, outWidth);
  }
};

inline int64_t planeOffset(const View& v, const PoolGeometry& g, int64_t plane) {
  return plane / g.channels * v.stride[0] + plane % g.channels * v.stride[1];
}

/// kWidth elements, `step` apart.
CHAINRULE_INLINE F loadStep(const float* p, int64_t step) { return step == 1 ? load(p) : step == 2 ? loadEven(p) : loadStrided(p, step); }

/// kWidth windows side by side: the first cell of the first, in memory, and what lies between cells and between windows there.
struct PoolWindows {
  const float* corner;
  int64_t rowStep, columnStep, step;
  int64_t firstRow, rows;  ///< of the window, as far as they are inside the input; firstRow counts in the plane
  int64_t column, count;   ///< the first window's place in the row of results, and how many there are, kWidth at most
  bool clipped;            ///< columns of some may be outside the input
};

/// Rows of results by vectors of windows: read where they are, or, if columns are outside the input, in a padded copy of the plane's rows.
class PoolRows {
 public:
  /// Bytes of scratch that may hold the copy.
  static constexpr int64_t kCopyBytes = int64_t{512} << 10;

  /// `outside`: what the copy holds where the input has nothing.
  PoolRows(const PoolGeometry& g, const View& view, const float* data, float outside, std::byte* scratch)
      : g_(g), stride_(view.stride), last_(data), outside_(outside), copy_(reinterpret_cast<float*>(scratch)) {
    for (int32_t d = 0; d < 4; d++) {
      if (view.stride[d] < 0) readsOn_ = false;
      if (readsOn_) last_ += (view.shape[d] - 1) * view.stride[d];
    }
  }

  /// Before the rows first … last-1 of a plane of results; `from`: the plane.
  void enter(const float* from, int64_t first, int64_t last) {
    plane_ = from, rowStep_ = stride_[2], columnStep_ = stride_[3], copied_ = false;
    if (g_.firstInside() == 0 && g_.endInside() == g_.outWidth) return;
    const int64_t top = first * g_.sh - g_.ph, bottom = (last - 1) * g_.sh - g_.ph + (g_.kh - 1) * g_.dh + 1;
    const int64_t begin = larger(top, 0), end = smaller(bottom, g_.height);
    if ((end - begin) * pitch_ * 4 > kCopyBytes) return;
    copied_ = true;
    for (int64_t h = begin; h < end; h++) copyRow(from + h * stride_[2], copy_ + (h - begin) * pitch_);
    plane_ = copy_ - begin * pitch_ + g_.pw, rowStep_ = pitch_, columnStep_ = 1;
  }

  int64_t columnStep() const { return columnStep_; }

  /// some(windows), or one(column) for windows that cannot be read by vectors.
  template <class Some, class One>
  CHAINRULE_INLINE void each(int64_t row, const Some& some, const One& one) const {
    const int64_t top = row * g_.sh - g_.ph, above = top < 0 ? (g_.dh - 1 - top) / g_.dh : 0, first = top + above * g_.dh;
    const int64_t below = first < g_.height ? (g_.height - first + g_.dh - 1) / g_.dh : 0;
    const int64_t rows = smaller(below, g_.kh - above);
    const int64_t span = (rows - 1) * g_.dh * rowStep_ + (reach_ - 1) * columnStep_;
    for (int64_t c = 0; c < g_.outWidth; c += kWidth) {
      if (c + kWidth > g_.outWidth && g_.outWidth >= kWidth) c = g_.outWidth - kWidth;  // overlaps the vector before
      const int64_t n = smaller(g_.outWidth - c, kWidth);
      const float* corner = plane_ + first * rowStep_ + (c * g_.sw - g_.pw) * columnStep_;
      const bool clipped = c < firstInside_ || c + n > endInside_;
      // Lanes without a window read on in the next rows, which must be there.
      if (rows > 0 && (copied_ || (!clipped && (n == kWidth || (readsOn_ && last_ - corner >= span))))) {
        some(PoolWindows{corner, g_.dh * rowStep_, g_.dw * columnStep_, g_.sw * columnStep_, first, rows, c, n, clipped});
      } else {
        for (int64_t k = c; k < c + n; k++) one(k);
      }
    }
  }

 private:
  void copyRow(const float* from, float* to) const {
    for (int64_t k = 0; k < g_.pw; k += kWidth) store(to + k, set1(outside_));
    for (int64_t k = g_.pw + g_.width; k < pitch_; k += kWidth) storePartial(to + k, set1(outside_), smaller(pitch_ - k, kWidth));
    to += g_.pw;
    if (stride_[3] == 1) {
      alongUnits(g_.width, [&](int64_t k, int64_t have) { put(to + k, get(from + k, have), have); });
    } else {
      for (int64_t k = 0; k < g_.width; k++) to[k] = from[k * stride_[3]];
    }
  }

  const PoolGeometry& g_;
  const int64_t* stride_;
  const float* last_;  ///< the tensor's last element in memory
  const float outside_;
  float* copy_;
  bool readsOn_ = true;  ///< no stride is negative
  const int64_t firstInside_ = g_.firstInside(), endInside_ = g_.endInside();
  const int64_t reach_ = (kWidth - 1) * g_.sw + (g_.kw - 1) * g_.dw + 1;  ///< columns that kWidth windows see
  /// Columns that all windows of a row see by vectors.
  const int64_t seen_ = larger(g_.outWidth - kWidth, 0) * g_.sw + reach_;
  const int64_t pitch_ = larger(seen_, g_.pw + g_.width);  ///< of the copy
  // What `enter` chose: the plane's column 0, and how it lies in memory.
  const float* plane_ = nullptr;
  int64_t rowStep_ = 0, columnStep_ = 0;
  bool copied_ = false;
};

/// Calls body(plane, first row, row behind the last) for the rows [begin, end) of all planes of results.
template <class Body>
void eachPlane(const PoolGeometry& g, int64_t begin, int64_t end, const Body& body) {
  while (begin < end) {
    const int64_t plane = begin / g.outHeight, first = begin % g.outHeight;
    const int64_t last = smaller(first + end - begin, g.outHeight);
    body(plane, first, last);
    begin += last - first;
  }
}

inline Status preparePool(Instruction& instruction) {
  instruction.plan = nullptr;
  instruction.sharedScratch = 0;
  return {};
}

/// `rows` of about `work` elements each, in blocks.
inline Status runPool(const Instruction& instruction, const Run& run, int64_t rows, int64_t work, ChunkFunction function) {
  if (rows == 0) return {};
  PoolJob job{&instruction, &run, work >= kPoolChunk ? 1 : kPoolChunk / (work > 0 ? work : 1)};
  parallel(run, (rows + job.rowsPerChunk - 1) / job.rowsPerChunk, function, &job);
  return {};
}

inline int64_t planeCount(const View& v) { return v.shape[0] * v.shape[1]; }

}  // namespace chainrule::CHAINRULE_ISA
