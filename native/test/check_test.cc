// Each rule of the decoder refuses what it should, with the check that names it.
#include <functional>

#include "../runtime/overlap.h"
#include "../runtime/program.h"
#include "programs.h"

using namespace chainrule;
using namespace chainrule::test;

namespace {

Status decode(const Words& words) {
  Program program;
  return program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels());
}

void expect(int line, const Words& words, StatusCode code, Check check = Check::none, int instruction = 0) {
  const Status status = decode(words);
  if (status.code == code && (check == Check::none || status.detail[0] == static_cast<int64_t>(check)) && status.instruction == instruction)
    return;
  fprintf(stderr, "check_test.cc:%d: code %d, check %ld %ld, instruction %d\n", line, static_cast<int>(status.code),
          static_cast<long>(status.detail[0]), static_cast<long>(status.detail[1]), status.instruction);
  exit(1);
}

/// One instruction over slots 0…7 and an arena buffer (number 8) of 64 floats.
Words one(Opcode opcode, std::vector<ViewSpec> inputs, std::vector<ViewSpec> outputs, Words attributes, int commit = -1) {
  Builder b;
  for (int i = 0; i < 8; ++i) b.slot();
  b.arena(0, 4);
  b.add(opcode, std::move(inputs), std::move(outputs), std::move(attributes));
  return b.words(commit);
}

void headers() {
  const Words good = addProgram(4);
  auto with = [&](size_t word, int32_t value) {
    Words w = good;
    w[word] = value;
    return w;
  };
  EXPECT(decode(good).ok());
  expect(__LINE__, with(0, 0), StatusCode::badHeader, Check::none, -1);
  expect(__LINE__, with(1, kFormatVersion + 1), StatusCode::badHeader, Check::none, -1);
  expect(__LINE__, with(2, 12345), StatusCode::tableMismatch, Check::none, -1);
  expect(__LINE__, with(3, 1), StatusCode::malformed, Check::headerReserved, -1);
  expect(__LINE__, with(4, -1), StatusCode::malformed, Check::headerCounts, -1);
  expect(__LINE__, with(4, INT32_MAX), StatusCode::truncated, Check::none, -1);
  expect(__LINE__, with(6, 1), StatusCode::unsupported, Check::symbolic, -1);
  expect(__LINE__, with(7, 2), StatusCode::malformed, Check::headerCounts, -1);
  expect(__LINE__, with(9, 2), StatusCode::malformed, Check::slotNumber, -1);
  expect(__LINE__, with(10, 20), StatusCode::malformed, Check::totalWords, -1);
  expect(__LINE__, with(11, -1), StatusCode::malformed, Check::headerCounts, -1);
  expect(__LINE__, with(11, 2), StatusCode::malformed, Check::headerCounts, -1);
  EXPECT(decode(with(11, 1)).ok());
  expect(__LINE__, with(12, 2), StatusCode::malformed, Check::buffer, -1);
  for (size_t n = 0; n < good.size(); ++n) EXPECT(!decode(Words(good.begin(), good.begin() + static_cast<long>(n))).ok());
  // slots a, b, y: only y, which is written, may fall back, and only on what is not written
  const size_t fallbackOfB = 12 + 4 + 2, fallbackOfY = 12 + 8 + 2;
  EXPECT(decode(with(fallbackOfY, 1)).ok() && decode(with(fallbackOfY, 2)).ok());
  for (int32_t wrong : {-1, 3, 4}) expect(__LINE__, with(fallbackOfY, wrong), StatusCode::malformed, Check::buffer, -1);
  for (int32_t wrong : {1, 2, 3}) expect(__LINE__, with(fallbackOfB, wrong), StatusCode::malformed, Check::buffer, -1);
  Builder b;
  b.arena(3, 2);
  Words arena = b.words();
  arena[8] = 4;
  expect(__LINE__, arena, StatusCode::malformed, Check::arenaRange, -1);
}

