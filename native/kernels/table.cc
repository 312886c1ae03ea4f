// Gathers the families of this instruction set into its table, indexed by opcode.
#include "../simd/simd.h"
#include "families.h"

namespace chainrule::CHAINRULE_ISA {

const KernelTable& kernels() {
  static constinit KernelTable table = [] {
    KernelTable t{kIsaName, kWidth, {}};
    return t;
  }();
  auto put = [](Opcode o, const KernelFamily& f) { table.families[static_cast<int>(o)] = f; };
  put(Opcode::map, mapFamily);
  put(Opcode::reduce, reduceFamily);
  put(Opcode::gemm, gemmFamily);
  put(Opcode::conv2d, conv2dFamily);
  put(Opcode::conv2dInputGrad, conv2dInputGradFamily);
  put(Opcode::conv2dWeightGrad, conv2dWeightGradFamily);
  put(Opcode::maxPool2d, maxPool2dFamily);
  put(Opcode::avgPool2d, avgPool2dFamily);
  put(Opcode::avgPool2dGrad, avgPool2dGradFamily);
  put(Opcode::softmax, softmaxFamily);
  put(Opcode::crossEntropy, crossEntropyFamily);
  put(Opcode::crossEntropyGrad, crossEntropyGradFamily);
  put(Opcode::gather, gatherFamily);
  put(Opcode::scatterAdd, scatterAddFamily);
  put(Opcode::random, randomFamily);
  put(Opcode::moments, momentsFamily);
  put(Opcode::normSums, normSumsFamily);
  put(Opcode::normRows, normRowsFamily);
  put(Opcode::normRowsGrad, normRowsGradFamily);
  put(Opcode::recurrent, recurrentFamily);
  put(Opcode::recurrentGrad, recurrentGradFamily);
  put(Opcode::attention, attentionFamily);
  put(Opcode::attentionGrad, attentionGradFamily);
  put(Opcode::scan, scanFamily);
  put(Opcode::sort, sortFamily);
  put(Opcode::linalg, linalgFamily);
  put(Opcode::fft, fftFamily);
  put(Opcode::ctc, ctcFamily);
  return table;
}

}  // namespace chainrule::CHAINRULE_ISA
