// conv2d, its input gradient and its weight gradient against double-precision loops: stride, padding, dilation, groups, views,
// epilogues; guard zones; bits equal with 1, 2 and 7 threads. Built like gemm_test.cc.
#include "kernel_harness.h"

using namespace chainrule;
using namespace chainrule::CHAINRULE_ISA;

namespace {

int failures = 0, cases = 0;

struct Case {
  int64_t n, c, h, w, o, kh, kw, sh = 1, sw = 1, ph = 0, pw = 0, dh = 1, dw = 1, groups = 1;
  int form = 0;      ///< 0 contiguous, 1 NHWC memory, 2 gaps between all, 3 channels reversed (inputs only)
  int epilogue = 0;  ///< 0 plain, 1 bias and ReLU, 2 full addend, 3 two outputs, 4 mask only
};

using Shape = std::vector<int64_t>;

struct Tensor {
  View view;
  Floats memory;
  float& at(int64_t a, int64_t b, int64_t c, int64_t d) {
    return memory
        .data[static_cast<size_t>(view.offset + a * view.stride[0] + b * view.stride[1] + c * view.stride[2] + d * view.stride[3])];
  }
};

Tensor make(const Shape& s, int form, int32_t buffer, bool output) {
  Shape st = contiguous(s);
  int64_t offset = 3, size = s[0] * s[1] * s[2] * s[3];
  if (form == 1) st = {s[1] * s[2] * s[3], 1, s[3] * s[1], s[1]};
  if (form == 2) st = {s[1] * (s[2] * (s[3] * 2 + 1) + 2) + 1, s[2] * (s[3] * 2 + 1) + 2, s[3] * 2 + 1, 2}, size = s[0] * st[0];
  if (form == 3 && !output) offset += st[1] * (s[1] - 1), st[1] = -st[1];
  Tensor t{viewOf(buffer, offset, s, st), Floats(size + 3 + (output ? 16 : 0))};
  fillRandom(t.memory, static_cast<uint32_t>(buffer + 11));
  return t;
}

void fail(const Case& c, const char* what, double got, double want) {
  if (++failures < 20)
    std::printf("%s: n %ld c %ld %ldx%ld o %ld k %ldx%ld s %ld,%ld p %ld,%ld d %ld,%ld g %ld form %d epilogue %d: %g instead of %g\n", what,
                long(c.n), long(c.c), long(c.h), long(c.w), long(c.o), long(c.kh), long(c.kw), long(c.sh), long(c.sw), long(c.ph),
                long(c.pw), long(c.dh), long(c.dw), long(c.groups), c.form, c.epilogue, got, want);
}

void check(const Case& c, std::vector<std::unique_ptr<Team>>& teams) {
  const int64_t ho = (c.h + 2 * c.ph - c.dh * (c.kh - 1) - 1) / c.sh + 1, wo = (c.w + 2 * c.pw - c.dw * (c.kw - 1) - 1) / c.sw + 1;
  if (c.h + 2 * c.ph < c.dh * (c.kh - 1) + 1 || c.w + 2 * c.pw < c.dw * (c.kw - 1) + 1) return;
  const int64_t cg = c.c / c.groups, og = c.o / c.groups;
  const Shape xs{c.n, c.c, c.h, c.w}, ws{c.o, cg, c.kh, c.kw}, ys{c.n, c.o, ho, wo};
  for (int which = 0; which < 3; which++) {
    cases++;
    // x, w, y by number; the output is the one that is computed.
    const int out = which == 0 ? 2 : which == 1 ? 0 : 1;
    std::vector<Tensor> t;
    t.push_back(make(xs, c.form, 0, out == 0));
    t.push_back(make(ws, c.form, 1, out == 1));
    t.push_back(make(ys, c.form, 2, out == 2));
    Tensor& to = t[static_cast<size_t>(out)];
    const Shape os = out == 0 ? xs : out == 1 ? ws : ys;
    TestInstruction i;
    i.attributes = {int32_t(c.sh), int32_t(c.sw), int32_t(c.ph), int32_t(c.pw), int32_t(c.dh), int32_t(c.dw), int32_t(c.groups)};
    i.inputs = {t[which == 1 ? 2 : 0].view, t[which == 2 ? 2 : 1].view};
    i.outputs = {to.view};
    const int epilogue = which == 2 ? 0 : c.epilogue;
    const int32_t opAdd = int32_t(MapOp::add), opRelu = int32_t(MapOp::relu), opLt = int32_t(MapOp::lt);
    Tensor bias = make({1, os[1], 1, 1}, 0, 3, false), full = make(os, c.form, 4, false), second = make(os, c.form, 5, true);
    View biasView = viewOf(3, bias.view.offset, os, {0, 1, 0, 0});
    std::vector<int32_t> e{0, 0, 1, 0};
    if (epilogue == 1) i.inputs.push_back(biasView), e = {0, 2, 1, opAdd, 0, 1, 0, opRelu, 2, 0, 0, 3};
    if (epilogue == 2) i.inputs.push_back(full.view), e = {0, 1, 1, opAdd, 0, 1, 0, 2};
    if (epilogue == 3) i.inputs.push_back(biasView), i.outputs.push_back(second.view), e = {0, 2, 2, opAdd, 0, 1, 0, opRelu, 2, 0, 0, 0, 3};
    if (epilogue == 4) i.inputs.push_back(full.view), i.outputs[0].dtype = DType::boolean, e = {0, 1, 1, opLt, 0, 1, 0, 2};
    if (which != 2) i.attributes.insert(i.attributes.end(), e.begin(), e.end());
    i.prepare(which == 0 ? conv2dFamily : which == 1 ? conv2dInputGradFamily : conv2dWeightGradFamily);
    void* buffers[] = {t[0].memory.data.get(), t[1].memory.data.get(), t[2].memory.data.get(),
                       bias.memory.data.get(), full.memory.data.get(), second.memory.data.get()};
    std::vector<float> first;
    for (auto& team : teams) {
      for (Tensor* o : {&to, &second})
        for (int64_t k = 0; k < o->memory.size; k++) o->memory.data[static_cast<size_t>(k)] = -12345.5f;
      std::memset(i.shared, 0xff, i.instruction.sharedScratch);
      i.run(buffers, *team);
      std::vector<float> now(to.memory.data.get(), to.memory.data.get() + to.memory.size);
      now.insert(now.end(), second.memory.data.get(), second.memory.data.get() + second.memory.size);
      if (first.empty()) first = now;
      if (std::memcmp(first.data(), now.data(), now.size() * 4) != 0) fail(c, "threads differ", which, 0);
    }
    // The sums, by scattering every product to where it belongs.
    std::vector<double> sum(static_cast<size_t>(os[0] * os[1] * os[2] * os[3])), size(sum.size());
    auto index = [&](int64_t a, int64_t b, int64_t y, int64_t x) { return static_cast<size_t>(((a * os[1] + b) * os[2] + y) * os[3] + x); };
    for (int64_t n = 0; n < c.n; n++)
      for (int64_t o = 0; o < c.o; o++)
        for (int64_t y = 0; y < ho; y++)
          for (int64_t x = 0; x < wo; x++)
            for (int64_t k = 0; k < cg; k++)
              for (int64_t u = 0; u < c.kh; u++)
                for (int64_t v = 0; v < c.kw; v++) {
                  const int64_t iy = y * c.sh - c.ph + u * c.dh, ix = x * c.sw - c.pw + v * c.dw, ic = o / og * cg + k;
                  if (iy < 0 || iy >= c.h || ix < 0 || ix >= c.w) continue;
                  const double a = which == 0   ? double(t[0].at(n, ic, iy, ix)) * double(t[1].at(o, k, u, v))
                                   : which == 1 ? double(t[2].at(n, o, y, x)) * double(t[1].at(o, k, u, v))
                                                : double(t[0].at(n, ic, iy, ix)) * double(t[2].at(n, o, y, x));
                  const size_t at = which == 0 ? index(n, o, y, x) : which == 1 ? index(n, ic, iy, ix) : index(o, k, u, v);
                  sum[at] += a, size[at] += std::fabs(a);
                }
    for (int64_t a = 0; a < os[0]; a++)
      for (int64_t b = 0; b < os[1]; b++)
        for (int64_t y = 0; y < os[2]; y++)
          for (int64_t x = 0; x < os[3]; x++) {
            const double s = sum[index(a, b, y, x)], close = size[index(a, b, y, x)] * 3e-6 + 3e-6;
            const double biased = s + double(bias.at(0, b, 0, 0)), added = s + double(full.at(a, b, y, x));
            if (epilogue == 4) {
              const int got = reinterpret_cast<uint8_t*>(to.memory.data.get())[&to.at(a, b, y, x) - to.memory.data.get()];
              if (std::fabs(s - double(full.at(a, b, y, x))) > close && got != (s < double(full.at(a, b, y, x)))) fail(c, "mask", got, 0);
              continue;
            }
            const double want = epilogue == 1 ? std::max(0.0, biased) : epilogue == 2 ? added : s;
            const double got = double(to.at(a, b, y, x));
            if (!(std::fabs(got - want) <= close)) fail(c, which == 0 ? "forward" : which == 1 ? "input grad" : "weight grad", got, want);
            to.at(a, b, y, x) = -12345.5f;
            if (epilogue == 3) {
              const double other = double(second.at(a, b, y, x));
              if (!(std::fabs(other - std::max(0.0, biased)) <= close)) fail(c, "second", other, std::max(0.0, biased));
              second.at(a, b, y, x) = -12345.5f;
            }
          }
    if (epilogue == 4) continue;
    for (Tensor* o : {&to, &second})
      for (int64_t k = 0; k < o->memory.size; k++)
        if (o->memory.data[static_cast<size_t>(k)] != -12345.5f) {
          fail(c, "guard", double(k), 0);
          break;
        }
  }
}

}  // namespace

