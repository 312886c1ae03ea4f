// Memory of jobs: their record, slot table and copies of inputs. In: sizes. Out: aligned blocks, reused, since fresh pages are dear.
#pragma once
#include "../runtime/arena.h"

namespace chainrule::addon {

/// Its parts begin at whole cache lines.
struct StagingBlock {
  std::byte* memory = nullptr;
  size_t capacity = 0;
};

class Staging {
 public:
  Staging() = default;
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  StagingBlock acquire(size_t bytes);  ///< memory is nullptr when out of memory
  void release(StagingBlock block);
  size_t bytes() const { return bytes_ + lent_; }  ///< in use and kept

 private:
  static constexpr int kKept = 16;
  static constexpr size_t kKeptBytes = size_t{128} << 20;
  StagingBlock kept_[kKept];
  int count_ = 0;
  size_t bytes_ = 0;  ///< of those kept
  size_t lent_ = 0;
};

}  // namespace chainrule::addon
