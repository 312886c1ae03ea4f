// Makes programs and checks for the native tests. In: views and attributes. Out: words as TypeScript would encode them.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../runtime/check.h"
#include "../runtime/executor.h"
#include "../runtime/isa.h"

namespace chainrule::test {

using Words = std::vector<int32_t>;

struct ViewSpec {
  int32_t buffer;
  DType dtype;
  int32_t offset;
  Words shape, stride;
};

/// Contiguous.
ViewSpec dense(int32_t buffer, Words shape, DType dtype = DType::float32, int32_t offset = 0);

class Builder {
 public:
  int32_t slot();                               ///< a new buffer on a new slot
  int32_t arena(int32_t offset, int32_t size);  ///< in units of 64 bytes
  void add(Opcode opcode, std::vector<ViewSpec> inputs, std::vector<ViewSpec> outputs, Words attributes, bool region = false);
  Words words(int32_t commit = -1) const;
  int32_t instructions() const { return instructions_; }

 private:
  int32_t buffers_ = 0, slots_ = 0, instructions_ = 0, arena_ = 0;
  Words bufferWords_, instructionWords_;
};

int32_t bits(float value);

/// operation(0, 1), or value 0 alone.
Words identityMicro();
Words binaryMicro(MapOp op);

/// y = a + b over n elements; slots a, b, y.
Words addProgram(int32_t n);

/// Valid programs that use every opcode, for the check and fuzz tests.
struct Sample {
  const char* name;
  Words words;
};
std::vector<Sample> samples();

/// Memory for the slots of a program, exactly as long as asked for, so that AddressSanitizer sees every step outside.
class SlotSet {
 public:
  explicit SlotSet(const Program& program);
  ~SlotSet();
  SlotSet(const SlotSet&) = delete;
  SlotSet& operator=(const SlotSet&) = delete;
  const SlotMemory* data() const { return slots_.data(); }
  int64_t size() const { return static_cast<int64_t>(slots_.size()); }
  template <class T>
  T* at(int slot) {
    return static_cast<T*>(slots_[static_cast<size_t>(slot)].data);
  }

 private:
  std::vector<SlotMemory> slots_;
};

const KernelTable& testKernels();

#define EXPECT(condition)                                                      \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

}  // namespace chainrule::test
