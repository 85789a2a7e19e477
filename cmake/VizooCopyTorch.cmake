# Run when the component `libtorch` is installed: copies libtorch_cpu.so, and what it needs of the
# files that came with it, to ${torch_destination}. Debian's libraries are left out.
#   torch_library_dir   the lib folder of LibTorch
#   torch_siblings      folders of the wheel's companions, which hold CUDA's runtime library
cmake_policy(VERSION 3.25)
file(GET_RUNTIME_DEPENDENCIES
  LIBRARIES "${torch_library_dir}/libtorch_cpu.so"
  DIRECTORIES ${torch_siblings}
  RESOLVED_DEPENDENCIES_VAR found
  UNRESOLVED_DEPENDENCIES_VAR missing)
if(missing)
  message(FATAL_ERROR "LibTorch in ${torch_library_dir} needs what is not there: ${missing}")
endif()
set(torch_files "${torch_library_dir}/libtorch_cpu.so")
foreach(file IN LISTS found)
  get_filename_component(folder "${file}" DIRECTORY)
  get_filename_component(folder "${folder}" REALPATH)
  if(folder IN_LIST torch_siblings OR folder STREQUAL torch_library_dir)
    list(APPEND torch_files "${file}")
  endif()
endforeach()
file(INSTALL DESTINATION "${torch_destination}" TYPE SHARED_LIBRARY FOLLOW_SYMLINK_CHAIN
     FILES ${torch_files})

# Their licences, which travel with them: the wheels keep them beside the folders.
file(GLOB licences
  "${torch_library_dir}/../LICENSE" "${torch_library_dir}/../NOTICE"
  "${torch_library_dir}/../../torch-*.dist-info/licenses/*"
  "${torch_library_dir}/../../nvidia_cuda_runtime*.dist-info/licenses/*"
  "${torch_library_dir}/../../nvidia_cuda_cupti*.dist-info/licenses/*")
foreach(file IN LISTS licences)
  get_filename_component(name "${file}" NAME)
  set(source torch)
  if(file MATCHES "/([^/]*)\\.dist-info/")
    set(source "${CMAKE_MATCH_1}")
  endif()
  file(INSTALL DESTINATION "${licence_destination}/${source}" TYPE FILE FILES "${file}")
endforeach()
