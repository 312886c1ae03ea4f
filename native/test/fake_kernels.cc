// Kernels for the tests of the runtime: whatever the opcode, they read every element of every input and write every element of every
// output, so that AddressSanitizer vouches for the checks. A map adds two inputs; random sleeps for `offset` microseconds.
// What keeps something of its second input keeps the first byte, and writes that.
#include <unistd.h>

#include <cstring>

#include "programs.h"

namespace chainrule {
namespace {

template <class Visit>
void forEach(const View& view, std::byte* base, Visit visit) {
  int64_t index[kMaxRank] = {};
  const int64_t count = elementCount(view), size = sizeOf(view.dtype);
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = view.offset;
    for (int d = 0; d < view.rank; ++d) at += index[d] * view.stride[d];
    visit(i, base + at * size);
    for (int d = view.rank - 1; d >= 0 && ++index[d] == view.shape[d]; --d) index[d] = 0;
  }
}

struct Task {
  const Instruction* instruction;
  const Run* run;
};

void runChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Task& task = *static_cast<Task*>(argument);
  const Instruction& instruction = *task.instruction;
  memset(scratch + (chunk % 16) * 64, static_cast<int>(chunk), 64);
  auto base = [&](const View& v) { return static_cast<std::byte*>(task.run->buffers[v.buffer]); };
  if (chunk > 0) return;
  if (instruction.opcode == Opcode::map && instruction.inputCount == 2 && instruction.inputs[0].dtype == DType::float32 &&
      instruction.inputs[1].dtype == DType::float32 && instruction.outputs[0].dtype == DType::float32) {
    float* sums = static_cast<float*>(malloc(sizeof(float) * static_cast<size_t>(elementCount(instruction.outputs[0]) + 1)));
    forEach(instruction.inputs[0], base(instruction.inputs[0]), [&](int64_t i, std::byte* p) { memcpy(&sums[i], p, 4); });
    forEach(instruction.inputs[1], base(instruction.inputs[1]), [&](int64_t i, std::byte* p) {
      float x;
      memcpy(&x, p, 4);
      sums[i] += x;
    });
    forEach(instruction.outputs[0], base(instruction.outputs[0]), [&](int64_t i, std::byte* p) { memcpy(p, &sums[i], 4); });
    free(sums);
    return;
  }
  if (instruction.kept) {
    if (task.run->makes(instruction))
      forEach(instruction.inputs[1], base(instruction.inputs[1]), [&](int64_t i, std::byte* p) {
        if (i == 0) memset(task.run->made(instruction), static_cast<int>(*p), instruction.keptBytes);
      });
    forEach(instruction.outputs[0], base(instruction.outputs[0]), [&](int64_t, std::byte* p) {
      memset(p, static_cast<int>(*task.run->made(instruction)), static_cast<size_t>(sizeOf(instruction.outputs[0].dtype)));
    });
    return;
  }
  unsigned checksum = 0;
  for (int i = 0; i < instruction.inputCount; ++i)
    forEach(instruction.inputs[i], base(instruction.inputs[i]), [&](int64_t, std::byte* p) { checksum += static_cast<unsigned>(*p); });
  for (int o = 0; o < instruction.outputCount; ++o)
    forEach(instruction.outputs[o], base(instruction.outputs[o]), [&](int64_t, std::byte* p) {
      memset(p, static_cast<int>(checksum & 1), static_cast<size_t>(sizeOf(instruction.outputs[o].dtype)));
    });
}

Status prepare(Instruction& instruction) {
  instruction.plan = malloc(16);
  instruction.sharedScratch = static_cast<size_t>(instruction.inputCount) * 100;
  instruction.keptBytes = instruction.keep ? 100 : 0;
  return instruction.plan ? Status{} : Status{StatusCode::outOfMemory};
}

Status run(const Instruction& instruction, const Run& run) {
  if (instruction.opcode == Opcode::random) usleep(static_cast<unsigned>(instruction.attributes[3]) % 100000);
  if (instruction.sharedScratch) memset(run.sharedScratch, 1, instruction.sharedScratch);
  Task task{&instruction, &run};
  parallel(run, 8, runChunk, &task);
  return {};
}

Status runRegion(const Instruction* first, int32_t count, const Run& context) {
  for (int32_t i = 0; i < count; ++i) run(first[i], context);
  return {};
}

}  // namespace

namespace test {

const KernelTable& testKernels() {
  static const KernelTable table = [] {
    KernelTable t{"fake", 1, {}};
    for (int i = 1; i < kOpcodeLimit; ++i)
      if (i != static_cast<int>(Opcode::collective)) t.families[i] = {prepare, run, nullptr};
    t.families[static_cast<int>(Opcode::map)].runRegion = runRegion;
    return t;
  }();
  return table;
}

}  // namespace test
}  // namespace chainrule
