// Programs for the native tests (see programs.h).
#include "programs.h"

#include <cstring>

#include "../runtime/program.h"

namespace chainrule::test {

ViewSpec dense(int32_t buffer, Words shape, DType dtype, int32_t offset) {
  Words stride(shape.size());
  int32_t step = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    stride[d] = step;
    step *= shape[d];
  }
  return {buffer, dtype, offset, shape, stride};
}

int32_t Builder::slot() {
  bufferWords_.insert(bufferWords_.end(), {0, slots_++, 0, 0});
  return buffers_++;
}

int32_t Builder::arena(int32_t offset, int32_t size) {
  bufferWords_.insert(bufferWords_.end(), {1, offset, size, 0});
  if (offset + size > arena_) arena_ = offset + size;
  return buffers_++;
}

void Builder::add(Opcode opcode, std::vector<ViewSpec> inputs, std::vector<ViewSpec> outputs, Words attributes, bool region) {
  Words w{static_cast<int32_t>(opcode),
          0,
          static_cast<int32_t>(inputs.size()),
          static_cast<int32_t>(outputs.size()),
          static_cast<int32_t>(attributes.size()),
          region};
  inputs.insert(inputs.end(), outputs.begin(), outputs.end());
  for (const ViewSpec& v : inputs) {
    w.insert(w.end(), {v.buffer, static_cast<int32_t>(v.dtype), v.offset, static_cast<int32_t>(v.shape.size())});
    w.insert(w.end(), v.shape.begin(), v.shape.end());
    w.insert(w.end(), v.stride.begin(), v.stride.end());
  }
  w.insert(w.end(), attributes.begin(), attributes.end());
  w[1] = static_cast<int32_t>(w.size());
  instructionWords_.insert(instructionWords_.end(), w.begin(), w.end());
  ++instructions_;
}

Words Builder::words(int32_t commit) const {
  Words w{kProgramMagic,
          kFormatVersion,
          static_cast<int32_t>(kTableHash),
          0,
          buffers_,
          instructions_,
          0,
          commit < 0 ? instructions_ : commit,
          arena_,
          slots_,
          0,
          0};
  w.insert(w.end(), bufferWords_.begin(), bufferWords_.end());
  w.insert(w.end(), instructionWords_.begin(), instructionWords_.end());
  w[10] = static_cast<int32_t>(w.size());
  return w;
}

int32_t bits(float value) {
  int32_t word;
  memcpy(&word, &value, sizeof word);
  return word;
}

Words identityMicro() { return {0, 0, 1, 0}; }
Words binaryMicro(MapOp op) { return {0, 1, 1, static_cast<int32_t>(op), 0, 1, 0, 2}; }

Words addProgram(int32_t n) {
  Builder b;
  const int32_t x = b.slot(), y = b.slot(), z = b.slot();
  b.add(Opcode::map, {dense(x, {n}), dense(y, {n})}, {dense(z, {n})}, binaryMicro(MapOp::add));
  return b.words();
}

