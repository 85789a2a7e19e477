# The CPU kernels: one file for each instruction set, chosen at run time. They are written for
# optimisation at the highest level and for fused multiply-adds, whatever the rest is built with.
set(VIZOO_CPU_KERNELS na2d_cpu.cpp na2d_cpu_portable.cpp)
set(kernel_options -O3 -ffp-contract=fast -Wno-psabi)
set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/na2d_cpu_portable.cpp"
                            PROPERTIES COMPILE_OPTIONS "${kernel_options}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND VIZOO_CPU_KERNELS na2d_cpu_avx2.cpp na2d_cpu_avx512.cpp)
  set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/na2d_cpu_avx2.cpp"
                              PROPERTIES COMPILE_OPTIONS "${kernel_options};-mavx2;-mfma")
  set_source_files_properties(
    "${CMAKE_CURRENT_LIST_DIR}/na2d_cpu_avx512.cpp"
    PROPERTIES COMPILE_OPTIONS
    "${kernel_options};-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mfma")
endif()
foreach(source IN LISTS VIZOO_CPU_KERNELS)
  set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/${source}"
                              PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endforeach()