void views() {
  const Words copy = identityMicro();
  auto map = [&](ViewSpec in, ViewSpec out) { return one(Opcode::map, {in}, {out}, copy); };
  const DType f = DType::float32;
  expect(__LINE__, map(dense(8, {65}), dense(0, {65})), StatusCode::outOfBounds);
  expect(__LINE__, map({8, f, 0, {2, 2}, {-1, 1}}, dense(0, {2, 2})), StatusCode::outOfBounds);
  expect(__LINE__, map({8, f, -1, {1}, {1}}, dense(0, {1})), StatusCode::outOfBounds);
  expect(__LINE__, map({8, f, 0, {1 << 16, 1 << 16}, {0, 0}}, dense(0, {1})), StatusCode::malformed, Check::viewShape);
  expect(__LINE__, map({1, f, INT32_MAX, {2}, {1}}, dense(0, {2})), StatusCode::outOfBounds);
  expect(__LINE__, map({1, f, 0, {2, 2}, {INT32_MAX, INT32_MAX}}, dense(0, {2, 2})), StatusCode::outOfBounds);
  expect(__LINE__, map(dense(9, {1}), dense(0, {1})), StatusCode::malformed, Check::viewBuffer);
  expect(__LINE__, map(dense(1, {1}, DType::float64), dense(0, {1})), StatusCode::unsupported, static_cast<Check>(4));
  expect(__LINE__, map(dense(1, {2, 2}), {0, f, 0, {2, 2}, {1, 1}}), StatusCode::malformed, Check::selfOverlap);
  expect(__LINE__, map(dense(1, {2, 2}), {0, f, 0, {2, 2}, {0, 1}}), StatusCode::malformed, Check::selfOverlap);
  expect(__LINE__, map(dense(1, {4}), {0, f, 3, {4}, {-1}}), StatusCode::ok);
  expect(__LINE__, map(dense(1, {0, 4}), {0, f, 0, {0, 4}, {0, 0}}), StatusCode::ok);
  expect(__LINE__, map(dense(1, {1, 1, 1, 1, 1, 1, 1, 1, 1}), dense(0, {1, 1, 1, 1, 1, 1, 1, 1, 1})), StatusCode::malformed,
         Check::viewShape);
  // Aliasing: the same elements, the next row, interleaved columns, half of each other, another type on the same memory.
  expect(__LINE__, map(dense(8, {16}), dense(8, {16})), StatusCode::ok);
  expect(__LINE__, map(dense(8, {16}), dense(8, {16}, f, 16)), StatusCode::ok);
  expect(__LINE__, map({8, f, 0, {8, 3}, {6, 1}}, {8, f, 3, {8, 3}, {6, 1}}), StatusCode::ok);
  expect(__LINE__, map(dense(8, {16}), dense(8, {16}, f, 8)), StatusCode::malformed, Check::aliasing);
  expect(__LINE__, map({8, f, 15, {16}, {-1}}, dense(8, {16})), StatusCode::malformed, Check::aliasing);
  expect(__LINE__, one(Opcode::softmax, {dense(8, {16})}, {dense(8, {16})}, {0}), StatusCode::malformed, Check::aliasing);
  expect(__LINE__, one(Opcode::map, {dense(0, {4})}, {dense(8, {4}), dense(8, {4})}, {0, 0, 2, 0, 0}), StatusCode::malformed,
         Check::aliasing);
}

void micros() {
  auto map = [&](Words micro, DType in = DType::float32, DType out = DType::float32) {
    return one(Opcode::map, {dense(0, {4}, in), dense(1, {4}, in)}, {dense(2, {4}, out)}, std::move(micro));
  };
  const auto op = [](MapOp o) { return static_cast<int32_t>(o); };
  expect(__LINE__, map(binaryMicro(MapOp::lt), DType::float32, DType::boolean), StatusCode::ok);
  expect(__LINE__, map(binaryMicro(MapOp::lt)), StatusCode::malformed, Check::microResult);
  expect(__LINE__, map(binaryMicro(MapOp::div), DType::int32, DType::int32), StatusCode::malformed, Check::microType);
  expect(__LINE__, map(binaryMicro(MapOp::add), DType::uint8, DType::uint8), StatusCode::ok);
  expect(__LINE__, map(binaryMicro(MapOp::add), DType::boolean, DType::boolean), StatusCode::malformed, Check::microType);
  expect(__LINE__, map({0, 1, 1, op(MapOp::add), 0, 2, 0, 2}), StatusCode::malformed, Check::microOperation);
  expect(__LINE__, map({0, 1, 1, op(MapOp::add), 0, 1, 1, 2}), StatusCode::malformed, Check::microOperation);
  expect(__LINE__, map({0, 1, 1, kMapOpLimit, 0, 1, 0, 2}), StatusCode::malformed, Check::microOperation);
  expect(__LINE__, map({0, 1, 1, op(MapOp::add), 0, 1, 0, 3}), StatusCode::malformed, Check::microResult);
  expect(__LINE__, map({1, 0, 1, 3, 0, 2}), StatusCode::malformed, Check::microConstant);
  expect(__LINE__, map({0, 0, 2, 0, 1}), StatusCode::malformed, Check::microSize);
  expect(__LINE__, map({0, 0, 1, 0, 0}), StatusCode::malformed, Check::attributeCount);
  expect(__LINE__, map({INT32_MAX, INT32_MAX, INT32_MAX}), StatusCode::malformed, Check::microSize);
}

