// What the kinds of reduction do to vectors: monoids (sum, prod, max, min) and the search for an extreme's index. In: runs of
// values; out: one value, or one and its index, by a tree that depends only on the lengths of the runs.
#pragma once
#include "../simd/math.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {

template <class T>
struct Sum {
  using Element = T;
  static constexpr T identity = 0;
  CHAINRULE_INLINE static Vector<T> combine(Vector<T> a, Vector<T> b) { return a + b; }
};
template <class T>
struct Product {
  using Element = T;
  static constexpr T identity = 1;
  CHAINRULE_INLINE static Vector<T> combine(Vector<T> a, Vector<T> b) { return a * b; }
};
template <class T>
struct Maximum;
template <>
struct Maximum<float> {
  using Element = float;
  static constexpr float identity = -kInfinity;
  CHAINRULE_INLINE static F combine(F a, F b) { return maximum(a, b); }
};
template <>
struct Maximum<int32_t> {
  using Element = int32_t;
  static constexpr int32_t identity = INT32_MIN;
  CHAINRULE_INLINE static I combine(I a, I b) { return max(a, b); }
};
template <class T>
struct Minimum;
template <>
struct Minimum<float> {
  using Element = float;
  static constexpr float identity = kInfinity;
  CHAINRULE_INLINE static F combine(F a, F b) { return minimum(a, b); }
};
template <>
struct Minimum<int32_t> {
  using Element = int32_t;
  static constexpr int32_t identity = INT32_MAX;
  CHAINRULE_INLINE static I combine(I a, I b) { return min(a, b); }
};

template <class T>
CHAINRULE_INLINE T firstLane(Vector<T> v) {
  T lane[kWidth];
  store(lane, v);
  return lane[0];
}
template <class Kind, class T = typename Kind::Element>
CHAINRULE_INLINE T combineOne(T a, T b) {
  return firstLane<T>(Kind::combine(set1(a), set1(b)));
}
CHAINRULE_INLINE float lanesOf(Sum<float>, F v) { return reduceAdd(v); }
template <class Kind>
CHAINRULE_INLINE typename Kind::Element lanesOf(Kind, Vector<typename Kind::Element> v) {
  using T = typename Kind::Element;
  T lane[kWidth];
  store(lane, v);
  for (int half = kWidth / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) lane[i] = combineOne<Kind>(lane[i], lane[i + half]);
  }
  return lane[0];
}

/// A run of values to one.
template <class Kind>
typename Kind::Element reduceRun(const typename Kind::Element* p, int64_t n) {
  using V = Vector<typename Kind::Element>;
  V a = set1(Kind::identity), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    a = Kind::combine(a, load(p + i));
    b = Kind::combine(b, load(p + i + kWidth));
    c = Kind::combine(c, load(p + i + 2 * kWidth));
    d = Kind::combine(d, load(p + i + 3 * kWidth));
  }
  for (; i + kWidth <= n; i += kWidth) a = Kind::combine(a, load(p + i));
  if (i < n) b = Kind::combine(b, select(lt(lanes(), set1(static_cast<int32_t>(n - i))), loadPartial(p + i, n - i), set1(Kind::identity)));
  return lanesOf(Kind(), Kind::combine(Kind::combine(a, b), Kind::combine(c, d)));
}

/// Folds runs into one value. Partial results meet pairwise, as in a binary counter, so that the error grows with the logarithm.
template <class Kind>
struct Fold {
  using Element = typename Kind::Element;
  static constexpr bool hasIndex = false;
  Element stack[48];
  int64_t blocks;
  void reset() { blocks = 0; }
  void add(const Element* p, int64_t n, int64_t) { push(reduceRun<Kind>(p, n)); }
  void merge(Element value, int32_t) { push(value); }
  void push(Element value) {
    int level = 0;
    for (int64_t b = blocks++; (b & 1) != 0; b >>= 1) value = combineOne<Kind>(stack[level++], value);
    stack[level] = value;
  }
  Element value() const {
    if (blocks == 1) return stack[0];
    Element r = Kind::identity;
    bool any = false;
    int level = 0;
    for (int64_t b = blocks; b != 0; b >>= 1, level++) {
      if ((b & 1) == 0) continue;
      r = any ? combineOne<Kind>(stack[level], r) : stack[level];
      any = true;
    }
    return r;
  }
  int32_t index() const { return 0; }
};

