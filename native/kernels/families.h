// The kernel families of the instruction set being compiled, one file a family. Include only from native/kernels/*.cc, which are built
// with CHAINRULE_ISA set to the namespace's name. Nothing here may include std headers with inline code that
// the linker could share with baseline code (no <vector>, <algorithm>, <string>): <cstdint>, <cstring>, <cstdlib>, <cmath> constants only.
#pragma once
#include "kernels.h"

namespace chainrule::CHAINRULE_ISA {

extern const KernelFamily mapFamily;               // map.cc
extern const KernelFamily reduceFamily;            // reduce.cc
extern const KernelFamily gemmFamily;              // gemm.cc
extern const KernelFamily conv2dFamily;            // conv2d.cc
extern const KernelFamily conv2dInputGradFamily;   // conv2d.cc
extern const KernelFamily conv2dWeightGradFamily;  // conv2d.cc
extern const KernelFamily maxPool2dFamily;         // pool2d_max.cc
extern const KernelFamily avgPool2dFamily;         // pool2d_average.cc
extern const KernelFamily avgPool2dGradFamily;     // pool2d_average.cc
extern const KernelFamily softmaxFamily;           // softmax.cc
extern const KernelFamily crossEntropyFamily;      // softmax.cc
extern const KernelFamily crossEntropyGradFamily;  // softmax.cc
extern const KernelFamily gatherFamily;            // gather.cc
extern const KernelFamily scatterAddFamily;        // gather.cc
extern const KernelFamily randomFamily;            // random.cc
extern const KernelFamily attentionFamily;         // attention.cc
extern const KernelFamily attentionGradFamily;     // attention_grad.cc
extern const KernelFamily momentsFamily;           // norm.cc
extern const KernelFamily normSumsFamily;          // norm.cc
extern const KernelFamily normRowsFamily;          // norm_rows.cc
extern const KernelFamily normRowsGradFamily;      // norm_rows.cc
extern const KernelFamily recurrentFamily;         // recurrent.cc
extern const KernelFamily recurrentGradFamily;     // recurrent_grad.cc
extern const KernelFamily scanFamily;              // scan.cc
extern const KernelFamily sortFamily;              // sort.cc
extern const KernelFamily linalgFamily;            // linalg.cc
extern const KernelFamily fftFamily;               // fft.cc
extern const KernelFamily ctcFamily;               // ctc.cc

}  // namespace chainrule::CHAINRULE_ISA
