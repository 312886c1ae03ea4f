// The micro-kernels of gemm and convolution: a tile of C, rows × columns, held in registers over the whole of k.
// In: the left operand as numbers that are broadcast (packed, two strided forms, or gathered through offsets), the right
// operand as rows of vectors; out: a Tile. Written once; the accumulators are fully unrolled arrays that the compiler keeps
// in registers (read the assembly after every change: 12 accumulators, 2 right vectors and 1 broadcast are 15 of 16 with
// AVX2, 28 and 3 are 31 of 32 with AVX-512).
#pragma once
#include "blocks.h"

namespace chainrule::CHAINRULE_ISA {

/// What is added to a product and applied to it before it is stored, in this order. Steps count elements.
struct Finish {
  const float* alongN = nullptr;  ///< one value a column
  const float* alongM = nullptr;  ///< one value a row, alongMStep apart
  int64_t alongMStep = 0;
  const float* full = nullptr;  ///< one value an element; rows fullStep apart, columns 1 apart
  int64_t fullStep = 0;
  bool relu = false;
};

/// Where a micro-kernel's tile goes. `m`, `n` index the finish's operands.
struct Tile {
  float* c;
  int64_t step;          ///< between rows; columns are 1 apart
  int64_t columns;       ///< valid ones
  bool add;              ///< add to what is there (a K block that is not the first)
  const Finish* finish;  ///< nullptr before the last K block
  int64_t m, n;
};

// max() returns its second operand where either is NaN: relu(NaN) is NaN.
CHAINRULE_INLINE F reluOf(F x) { return max(zero(), x); }

/// A vector of C: `have` valid lanes at row i, column j of the tile.
CHAINRULE_INLINE F finishVector(F x, const Finish& f, int64_t m, int64_t n, int64_t have) {
  if (f.alongN) x = x + loadPartial(f.alongN + n, have);
  if (f.alongM) x = x + set1(f.alongM[m * f.alongMStep]);
  if (f.full) x = x + loadPartial(f.full + m * f.fullStep + n, have);
  return f.relu ? reluOf(x) : x;
}

/// The store of a tile with partial vectors; off the hot path, so one function for all shapes. `acc` is [rows][vectors][kWidth].
[[gnu::noinline]] inline void storeEdge(const float* acc, int rows, int vectors, const Tile& t) {
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors; j++) {
      const int64_t rest = t.columns - j * kWidth, have = rest < kWidth ? rest : kWidth;
      if (have <= 0) break;
      F x = load(acc + (i * vectors + j) * kWidth);
      float* c = t.c + i * t.step + j * kWidth;
      if (t.add) x = x + loadPartial(c, have);
      if (t.finish) x = finishVector(x, *t.finish, t.m + i, t.n + j * kWidth, have);
      storePartial(c, x, have);
    }
}

// Vectors in named members, by recursion: GCC keeps an array of accumulators in memory as soon as anything stands between
// it and full unrolling.
template <int V>
struct Vectors {
  F first;
  Vectors<V - 1> rest;
};
template <>
struct Vectors<0> {};
template <int R, int V>
struct Accumulators {
  Vectors<V> first;
  Accumulators<R - 1, V> rest;
};
template <int V>
struct Accumulators<0, V> {};

/// c += x·b, c kept in its register. Left to itself, GCC 12 also uses the forms of the instruction that overwrite x or b
/// and then moves and spills accumulators.
CHAINRULE_INLINE void fmaInto(F& c, F x, F b) {
#if defined(CHAINRULE_TWIN)
  c = fma(x, b, c);
#elif defined(__FMA__)
  asm("vfmadd231ps %2, %1, %0" : "+v"(c.v) : "v"(x.v), "v"(b.v));
#elif defined(__x86_64__) || defined(__i386__)
  c = fma(x, b, c);
  asm("" : "+x"(c.v));
#else
  c = fma(x, b, c);
#endif
}

