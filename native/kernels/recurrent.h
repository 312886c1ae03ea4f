// One direction of a recurrent layer over a whole sequence: what the forward kernel (recurrent.cc) and its gradient (recurrent_grad.cc)
// share. In: an instruction of docs/program-format.md; out: a RecurrentPlan, and the operands of one run by name.
#pragma once
#include "rows.h"

namespace chainrule::CHAINRULE_ISA {

enum class RecurrentKind : int32_t { tanh, relu, lstm, gru };

constexpr int gatesOf(RecurrentKind kind) { return kind == RecurrentKind::lstm ? 4 : kind == RecurrentKind::gru ? 3 : 1; }

struct RecurrentPlan {
  RecurrentKind kind;
  bool reverse, state, lengths, bias, cells;
  int64_t steps, batch, size, gates;
  int64_t blocks;  ///< of kTileColumns hidden units
  int64_t chunks;  ///< of the batch: sequences do not need each other, so each chunk runs through all time steps
  int64_t packed;  ///< offsets in bytes into shared scratch: the recurrent weights as right panels
  int64_t states;  ///< two hidden states of the batch (forward with lengths), or the gradients of hidden state and cell
  RowCopies copies;
};

/// Rows of numbers over time and batch, each row contiguous. Steps count elements.
struct Rows {
  float* p = nullptr;
  int64_t time = 0, batch = 0;
  float* at(int64_t t, int64_t b) const { return p + t * time + b * batch; }
  explicit operator bool() const { return p != nullptr; }
};

/// What one run works on. The chunk function gets a pointer to it.
struct RecurrentJob {
  const RecurrentPlan* plan;
  const Run* run;
  float* packed;
  float* states;
  Rows projected, hidden, cell, output, cells, gates, bias, gOutput, gCells, gProjected, gRecurrent, gHidden, gCell;
  const View* weight;
  const View* lengthView;

  int64_t timeOf(int64_t s) const { return plan->reverse ? plan->steps - 1 - s : s; }
  int64_t lengthOf(int64_t b) const {
    if (!lengthView) return plan->steps;
    const int64_t n = run->data<int32_t>(*lengthView)[b * lengthView->stride[0]];
    return n < 0 ? 0 : smaller(n, plan->steps);
  }
  bool valid(int64_t t, int64_t b) const { return t < lengthOf(b); }
  /// The state of `b` before running step s: in `all` at the step before where that counts, else in `initial` (which may be none).
  const float* before(const Rows& all, const Rows& initial, int64_t s, int64_t b) const {
    if (s > 0 && (!lengthView || valid(timeOf(s - 1), b))) return all.at(timeOf(s - 1), b);
    return initial ? initial.at(0, b) : nullptr;
  }
};

/// Reads attributes and shapes, and lays out shared scratch: panels of `packedCount` floats and `stateRows` rows of the hidden size for
/// each sequence. nullptr when out of memory.
RecurrentPlan* planRecurrent(Instruction& instruction, const View& like, int64_t packedCount, int64_t stateRows);

/// An input seen as rows; copied to shared scratch where its innermost stride is not 1.
Rows openInput(const Instruction& instruction, const Run& run, int32_t i);
Rows openOutput(const Run& run, const View& view);

}  // namespace chainrule::CHAINRULE_ISA
