// GFLOP/s of gemm and convolution by shape, with 1 and 2 threads, next to the machine's FMA peak in the same moment (the
// machine is shared). Arguments: a part of the names to run, rounds, most threads. Built like gemm_test.cc, with the instruction set's
// flags.
#include <algorithm>
#include <ctime>
#include <string>

#include "../kernels/gemm_micro.h"
#include "kernel_harness.h"

using namespace chainrule;
using namespace chainrule::CHAINRULE_ISA;

namespace {

/// With one thread the thread's own time, which other processes' turns do not count into; with two, the clock.
bool ownTime = false;
double now() {
  timespec t;
  clock_gettime(ownTime ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}
std::string only;
int rounds = 15, most = 2;

/// Multiply-adds of registers only.
void peakRound(int64_t rounds) {
  Accumulators<12, 1> acc;
  each(acc, [](F& x, int, int) { x = zero(); });
  F one = set1(1.0f), tiny = zero();
  for (int64_t i = 0; i < rounds; i++) {
    asm volatile("" ::: "memory");
    each(acc, [&](F& x, int, int) __attribute__((always_inline)) { fmaInto(x, one, tiny); });
  }
  volatile float sink = 0;
  each(acc, [&](F& x, int, int) { sink = sink + reduceAdd(x); });
}
double peakOf(int threads, Team& team) {
  const int64_t rounds = 12000;
  auto f = [](void*, int64_t, std::byte*) { peakRound(rounds); };
  double best = 1e9;
  for (int i = 0; i < 2; i++) {
    const double t = now();
    team.run(threads, f, nullptr);
    best = std::min(best, now() - t);
  }
  return double(rounds) * 12 * 2 * kWidth * threads / best / 1e9;
}

/// The same of the gemm's micro-kernel on data in L1: what is left when the core's other hyperthread is busy.
double kernelOf() {
  alignas(64) static float a[256 * 16], b[256 * kTileColumns], c[kTileRows * kTileColumns];
  const double t = now();
  for (int i = 0; i < 24; i++) {
    const Tile tile{c, kTileColumns, kTileColumns, false, nullptr, 0, 0};
    microFor<PackedLeft>(kTileRows, kTileColumns)(256, a, 0, b, kTileColumns, tile);
  }
  return 24.0 * 256 * 2 * kTileRows * kTileColumns / (now() - t) / 1e9;
}

void measure(const std::string& name, double flop, TestInstruction& t, std::vector<Floats>& mem,
             std::vector<std::unique_ptr<Team>>& teams) {
  if (!only.empty() && name.find(only) == std::string::npos) return;
  std::vector<void*> buffers;
  for (auto& f : mem) fillRandom(f, 3), buffers.push_back(f.data.get());
  std::printf("%-34s", name.c_str());
  for (int threads = 1; threads <= most; threads++) {
    Team& team = *teams[static_cast<size_t>(threads - 1)];
    ownTime = threads == 1;
    // Peak and work in turns of a millisecond; each turn gives a ratio, and the quiet turns count.
    std::vector<double> ratios, times, kernels;
    const int inner = static_cast<int>(std::max(1.0, 1e-3 * 80e9 * threads / flop));
    for (int round = 0; round < rounds * 4 && (round < 8 || flop * round < rounds * 8e9); round++) {
      const double peak = peakOf(threads, team), kernel = kernelOf(), a = now();
      for (int i = 0; i < inner; i++) t.run(buffers.data(), team);
      times.push_back((now() - a) / inner);
      kernels.push_back(flop / times.back() / 1e9 / threads / kernel);
      ratios.push_back(flop / times.back() / 1e9 / peak);
    }
    // Two threads are hardly ever both undisturbed: there the best time counts, against twice the best peak of one thread.
    static double bestPeak = 0;
    if (threads == 1)
      for (size_t i = 0; i < times.size(); i++) bestPeak = std::max(bestPeak, flop / times[i] / 1e9 / ratios[i]);
    else
      for (size_t i = 0; i < times.size(); i++) ratios[i] = flop / times[i] / 1e9 / bestPeak / 2;
    std::sort(times.begin(), times.end());
    std::sort(ratios.begin(), ratios.end());
    std::sort(kernels.begin(), kernels.end());
    std::printf(" | %d: %9.2f us %6.1f GF, of peak %5.1f%%, of kernel %5.1f%%", threads, times[0] * 1e6, flop / times[0] / 1e9,
                100 * ratios[threads == 1 ? ratios.size() * 9 / 10 : ratios.size() - 1], 100 * kernels[kernels.size() / 2]);
  }
  std::printf("\n");
  std::fflush(stdout);
}

/// forms: N row-major, T column-major.
void gemm(const std::string& name, int64_t m, int64_t k, int64_t n, const char* forms, int epilogue,
          std::vector<std::unique_ptr<Team>>& teams, int64_t batch = 1) {
  TestInstruction t;
  std::vector<Floats> mem;
  mem.emplace_back(m * k * batch), mem.emplace_back(k * n * batch), mem.emplace_back(m * n * batch), mem.emplace_back(n);
  auto v = [&](int32_t b, int64_t r, int64_t c, bool transposed) {
    return viewOf(b, 0, {batch, r, c}, {r * c, transposed ? 1 : c, transposed ? r : 1});
  };
  t.inputs = {v(0, m, k, forms[0] == 'T'), v(1, k, n, forms[1] == 'T')};
  t.outputs = {v(2, m, n, false)};
  t.attributes = {0, 0, 1, 0};
  if (epilogue) {
    t.inputs.push_back(viewOf(3, 0, {batch, m, n}, {0, 0, 1}));
    t.attributes = {0, 2, 1, int32_t(MapOp::add), 0, 1, 0, int32_t(MapOp::relu), 2, 0, 0, 3};
  }
  t.prepare(gemmFamily);
  measure(name + " " + forms + (epilogue ? "+" : "") + " " + std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n),
          2.0 * double(m * k * n * batch), t, mem, teams);
}

struct Conv {
  int64_t n, c, h, w, o, k, s, p;
};
void conv(const std::string& name, const Conv& c, std::vector<std::unique_ptr<Team>>& teams) {
  const int64_t ho = (c.h + 2 * c.p - c.k) / c.s + 1, wo = (c.w + 2 * c.p - c.k) / c.s + 1;
  const std::vector<int64_t> xs{c.n, c.c, c.h, c.w}, ws{c.o, c.c, c.k, c.k}, ys{c.n, c.o, ho, wo};
  auto volume = [](const std::vector<int64_t>& s) { return s[0] * s[1] * s[2] * s[3]; };
  auto view = [&](int32_t b, const std::vector<int64_t>& s) { return viewOf(b, 0, s, contiguous(s)); };
  const std::vector<int32_t> attributes{int32_t(c.s), int32_t(c.s), int32_t(c.p), int32_t(c.p), 1, 1, 1};
  const double flop = 2.0 * double(volume(ys) * c.c * c.k * c.k);
  for (int which = 0; which < 3; which++) {
    TestInstruction t;
    std::vector<Floats> mem;
    mem.emplace_back(volume(xs)), mem.emplace_back(volume(ws)), mem.emplace_back(volume(ys)), mem.emplace_back(c.o);
    t.attributes = attributes;
    if (which == 0) {
      t.inputs = {view(0, xs), view(1, ws), viewOf(3, 0, ys, {0, 1, 0, 0})}, t.outputs = {view(2, ys)};
      for (int32_t a : {0, 2, 1, int32_t(MapOp::add), 0, 1, 0, int32_t(MapOp::relu), 2, 0, 0, 3}) t.attributes.push_back(a);
    } else if (which == 1) {
      t.inputs = {view(2, ys), view(1, ws)}, t.outputs = {view(0, xs)};
      for (int32_t a : {0, 0, 1, 0}) t.attributes.push_back(a);
    } else {
      t.inputs = {view(0, xs), view(2, ys)}, t.outputs = {view(1, ws)};
    }
    t.prepare(which == 0 ? conv2dFamily : which == 1 ? conv2dInputGradFamily : conv2dWeightGradFamily);
    measure(name + (which == 0 ? " forward" : which == 1 ? " input-grad" : " weight-grad"), flop, t, mem, teams);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) only = argv[1];
  if (argc > 2) rounds = std::atoi(argv[2]);
  if (argc > 3) most = std::atoi(argv[3]);
  std::vector<std::unique_ptr<Team>> teams;
  teams.push_back(std::make_unique<Team>(1));
  if (most > 1) teams.push_back(std::make_unique<Team>(2));
  for (int64_t s : {64, 128, 256, 512, 1024, 2048})
    for (const char* f : {"NN", "NT", "TN", "TT"}) {
      if (s == 2048 && f != std::string("NN")) continue;
      gemm("square", s, s, s, f, 0, teams);
    }
  gemm("odd", 509, 509, 509, "NN", 0, teams);
  gemm("skinny", 64, 784, 256, "NN", 0, teams);
  gemm("skinny", 64, 784, 256, "NT", 0, teams);
  gemm("mlp forward", 128, 784, 512, "NT", 1, teams);
  gemm("mlp forward", 128, 512, 256, "NT", 1, teams);
  gemm("mlp forward", 128, 256, 10, "NT", 0, teams);
  gemm("mlp dX", 128, 512, 784, "NN", 0, teams);
  gemm("mlp dX", 128, 256, 512, "NN", 0, teams);
  gemm("mlp dX", 128, 10, 256, "NN", 0, teams);
  gemm("mlp dW", 512, 128, 784, "TN", 0, teams);
  gemm("mlp dW", 256, 128, 512, "TN", 0, teams);
  gemm("mlp dW", 10, 128, 256, "TN", 0, teams);
  gemm("cnn linear", 64, 9216, 128, "NT", 1, teams);
  gemm("cnn linear dX", 64, 128, 9216, "NN", 0, teams);
  gemm("cnn linear dW", 128, 64, 9216, "TN", 0, teams);
  gemm("tiny", 32, 4, 32, "NT", 1, teams);
  gemm("tiny", 32, 32, 32, "NT", 1, teams);
  gemm("tiny", 32, 32, 3, "NT", 1, teams);
  gemm("tiny", 32, 32, 32, "NN", 0, teams);
  gemm("tiny", 32, 3, 32, "NN", 0, teams);
  gemm("tiny", 32, 32, 32, "TN", 0, teams);
  gemm("tiny", 32, 32, 4, "TN", 0, teams);
  gemm("tiny", 3, 32, 32, "TN", 0, teams);
  gemm("lstm", 32, 256, 1024, "NT", 1, teams);
  gemm("lstm dX", 32, 1024, 256, "NN", 0, teams);
  gemm("lstm dW", 1024, 2048, 256, "TN", 0, teams);
  gemm("gpt", 768, 128, 384, "NT", 1, teams);
  gemm("gpt", 768, 512, 128, "NT", 1, teams);
  gemm("gpt dW", 512, 768, 128, "TN", 0, teams);
  gemm("gpt-m", 1024, 384, 1536, "NT", 1, teams);
  gemm("gpt-m dX", 1024, 1536, 384, "NN", 0, teams);
  gemm("gpt-m dW", 1536, 1024, 384, "TN", 0, teams);
  gemm("gpt attention 48", 64, 32, 64, "NT", 0, teams, 48);
  gemm("gpt attention 48", 64, 64, 32, "NN", 0, teams, 48);
  gemm("gpt-m attention 24", 256, 64, 256, "NT", 0, teams, 24);
  gemm("gpt-m attention 24", 256, 256, 64, "NN", 0, teams, 24);
  gemm("split", 32, 8192, 32, "TN", 0, teams);
  gemm("matvec", 1, 784, 512, "NT", 1, teams);
  gemm("matvec", 1, 784, 512, "NN", 1, teams);
  gemm("matvec", 1, 9216, 128, "NT", 1, teams);
  gemm("matvec", 1, 512, 256, "NT", 1, teams);
  gemm("matvec", 4, 784, 512, "NT", 1, teams);
  gemm("matvec", 1, 4096, 4096, "NT", 0, teams);

  conv("conv cnn1", {64, 1, 28, 28, 32, 3, 1, 0}, teams);
  conv("conv cnn2", {64, 32, 26, 26, 64, 3, 1, 0}, teams);
  conv("conv cnn1-b1", {1, 1, 28, 28, 32, 3, 1, 0}, teams);
  conv("conv cnn2-b1", {1, 32, 26, 26, 64, 3, 1, 0}, teams);
  conv("conv res16", {32, 16, 32, 32, 16, 3, 1, 1}, teams);
  conv("conv res32", {32, 32, 16, 16, 32, 3, 1, 1}, teams);
  conv("conv res64", {32, 64, 8, 8, 64, 3, 1, 1}, teams);
  conv("conv res16s2", {32, 16, 32, 32, 32, 3, 2, 1}, teams);
  conv("conv resnet18-1 stem", {1, 3, 224, 224, 64, 7, 2, 3}, teams);
  conv("conv resnet18-1 a", {1, 64, 56, 56, 64, 3, 1, 1}, teams);
  conv("conv resnet18-1 b", {1, 128, 28, 28, 128, 3, 1, 1}, teams);
  conv("conv resnet18-1 c", {1, 256, 14, 14, 256, 3, 1, 1}, teams);
  conv("conv resnet18-1 d", {1, 512, 7, 7, 512, 3, 1, 1}, teams);
  conv("conv 1x1", {8, 256, 14, 14, 128, 1, 1, 0}, teams);
}
