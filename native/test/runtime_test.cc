// Decoding, slots, arena and execution of whole programs.
#include <cmath>
#include <cstring>

#include "programs.h"

using namespace chainrule;
using namespace chainrule::test;

namespace {

Status runOnce(const Program& program, SlotSet& slots) {
  Arena arena;
  Caller caller;
  const Status status = checkSlots(program, slots.data(), slots.size());
  return status.ok() ? runProgram(program, slots.data(), arena, caller, nullptr) : status;
}

void decodesSamples() {
  for (const Sample& sample : samples()) {
    Program program;
    const Status status = program.decode(sample.words.data(), static_cast<int64_t>(sample.words.size()), testKernels());
    if (!status.ok())
      fprintf(stderr, "%s: code %d instruction %d detail %ld %ld\n", sample.name, static_cast<int>(status.code), status.instruction,
              static_cast<long>(status.detail[0]), static_cast<long>(status.detail[1]));
    EXPECT(status.ok());
    SlotSet slots(program);
    EXPECT(runOnce(program, slots).ok());
    // Decoding again into the same memory gives the same program.
    EXPECT(program.decode(sample.words.data(), static_cast<int64_t>(sample.words.size()), testKernels()).ok());
    EXPECT(runOnce(program, slots).ok());
  }
}

void addsNumbers() {
  const Words words = addProgram(1000);
  Program program;
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
  EXPECT(program.slotCount == 3 && program.slots[0].bytes == 4000 && program.slots[0].read && !program.slots[0].written);
  EXPECT(!program.slots[2].read && program.slots[2].written && program.slots[2].alignment == 4);
  SlotSet slots(program);
  for (int i = 0; i < 1000; ++i) {
    slots.at<float>(0)[i] = static_cast<float>(i);
    slots.at<float>(1)[i] = 0.5f;
  }
  EXPECT(runOnce(program, slots).ok());
  for (int i = 0; i < 1000; ++i) EXPECT(slots.at<float>(2)[i] == static_cast<float>(i) + 0.5f);
}

void refusesBadSlots() {
  const Words words = addProgram(8);
  Program program;
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
  alignas(64) float memory[3][9];
  SlotMemory slots[3] = {{memory[0], 32}, {memory[1], 32}, {memory[2], 32}};
  EXPECT(checkSlots(program, slots, 3).ok());
  EXPECT(checkSlots(program, slots, 2).code == StatusCode::badSlot && checkSlots(program, slots, 2).detail[0] == 2);
  slots[1].bytes = 31;
  EXPECT(checkSlots(program, slots, 3).detail[0] == 1 && checkSlots(program, slots, 3).detail[1] == 32);
  slots[1] = {reinterpret_cast<std::byte*>(memory[1]) + 1, 32};
  EXPECT(checkSlots(program, slots, 3).code == StatusCode::badSlot);
}

void skipsEmptyAndGroupsRegions() {
  Builder b;
  const int32_t x = b.slot();
  const int32_t t = b.arena(0, 4), u = b.arena(4, 4), v = b.arena(8, 4);
  b.add(Opcode::map, {dense(x, {4})}, {dense(t, {4})}, identityMicro());
  b.add(Opcode::map, {dense(x, {4})}, {dense(u, {4})}, identityMicro(), true);
  b.add(Opcode::map, {dense(x, {0})}, {dense(v, {0})}, identityMicro(), true);
  b.add(Opcode::map, {dense(x, {4})}, {dense(v, {4})}, identityMicro(), true);
  b.add(Opcode::map, {dense(v, {4})}, {dense(t, {4})}, identityMicro());
  Words words = b.words();
  Program program;
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
  EXPECT(program.stepCount == 3);
  EXPECT(program.steps[0].first == 0 && program.steps[0].count == 2);
  EXPECT(program.steps[1].first == 3 && program.steps[1].count == 1 && program.steps[2].first == 4);
  words[7] = 1;  // the commit index splits the region
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok() && program.stepCount == 4);
}

