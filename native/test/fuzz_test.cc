// Damaged programs: bit flips, nasty values, truncations and splices of valid ones. Each must be refused or run within its memory; the fake
// kernels touch all of it. Argument: number of rounds. Built also against the real kernels (kernel_fuzz_test).
#include <cstring>
#include <random>

#include "programs.h"

using namespace chainrule;
using namespace chainrule::test;

namespace {

/// Programs that are legal but would take long, or much memory, are only decoded.
bool affordable(const Program& program) {
  double work = 0;
  for (int32_t i = 0; i < program.instructionCount; ++i) {
    const Instruction& instruction = program.instructions[i];
    double most = 1, product = 1;
    for (int v = 0; v < instruction.inputCount + instruction.outputCount; ++v) {
      const double count = static_cast<double>(elementCount(instruction.inputs[v]));
      most = count > most ? count : most;
      if (v < 2) product *= count + 1;
    }
    work += instruction.opcode == Opcode::gemm || instruction.opcode == Opcode::linalg || (instruction.opcode >= Opcode::conv2d && instruction.opcode <= Opcode::avgPool2dGrad)
                ? product
                : most;
    if (instruction.opcode == Opcode::reduce)
      for (int d = 0; d < instruction.attributes[2]; ++d) work *= 1 + instruction.attributes[3 + d];
    if (instruction.opcode == Opcode::maxPool2d || instruction.opcode == Opcode::avgPool2d || instruction.opcode == Opcode::avgPool2dGrad)
      work *= static_cast<double>(instruction.attributes[0]) * instruction.attributes[1];
  }
  int64_t bytes = static_cast<int64_t>(program.arenaBytes + program.scratchBytes);
  for (int32_t s = 0; s < program.slotCount; ++s) bytes += program.slots[s].bytes;
  return work < 1e7 && bytes < (8 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? atoi(argv[1]) : 60000;
  std::mt19937 random(argc > 2 ? static_cast<unsigned>(atoi(argv[2])) : 1);
  auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::vector<Sample> valid = samples();
  const int32_t nasty[] = {0, 1, -1, 2, 3, 4, 5, 7, 8, 9, 16, 64, 255, 256, 1 << 16, 1 << 20, 1 << 30, INT32_MAX, INT32_MIN, INT32_MIN + 1};
  Program program;
  Arena arena;
  Caller caller;
  int64_t accepted = 0, ran = 0, codes[32] = {};
  for (int round = 0; round < rounds; ++round) {
    Words words = valid[below(valid.size())].words;
    const size_t changes = below(3);
    for (size_t c = 0; c <= changes; ++c) {
      int32_t& word = words[below(words.size())];
      switch (below(5)) {
        case 0:
          word ^= 1 << below(32);
          break;
        case 1:
          word = nasty[below(std::size(nasty))];
          break;
        case 2:
          word = static_cast<int32_t>(static_cast<uint32_t>(word) + static_cast<uint32_t>(below(5)) - 2);
          break;
        case 3:
          word = words[below(words.size())];
          break;
        default:
          word = static_cast<int32_t>(random());
          break;
      }
    }
    if (below(20) == 0) words.resize(below(words.size() + 1));
    if (below(20) == 0 && words.size() > 10) words[10] = static_cast<int32_t>(words.size());
    // A copy of exactly this length, so that reading past the end is seen.
    int32_t* exact = static_cast<int32_t*>(malloc(words.size() * sizeof(int32_t)));
    if (!words.empty()) memcpy(exact, words.data(), words.size() * sizeof(int32_t));
    const Status status = program.decode(exact, static_cast<int64_t>(words.size()), testKernels());
    free(exact);
    ++codes[static_cast<int>(status.code) & 31];
    if (!status.ok()) continue;
    ++accepted;
    if (!affordable(program)) continue;
    SlotSet slots(program);
    for (int32_t s = 0; s < program.slotCount; ++s)
      for (int64_t i = 0; i < program.slots[s].bytes; ++i) slots.at<uint8_t>(s)[i] = static_cast<uint8_t>(below(4) ? 0 : random());
    EXPECT(checkSlots(program, slots.data(), slots.size()).ok());
    runProgram(program, slots.data(), arena, caller, nullptr);
    ++ran;
  }
  printf("fuzz ok: %d programs, %ld accepted, %ld run; refused:", rounds, static_cast<long>(accepted), static_cast<long>(ran));
  for (int code = 1; code < 32; ++code)
    if (codes[code]) printf(" %d: %ld", code, static_cast<long>(codes[code]));
  puts("");
}
