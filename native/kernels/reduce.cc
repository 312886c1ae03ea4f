// The reduce instruction. In: prologue inputs over the domain, a micro-program that makes one value of them, a kind, and an
// epilogue applied to the results. Out: one element per kept index. Two ways, chosen by which dimensions lie
// innermost in memory: along runs of reduced elements (reduce_runs.h), or whole rows of results at a time (reduce_rows.h). Where results are
// few, the domain is cut into segments whose partial results meet in a fixed order: no sum depends on threads.
#include <cstdlib>
#include <cstring>

#include "reduce_plan.h"
#include "reduce_rows.h"
#include "reduce_runs.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 32768;
constexpr int64_t kShortRow = 128;

/// The operand that decides about locality: the one that varies along most dimensions.
int32_t mainOperand(const Space& space, const Strides* strides, int32_t operands) {
  int32_t best = -1, most = 0;
  for (int32_t v = 0; v < operands; v++) {
    int32_t n = 0;
    for (int32_t d = 0; d < space.rank; d++) n += strides[v][d] != 0;
    if (n > most) best = v, most = n;
  }
  return best;
}

/// Splits the domain's dimensions into kept and reduced ones, collapsed and sorted.
void splitDomain(ReducePlan& plan, const Instruction& instruction, const int32_t* domain, bool ordered) {
  const int32_t rank = domain[0], operands = plan.operands, outs = plan.outViews();
  plan.kept.rank = plan.reduced.rank = 0;
  for (int32_t d = 0; d < rank; d++) {
    const bool isReduced = instruction.outputs[0].shape[d] == 1 && domain[1 + d] != 1;
    Space& space = isReduced ? plan.reduced : plan.kept;
    Strides* to = isReduced ? plan.reducedStrides() : plan.keptStrides();
    const int32_t at = space.rank++;
    space.shape[at] = domain[1 + d];
    for (int32_t v = 0; v < operands; v++) to[v][at] = instruction.inputs[v].stride[d];
    for (int32_t v = 0; !isReduced && v < outs; v++) to[operands + v][at] = outView(instruction, plan, v).stride[d];
  }
  collapse(plan.kept, plan.keptStrides(), operands + outs);
  sortByStride(plan.kept, plan.keptStrides(), operands + outs, 0, plan.kept.rank);
  collapse(plan.kept, plan.keptStrides(), operands + outs);
  collapse(plan.reduced, plan.reducedStrides(), operands);
  if (!ordered) {
    sortByStride(plan.reduced, plan.reducedStrides(), operands, 0, plan.reduced.rank);
    collapse(plan.reduced, plan.reducedStrides(), operands);
  }
  plan.keptCount = plan.kept.count();
  plan.reducedCount = plan.reduced.count();
}

/// Appends the dimensions first..last-1 of `from` to the walked space.
void append(ReducePlan& plan, const Space& from, const Strides* strides, int32_t first, int32_t last) {
  for (int32_t d = first; d < last; d++) {
    const int32_t at = plan.walked.rank++;
    plan.walked.shape[at] = from.shape[d];
    for (int32_t v = 0; v < plan.operands; v++) plan.walkedStrides()[v][at] = strides[v][d];
  }
}

/// Prefers the way in which the main operand's innermost dimension is walked innermost.
bool prefersRows(const ReducePlan& plan, bool arg) {
  if (arg || plan.kept.rank == 0) return false;
  if (plan.reduced.rank == 0) return true;
  const int32_t v = plan.mainView;
  if (v < 0) return true;
  const int64_t k = magnitude(plan.keptStrides()[v][plan.kept.rank - 1]), r = magnitude(plan.reducedStrides()[v][plan.reduced.rank - 1]);
  return k != 0 && (r == 0 || k < r);
}

