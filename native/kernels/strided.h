// Index spaces of strided views: collapsing dimensions, walking positions, and packing views into contiguous runs. Used by
// every family that takes views as they come (map, reduce, gather, softmax).
#pragma once
#include "families.h"

namespace chainrule::CHAINRULE_ISA {

/// A shape with the strides of `views` views over it, outermost dimension first. stride[view][dim], in elements.
struct Space {
  int32_t rank;
  int64_t shape[kMaxRank];
  int64_t count() const {
    int64_t n = 1;
    for (int32_t d = 0; d < rank; d++) n *= shape[d];
    return n;
  }
};
using Strides = int64_t[kMaxRank];

/// Takes dimension d out.
inline void dropDimension(Space& space, Strides* strides, int32_t views, int32_t d) {
  for (int32_t i = d; i + 1 < space.rank; i++) {
    space.shape[i] = space.shape[i + 1];
    for (int32_t v = 0; v < views; v++) strides[v][i] = strides[v][i + 1];
  }
  space.rank--;
}

inline void swapDimensions(Space& space, Strides* strides, int32_t views, int32_t a, int32_t b) {
  const int64_t n = space.shape[a];
  space.shape[a] = space.shape[b];
  space.shape[b] = n;
  for (int32_t v = 0; v < views; v++) {
    const int64_t s = strides[v][a];
    strides[v][a] = strides[v][b];
    strides[v][b] = s;
  }
}

inline int64_t magnitude(int64_t s) { return s < 0 ? -s : s; }

/// Drops dimensions of size 1 and merges neighbours that every view passes through as one. Dimensions from `from` on only.
inline void collapse(Space& space, Strides* strides, int32_t views, int32_t from = 0, int32_t to = kMaxRank) {
  for (int32_t d = from; d < space.rank && d < to;) {
    if (space.shape[d] != 1) {
      d++;
      continue;
    }
    dropDimension(space, strides, views, d);
    to--;
  }
  for (int32_t d = from; d + 1 < space.rank && d + 1 < to;) {
    bool merges = true;
    for (int32_t v = 0; v < views; v++) merges = merges && strides[v][d] == strides[v][d + 1] * space.shape[d + 1];
    if (!merges) {
      d++;
      continue;
    }
    space.shape[d + 1] *= space.shape[d];
    dropDimension(space, strides, views, d);
    to--;
  }
}

/// Sorts dimensions from..to-1 so that the strides fall: the first view that tells two dimensions apart decides.
inline void sortByStride(Space& space, Strides* strides, int32_t views, int32_t from, int32_t to) {
  for (int32_t i = from + 1; i < to; i++) {
    for (int32_t d = i; d > from; d--) {
      int order = 0;
      for (int32_t v = 0; v < views && order == 0; v++) {
        const int64_t outer = magnitude(strides[v][d - 1]), inner = magnitude(strides[v][d]);
        if (outer != 0 && inner != 0) order = outer < inner ? -1 : outer > inner ? 1 : 0;
      }
      if (order >= 0) break;
      swapDimensions(space, strides, views, d - 1, d);
    }
  }
}

/// True when the view passes through the dimensions from `from` on in steps of one fixed stride, which is then the innermost's.
inline bool isLinear(const Space& space, const int64_t* stride, int32_t from = 0) {
  for (int32_t d = from; d + 1 < space.rank; d++) {
    if (stride[d] != stride[d + 1] * space.shape[d + 1]) return false;
  }
  return true;
}

/// The offset of position `linear` (row-major over dimensions 0..rank-1).
inline int64_t offsetOf(const Space& space, const int64_t* stride, int32_t rank, int64_t linear) {
  int64_t offset = 0;
  for (int32_t d = rank - 1; d >= 0; d--) {
    offset += linear % space.shape[d] * stride[d];
    linear /= space.shape[d];
  }
  return offset;
}

/// Steps through the positions of the outer dimensions of a space, keeping each view's offset.
struct Odometer {
  int64_t index[kMaxRank];
  int32_t rank;
  void start(const Space& space, int32_t dimensions, int64_t linear) {
    rank = dimensions;
    for (int32_t d = rank - 1; d >= 0; d--) {
      index[d] = linear % space.shape[d];
      linear /= space.shape[d];
    }
  }
  /// Moves on by one; `offsets[v]` follow.
  void next(const Space& space, const Strides* strides, int32_t views, int64_t* offsets) {
    for (int32_t d = rank - 1; d >= 0; d--) {
      if (++index[d] < space.shape[d]) {
        for (int32_t v = 0; v < views; v++) offsets[v] += strides[v][d];
        return;
      }
      index[d] = 0;
      for (int32_t v = 0; v < views; v++) offsets[v] -= strides[v][d] * (space.shape[d] - 1);
    }
  }
};

/// Copies n elements (4 or 1 bytes each) between a run and a strided run.
template <class T>
inline void copyRun(T* to, int64_t toStride, const T* from, int64_t fromStride, int64_t n) {
  if (toStride == 1 && fromStride == 1) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
  } else if (toStride == 1 && fromStride == 0) {
    const T v = *from;
    for (int64_t i = 0; i < n; i++) to[i] = v;
  } else {
    for (int64_t i = 0; i < n; i++) to[i * toStride] = from[i * fromStride];
  }
}

/// Packs positions start … start+n-1 of the view into dst, or the other way round.
template <class T, bool unpack>
void packRange(const Space& space, const int64_t* stride, T* view, int64_t start, int64_t n, T* run) {
  const int32_t last = space.rank - 1;
  const int64_t inner = space.shape[last], s = stride[last];
  int64_t column = start % inner;
  Odometer odometer;
  odometer.start(space, last, start / inner);
  int64_t offset = offsetOf(space, stride, last, start / inner);
  for (;;) {
    const int64_t m = n < inner - column ? n : inner - column;
    T* at = view + offset + column * s;
    if (unpack) {
      copyRun<T>(at, s, run, 1, m);
    } else {
      copyRun<T>(run, 1, at, s, m);
    }
    run += m;
    n -= m;
    column = 0;
    if (n == 0) return;
    odometer.next(space, reinterpret_cast<const Strides*>(stride), 1, &offset);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
