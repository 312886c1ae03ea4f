// peak(): what this machine's multiply-adds reach at this moment, for `chainrule doctor` to hold the kernels against. Runs on the pool, as kernels do.
#include <algorithm>
#include <chrono>

#include "environment.h"
#include "values.h"

namespace chainrule::addon {
namespace {

constexpr int64_t kRounds = 20000;  // tens of microseconds
constexpr int kChunksPerThread = 16;
constexpr double kSeconds = 0.03;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void chunk(void* peak, int64_t, std::byte*) { static_cast<const Peak*>(peak)->multiplyAdds(kRounds); }

}  // namespace

napi_value peak(napi_env env, napi_callback_info) {
  Environment* environment = environmentOf(env);
  if (!environment) return nullptr;
  Peak yardstick = peakOf(*environment->kernels);
  Pool& pool = Pool::instance();
  const int64_t chunks = int64_t{kChunksPerThread} * pool.threads();
  double best = 1e9;
  for (const double start = now(); now() - start < kSeconds;) {
    const double begin = now();
    if (!pool.tryRun(chunks, chunk, &yardstick, nullptr))
      for (int64_t i = 0; i < chunks; i++) chunk(&yardstick, i, nullptr);
    best = std::min(best, now() - begin);
  }
  return number(env, yardstick.flopsPerRound * kRounds * static_cast<double>(chunks) / best / 1e9);
}

}  // namespace chainrule::addon