int main() {
  std::vector<std::unique_ptr<Team>> teams;
  for (int n : {1, 2, 7}) {
    teams.push_back(std::make_unique<Team>(n));
    teams.back()->poison = true;
  }
  const Case fixed[] = {
      {2, 1, 28, 28, 32, 3, 3},
      {1, 32, 26, 26, 64, 3, 3},
      {3, 16, 32, 32, 16, 3, 3, 1, 1, 1, 1},
      {2, 64, 8, 8, 64, 3, 3, 1, 1, 1, 1},
      {2, 16, 32, 32, 32, 3, 3, 2, 2, 1, 1},
      {2, 16, 16, 16, 32, 1, 1, 2, 2},
      {1, 3, 40, 40, 24, 7, 7, 2, 2, 3, 3},
      {2, 40, 7, 7, 130, 3, 3, 1, 1, 1, 1},
      {1, 260, 5, 5, 33, 3, 3, 1, 1, 1, 1},
      {20, 8, 6, 6, 10, 3, 3},
      {1, 1, 1, 1, 1, 1, 1},
      {1, 2, 3, 900, 3, 3, 3, 1, 1, 1, 1},
      {1, 1, 2, 20000, 2, 2, 3, 1, 1, 0, 1},
      {1, 4, 9, 9, 4, 3, 3, 3, 3, 0, 0},
      {1, 4, 10, 11, 4, 2, 2, 3, 4, 0, 1},
      {0, 4, 9, 9, 4, 3, 3},
      {1, 4, 9, 9, 4, 1, 1, 1, 1, 3, 3},
      {1, 200, 1, 4000, 5, 1, 5, 1, 1, 0, 2},
      {1, 30, 20, 60, 300, 3, 3, 1, 1, 1, 1},
      // Winograd's: odd channels, tiles that hang over, images of several chunks, other paddings, transformed weights that are not local
      {2, 17, 15, 18, 9, 3, 3, 1, 1, 1, 1},
      {5, 24, 13, 9, 20, 3, 3, 1, 1, 0, 2},
      {1, 9, 31, 70, 40, 3, 3, 1, 1, 2, 0},
      {4, 150, 9, 12, 140, 3, 3, 1, 1, 1, 1},
      {1, 330, 16, 16, 72, 3, 3, 1, 1, 1, 0},
      {1, 8, 6, 600, 8, 3, 3, 1, 1, 1, 1},
  };
  int turn = 0;
  for (const Case& f : fixed)
    for (int i = 0; i < 3; i++, turn++) {
      Case c = f;
      c.form = i == 0 ? 0 : turn % 4;
      c.epilogue = turn % 5;
      check(c, teams);
    }
  std::minstd_rand g(3);
  auto any = [&](int64_t from, int64_t to) { return from + static_cast<int64_t>(g() % static_cast<uint32_t>(to - from + 1)); };
  for (int i = 0; i < 400; i++) {
    const int64_t groups = i % 3 == 0 ? any(1, 4) : 1;
    Case c{any(1, 4), groups * any(1, 6), any(1, 14), any(1, 14), groups * any(1, 20), any(1, 4), any(1, 4),
           any(1, 3), any(1, 3),          any(0, 3),  any(0, 3),  any(1, 2),           any(1, 2), groups};
    c.form = i % 4, c.epilogue = i / 4 % 5;
    check(c, teams);
  }
  std::printf("conv2d: %d cases, %d failures\n", cases, failures);
  return failures != 0;
}