/// Instructions that produce nothing may stand anywhere: at the beginning and end of the prologue, of the rest, of the commit phase.
void emptyInstructionsMoveNothing() {
  for (int empty = 0; empty < 16; ++empty) {
    Builder b;
    const int32_t x = b.slot(), first = b.slot(), second = b.slot(), state = b.slot(), none = b.slot();
    const Words add = binaryMicro(MapOp::add);
    int32_t count = 0, prologue = 0, commit = 0;
    auto emptyIf = [&](int bit) {
      if (empty >> bit & 1) b.add(Opcode::map, {dense(x, {0, 4})}, {dense(none, {0, 4})}, identityMicro()), ++count;
    };
    auto doubles = [&](int32_t from, int32_t to) {
      b.add(Opcode::map, {dense(from, {4}), dense(from, {4})}, {dense(to, {4})}, add), ++count;
    };
    emptyIf(0);
    doubles(x, first);
    prologue = count;
    emptyIf(1);
    doubles(first, second);
    commit = count;
    emptyIf(2);
    doubles(second, state);
    emptyIf(3);
    Words words = b.words(commit);
    words[11] = prologue;
    Program program;
    EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
    EXPECT(program.stepCount == 3 && program.mainStep == 1);
    SlotSet slots(program);
    Arena arena;
    Caller caller;
    for (int run = 0; run < 3; ++run) {
      for (int i = 0; i < 4; ++i) slots.at<float>(x)[i] = static_cast<float>(run + 1), slots.at<float>(state)[i] = -1;
      EXPECT(runProgram(program, slots.data(), arena, caller, nullptr, run == 0).ok());
      EXPECT(slots.at<float>(state)[3] == 8);  // later runs find what the first made of x
    }
    words[11] = count;  // nothing but a prologue
    words[7] = count;
    EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok() && program.mainStep == 3);
  }
}

/// Strides that lead nowhere are 0, whatever the words say.
void settlesStrides() {
  Builder b;
  const int32_t x = b.slot(), y = b.slot(), z = b.slot();
  b.add(Opcode::map, {{x, DType::float32, 3, {1, 4, 1}, {-7, 1, 1 << 30}}}, {{y, DType::float32, 0, {1, 4, 1}, {4, 1, 1}}},
        identityMicro());
  b.add(Opcode::map, {{x, DType::float32, 0, {2, 0}, {5, 1}}}, {{z, DType::float32, 0, {2, 0}, {1, 1}}}, identityMicro());
  const Words words = b.words();
  Program program;
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
  const View &in = program.instructions[0].inputs[0], &out = program.instructions[0].outputs[0];
  EXPECT(in.stride[0] == 0 && in.stride[1] == 1 && in.stride[2] == 0 && out.stride[0] == 0 && out.stride[1] == 1 && out.stride[2] == 0);
  EXPECT(program.instructions[1].inputs[0].stride[0] == 0 && program.instructions[1].outputs[0].stride[1] == 0);
  EXPECT(program.slots[x].bytes == 28 && program.stepCount == 1);
}

