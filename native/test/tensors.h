// Tensors with guard bytes, and single instructions over them, for the stand-alone tests of kernel families. In: dtypes,
// shapes, memory orders, attributes; out: failures, counted and printed.
#pragma once
#include "kernel_harness.h"

namespace chainrule {

inline int gFailures = 0;
inline std::mt19937 gRandom(7);
inline int64_t pick(int64_t lo, int64_t hi) { return lo + static_cast<int64_t>(gRandom() % static_cast<uint64_t>(hi - lo + 1)); }
inline float uniform(float lo, float hi) { return lo + (hi - lo) * static_cast<float>(gRandom() >> 8) * 0x1p-24f; }

#define CHECK(condition, ...)                                     \
  do {                                                            \
    if (!(condition) && ++gFailures <= 30) {                      \
      std::printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::printf(__VA_ARGS__);                                   \
      std::printf("\n");                                          \
    }                                                             \
  } while (0)

/// Memory aligned to 64, as an arena's.
template <class T>
struct Aligned {
  using value_type = T;
  T* allocate(size_t n) { return static_cast<T*>(std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64)); }
  void deallocate(T* p, size_t) { std::free(p); }
  bool operator==(const Aligned&) const { return true; }
};
using Bytes = std::vector<unsigned char, Aligned<unsigned char>>;

/// A strided view on memory of its own, with guard bytes on both sides.
struct Tensor {
  DType type;
  std::vector<int64_t> shape, stride;
  int64_t offset = 0;
  Bytes memory;
  static constexpr int64_t kGuard = 64;

  int64_t count() const {
    int64_t n = 1;
    for (int64_t s : shape) n *= s;
    return n;
  }
  void allocate(int64_t elements) { memory.assign(static_cast<size_t>(elements * sizeOf(type) + 2 * kGuard), 0xa5); }
  unsigned char* base() { return memory.data() + kGuard; }
  int64_t at(int64_t linear) const {
    int64_t p = offset;
    for (size_t d = shape.size(); d-- > 0;) {
      p += linear % shape[d] * stride[d];
      linear /= shape[d];
    }
    return p;
  }
  double get(int64_t linear) {
    const unsigned char* p = base() + at(linear) * sizeOf(type);
    float f;
    int32_t i;
    if (type == DType::float32) return memcpy(&f, p, 4), f;
    if (type == DType::int32) return memcpy(&i, p, 4), i;
    return *p;
  }
  void set(int64_t linear, double x) {
    unsigned char* p = base() + at(linear) * sizeOf(type);
    const auto f = static_cast<float>(x);
    if (type == DType::float32) {
      memcpy(p, &f, 4);
    } else if (type == DType::int32) {
      const auto i = static_cast<int32_t>(x);
      memcpy(p, &i, 4);
    } else {
      *p = static_cast<unsigned char>(x);
    }
  }
  /// Whether the bytes outside the elements are untouched.
  bool guarded() {
    std::vector<bool> owned(memory.size());
    for (int64_t i = 0; i < count(); i++) {
      for (int64_t b = 0; b < sizeOf(type); b++) owned[static_cast<size_t>(kGuard + at(i) * sizeOf(type) + b)] = true;
    }
    for (size_t i = 0; i < memory.size(); i++) {
      if (!owned[i] && memory[i] != 0xa5) return false;
    }
    return true;
  }
};

/// Dimensions in memory in the order of `order` (outermost first), `pad` elements of gap, the first dimension backwards if asked.
inline Tensor make(DType type, std::vector<int64_t> shape, std::vector<int> order = {}, int64_t pad = 0, bool negative = false) {
  Tensor t{type, shape, std::vector<int64_t>(shape.size()), 0, {}};
  if (order.empty()) {
    for (size_t d = 0; d < shape.size(); d++) order.push_back(static_cast<int>(d));
  }
  int64_t step = 1;
  for (size_t k = order.size(); k-- > 0;) {
    const auto d = static_cast<size_t>(order[k]);
    t.stride[d] = step;
    step = step * shape[d] + (shape[d] > 0 ? pad : 0);
  }
  if (negative && !shape.empty() && shape[0] > 1) {
    t.offset = t.stride[0] * (shape[0] - 1);
    t.stride[0] = -t.stride[0];
  }
  t.allocate(step);
  return t;
}
/// One element for all indices along the dimensions where `along` is true.
inline Tensor broadcast(DType type, std::vector<int64_t> shape, std::vector<bool> along) {
  std::vector<int64_t> own = shape;
  for (size_t d = 0; d < shape.size(); d++) own[d] = along[d] ? 1 : own[d];
  Tensor t = make(type, own);
  for (size_t d = 0; d < shape.size(); d++) t.stride[d] = along[d] ? 0 : t.stride[d];
  t.shape = shape;
  return t;
}
inline void fill(Tensor& t, float lo = -2, float hi = 2) {
  for (int64_t i = 0; i < t.count(); i++) {
    t.set(i, t.type == DType::float32 ? uniform(lo, hi) : static_cast<double>(t.type == DType::boolean ? pick(0, 1) : t.type == DType::uint8 ? pick(0, 255) : pick(-9, 9)));
  }
}