namespace {

Words join(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Words maps() {
  Builder b;
  const int32_t x = b.slot(), y = b.slot(), flags = b.slot(), bytes = b.slot(), t = b.arena(0, 4), u = b.arena(4, 4);
  // A constant, a comparison, a selection and conversions; three outputs of three types, one input broadcast, one reversed.
  const Words micro{1,          4,
                    3,          0,
                    bits(0.5f), static_cast<int32_t>(MapOp::mul),
                    0,          2,
                    0,          static_cast<int32_t>(MapOp::lt),
                    3,          1,
                    0,          static_cast<int32_t>(MapOp::where),
                    4,          3,
                    1,          static_cast<int32_t>(MapOp::toInt32),
                    5,          0,
                    0,          5,
                    4,          6};
  b.add(Opcode::map, {{x, DType::float32, 0, {4, 5}, {5, 1}}, {y, DType::float32, 4, {4, 5}, {0, -1}}},
        {dense(t, {4, 5}), dense(flags, {4, 5}, DType::boolean), dense(bytes, {4, 5}, DType::uint8)}, micro);
  b.add(Opcode::map, {dense(t, {20})}, {dense(t, {20})}, {0, 1, 1, static_cast<int32_t>(MapOp::exp), 0, 0, 0, 1});
  b.add(Opcode::map, {dense(x, {20})}, {dense(u, {20})}, {0, 1, 1, static_cast<int32_t>(MapOp::neg), 0, 0, 0, 1}, true);
  b.add(Opcode::map, {dense(t, {3, 0})}, {dense(u, {3, 0})}, identityMicro());
  b.add(Opcode::map, {dense(u, {20})}, {dense(x, {20})}, identityMicro());
  return b.words(4);
}

Words reduces() {
  Builder b;
  const int32_t x = b.slot(), y = b.slot(), i = b.slot(), e = b.slot();
  const Words domain{3, 2, 3, 4};
  b.add(Opcode::reduce, {dense(x, {2, 3, 4}), dense(e, {2, 1, 4})}, {dense(y, {2, 1, 4})},
        join(join(join({0, 1}, domain), {0, 1, 1, static_cast<int32_t>(MapOp::square), 0, 0, 0, 1}), binaryMicro(MapOp::mul)));
  b.add(Opcode::reduce, {dense(x, {2, 3, 4})}, {dense(i, {1, 3, 1}, DType::int32)},
        join(join(join({4, 1}, domain), identityMicro()), identityMicro()));
  b.add(Opcode::reduce, {dense(x, {0, 3})}, {dense(y, {1, 3})}, join(join({0, 1, 2, 0, 3}, identityMicro()), identityMicro()));
  return b.words();
}

Words gemms() {
  Builder b;
  const int32_t a = b.slot(), c = b.slot(), bias = b.slot(), y = b.slot();
  b.add(Opcode::gemm, {dense(a, {7, 5}), {c, DType::float32, 0, {5, 6}, {1, 5}}, {bias, DType::float32, 0, {7, 6}, {0, 1}}},
        {dense(y, {7, 6})}, {0, 2, 1, static_cast<int32_t>(MapOp::add), 0, 1, 0, static_cast<int32_t>(MapOp::relu), 2, 0, 0, 3});
  b.add(Opcode::gemm, {{a, DType::float32, 0, {3, 2, 4}, {8, 4, 1}}, {c, DType::float32, 0, {3, 4, 3}, {0, 3, 1}}}, {dense(y, {3, 2, 3})},
        identityMicro());
  b.add(Opcode::gemm, {dense(a, {2, 0}), dense(c, {0, 3})}, {dense(y, {2, 3})}, identityMicro());
  return b.words();
}

Words convolutions() {
  Builder b;
  const int32_t x = b.slot(), w = b.slot(), y = b.slot(), gx = b.slot(), gw = b.slot(), p = b.slot(), i = b.slot(), g = b.slot();
  const Words geometry{2, 1, 1, 2, 1, 2, 2};
  const ViewSpec vx = dense(x, {2, 4, 7, 6}), vw = dense(w, {6, 2, 3, 3}), vy = dense(y, {2, 6, 4, 6});
  b.add(Opcode::conv2d, {vx, vw}, {vy}, join(geometry, identityMicro()));
  b.add(Opcode::conv2dInputGrad, {vy, vw}, {dense(gx, {2, 4, 7, 6})}, join(geometry, identityMicro()));
  b.add(Opcode::conv2dWeightGrad, {vx, vy}, {dense(gw, {6, 2, 3, 3})}, geometry);
  b.add(Opcode::maxPool2d, {vx}, {dense(p, {2, 4, 4, 3}), dense(i, {2, 4, 4, 3}, DType::int32)}, {2, 2, 2, 2, 0, 0, 1, 1});
  b.add(Opcode::avgPool2d, {vx}, {dense(p, {2, 4, 4, 3})}, {3, 3, 2, 2, 1, 1, 0});
  b.add(Opcode::avgPool2dGrad, {dense(g, {2, 4, 4, 3})}, {dense(gx, {2, 4, 7, 6})}, {3, 3, 2, 2, 1, 1, 1});
  return b.words();
}

Words rows() {
  Builder b;
  const int32_t x = b.slot(), t = b.slot(), y = b.slot(), loss = b.slot(), g = b.slot(), s = b.slot(), state = b.slot(), z = b.slot();
  b.add(Opcode::softmax, {dense(x, {2, 3, 5})}, {dense(y, {2, 3, 5})}, {1});
  b.add(Opcode::crossEntropy, {dense(x, {6, 5}), dense(t, {6}, DType::int32)}, {dense(loss, {6})}, {-100});
  b.add(Opcode::crossEntropyGrad, {dense(x, {6, 5}), dense(t, {6}, DType::int32), dense(g, {6})}, {dense(y, {6, 5})}, {-100});
  b.add(Opcode::gather, {dense(x, {6, 5}), {t, DType::int32, 0, {4, 5}, {1, 0}}}, {dense(y, {4, 5})}, {0});
  b.add(Opcode::scatterAdd, {dense(y, {4, 5}), {t, DType::int32, 0, {4, 5}, {1, 0}}}, {dense(s, {6, 5})}, {0, 0});
  b.add(Opcode::random, {dense(state, {4}, DType::int32)}, {dense(z, {3, 7})}, {1, bits(0), bits(1), 0});
  b.add(Opcode::random, {dense(state, {4}, DType::int32)}, {dense(y, {30})}, {2, bits(0.3f), 0, 21});
  return b.words();
}

Words arrays() {
  Builder b;
  const int32_t x = b.slot(), y = b.slot(), i = b.slot(), z = b.slot(), c = b.slot(), s = b.slot();
  b.add(Opcode::scan, {dense(x, {2, 3, 5})}, {dense(y, {2, 3, 5})}, {0, 1});
  b.add(Opcode::scan, {dense(x, {6, 5}), {y, DType::float32, 0, {6, 5}, {1, 6}}}, {dense(z, {6, 5})}, {2, 0});
  b.add(Opcode::sort, {dense(x, {6, 5})}, {dense(z, {6, 4}), dense(i, {6, 4}, DType::int32)}, {1, 1});
  b.add(Opcode::fft, {dense(x, {3, 5})}, {dense(c, {3, 3, 2})}, {2});
  b.add(Opcode::fft, {dense(c, {3, 3, 2})}, {dense(z, {3, 4})}, {3});
  b.add(Opcode::linalg, {dense(x, {2, 5, 3})}, {dense(s, {2, 9, 3})}, {5, 0});
  b.add(Opcode::linalg, {dense(x, {2, 3, 3})}, {dense(z, {2, 1, 3})}, {3, 0});
  b.add(Opcode::linalg, {dense(x, {3, 3}), dense(y, {3, 2})}, {dense(z, {3, 2})}, {1, 0});
  return b.words();
}

Words sequences() {
  Builder b;
  const int32_t x = b.slot(), w = b.slot(), h = b.slot(), n = b.slot(), y = b.slot(), c = b.slot(), g = b.slot(), d = b.slot(),
                e = b.slot();
  const ViewSpec states = dense(y, {3, 9, 5}), cells = dense(c, {3, 9, 5}), gates = dense(g, {3, 9, 20});
  const ViewSpec initial = dense(h, {9, 5}), lengths = dense(n, {9}, DType::int32);
  b.add(Opcode::recurrent, {dense(x, {3, 9, 20}), dense(w, {20, 5}), initial, initial, lengths}, {states, cells, gates}, {2, 7});
  b.add(Opcode::recurrentGrad, {dense(x, {3, 9, 5}), states, cells, gates, dense(w, {20, 5}), initial, initial, lengths},
        {dense(d, {3, 9, 20}), dense(e, {9, 5}), dense(b.slot(), {9, 5})}, {2, 7});
  b.add(Opcode::recurrent, {{x, DType::float32, 0, {3, 9, 15}, {135, 1, 9}}, dense(w, {15, 5}), dense(h, {15})}, {states, gates}, {3, 8});
  b.add(Opcode::recurrentGrad, {dense(x, {3, 9, 5}), states, gates, dense(w, {15, 5})}, {dense(d, {3, 9, 15}), dense(e, {3, 9, 15})},
        {3, 0});
  const int32_t q = b.slot(), k = b.slot(), v = b.slot(), m = b.slot(), o = b.slot(), s = b.slot(), gq = b.slot(), gk = b.slot(),
                gv = b.slot();
  const ViewSpec vq = dense(q, {1, 2, 67, 5}), vk = dense(k, {1, 2, 130, 5}), vv = dense(v, {1, 2, 130, 3});
  const ViewSpec mask{m, DType::boolean, 0, {1, 2, 67, 130}, {0, 0, 130, 1}};
  const ViewSpec vo{o, DType::float32, 0, {1, 2, 67, 3}, {402, 3, 6, 1}}, sums = dense(s, {1, 2, 67});
  b.add(Opcode::attention, {vq, vk, vv, mask}, {vo, sums}, {bits(0.5f), 3});
  b.add(Opcode::attentionGrad, {vq, vk, vv, vo, sums, dense(gv, {1, 2, 67, 3}), mask},
        {dense(gq, {1, 2, 67, 5}), dense(gk, {1, 2, 130, 5}), dense(b.slot(), {1, 2, 130, 3})}, {bits(0.5f), 3});
  return b.words();
}

}  // namespace

std::vector<Sample> samples() {
  return {{"add", addProgram(100)},         {"maps", maps()},     {"reduces", reduces()},    {"gemms", gemms()}, {"rows", rows()},
          {"convolutions", convolutions()}, {"arrays", arrays()}, {"sequences", sequences()}};
}

SlotSet::SlotSet(const Program& program) {
  for (int32_t s = 0; s < program.slotCount; ++s) {
    const size_t bytes = static_cast<size_t>(program.slots[s].bytes);
    void* memory = malloc(bytes);
    if (bytes) memset(memory, 0, bytes);
    slots_.push_back({memory, static_cast<int64_t>(bytes)});
  }
}

SlotSet::~SlotSet() {
  for (const SlotMemory& slot : slots_) free(slot.data);
}

}  // namespace chainrule::test
