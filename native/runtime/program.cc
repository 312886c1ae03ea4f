// Decoding and checking of whole programs (see program.h). One memory block holds everything a program needs; the size is found by a first
// pass over the instruction headers, so that hostile counts never reach an allocation.
#include "program.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "arena.h"
#include "check.h"
#include "overlap.h"

namespace chainrule {
namespace {

constexpr size_t kUnit = 64;  // arena sizes and offsets
constexpr size_t kMaxMemory = size_t{1} << 46;

constexpr int32_t kRegionFlag = 1, kKeepFlag = 2;

constexpr size_t roundUp(size_t bytes) { return (bytes + 15) & ~size_t{15}; }

/// Whether all outputs are empty, and there are no indices to look at. Such an instruction is checked as all others, but neither planned
/// nor run: kernels divide by the sizes of what they make.
bool producesNothing(const Instruction& instruction) {
  if (isIndexOperand(instruction.opcode, 1)) return false;
  for (int32_t o = 0; o < instruction.outputCount; ++o)
    if (elementCount(instruction.outputs[o]) != 0) return false;
  return true;
}

Status atInstruction(Status status, int32_t index) {
  status.instruction = index;
  return status;
}

}  // namespace

/// The state of one decode. `next` walks the copied words; the first pass has made sure that they last.
struct Program::Decoder {
  Program& program;
  const int32_t* header;
  View* views = nullptr;
  int64_t viewCount = 0;