/// One instruction over tensors; the same tensor twice is the same buffer.
struct Call {
  std::vector<View> inputs, outputs;
  std::vector<void*> buffers;
  std::vector<int32_t> attributes;
  Instruction instruction{};
  Bytes shared;

  View view(Tensor& t) {
    size_t b = 0;
    while (b < buffers.size() && buffers[b] != t.base()) b++;
    if (b == buffers.size()) buffers.push_back(t.base());
    return viewOf(static_cast<int32_t>(b), t.offset, t.shape, t.stride, t.type);
  }
  Call(Opcode opcode, const std::vector<Tensor*>& in, const std::vector<Tensor*>& out, std::vector<int32_t> a) : attributes(std::move(a)) {
    for (Tensor* t : in) inputs.push_back(view(*t));
    for (Tensor* t : out) outputs.push_back(view(*t));
    instruction.opcode = opcode;
    instruction.inputCount = static_cast<int32_t>(in.size());
    instruction.outputCount = static_cast<int32_t>(out.size());
    instruction.attributeCount = static_cast<int32_t>(attributes.size());
  }
  ~Call() { free(instruction.plan); }
  Call(const Call&) = delete;
  Status prepare(const KernelFamily& family) {
    for (View& v : inputs) settleStrides(v);
    for (View& v : outputs) settleStrides(v);
    instruction.inputs = inputs.data();
    instruction.outputs = outputs.data();
    instruction.attributes = attributes.data();
    const Status s = family.prepare(instruction);
    shared.assign(instruction.sharedScratch + 64, 0xff);
    return s;
  }
  Status run(const KernelFamily& family, Team& team) {
    Run r{buffers.data(), reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(shared.data()) + 63) & ~uintptr_t{63}), &team};
    return family.run(instruction, r);
  }
  Status operator()(const KernelFamily& family, Team& team) {
    const Status s = prepare(family);
    return s.ok() ? run(family, team) : s;
  }
};

// The teams of `both`, which a test's main sets.
inline Team* gOne = nullptr;
inline Team* gTwo = nullptr;

/// Runs by two threads, then by one, and compares the bytes of the outputs.
inline Status both(const char* what, const KernelFamily& family, Opcode opcode, const std::vector<Tensor*>& in, const std::vector<Tensor*>& out,
                   const std::vector<int32_t>& attributes) {
  Call call(opcode, in, out, attributes);
  Status s = call(family, *gTwo);
  std::vector<Bytes> first;
  for (Tensor* t : out) first.push_back(t->memory);
  if (s.ok()) s = call.run(family, *gOne);
  for (size_t j = 0; j < out.size(); j++) {
    CHECK(first[j] == out[j]->memory, "%s: one thread and two differ", what);
    CHECK(out[j]->guarded(), "%s: written outside output %zu", what, j);
  }
  return s;
}

/// A micro-program: constants (type, bits), operations (op, a, b, c), results.
struct Program {
  std::vector<std::pair<int32_t, int32_t>> constants;
  std::vector<std::vector<int32_t>> ops;
  std::vector<int32_t> results;
  std::vector<int32_t> words() const {
    std::vector<int32_t> w{static_cast<int32_t>(constants.size()), static_cast<int32_t>(ops.size()), static_cast<int32_t>(results.size())};
    for (const auto& [type, bits] : constants) w.push_back(type), w.push_back(bits);
    for (const auto& op : ops) {
      for (size_t i = 0; i < 4; i++) w.push_back(i < op.size() ? op[i] : 0);
    }
    for (int32_t r : results) w.push_back(r);
    return w;
  }
};
inline std::pair<int32_t, int32_t> constant(float f) { return {0, __builtin_bit_cast(int32_t, f)}; }
inline std::pair<int32_t, int32_t> constantI(int32_t i) { return {1, i}; }
inline const Program kIdentity{{}, {}, {0}};

}  // namespace chainrule
