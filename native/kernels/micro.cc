// Prepares micro-programs and binds them to addresses (micro.h), and runs epilogue rows (epilogue.h). In: the words of a
// program and the dtypes around it; out: a MicroPlan, one malloc'd block without pointers into itself.
#include "micro.h"

#include <cstdlib>
#include <cstring>

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kMaxTile = 1024;
constexpr int64_t kMinTile = 32;
/// What one tile's buffers and streams may take of the 32 KB of L1.
constexpr int64_t kTileBudget = 32 << 10;

constexpr int64_t roundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

bool isWord(DType t) { return t == DType::float32 || t == DType::int32; }
ValueType valueTypeOf(DType t) { return t == DType::float32 ? ValueType::f32 : t == DType::boolean ? ValueType::mask : ValueType::i32; }

/// The words of a micro-program, taken apart.
struct Words {
  int32_t constants, ops, results;
  const int32_t* constantWords;  // type, bits
  const int32_t* opWords;        // op, a, b, c
  const int32_t* resultWords;
  explicit Words(const int32_t* w)
      : constants(w[0]), ops(w[1]), results(w[2]), constantWords(w + 3), opWords(constantWords + 2 * w[0]), resultWords(opWords + 4 * w[1]) {}
};

/// Gives each operation a tile buffer; a buffer is free again after the last use of its value. Returns the number of buffers.
/// `lastUse` has an entry per value: the last operation that reads it, `ops` for results, -1 for unused ones.
int32_t allocateSlots(MicroPlan& plan, const int32_t* lastUse, int32_t* freeSlots) {
  const int32_t first = plan.operands + plan.constants;
  int32_t slots = 0, freeCount = 0;
  for (int32_t i = 0; i < plan.ops; i++) {
    MicroOp& op = plan.opList()[i];
    // Operands that die here may lend their buffer to the result: loops read element i before they write element i.
    for (int32_t k = 0; k < op.signature->arity; k++) {
      const int32_t v = op.in[k];
      bool seen = false;
      for (int32_t j = 0; j < k; j++) seen = seen || op.in[j] == v;
      if (v >= first && lastUse[v] == i && !seen) freeSlots[freeCount++] = plan.opList()[v - first].slot;
    }
    op.slot = freeCount > 0 ? freeSlots[--freeCount] : slots++;
    if (lastUse[first + i] < 0) freeSlots[freeCount++] = op.slot;
  }
  return slots;
}

}  // namespace