void opcodes() {
  const Words copy = identityMicro();
  expect(__LINE__, one(Opcode::gemm, {dense(0, {2, 3}), dense(1, {4, 5})}, {dense(2, {2, 5})}, copy), StatusCode::malformed,
         Check::operandShape);
  expect(__LINE__, one(Opcode::gemm, {dense(0, {2, 3}), dense(1, {3, 5}, DType::int32)}, {dense(2, {2, 5})}, copy), StatusCode::malformed,
         Check::operandType);
  expect(__LINE__, one(Opcode::reduce, {dense(0, {0, 3})}, {dense(1, {1, 3})}, {2, 1, 2, 0, 3, 0, 0, 1, 0, 0, 0, 1, 0}),
         StatusCode::malformed, Check::emptyReduction);
  expect(__LINE__, one(Opcode::reduce, {dense(0, {4, 3})}, {dense(1, {2, 3})}, {0, 1, 2, 4, 3, 0, 0, 1, 0, 0, 0, 1, 0}),
         StatusCode::malformed, Check::operandShape);
  expect(__LINE__, one(Opcode::reduce, {dense(0, {4, 3})}, {dense(1, {1, 3})}, {4, 1, 2, 4, 3, 0, 0, 1, 0, 0, 0, 1, 0}),
         StatusCode::malformed, Check::microResult);
  const auto conv = [&](Words geometry, Words y) {
    geometry.insert(geometry.end(), copy.begin(), copy.end());
    return one(Opcode::conv2d, {dense(0, {1, 2, 5, 5}), dense(1, {4, 2, 3, 3})}, {dense(2, std::move(y))}, geometry);
  };
  expect(__LINE__, conv({1, 1, 0, 0, 1, 1, 1}, {1, 4, 3, 3}), StatusCode::ok);
  expect(__LINE__, conv({1, 1, 0, 0, 1, 1, 2}, {1, 4, 3, 3}), StatusCode::malformed, Check::operandShape);
  expect(__LINE__, conv({0, 1, 0, 0, 1, 1, 1}, {1, 4, 3, 3}), StatusCode::malformed, Check::attribute);
  expect(__LINE__, conv({2, 2, 1, 1, 1, 1, 1}, {1, 4, 4, 3}), StatusCode::malformed, Check::operandShape);
  const auto pool = [&](Words geometry, Words y) {
    return one(Opcode::avgPool2d, {dense(0, {1, 1, 7, 7})}, {dense(1, std::move(y))}, geometry);
  };
  expect(__LINE__, pool({2, 2, 2, 2, 0, 0, 1}, {1, 1, 3, 3}), StatusCode::ok);
  expect(__LINE__, pool({2, 2, 2, 2, 0, 0, 1}, {1, 1, 4, 4}), StatusCode::ok);
  expect(__LINE__, pool({2, 2, 2, 2, 0, 0, 1}, {1, 1, 5, 4}), StatusCode::malformed, Check::operandShape);
  expect(__LINE__, pool({2, 2, 2, 2, 2, 0, 1}, {1, 1, 5, 3}), StatusCode::malformed, Check::attribute);
  const DType i32 = DType::int32;
  expect(__LINE__, one(Opcode::gather, {dense(0, {6, 5}), dense(1, {4, 5}, i32)}, {dense(2, {4, 5})}, {1}), StatusCode::malformed,
         Check::operandShape);
  expect(__LINE__, one(Opcode::gather, {dense(0, {6, 5}), dense(1, {4, 5}, i32)}, {dense(2, {4, 5})}, {0}, 0), StatusCode::malformed,
         Check::commit);
  expect(__LINE__, one(Opcode::gather, {dense(0, {6, 5}), dense(1, {4, 5}, i32)}, {dense(2, {4, 5}, i32)}, {0}), StatusCode::malformed,
         Check::operandType);
  expect(__LINE__, one(Opcode::random, {dense(0, {4}, i32)}, {{1, DType::float32, 0, {2, 2}, {1, 2}}}, {0, 0, 0, 0}), StatusCode::malformed,
         Check::contiguous);
  expect(__LINE__, one(Opcode::collective, {}, {}, {}), StatusCode::unsupported);
  expect(__LINE__, one(static_cast<Opcode>(17), {}, {}, {}), StatusCode::malformed, Check::opcode);
  expect(__LINE__, one(static_cast<Opcode>(-1), {}, {}, {}), StatusCode::malformed, Check::opcode);
}

