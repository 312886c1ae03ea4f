// The map instruction: a micro-program over strided views. In: views of one shape and the program; out: the results,
// written by chunks that depend on shapes alone. Three ways to walk, chosen at prepare:
//   rows       the innermost dimension is long: row by row, each a stream (or a single value) per view
//   linear     it is short: tiles of consecutive positions across rows, for which views that do not simply run on are packed
//   transpose  a copy whose input runs along another dimension than its output: blocks, transposed in registers
//   blocks     an operand runs along another dimension than the outputs: its blocks are transposed first, then rows of them
#include <cstdlib>
#include <cstring>

#include "micro.h"
#include "strided.h"
#include "transpose.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

enum class Walk : int32_t { rows, linear, transpose, blocks };
/// How tiles see a view. linear: it runs on by a fixed step; packed: for each tile; pattern: once, because it repeats in each tile.
enum class Access : uint8_t { linear, packed, pattern };

constexpr int64_t kShortRow = 128;
constexpr int64_t kBlockRows = 16, kBlockColumns = 256;
/// Outputs larger than this in all do not stay in any cache, and are written past them.
constexpr int64_t kStreamBytes = int64_t{32} << 20;

struct MapPlan {
  Space space;
  Walk walk;
  int32_t inputs, outputs;  // views: outputs first
  int32_t microAt, accessAt;
  int64_t count, tile, chunk, chunks;
  bool streams;             // large enough to write past the caches
  Strides* strides() { return reinterpret_cast<Strides*>(this + 1); }
  const Strides* strides() const { return reinterpret_cast<const Strides*>(this + 1); }
  const Access* access() const { return reinterpret_cast<const Access*>(this) + accessAt; }
  const MicroPlan* micro() const { return reinterpret_cast<const MicroPlan*>(reinterpret_cast<const std::byte*>(this) + microAt); }
  int32_t views() const { return inputs + outputs; }
};

const MapPlan& planOf(const Instruction& instruction) { return *static_cast<const MapPlan*>(instruction.plan); }
const View& viewOf(const Instruction& instruction, int32_t v) {
  return v < instruction.outputCount ? instruction.outputs[v] : instruction.inputs[v - instruction.outputCount];
}

/// Number of positions after which a view repeats, when it is the same for every index of the outer dimensions; else the whole count.
int64_t periodOf(const Space& space, const int64_t* stride) {
  int64_t period = space.count();
  for (int32_t d = 0; d < space.rank && stride[d] == 0; d++) period /= space.shape[d];
  return period;
}

/// Elements a chunk should have for about 10 µs of work.
int64_t chunkOf(const MicroPlan& micro) {
  int64_t chunk = 65536;
  while (chunk > 2048 && chunk * micro.cost > 400000) chunk /= 2;
  return chunk;
}

void planLinear(MapPlan& plan, const MicroPlan& micro, Access* access) {
  int64_t period = 1;
  for (int32_t v = 0; v < plan.views(); v++) {
    const int64_t* stride = plan.strides()[v];
    access[v] = isLinear(plan.space, stride) ? Access::linear : Access::packed;
    const int64_t p = periodOf(plan.space, stride);
    if (access[v] == Access::linear || v < plan.outputs || p > micro.tile) continue;
    access[v] = Access::pattern;  // periods are products of innermost sizes, so that each divides the larger ones
    period = p > period ? p : period;
  }
  const int64_t repeats = micro.tile / period;
  plan.tile = (repeats >= 16 ? repeats / 16 * 16 : repeats) * period;
  plan.chunk = (chunkOf(micro) + plan.tile - 1) / plan.tile * plan.tile;
}

bool planTranspose(MapPlan& plan, const Instruction& instruction) {
  const Space& space = plan.space;
  const int32_t last = space.rank - 1;
  if (!plan.micro()->identity || plan.views() != 2 || space.rank < 2) return false;
  if (sizeOf(instruction.outputs[0].dtype) != 4 || sizeOf(instruction.inputs[0].dtype) != 4) return false;
  if (plan.strides()[0][last] != 1 || plan.strides()[1][last] == 1 || space.shape[last] < 4) return false;
  for (int32_t d = 0; d < last; d++) {
    if (plan.strides()[1][d] != 1 || space.shape[d] < 4) continue;
    for (; d + 1 < last; d++) swapDimensions(plan.space, plan.strides(), 2, d, d + 1);
    // A chunk is a band of rows of one matrix; `tile` is its height.
    plan.tile = (32768 / space.shape[last] + 15) / 16 * 16;
    if (plan.tile < 64) plan.tile = 64;  // several lines of each input page
    plan.chunks = (space.shape[last - 1] + plan.tile - 1) / plan.tile;
    for (int32_t o = 0; o < last - 1; o++) plan.chunks *= space.shape[o];
    plan.walk = Walk::transpose;
    return true;
  }
  return false;
}