/// The index of the first largest (smallest) value; NaN counts as the extreme.
template <class T, bool largest>
struct ArgFold {
  using Element = T;
  static constexpr bool hasIndex = true;
  T best;
  int32_t at;
  bool any;
  void reset() {
    any = false;
    best = 0;
    at = 0;
  }
  static bool isNumber(T v) { return v == v; }
  static bool beats(T v, T over) { return isNumber(over) && (largest ? !(v <= over) : !(v >= over)); }
  CHAINRULE_INLINE static M beatsVector(F v, F over) { return (largest ? !le(v, over) : !le(over, v)) & eq(over, over); }
  CHAINRULE_INLINE static M beatsVector(I v, I over) { return largest ? lt(over, v) : lt(v, over); }
  void merge(T value, int32_t index) {
    const bool same = any && value == best && index < at;
    if (!any || same || beats(value, best)) {
      best = value;
      at = index;
    }
    any = true;
  }
  void add(const T* p, int64_t n, int64_t index) {
    int64_t i = 0;
    if (n >= 2 * kWidth) {
      Vector<T> value = load(p);
      I where = lanes();
      for (i = kWidth; i + kWidth <= n; i += kWidth) {
        const Vector<T> v = load(p + i);
        const M better = beatsVector(v, value);
        value = select(better, v, value);
        where = select(better, lanes() + set1(static_cast<int32_t>(i)), where);
      }
      T lane[kWidth];
      int32_t place[kWidth];
      store(lane, value);
      store(place, where);
      // By rising index, so that among NaNs, which are never equal, the first stays.
      for (int k = 0; k < kWidth; k++) {
        int first = 0;
        for (int j = 1; j < kWidth; j++) first = place[j] < place[first] ? j : first;
        merge(lane[first], static_cast<int32_t>(index) + place[first]);
        place[first] = INT32_MAX;
      }
    }
    for (; i < n; i++) merge(p[i], static_cast<int32_t>(index + i));
  }
  T value() const { return best; }
  int32_t index() const { return at; }
};

/// The same for rows of values, element by element: rows add up in blocks, blocks meet pairwise. All arrays are `width` long.
template <class Kind>
struct RowFold {
  using T = typename Kind::Element;
  static constexpr int64_t kBlockRows = 64;
  T* sums;        ///< level l at sums + l·width; level 0 is the block in progress
  int64_t width;
  int64_t rows, blocks;

  static constexpr size_t bytes(int64_t width) { return sizeof(T) * 34 * static_cast<size_t>(width); }
  void reset(T* memory, int64_t w) {
    sums = memory;
    width = w;
    rows = blocks = 0;
  }
  /// Rows may be shorter than `width` only in the last call.
  void add(const T* p, int64_t n) {
    if (rows == 0 && n < width) copyRun<T>(sums, 1, &kIdentityValue, 0, width);
    if (rows == 0) {
      copyRun<T>(sums, 1, p, 1, n);
    } else {
      combineInto(sums, p, n);
    }
    if (++rows == kBlockRows) carry();
  }
  /// `count` rows, `stride` apart.
  void addRows(const T* p, int64_t stride, int64_t count) {
    while (count > 0) {
      if (rows == 0) {
        add(p, width);
        p += stride;
        count--;
        continue;
      }
      int64_t m = kBlockRows - rows;
      m = m < count ? m : count;
      int64_t r = 0;
      for (; r + 4 <= m; r += 4) combineFour(p + r * stride, stride);
      for (; r < m; r++) combineInto(sums, p + r * stride, width);
      p += m * stride;
      count -= m;
      rows += m;
      if (rows == kBlockRows) carry();
    }
  }
  /// The result, in the memory of level 0.
  T* finish() {
    T* r = nullptr;
    if (rows > 0) {
      r = sums;
    }
    int level = 1;
    for (int64_t b = blocks; b != 0; b >>= 1, level++) {
      if ((b & 1) == 0) continue;
      T* at = sums + level * width;
      if (r) combineInto(at, r, width);
      r = at;
    }
    if (!r) copyRun<T>(r = sums, 1, &kIdentityValue, 0, width);
    return r;
  }

 private:
  static constexpr T kIdentityValue = Kind::identity;
  static void combineInto(T* to, const T* from, int64_t n) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(to + i, Kind::combine(load(to + i), load(from + i)));
    if (i < n) storePartial(to + i, Kind::combine(loadPartial(to + i, n - i), loadPartial(from + i, n - i)), n - i);
  }
  CHAINRULE_INLINE void combineFour(const T* p, int64_t s) {
    int64_t i = 0;
    for (; i + kWidth <= width; i += kWidth) {
      const T* q = p + i;
      const Vector<T> r = Kind::combine(Kind::combine(load(q), load(q + s)), Kind::combine(load(q + 2 * s), load(q + 3 * s)));
      store(sums + i, Kind::combine(load(sums + i), r));
    }
    const int64_t left = width - i;
    if (left == 0) return;
    Vector<T> r = loadPartial(sums + i, left);
    for (int k = 0; k < 4; k++) r = Kind::combine(r, loadPartial(p + i + k * s, left));
    storePartial(sums + i, r, left);
  }
  void carry() {
    T* value = sums;
    int level = 1;
    for (int64_t b = blocks++; (b & 1) != 0; b >>= 1, level++) {
      T* at = sums + level * width;
      combineInto(at, value, width);
      value = at;
    }
    copyRun<T>(sums + level * width, 1, value, 1, width);
    rows = 0;
  }
};

}  // namespace chainrule::CHAINRULE_ISA