void marks() {
  auto marked = [](Opcode opcode, std::vector<ViewSpec> inputs, std::vector<ViewSpec> outputs, Words attributes, int32_t mark) {
    Words w = one(opcode, std::move(inputs), std::move(outputs), std::move(attributes));
    w[kHeaderWords + 9 * kBufferWords + 5] = mark;
    return w;
  };
  const Words micro = identityMicro();
  EXPECT(decode(marked(Opcode::gemm, {dense(0, {2, 3}), dense(1, {3, 2})}, {dense(2, {2, 2})}, micro, 2)).ok());
  for (int32_t wrong : {-1, 1, 3, 4})
    expect(__LINE__, marked(Opcode::gemm, {dense(0, {2, 3}), dense(1, {3, 2})}, {dense(2, {2, 2})}, micro, wrong), StatusCode::malformed,
           Check::region);
  expect(__LINE__, marked(Opcode::map, {dense(0, {2})}, {dense(1, {2})}, micro, 2), StatusCode::malformed, Check::region);
}

void regions() {
  Builder b;
  const int32_t x = b.slot(), y = b.slot(), t = b.arena(0, 4);
  b.add(Opcode::map, {dense(x, {4})}, {dense(t, {4})}, identityMicro());
  b.add(Opcode::map, {dense(t, {4})}, {dense(y, {4})}, identityMicro(), true);
  expect(__LINE__, b.words(), StatusCode::malformed, Check::region, 1);
  Builder c;  // two halves of one output, interleaved
  const int32_t p = c.slot(), q = c.slot();
  c.add(Opcode::map, {dense(p, {4, 3})}, {{q, DType::float32, 0, {4, 3}, {6, 1}}}, identityMicro());
  c.add(Opcode::map, {dense(p, {4, 3})}, {{q, DType::float32, 3, {4, 3}, {6, 1}}}, identityMicro(), true);
  expect(__LINE__, c.words(), StatusCode::ok);
}

/// overlap() against marking every byte.
void overlaps() {
  srand(7);
  for (int round = 0; round < 20000; ++round) {
    View v[2] = {};
    std::vector<char> bytes[2];
    for (int k = 0; k < 2; ++k) {
      v[k].dtype = rand() % 2 ? DType::float32 : DType::uint8;
      v[k].rank = rand() % 4;
      v[k].offset = 100 + rand() % 40;
      for (int d = 0; d < v[k].rank; ++d) {
        v[k].shape[d] = rand() % 4;
        v[k].stride[d] = rand() % 17 - 8;
      }
      bytes[k].assign(1000, 0);
      const int64_t size = sizeOf(v[k].dtype), count = elementCount(v[k]);
      bool meets = false;
      for (int64_t i = 0; i < count; ++i) {
        int64_t at = v[k].offset, rest = i;
        for (int d = v[k].rank - 1; d >= 0; --d) {
          at += rest % v[k].shape[d] * v[k].stride[d];
          rest /= v[k].shape[d];
        }
        for (int64_t b = 0; b < size; ++b) meets |= bytes[k][static_cast<size_t>(at * size + b)]++ > 0;
      }
      if (distinctIndices(v[k])) EXPECT(!meets);
    }
    bool meets = false;
    for (size_t i = 0; i < 1000; ++i) meets = meets || (bytes[0][i] && bytes[1][i]);
    EXPECT(overlap(place(v[0], 0, 0), place(v[1], 0, 0)) == meets);
    EXPECT(!overlap(place(v[0], 0, 0), place(v[1], 1, 0)));
  }
}

}  // namespace

int main() {
  headers();
  views();
  micros();
  opcodes();
  marks();
  regions();
  overlaps();
  puts("check ok");
}
