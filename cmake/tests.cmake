# Native tests, outside Node: `ctest --test-dir build`. Those of the runtime bring their own small kernels.

function(chainrule_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} $<TARGET_OBJECTS:chainrule_runtime>)
  target_link_libraries(${name} PRIVATE chainrule_flags ${ARG_LIBRARIES})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()

set(_fake native/test/fake_kernels.cc native/test/programs.cc)
chainrule_test(runtime_test SOURCES native/test/runtime_test.cc ${_fake})
chainrule_test(check_test SOURCES native/test/check_test.cc ${_fake})
chainrule_test(fuzz_test SOURCES native/test/fuzz_test.cc ${_fake})
chainrule_test(pool_test SOURCES native/test/pool_test.cc ${_fake})
chainrule_test(queue_test SOURCES native/test/queue_test.cc ${_fake})

# Runs what is compiled for one instruction set, or says that this machine lacks it.
add_executable(with_isa native/test/with_isa.cc $<TARGET_OBJECTS:chainrule_runtime>)
target_link_libraries(with_isa PRIVATE chainrule_flags)
function(chainrule_isa_test name isa)
  add_test(NAME ${name} COMMAND with_isa ${isa} ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77 ENVIRONMENT CHAINRULE_ISA=${isa})
endfunction()

# The same damaged programs on the real kernels, once for each instruction set of this machine.
if(TARGET chainrule_kernels)
  chainrule_test(kernel_fuzz_test SOURCES native/test/fuzz_test.cc native/test/programs.cc native/test/real_kernels.cc LIBRARIES chainrule_kernels)
  foreach(_isa IN LISTS CHAINRULE_ISAS)
    chainrule_isa_test(kernel_fuzz_${_isa} ${_isa} $<TARGET_FILE:kernel_fuzz_test> 20000)
  endforeach()
endif()

# The kernel families against plain loops, each test once for each instruction set, with that set's flags. Without the runtime: the
# harness has a parallel() of its own. `ctest -LE kernels` leaves them out, and so do sanitizers, where they take long, unless
# CHAINRULE_KERNEL_TESTS asks for them. gemm_bench is built by its name only.
if(TARGET chainrule_kernels AND (CHAINRULE_KERNEL_TESTS OR NOT CHAINRULE_SANITIZE))
  foreach(_isa IN LISTS CHAINRULE_ISAS)
    foreach(_test gemm_test conv2d_test map_test kernels_test arrays_test math_test gemm_bench)
      set(_name ${_test}_${_isa})
      add_executable(${_name} native/test/${_test}.cc $<TARGET_OBJECTS:chainrule_${_isa}>)
      target_link_libraries(${_name} PRIVATE chainrule_flags)
      target_compile_definitions(${_name} PRIVATE CHAINRULE_ISA=${_isa})
      target_compile_options(${_name} PRIVATE ${ISA_OPTIONS_${_isa}})
      if(_test STREQUAL "gemm_bench")
        set_target_properties(${_name} PROPERTIES EXCLUDE_FROM_ALL ON)
      else()
        chainrule_isa_test(${_name} ${_isa} $<TARGET_FILE:${_name}>)
        set_tests_properties(${_name} PROPERTIES LABELS kernels)
      endif()
    endforeach()
  endforeach()
endif()
