// The rules of docs/program-format.md for one decoded instruction. In: an instruction whose header and views have been read. Out: a Status.
// Whatever passes here is safe to run: kernels check nothing but the values of index tensors.
#pragma once
#include "../kernels/instruction.h"

namespace chainrule {

/// detail[0] of a `malformed` status. detail[1] is the operand (inputs first, then outputs), the word or the operation meant, where there
/// is one.
enum class Check : int32_t {
  none = 0,
  headerCounts = 1,     ///< a count in the program header is negative or impossible
  headerReserved = 2,   ///< a reserved word or flag is not zero
  totalWords = 3,       ///< the number of words differs from the header's
  buffer = 4,           ///< unknown kind, or a field out of range
  slotNumber = 5,       ///< a buffer names a slot that is not there
  arenaRange = 6,       ///< an arena buffer ends beyond the arena
  instructionSize = 7,  ///< words and operands of an instruction do not add up
  opcode = 8,           ///< unknown opcode
  region = 9,           ///< region flag on anything but a map that follows a map, or dependent instructions in a region
  commit = 10,          ///< an instruction that can fail at or after the commit index
  viewBuffer = 11,      ///< a view names a buffer that is not there
  viewType = 12,        ///< unknown dtype
  viewShape = 13,       ///< rank, extent or number of elements out of range
  selfOverlap = 14,     ///< two indices of an output meet
  aliasing = 15,        ///< an output overlaps another operand
  operandCount = 16,    ///< wrong number of inputs or outputs
  operandType = 17,     ///< an operand's dtype does not fit the opcode
  operandRank = 18,
  operandShape = 19,
  attributeCount = 20,  ///< too few or too many attribute words
  attribute = 21,       ///< an attribute out of range
  microSize = 22,       ///< counts of a micro-program
  microConstant = 23,
  microOperation = 24,  ///< unknown operation, operand from the future, unused operand not 0
  microType = 25,       ///< operand types do not fit the operation
  microResult = 26,     ///< a result does not fit its view
  emptyReduction = 27,  ///< a maximum or minimum of nothing
  contiguous = 28,      ///< an output that must be contiguous
  symbolic = 29,        ///< symbolic extents
};

inline Status malformed(Check check, int64_t which = 0) { return {StatusCode::malformed, 0, {static_cast<int64_t>(check), which}}; }

/// Structure, shapes, dtypes and micro-programs of one instruction. Status::instruction is left for the caller.
Status checkInstruction(const Instruction& instruction);

/// The opcode may answer `indexOutOfRange` or `singular`.
bool canFail(Opcode opcode);

/// Input `i` is one whose values a kernel uses as addresses, after it has checked them.
inline bool isIndexOperand(Opcode opcode, int i) { return i == 1 && opcode != Opcode::linalg && canFail(opcode); }

inline int64_t elementCount(const View& view) {
  int64_t count = 1;
  for (int d = 0; d < view.rank; ++d) count *= view.shape[d];
  return count;
}

}  // namespace chainrule
