// Random numbers: Philox4x32-10, a function of key and counter, so that element i is the same however the work is cut. In: the
// state (key, counter); out: uniform, normal or Bernoulli elements or whole numbers, kWidth counters at a time.
#include <cstdlib>

#include "../simd/math.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int64_t kChunkElements = 16384;

/// Ten rounds on kWidth counters (low, high, 0, 0); w are the four words of each.
CHAINRULE_INLINE void philox(I low, I high, uint32_t key0, uint32_t key1, I* w) {
  const I m0 = set1(static_cast<int32_t>(0xD2511F53u)), m1 = set1(static_cast<int32_t>(0xCD9E8D57u));
  I c0 = low, c1 = high, c2 = set1(0), c3 = set1(0);
  for (int round = 0; round < 10; round++) {
    I high0, low0, high1, low1;
    mulWide(c0, m0, high0, low0);
    mulWide(c2, m1, high1, low1);
    c0 = high1 ^ c1 ^ set1(static_cast<int32_t>(key0));
    c2 = high0 ^ c3 ^ set1(static_cast<int32_t>(key1));
    c1 = low1;
    c3 = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  w[0] = c0, w[1] = c1, w[2] = c2, w[3] = c3;
}

/// The top 24 bits as a fraction of 2^24.
CHAINRULE_INLINE F fraction(I w) { return toFloat(shiftRightLogical<8>(w)) * set1(0x1p-24f); }

struct Uniform {
  F a, range;
  CHAINRULE_INLINE void operator()(const I* w, F* r) const {
    for (int k = 0; k < 4; k++) r[k] = a + range * fraction(w[k]);
  }
};
struct Normal {
  F mean, deviation;
  CHAINRULE_INLINE void operator()(const I* w, F* r) const {
    for (int k = 0; k < 4; k += 2) {
      const F u = toFloat(shiftRightLogical<8>(w[k]) + set1(1)) * set1(0x1p-24f);  // in (0, 1]
      const F radius = sqrt(set1(-2.0f) * log(u)), angle = set1(6.28318531f) * fraction(w[k + 1]);
      r[k] = fma(deviation, radius * sine<1>(angle), mean);
      r[k + 1] = fma(deviation, radius * sine<0>(angle), mean);
    }
  }
};
struct Bernoulli {
  F p;
  CHAINRULE_INLINE void operator()(const I* w, F* r) const {
    for (int k = 0; k < 4; k++) r[k] = keep(lt(fraction(w[k]), p), set1(1.0f));
  }
};

/// low + ⌊w·range / 2^32⌋, the bits of integers; a range of 0 is 2^32.
struct Integer {
  int32_t low, range;
  CHAINRULE_INLINE void operator()(const I* w, F* r) const {
    for (int k = 0; k < 4; k++) {
      I high = w[k], rest;
      if (range != 0) mulWide(w[k], set1(range), high, rest);
      r[k] = asFloat(set1(low) + high);
    }
  }
};

struct Job {
  const Instruction* instruction;
  const Run* run;
  int64_t count;
};

/// Element 4·j + k of a group is word k of counter j: a transposition.
CHAINRULE_INLINE void interleave(const F* r, float* group) {
  float lane[4][kWidth];
  for (int k = 0; k < 4; k++) store(lane[k], r[k]);
  for (int j = 0; j < kWidth; j++) {
    for (int k = 0; k < 4; k++) group[4 * j + k] = lane[k][j];
  }
}

/// Elements lo…hi-1; lo is a multiple of 4·kWidth.
template <class Kind>
void draw(const Job& job, const Kind& kind, int64_t lo, int64_t hi) {
  const Instruction& instruction = *job.instruction;
  const auto* state = reinterpret_cast<const uint32_t*>(job.run->data<int32_t>(instruction.inputs[0]));
  const int64_t step = instruction.inputs[0].stride[0];
  const uint32_t key0 = state[0], key1 = state[step];
  const uint64_t start = (state[2 * step] | uint64_t{state[3 * step]} << 32) + static_cast<uint64_t>(int64_t{instruction.attributes[3]});
  const View& view = instruction.outputs[0];
  const bool wide = sizeOf(view.dtype) == 4;  // integers are moved as floats
  auto* floats = wide ? job.run->data<float>(view) : nullptr;
  auto* bytes = wide ? nullptr : job.run->data<uint8_t>(view);
  for (int64_t i = lo; i < hi; i += 4 * kWidth) {
    const uint64_t counter = start + static_cast<uint64_t>(i / 4);
    const I base = set1(static_cast<int32_t>(counter));
    const I low = base + lanes();
    // The carry of the 64-bit addition, lane by lane: unsigned low < base.
    const I flip = set1(INT32_MIN);
    const I high = set1(static_cast<int32_t>(counter >> 32)) - asInt(lt(low ^ flip, base ^ flip));
    I w[4];
    F r[4];
    philox(low, high, key0, key1, w);
    kind(w, r);
    const int64_t n = hi - i;
    float group[4 * kWidth];
    if (floats && n >= 4 * kWidth) {
      interleave(r, floats + i);
      continue;
    }
    interleave(r, group);
    for (int64_t k = 0; k < n && k < 4 * kWidth; k++) {
      if (floats) {
        floats[i + k] = group[k];
      } else {
        bytes[i + k] = group[k] != 0.0f;
      }
    }
  }
}

void randomChunk(void* argument, int64_t chunk, std::byte*) {
  const Job& job = *static_cast<const Job*>(argument);
  const int32_t* attributes = job.instruction->attributes;
  const float a = __builtin_bit_cast(float, attributes[1]), b = __builtin_bit_cast(float, attributes[2]);
  const int64_t lo = chunk * kChunkElements, hi = lo + kChunkElements < job.count ? lo + kChunkElements : job.count;
  if (attributes[0] == 0) {
    draw(job, Uniform{set1(a), set1(b - a)}, lo, hi);
  } else if (attributes[0] == 1) {
    draw(job, Normal{set1(a), set1(b)}, lo, hi);
  } else if (attributes[0] == 3) {
    draw(job, Integer{attributes[1], attributes[2]}, lo, hi);
  } else {
    draw(job, Bernoulli{set1(a)}, lo, hi);
  }
}

Status prepareRandom(Instruction& instruction) {
  instruction.plan = nullptr;
  instruction.sharedScratch = 0;
  return {};
}

Status runRandom(const Instruction& instruction, const Run& run) {
  const View& y = instruction.outputs[0];
  int64_t count = 1;
  for (int32_t d = 0; d < y.rank; d++) count *= y.shape[d];
  Job job{&instruction, &run, count};
  if (count > 0) parallel(run, (count + kChunkElements - 1) / kChunkElements, randomChunk, &job);
  return {};
}

}  // namespace

const KernelFamily randomFamily = {prepareRandom, runRandom, nullptr};

}  // namespace chainrule::CHAINRULE_ISA
