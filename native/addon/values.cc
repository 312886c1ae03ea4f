// Arguments and results (see values.h).
#include "values.h"

#include <algorithm>
#include <cstdlib>

namespace chainrule::addon {

napi_value fail(napi_env env, const char* message, const char* code) {
  bool already = false;
  if (napi_is_exception_pending(env, &already) == napi_ok && !already) napi_throw_type_error(env, code, message);
  return nullptr;
}

bool wholeArgument(napi_env env, napi_value value) {
  bool whole = true;
  return !value || napi_get_value_bool(env, value, &whole) != napi_ok || whole;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value statusValue(napi_env env, const Status& status) {
  if (status.ok()) {
    napi_value zero = nullptr;
    napi_create_int32(env, 0, &zero);
    return zero;
  }
  napi_value array = nullptr;
  if (napi_create_array_with_length(env, 4, &array) != napi_ok) return nullptr;
  const double fields[] = {static_cast<double>(status.code), static_cast<double>(status.instruction), static_cast<double>(status.detail[0]),
                           static_cast<double>(status.detail[1])};
  for (uint32_t i = 0; i < 4; ++i) napi_set_element(env, array, i, number(env, fields[i]));
  return array;
}

bool typedMemory(napi_env env, napi_value value, TypedMemory& memory, napi_value* buffer) {
  if (!value) return false;
  size_t length = 0;
  if (napi_get_typedarray_info(env, value, &memory.type, &length, &memory.data, buffer, nullptr) != napi_ok) return false;
  int64_t size;
  switch (memory.type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      size = 1;
      break;
    case napi_int16_array:
    case napi_uint16_array:
      size = 2;
      break;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      size = 4;
      break;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array:
      size = 8;
      break;
    default:
      return false;
  }
  memory.bytes = static_cast<int64_t>(length) * size;
  return true;
}

Slots::~Slots() {
  if (values_ != inlineValues_) free(values_);
  if (memory_ != inlineMemory_) free(memory_);
}

bool Slots::read(napi_env env, napi_value array) {
  bool isArray = false;
  if (!array || napi_is_array(env, array, &isArray) != napi_ok || !isArray || napi_get_array_length(env, array, &count_) != napi_ok) {
    fail(env, "slots must be an array of typed arrays");
    return false;
  }
  if (count_ > static_cast<uint32_t>(kMaxSlots)) {
    fail(env, "too many slots");
    return false;
  }
  if (count_ > kInline) {
    values_ = static_cast<napi_value*>(malloc(count_ * sizeof(napi_value)));
    memory_ = static_cast<SlotMemory*>(malloc(count_ * sizeof(SlotMemory)));
    if (!values_ || !memory_) {
      fail(env, "out of memory");
      return false;
    }
  }
  for (uint32_t i = 0; i < count_; ++i) {
    if (napi_get_element(env, array, i, &values_[i]) != napi_ok) {
      fail(env, "cannot read the slots");
      return false;
    }
  }
  return true;
}

bool Slots::resolve(napi_env env, int64_t wanted) {
  resolved_ = std::min<int64_t>(wanted, count_);
  for (int64_t i = 0; i < resolved_; ++i) {
    TypedMemory memory;
    if (!typedMemory(env, values_[i], memory)) {
      fail(env, "every slot must be a typed array");
      return false;
    }
    memory_[i] = {memory.data, memory.bytes};
  }
  return true;
}

bool Slots::detachable(napi_env env, int64_t slot) const {
  TypedMemory memory;
  napi_value buffer = nullptr;
  bool isArrayBuffer = false;
  if (!typedMemory(env, values_[slot], memory, &buffer)) return true;
  return napi_is_arraybuffer(env, buffer, &isArrayBuffer) != napi_ok || isArrayBuffer;
}

napi_value Slots::copy(napi_env env) const {
  napi_value array = nullptr;
  if (napi_create_array_with_length(env, count_, &array) != napi_ok) return nullptr;
  for (uint32_t i = 0; i < count_; ++i)
    if (napi_set_element(env, array, i, values_[i]) != napi_ok) return nullptr;
  return array;
}

}  // namespace chainrule::addon
