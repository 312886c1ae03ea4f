// The loops of the micro-program's operations: one row per operation below, everything else is generated from it.
// In: addresses of up to three operands (a vector or a single value each) and a length; out: the results.
#include "../simd/trigonometry.h"
#include "micro.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// --- the operations --------------------------------------------------------------------------------------------

template <class... S>
struct List;

template <class... S>
struct Light {
  using Signatures = List<S...>;
  static constexpr bool heavy = false;
};
/// Long enough that unrolling gains nothing.
template <class... S>
struct Heavy {
  using Signatures = List<S...>;
  static constexpr bool heavy = true;
};

CHAINRULE_INLINE I operator-(I a) { return set1(0) - a; }
CHAINRULE_INLINE I abs(I a) { return max(a, -a); }
CHAINRULE_INLINE F signOf(F a) { return select(isNaN(a) | eq(a, zero()), a, copySign(set1(1.0f), a)); }
CHAINRULE_INLINE I signOf(I a) { return asInt(lt(a, set1(0))) - asInt(lt(set1(0), a)); }
CHAINRULE_INLINE F reluOf(F a) { return max(zero(), a); }  // NaN stays: max returns its second operand then
CHAINRULE_INLINE I reluOf(I a) { return max(a, set1(0)); }
CHAINRULE_INLINE I maximum(I a, I b) { return max(a, b); }
CHAINRULE_INLINE I minimum(I a, I b) { return min(a, b); }
CHAINRULE_INLINE M notZero(F a) { return ne(a, zero()); }
CHAINRULE_INLINE M notZero(I a) { return ne(a, set1(0)); }
CHAINRULE_INLINE F toFloatOf(I a) { return toFloat(a); }
CHAINRULE_INLINE F toFloatOf(M a) { return keep(a, set1(1.0f)); }
CHAINRULE_INLINE I toIntOf(M a) { return asInt(a) & set1(1); }
CHAINRULE_INLINE I toIntOf(F a) {
  const I whole = select(ge(a, set1(2147483648.0f)), set1(INT32_MAX), toInt(a));
  return keep(eq(a, a), whole);
}

// x·Φ(x) and its derivative Φ(x) + x·φ(x), of the normal distribution.
CHAINRULE_INLINE F normalBelow(F a) { return fma(erf(a * set1(0.707106781f)), set1(0.5f), set1(0.5f)); }
CHAINRULE_INLINE F geluOf(F a) { return a * normalBelow(a); }
CHAINRULE_INLINE F geluSlopeOf(F a) { return fma(a * exp(a * a * set1(-0.5f)), set1(0.398942280f), normalBelow(a)); }

template <MapOp op>
struct Kernel;

