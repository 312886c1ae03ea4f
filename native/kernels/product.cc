// Planning and running of what follows a product (product.h).
#include "product.h"

#include <cstdlib>

#include "micro.h"

namespace chainrule::CHAINRULE_ISA {

namespace {

/// An epilogue of the form relu?(value 0 + a + b + c) with one result: which operands are added, in order.
struct Sum {
  bool matched = false;
  bool relu = false;
  int32_t count = 0;
  int32_t value[3];
};

Sum matchSum(const int32_t* words, int32_t operands) {
  Sum sum;
  const int32_t constants = words[0], operations = words[1], results = words[2];
  const int32_t* op = words + 3 + 2 * constants;
  const int32_t result = op[4 * operations];
  if (results != 1 || operations > 4) return sum;
  int32_t now = 0;
  for (int32_t i = 0; i < operations; i++, op += 4) {
    if (sum.relu) return sum;
    if (op[0] == static_cast<int32_t>(MapOp::relu) && op[1] == now) {
      sum.relu = true;
    } else if (op[0] == static_cast<int32_t>(MapOp::add) && sum.count < 3 && (op[1] == now) != (op[2] == now)) {
      const int32_t other = op[1] == now ? op[2] : op[1];
      if (other < 1 || other >= operands) return sum;
      sum.value[sum.count++] = other;
    } else {
      return sum;
    }
    now = operands + constants + i;
  }
  sum.matched = result == now;
  return sum;
}

/// The places of the finish, in its order.
enum class Place { alongN, alongM, full, none };

/// The first place from `least` on where the operand can be added.
Place placeOf(const Operand& o, Place least) {
  if (least <= Place::alongN && o.dense() && o.m == 0) return Place::alongN;
  if (least <= Place::alongM && o.constant()) return Place::alongM;
  if (least <= Place::full && o.dense()) return Place::full;
  return Place::none;
}

/// Whether the product can be put where the output is, by whole vectors.
bool takesProduct(const Operand& output) { return output.dtype == DType::float32 && output.dense(); }

/// Whether the finish can do the sum: each of its places once at most, in order.
bool asFinish(ProductPlan& p, const Sum& sum) {
  if (!sum.matched || p.outputCount != 1 || !takesProduct(p.output(0))) return false;
  Place least = Place::alongN;
  for (int32_t i = 0; i < sum.count; i++) {
    const int32_t which = sum.value[i] - 1;
    const Operand& o = p.input(which);
    const Place place = o.dtype == DType::float32 ? placeOf(o, least) : Place::none;
    if (place == Place::none) return false;
    (place == Place::alongN ? p.alongN : place == Place::alongM ? p.alongM : p.full) = which;
    least = static_cast<Place>(static_cast<int>(place) + 1);
  }
  p.relu = sum.relu;
  p.plain = sum.count == 0 && !sum.relu;
  p.target = 0;
  p.kind = ProductKind::finish;
  return true;
}

constexpr size_t align64(size_t n) { return (n + 63) & ~size_t{63}; }

/// `micro` may be nullptr: no program needed.
std::byte* makeBlock(const Instruction& instruction, size_t headBytes, size_t productOffset, int32_t firstInput, AsOperand asOperand,
                     const void* context, const MicroPlan* micro) {
  const int32_t inputs = instruction.inputCount - firstInput, outputs = instruction.outputCount;
  const size_t operands = align64(headBytes), program = align64(operands + sizeof(Operand) * static_cast<size_t>(inputs + outputs));
  const size_t bytes = program + (micro ? microPlanBytes(micro) : 0);
  std::byte* block = static_cast<std::byte*>(malloc(bytes));
  if (!block) return nullptr;
  memset(static_cast<void*>(block), 0, program);
  ProductPlan& p = *reinterpret_cast<ProductPlan*>(block + productOffset);
  p.kind = ProductKind::rows;
  p.inputCount = inputs;
  p.outputCount = outputs;
  p.target = p.alongN = p.alongM = p.full = -1;
  p.operands = static_cast<int64_t>(operands - productOffset);
  p.micro = static_cast<int64_t>(program - productOffset);
  Operand* o = reinterpret_cast<Operand*>(block + operands);
  for (int32_t i = 0; i < inputs; i++) o[i] = asOperand(instruction.inputs[firstInput + i], context);
  for (int32_t i = 0; i < outputs; i++) o[inputs + i] = asOperand(instruction.outputs[i], context);
  if (micro) memcpy(static_cast<void*>(block + program), micro, microPlanBytes(micro));
  return block;
}

}  // namespace

std::byte* makeProduct(const Instruction& instruction, size_t headBytes, size_t productOffset, int32_t firstInput, const int32_t* epilogue,
                       AsOperand asOperand, const void* context) {
  const int32_t inputs = instruction.inputCount - firstInput, outputs = instruction.outputCount;
  std::byte* block = makeBlock(instruction, headBytes, productOffset, firstInput, asOperand, context, nullptr);
  if (!block) return nullptr;
  if (asFinish(*reinterpret_cast<ProductPlan*>(block + productOffset), matchSum(epilogue, inputs + 1))) return block;
  free(block);
  DType* types = static_cast<DType*>(malloc(static_cast<size_t>(inputs + 1 + outputs)));
  if (!types) return nullptr;
  types[0] = DType::float32;
  for (int32_t i = 0; i < inputs; i++) types[1 + i] = instruction.inputs[firstInput + i].dtype;
  for (int32_t i = 0; i < outputs; i++) types[1 + inputs + i] = instruction.outputs[i].dtype;
  MicroPlan* micro = prepareMicro(epilogue, types, inputs + 1, types + 1 + inputs, outputs);
  free(types);
  if (!micro) return nullptr;
  block = makeBlock(instruction, headBytes, productOffset, firstInput, asOperand, context, micro);
  free(micro);
  if (!block) return nullptr;
  // The product may use the memory of any float32 output, best of the one that is the product.
  ProductPlan& p = *reinterpret_cast<ProductPlan*>(block + productOffset);
  const int32_t* results = epilogue + 3 + 2 * epilogue[0] + 4 * epilogue[1];
  for (int32_t i = 0; i < outputs; i++) {
    if (!takesProduct(p.output(i))) continue;
    if (p.target < 0 || results[i] == 0) p.target = i;
    if (results[i] == 0) break;
  }
  return block;
}

std::byte* makePlainProduct(const Instruction& instruction, size_t headBytes, size_t productOffset, AsOperand asOperand,
                            const void* context) {
  static const int32_t identity[] = {0, 0, 1, 0};
  return makeProduct(instruction, headBytes, productOffset, instruction.inputCount, identity, asOperand, context);
}

Finish finishFor(const ProductPlan& plan, const Run& run, const int64_t* index, int32_t rank) {
  Finish f;
  auto at = [&](int32_t i) {
    const Operand& o = plan.input(i);
    return reinterpret_cast<const float*>(addressOf(o, run, batchStep(o, index, rank)));
  };
  if (plan.alongN >= 0) f.alongN = at(plan.alongN);
  if (plan.alongM >= 0) f.alongM = at(plan.alongM), f.alongMStep = plan.input(plan.alongM).m;
  if (plan.full >= 0) f.full = at(plan.full), f.fullStep = plan.input(plan.full).m;
  f.relu = plan.relu;
  return f;
}

void runRows(const ProductPlan& plan, const Run& run, const int64_t* index, int32_t rank, int64_t m0, int64_t m1, int64_t n0,
             int64_t columns, int64_t width, const float* product, int64_t step, std::byte* scratch) {
  const int32_t inputs = plan.inputCount, outputs = plan.outputCount, all = inputs + outputs;
  std::byte* tables = scratch + kMicroScratchBytes;
  // Addresses: the product, the inputs, the outputs; then their steps along n; then the address of each row's begin.
  void** address = reinterpret_cast<void**>(tables);
  int64_t* along = reinterpret_cast<int64_t*>(address + all + 1);
  std::byte** begin = reinterpret_cast<std::byte**>(along + all + 1);
  bool flat = true;
  along[0] = 1;
  for (int32_t i = 0; i < all; i++) {
    const Operand& o = *plan.operand(i);
    along[i + 1] = o.n;
    begin[i] = addressOf(o, run, batchStep(o, index, rank));
    if (o.along == Along::lines) flat = false;
  }
  Bound* bound = nullptr;
  for (int64_t m = m0; m < m1; m++, product += step) {
    // One stretch a row, or one a line of pixels where some operand's lines do not follow each other.
    int64_t done = 0;
    while (done < columns) {
      const int64_t n = n0 + done, line = flat ? 0 : n / width, column = flat ? n : n - line * width;
      int64_t count = columns - done;
      if (!flat && count > width - column) count = width - column;
      address[0] = const_cast<float*>(product + done);
      for (int32_t i = 0; i < all; i++) {
        const Operand& o = *plan.operand(i);
        const int64_t place = o.along == Along::lines ? line * o.line + column * o.n : n * o.n;
        address[i + 1] = begin[i] + (m * o.m + place) * sizeOf(o.dtype);
      }
      // Bound once: later stretches differ only in where they begin.
      if (!bound) {
        bound = bindMicro(plan.program(), address, along, address + inputs + 1, along + inputs + 1, nullptr, scratch);
      } else {
        for (int32_t i = 0; i <= inputs; i++) bound->at[bound->operandAt[i]] = static_cast<char*>(address[i]);
        for (int32_t i = 0; i < outputs; i++) bound->at[bound->resultAt[i]] = static_cast<char*>(address[inputs + 1 + i]);
      }
      startRow(*bound);
      // Most stretches are one short tile, whose end nobody needs to know: the next one is bound anew.
      if (count <= bound->tile && bound->alignTo < 0) {
        runTile(*bound, count);
      } else {
        runRow(*bound, count);
      }
      done += count;
    }
  }
}

}  // namespace chainrule::CHAINRULE_ISA
