// Reuse of job memory (see staging.h).
#include "staging.h"

namespace chainrule::addon {

Staging::~Staging() {
  for (int i = 0; i < count_; ++i) freeAligned(kept_[i].memory, kept_[i].capacity);
}

StagingBlock Staging::acquire(size_t bytes) {
  int best = -1;
  for (int i = 0; i < count_; ++i) {
    // A small job must not sit on a large block that the next large one wants.
    const bool fits = kept_[i].capacity >= bytes && kept_[i].capacity / 4 <= bytes + 4096;
    if (fits && (best < 0 || kept_[i].capacity < kept_[best].capacity)) best = i;
  }
  if (best >= 0) {
    const StagingBlock block = kept_[best];
    kept_[best] = kept_[--count_];
    bytes_ -= block.capacity;
    lent_ += block.capacity;
    return block;
  }
  const size_t unit = bytes < 4096 ? 512 : 4096;  // a page each would make bursts of small jobs pay for fresh pages
  const size_t capacity = (bytes + unit - 1) / unit * unit;
  std::byte* memory = static_cast<std::byte*>(allocateAligned(capacity));
  if (!memory) return {};
  lent_ += capacity;
  return {memory, capacity};
}

void Staging::release(StagingBlock block) {
  lent_ -= block.capacity;
  if (count_ == kKept) {
    // The blocks of shapes no longer in use would stay for ever: the oldest makes room.
    freeAligned(kept_[0].memory, kept_[0].capacity);
    bytes_ -= kept_[0].capacity;
    for (int i = 1; i < count_; ++i) kept_[i - 1] = kept_[i];
    --count_;
  }
  if (bytes_ + block.capacity > kKeptBytes) {
    freeAligned(block.memory, block.capacity);
    return;
  }
  kept_[count_++] = block;
  bytes_ += block.capacity;
}

}  // namespace chainrule::addon
