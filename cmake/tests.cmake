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

# The same damaged programs on the real kernels, once for each instruction set of this machine.
if(TARGET chainrule_kernels)
  chainrule_test(kernel_fuzz_test SOURCES native/test/fuzz_test.cc native/test/programs.cc native/test/real_kernels.cc LIBRARIES chainrule_kernels)
  foreach(_isa IN LISTS CHAINRULE_ISAS)
    add_test(NAME kernel_fuzz_${_isa} COMMAND kernel_fuzz_test 20000)
    set_tests_properties(kernel_fuzz_${_isa} PROPERTIES TIMEOUT 300 ENVIRONMENT CHAINRULE_ISA=${_isa})
  endforeach()
endif()
