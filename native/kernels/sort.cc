// Stable sorting along one axis. In: x; out: the first elements in order and where they were, as many as the outputs are long (all of them,
// or the k first). NaN counts as the greatest number. Rows are independent and run in parallel.
//
// An element becomes one 64-bit word: a key whose order as an unsigned number is the order wanted, above its position. Short rows are
// sorted by insertion, long ones by counting bytes; a few first elements are kept in a list of their own.
#include <cstdlib>
#include <cstring>

#include "../simd/simd.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 8192;
constexpr int64_t kInsertion = 48;
/// Up to so many first elements of a longer row are found by insertion into a list.
constexpr int64_t kFew = 32;

using Word = uint64_t;

/// Views: x, values, indices; the space is theirs without the axis.
struct SortPlan {
  Space rows;
  Strides strides[3];
  int64_t axis[3];
  int64_t length, wanted, count, rowsPerChunk, chunks;
  bool shared;  // a row's words do not fit into a thread's scratch
};

size_t scratchOf(int64_t length) { return 2 * sizeof(Word) * static_cast<size_t>(length); }

Status prepareSort(Instruction& instruction) {
  auto* plan = static_cast<SortPlan*>(calloc(1, sizeof(SortPlan)));
  if (!plan) return {StatusCode::outOfMemory};
  const View* views[3] = {&instruction.inputs[0], &instruction.outputs[0], &instruction.outputs[1]};
  const int32_t axis = instruction.attributes[0], rank = views[0]->rank;
  plan->rows.rank = rank - 1;
  for (int32_t d = 0; d < rank; d++) {
    const int32_t to = d < axis ? d : d - 1;
    if (d != axis) plan->rows.shape[to] = views[0]->shape[d];
    for (int32_t v = 0; v < 3; v++) (d == axis ? plan->axis[v] : plan->strides[v][to]) = views[v]->stride[d];
  }
  plan->length = views[0]->shape[axis];
  plan->wanted = views[1]->shape[axis];
  plan->count = plan->rows.count();
  collapse(plan->rows, plan->strides, 3);
  plan->shared = scratchOf(plan->length) > kThreadScratchBytes;
  plan->rowsPerChunk = plan->length >= kChunkElements ? 1 : kChunkElements / (plan->length > 0 ? plan->length : 1);
  plan->chunks = plan->wanted == 0 ? 0 : (plan->count + plan->rowsPerChunk - 1) / plan->rowsPerChunk;
  instruction.plan = plan;
  instruction.sharedScratch = plan->shared ? scratchOf(plan->length) : 0;
  return {};
}

CHAINRULE_INLINE uint32_t keyOf(float x) {
  const uint32_t bits = x == 0 ? 0 : __builtin_bit_cast(uint32_t, x);  // both zeros are equal
  if (x != x) return UINT32_MAX;
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
CHAINRULE_INLINE uint32_t keyOf(int32_t x) { return static_cast<uint32_t>(x) ^ 0x80000000u; }
CHAINRULE_INLINE uint32_t keyOf(uint8_t x) { return x; }

void insertionSort(Word* w, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    const Word x = w[i];
    int64_t j = i;
    for (; j > 0 && w[j - 1] > x; j--) w[j] = w[j - 1];
    w[j] = x;
  }
}

/// By the four bytes of the key, the lowest first; positions are in order already. Returns where the result is.
Word* radixSort(Word* from, Word* to, int64_t n) {
  uint32_t counts[4][256];
  memset(counts, 0, sizeof counts);
  for (int64_t i = 0; i < n; i++) {
    for (int b = 0; b < 4; b++) counts[b][from[i] >> (32 + 8 * b) & 255]++;
  }
  for (int b = 0; b < 4; b++) {
    const int shift = 32 + 8 * b;
    if (counts[b][from[0] >> shift & 255] == static_cast<uint32_t>(n)) continue;
    uint32_t at = 0;
    for (uint32_t& c : counts[b]) {
      const uint32_t here = c;
      c = at;
      at += here;
    }
    for (int64_t i = 0; i < n; i++) to[counts[b][from[i] >> shift & 255]++] = from[i];
    Word* swap = from;
    from = to;
    to = swap;
  }
  return from;
}