MicroPlan* prepareMicro(const int32_t* words, const DType* operandTypes, int32_t operandCount, const DType* resultTypes,
                        int32_t resultCount) {
  const Words w(words);
  const int32_t values = operandCount + w.constants + w.ops;
  const int64_t bytes = roundUp(static_cast<int64_t>(sizeof(MicroPlan) + sizeof(MicroOp) * w.ops) +
                                    4 * (static_cast<int64_t>(w.constants) + w.results + operandCount) + operandCount + resultCount,
                                64);
  auto* plan = static_cast<MicroPlan*>(calloc(1, static_cast<size_t>(bytes)));
  auto* types = static_cast<ValueType*>(malloc(static_cast<size_t>(values) + 1));
  auto* lastUse = static_cast<int32_t*>(malloc(8 * static_cast<size_t>(values) + 8));  // and room for the free list
  if (!plan || !types || !lastUse) {
    free(plan), free(types), free(lastUse);
    return nullptr;
  }
  plan->bytes = static_cast<int32_t>(bytes);
  plan->operands = operandCount;
  plan->constants = w.constants;
  plan->ops = w.ops;
  plan->results = w.results;
  for (int32_t i = 0; i < values; i++) lastUse[i] = -1;
  for (int32_t i = 0; i < operandCount; i++) types[i] = valueTypeOf(operandTypes[i]);
  for (int32_t i = 0; i < w.constants; i++) {
    types[operandCount + i] = static_cast<ValueType>(w.constantWords[2 * i]);
    const int32_t bits = w.constantWords[2 * i + 1];
    const_cast<int32_t*>(plan->constantList())[i] = types[operandCount + i] == ValueType::mask ? -(bits != 0) : bits;
  }
  int32_t cost = operandCount + resultCount;
  for (int32_t i = 0; i < w.ops; i++) {
    MicroOp& op = plan->opList()[i];
    const int32_t* source = w.opWords + 4 * i;
    const MapOp code = static_cast<MapOp>(source[0]);
    const int arity = arityOf(code);
    ValueType args[3] = {};
    for (int k = 0; k < arity; k++) {
      op.in[k] = source[1 + k];
      args[k] = types[op.in[k]];
      lastUse[op.in[k]] = i;
      if (op.in[k] >= operandCount + w.constants) plan->opList()[op.in[k] - operandCount - w.constants].inner = true;
    }
    for (int k = arity; k < 3; k++) op.in[k] = op.in[0];
    op.signature = signatureOf(code, args);
    types[operandCount + w.constants + i] = op.signature->result;
    cost += op.signature->heavy ? 10 : code == MapOp::sqrt || code == MapOp::div || code == MapOp::rsqrt ? 4 : 1;
  }
  for (int32_t i = 0; i < w.results; i++) {
    const_cast<int32_t*>(plan->resultList())[i] = w.resultWords[i];
    lastUse[w.resultWords[i]] = w.ops;
  }
  memcpy(const_cast<int32_t*>(plan->lastUse()), lastUse, 4 * static_cast<size_t>(operandCount));
  memcpy(const_cast<DType*>(plan->operandTypes()), operandTypes, static_cast<size_t>(operandCount));
  memcpy(const_cast<DType*>(plan->resultTypes()), resultTypes, static_cast<size_t>(resultCount));
  plan->slots = allocateSlots(*plan, lastUse, lastUse + values);
  plan->cost = cost;
  plan->resultType = types[w.resultWords[0]];
  plan->identity = w.results == 1 && w.resultWords[0] == 0;
  // Cursors, steps, streams, stride cells, single values: see bindMicro.
  const int64_t moves = operandCount + resultCount;
  plan->fixedBytes = static_cast<int32_t>(roundUp(
      static_cast<int64_t>(sizeof(Bound)) + 8 * (values + 2 * moves) + static_cast<int64_t>(sizeof(Step)) * (w.ops + moves) +
          static_cast<int64_t>(sizeof(Bound::Stream)) * moves + 4 * (values + moves) + 8 * moves + 4 * values + 8 * 64,
      64));
  // Conversions may need a buffer for each operand too.
  const int64_t buffers = plan->slots + operandCount;
  const int64_t room = static_cast<int64_t>(kMicroScratchBytes) - plan->fixedBytes;
  int64_t tile = kTileBudget / (4 * (plan->slots + operandCount + resultCount));
  tile = tile > kMaxTile ? kMaxTile : tile < kMinTile ? kMinTile : tile;
  while (tile > kMinTile && buffers * tile * 4 > room) tile /= 2;
  plan->tile = tile / 32 * 32;
  const bool fits = buffers * plan->tile * 4 <= room;
  free(types), free(lastUse);
  if (fits) return plan;
  free(plan);  // thousands of values alive at once: the compiler never makes such a program
  return nullptr;
}

size_t microPlanBytes(const MicroPlan* plan) { return static_cast<size_t>(plan->bytes); }
bool microIsIdentity(const MicroPlan* plan) { return plan->identity; }

namespace {

/// Hands out the scratch.
struct Arena {
  std::byte* next;
  template <class T>
  T* take(int64_t count, size_t align = alignof(T)) {
    auto at = (reinterpret_cast<uintptr_t>(next) + align - 1) & ~(align - 1);
    next = reinterpret_cast<std::byte*>(at) + sizeof(T) * static_cast<size_t>(count);
    return reinterpret_cast<T*>(at);
  }
};

/// State of bindMicro, so that its parts can be functions.
struct Binder {
  const MicroPlan& plan;
  Bound& b;
  Arena& arena;
  int32_t cursors;      // used entries of b.at
  int32_t* valueAt;     // the cursor of each value
  bool* single;         // whether each value is one for the row
  int32_t* cells;       // memory of single values
  std::byte* buffers;   // tile buffers

