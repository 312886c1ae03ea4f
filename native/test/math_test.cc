// simd/math.h against the C library in double precision: a dense sample of all floats, and every special pair of pow. Out: the largest
// error of each function in ulps, and a failure where it exceeds what the function's comment states.
#include "../simd/trigonometry.h"
#include "tensors.h"

using namespace chainrule;
namespace K = chainrule::CHAINRULE_ISA;

namespace {

/// |got − want| in units of the last place of the float nearest to want.
double ulps(float got, double want) {
  const auto nearest = static_cast<float>(want);
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : 1e9;
  if (std::isinf(nearest) || std::isinf(got)) return nearest == got ? 0 : 1e9;
  int exponent;
  std::frexp(want, &exponent);
  return std::fabs(got - want) / std::ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
}

using Vector1 = void (*)(const float*, float*);
template <K::F (*f)(K::F)>
void apply(const float* x, float* y) {
  K::store(y, f(K::load(x)));
}

void sample(const char* name, Vector1 f, double (*want)(double), double bound) {
  double worst = 0;
  float at = 0, x[K::kWidth], y[K::kWidth];
  int lane = 0;
  // A prime step visits all exponents and both signs.
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 2003) {
    x[lane++] = __builtin_bit_cast(float, static_cast<uint32_t>(bits));
    if (lane < K::kWidth) continue;
    lane = 0;
    f(x, y);
    for (int i = 0; i < K::kWidth; i++) {
      const double w = want(x[i]), e = ulps(y[i], w);
      if (e > worst) worst = e, at = x[i];
      CHECK(x[i] != 0 || w != 0 || std::signbit(w) == std::signbit(y[i]), "%s: the sign of zero", name);
    }
  }
  const float special[] = {0.0f,    -0.0f,         INFINITY,       -INFINITY,       NAN,         1.0f,      -1.0f,       1e-45f,
                           -1e-45f, 3.4028235e38f, -3.4028235e38f, 1.17549435e-38f, 88.72283f,   88.72284f, -103.97f,    -104.0f,
                           0.5f,    1e-20f,        1e5f,           -7e4f,           3.14159274f, 1e22f,     -1.0000001f, -0.99999994f};
  for (float s : special) {
    for (float& v : x) v = s;
    f(x, y);
    const double w = want(s), e = ulps(y[0], w);
    if (e > worst) worst = e, at = s;
    CHECK(w != 0 || y[0] != 0 || std::signbit(w) == std::signbit(y[0]), "%s(%g): the sign of zero", name, s);
  }
  std::printf("  %-8s %.3f ulp at %.9g\n", name, worst, at);
  CHECK(worst <= bound, "%s: %.3f ulp at %.9g, stated are %.1f", name, worst, at, bound);
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double rsqrt(double x) { return 1 / std::sqrt(x); }
/// musl's own looks at the exponent alone and makes a number of most x below -2.
double realAcosh(double x) { return x < 1 ? NAN : std::acosh(x); }

void powers() {
  const float special[] = {0.0f,  -0.0f,    1.0f,       -1.0f,       2.0f,        -2.0f,      0.5f,  -0.5f,  3.0f,
                           -3.0f, INFINITY, -INFINITY,  NAN,         1e-40f,      -1e-40f,    1e30f, -1e30f, 2.5f,
                           -2.5f, 1e10f,    8388609.0f, 16777216.0f, 0.99999994f, 1.0000001f, 1e-30f};
  float x[K::kWidth], y[K::kWidth], r[K::kWidth];
  for (float a : special) {
    for (float b : special) {
      for (float& v : x) v = a;
      for (float& v : y) v = b;
      K::store(r, K::pow(K::load(x), K::load(y)));
      const double want = std::pow(static_cast<double>(a), static_cast<double>(b));
      CHECK(ulps(r[0], want) <= 0.6, "pow(%g, %g) = %g, not %g", a, b, r[0], want);
      CHECK(std::isnan(want) || std::signbit(want) == std::signbit(r[0]), "pow(%g, %g): the sign", a, b);
    }
  }
  double worst = 0;
  for (int k = 0; k < 400000; k++) {
    for (int i = 0; i < K::kWidth; i++) {
      x[i] = std::exp(uniform(-1, 1) * (k % 2 ? 85 : 1));
      y[i] = uniform(-1, 1) * (k % 4 < 2 ? 50 : 2);
    }
    K::store(r, K::pow(K::load(x), K::load(y)));
    for (int i = 0; i < K::kWidth; i++)
      worst = std::fmax(worst, ulps(r[i], std::pow(static_cast<double>(x[i]), static_cast<double>(y[i]))));
  }
  std::printf("  %-8s %.3f ulp\n", "pow", worst);
  CHECK(worst <= 0.6, "pow: %.3f ulp", worst);
}

void angles() {
  const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 3e38f, -3e38f, 0.5f, 1e-20f};
  float y[K::kWidth], x[K::kWidth], r[K::kWidth];
  double worst = 0;
  const auto compare = [&] {
    K::store(r, K::atan2(K::load(y), K::load(x)));
    for (int i = 0; i < K::kWidth; i++) {
      const double want = std::atan2(static_cast<double>(y[i]), static_cast<double>(x[i]));
      worst = std::fmax(worst, ulps(r[i], want));
      CHECK(std::isnan(want) || std::signbit(want) == std::signbit(r[i]), "atan2(%g, %g): the sign", y[i], x[i]);
    }
  };
  for (float a : special) {
    for (float b : special) {
      for (float& v : y) v = a;
      for (float& v : x) v = b;
      compare();
    }
  }
  for (int k = 0; k < 400000; k++) {
    for (int i = 0; i < K::kWidth; i++) y[i] = uniform(-1, 1) * (k % 3 ? 1 : 1e-3f), x[i] = uniform(-1, 1);
    compare();
  }
  std::printf("  %-8s %.3f ulp\n", "atan2", worst);
  CHECK(worst <= 3.0, "atan2: %.3f ulp", worst);
}