template <class T>
CHAINRULE_INLINE Word wordOf(T x, int64_t i, uint32_t flip) {
  return Word{keyOf(x) ^ flip} << 32 | static_cast<Word>(i);
}

/// The k least words of a row, in order.
template <class T>
Word* firstOf(const T* x, int64_t stride, int64_t n, int64_t k, uint32_t flip, Word* list) {
  for (int64_t i = 0; i < k; i++) list[i] = wordOf(x[i * stride], i, flip);
  insertionSort(list, k);
  for (int64_t i = k; i < n; i++) {
    const Word w = wordOf(x[i * stride], i, flip);
    if (w >= list[k - 1]) continue;
    int64_t j = k - 1;
    for (; j > 0 && list[j - 1] > w; j--) list[j] = list[j - 1];
    list[j] = w;
  }
  return list;
}

template <class T>
Word* orderOf(const SortPlan& plan, const T* x, uint32_t flip, Word* words) {
  const int64_t n = plan.length;
  if (plan.wanted <= kFew && n > kInsertion) return firstOf(x, plan.axis[0], n, plan.wanted, flip, words);
  for (int64_t i = 0; i < n; i++) words[i] = wordOf(x[i * plan.axis[0]], i, flip);
  if (n > kInsertion) return radixSort(words, words + n, n);
  insertionSort(words, n);
  return words;
}

struct Job {
  const Instruction* instruction;
  const Run* run;
};

template <class T>
void sortRows(const Job& job, int64_t first, int64_t end, std::byte* scratch) {
  const Instruction& instruction = *job.instruction;
  const auto& plan = *static_cast<const SortPlan*>(instruction.plan);
  const auto* x = job.run->data<T>(instruction.inputs[0]);
  auto* values = job.run->data<T>(instruction.outputs[0]);
  auto* indices = job.run->data<int32_t>(instruction.outputs[1]);
  const uint32_t flip = instruction.attributes[1] == 1 ? UINT32_MAX : 0;
  for (int64_t r = first; r < end; r++) {
    int64_t offset[3];
    for (int v = 0; v < 3; v++) offset[v] = offsetOf(plan.rows, plan.strides[v], plan.rows.rank, r);
    const T* row = x + offset[0];
    const Word* order = orderOf(plan, row, flip, reinterpret_cast<Word*>(scratch));
    for (int64_t i = 0; i < plan.wanted; i++) {
      const auto at = static_cast<uint32_t>(order[i]);
      values[offset[1] + i * plan.axis[1]] = row[at * plan.axis[0]];
      indices[offset[2] + i * plan.axis[2]] = static_cast<int32_t>(at);
    }
  }
}

void sortTyped(const Job& job, int64_t first, int64_t end, std::byte* scratch) {
  const DType type = job.instruction->inputs[0].dtype;
  type == DType::float32 ? sortRows<float>(job, first, end, scratch)
  : type == DType::int32 ? sortRows<int32_t>(job, first, end, scratch)
                         : sortRows<uint8_t>(job, first, end, scratch);
}

void sortChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Job& job = *static_cast<const Job*>(argument);
  const auto& plan = *static_cast<const SortPlan*>(job.instruction->plan);
  const int64_t first = chunk * plan.rowsPerChunk, end = first + plan.rowsPerChunk;
  sortTyped(job, first, end < plan.count ? end : plan.count, scratch);
}

Status runSort(const Instruction& instruction, const Run& run) {
  const auto& plan = *static_cast<const SortPlan*>(instruction.plan);
  Job job{&instruction, &run};
  if (plan.chunks == 0) return {};
  if (plan.shared) {
    sortTyped(job, 0, plan.count, run.sharedScratch);
  } else {
    parallel(run, plan.chunks, sortChunk, &job);
  }
  return {};
}

}  // namespace

const KernelFamily sortFamily = {prepareSort, runSort, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