void planRuns(ReducePlan& plan) {
  append(plan, plan.kept, plan.keptStrides(), 0, plan.kept.rank);
  append(plan, plan.reduced, plan.reducedStrides(), 0, plan.reduced.rank);
  const int64_t run = plan.reduced.rank > 0 ? plan.reduced.shape[plan.reduced.rank - 1] : 1;
  plan.linear = run < kShortRow && plan.walked.rank > 1;
  plan.segments = plan.keptCount < 64 && plan.reducedCount > kChunkElements ? (plan.reducedCount + kChunkElements - 1) / kChunkElements : 1;
  plan.segment = (plan.reducedCount + plan.segments - 1) / plan.segments;
  if (plan.segments > 1) {
    plan.segment = (plan.segment + 63) / 64 * 64;
    plan.segments = (plan.reducedCount + plan.segment - 1) / plan.segment;
    plan.perChunk = 1;
  } else {
    const int64_t each = plan.reducedCount + 8;
    plan.perChunk = each < kChunkElements ? kChunkElements / each : 1;
  }
  plan.chunks = (plan.keptCount + plan.perChunk - 1) / plan.perChunk * plan.segments;
}

void planRows(ReducePlan& plan) {
  const int32_t last = plan.kept.rank - 1;
  append(plan, plan.kept, plan.keptStrides(), 0, last);
  append(plan, plan.reduced, plan.reducedStrides(), 0, plan.reduced.rank);
  append(plan, plan.kept, plan.keptStrides(), last, last + 1);
  plan.rowLength = plan.kept.shape[last];
  plan.outer = plan.keptCount / plan.rowLength;
  const int64_t tile = plan.prologue()->tile;
  plan.linear = plan.rowLength < kShortRow && plan.rowLength * 2 <= tile && plan.reducedCount > 1;
  plan.block = plan.linear ? plan.rowLength : plan.rowLength < tile ? plan.rowLength : (tile < 512 ? tile : 512);
  plan.blocks = (plan.rowLength + plan.block - 1) / plan.block;
  const int64_t units = plan.outer * plan.blocks, perUnit = plan.reducedCount * plan.block;
  plan.segments = units < 16 && units * perUnit > kChunkElements && perUnit > 8192 ? (perUnit + kChunkElements - 1) / kChunkElements : 1;
  // A linear tile is a whole number of rows; so is a segment.
  plan.segment = (plan.reducedCount + plan.segments - 1) / plan.segments;
  plan.segments = (plan.reducedCount + plan.segment - 1) / plan.segment;
  plan.perChunk = plan.segments == 1 && perUnit < kChunkElements ? kChunkElements / perUnit : 1;
  plan.chunks = (units + plan.perChunk - 1) / plan.perChunk * plan.segments;
  plan.direct = !plan.linear && plan.prologue()->identity && plan.operands > 0 && sizeOf(plan.prologue()->operandTypes()[0]) == 4 &&
                plan.walkedStrides()[0][plan.walked.rank - 1] == 1;
}