/// Whether views run along dimension d instead of the last; marks them as packed.
bool findCrossing(const MapPlan& plan, const Instruction& instruction, int32_t d, Access* access) {
  const int32_t last = plan.space.rank - 1;
  bool any = false;
  for (int32_t v = plan.outputs; v < plan.views(); v++) {
    const int64_t* stride = plan.strides()[v];
    const bool crosses = stride[d] == 1 && magnitude(stride[last]) > 1 && sizeOf(viewOf(instruction, v).dtype) == 4;
    access[v] = crosses ? Access::packed : Access::linear;
    any = any || crosses;
  }
  return any;
}

bool planBlocks(MapPlan& plan, const Instruction& instruction, Access* access) {
  const int32_t last = plan.space.rank - 1;
  const int64_t perView = 64 + 4 * kBlockRows * kBlockColumns;
  if (kMicroScratchBytes + static_cast<size_t>(plan.views() * perView) + 4096 > kThreadScratchBytes) return false;
  for (int32_t d = 0; d < last; d++) {
    if (plan.space.shape[d] < kBlockRows || !findCrossing(plan, instruction, d, access)) continue;
    for (; d + 1 < last; d++) swapDimensions(plan.space, plan.strides(), plan.views(), d, d + 1);
    plan.tile = (chunkOf(*plan.micro()) / plan.space.shape[last] + kBlockRows) / kBlockRows * kBlockRows;
    plan.chunks = (plan.space.shape[last - 1] + plan.tile - 1) / plan.tile;
    for (int32_t o = 0; o < last - 1; o++) plan.chunks *= plan.space.shape[o];
    plan.walk = Walk::blocks;
    return true;
  }
  return false;
}

Status prepareMap(Instruction& instruction) {
  const int32_t inputs = instruction.inputCount, outputs = instruction.outputCount, views = inputs + outputs;
  auto* types = static_cast<DType*>(malloc(static_cast<size_t>(views)));
  if (!types) return {StatusCode::outOfMemory};
  for (int32_t v = 0; v < views; v++) types[v] = viewOf(instruction, v).dtype;
  MicroPlan* micro = prepareMicro(instruction.attributes, types + outputs, inputs, types, outputs);
  free(types);
  if (!micro) return {StatusCode::outOfMemory};
  const size_t accessAt = sizeof(MapPlan) + sizeof(Strides) * static_cast<size_t>(views);
  const size_t microAt = (accessAt + static_cast<size_t>(views) + 63) / 64 * 64;
  auto* plan = static_cast<MapPlan*>(calloc(1, microAt + microPlanBytes(micro)));
  if (plan) memcpy(reinterpret_cast<std::byte*>(plan) + microAt, micro, microPlanBytes(micro));
  free(micro);
  if (!plan) return {StatusCode::outOfMemory};
  plan->inputs = inputs;
  plan->outputs = outputs;
  plan->accessAt = static_cast<int32_t>(accessAt);
  plan->microAt = static_cast<int32_t>(microAt);
  Space& space = plan->space;
  space.rank = instruction.outputs[0].rank;
  for (int32_t d = 0; d < space.rank; d++) {
    space.shape[d] = instruction.outputs[0].shape[d];
    for (int32_t v = 0; v < views; v++) plan->strides()[v][d] = viewOf(instruction, v).stride[d];
  }
  plan->count = space.count();
  collapse(space, plan->strides(), views);
  sortByStride(space, plan->strides(), views, 0, space.rank);
  collapse(space, plan->strides(), views);
  if (space.rank == 0) {  // a single element is a row of one
    space.rank = 1;
    space.shape[0] = 1;
    for (int32_t v = 0; v < views; v++) plan->strides()[v][0] = 1;
  }
  instruction.plan = plan;
  instruction.sharedScratch = 0;
  // Pointers, offsets and buffers of every view, besides the micro-program's own scratch.
  if (kMicroScratchBytes + static_cast<size_t>(views) * (64 + 4 * static_cast<size_t>(plan->micro()->tile)) + 4096 > kThreadScratchBytes) {
    free(plan);
    instruction.plan = nullptr;
    return {StatusCode::outOfMemory};
  }
  if (plan->count == 0 || planTranspose(*plan, instruction)) return {};
  Access* access = reinterpret_cast<Access*>(plan) + accessAt;
  if (space.rank > 1 && space.shape[space.rank - 1] < kShortRow) {
    plan->walk = Walk::linear;
    planLinear(*plan, *plan->micro(), access);
  } else if (planBlocks(*plan, instruction, access)) {
    return {};
  } else {
    plan->walk = Walk::rows;
    plan->chunk = chunkOf(*plan->micro());
    const int64_t row = space.shape[space.rank - 1];
    if (space.rank > 1 && row < plan->chunk) plan->chunk = plan->chunk / row * row;
  }
  plan->chunks = (plan->count + plan->chunk - 1) / plan->chunk;
  int64_t bytes = 0;
  for (int32_t v = 0; v < outputs; v++) bytes += plan->count * sizeOf(instruction.outputs[v].dtype);
  plan->streams = bytes > kStreamBytes;
  return {};
}

