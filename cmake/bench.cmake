# What the benchmarks compare with (bench/peak.js): a program for each instruction set. `cmake --build build --target peak` builds them all.
add_custom_target(peak)
foreach(_isa IN LISTS CHAINRULE_ISAS)
  add_executable(peak_${_isa} native/bench/peak.cc native/kernels/peak.cc)
  target_link_libraries(peak_${_isa} PRIVATE chainrule_flags)
  target_compile_definitions(peak_${_isa} PRIVATE CHAINRULE_ISA=${_isa})
  target_compile_options(peak_${_isa} PRIVATE ${ISA_OPTIONS_${_isa}})
  add_dependencies(peak peak_${_isa})
endforeach()
