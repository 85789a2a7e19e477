# vizoo_layer(TARGET LAYER name [SOURCES ...] [HEADERS ...])
# adds one layer's files (under lib/vizoo/<name>/) to a product. HEADERS are public: they are
# installed and must compile on their own.
function(vizoo_layer target)
  cmake_parse_arguments(ARG "" "LAYER" "SOURCES;HEADERS" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/vizoo/${ARG_LAYER}/")
  list(TRANSFORM ARG_HEADERS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/vizoo/${ARG_LAYER}/")
  target_sources(${target} PRIVATE ${ARG_SOURCES})
  if(ARG_HEADERS)
    target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${CMAKE_CURRENT_SOURCE_DIR}"
                   FILES ${ARG_HEADERS})
  endif()
endfunction()

# vizoo_use_precompiled_header(target): lets a target that includes torch share the one precompiled
# header. A precompiled header is only taken when it was compiled with the same code generation
# flags, hence -fPIC for programs as well, where CMake would choose -fPIE. Files of the target that
# include no torch say SKIP_PRECOMPILE_HEADERS.
#
# Each file that is compiled with it takes 3.4 s for templates that wait in it, whatever the file
# holds. With VIZOO_UNITY_BUILD (all presets but dev) eight files are compiled as one, which halves
# the time of the build; their anonymous namespaces are then one (scripts/check_unity.py).
function(vizoo_use_precompiled_header target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF DEFINE_SYMBOL "")
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-fPIC> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fPIC>)
  if(NOT target STREQUAL vizoo_precompiled)
    target_precompile_headers(${target} REUSE_FROM vizoo_precompiled)
    if(VIZOO_UNITY_BUILD)
      set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    endif()
  endif()
endfunction()
