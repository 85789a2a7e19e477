# The only place that finds LibTorch. Offers the imported targets
#
#   vizoo::torch        headers, libtorch_cpu, libc10: all that a CPU build needs
#   vizoo::torch_cuda   besides it libtorch_cuda, libc10_cuda and the CUDA runtime (VIZOO_CUDA=ON)
#
# The root is the folder that holds include/ and lib/: an unpacked LibTorch zip, or the `torch`
# folder of the Python wheel. It is looked for in VIZOO_TORCH_ROOT, Torch_DIR, CMAKE_PREFIX_PATH
# (variable and environment; the wheel's `torch.utils.cmake_prefix_path` works too), then in
# VIZOO_TORCH_DEFAULT_ROOT, which an installed vizoo sets, and, when vizoo itself is built, .venv.
#
# If there is none that will do, VIZOO_TORCH_PROBLEM says so and there are no targets.
#
# find_package(Torch) is not used: the wheel's package demands the CUDA toolkit even for a CPU
# program, and it overwrites CMAKE_CUDA_ARCHITECTURES.

set(VIZOO_TORCH_ROOT "" CACHE PATH "Folder of LibTorch that holds include/ and lib/")
set(VIZOO_TORCH_PROBLEM "")

set(_vizoo_torch_hints ${VIZOO_TORCH_ROOT})
if(Torch_DIR)  # <root>/share/cmake/Torch
  list(APPEND _vizoo_torch_hints "${Torch_DIR}/../../..")
endif()
string(REPLACE ":" ";" _vizoo_environment_prefixes "$ENV{CMAKE_PREFIX_PATH}")
foreach(_prefix IN LISTS CMAKE_PREFIX_PATH _vizoo_environment_prefixes)
  # <root>, <root>/share/cmake (what the wheel calls cmake_prefix_path), <root>/share/cmake/Torch
  list(APPEND _vizoo_torch_hints "${_prefix}" "${_prefix}/../.." "${_prefix}/../../..")
endforeach()
if(VIZOO_TORCH_DEFAULT_ROOT)
  list(APPEND _vizoo_torch_hints "${VIZOO_TORCH_DEFAULT_ROOT}")