  int32_t cursor(void* address) {
    b.at[cursors] = static_cast<char*>(address);
    return cursors++;
  }
  int32_t buffer(int32_t slot) { return cursor(buffers + static_cast<int64_t>(slot) * b.tile * 4); }
  int32_t strideCell(int64_t stride) {
    auto* cell = arena.take<int64_t>(1);
    *cell = stride;
    return cursor(cell);
  }
  void step(Loop run, int32_t x, int32_t y, int32_t z, int32_t out) { b.steps[b.stepCount++] = {run, {x, y, z}, out}; }
  void stream(int32_t at, int64_t advance) {
    if (advance != 0) b.streams[b.streamCount++] = {at, static_cast<int32_t>(advance)};
  }

  /// How many results a value is.
  int32_t uses(int32_t value) const {
    int32_t n = 0;
    for (int32_t j = 0; j < plan.results; j++) n += plan.resultList()[j] == value;
    return n;
  }

  /// An operand: read in place where it can be, else converted into a cell or a buffer first.
  /// `handedOn`: it is a result too, and another result overwrites it.
  CHAINRULE_INLINE void operand(int32_t i, const void* data, int64_t stride, bool scalarPass, bool handedOn) {
    const DType type = plan.operandTypes()[i];
    single[i] = stride == 0;
    if (single[i] != scalarPass) return;
    const int32_t source = b.operandAt[i] = cursor(const_cast<void*>(data));
    valueAt[i] = source;
    if (plan.lastUse()[i] < 0) return;
    stream(source, stride * sizeOf(type));
    const MoveLoops loads = loadLoops(type);
    if (single[i]) {
      if (isWord(type)) return;
      valueAt[i] = cursor(cells + i);
      step(loads.unit, source, source, source, valueAt[i]);
    } else if (stride != 1 || !isWord(type) || handedOn) {
      valueAt[i] = buffer(plan.slots + i);
      if (stride == 1) {
        step(isWord(type) ? storeLoops(type, false).unit : loads.unit, source, source, source, valueAt[i]);
      } else {
        step(loads.strided, source, strideCell(stride), source, valueAt[i]);
      }
    }
  }
};

}  // namespace

