# What every instruction set's static library in binding.gyp compiles; the same list as KERNEL_SOURCES in CMakeLists.txt.
{
  "sources": [
    "kernels/attention.cc",
    "kernels/attention_grad.cc",
    "kernels/conv2d.cc",
    "kernels/conv2d_plan.cc",
    "kernels/conv2d_weight_grad.cc",
    "kernels/conv2d_window.cc",
    "kernels/gather.cc",
    "kernels/gemm.cc",
    "kernels/gemm_plan.cc",
    "kernels/gemv.cc",
    "kernels/map.cc",
    "kernels/micro.cc",
    "kernels/micro_moves.cc",
    "kernels/micro_ops.cc",
    "kernels/pool2d.cc",
    "kernels/product.cc",
    "kernels/random.cc",
    "kernels/recurrent.cc",
    "kernels/recurrent_grad.cc",
    "kernels/reduce.cc",
    "kernels/softmax.cc",
    "kernels/table.cc"
  ]
}