  Status checkHeader(int64_t count);
  Status measure();
  Status decodeBuffers();
  Status decodeFallbacks();
  Status decodeView(const int32_t*& at, const int32_t* end, View& view, bool output, int64_t which);
  Status decodeInstruction(const int32_t*& at, int32_t index);
  Status checkAliasing(const Instruction& instruction) const;
  Status checkRegions() const;
  void makeSteps();
  Placed placed(const View& view) const {
    const BufferInfo& buffer = program.buffers[view.buffer];
    return place(view, buffer.slot, buffer.offset);
  }
};

Status Program::Decoder::checkHeader(int64_t count) {
  if (count < kHeaderWords) return {StatusCode::truncated, -1, {count, kHeaderWords}};
  if (header[0] != kProgramMagic || header[1] != kFormatVersion) return {StatusCode::badHeader, -1, {header[0], header[1]}};
  if (static_cast<uint32_t>(header[2]) != kTableHash)
    return {StatusCode::tableMismatch, -1, {static_cast<uint32_t>(header[2]), kTableHash}};
  auto bad = [](Check check, int64_t which) { return atInstruction(malformed(check, which), -1); };
  if (header[10] > count) return {StatusCode::truncated, -1, {count, header[10]}};
  if (header[10] != count) return bad(Check::totalWords, header[10]);
  if (header[3] != 0) return bad(Check::headerReserved, 3);
  if (header[6] != 0) return {StatusCode::unsupported, -1, {static_cast<int64_t>(Check::symbolic), header[6]}};
  for (int word : {4, 5, 7, 8, 9, 11})
    if (header[word] < 0) return bad(Check::headerCounts, word);
  if (header[7] > header[5]) return bad(Check::headerCounts, 7);
  if (header[11] > header[7]) return bad(Check::headerCounts, 11);
  if (header[9] > kMaxSlots) return bad(Check::headerCounts, 9);
  if (kHeaderWords + int64_t{kBufferWords} * header[4] > count) return {StatusCode::truncated, -1, {count, 0}};
  program.bufferCount = header[4];
  program.instructionCount = header[5];
  program.commitIndex = header[7];
  program.arenaBytes = static_cast<size_t>(header[8]) * kUnit;
  program.slotCount = header[9];
  program.wordCount = count;
  return {};
}

/// Walks the instruction headers and counts views.
Status Program::Decoder::measure() {
  int64_t at = kHeaderWords + int64_t{kBufferWords} * program.bufferCount;
  for (int32_t i = 0; i < program.instructionCount; ++i) {
    if (at + kInstructionWords > program.wordCount) return {StatusCode::truncated, i, {program.wordCount, at + kInstructionWords}};
    const int32_t* words = header + at;
    const int64_t size = words[1], inputs = words[2], outputs = words[3], attributes = words[4];
    if (inputs < 0 || outputs < 0 || attributes < 0 || size < kInstructionWords + kViewWords * (inputs + outputs) + attributes)
      return atInstruction(malformed(Check::instructionSize), i);
    at += size;
    if (at > program.wordCount) return {StatusCode::truncated, i, {program.wordCount, at}};
    viewCount += inputs + outputs;
  }
  return at == program.wordCount ? Status{} : atInstruction(malformed(Check::totalWords, at), -1);
}

Status Program::Decoder::decodeBuffers() {
  for (int32_t s = 0; s < program.slotCount; ++s) program.slots[s] = {0, 1, false, false, false, -1, 0};
  const int32_t* at = header + kHeaderWords;
  for (int32_t b = 0; b < program.bufferCount; ++b, at += kBufferWords) {
    if (at[3] != 0 || (at[0] != 0 && at[0] != 1)) return atInstruction(malformed(Check::buffer, b), -1);
    if (at[0] == 0) {
      if (at[2] < 0 || at[2] > program.bufferCount) return atInstruction(malformed(Check::buffer, b), -1);
      if (at[1] < 0 || at[1] >= program.slotCount) return atInstruction(malformed(Check::slotNumber, b), -1);
      program.buffers[b] = {at[1], 0, 0};
    } else {
      if (at[1] < 0 || at[2] < 0) return atInstruction(malformed(Check::buffer, b), -1);
      const int64_t offset = at[1] * int64_t{kUnit}, bytes = at[2] * int64_t{kUnit};
      if (offset + bytes > static_cast<int64_t>(program.arenaBytes)) return atInstruction(malformed(Check::arenaRange, b), -1);
      program.buffers[b] = {-1, offset, bytes};
    }
  }
  return {};
}

/// After the instructions, when the sizes of slots and what is written are known.
Status Program::Decoder::decodeFallbacks() {
  for (int32_t b = 0; b < program.bufferCount; ++b) {
    const int32_t* words = header + kHeaderWords + int64_t{kBufferWords} * b;
    if (words[0] != 0 || words[2] == 0) continue;
    const int32_t slot = program.buffers[b].slot, other = program.buffers[words[2] - 1].slot;
    if (other < 0 || other == slot || !program.slots[slot].written || program.slots[other].written)
      return atInstruction(malformed(Check::buffer, b), -1);
    program.slots[slot].fallback = other;
    program.slots[other].fallbackBytes = std::max(program.slots[other].fallbackBytes, program.slots[slot].bytes);
    program.fallsBack = true;
  }
  return {};
}

Status Program::Decoder::decodeView(const int32_t*& at, const int32_t* end, View& view, bool output, int64_t which) {
  if (end - at < kViewWords) return malformed(Check::instructionSize, which);
  const int32_t buffer = at[0], type = at[1] & 0xff, layout = at[1] >> 8 & 0xff, rank = at[3];
  if (buffer < 0 || buffer >= program.bufferCount) return malformed(Check::viewBuffer, which);
  if (type > static_cast<int>(DType::float16) || at[1] >> 16) return malformed(Check::viewType, which);
  if (type > static_cast<int>(DType::boolean)) return {StatusCode::unsupported, 0, {type, which}};
  if (layout != 0) return {StatusCode::unsupported, 0, {at[1], which}};
  if (rank < 0 || rank > kMaxRank) return malformed(Check::viewShape, which);
  if (end - at < kViewWords + 2 * rank) return malformed(Check::instructionSize, which);
  view.buffer = buffer;
  view.dtype = static_cast<DType>(type);
  view.layout = 0;
  view.rank = rank;
  view.offset = at[2];
  if (view.offset < 0) return {StatusCode::outOfBounds, 0, {view.offset, which}};
  at += kViewWords;
  int64_t size = 1, low = view.offset, high = view.offset;
  bool empty = false;
  for (int d = 0; d < rank; ++d) {
    const int64_t extent = at[d], stride = at[rank + d];
    view.shape[d] = extent;
    view.stride[d] = stride;
    if (extent < 0) return malformed(Check::viewShape, which);
    if (extent == 0) {
      empty = true;
      continue;
    }
    // The product bounds the sum of extents too, so nothing here can overflow. Empty tensors obey it with their other extents.
    size *= extent;
    if (size > INT32_MAX) return malformed(Check::viewShape, which);
    (stride < 0 ? low : high) += (extent - 1) * stride;
  }
  at += 2 * rank;
  settleStrides(view);
  if (output && !distinctIndices(view)) return malformed(Check::selfOverlap, which);
  const int64_t width = sizeOf(view.dtype);
  const BufferInfo& info = program.buffers[buffer];
  if (!empty && (low < 0 || high > INT32_MAX || (info.slot < 0 && (high + 1) * width > info.bytes)))
    return {StatusCode::outOfBounds, 0, {low < 0 ? low : high, which}};
  if (info.slot >= 0) {
    SlotInfo& slot = program.slots[info.slot];
    if (!empty) slot.bytes = std::max(slot.bytes, (high + 1) * width);
    slot.alignment = std::max(slot.alignment, static_cast<int32_t>(width));
    (output ? slot.written : slot.read) = true;
  }
  return {};
}

Status Program::Decoder::checkAliasing(const Instruction& instruction) const {
  const bool isMap = instruction.opcode == Opcode::map;
  for (int o = 0; o < instruction.outputCount; ++o) {
    const Placed output = placed(instruction.outputs[o]);
    const int64_t which = instruction.inputCount + o;
    for (int i = 0; i < instruction.inputCount; ++i) {
      if (program.buffers[instruction.inputs[i].buffer].slot != output.space) continue;
      const Placed input = placed(instruction.inputs[i]);
      if (!(isMap && sameElements(output, input)) && overlap(output, input)) return malformed(Check::aliasing, which);
    }
    for (int other = 0; other < o; ++other)
      if (overlap(output, placed(instruction.outputs[other]))) return malformed(Check::aliasing, which);
  }
  return {};
}

Status Program::Decoder::decodeInstruction(const int32_t*& at, int32_t index) {
  const int32_t* start = at;
  const int32_t* end = start + start[1];
  Instruction& instruction = program.instructions[index];
  instruction = {};
  instruction.opcode = static_cast<Opcode>(start[0]);
  instruction.inputCount = start[2];
  instruction.outputCount = start[3];
  instruction.attributeCount = start[4];
  instruction.region = start[5] == kRegionFlag;
  instruction.keep = start[5] == kKeepFlag;
  instruction.inputs = views;
  instruction.outputs = views + start[2];
  if (start[0] <= 0 || start[0] >= kOpcodeLimit) return malformed(Check::opcode, start[0]);
  if (start[5] != 0 && start[5] != kRegionFlag && start[5] != kKeepFlag) return malformed(Check::region, start[5]);
  if (instruction.keep && instruction.inputCount < 2) return malformed(Check::region, start[5]);
  if (instruction.region &&
      (index == 0 || start[0] != static_cast<int32_t>(Opcode::map) || program.instructions[index - 1].opcode != Opcode::map))
    return malformed(Check::region, start[5]);

  const int32_t* words = start + kInstructionWords;
  const int32_t operands = start[2] + start[3];
  for (int32_t i = 0; i < operands; ++i)
    if (Status status = decodeView(words, end, *views++, i >= start[2], i); !status.ok()) return status;
  if (end - words != start[4]) return malformed(Check::instructionSize, end - words);
  instruction.attributes = words;
  at = end;
  if (Status status = checkInstruction(instruction); !status.ok()) return status;
  for (int32_t i = 0; i < instruction.inputCount; ++i) {
    const int32_t slot = program.buffers[instruction.inputs[i].buffer].slot;
    if (slot >= 0 && isIndexOperand(instruction.opcode, i)) program.slots[slot].index = program.indexed = true;
  }
  if (index >= program.commitIndex && canFail(instruction.opcode)) return malformed(Check::commit, program.commitIndex);
  if (Status status = checkAliasing(instruction); !status.ok()) return status;

  const KernelFamily& family = program.kernels->families[start[0]];
  if (!family.run) return {StatusCode::unsupported, 0, {start[0], 0}};
  if (family.prepare && !producesNothing(instruction)) {
    program.prepared_ = index + 1;
    if (Status status = family.prepare(instruction); !status.ok()) return status;
  }
  program.scratchBytes = std::max(program.scratchBytes, instruction.sharedScratch);
  instruction.keptBytes = wholeLines(instruction.keptBytes);
  program.keptBytes += instruction.keptBytes;
  return program.scratchBytes > kMaxMemory || program.keptBytes > kMaxMemory ? Status{StatusCode::outOfMemory} : Status{};
}

/// Maps of a region run at the same time: what one writes, no other may touch. Byte ranges are swept in order of their start; only those
/// that meet are looked at closely.
Status Program::Decoder::checkRegions() const {
  struct Access {
    Placed placed;
    int32_t instruction;
    bool written;
  };
  for (int32_t first = 0; first < program.instructionCount;) {
    int32_t last = first + 1;
    while (last < program.instructionCount && program.instructions[last].region) ++last;
    if (last - first > 1) {
      int64_t count = 0;
      for (int32_t i = first; i < last; ++i) count += program.instructions[i].inputCount + program.instructions[i].outputCount;
      Access* accesses = static_cast<Access*>(malloc(static_cast<size_t>(count) * sizeof(Access)));
      if (!accesses) return {StatusCode::outOfMemory, first};
      count = 0;
      for (int32_t i = first; i < last; ++i) {
        const Instruction& instruction = program.instructions[i];
        for (int32_t v = 0; v < instruction.inputCount + instruction.outputCount; ++v) {
          const Placed where = placed(instruction.inputs[v]);  // outputs follow inputs
          if (where.low < where.high) accesses[count++] = {where, i, v >= instruction.inputCount};
        }
      }
      std::sort(accesses, accesses + count, [](const Access& a, const Access& b) {
        return a.placed.space != b.placed.space ? a.placed.space < b.placed.space : a.placed.low < b.placed.low;
      });
      int32_t conflict = -1;
      for (int64_t a = 0; a < count && conflict < 0; ++a)
        for (int64_t b = a + 1;
             b < count && accesses[b].placed.space == accesses[a].placed.space && accesses[b].placed.low < accesses[a].placed.high; ++b)
          if (accesses[a].instruction != accesses[b].instruction && (accesses[a].written || accesses[b].written) &&
              overlap(accesses[a].placed, accesses[b].placed)) {
            conflict = std::max(accesses[a].instruction, accesses[b].instruction);
            break;
          }
      free(accesses);
      if (conflict >= 0) return atInstruction(malformed(Check::region, 1), conflict);
    }
    first = last;
  }
  return {};
}

/// Groups regions, and leaves out instructions that produce nothing. Such an instruction splits a region, which is always allowed, and so
/// do the ends of the prologue and of what can fail: steps do not reach over them, whatever is left out beside them.
void Program::Decoder::makeSteps() {
  bool open = false;
  for (int32_t i = 0; i < program.instructionCount; ++i) {
    const Instruction& instruction = program.instructions[i];
    if (i == header[11]) program.mainStep = program.stepCount;
    if (i == header[11] || i == program.commitIndex || producesNothing(instruction)) open = false;
    if (producesNothing(instruction)) continue;
    if (open && instruction.region) {
      ++program.steps[program.stepCount - 1].count;
    } else {
      program.steps[program.stepCount++] = {i, 1};
    }
    open = program.kernels->families[static_cast<int>(instruction.opcode)].runRegion != nullptr;
  }
  if (header[11] == program.instructionCount) program.mainStep = program.stepCount;
}

Status Program::decodeAll(const int32_t* source, int64_t count) {
  Decoder decoder{*this, source};
  if (Status status = decoder.checkHeader(count); !status.ok()) return status;
  if (Status status = decoder.measure(); !status.ok()) return status;

  const size_t sizes[] = {
      roundUp(static_cast<size_t>(count) * sizeof(int32_t)),          roundUp(static_cast<size_t>(instructionCount) * sizeof(Instruction)),
      roundUp(static_cast<size_t>(decoder.viewCount) * sizeof(View)), roundUp(static_cast<size_t>(bufferCount) * sizeof(BufferInfo)),
      roundUp(static_cast<size_t>(slotCount) * sizeof(SlotInfo)),     roundUp(static_cast<size_t>(instructionCount) * sizeof(Step)),
  };
  size_t total = 0;
  for (size_t size : sizes) total += size;
  if (total > blockBytes_) {
    free(block_);
    block_ = malloc(total);
    blockBytes_ = block_ ? total : 0;
    if (!block_) return {StatusCode::outOfMemory, -1, {static_cast<int64_t>(total), 0}};
  }
  std::byte* at = static_cast<std::byte*>(block_);
  auto take = [&](int i) {
    std::byte* start = at;
    at += sizes[i];
    return static_cast<void*>(start);
  };
  int32_t* copy = static_cast<int32_t*>(take(0));
  instructions = static_cast<Instruction*>(take(1));
  decoder.views = static_cast<View*>(take(2));
  buffers = static_cast<BufferInfo*>(take(3));
  slots = static_cast<SlotInfo*>(take(4));
  steps = static_cast<Step*>(take(5));
  memcpy(copy, source, static_cast<size_t>(count) * sizeof(int32_t));
  words = decoder.header = copy;

  if (Status status = decoder.decodeBuffers(); !status.ok()) return status;
  const int32_t* next = copy + kHeaderWords + kBufferWords * bufferCount;
  for (int32_t i = 0; i < instructionCount; ++i)
    if (Status status = decoder.decodeInstruction(next, i); !status.ok()) return atInstruction(status, i);
  if (Status status = decoder.decodeFallbacks(); !status.ok()) return status;
  if (Status status = decoder.checkRegions(); !status.ok()) return status;
  decoder.makeSteps();
  return reserveKept();
}

/// Memory for what instructions keep, one block.
Status Program::reserveKept() {
  if (keptBytes == 0) return {};
  kept_ = allocateAligned(keptBytes);
  if (!kept_) return {StatusCode::outOfMemory, -1, {static_cast<int64_t>(keptBytes), 0}};
  std::byte* at = static_cast<std::byte*>(kept_);
  for (int32_t i = 0; i < instructionCount; ++i) {
    if (instructions[i].keptBytes == 0) continue;
    instructions[i].kept = at;
    at += instructions[i].keptBytes;
  }
  return {};
}

Status Program::decode(const int32_t* source, int64_t count, const KernelTable& table) {
  clear();
  kernels = &table;
  Status status = decodeAll(source, count);
  if (!status.ok()) clear();
  return status;
}

void Program::clear() {
  for (int32_t i = 0; i < prepared_; ++i) free(instructions[i].plan);
  prepared_ = 0;
  freeAligned(kept_, keptBytes);
  kept_ = nullptr;
  filled_.store(false, std::memory_order_relaxed);
  instructionCount = bufferCount = slotCount = stepCount = commitIndex = mainStep = 0;
  arenaBytes = scratchBytes = keptBytes = 0;
  wordCount = 0;
  indexed = fallsBack = false;
}

Program::~Program() {
  clear();
  free(block_);
}

}  // namespace chainrule
