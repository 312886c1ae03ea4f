// Whether strided views share memory. In: views with their places in one address space. Out: exact answers (or "yes" when too expensive).
#pragma once
#include "../kernels/instruction.h"

namespace chainrule {

/// A view in an address space of its own: all arena buffers share one, each slot is one.
struct Placed {
  const View* view;
  int64_t space;
  int64_t start;      ///< byte address of element 0, …, 0
  int64_t low, high;  ///< bytes touched lie in [low, high); equal for an empty view
};

Placed place(const View& view, int64_t space, int64_t base);

/// Some byte belongs to both.
bool overlap(const Placed& a, const Placed& b);

/// Every index is at the same address in both.
bool sameElements(const Placed& a, const Placed& b);

/// No two indices of the view meet: each stride steps over all that the smaller ones reach.
bool distinctIndices(const View& view);

}  // namespace chainrule
