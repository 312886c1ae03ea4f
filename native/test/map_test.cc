// The map family against an interpreter of micro-programs, bit for bit: random programs of the operations that IEEE 754 defines exactly,
// over random shapes, strides, broadcasts and dtypes, in place and not, by one thread and by two. The other operations: math_test.cc.
#include "../simd/simd.h"
#include "tensors.h"

using namespace chainrule;
namespace K = chainrule::CHAINRULE_ISA;

namespace {

enum Type { f32, i32, mask };
struct Value {
  Type type;
  float f;
  int32_t i;
};
bool same(Value a, Value b) {
  if (a.type != f32) return a.i == b.i;
  return a.f == b.f || (std::isnan(a.f) && std::isnan(b.f));
}
Value F(float f) { return {f32, f, 0}; }
Value I(int64_t i) { return {i32, 0, static_cast<int32_t>(i)}; }
Value M(bool b) { return {mask, 0, b}; }

/// One operation on single values, by plain C++.
Value eval(MapOp op, Value a, Value b, Value c) {
  const bool isF = a.type == f32;
  const int64_t x = a.i, y = b.i;
  switch (op) {
    case MapOp::neg:
      return isF ? F(-a.f) : I(-x);
    case MapOp::abs:
      return isF ? F(std::fabs(a.f)) : I(x < 0 ? -x : x);
    case MapOp::sign:
      return isF ? F(a.f > 0 ? 1.0f : a.f < 0 ? -1.0f : a.f) : I((x > 0) - (x < 0));
    case MapOp::floor:
      return F(std::floor(a.f));
    case MapOp::ceil:
      return F(std::ceil(a.f));
    case MapOp::round:
      return F(std::nearbyint(a.f));
    case MapOp::trunc:
      return F(std::trunc(a.f));
    case MapOp::sqrt:
      return F(std::sqrt(a.f));
    case MapOp::rsqrt:
      return F(1.0f / std::sqrt(a.f));
    case MapOp::reciprocal:
      return F(1.0f / a.f);
    case MapOp::square:
      return isF ? F(a.f * a.f) : I(x * x);
    case MapOp::relu:
      return isF ? F(a.f < 0 ? 0 : a.f) : I(x < 0 ? 0 : x);
    case MapOp::add:
      return isF ? F(a.f + b.f) : I(x + y);
    case MapOp::sub:
      return isF ? F(a.f - b.f) : I(x - y);
    case MapOp::mul:
      return isF ? F(a.f * b.f) : I(x * y);
    case MapOp::maximum:
      return isF ? F(std::isnan(a.f) ? a.f : std::isnan(b.f) ? b.f : a.f > b.f ? a.f : b.f) : I(x > y ? x : y);
    case MapOp::minimum:
      return isF ? F(std::isnan(a.f) ? a.f : std::isnan(b.f) ? b.f : a.f < b.f ? a.f : b.f) : I(x < y ? x : y);
    case MapOp::div:
      return F(a.f / b.f);
    case MapOp::eq:
      return M(isF ? a.f == b.f : x == y);
    case MapOp::ne:
      return M(isF ? a.f != b.f : x != y);
    case MapOp::lt:
      return M(isF ? a.f < b.f : x < y);
    case MapOp::le:
      return M(isF ? a.f <= b.f : x <= y);
    case MapOp::logicalAnd:
      return M(a.i && b.i);
    case MapOp::logicalOr:
      return M(a.i || b.i);
    case MapOp::logicalNot:
      return M(!a.i);
    case MapOp::where:
      return a.i ? b : c;
    case MapOp::toFloat32:
      return F(a.type == mask ? static_cast<float>(a.i != 0) : static_cast<float>(a.i));
    case MapOp::toInt32:
      if (!isF) return I(a.i);
      return I(std::isnan(a.f) ? 0 : a.f >= 2147483648.0f ? INT32_MAX : a.f < -2147483648.0f ? INT32_MIN : static_cast<int64_t>(a.f));
    case MapOp::toBool:
      return M(isF ? a.f != 0 : x != 0);
    default:
      return F(K::kHasFma ? std::fma(a.f, b.f, c.f) : a.f * b.f + c.f);
  }
}

struct Form {
  MapOp op;
  std::vector<Type> args;
};
std::vector<Form> forms() {
  std::vector<Form> all;
  using enum MapOp;
  for (MapOp op : {neg, abs, sign, square, relu}) all.push_back({op, {f32}}), all.push_back({op, {i32}});
  for (MapOp op : {floor, ceil, round, trunc, sqrt, rsqrt, reciprocal}) all.push_back({op, {f32}});
  for (MapOp op : {add, sub, mul, maximum, minimum, eq, ne, lt, le}) all.push_back({op, {f32, f32}}), all.push_back({op, {i32, i32}});
  for (MapOp op : {logicalAnd, logicalOr}) all.push_back({op, {mask, mask}});
  all.push_back({div, {f32, f32}}), all.push_back({logicalNot, {mask}}), all.push_back({fma, {f32, f32, f32}});
  all.push_back({where, {mask, f32, f32}}), all.push_back({where, {mask, i32, i32}});
  all.push_back({toFloat32, {i32}}), all.push_back({toFloat32, {mask}}), all.push_back({toInt32, {f32}}), all.push_back({toInt32, {mask}});
  all.push_back({toBool, {f32}}), all.push_back({toBool, {i32}});
  return all;
}

Type typeOf(DType t) { return t == DType::float32 ? f32 : t == DType::boolean ? mask : i32; }
Value valueOf(Tensor& t, int64_t i) {
  const double x = t.get(i);
  return typeOf(t.type) == f32 ? F(static_cast<float>(x)) : typeOf(t.type) == mask ? M(x != 0) : I(static_cast<int64_t>(x));
}

const std::vector<std::vector<int64_t>> kShapes = {{},           {0},         {1},           {7},       {8},         {9},
                                                   {31},         {257},       {1031},        {3, 0},    {5, 1},      {13, 10},
                                                   {40, 3},      {300, 10},   {6, 129},      {2, 1500}, {3, 5, 7},   {4, 1, 9},
                                                   {2, 3, 4, 5}, {2, 130, 3}, {9, 2, 2, 40}, {20, 150}, {2, 33, 300}};

Tensor randomTensor(DType type, const std::vector<int64_t>& shape, bool output) {
  const auto rank = static_cast<int>(shape.size());
  std::vector<int> order(shape.size());
  for (int d = 0; d < rank; d++) order[static_cast<size_t>(d)] = d;
  const int64_t form = pick(0, 9);
  if (!output && form < 4) {
    std::vector<bool> along(shape.size());
    for (size_t d = 0; d < along.size(); d++) along[d] = form == 0 || pick(0, 1);
    return broadcast(type, shape, along);
  }
  if (form == 5) std::shuffle(order.begin(), order.end(), gRandom);
  return make(type, shape, order, form == 6 ? 3 : 0, !output && form == 7);
}

/// A random program; returns false when it stumbles on an operation without arguments of the right type.
void randomProgram(const std::vector<Form>& all, Program& p, std::vector<Type>& types, size_t operands) {
  for (int64_t n = pick(0, 3); n > 0; n--) {
    const int64_t kind = pick(0, 2);
    p.constants.push_back(kind == 0   ? constant(uniform(-3, 3))
                          : kind == 1 ? constantI(static_cast<int32_t>(pick(-5, 5)))
                                      : std::pair<int32_t, int32_t>{2, static_cast<int32_t>(pick(0, 1))});
    types.push_back(static_cast<Type>(kind));
  }
  (void)operands;
  for (int64_t n = pick(0, 12), tries = 0; n > 0 && tries < 200; tries++) {
    const Form& form = all[static_cast<size_t>(pick(0, static_cast<int64_t>(all.size()) - 1))];
    std::vector<int32_t> words{static_cast<int32_t>(form.op)};
    for (Type t : form.args) {
      std::vector<int32_t> fitting;
      for (size_t v = 0; v < types.size(); v++) {
        if (types[v] == t) fitting.push_back(static_cast<int32_t>(v));
      }
      if (fitting.empty()) break;
      words.push_back(fitting[static_cast<size_t>(pick(0, static_cast<int64_t>(fitting.size()) - 1))]);
    }
    if (words.size() != form.args.size() + 1) continue;
    p.ops.push_back(words);
    Value v[3] = {};
    for (size_t k = 0; k < form.args.size(); k++) v[k].type = form.args[k];
    types.push_back(eval(form.op, v[0], v[1], v[2]).type);
    n--;
  }
}

void fuzz(int rounds, Team& one, Team& two) {
  const auto all = forms();
  for (int round = 0; round < rounds; round++) {
    const auto& shape = kShapes[static_cast<size_t>(pick(0, static_cast<int64_t>(kShapes.size()) - 1))];
    std::vector<Tensor> tensors;
    std::vector<Type> types;
    tensors.reserve(16);
    const DType kinds[] = {DType::float32, DType::float32, DType::int32, DType::uint8, DType::boolean};
    for (int64_t n = pick(0, 4); n > 0; n--) {
      tensors.push_back(randomTensor(kinds[pick(0, 4)], shape, false));
      fill(tensors.back());
      if (tensors.back().type == DType::float32 && tensors.back().count() > 0 && pick(0, 2) == 0) {
        const double odd[] = {NAN, INFINITY, -INFINITY, 0, 3e9, -3e9, 0.5, 2.5, 8388609};
        for (int64_t k = 0; k < 5; k++) tensors.back().set(pick(0, tensors.back().count() - 1), odd[pick(0, 8)]);
      }
      types.push_back(typeOf(tensors.back().type));
    }
    const size_t operands = tensors.size();
    Program p;
    randomProgram(all, p, types, operands);
    if (types.empty()) continue;
    std::vector<Tensor*> in, out;
    for (size_t i = 0; i < operands; i++) in.push_back(&tensors[i]);
    std::vector<bool> taken(operands);
    for (int64_t n = pick(1, 3); n > 0; n--) {
      const auto v =
          static_cast<int32_t>(pick(std::max<int64_t>(0, static_cast<int64_t>(types.size()) - 4), static_cast<int64_t>(types.size()) - 1));
      p.results.push_back(v);
      const Type t = types[static_cast<size_t>(v)];
      const DType type = t == f32 ? DType::float32 : t == mask ? DType::boolean : pick(0, 1) ? DType::int32 : DType::uint8;
      // Sometimes in place of an operand that is not broadcast.
      size_t place = operands;
      for (size_t i = 0; i < operands; i++) {
        bool whole = true;
        for (size_t d = 0; d < shape.size(); d++) whole = whole && (tensors[i].stride[d] != 0 || shape[d] <= 1);
        if (whole && !taken[i] && tensors[i].type == type && pick(0, 2) == 0) place = i;
      }
      if (place < operands) {
        taken[place] = true;
        out.push_back(&tensors[place]);
      } else {
        tensors.push_back(randomTensor(type, shape, true));
        out.push_back(&tensors.back());
      }
    }
    // What should come out.
    int64_t count = 1;
    for (int64_t s : shape) count *= s;
    std::vector<std::vector<Value>> want(out.size());
    for (int64_t i = 0; i < count; i++) {
      std::vector<Value> v;
      for (size_t k = 0; k < operands; k++) v.push_back(valueOf(tensors[k], i));
      for (auto [type, bits] : p.constants)
        v.push_back(type == 0 ? F(__builtin_bit_cast(float, bits)) : type == 1 ? I(bits) : M(bits != 0));
      for (const auto& op : p.ops) {
        const auto arg = [&](size_t k) { return k < op.size() ? v[static_cast<size_t>(op[k])] : F(0); };
        v.push_back(eval(static_cast<MapOp>(op[0]), arg(1), arg(2), arg(3)));
      }
      for (size_t j = 0; j < out.size(); j++) {
        Value r = v[static_cast<size_t>(p.results[j])];
        if (out[j]->type == DType::uint8) r.i &= 255;
        want[j].push_back(r);
      }
    }
    Call call(Opcode::map, in, out, p.words());
    const Status s = call(K::mapFamily, round % 2 ? one : two);
    CHECK(s.ok(), "round %d: status %d", round, static_cast<int>(s.code));
    for (size_t j = 0; j < out.size(); j++) {
      for (int64_t i = 0; i < count; i++) {
        const Value got = valueOf(*out[j], i), w = want[j][static_cast<size_t>(i)];
        if (same(got, w)) continue;
        CHECK(false, "round %d, rank %zu, result %zu, element %lld of %lld: %g/%d, not %g/%d", round, shape.size(), j,
              static_cast<long long>(i), static_cast<long long>(count), got.f, got.i, w.f, w.i);
        break;
      }
      CHECK(out[j]->guarded(), "round %d: written outside result %zu", round, j);
    }
  }
}

/// Outputs past the caches, transposing copies, many chunks, regions.
void large(Team& one, Team& two) {
  for (int64_t pad : {0, 1, 5}) {
    const int64_t n = (int64_t{1} << 23) + 13;
    Tensor x = make(DType::float32, {n}), y = make(DType::float32, {n + 16});
    y.shape[0] = n;
    y.offset = pad;
    for (int64_t i = 0; i < n; i++) x.set(i, static_cast<double>(i % 1000 - 500));
    Call call(
        Opcode::map, {&x}, {&y},
        Program{{constant(2), constant(1)}, {{static_cast<int32_t>(MapOp::fma), 0, 1, 2}, {static_cast<int32_t>(MapOp::relu), 3}}, {4}}
            .words());
    CHECK(call(K::mapFamily, two).ok(), "large");
    for (int64_t i = 0; i < n; i++) {
      const double want = std::fmax(0, 2.0 * static_cast<double>(i % 1000 - 500) + 1);
      if (y.get(i) == want) continue;
      CHECK(false, "large, pad %lld: element %lld is %g, not %g", static_cast<long long>(pad), static_cast<long long>(i), y.get(i), want);
      break;
    }
    CHECK(y.guarded(), "large, pad %lld", static_cast<long long>(pad));
  }
  const std::vector<std::vector<int64_t>> shapes = {{16, 16}, {100, 37}, {5, 33, 70}, {513, 1030}, {3, 17, 5, 40}};
  for (const auto& shape : shapes) {
    std::vector<int> order;
    for (size_t d = shape.size(); d-- > 0;) order.push_back(static_cast<int>(d));
    Tensor x = make(DType::float32, shape, order), y = make(DType::float32, shape);
    fill(x);
    Call call(Opcode::map, {&x}, {&y}, kIdentity.words());
    CHECK(call(K::mapFamily, two).ok(), "transpose");
    for (int64_t i = 0; i < x.count(); i++) CHECK(x.get(i) == y.get(i), "transpose: element %lld", static_cast<long long>(i));
    CHECK(y.guarded(), "transpose");
  }
  std::vector<Tensor> a;
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<Instruction> region;
  a.reserve(400);
  for (int64_t i = 0; i < 200; i++) {
    a.push_back(make(DType::float32, {i * 37 % 5000}));
    fill(a.back());
    a.push_back(a.back());
    Tensor& x = a.back();
    calls.push_back(std::make_unique<Call>(Opcode::map, std::vector<Tensor*>{&x}, std::vector<Tensor*>{&x},
                                           Program{{}, {{static_cast<int32_t>(MapOp::neg), 0}}, {1}}.words()));
    CHECK(calls.back()->prepare(K::mapFamily).ok(), "region");
    // One table of buffers for the whole region.
    calls.back()->inputs[0].buffer = calls.back()->outputs[0].buffer = static_cast<int32_t>(i);
    region.push_back(calls.back()->instruction);
  }
  std::vector<void*> buffers;
  for (size_t i = 1; i < a.size(); i += 2) buffers.push_back(a[i].base());
  Run run{buffers.data(), nullptr, &two};
  CHECK(K::mapFamily.runRegion(region.data(), 200, run).ok(), "region");
  for (size_t i = 0; i < a.size(); i += 2) {
    for (int64_t k = 0; k < a[i].count(); k++) CHECK(a[i + 1].get(k) == -a[i].get(k), "region, map %zu", i / 2);
  }
  (void)one;
}

}  // namespace

int main(int argc, char** argv) {
  Team one(1), two(2);
  one.poison = two.poison = true;
  std::printf("%s\n", K::kIsaName);
  fuzz(argc > 1 ? std::atoi(argv[1]) : 20000, one, two);
  large(one, two);
  if (gFailures) std::printf("%d failures\n", gFailures);
  return gFailures != 0;
}