// clang-format off
template <> struct Kernel<MapOp::neg> : Light<F(F), I(I)> { static auto run(auto a) { return -a; } };
template <> struct Kernel<MapOp::abs> : Light<F(F), I(I)> { static auto run(auto a) { return abs(a); } };
template <> struct Kernel<MapOp::sign> : Light<F(F), I(I)> { static auto run(auto a) { return signOf(a); } };
template <> struct Kernel<MapOp::floor> : Light<F(F)> { static F run(F a) { return floor(a); } };
template <> struct Kernel<MapOp::ceil> : Light<F(F)> { static F run(F a) { return ceil(a); } };
template <> struct Kernel<MapOp::round> : Light<F(F)> { static F run(F a) { return round(a); } };
template <> struct Kernel<MapOp::trunc> : Light<F(F)> { static F run(F a) { return trunc(a); } };
template <> struct Kernel<MapOp::sqrt> : Light<F(F)> { static F run(F a) { return sqrt(a); } };
template <> struct Kernel<MapOp::rsqrt> : Light<F(F)> { static F run(F a) { return rsqrt(a); } };
template <> struct Kernel<MapOp::reciprocal> : Light<F(F)> { static F run(F a) { return set1(1.0f) / a; } };
template <> struct Kernel<MapOp::exp> : Heavy<F(F)> { static F run(F a) { return exp(a); } };
template <> struct Kernel<MapOp::expm1> : Heavy<F(F)> { static F run(F a) { return expm1(a); } };
template <> struct Kernel<MapOp::log> : Heavy<F(F)> { static F run(F a) { return log(a); } };
template <> struct Kernel<MapOp::log1p> : Heavy<F(F)> { static F run(F a) { return log1p(a); } };
template <> struct Kernel<MapOp::sin> : Heavy<F(F)> { static F run(F a) { return sin(a); } };
template <> struct Kernel<MapOp::cos> : Heavy<F(F)> { static F run(F a) { return cos(a); } };
template <> struct Kernel<MapOp::tanh> : Heavy<F(F)> { static F run(F a) { return tanh(a); } };
template <> struct Kernel<MapOp::sigmoid> : Heavy<F(F)> { static F run(F a) { return sigmoid(a); } };
template <> struct Kernel<MapOp::erf> : Heavy<F(F)> { static F run(F a) { return erf(a); } };
template <> struct Kernel<MapOp::gelu> : Heavy<F(F)> { static F run(F a) { return geluOf(a); } };
template <> struct Kernel<MapOp::geluSlope> : Heavy<F(F)> { static F run(F a) { return geluSlopeOf(a); } };
template <> struct Kernel<MapOp::square> : Light<F(F), I(I)> { static auto run(auto a) { return a * a; } };
template <> struct Kernel<MapOp::relu> : Light<F(F), I(I)> { static auto run(auto a) { return reluOf(a); } };
template <> struct Kernel<MapOp::add> : Light<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return a + b; } };
template <> struct Kernel<MapOp::sub> : Light<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return a - b; } };
template <> struct Kernel<MapOp::mul> : Light<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return a * b; } };
template <> struct Kernel<MapOp::maximum> : Light<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return maximum(a, b); } };
template <> struct Kernel<MapOp::minimum> : Light<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return minimum(a, b); } };
template <> struct Kernel<MapOp::div> : Light<F(F, F)> { static F run(F a, F b) { return a / b; } };
template <> struct Kernel<MapOp::pow> : Heavy<F(F, F)> { static F run(F a, F b) { return pow(a, b); } };
template <> struct Kernel<MapOp::eq> : Light<M(F, F), M(I, I)> { static M run(auto a, auto b) { return eq(a, b); } };
template <> struct Kernel<MapOp::ne> : Light<M(F, F), M(I, I)> { static M run(auto a, auto b) { return ne(a, b); } };
template <> struct Kernel<MapOp::lt> : Light<M(F, F), M(I, I)> { static M run(auto a, auto b) { return lt(a, b); } };
template <> struct Kernel<MapOp::le> : Light<M(F, F), M(I, I)> { static M run(auto a, auto b) { return le(a, b); } };
template <> struct Kernel<MapOp::logicalAnd> : Light<M(M, M)> { static M run(M a, M b) { return a & b; } };
template <> struct Kernel<MapOp::logicalOr> : Light<M(M, M)> { static M run(M a, M b) { return a | b; } };
template <> struct Kernel<MapOp::logicalNot> : Light<M(M)> { static M run(M a) { return !a; } };
template <> struct Kernel<MapOp::where> : Light<F(M, F, F), I(M, I, I)> { static auto run(M m, auto a, auto b) { return select(m, a, b); } };
template <> struct Kernel<MapOp::toFloat32> : Light<F(I), F(M)> { static F run(auto a) { return toFloatOf(a); } };
template <> struct Kernel<MapOp::toInt32> : Light<I(F), I(M)> { static I run(auto a) { return toIntOf(a); } };
template <> struct Kernel<MapOp::toBool> : Light<M(F), M(I)> { static M run(auto a) { return notZero(a); } };
template <> struct Kernel<MapOp::fma> : Light<F(F, F, F)> { static F run(F a, F b, F c) { return fma(a, b, c); } };
template <> struct Kernel<MapOp::tan> : Heavy<F(F)> { static F run(F a) { return tan(a); } };
template <> struct Kernel<MapOp::asin> : Heavy<F(F)> { static F run(F a) { return asin(a); } };
template <> struct Kernel<MapOp::acos> : Heavy<F(F)> { static F run(F a) { return acos(a); } };
template <> struct Kernel<MapOp::atan> : Heavy<F(F)> { static F run(F a) { return atan(a); } };
template <> struct Kernel<MapOp::sinh> : Heavy<F(F)> { static F run(F a) { return sinh(a); } };
template <> struct Kernel<MapOp::cosh> : Heavy<F(F)> { static F run(F a) { return cosh(a); } };
template <> struct Kernel<MapOp::asinh> : Heavy<F(F)> { static F run(F a) { return asinh(a); } };
template <> struct Kernel<MapOp::acosh> : Heavy<F(F)> { static F run(F a) { return acosh(a); } };
template <> struct Kernel<MapOp::atanh> : Heavy<F(F)> { static F run(F a) { return atanh(a); } };
template <> struct Kernel<MapOp::atan2> : Heavy<F(F, F)> { static F run(F a, F b) { return atan2(a, b); } };
template <> struct Kernel<MapOp::hypot> : Heavy<F(F, F)> { static F run(F a, F b) { return hypot(a, b); } };
template <> struct Kernel<MapOp::fmod> : Heavy<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return fmod(a, b); } };
template <> struct Kernel<MapOp::remainder> : Heavy<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return remainder(a, b); } };
template <> struct Kernel<MapOp::floorDivide> : Heavy<F(F, F), I(I, I)> { static auto run(auto a, auto b) { return floorDivide(a, b); } };
// clang-format on