endif()
if(PROJECT_NAME STREQUAL "vizoo" AND PROJECT_SOURCE_DIR)
  file(GLOB _vizoo_torch_wheels "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  list(APPEND _vizoo_torch_hints ${_vizoo_torch_wheels})
endif()

# One that was found earlier and is gone is looked for again.
set(_vizoo_torch_header torch/csrc/api/include/torch/version.h)
if(VIZOO_TORCH_INCLUDE_DIR AND NOT EXISTS "${VIZOO_TORCH_INCLUDE_DIR}/${_vizoo_torch_header}")
  unset(VIZOO_TORCH_INCLUDE_DIR CACHE)
endif()
find_path(VIZOO_TORCH_INCLUDE_DIR ${_vizoo_torch_header}
          HINTS ${_vizoo_torch_hints} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_path(VIZOO_TORCH_INCLUDE_DIR ${_vizoo_torch_header})
if(NOT VIZOO_TORCH_INCLUDE_DIR)
  set(VIZOO_TORCH_PROBLEM
    "LibTorch was not found. Give its folder: -DCMAKE_PREFIX_PATH=/path/to/libtorch (with Python: \
python -c 'import torch; print(torch.utils.cmake_prefix_path)').")
  return()
endif()
get_filename_component(VIZOO_TORCH_FOUND_ROOT "${VIZOO_TORCH_INCLUDE_DIR}" DIRECTORY)
set(VIZOO_TORCH_LIBRARY_DIR "${VIZOO_TORCH_FOUND_ROOT}/lib")
foreach(_library torch_cpu c10)
  if(NOT EXISTS "${VIZOO_TORCH_LIBRARY_DIR}/lib${_library}.so")
    set(VIZOO_TORCH_PROBLEM
      "LibTorch in ${VIZOO_TORCH_FOUND_ROOT} has no lib/lib${_library}.so. Only shared builds of \
LibTorch are supported.")
    return()
  endif()
endforeach()

# The version decides the language level: LibTorch's headers want C++20 from 2.13 on.
file(STRINGS "${VIZOO_TORCH_INCLUDE_DIR}/torch/headeronly/version.h" _vizoo_torch_version_lines
     REGEX "^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
if(NOT _vizoo_torch_version_lines)
  file(STRINGS "${VIZOO_TORCH_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h"
       _vizoo_torch_version_lines REGEX "^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
endif()
set(VIZOO_TORCH_VERSION "")
foreach(_line IN LISTS _vizoo_torch_version_lines)
  string(REGEX MATCH "[0-9]+$" _number "${_line}")
  string(APPEND VIZOO_TORCH_VERSION "${_number}.")
endforeach()
string(REGEX REPLACE "\\.$" "" VIZOO_TORCH_VERSION "${VIZOO_TORCH_VERSION}")
if(VIZOO_TORCH_VERSION VERSION_LESS 2.5)
  set(VIZOO_TORCH_PROBLEM
    "LibTorch ${VIZOO_TORCH_VERSION} in ${VIZOO_TORCH_FOUND_ROOT} is too old: vizoo needs 2.5 or \
later and is tested with 2.11.0.")
  return()
endif()

# The wheel keeps the CUDA libraries that libtorch_cpu.so itself needs in sibling folders. Its
# RPATH finds them at run time; the linker has to be told.
file(GLOB _vizoo_torch_siblings "${VIZOO_TORCH_FOUND_ROOT}/../nvidia/*/lib")
set(VIZOO_TORCH_SIBLING_DIRS "")
set(_vizoo_torch_link_options "LINKER:-rpath-link,${VIZOO_TORCH_LIBRARY_DIR}")
foreach(_folder IN LISTS _vizoo_torch_siblings)
  get_filename_component(_folder "${_folder}" ABSOLUTE)
  list(APPEND VIZOO_TORCH_SIBLING_DIRS "${_folder}")
  list(APPEND _vizoo_torch_link_options "LINKER:-rpath-link,${_folder}")
endforeach()

if(NOT TARGET vizoo::torch)
  add_library(vizoo::torch INTERFACE IMPORTED)
  set_target_properties(vizoo::torch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES
      "${VIZOO_TORCH_INCLUDE_DIR};${VIZOO_TORCH_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES
      "${VIZOO_TORCH_LIBRARY_DIR}/libtorch_cpu.so;${VIZOO_TORCH_LIBRARY_DIR}/libc10.so"
    INTERFACE_LINK_OPTIONS "${_vizoo_torch_link_options}")
  if(VIZOO_TORCH_VERSION VERSION_LESS 2.13)
    set_property(TARGET vizoo::torch PROPERTY INTERFACE_COMPILE_FEATURES cxx_std_17)
  else()
    set_property(TARGET vizoo::torch PROPERTY INTERFACE_COMPILE_FEATURES cxx_std_20)
  endif()
endif()

if(VIZOO_CUDA AND NOT TARGET vizoo::torch_cuda)
  if(NOT EXISTS "${VIZOO_TORCH_LIBRARY_DIR}/libtorch_cuda.so")
    set(VIZOO_TORCH_PROBLEM
      "VIZOO_CUDA=ON, but ${VIZOO_TORCH_LIBRARY_DIR} has no libtorch_cuda.so.")
    return()
  endif()
  find_package(CUDAToolkit REQUIRED)
  add_library(vizoo::torch_cuda INTERFACE IMPORTED)
  # --no-as-needed: nothing refers to libtorch_cuda by symbol, yet loading it registers the CUDA
  # kernels. --allow-shlib-undefined: the slim wheel comes without cuDNN, NCCL and the like.
  set_target_properties(vizoo::torch_cuda PROPERTIES
    INTERFACE_LINK_LIBRARIES "vizoo::torch;CUDA::cudart"
    INTERFACE_LINK_OPTIONS
      "LINKER:--no-as-needed,${VIZOO_TORCH_LIBRARY_DIR}/libtorch_cuda.so,${VIZOO_TORCH_LIBRARY_DIR}/libc10_cuda.so,--as-needed;LINKER:--allow-shlib-undefined")
endif()
