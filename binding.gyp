# Source build on a platform without a prebuilt binary, and the marker @electron/rebuild looks for. CMakeLists.txt is the source of truth:
# the lists, definitions and flags here repeat it (test/build.test.ts compares what the two would run). Node-API's headers are those of the package
# node-api-headers in a checkout, elsewhere those that node-gyp brings.
{
  "variables": {
    "node_api_headers": "<!(node -p \"try { require('node-api-headers').include_dir } catch { '.' }\")",
    "chainrule_version": "<!(node -p \"require('./package.json').version\")",
    "runtime_sources": [
      "native/runtime/arena.cc",
      "native/runtime/check.cc",
      "native/runtime/check_arrays.cc",
      "native/runtime/check_images.cc",
      "native/runtime/check_layers.cc",
      "native/runtime/cpu.cc",
      "native/runtime/executor.cc",
      "native/runtime/micro.cc",
      "native/runtime/overlap.cc",
      "native/runtime/pool.cc",
      "native/runtime/program.cc",
      "native/runtime/queue.cc",
      "native/runtime/thread.cc"
    ],
    "addon_sources": [
      "native/addon/jobs.cc",
      "native/addon/module.cc",
      "native/addon/peak.cc",
      "native/addon/programs.cc",
      "native/addon/staging.cc",
      "native/addon/values.cc"
    ]
  },
  "target_defaults": {
    "default_configuration": "Release",
    "cflags!": [ "-Wno-unused-parameter" ],
    "cflags": [
      "-fvisibility=hidden", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra",
      "-ffile-prefix-map=<(module_root_dir)=."
    ],
    # Not beside the others: what "cflags!" takes away is taken from what any file added, this one included.
    "configurations": {
      "Release": { "cflags!": [ "-O2", "-fno-omit-frame-pointer" ], "cflags": [ "-O3" ], "defines": [ "NDEBUG" ] }
    },
    "cflags_cc!": [ "-std=gnu++17", "-std=gnu++20", "-fexceptions", "-frtti" ],
    "cflags_cc": [ "-std=c++20", "-fno-exceptions", "-fno-rtti", "-fvisibility-inlines-hidden" ],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "CLANG_CXX_LIBRARY": "libc++",
      "GCC_ENABLE_CPP_EXCEPTIONS": "NO",
      "GCC_ENABLE_CPP_RTTI": "NO",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CFLAGS": [ "-ffp-contract=off" ]
    }
  },
  "targets": [
    {
      "target_name": "chainrule",
      "sources": [ "<@(runtime_sources)", "<@(addon_sources)", "native/runtime/isa.cc" ],
      "include_dirs": [ "<(node_api_headers)" ],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED",
        "CHAINRULE_VERSION=\"<(chainrule_version)\"",
        "CHAINRULE_HAVE_SCALAR"
      ],
      "dependencies": [ "kernels_scalar" ],
      "conditions": [
        [ "target_arch=='x64'", { "dependencies": [ "kernels_sse2", "kernels_avx2", "kernels_avx512" ], "defines": [ "CHAINRULE_HAVE_SSE2", "CHAINRULE_HAVE_AVX2", "CHAINRULE_HAVE_AVX512" ] } ],
        [ "target_arch=='arm64'", { "dependencies": [ "kernels_neon" ], "defines": [ "CHAINRULE_HAVE_NEON" ] } ],
        [ "OS=='linux'", {
          "ldflags": [
            "-static-libstdc++", "-static-libgcc", "-Wl,--gc-sections", "-Wl,-z,now", "-Wl,-z,nodelete",
            "-Wl,--version-script=<(module_root_dir)/native/exports.map"
          ]
        } ]
      ]
    },
    {
      "target_name": "kernels_scalar", "type": "static_library",
      "includes": [ "native/kernels.gypi" ],
      "defines": [ "CHAINRULE_ISA=scalar" ]
    }
  ],
  "conditions": [
    [ "target_arch=='arm64'", {
      "targets": [
        {
          "target_name": "kernels_neon", "type": "static_library",
          "includes": [ "native/kernels.gypi" ],
          "defines": [ "CHAINRULE_ISA=neon" ]
        }
      ]
    } ],
    [ "target_arch=='x64'", {
      "targets": [
        {
          "target_name": "kernels_sse2", "type": "static_library",
          "includes": [ "native/kernels.gypi" ],
          "defines": [ "CHAINRULE_ISA=sse2" ]
        },
        {
          "target_name": "kernels_avx2", "type": "static_library",
          "includes": [ "native/kernels.gypi" ],
          "defines": [ "CHAINRULE_ISA=avx2" ],
          "cflags": [ "-mavx2", "-mfma" ],
          "xcode_settings": { "OTHER_CFLAGS": [ "-ffp-contract=off", "-mavx2", "-mfma" ] }
        },
        {
          "target_name": "kernels_avx512", "type": "static_library",
          "includes": [ "native/kernels.gypi" ],
          "defines": [ "CHAINRULE_ISA=avx512" ],
          "cflags": [ "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma" ],
          "xcode_settings": { "OTHER_CFLAGS": [ "-ffp-contract=off", "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma" ] }
        }
      ]
    } ]
  ]
}
