// What pooling over planes shares: the windows' geometry, and work in blocks of rows. In: x [N, C, H, W] (or gy) of any strides and the
// window's attributes, as docs/program-format.md.
#pragma once
#include "../simd/simd.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {

/// Elements of a chunk.
constexpr int64_t kPoolChunk = 8192;

struct PoolJob {
  const Instruction* instruction;
  const Run* run;
  int64_t rowsPerChunk;
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
    return end < outWidth ? end : outWidth;
  }
};

inline int64_t planeOffset(const View& v, const PoolGeometry& g, int64_t plane) {
  return plane / g.channels * v.stride[0] + plane % g.channels * v.stride[1];
}

/// kWidth elements, `step` apart.
CHAINRULE_INLINE F loadStep(const float* p, int64_t step) { return step == 1 ? load(p) : step == 2 ? loadEven(p) : loadStrided(p, step); }

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

inline int64_t planesOf(const View& v) { return v.shape[0] * v.shape[1]; }

}  // namespace chainrule::CHAINRULE_ISA