Status prepareReduce(Instruction& instruction) {
  const int32_t* words = instruction.attributes;
  const auto kind = static_cast<ReduceKind>(words[0]);
  const bool arg = kind == ReduceKind::argmax || kind == ReduceKind::argmin;
  const int32_t operands = words[1];
  const int32_t* domain = words + 2;
  const int32_t* prologueWords = domain + 1 + domain[0];
  const int32_t* epilogueWords = prologueWords + 3 + 2 * prologueWords[0] + 4 * prologueWords[1] + prologueWords[2];
  const int32_t outs = instruction.outputCount + instruction.inputCount - operands;

  auto* types = static_cast<DType*>(malloc(static_cast<size_t>(instruction.inputCount + instruction.outputCount) + 2));
  if (!types) return {StatusCode::outOfMemory};
  for (int32_t i = 0; i < operands; i++) types[i] = instruction.inputs[i].dtype;
  types[operands] = DType::float32;  // the value stays in its tile, whatever its type
  MicroPlan* prologue = prepareMicro(prologueWords, types, operands, types + operands, 1);
  MicroPlan* epilogue = nullptr;
  if (prologue) {
    types[0] = arg || prologue->resultType == ValueType::i32 ? DType::int32 : DType::float32;
    int32_t n = 1;
    for (int32_t i = operands; i < instruction.inputCount; i++) types[n++] = instruction.inputs[i].dtype;
    for (int32_t i = 0; i < instruction.outputCount; i++) types[n++] = instruction.outputs[i].dtype;
    const int32_t epilogueOperands = 1 + instruction.inputCount - operands;
    epilogue = prepareMicro(epilogueWords, types, epilogueOperands, types + epilogueOperands, instruction.outputCount);
  }
  free(types);
  if (!epilogue) {
    free(prologue);
    return {StatusCode::outOfMemory};
  }
  const size_t views = static_cast<size_t>(2 * operands + (operands + outs));
  const size_t prologueAt = (sizeof(ReducePlan) + sizeof(Strides) * (views + 1) + 63) / 64 * 64;
  const size_t epilogueAt = prologueAt + microPlanBytes(prologue);
  auto* plan = static_cast<ReducePlan*>(calloc(1, epilogueAt + microPlanBytes(epilogue)));
  if (plan) {
    memcpy(reinterpret_cast<std::byte*>(plan) + prologueAt, prologue, microPlanBytes(prologue));
    memcpy(reinterpret_cast<std::byte*>(plan) + epilogueAt, epilogue, microPlanBytes(epilogue));
  }
  free(prologue);
  free(epilogue);
  if (!plan) return {StatusCode::outOfMemory};
  plan->kind = kind;
  plan->operands = operands;
  plan->outputs = instruction.outputCount;
  plan->epilogueInputs = instruction.inputCount - operands;
  plan->prologueAt = static_cast<int32_t>(prologueAt);
  plan->epilogueAt = static_cast<int32_t>(epilogueAt);
  plan->integer = plan->prologue()->resultType == ValueType::i32;
  splitDomain(*plan, instruction, domain, arg);
  // What is chosen here must not depend on views alone that are broadcast.
  append(*plan, plan->kept, plan->keptStrides(), 0, plan->kept.rank);
  append(*plan, plan->reduced, plan->reducedStrides(), 0, plan->reduced.rank);
  plan->mainView = mainOperand(plan->walked, plan->walkedStrides(), operands);
  plan->walked.rank = 0;
  plan->rows = plan->reducedCount > 0 && plan->keptCount > 0 && prefersRows(*plan, arg);
  if (plan->keptCount == 0) {
    plan->chunks = 0;
  } else if (plan->rows) {
    planRows(*plan);
  } else {
    planRuns(*plan);
  }
  if (plan->walked.rank == 0) {
    plan->walked.rank = 1;
    plan->walked.shape[0] = 1;
  }
  instruction.plan = plan;
  // Partial results: values, and for runs their indices.
  const int64_t partials = plan->segments > 1 ? plan->segments * plan->keptCount : 0;
  instruction.sharedScratch = static_cast<size_t>(partials) * (plan->rows ? 4 : 8);
  if (scratchBytes(*plan) > kThreadScratchBytes) {
    free(plan);
    instruction.plan = nullptr;
    return {StatusCode::outOfMemory};
  }
  return {};
}

template <class Run1, class Rows1>
Status runWith(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const ReducePlan*>(instruction.plan);
  if (plan.chunks == 0) return {};
  ReduceJob job{&instruction, &plan, &run};
  if (plan.rows) {
    parallel(run, plan.chunks, rowsChunk<Rows1>, &job);
    if (plan.segments > 1) parallel(run, plan.outer * plan.blocks, rowsCombine<Rows1>, &job);
  } else {
    parallel(run, plan.chunks, runsChunk<Run1>, &job);
    if (plan.segments > 1) parallel(run, 1, runsCombine<Run1>, &job);
  }
  return {};
}

template <class T>
Status runKind(const Instruction& instruction, const Run& run) {
  switch (static_cast<const ReducePlan*>(instruction.plan)->kind) {
    case ReduceKind::sum: return runWith<Fold<Sum<T>>, RowFold<Sum<T>>>(instruction, run);
    case ReduceKind::prod: return runWith<Fold<Product<T>>, RowFold<Product<T>>>(instruction, run);
    case ReduceKind::max: return runWith<Fold<Maximum<T>>, RowFold<Maximum<T>>>(instruction, run);
    case ReduceKind::min: return runWith<Fold<Minimum<T>>, RowFold<Minimum<T>>>(instruction, run);
    case ReduceKind::argmax: return runWith<ArgFold<T, true>, RowFold<Sum<T>>>(instruction, run);
    default: return runWith<ArgFold<T, false>, RowFold<Sum<T>>>(instruction, run);
  }
}

Status runReduce(const Instruction& instruction, const Run& run) {
  return static_cast<const ReducePlan*>(instruction.plan)->integer ? runKind<int32_t>(instruction, run) : runKind<float>(instruction, run);
}

}  // namespace

const KernelFamily reduceFamily = {prepareReduce, runReduce, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