/// The arrays that one chunk needs, carved from the thread's scratch after the micro-program's part.
struct Chunk {
  std::byte* micro;
  char** base;        // address of each view's element 0
  void** data;        // addresses as bound: outputs, then inputs
  int64_t* stride;    // strides as bound, likewise
  int64_t* offset;    // of the current row
  bool* streamed;     // outputs written past the caches
  char* buffers;      // a packed tile for each view
  bool anyStreamed = false;

  Chunk(const Instruction& instruction, const MapPlan& plan, const Run& run, std::byte* scratch) {
    const int32_t views = plan.views();
    micro = scratch;
    base = reinterpret_cast<char**>(scratch + kMicroScratchBytes);
    data = reinterpret_cast<void**>(base + views);
    stride = reinterpret_cast<int64_t*>(data + views);
    offset = stride + views;
    streamed = reinterpret_cast<bool*>(offset + views);
    buffers = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(streamed + views) + 63) & ~uintptr_t{63});
    for (int32_t v = 0; v < views; v++) {
      const View& view = viewOf(instruction, v);
      base[v] = static_cast<char*>(run.buffers[view.buffer]) + view.offset * sizeOf(view.dtype);
    }
    for (int32_t v = 0; v < plan.outputs; v++) {
      // What was just read is in the cache already.
      streamed[v] = plan.streams && instruction.outputs[v].dtype <= DType::int32 && plan.strides()[v][plan.space.rank - 1] == 1;
      for (int32_t i = plan.outputs; i < views; i++) streamed[v] = streamed[v] && base[i] != base[v];
      anyStreamed = anyStreamed || streamed[v];
    }
  }
  Bound* bind(const MapPlan& plan) const {
    return bindMicro(plan.micro(), data + plan.outputs, stride + plan.outputs, data, stride, streamed, micro);
  }
};

int32_t cursorOf(const Bound& b, const MapPlan& plan, int32_t v) {
  return v < plan.outputs ? b.resultAt[v] : b.operandAt[v - plan.outputs];
}

void runRows(const Instruction& instruction, const MapPlan& plan, Chunk& c, int64_t lo, int64_t hi) {
  const Space& space = plan.space;
  const int32_t last = space.rank - 1, views = plan.views();
  const int64_t length = space.shape[last];
  int64_t row = lo / length, column = lo % length;
  Odometer odometer;
  odometer.start(space, last, row);
  for (int32_t v = 0; v < views; v++) {
    c.stride[v] = plan.strides()[v][last];
    c.offset[v] = offsetOf(space, plan.strides()[v], last, row);
    c.data[v] = c.base[v] + (c.offset[v] + column * c.stride[v]) * sizeOf(viewOf(instruction, v).dtype);
  }
  const Bound* b = c.bind(plan);
  for (;;) {
    const int64_t n = hi - lo < length - column ? hi - lo : length - column;
    startRow(*b);
    runRow(*b, n);
    lo += n;
    if (lo == hi) return;
    column = 0;
    odometer.next(space, plan.strides(), views, c.offset);
    for (int32_t v = 0; v < views; v++) {
      b->at[cursorOf(*b, plan, v)] = c.base[v] + c.offset[v] * sizeOf(viewOf(instruction, v).dtype);
    }
  }
}

