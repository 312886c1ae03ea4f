# The target chainrule: build/chainrule.node. Node-API functions come from the process that loads it.

find_program(NODE_EXE NAMES node REQUIRED)
if(CMAKE_JS_INC)
  set(NODE_API_DIR ${CMAKE_JS_INC}) # cmake-js brings them, also where the package is installed without its development packages
else()
  execute_process(COMMAND ${NODE_EXE} -p "require('node-api-headers').include_dir" WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    OUTPUT_VARIABLE NODE_API_DIR OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
file(READ ${CMAKE_CURRENT_SOURCE_DIR}/package.json _package)
string(JSON CHAINRULE_VERSION ERROR_VARIABLE _ignored GET "${_package}" version)

if(APPLE)
  set(_kind SHARED) # -dynamiclib: zig's Mach-O linker crashes on -bundle; dlopen takes both
else()
  set(_kind MODULE)
endif()
add_library(chainrule ${_kind} ${ADDON_SOURCES} ${CMAKE_JS_SRC})
target_link_libraries(chainrule PRIVATE chainrule_runtime chainrule_kernels chainrule_flags ${CMAKE_JS_LIB} ${CMAKE_DL_LIBS})
target_include_directories(chainrule SYSTEM PRIVATE ${NODE_API_DIR})
target_compile_definitions(chainrule PRIVATE
  NAPI_VERSION=8 NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED BUILDING_NODE_EXTENSION CHAINRULE_VERSION="${CHAINRULE_VERSION}")
set_target_properties(chainrule PROPERTIES PREFIX "" SUFFIX ".node" BUILD_WITH_INSTALL_NAME_DIR ON INSTALL_NAME_DIR "@rpath")
if(NOT APPLE) # there the linker would write the path of the build in its place
  set_target_properties(chainrule PROPERTIES NO_SONAME ON)
endif()
if(NOT CMAKE_LIBRARY_OUTPUT_DIRECTORY)
  set_target_properties(chainrule PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endif()

if(WIN32)
  # No node.lib: works in node.exe and in any renamed host, such as Electron applications.
  set(_imports ${CMAKE_CURRENT_BINARY_DIR}/node_api_imports.c)
  add_custom_command(OUTPUT ${_imports} COMMAND ${NODE_EXE} ${CMAKE_CURRENT_SOURCE_DIR}/cmake/node-api-imports.cjs 8 ${_imports}
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} DEPENDS cmake/node-api-imports.cjs VERBATIM)
  target_sources(chainrule PRIVATE ${_imports})
elseif(APPLE)
  target_link_options(chainrule PRIVATE -undefined dynamic_lookup)
else()
  target_link_options(chainrule PRIVATE
    -Wl,--gc-sections -Wl,-z,now -Wl,-z,nodelete "-Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/native/exports.map")
  set_target_properties(chainrule PROPERTIES LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/native/exports.map)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CHAINRULE_SANITIZE) # zig c++ links its own libc++ statically
    target_link_options(chainrule PRIVATE -static-libstdc++ -static-libgcc)
  endif()
endif()
if(CHAINRULE_SANITIZE) # a sanitizer's runtime would have to be in node as well
  set_target_properties(chainrule PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