// --- the loops -------------------------------------------------------------------------------------------------

/// How a vector type lies in a tile.
template <class V>
struct Lane;
template <>
struct Lane<F> {
  using Element = float;
  static constexpr ValueType type = ValueType::f32;
  CHAINRULE_INLINE static F wrap(F a) { return a; }
  CHAINRULE_INLINE static F unwrap(F a) { return a; }
};
template <>
struct Lane<I> {
  using Element = int32_t;
  static constexpr ValueType type = ValueType::i32;
  CHAINRULE_INLINE static I wrap(I a) { return a; }
  CHAINRULE_INLINE static I unwrap(I a) { return a; }
};
template <>
struct Lane<M> {
  using Element = int32_t;
  static constexpr ValueType type = ValueType::mask;
  CHAINRULE_INLINE static M wrap(I a) { return asMask(a); }
  CHAINRULE_INLINE static I unwrap(M a) { return asInt(a); }
};

/// Hides where p comes from, so that every stream has a register of its own: stores with an index register would compete with
/// the loads for their ports.
template <class T>
CHAINRULE_INLINE void step(T*& p, int64_t n) {
  p += n;
  asm("" : "+r"(p));
}

template <class V, bool scalar>
struct Operand {
  const typename Lane<V>::Element* p;
  CHAINRULE_INLINE explicit Operand(const void* a) : p(static_cast<const typename Lane<V>::Element*>(a)) {}
  CHAINRULE_INLINE V at(int64_t i) const { return Lane<V>::wrap(load(p + i)); }
  CHAINRULE_INLINE V first(int64_t n) const { return Lane<V>::wrap(n >= kWidth ? load(p) : loadPartial(p, n)); }
  CHAINRULE_INLINE void next(int64_t n) { step(p, n); }
};
template <class V>
struct Operand<V, true> {
  V v;
  CHAINRULE_INLINE explicit Operand(const void* a) : v(Lane<V>::wrap(set1(*static_cast<const typename Lane<V>::Element*>(a)))) {}
  CHAINRULE_INLINE V at(int64_t) const { return v; }
  CHAINRULE_INLINE V first(int64_t) const { return v; }
  CHAINRULE_INLINE void next(int64_t) {}
};

template <bool past, class R>
CHAINRULE_INLINE void put(typename Lane<R>::Element* out, R r) {
  if constexpr (past) {
    stream(out, Lane<R>::unwrap(r));
  } else {
    store(out, Lane<R>::unwrap(r));
  }
}

