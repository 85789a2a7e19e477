# Training in many processes: VIZOO_GLOO says whether it can be built. LibTorch brings the engine
# (c10d with Gloo inside); its headers include Gloo's, which the wheel lacks and libgloo-dev has.
# VIZOO_NCCL_INCLUDE_DIR: where nccl.h is, looked for in CUDA builds only.
set(VIZOO_DISTRIBUTED AUTO CACHE STRING
    "Train in many processes, which needs the headers of Gloo (libgloo-dev): AUTO, ON or OFF")
set_property(CACHE VIZOO_DISTRIBUTED PROPERTY STRINGS AUTO ON OFF)

set(VIZOO_GLOO OFF)
set(VIZOO_NCCL_INCLUDE_DIR "")
if(VIZOO_DISTRIBUTED)
  find_path(VIZOO_GLOO_INCLUDE_DIR gloo/rendezvous/store.h)
  set(_vizoo_c10d "${VIZOO_TORCH_INCLUDE_DIR}/torch/csrc/distributed/c10d")
  if(VIZOO_GLOO_INCLUDE_DIR AND EXISTS "${_vizoo_c10d}/ProcessGroupGloo.hpp")
    set(VIZOO_GLOO ON)
  elseif(NOT VIZOO_DISTRIBUTED STREQUAL "AUTO")
    message(FATAL_ERROR "VIZOO_DISTRIBUTED=${VIZOO_DISTRIBUTED}, but the headers of Gloo \
(libgloo-dev) or LibTorch's ProcessGroupGloo.hpp were not found.")
  else()
    message(STATUS "Training: one process only, since Gloo's headers (libgloo-dev) were not found")
  endif()
endif()
if(VIZOO_GLOO AND VIZOO_CUDA AND EXISTS "${_vizoo_c10d}/ProcessGroupNCCL.hpp")
  find_path(VIZOO_NCCL_HEADER_DIR nccl.h
            HINTS "${VIZOO_TORCH_FOUND_ROOT}/../nvidia/nccl/include")
  if(VIZOO_NCCL_HEADER_DIR)
    set(VIZOO_NCCL_INCLUDE_DIR "${VIZOO_NCCL_HEADER_DIR}")
  endif()
endif()
