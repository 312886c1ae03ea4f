// The loops of the micro-program engine between memory and values: bytes to 32-bit lanes and back, strided elements,
// single values spread over a row, and stores past the caches. In and out as Loop (micro.h): a = source, b = address of the stride.
#include "micro.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

int64_t strideAt(const void* b) { return *static_cast<const int64_t*>(b); }

/// uint8 → i32, or bool → mask.
template <bool mask>
void loadByteUnit(const void* a, const void*, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(a);
  auto* q = static_cast<int32_t*>(out);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const I v = loadBytes(p + i);
    store(q + i, mask ? asInt(ne(v, set1(0))) : v);
  }
  for (; i < n; i++) q[i] = mask ? -(p[i] != 0) : p[i];
}
template <bool mask>
void loadByteStrided(const void* a, const void* b, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(a);
  const int64_t s = strideAt(b);
  auto* q = static_cast<int32_t*>(out);
  for (int64_t i = 0; i < n; i++) q[i] = mask ? -(p[i * s] != 0) : p[i * s];
}
void loadWordStrided(const void* a, const void* b, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const int32_t*>(a);
  const int64_t s = strideAt(b);
  auto* q = static_cast<int32_t*>(out);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(q + i, loadStrided(p + i * s, s));
  for (; i < n; i++) q[i] = p[i * s];
}

template <bool scalar>
void storeWordUnit(const void* a, const void*, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const int32_t*>(a);
  auto* q = static_cast<int32_t*>(out);
  const I one = set1(*p);
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    const I r0 = scalar ? one : load(p + i), r1 = scalar ? one : load(p + i + kWidth);
    const I r2 = scalar ? one : load(p + i + 2 * kWidth), r3 = scalar ? one : load(p + i + 3 * kWidth);
    store(q + i, r0);
    store(q + i + kWidth, r1);
    store(q + i + 2 * kWidth, r2);
    store(q + i + 3 * kWidth, r3);
  }
  for (; i < n; i++) q[i] = p[scalar ? 0 : i];
}
template <bool scalar>
void storeWordStreamed(const void* a, const void*, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const int32_t*>(a);
  auto* q = static_cast<int32_t*>(out);
  const I one = set1(*p);
  int64_t i = 0;
  for (; i < n && (reinterpret_cast<uintptr_t>(q + i) & 63) != 0; i++) q[i] = p[scalar ? 0 : i];
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    for (int k = 0; k < 4; k++) stream(q + i + k * kWidth, scalar ? one : load(p + i + k * kWidth));
  }
  for (; i < n; i++) q[i] = p[scalar ? 0 : i];
}
template <bool scalar>
void storeWordStrided(const void* a, const void* b, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const int32_t*>(a);
  const int64_t s = strideAt(b);
  auto* q = static_cast<int32_t*>(out);
  for (int64_t i = 0; i < n; i++) q[i * s] = p[scalar ? 0 : i];
}

/// i32 → its low byte, mask → 0 or 1.
template <bool mask, bool scalar>
void storeByteUnit(const void* a, const void*, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const int32_t*>(a);
  auto* q = static_cast<uint8_t*>(out);
  const I keepBits = set1(mask ? 1 : 255);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) storeBytes(q + i, (scalar ? set1(*p) : load(p + i)) & keepBits);
  for (; i < n; i++) q[i] = static_cast<uint8_t>(p[scalar ? 0 : i] & (mask ? 1 : 255));
}
template <bool mask, bool scalar>
void storeByteStrided(const void* a, const void* b, const void*, void* out, int64_t n) {
  const auto* p = static_cast<const int32_t*>(a);
  const int64_t s = strideAt(b);
  auto* q = static_cast<uint8_t*>(out);
  for (int64_t i = 0; i < n; i++) q[i * s] = static_cast<uint8_t>(p[scalar ? 0 : i] & (mask ? 1 : 255));
}

template <bool scalar>
MoveLoops storesOf(DType type) {
  if (type == DType::uint8) return {storeByteUnit<false, scalar>, storeByteStrided<false, scalar>};
  if (type == DType::boolean) return {storeByteUnit<true, scalar>, storeByteStrided<true, scalar>};
  return {storeWordUnit<scalar>, storeWordStrided<scalar>};
}

}  // namespace

MoveLoops loadLoops(DType type) {
  if (type == DType::uint8) return {loadByteUnit<false>, loadByteStrided<false>};
  if (type == DType::boolean) return {loadByteUnit<true>, loadByteStrided<true>};
  return {nullptr, loadWordStrided};
}
MoveLoops storeLoops(DType type, bool scalar) { return scalar ? storesOf<true>(type) : storesOf<false>(type); }
Loop streamLoop(bool scalar) { return scalar ? storeWordStreamed<true> : storeWordStreamed<false>; }

}  // namespace chainrule::CHAINRULE_ISA