template <class K, bool past, class R, class... O>
CHAINRULE_INLINE void sweep(void* result, int64_t n, O... o) {
  auto* out = static_cast<typename Lane<R>::Element*>(result);
  if constexpr (past) {
    // Up to the first whole vector.
    const int64_t ahead = static_cast<int64_t>((0 - reinterpret_cast<uintptr_t>(out) / 4) % kWidth), m = ahead < n ? ahead : n;
    if (m > 0) {
      storePartial(out, Lane<R>::unwrap(K::run(o.first(m)...)), m);
      step(out, m);
      (o.next(m), ...);
      n -= m;
    }
  }
  if constexpr (!K::heavy) {
    for (; n >= 4 * kWidth; n -= 4 * kWidth) {
      const R r0 = K::run(o.at(0)...), r1 = K::run(o.at(kWidth)...), r2 = K::run(o.at(2 * kWidth)...), r3 = K::run(o.at(3 * kWidth)...);
      put<past>(out, r0);
      put<past>(out + kWidth, r1);
      put<past>(out + 2 * kWidth, r2);
      put<past>(out + 3 * kWidth, r3);
      step(out, 4 * kWidth);
      (o.next(4 * kWidth), ...);
    }
  }
  for (; n > 0; n -= kWidth) {
    const R r = K::run(o.first(n)...);
    if (n >= kWidth) {
      store(out, Lane<R>::unwrap(r));
    } else {
      storePartial(out, Lane<R>::unwrap(r), n);
    }
    step(out, kWidth);
    (o.next(kWidth), ...);
  }
}

template <class K, bool past, int scalars, class R, class A>
void loop(const void* a, const void*, const void*, void* out, int64_t n) {
  sweep<K, past, R>(out, n, Operand<A, (scalars & 1) != 0>(a));
}
template <class K, bool past, int scalars, class R, class A, class B>
void loop(const void* a, const void* b, const void*, void* out, int64_t n) {
  sweep<K, past, R>(out, n, Operand<A, (scalars & 1) != 0>(a), Operand<B, (scalars & 2) != 0>(b));
}
template <class K, bool past, int scalars, class R, class A, class B, class C>
void loop(const void* a, const void* b, const void* c, void* out, int64_t n) {
  sweep<K, past, R>(out, n, Operand<A, (scalars & 1) != 0>(a), Operand<B, (scalars & 2) != 0>(b), Operand<C, (scalars & 4) != 0>(c));
}

/// Fills in the loops for scalars = 0 … 2^arity − 1. With all operands single there is one element: the plain loop does it.
template <class K, class R, class... A>
constexpr Signature describe(R (*)(A...)) {
  Signature s{{Lane<A>::type...}, Lane<R>::type, sizeof...(A), K::heavy, {}, {}};
  constexpr int all = (1 << sizeof...(A)) - 1;
  const auto fill = [&]<int scalars>(auto& self) {
    constexpr int effective = scalars == all ? 0 : scalars;
    s.loops[scalars] = loop<K, false, effective, R, A...>;
    if constexpr (!K::heavy) s.streamed[scalars] = loop<K, true, effective, R, A...>;
    if constexpr (scalars < all) self.template operator()<scalars + 1>(self);
  };
  fill.template operator()<0>(fill);
  return s;
}

struct Row {
  int count;
  Signature signatures[2];
};
template <class K, class... S>
constexpr Row row(List<S...>*) {
  return {sizeof...(S), {describe<K>(static_cast<S*>(nullptr))...}};
}

/// The rows of all operations below n; one without a Kernel does not compile here.
template <int n, int... op>
struct Rows : Rows<n - 1, n - 1, op...> {};
template <int... op>
struct Rows<0, op...> {
  static constexpr Row table[] = {
      row<Kernel<static_cast<MapOp>(op)>>(static_cast<typename Kernel<static_cast<MapOp>(op)>::Signatures*>(nullptr))...};
};

}  // namespace

const Signature* signatureOf(MapOp op, const ValueType* args) {
  const Row& row = Rows<kMapOpLimit>::table[static_cast<int>(op)];
  for (int i = 0; i < row.count; i++) {
    const Signature& s = row.signatures[i];
    bool same = true;
    for (int k = 0; k < s.arity; k++) same = same && s.args[k] == args[k];
    if (same) return &s;
  }
  return nullptr;
}

int arityOf(MapOp op) { return Rows<kMapOpLimit>::table[static_cast<int>(op)].signatures[0].arity; }

}  // namespace chainrule::CHAINRULE_ISA