void lengths() {
  const float special[] = {0.0f,   -0.0f,  1.0f,   -3.0f,    INFINITY, -INFINITY, NAN,    1e-45f,
                           3e-40f, 4e-30f, 1e-19f, 0x1p-63f, 0x1p63f,  3e20f,     -4e20f, 3.4e38f};
  float y[K::kWidth], x[K::kWidth], r[K::kWidth];
  double worst = 0;
  const auto compare = [&] {
    K::store(r, K::hypot(K::load(y), K::load(x)));
    for (int i = 0; i < K::kWidth; i++)
      worst = std::fmax(worst, ulps(r[i], std::hypot(static_cast<double>(y[i]), static_cast<double>(x[i]))));
  };
  for (float a : special) {
    for (float b : special) {
      for (float& v : y) v = a;
      for (float& v : x) v = b;
      compare();
    }
  }
  for (int k = 0; k < 400000; k++) {
    const float size = std::ldexp(1.0f, k % 250 - 124);
    for (int i = 0; i < K::kWidth; i++) y[i] = uniform(-1, 1) * size, x[i] = uniform(-1, 1) * size;
    compare();
  }
  std::printf("  %-8s %.3f ulp\n", "hypot", worst);
  CHECK(worst <= 1.5, "hypot: %.3f ulp", worst);
}

/// Exact: fmod against C's, remainder and floorDivide against their definitions.
void remainders() {
  const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, 3.0f, -3.0f, INFINITY, -INFINITY, NAN, 1e-40f, 1e30f, -1e30f, 0.1f, 0.3f, 16777216.0f};
  float a[K::kWidth], b[K::kWidth], r[K::kWidth], m[K::kWidth], q[K::kWidth];
  const auto compare = [&] {
    K::store(r, K::fmod(K::load(a), K::load(b)));
    K::store(m, K::remainder(K::load(a), K::load(b)));
    K::store(q, K::floorDivide(K::load(a), K::load(b)));
    for (int i = 0; i < K::kWidth; i++) {
      const float want = std::fmod(a[i], b[i]);
      CHECK(std::isnan(want) ? std::isnan(r[i]) : want == r[i] && std::signbit(want) == std::signbit(r[i]), "fmod(%g, %g) = %g, not %g",
            a[i], b[i], r[i], want);
      const float shifted = want != 0 && (want < 0) != (b[i] < 0) ? want + b[i] : want;
      CHECK(std::isnan(shifted) ? std::isnan(m[i]) : shifted == m[i], "remainder(%g, %g) = %g, not %g", a[i], b[i], m[i], shifted);
      const double whole = std::floor(static_cast<double>(a[i]) / static_cast<double>(b[i]));
      if (std::fabs(whole) < 1e6)
        CHECK(q[i] == whole || std::fabs(q[i] - whole) <= 1, "floorDivide(%g, %g) = %g, not %g", a[i], b[i], q[i], whole);
    }
  };
  for (float x : special) {
    for (float y : special) {
      for (float& v : a) v = x;
      for (float& v : b) v = y;
      compare();
    }
  }
  for (int k = 0; k < 400000; k++) {
    for (int i = 0; i < K::kWidth; i++) {
      b[i] = std::exp(uniform(-1, 1) * 20) * (k % 2 ? 1.0f : -1.0f);
      a[i] = k % 3 ? uniform(-1, 1) * std::exp(uniform(-1, 1) * 40) : std::round(uniform(-1, 1) * 1e4f) * b[i];
    }
    compare();
  }
}

}  // namespace

int main() {
  std::printf("%s\n", K::kIsaName);
  sample("exp", apply<K::exp>, std::exp, 1.0);
  sample("expm1", apply<K::expm1>, std::expm1, 1.5);
  sample("log", apply<K::log>, std::log, 0.8);
  sample("log1p", apply<K::log1p>, std::log1p, 1.4);
  sample("tanh", apply<K::tanh>, std::tanh, 1.4);
  sample("sigmoid", apply<K::sigmoid>, sigmoid, 2.3);
  sample("erf", apply<K::erf>, std::erf, 1.1);
  sample("rsqrt", apply<K::rsqrt>, rsqrt, 1.5);
  sample("sin", apply<K::sin>, std::sin, 1.5);
  sample("cos", apply<K::cos>, std::cos, 1.5);
  sample("tan", apply<K::tan>, std::tan, 3.5);
  sample("asin", apply<K::asin>, std::asin, 2.5);
  sample("acos", apply<K::acos>, std::acos, 1.5);
  sample("atan", apply<K::atan>, std::atan, 2.5);
  sample("sinh", apply<K::sinh>, std::sinh, 2.5);
  sample("cosh", apply<K::cosh>, std::cosh, 2.5);
  sample("asinh", apply<K::asinh>, std::asinh, 2.0);
  sample("acosh", apply<K::acosh>, realAcosh, 2.5);
  sample("atanh", apply<K::atanh>, std::atanh, 2.5);
  angles();
  lengths();
  remainders();
  powers();
  if (gFailures) std::printf("%d failures\n", gFailures);
  return gFailures != 0;
}
