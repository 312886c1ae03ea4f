// Overlap of strided views (see overlap.h).
#include "overlap.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace chainrule {
namespace {

struct Term {
  int64_t stride;
  int64_t extent;  // 0 ≤ index < extent
};

/// Insertion sort: there are few terms, and often sorted ones.
template <class Before>
void sortTerms(Term* terms, int count, Before before) {
  for (int i = 1; i < count; ++i)
    for (int k = i; k > 0 && before(terms[k], terms[k - 1]); --k) std::swap(terms[k], terms[k - 1]);
}

/// Is there a choice of indices with sum(stride · index) = target? Terms are sorted by falling stride, all positive.
/// `reach[k]` is what the terms from k on can add. `budget` bounds the search.
bool reachable(const Term* terms, const int64_t* reach, int count, int64_t target, int& budget) {
  if (target < 0 || target > reach[0]) return false;
  if (count == 0) return target == 0;
  if (--budget < 0) return true;
  const Term& term = terms[0];
  // The rest adds at most reach[1], so only these indices can work.
  const int64_t least = std::max<int64_t>(0, (target - reach[1] + term.stride - 1) / term.stride);
  const int64_t most = std::min<int64_t>(term.extent - 1, target / term.stride);
  for (int64_t i = most; i >= least; --i)
    if (reachable(terms + 1, reach + 1, count - 1, target - i * term.stride, budget)) return true;
  return false;
}

}  // namespace

Placed place(const View& view, int64_t space, int64_t base) {
  const int64_t size = sizeOf(view.dtype);
  Placed p{&view, space, base + view.offset * size, 0, 0};
  int64_t low = 0, high = 0;
  for (int d = 0; d < view.rank; ++d) {
    if (view.shape[d] == 0) {
      p.low = p.high = p.start;
      return p;
    }
    const int64_t reach = (view.shape[d] - 1) * view.stride[d];
    (reach < 0 ? low : high) += reach;
  }
  p.low = p.start + low * size;
  p.high = p.start + (high + 1) * size;
  return p;
}

bool overlap(const Placed& a, const Placed& b) {
  if (a.space != b.space || a.low >= b.high || b.low >= a.high || a.low == a.high || b.low == b.high) return false;
  // An address of a: a.low + sum(|s|·i) + byte; one of b likewise. They meet where sum_a + byte_a − sum_b − byte_b = b.low − a.low;
  // writing an index of b as extent − 1 − j makes every term positive.
  Term terms[2 * kMaxRank + 2];
  int count = 0;
  int64_t target = b.low - a.low;
  auto add = [&](const Placed& p, bool negate) {
    const int64_t size = sizeOf(p.view->dtype);
    for (int d = 0; d <= p.view->rank; ++d) {
      const bool bytes = d == p.view->rank;
      const int64_t stride = bytes ? 1 : std::llabs(p.view->stride[d]) * size, extent = bytes ? size : p.view->shape[d];
      if (stride == 0 || extent == 1) continue;
      terms[count++] = {stride, extent};
      if (negate) target += (extent - 1) * stride;
    }
  };
  add(a, false);
  add(b, true);
  sortTerms(terms, count, [](const Term& x, const Term& y) { return x.stride > y.stride; });
  int64_t reach[2 * kMaxRank + 3];
  reach[count] = 0;
  for (int k = count - 1; k >= 0; --k) reach[k] = reach[k + 1] + terms[k].stride * (terms[k].extent - 1);
  int budget = 4096;
  return reachable(terms, reach, count, target, budget);
}

bool sameElements(const Placed& a, const Placed& b) {
  const View &x = *a.view, &y = *b.view;
  if (a.space != b.space || a.start != b.start || sizeOf(x.dtype) != sizeOf(y.dtype) || x.rank != y.rank) return false;
  for (int d = 0; d < x.rank; ++d)
    if (x.shape[d] != y.shape[d] || (x.stride[d] != y.stride[d] && x.shape[d] > 1)) return false;
  return true;
}

bool distinctIndices(const View& view) {
  Term terms[kMaxRank];
  int count = 0;
  for (int d = 0; d < view.rank; ++d) {
    if (view.shape[d] == 0) return true;
    if (view.shape[d] > 1) terms[count++] = {std::llabs(view.stride[d]), view.shape[d]};
  }
  sortTerms(terms, count, [](const Term& x, const Term& y) { return x.stride < y.stride; });
  int64_t reach = 0;
  for (int k = 0; k < count; ++k) {
    if (terms[k].stride <= reach) return false;
    reach += terms[k].stride * (terms[k].extent - 1);
  }
  return true;
}

}  // namespace chainrule
