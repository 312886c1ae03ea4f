// What gemm and convolution do with their product, planned once: store it, finish it inside the micro-kernel (bias along a
// dimension, a full addend, ReLU), or hand the finished tile, still in cache, row by row to the epilogue's micro-program.
// In: the instruction's views and micro-program; out: a ProductPlan at the end of the family's own plan block.
#pragma once
#include "epilogue.h"
#include "gemm_micro.h"

namespace chainrule::CHAINRULE_ISA {

constexpr int kMaxBatchRank = kMaxRank - 2;

/// How an operand's numbers lie along n, by its strides and its sizes.
enum class Along : int32_t {
  single,    ///< n has one index, so that all of the following is true
  constant,  ///< one number for all n
  dense,     ///< side by side
  strided,   ///< a fixed step apart
  lines,     ///< in lines, whose steps are none of the above together
};

/// A view seen as a batch of matrices: where it begins and the steps of each index. Convolution takes the pixels of an
/// image as n; only of `lines` is `n` the step within a line, and `line` the step from one line to the next.
struct Operand {
  int32_t buffer;
  DType dtype;
  int64_t offset;
  int64_t batch[kMaxBatchRank];
  int64_t m, n, line;
  Along along;

  bool constant() const { return along == Along::constant || along == Along::single; }
  bool dense() const { return along == Along::dense || along == Along::single; }

  /// `count` numbers, `step` apart.
  void setAlong(int64_t count, int64_t step) {
    n = step;
    along = count <= 1 ? Along::single : step == 0 ? Along::constant : step == 1 ? Along::dense : Along::strided;
  }
  /// The pixels of an image, in order: `lines` of `width`.
  void setAlong(int64_t lines, int64_t width, int64_t lineStep, int64_t step) {
    if (width == 1) return setAlong(lines, lineStep);
    if (lines == 1 || lineStep == width * step) return setAlong(lines * width, step);
    n = step, line = lineStep;
    along = Along::lines;
  }
};

enum class ProductKind : int32_t { finish, rows };

struct ProductPlan {
  ProductKind kind;
  int32_t inputCount;  ///< of the epilogue
  int32_t outputCount;
  int32_t target;                ///< the output whose memory takes the product, -1: none, use scratch
  int32_t alongN, alongM, full;  ///< epilogue inputs that the finish adds, or -1
  bool relu;
  bool plain;        ///< nothing to finish
  int64_t operands;  ///< offset in bytes from this to Operand[inputCount + outputCount]
  int64_t micro;     ///< likewise to the MicroPlan (rows only)

  const Operand* operand(int32_t i) const { return reinterpret_cast<const Operand*>(reinterpret_cast<const char*>(this) + operands) + i; }
  const Operand& input(int32_t i) const { return *operand(i); }
  const Operand& output(int32_t i) const { return *operand(inputCount + i); }
  const MicroPlan* program() const { return reinterpret_cast<const MicroPlan*>(reinterpret_cast<const char*>(this) + micro); }
};

/// Turns a view into an Operand: a function of the family, as gemm and convolution see a view differently.
using AsOperand = Operand (*)(const View& view, const void* context);

/// Allocates a block of `headBytes` for the family's plan, whose ProductPlan lies at `productOffset`, with what the product needs
/// behind it. `firstInput` is the first of the epilogue's inputs. nullptr when out of memory.
std::byte* makeProduct(const Instruction& instruction, size_t headBytes, size_t productOffset, int32_t firstInput, const int32_t* epilogue,
                       AsOperand asOperand, const void* context);

/// An instruction without an epilogue, with one float32 output.
std::byte* makePlainProduct(const Instruction& instruction, size_t headBytes, size_t productOffset, AsOperand asOperand,
                            const void* context);

inline int64_t batchStep(const Operand& o, const int64_t* index, int32_t rank) {
  int64_t at = o.offset;
  for (int32_t d = 0; d < rank; d++) at += index[d] * o.batch[d];
  return at;
}

inline std::byte* addressOf(const Operand& o, const Run& run, int64_t at) {
  return static_cast<std::byte*>(run.buffers[o.buffer]) + at * sizeOf(o.dtype);
}

/// The finish of one matrix of the batch. Valid for kind finish.
Finish finishFor(const ProductPlan& plan, const Run& run, const int64_t* index, int32_t rank);

/// Bytes of scratch that runRows takes, for the micro-program and the operands' addresses.
constexpr size_t kRowsScratchBytes = kMicroScratchBytes + (size_t{32} << 10);
constexpr int32_t kMaxRowOperands = 1000;

/// The rows [m0, m1) of one matrix, columns n0 … n0+columns-1, whose product is at `product` (row step `step`): through the
/// epilogue's micro-program to all outputs. `width` != 0: n counts pixels in lines of `width`. Valid for kind rows.
void runRows(const ProductPlan& plan, const Run& run, const int64_t* index, int32_t rank, int64_t m0, int64_t m1, int64_t n0,
             int64_t columns, int64_t width, const float* product, int64_t step, std::byte* scratch);

}  // namespace chainrule::CHAINRULE_ISA
