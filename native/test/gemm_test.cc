// gemm against double-precision loops: sizes, transpositions, strides, batches, epilogues; guard zones; bits equal with 1, 2
// and 7 threads. Built once per instruction set (-DCHAINRULE_ISA=…) with its kernels.
#include "kernel_harness.h"

using namespace chainrule;
using chainrule::CHAINRULE_ISA::gemmFamily;

namespace {

int failures = 0, cases = 0;
int32_t bitsOf(float f) { return __builtin_bit_cast(int32_t, f); }

enum class Epilogue { plain, biasN, biasNRelu, biasM, full, all, two, mask, scaledTwo, count };

struct Case {
  std::vector<int64_t> batch;
  int64_t m, n, k;
  int aForm, bForm, cForm;  ///< 0 row-major, 1 column-major, 2 neither (steps doubled)
  bool broadcastA = false, broadcastB = false;
  Epilogue epilogue = Epilogue::plain;
};

/// Shape [batch…, r, c] in the given form; returns the elements of the buffer.
int64_t layout(const std::vector<int64_t>& batch, int64_t r, int64_t c, int form, bool broadcast, View& v, int32_t buffer) {
  std::vector<int64_t> shape = batch, stride(batch.size() + 2);
  shape.push_back(r), shape.push_back(c);
  const size_t d = batch.size();
  const int64_t inner = form == 1 ? r : c, other = form == 1 ? c : r, one = form == 2 ? 2 : 1, pad = form == 0 ? 0 : 3;
  stride[d + (form == 1 ? 0 : 1)] = one;
  stride[d + (form == 1 ? 1 : 0)] = inner * one + pad;
  int64_t step = (inner * one + pad) * other;
  for (size_t i = d; i-- > 0;) {
    stride[i] = broadcast ? 0 : step;
    if (!broadcast) step *= batch[i];
  }
  v = viewOf(buffer, 5, shape, stride);
  int64_t last = 5;
  for (size_t i = 0; i < shape.size(); i++) last += shape[i] > 0 ? (shape[i] - 1) * stride[i] : 0;
  return last + 1;
}

float* at(Floats& f, const View& v, const std::vector<int64_t>& i) {
  int64_t p = v.offset;
  for (size_t d = 0; d < i.size(); d++) p += i[d] * v.stride[d];
  return f.data.get() + p;
}

void check(const Case& c, std::vector<std::unique_ptr<Team>>& teams) {
  cases++;
  using E = Epilogue;
  TestInstruction t;
  std::vector<Floats> mem;
  std::vector<View> views;
  auto add = [&](int64_t r, int64_t cc, int form, bool broadcast) {
    View v;
    mem.emplace_back(layout(c.batch, r, cc, form, broadcast, v, static_cast<int32_t>(mem.size())));
    fillRandom(mem.back(), static_cast<uint32_t>(mem.size()));
    views.push_back(v);
    return static_cast<int32_t>(views.size() - 1);
  };
  add(c.m, c.k, c.aForm, c.broadcastA);
  add(c.k, c.n, c.bForm, c.broadcastB);
  t.inputs = {views[0], views[1]};
  const size_t rank = c.batch.size() + 2;
  auto biasN = [&] {
    const int32_t i = add(c.m, c.n, 0, true);
    views[static_cast<size_t>(i)].stride[rank - 2] = 0;
    t.inputs.push_back(views[static_cast<size_t>(i)]);
  };
  auto biasM = [&] {
    const int32_t i = add(c.m, c.n, 1, true);
    views[static_cast<size_t>(i)].stride[rank - 1] = 0;
    t.inputs.push_back(views[static_cast<size_t>(i)]);
  };
  auto full = [&] { t.inputs.push_back(views[static_cast<size_t>(add(c.m, c.n, c.cForm, false))]); };
  const int32_t opAdd = static_cast<int32_t>(MapOp::add), opRelu = static_cast<int32_t>(MapOp::relu),
                opMul = static_cast<int32_t>(MapOp::mul), opLt = static_cast<int32_t>(MapOp::lt);
  int outputs = 1;
  switch (c.epilogue) {
    case E::biasN:
      biasN();
      t.attributes = {0, 1, 1, opAdd, 0, 1, 0, 2};
      break;
    case E::biasNRelu:
      biasN();
      t.attributes = {0, 2, 1, opAdd, 1, 0, 0, opRelu, 2, 0, 0, 3};
      break;
    case E::biasM:
      biasM();
      t.attributes = {0, 1, 1, opAdd, 0, 1, 0, 2};
      break;
    case E::full:
      full();
      t.attributes = {0, 1, 1, opAdd, 0, 1, 0, 2};
      break;
    case E::all:
      biasN(), biasM(), full();
      t.attributes = {0, 4, 1, opAdd, 0, 1, 0, opAdd, 4, 2, 0, opAdd, 5, 3, 0, opRelu, 6, 0, 0, 7};
      break;
    case E::two:
      biasN();
      t.attributes = {0, 2, 2, opAdd, 0, 1, 0, opRelu, 2, 0, 0, 0, 3};
      outputs = 2;
      break;
    case E::mask:
      full();
      t.attributes = {0, 1, 1, opLt, 0, 1, 0, 2};
      break;
    case E::scaledTwo:
      biasN();
      t.attributes = {1, 2, 2, 0, bitsOf(0.5f), opMul, 0, 2, 0, opAdd, 3, 1, 0, 3, 4};
      outputs = 2;
      break;
    default:
      t.attributes = {0, 0, 1, 0};
  }
  const size_t firstOut = views.size();
  for (int i = 0; i < outputs; i++) {
    add(c.m, c.n, c.cForm, false);
    mem.back() = Floats(mem.back().size + 16);  // a guard zone behind; 5 numbers before
    if (c.epilogue == E::mask) views.back().dtype = DType::boolean;
    t.outputs.push_back(views.back());
  }
  t.prepare(gemmFamily);
  std::vector<void*> buffers;
  for (auto& f : mem) buffers.push_back(f.data.get());
  std::vector<std::vector<float>> first;
  for (auto& team : teams) {
    for (int o = 0; o < outputs; o++)
      for (int64_t i = 0; i < mem[firstOut + static_cast<size_t>(o)].size; i++)
        mem[firstOut + static_cast<size_t>(o)].data[static_cast<size_t>(i)] = -12345.5f;
    t.run(buffers.data(), *team);
    std::vector<float> now;
    for (int o = 0; o < outputs; o++) {
      Floats& f = mem[firstOut + static_cast<size_t>(o)];
      now.insert(now.end(), f.data.get(), f.data.get() + f.size);
    }
    first.push_back(now);
    if (std::memcmp(first[0].data(), now.data(), now.size() * 4) != 0) failures++, std::printf("threads differ\n");
  }
  auto fail = [&](const char* what, double got, double want) {
    if (++failures < 20)
      std::printf("%s: m %ld n %ld k %ld batch %zu forms %d%d%d epilogue %d: %g instead of %g\n", what, long(c.m), long(c.n), long(c.k),
                  c.batch.size(), c.aForm, c.bForm, c.cForm, int(c.epilogue), got, want);
  };
  // Each element of C; then nothing else must have been written.
  int64_t matrices = 1;
  for (auto b : c.batch) matrices *= b;
  std::vector<int64_t> i(rank);
  std::vector<std::vector<bool>> written;
  for (int o = 0; o < outputs; o++) written.emplace_back(static_cast<size_t>(mem[firstOut + static_cast<size_t>(o)].size * 4), false);
  for (int64_t b = 0; b < matrices; b++)
    for (int64_t m = 0; m < c.m; m++)
      for (int64_t n = 0; n < c.n; n++) {
        int64_t rest = b;
        for (size_t d = c.batch.size(); d-- > 0;) i[d] = rest % c.batch[d], rest /= c.batch[d];
        double sum = 0, size = 0;
        auto ia = i, ib = i;
        ia[rank - 2] = m, ib[rank - 1] = n;
        for (int64_t k = 0; k < c.k; k++) {
          ia[rank - 1] = ib[rank - 2] = k;
          const double x = double(*at(mem[0], views[0], ia)) * double(*at(mem[1], views[1], ib));
          sum += x, size += std::fabs(x);
        }
        i[rank - 2] = m, i[rank - 1] = n;
        auto in = [&](size_t which) { return double(*at(mem[which], views[which], i)); };
        double want[2] = {sum, 0};
        if (c.epilogue == E::biasN || c.epilogue == E::biasM || c.epilogue == E::full) want[0] = sum + in(2);
        if (c.epilogue == E::biasNRelu) want[0] = std::max(0.0, sum + in(2));
        if (c.epilogue == E::all) want[0] = std::max(0.0, sum + in(2) + in(3) + in(4));
        if (c.epilogue == E::two) want[1] = std::max(0.0, sum + in(2));
        if (c.epilogue == E::scaledTwo) want[0] = sum * 0.5, want[1] = want[0] + in(2);
        const double close = size * 2e-6 + 2e-6;
        for (int o = 0; o < outputs; o++) {
          const size_t which = firstOut + static_cast<size_t>(o);
          const View& v = views[which];
          int64_t p = v.offset;
          for (size_t d = 0; d < rank; d++) p += i[d] * v.stride[d];
          if (c.epilogue == E::mask) {
            const int got = reinterpret_cast<uint8_t*>(mem[which].data.get())[p];
            if (std::fabs(sum - in(2)) > close && got != (sum < in(2))) fail("mask", got, sum < in(2));
            written[static_cast<size_t>(o)][static_cast<size_t>(p)] = true;
            continue;
          }
          const double got = double(mem[which].data[static_cast<size_t>(p)]);
          if (!(std::fabs(got - want[o]) <= close)) fail("value", got, want[o]);
          for (size_t byte = 0; byte < 4; byte++) written[static_cast<size_t>(o)][static_cast<size_t>(p) * 4 + byte] = true;
        }
      }
  const float guard = -12345.5f;
  for (int o = 0; o < outputs; o++) {
    const auto* bytes = reinterpret_cast<uint8_t*>(mem[firstOut + static_cast<size_t>(o)].data.get());
    for (size_t p = 0; p < written[static_cast<size_t>(o)].size(); p++)
      if (!written[static_cast<size_t>(o)][p] && bytes[p] != reinterpret_cast<const uint8_t*>(&guard)[p % 4]) {
        fail("guard", double(p), 0);
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
  const int64_t sizes[] = {0, 1, 2, 3, 5, 6, 7, 15, 16, 17, 31, 33, 67, 97, 130};
  std::minstd_rand g(5);
  auto any = [&](int64_t n) { return static_cast<int64_t>(g() % static_cast<uint32_t>(n)); };
  // All pairs of m and n with some k, forms in turn.
  int turn = 0;
  for (int64_t m : sizes)
    for (int64_t n : sizes)
      for (int i = 0; i < 3; i++, turn++)
        check({{},
               m,
               n,
               sizes[any(15)],
               turn % 3,
               turn / 3 % 3,
               turn % 7 == 0   ? 2
               : turn % 5 == 0 ? 1
                               : 0,
               false,
               false,
               static_cast<Epilogue>(turn % static_cast<int>(Epilogue::count))},
              teams);
  // All forms and epilogues at sizes that take each path: parallel, K blocks, split K, few rows, batches.
  const int64_t shapes[][3] = {{130, 130, 130}, {67, 515, 97}, {33, 17, 3000}, {1, 700, 300}, {4, 333, 400},
                               {200, 260, 700}, {515, 1, 300}, {3, 40, 33},    {9, 9, 40000}};
  for (auto& s : shapes)
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++) {
        const bool big = s[0] * s[1] * s[2] > 4000000;
        for (int e = big ? (a * 3 + b) % 3 : 0; e < static_cast<int>(Epilogue::count); e += big ? 3 : 1)
          check({{},
                 s[0],
                 s[1],
                 s[2],
                 a,
                 b,
                 (a + b + e) % 4 == 3   ? 1
                 : (a + b + e) % 5 == 4 ? 2
                                        : 0,
                 false,
                 false,
                 static_cast<Epilogue>(e)},
                teams);
      }
  const int64_t small[][3] = {{5, 7, 9}, {32, 32, 32}, {1, 40, 64}, {64, 64, 32}, {17, 100, 33}, {1, 64, 3}};
  for (auto& s : small)
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++)
        for (int i = 0; i < 4; i++) {
          const auto e = static_cast<Epilogue>((a + b * 3 + i * 2) % static_cast<int>(Epilogue::count));
          check({{3, 2}, s[0], s[1], s[2], a, b, i == 3 ? 1 : 0, i == 1, i == 2, e}, teams);
          check({{13}, s[0], s[1], s[2], a, b, 0, i == 1, i == 2, e}, teams);
        }
  check({{}, 6, 300000, 1, 0, 0, 0, false, false, Epilogue::mask}, teams);  // a tile that takes scratch, of very long rows
  check({{2}, 300, 400, 100, 0, 1, 0, false, false, Epilogue::biasNRelu}, teams);
  check({{2, 2}, 260, 260, 260, 0, 0, 0, false, true, Epilogue::two}, teams);
  check({{0, 2}, 26, 26, 26, 0, 0, 0, false, true, Epilogue::two}, teams);
  std::printf("gemm: %d cases, %d failures\n", cases, failures);
  return failures != 0;
}
