// A stream of tiles of the value that a micro-program makes over an index space: what reduce reads. In: a plan, the strides of its
// operands over the space, their base addresses; out: addresses of runs of values, in the order of positions.
#pragma once
#include "micro.h"
#include "strided.h"

namespace chainrule::CHAINRULE_ISA {

struct Source {
  const MicroPlan* plan = nullptr;
  const Strides* strides = nullptr;
  Space space{};
  bool linear = false;   ///< tiles go across rows; operands that do not simply run on are packed
  const void** base = nullptr;

  /// Bytes that open() takes from scratch.
  static size_t bytes(const MicroPlan* plan) {
    return kMicroScratchBytes + static_cast<size_t>(plan->operands) * (32 + 4 * static_cast<size_t>(plan->tile)) + 4 * static_cast<size_t>(plan->tile) + 256;
  }

  /// Carves its arrays out of `scratch`. base[i] is then to be set by the caller, and seek() called.
  void open(const MicroPlan* microPlan, const Strides* operandStrides, const Space& over, bool acrossRows, std::byte* scratch) {
    plan = microPlan;
    strides = operandStrides;
    space = over;
    linear = acrossRows;
    const int32_t n = plan->operands;
    micro_ = scratch;
    base = reinterpret_cast<const void**>(scratch + kMicroScratchBytes);
    data_ = base + n;
    offset_ = reinterpret_cast<int64_t*>(data_ + n);
    stride_ = offset_ + n;
    buffers_ = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(stride_ + n) + 63) & ~uintptr_t{63});
  }

  /// The next tile begins at `position` of the space.
  void seek(int64_t position) {
    const int32_t last = space.rank - 1;
    position_ = position;
    column_ = position % space.shape[last];
    odometer_.start(space, last, position / space.shape[last]);
    for (int32_t i = 0; i < plan->operands; i++) {
      stride_[i] = strides[i][last];
      offset_[i] = offsetOf(space, strides[i], last, position / space.shape[last]);
      if (linear && !isLinear(space, strides[i])) {
        data_[i] = buffer(i);
        stride_[i] = 1;
      } else {
        data_[i] = address(i, offset_[i] + column_ * strides[i][last]);
      }
    }
    bound_ = bindMicro(plan, data_, stride_, nullptr, nullptr, nullptr, micro_);
    startRow(*bound_);
    if (bound_->keptIsScalar) fillSingle();
  }

  /// At most `limit` values from here on; never across rows unless linear.
  const void* next(int64_t limit, int64_t& n) {
    const int32_t last = space.rank - 1;
    n = limit < plan->tile ? limit : plan->tile;
    if (linear) {
      for (int32_t i = 0; i < plan->operands; i++) {
        if (stride_[i] == 1 && data_[i] == buffer(i)) packOperand(i, n);
      }
    } else {
      if (column_ == space.shape[last]) nextRow();
      const int64_t left = space.shape[last] - column_;
      n = n < left ? n : left;
      column_ += n;
    }
    position_ += n;
    runTile(*bound_, n);
    const void* values = bound_->keptIsScalar ? buffer(plan->operands) : bound_->at[bound_->keptAt];
    advance(*bound_, n);
    return values;
  }

 private:
  std::byte* micro_ = nullptr;
  const void** data_ = nullptr;
  int64_t* offset_ = nullptr;
  int64_t* stride_ = nullptr;
  char* buffers_ = nullptr;
  const Bound* bound_ = nullptr;
  Odometer odometer_{};
  int64_t position_ = 0, column_ = 0;

  char* buffer(int32_t i) const { return buffers_ + i * plan->tile * 4; }
  const void* address(int32_t i, int64_t offset) const {
    return static_cast<const char*>(base[i]) + offset * sizeOf(plan->operandTypes()[i]);
  }
  void nextRow() {
    column_ = 0;
    odometer_.next(space, strides, plan->operands, offset_);
    for (int32_t i = 0; i < plan->operands; i++) {
      bound_->at[bound_->operandAt[i]] = static_cast<char*>(const_cast<void*>(address(i, offset_[i])));
    }
    startRow(*bound_);
    if (bound_->keptIsScalar) fillSingle();
  }
  void packOperand(int32_t i, int64_t n) {
    if (sizeOf(plan->operandTypes()[i]) == 4) {
      packRange<int32_t, false>(space, strides[i], static_cast<int32_t*>(const_cast<void*>(base[i])), position_, n,
                                reinterpret_cast<int32_t*>(buffer(i)));
    } else {
      packRange<uint8_t, false>(space, strides[i], static_cast<uint8_t*>(const_cast<void*>(base[i])), position_, n,
                                reinterpret_cast<uint8_t*>(buffer(i)));
    }
    bound_->at[bound_->operandAt[i]] = buffer(i);
  }
  void fillSingle() {
    auto* to = reinterpret_cast<int32_t*>(buffer(plan->operands));
    copyRun<int32_t>(to, 1, reinterpret_cast<const int32_t*>(bound_->at[bound_->keptAt]), 0, plan->tile);
  }
};

}  // namespace chainrule::CHAINRULE_ISA