template <bool unpack>
void pack(const Space& space, const int64_t* stride, int64_t elementSize, char* base, int64_t start, int64_t n, char* buffer) {
  if (elementSize == 4) {
    packRange<int32_t, unpack>(space, stride, reinterpret_cast<int32_t*>(base), start, n, reinterpret_cast<int32_t*>(buffer));
  } else {
    packRange<uint8_t, unpack>(space, stride, reinterpret_cast<uint8_t*>(base), start, n, reinterpret_cast<uint8_t*>(buffer));
  }
}

void runLinear(const Instruction& instruction, const MapPlan& plan, Chunk& c, int64_t lo, int64_t hi) {
  const Space& space = plan.space;
  const int32_t last = space.rank - 1, views = plan.views();
  for (int32_t v = 0; v < views; v++) {
    const int64_t size = sizeOf(viewOf(instruction, v).dtype);
    const int64_t* stride = plan.strides()[v];
    char* buffer = c.buffers + v * plan.tile * 4;
    const bool linear = plan.access()[v] == Access::linear;
    c.stride[v] = linear ? stride[last] : 1;
    c.data[v] = linear ? c.base[v] + lo * stride[last] * size : buffer;
    if (!linear && v < plan.outputs) c.streamed[v] = false;
    if (plan.access()[v] == Access::pattern) pack<false>(space, stride, size, c.base[v], lo, plan.tile < plan.count ? plan.tile : plan.count, buffer);
  }
  const Bound* b = c.bind(plan);
  startRow(*b);
  for (int64_t n; lo < hi; lo += n) {
    n = hi - lo < plan.tile ? hi - lo : plan.tile;
    for (int32_t v = 0; v < views; v++) {
      if (plan.access()[v] == Access::linear) continue;
      char* buffer = c.buffers + v * plan.tile * 4;
      b->at[cursorOf(*b, plan, v)] = buffer;
      if (v >= plan.outputs && plan.access()[v] == Access::packed) {
        pack<false>(space, plan.strides()[v], sizeOf(viewOf(instruction, v).dtype), c.base[v], lo, n, buffer);
      }
    }
    runTile(*b, n);
    for (int32_t v = 0; v < plan.outputs; v++) {
      if (plan.access()[v] == Access::linear) continue;
      pack<true>(space, plan.strides()[v], sizeOf(viewOf(instruction, v).dtype), c.base[v], lo, n, c.buffers + v * plan.tile * 4);
    }
    advance(*b, n);
  }
}

void runBlocks(const Instruction& instruction, const MapPlan& plan, Chunk& c, int64_t chunk) {
  const Space& space = plan.space;
  const int32_t last = space.rank - 1, views = plan.views();
  const int64_t rows = space.shape[last - 1], columns = space.shape[last];
  const int64_t bands = (rows + plan.tile - 1) / plan.tile, matrix = chunk / bands, first = chunk % bands * plan.tile;
  const int64_t end = first + plan.tile < rows ? first + plan.tile : rows;
  const auto buffer = [&](int32_t v) { return c.buffers + v * 4 * kBlockRows * kBlockColumns; };
  const auto packed = [&](int32_t v) { return v >= plan.outputs && plan.access()[v] == Access::packed; };
  for (int32_t v = 0; v < views; v++) {
    c.offset[v] = offsetOf(space, plan.strides()[v], last - 1, matrix);
    c.stride[v] = packed(v) ? 1 : plan.strides()[v][last];
    c.data[v] = packed(v) ? buffer(v) : c.base[v] + c.offset[v] * sizeOf(viewOf(instruction, v).dtype);
  }
  const Bound* b = c.bind(plan);
  for (int64_t r = first; r < end; r += kBlockRows) {
    for (int64_t k = 0; k < columns; k += kBlockColumns) {
      const int64_t height = end - r < kBlockRows ? end - r : kBlockRows, width = columns - k < kBlockColumns ? columns - k : kBlockColumns;
      for (int32_t v = plan.outputs; v < views; v++) {
        if (!packed(v)) continue;
        const auto* from = reinterpret_cast<const float*>(c.base[v]) + c.offset[v] + r + k * plan.strides()[v][last];
        transposeCopy(from, plan.strides()[v][last], reinterpret_cast<float*>(buffer(v)), kBlockColumns, height, width);
      }
      for (int64_t i = 0; i < height; i++) {
        for (int32_t v = 0; v < views; v++) {
          const int64_t offset = c.offset[v] + (r + i) * plan.strides()[v][last - 1] + k * plan.strides()[v][last];
          b->at[cursorOf(*b, plan, v)] = packed(v) ? buffer(v) + 4 * i * kBlockColumns : c.base[v] + offset * sizeOf(viewOf(instruction, v).dtype);
        }
        startRow(*b);
        runRow(*b, width);
      }
    }
  }
}

