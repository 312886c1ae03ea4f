// Blocked algorithms on dense matrices of doubles, row by row in memory: products, triangular solutions, factorizations and decompositions. In:
// matrices that may be overwritten, with `step` numbers from row to row; out: factors. What they compute is what src/ops/arrays/matrix-loops.ts says in
// plain loops. Steps are best odd multiples of a cache line (denseStep), or columns would share few sets of the cache.
#pragma once
#include "../simd/doubles.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {

constexpr double kEpsilon = 0x1p-52;

inline double sizeOfNumber(double x) { return x < 0 ? -x : x; }
inline double root(double x) { return __builtin_sqrt(x); }

/// Numbers from row to row of a matrix of n columns.
constexpr int64_t denseStep(int64_t n) { return n <= 8 ? 8 : ((n + 7) / 8 | 1) * 8; }

/// Who computes: all threads of a run, in chunks that the shape alone decides, or (without a run) the caller, inside a chunk of his own.
struct Team {
  const Run* run;
  std::byte* scratch;  ///< of the caller's chunk, where there is no run
};

template <class F>
struct TeamJob {
  const F& f;
  int64_t n, block;
};

/// Calls f(first, count, scratch) for blocks of 0 … n-1. What f writes for one block no other one reads.
template <class F>
void forBlocks(const Team& team, int64_t n, int64_t block, const F& f) {
  if (n <= 0) return;
  if (!team.run) return f(int64_t{0}, n, team.scratch);
  const TeamJob<F> job{f, n, block};
  parallel(
      *team.run, (n + block - 1) / block,
      [](void* argument, int64_t chunk, std::byte* scratch) {
        const auto& j = *static_cast<const TeamJob<F>*>(argument);
        const int64_t first = chunk * j.block, left = j.n - first;
        j.f(first, left < j.block ? left : j.block, scratch);
      },
      const_cast<TeamJob<F>*>(&job));
}

/// A matrix by the steps of both indices; the transpose exchanges them.
struct Steps {
  const double* p;
  int64_t row, column;
  Steps from(int64_t i, int64_t j) const { return {p + i * row + j * column, row, column}; }
  double at(int64_t i, int64_t j) const { return p[i * row + j * column]; }
};

/// C += scale·A·B; C is m × n, B k × n.
void addProduct(double* c, int64_t cStep, double scale, Steps a, const double* b, int64_t bStep, int64_t m, int64_t n, int64_t k);

/// X with T·X = B in place of B (n × w), of a triangular T.
void solveLower(Steps t, bool unit, double* b, int64_t bStep, int64_t n, int64_t w);
void solveUpper(Steps t, bool unit, double* b, int64_t bStep, int64_t n, int64_t w);
/// As these, over the whole team.
void solveTriangle(const Team& team, Steps t, bool upper, bool unit, double* b, int64_t bStep, int64_t n, int64_t w);

/// U with A = Uᵀ·U in place of A, whose upper triangle is read; the lower one is left as anything. Returns the row where A is not positive definite,
/// or -1.
int64_t factorizeSymmetric(const Team& team, double* a, int64_t step, int64_t n);

/// LU with row exchanges of the first n columns of A (n × width), of which the further ones are exchanged and eliminated as well (what is left of L is
/// not exchanged). `pivots` and `scale` have room for n. `sign` is that of the exchanges. Returns the column where a pivot was lost to rounding
/// against its column, or -1.
int64_t factorizeGeneral(const Team& team, double* a, int64_t step, int64_t n, int64_t width, double* pivots, double* scale, double& sign);

/// Householder reflections I − τ·v·vᵀ, kReflectors in a block I − V·T·Vᵀ.
constexpr int64_t kReflectors = 32;

/// Room that reflectors of m numbers need: V and the T of one block.
constexpr int64_t reflectorRoom(int64_t m) { return m * kReflectors + 2 * kReflectors * kReflectors; }

/// One block of reflectors of m numbers: number j has its 1 at j, and zeros before.
struct Reflectors {
  int64_t m, count;
  double* v;  ///< m × kReflectors
  double* t;  ///< kReflectors × kReflectors, upper triangle
};
/// Fills the block, whose numbers below the ones are at `from`, and whose factors τ are given.
Reflectors gatherReflectors(Steps from, const double* tau, int64_t m, int64_t count, double* room);
/// C (m × n) becomes (I − V·T·Vᵀ)·C, or with Tᵀ.
void reflect(const Team& team, const Reflectors& r, bool transposed, double* c, int64_t cStep, int64_t n);

/// x (n numbers, `stride` apart) becomes β·e₁ under a reflection whose vector has its 1 at the first place, and the rest in place of x. Returns τ.
double makeReflection(double* x, int64_t stride, int64_t n);

/// A (m × n) becomes R above the reflections' vectors; Q is m × min(m, n). `tau` has room for min(m, n), `room` for reflectorRoom(m).
void factorizeOrthogonal(const Team& team, double* a, int64_t step, double* q, int64_t qStep, int64_t m, int64_t n, double* tau, double* room);

/// Doubles of room that `decomposeSymmetric` needs.
int64_t symmetricRoom(int64_t n);
/// The eigenvalues of A (n × n, both triangles), rising, and eigenvectors as rows of `vectors` (step as A's). A is overwritten. NaN where A has any.
void decomposeSymmetric(const Team& team, double* a, int64_t step, double* vectors, double* values, int64_t n, double* room);

/// Doubles of room that `decomposeSingular` needs.
int64_t singularRoom(int64_t m, int64_t n);
/// Aᵀ (n × m, n <= m) becomes Uᵀ; right vectors as rows of `v` (n × n, step denseStep(n)); values falling.
void decomposeSingular(const Team& team, double* at, int64_t step, double* v, double* values, int64_t m, int64_t n, double* room);

}  // namespace chainrule::CHAINRULE_ISA