Bound* bindMicro(const MicroPlan* planPointer, const void* const* operands, const int64_t* operandStride, void* const* results,
                 const int64_t* resultStride, const bool* streamed, std::byte* scratch) {
  const MicroPlan& plan = *planPointer;
  const int32_t values = plan.values(), moves = plan.operands + plan.results, first = plan.operands + plan.constants;
  Arena arena{scratch};
  auto* bound = arena.take<Bound>(1);
  Bound& b = *bound;
  b.at = arena.take<char*>(values + 2 * moves);
  b.steps = arena.take<Step>(plan.ops + moves);
  b.streams = arena.take<Bound::Stream>(moves);
  b.operandAt = arena.take<int32_t>(plan.operands);
  b.resultAt = arena.take<int32_t>(plan.results);
  b.scalarSteps = b.stepCount = b.streamCount = 0;
  b.alignTo = -1;
  b.tile = plan.tile;
  auto* valueAt = arena.take<int32_t>(values);
  auto* cells = arena.take<int32_t>(values);
  auto* single = arena.take<bool>(values);
  Binder bind{plan, b, arena, 0, valueAt, single, cells, scratch + plan.fixedBytes};

  // What is one value for the row comes first: startRow runs it.
  for (int32_t i = 0; i < plan.operands; i++) bind.operand(i, operands[i], operandStride[i], true, false);
  for (int32_t i = 0; i < plan.constants; i++) {
    valueAt[plan.operands + i] = bind.cursor(const_cast<int32_t*>(plan.constantList() + i));
    single[plan.operands + i] = true;
  }
  for (int32_t i = 0; i < plan.ops; i++) {
    const MicroOp& op = plan.opList()[i];
    bool all = true;
    for (int k = 0; k < op.signature->arity; k++) all = all && single[op.in[k]];
    single[first + i] = all;
    if (!all) continue;
    const int32_t out = valueAt[first + i] = bind.cursor(cells + first + i);
    bind.step(op.signature->loops[0], valueAt[op.in[0]], valueAt[op.in[1]], valueAt[op.in[2]], out);
  }
  b.scalarSteps = b.stepCount;

  for (int32_t i = 0; i < plan.operands; i++) {
    bool handedOn = false;
    for (int32_t j = 0; results && plan.lastUse()[i] == plan.ops && j < plan.results; j++) {
      handedOn = handedOn || (results[j] == operands[i] && plan.resultList()[j] != i);
    }
    bind.operand(i, operands[i], operandStride[i], false, handedOn);
  }
  // A result is written in place by the operation that makes it, unless something still to be read is there, or the
  // store needs a conversion.
  if (results) {
    for (int32_t j = 0; j < plan.results; j++) {
      b.resultAt[j] = bind.cursor(results[j]);
      bind.stream(b.resultAt[j], resultStride[j] * sizeOf(plan.resultTypes()[j]));
    }
  }
  for (int32_t i = 0; i < plan.ops; i++) {
    const MicroOp& op = plan.opList()[i];
    if (single[first + i]) continue;
    int32_t out = -1;
    const Loop* loops = op.signature->loops;
    for (int32_t j = 0; results && j < plan.results && out < 0; j++) {
      if (plan.resultList()[j] != first + i || !isWord(plan.resultTypes()[j]) || resultStride[j] != 1) continue;
      // What goes past the caches must not be read again soon.
      const bool past = streamed && streamed[j];
      bool safe = !past || (!op.inner && !op.signature->heavy && bind.uses(first + i) == 1);
      for (int32_t k = 0; k < plan.operands; k++) safe = safe && (operands[k] != results[j] || plan.lastUse()[k] <= i);
      if (!safe) continue;
      out = b.resultAt[j];
      if (!past) continue;
      loops = op.signature->streamed;
      if (b.alignTo < 0) b.alignTo = out;
    }
    if (out < 0) out = bind.buffer(op.slot);
    valueAt[first + i] = out;
    int index = 0;
    for (int k = 0; k < op.signature->arity; k++) index |= single[op.in[k]] << k;
    bind.step(loops[index], valueAt[op.in[0]], valueAt[op.in[1]], valueAt[op.in[2]], out);
  }
  if (!results) {
    b.keptAt = valueAt[plan.resultList()[0]];
    b.keptIsScalar = single[plan.resultList()[0]];
    return bound;
  }
  for (int32_t j = 0; j < plan.results; j++) {
    const int32_t v = plan.resultList()[j], at = b.resultAt[j];
    if (valueAt[v] == at) continue;
    const MoveLoops stores = storeLoops(plan.resultTypes()[j], single[v]);
    if (streamed && streamed[j] && resultStride[j] == 1 && isWord(plan.resultTypes()[j])) {
      bind.step(streamLoop(single[v]), valueAt[v], valueAt[v], valueAt[v], at);
      if (b.alignTo < 0) b.alignTo = at;
    } else if (resultStride[j] == 1) {
      bind.step(stores.unit, valueAt[v], valueAt[v], valueAt[v], at);
    } else {
      bind.step(stores.strided, valueAt[v], bind.strideCell(resultStride[j]), valueAt[v], at);
    }
  }
  return bound;
}

void runMicroRow(const MicroPlan* plan, const void* const* operands, const int64_t* operandStride, void* const* results,
                 const int64_t* resultStride, int64_t count, std::byte* scratch) {
  const Bound* b = bindMicro(plan, operands, operandStride, results, resultStride, nullptr, scratch);
  startRow(*b);
  runRow(*b, count);
}

}  // namespace chainrule::CHAINRULE_ISA
