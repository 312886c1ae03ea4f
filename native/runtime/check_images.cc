// The rules of convolution and pooling.
#include "checker.h"

namespace chainrule {

/// sh, sw, ph, pw, dh, dw, groups are the attributes 0…6.
bool Checker::convShapes(const View& x, const View& w, const View& y) {
  if (!atLeastOne(0, 2) || !notNegative(2, 4) || !atLeastOne(4, 7) || !rank(x, 4, 0) || !rank(w, 4, 1) || !rank(y, 4, 2)) return false;
  const int64_t groups = attribute(6);
  if (!require(x.shape[0] == y.shape[0] && w.shape[0] == y.shape[1] && w.shape[1] * groups == x.shape[1] && w.shape[0] % groups == 0,
               Check::operandShape))
    return false;
  for (int d = 0; d < 2; ++d) {
    const int64_t kernel = w.shape[2 + d];
    if (!require(kernel >= 1, Check::operandShape, 1)) return false;
    const int64_t room = x.shape[2 + d] + 2 * int64_t{attribute(2 + d)} - attribute(4 + d) * (kernel - 1) - 1;
    if (!require(room >= 0 && y.shape[2 + d] == room / attribute(d) + 1, Check::operandShape, 2)) return false;
  }
  return true;
}

bool Checker::conv(bool inputGrad) {
  if (!atLeast(2, 1) || !require(instruction.attributeCount >= 7, Check::attributeCount) || !isFloat(input(0), 0) || !isFloat(input(1), 1))
    return false;
  const bool fits = inputGrad ? convShapes(output(0), input(1), input(0)) : convShapes(input(0), input(1), output(0));
  constexpr ValueType product = ValueType::f32;
  return fits && shapesFrom(2, output(0)) && epilogue(7, &product, 2);
}

bool Checker::convWeightGrad() {
  return counts(2, 1) && attributes(7) && isFloat(input(0), 0) && isFloat(input(1), 1) && isFloat(output(0), 2) &&
         convShapes(input(0), output(0), input(1));
}

/// Pooling windows along one dimension. Rounding up is allowed as long as every window starts inside the padded input, also where not even the
/// first lies inside it whole.
bool Checker::window(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, int64_t which) {
  const int64_t reach = dilation * (kernel - 1) + 1, room = in + 2 * padding - reach;
  if (!require(padding < reach, Check::attribute, which)) return false;
  const int64_t below = room >= 0 ? room / stride : -((stride - 1 - room) / stride), above = room % stride == 0 ? below : below + 1;
  return require(out >= 1 && (out == below + 1 || (out == above + 1 && (out - 1) * stride < in + padding)), Check::operandShape, which);
}

bool Checker::maxPool() {
  if (!counts(1, 2) || !attributes(8) || !atLeastOne(0, 4) || !notNegative(4, 6) || !atLeastOne(6, 8)) return false;
  const View &x = input(0), &y = output(0), &index = output(1);
  if (!isFloat(x, 0) || !isFloat(y, 1) || !require(index.dtype == DType::int32, Check::operandType, 2) || !rank(x, 4, 0) ||
      !rank(y, 4, 1) || !shape(index, y, 2) || !require(x.shape[0] == y.shape[0] && x.shape[1] == y.shape[1], Check::operandShape, 1))
    return false;
  for (int d = 0; d < 2; ++d)
    if (!window(x.shape[2 + d], y.shape[2 + d], attribute(d), attribute(2 + d), attribute(4 + d), attribute(6 + d), 1)) return false;
  return true;
}

bool Checker::avgPool(const View& x, const View& y) {
  if (!isFloat(x, 0) || !isFloat(y, 1) || !atLeastOne(0, 4) || !notNegative(4, 6) || !inRange(6, 0, 1) || !rank(x, 4, 0) ||
      !rank(y, 4, 1) || !require(x.shape[0] == y.shape[0] && x.shape[1] == y.shape[1], Check::operandShape, 1))
    return false;
  for (int d = 0; d < 2; ++d)
    if (!window(x.shape[2 + d], y.shape[2 + d], attribute(d), attribute(2 + d), attribute(4 + d), 1, 1)) return false;
  return true;
}

}  // namespace chainrule