/// f(vector, j) for each vector, f(vectors, i) for each row, f(vector, i, j) for all.
template <int j = 0, int V, class Fn>
CHAINRULE_INLINE void eachVector(Vectors<V>& v, Fn f) {
  if constexpr (V > 0) {
    f(v.first, j);
    eachVector<j + 1>(v.rest, f);
  }
}
template <int i = 0, int R, int V, class Fn>
CHAINRULE_INLINE void eachRow(Accumulators<R, V>& a, Fn f) {
  if constexpr (R > 0) {
    f(a.first, i);
    eachRow<i + 1>(a.rest, f);
  }
}
template <int R, int V, class Fn>
CHAINRULE_INLINE void each(Accumulators<R, V>& a, Fn f) {
  eachRow(
      a, [&](Vectors<V> & row, int i) __attribute__((always_inline)) {
        eachVector(
            row, [&](F & x, int j) __attribute__((always_inline)) { f(x, i, j); });
      });
}

template <int V>
CHAINRULE_INLINE void loadVectors(Vectors<V>& v, const float* p) {
  if constexpr (V > 0) {
    v.first = load(p);
    loadVectors(v.rest, p + kWidth);
  }
}
template <int V>
CHAINRULE_INLINE void fmaRow(Vectors<V>& c, F x, const Vectors<V>& b) {
  if constexpr (V > 0) {
    fmaInto(c.first, x, b.first);
    fmaRow(c.rest, x, b.rest);
  }
}
template <int u, int i, int R, int V, class Left>
CHAINRULE_INLINE void fmaRows(Accumulators<R, V>& c, Left& a, const Vectors<V>& b) {
  if constexpr (R > 0) {
    fmaRow(c.first, a.template at<i, u>(), b);
    fmaRows<u, i + 1>(c.rest, a, b);
  }
}

template <int R, int V>
CHAINRULE_INLINE void storeTile(Accumulators<R, V>& acc, const Tile& t) {
  if (t.columns < V * kWidth) {
    alignas(64) float edge[R * V * kWidth];
    each(
        acc, [&](F & x, int i, int j) __attribute__((always_inline)) { store(edge + (i * V + j) * kWidth, x); });
    return storeEdge(edge, R, V, t);
  }
  float* c = t.c;
  const int64_t step = t.step;
  if (t.add)
    each(
        acc, [&](F & x, int i, int j) __attribute__((always_inline)) { x = load(c + i * step + j * kWidth) + x; });
  if (const Finish* f = t.finish) {
    if (f->alongN) {
      const float* p = f->alongN + t.n;
      each(
          acc, [&](F & x, int, int j) __attribute__((always_inline)) { x = x + load(p + j * kWidth); });
    }
    if (f->alongM) {
      const float* p = f->alongM + t.m * f->alongMStep;
      each(
          acc, [&](F & x, int i, int) __attribute__((always_inline)) { x = x + set1(p[i * f->alongMStep]); });
    }
    if (f->full) {
      const float* p = f->full + t.m * f->fullStep + t.n;
      each(
          acc, [&](F & x, int i, int j) __attribute__((always_inline)) { x = x + load(p + i * f->fullStep + j * kWidth); });
    }
    if (f->relu)
      each(
          acc, [&](F & x, int, int) __attribute__((always_inline)) { x = reluOf(x); });
  }
  each(
      acc, [&](F & x, int i, int j) __attribute__((always_inline)) { store(c + i * step + j * kWidth, x); });
}

/// Makes a pointer opaque to the compiler, so that it keeps this one pointer in a register and addresses from it, where
/// it would otherwise keep one induction variable a row and spill them.
template <class T>
CHAINRULE_INLINE void pin(T& pointer) {
  asm("" : "+r"(pointer));
}

// The left operand: at<i, u>() is the number of row i at u steps of k from here. Steps are in bytes.

/// Panels of R numbers a step of k.
template <int R>
struct PackedLeft {
  static constexpr int kUnroll = 4;
  static constexpr int kRightStep = 0;  ///< of the right operand where it is fixed
  const float* p;
  PackedLeft(const void* left, int64_t) : p(static_cast<const float*>(left)) {}
  template <int i, int u>
  CHAINRULE_INLINE F at() const {
    return set1(p[u * R + i]);
  }
  CHAINRULE_INLINE void advance(int n) {
    p += n * R;
    pin(p);
  }
};

