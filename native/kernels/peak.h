// The yardstick of peak.cc, one per instruction set.
#pragma once
#include <cstdint>

namespace chainrule {

struct Peak {
  /// Multiply-adds that touch nothing but registers.
  void (*multiplyAdds)(int64_t rounds);
  double flopsPerRound;
};

// One per instruction set compiled in.
namespace scalar {
extern const Peak peak;
}
namespace sse2 {
extern const Peak peak;
}
namespace avx2 {
extern const Peak peak;
}
namespace avx512 {
extern const Peak peak;
}
namespace avx512_twin {
extern const Peak peak;
}
namespace neon {
extern const Peak peak;
}

}  // namespace chainrule