/// A run without the prologue finds what a whole run left, in slots and in the kernels' own memory.
void leavesOutThePrologue() {
  Builder b;
  const int32_t x = b.slot(), w = b.slot(), y = b.slot(), from = b.slot(), derived = b.slot(), z = b.slot();
  const Words add = binaryMicro(MapOp::add);
  b.add(Opcode::map, {dense(from, {4}), dense(from, {4})}, {dense(derived, {4})}, add);
  b.add(Opcode::gemm, {dense(x, {2, 3}), dense(w, {3, 2})}, {dense(y, {2, 2})}, identityMicro());
  b.add(Opcode::map, {dense(derived, {4}), dense(derived, {4})}, {dense(z, {4})}, add);
  Words words = b.words();
  words[11] = 1;
  const size_t first = kHeaderWords + 6 * kBufferWords;
  words[first + static_cast<size_t>(words[first + 1]) + 5] = 2;
  Program program;
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
  EXPECT(program.mainStep == 1 && program.keptBytes == 128 && !program.filled());
  SlotSet slots(program);
  Arena arena;
  Caller caller;
  auto run = [&](bool whole) { EXPECT(runProgram(program, slots.data(), arena, caller, nullptr, whole).ok()); };
  auto set = [&](float value, int bits) {
    for (int i = 0; i < 4; ++i) slots.at<float>(from)[i] = value;
    memset(slots.at<float>(w), bits, 24);
  };
  auto found = [&](float value, uint8_t bits) { return slots.at<float>(z)[3] == value && slots.at<uint8_t>(y)[0] == bits; };
  set(3, 0x11);
  run(false);  // the first run is whole in any case
  EXPECT(program.filled() && found(12, 0x11));
  set(5, 0x22);
  run(false);
  EXPECT(found(12, 0x11));
  run(true);
  EXPECT(found(20, 0x22));
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok() && !program.filled());
}

void cancels() {
  const Words words = addProgram(8);
  Program program;
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
  SlotSet slots(program);
  Arena arena;
  Caller caller;
  std::atomic<bool> cancelled{true};
  EXPECT(runProgram(program, slots.data(), arena, caller, &cancelled).code == StatusCode::cancelled);
  program.commitIndex = 0;
  EXPECT(runProgram(program, slots.data(), arena, caller, &cancelled).ok());
}

void fallsBack() {
  Words words = addProgram(4);
  words[kHeaderWords + 2 * kBufferWords + 2] = 1;  // y falls back on a
  Program program;
  EXPECT(program.decode(words.data(), static_cast<int64_t>(words.size()), testKernels()).ok());
  alignas(64) float a[4] = {1, 2, 3, 4}, b[4] = {1, 1, 1, 1}, y[5] = {9, 9, 9, 9, 9};
  SlotMemory slots[3] = {{a, 16}, {b, 16}, {y, 20}};
  Arena arena;
  Caller caller;
  std::atomic<bool> cancelled{true};
  EXPECT(!runProgram(program, slots, arena, caller, &cancelled).ok());
  for (int i = 0; i < 4; ++i) EXPECT(y[i] == a[i]);
  EXPECT(y[4] == 9);
  // A fallback may be short, or nothing at all.
  slots[0] = {a, 8};
  fallBack(program, slots);
  EXPECT(y[1] == 2 && y[2] == 0 && y[3] == 0 && y[4] == 9);
  slots[0] = {nullptr, 0};
  fallBack(program, slots);
  EXPECT(y[0] == 0 && y[1] == 0);
  slots[0] = {a, 16};
  EXPECT(runProgram(program, slots, arena, caller, nullptr).ok() && y[0] == 2);
}

void growsArenas() {
  Arena arena;
  for (size_t bytes : {size_t{0}, size_t{100}, size_t{5} << 20, size_t{1} << 16, size_t{20} << 20}) {
    std::byte* memory = arena.reserve(bytes);
    EXPECT(memory && reinterpret_cast<uintptr_t>(memory) % kAlignment == 0 && arena.capacity() >= bytes);
    if (bytes) memory[0] = memory[bytes - 1] = std::byte{1};
  }
  EXPECT(!arena.reserve(~size_t{0}) && !arena.reserve(size_t{1} << 60));
  EXPECT(arena.reserve(64));
}

}  // namespace

int main() {
  decodesSamples();
  addsNumbers();
  refusesBadSlots();
  skipsEmptyAndGroupsRegions();
  emptyInstructionsMoveNothing();
  settlesStrides();
  leavesOutThePrologue();
  cancels();
  fallsBack();
  growsArenas();
  puts("runtime ok");
}