CHAINRULE_INLINE float numberAt(const char* p) { return *reinterpret_cast<const float*>(p); }

/// Rows `step` apart, k contiguous. Two pointers and the step reach six rows, and fourteen with its threefold and fivefold:
/// addresses have factors of 1, 2, 4 and 8.
template <int R>
struct RowsLeft {
  static constexpr int kUnroll = R > 6 ? 1 : 4;  // more, and GCC keeps sums of steps on the stack
  static constexpr int kRightStep = 0;
  static constexpr int kGroup = R > 6 ? 7 : 3;
  const char *p, *q;
  int64_t step, step3, step5;
  RowsLeft(const void* left, int64_t step)
      : p(static_cast<const char*>(left)), q(p + (R > kGroup ? kGroup * step * 4 : 0)), step(step * 4), step3(step * 12), step5(step * 20) {
    if (R > 6) pin(this->step3), pin(this->step5);
  }
  template <int i, int u>
  CHAINRULE_INLINE F at() const {
    const char* row = i < kGroup ? p : q;
    constexpr int j = i % kGroup;
    return set1(numberAt(row + (j == 3 || j == 6 ? j / 3 * step3 : j == 5 ? step5 : j * step) + u * 4));
  }
  CHAINRULE_INLINE void advance(int n) {
    p += n * 4, q += n * 4;
    pin(p), pin(q);
  }
};

/// Rows contiguous, k `step` apart.
template <int R>
struct ColumnsLeft {
  static constexpr int kUnroll = R > 6 ? 1 : 2;
  static constexpr int kRightStep = 0;
  const char* p;
  int64_t step;
  ColumnsLeft(const void* left, int64_t step) : p(static_cast<const char*>(left)), step(step * 4) {}
  template <int i, int u>
  CHAINRULE_INLINE F at() const {
    return set1(numberAt(p + u * step + i * 4));
  }
  CHAINRULE_INLINE void advance(int n) {
    p += n * step;
    pin(p);
  }
};

/// Each row anywhere; k through a table of offsets: what convolution needs (rows are pixels or weights, offsets the others).
struct Gather {
  const float* row[kGatherRows];
  const int32_t* offset;
};
template <int R>
struct Pointers {
  const float* first;
  Pointers<R - 1> rest;
};
template <>
struct Pointers<0> {};
template <int R>
CHAINRULE_INLINE void loadPointers(Pointers<R>& to, const float* const* from) {
  if constexpr (R > 0) {
    to.first = *from;
    loadPointers(to.rest, from + 1);
  }
}
template <int i, int R>
CHAINRULE_INLINE const float* pointerAt(const Pointers<R>& p) {
  if constexpr (i == 0)
    return p.first;
  else
    return pointerAt<i - 1>(p.rest);
}
/// One offset for each Run contiguous steps of k, which are a multiple of Run (a load a step less counts: the loop is bound by
/// the four instructions a cycle that the machine decodes).
template <int R, int Run>
struct GatherRuns {
  static constexpr int kUnroll = Run == 3 ? 3 : 4;
  static constexpr int kTail = Run;
  static constexpr int kRightStep = kTileColumns;
  Pointers<R> row;
  const int32_t* offset;
  int64_t now = 0;
  GatherRuns(const void* left, int64_t) {
    const Gather* g = static_cast<const Gather*>(left);
    loadPointers(row, g->row);
    offset = g->offset;
  }
  template <int i, int u>
  CHAINRULE_INLINE F at() {
    if constexpr (i == 0 && u % Run == 0) now = offset[u / Run];
    return set1(pointerAt<i>(row)[now + u % Run]);
  }
  CHAINRULE_INLINE void advance(int n) {
    offset += n / Run;
    pin(offset);
  }
};
template <int R>
using Gather1 = GatherRuns<R, 1>;
template <int R>
using Gather2 = GatherRuns<R, 2>;
template <int R>
using Gather3 = GatherRuns<R, 3>;
template <int R>
using Gather4 = GatherRuns<R, 4>;

