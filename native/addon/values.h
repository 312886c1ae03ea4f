// Arguments in, results out. In: napi_values from anybody. Out: plain C++ values, or a pending JavaScript exception with the code
// ERR_CHAINRULE_ARGUMENT. Nothing here trusts its input.
#pragma once
#include <node_api.h>

#include "../runtime/executor.h"

namespace chainrule::addon {

/// Throws and returns nullptr, so that an entry point can `return fail(…)`.
napi_value fail(napi_env env, const char* message, const char* code = "ERR_CHAINRULE_ARGUMENT");

/// The arguments of a call; missing ones are undefined.
template <size_t N>
struct Arguments {
  napi_value values[N] = {};
  size_t count = N;
  bool ok;
  Arguments(napi_env env, napi_callback_info info) { ok = napi_get_cb_info(env, info, &count, values, nullptr, nullptr) == napi_ok; }
  napi_value operator[](size_t i) const { return values[i]; }
};

napi_value number(napi_env env, double value);

/// Whether a program's prologue is to be run: yes, unless the argument is false.
bool wholeArgument(napi_env env, napi_value value);

/// 0, or [code, instruction, detail0, detail1].
napi_value statusValue(napi_env env, const Status& status);

struct TypedMemory {
  napi_typedarray_type type;
  void* data;
  int64_t bytes;
};

/// False when the value is no typed array. A detached one has no bytes. Runs no JavaScript.
bool typedMemory(napi_env env, napi_value value, TypedMemory& memory, napi_value* buffer = nullptr);

/// The slots argument: an array of typed arrays. Reading the array can run hostile getters, so it is read in whole first; addresses are
/// taken afterwards and hold until JavaScript runs again.
class Slots {
 public:
  Slots() = default;
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  /// Throws when it is not an array or memory is out.
  bool read(napi_env env, napi_value array);
  /// Addresses of the first `wanted` slots (or as many as there are); throws at one that is no typed array.
  bool resolve(napi_env env, int64_t wanted);
  /// A slot's ArrayBuffer is one that can be detached (not shared). After resolve.
  bool detachable(napi_env env, int64_t slot) const;
  /// The list as a new array that nobody else has; null when that cannot be made.
  napi_value copy(napi_env env) const;

  const SlotMemory* memory() const { return memory_; }
  /// Uses other memory in a slot's place. After resolve.
  void replace(int64_t slot, SlotMemory memory) { memory_[slot] = memory; }
  int64_t resolved() const { return resolved_; }

 private:
  static constexpr uint32_t kInline = 32;
  napi_value inlineValues_[kInline];
  SlotMemory inlineMemory_[kInline];
  napi_value* values_ = inlineValues_;
  SlotMemory* memory_ = inlineMemory_;
  uint32_t count_ = 0;
  int64_t resolved_ = 0;
};

}  // namespace chainrule::addon