void runTranspose(const Instruction& instruction, const MapPlan& plan, const Run& run, int64_t chunk) {
  const Space& space = plan.space;
  const int32_t last = space.rank - 1;
  const Strides* strides = plan.strides();
  const int64_t bands = (space.shape[last - 1] + plan.tile - 1) / plan.tile, matrix = chunk / bands, first = chunk % bands * plan.tile;
  const int64_t left = space.shape[last - 1] - first;
  auto* to = run.data<float>(instruction.outputs[0]) + offsetOf(space, strides[0], last - 1, matrix) + first * strides[0][last - 1];
  auto* from = run.data<float>(instruction.inputs[0]) + offsetOf(space, strides[1], last - 1, matrix) + first;
  transposeCopy(from, strides[1][last], to, strides[0][last - 1], left < plan.tile ? left : plan.tile, space.shape[last]);
}

void runChunk(const Instruction& instruction, const Run& run, int64_t chunk, std::byte* scratch) {
  const MapPlan& plan = planOf(instruction);
  if (plan.walk == Walk::transpose) return runTranspose(instruction, plan, run, chunk);
  Chunk c(instruction, plan, run, scratch);
  const int64_t lo = chunk * plan.chunk, end = lo + plan.chunk, hi = end < plan.count ? end : plan.count;
  if (plan.walk == Walk::linear) {
    runLinear(instruction, plan, c, lo, hi);
  } else if (plan.walk == Walk::blocks) {
    runBlocks(instruction, plan, c, chunk);
  } else {
    runRows(instruction, plan, c, lo, hi);
  }
  if (c.anyStreamed) streamFence();
}

constexpr int32_t kRegionGroup = 128;

/// Some instructions whose chunks are claimed as one sequence.
struct Region {
  const Run* run;
  const Instruction* first;
  int32_t count;
  int64_t starts[kRegionGroup + 1];
};

void runRegionChunk(void* argument, int64_t chunk, std::byte* scratch) {
  const Region& region = *static_cast<const Region*>(argument);
  int32_t lo = 0, hi = region.count;  // the last instruction that starts at or before the chunk
  while (hi - lo > 1) {
    const int32_t middle = (lo + hi) / 2;
    (region.starts[middle] <= chunk ? lo : hi) = middle;
  }
  runChunk(region.first[lo], *region.run, chunk - region.starts[lo], scratch);
}

Status runMapRegion(const Instruction* first, int32_t count, const Run& run) {
  while (count > 0) {
    Region region;
    region.run = &run;
    region.first = first;
    region.count = count < kRegionGroup ? count : kRegionGroup;
    region.starts[0] = 0;
    for (int32_t i = 0; i < region.count; i++) region.starts[i + 1] = region.starts[i] + planOf(first[i]).chunks;
    if (region.starts[region.count] > 0) parallel(run, region.starts[region.count], runRegionChunk, &region);
    first += region.count;
    count -= region.count;
  }
  return {};
}

Status runMap(const Instruction& instruction, const Run& run) { return runMapRegion(&instruction, 1, run); }

}  // namespace

const KernelFamily mapFamily = {prepareMap, runMap, runMapRegion};

}  // namespace chainrule::CHAINRULE_ISA