/// k steps of C[R][V vectors] += left · right; right rows are `rightStep` apart.
using Micro = void (*)(int64_t k, const void* left, int64_t leftStep, const float* right, int64_t rightStep, const Tile& tile);

/// Unrolled steps u … U-1 of k.
template <int u, int U, int R, int V, class Left>
CHAINRULE_INLINE void steps(Accumulators<R, V>& acc, Left& a, const float*& right, int64_t rightStep) {
  if constexpr (u < U) {
    Vectors<V> b;
    loadVectors(b, right);
    right += Left::kRightStep ? Left::kRightStep : rightStep;
    if (!Left::kRightStep || u == U - 1) pin(right);
    fmaRows<u, 0>(acc, a, b);
    // Keeps the loads of one step out of the steps before: without it GCC 12 overlaps them until accumulators spill.
    asm volatile("" ::: "memory");
    steps<u + 1, U>(acc, a, right, rightStep);
  }
}

/// Steps of k that belong together where fewer than kUnroll are left.
template <class Left>
constexpr int tailOf() {
  if constexpr (requires { Left::kTail; })
    return Left::kTail;
  else
    return 1;
}

template <int R, int V, class Left>
[[gnu::noinline]] void micro(int64_t k, const void* left, int64_t leftStep, const float* right, int64_t rightStep, const Tile& tile) {
  Accumulators<R, V> acc;
  each(
      acc, [](F & x, int, int) __attribute__((always_inline)) { x = zero(); });
  for (int i = 0; i < R; i++) __builtin_prefetch(tile.c + i * tile.step, 1);
  Left a(left, leftStep);
  constexpr int U = Left::kUnroll;
  for (; k >= U; k -= U) {
    steps<0, U>(acc, a, right, rightStep);
    a.advance(U);
  }
  // What is left: for gathered operands whole runs.
  constexpr int T = tailOf<Left>();
  for (; k > 0; k -= T) {
    steps<0, T>(acc, a, right, rightStep);
    a.advance(T);
  }
  storeTile(acc, tile);
}

/// The kernels of one form of the left operand for 1 … R rows and V vectors.
template <template <int> class Left, int V, int R>
struct MicroRow {
  Micro rows[R];
  constexpr MicroRow() : rows{} { fill<R>(); }

 private:
  template <int r>
  constexpr void fill() {
    if constexpr (r > 0) {
      rows[r - 1] = micro<r, V, Left<r>>;
      fill<r - 1>();
    }
  }
};
template <template <int> class Left, int V, int R>
constexpr MicroRow<Left, V, R> microRow;

constexpr int vectorsOf(int v) { return v < kTileVectors ? v : kTileVectors; }

/// The kernel for `rows` (1 … R) and `columns` (1 … kTileColumns) of this form of the left operand.
template <template <int> class Left, int R = kTileRows>
inline Micro microFor(int64_t rows, int64_t columns) {
  static constexpr const Micro* table[] = {microRow<Left, vectorsOf(1), R>.rows, microRow<Left, vectorsOf(2), R>.rows,
                                           microRow<Left, vectorsOf(3), R>.rows, microRow<Left, vectorsOf(4), R>.rows};
  return table[(columns + kWidth - 1) / kWidth - 1][rows - 1];
}

/// The kernel that gathers runs of 1, 2, 3 or 4 steps, for 1 … kGatherRows rows.
inline Micro gatherFor(int64_t run, int64_t rows, int64_t columns) {
  return run == 4   ? microFor<Gather4, kGatherRows>(rows, columns)
         : run == 3 ? microFor<Gather3, kGatherRows>(rows, columns)
         : run == 2 ? microFor<Gather2, kGatherRows>(rows, columns)
                    : microFor<Gather1, kGatherRows>(rows, columns);
}

}  // namespace chainrule::CHAINRULE_ISA
