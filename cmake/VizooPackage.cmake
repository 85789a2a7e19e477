# Packages, by `cpack --config <build>/CPackConfig.cmake`: a .tar.gz that runs wherever it is
# unpacked, and a .deb where Debian's tools are. docs/install.md describes them.
#
# LibTorch is a Python wheel or a zip, never a Debian package, so by default its libraries go in:
# 450 MB of libtorch_cpu.so and what that needs. `cpack -D VIZOO_PACKAGE_TORCH=OFF` leaves them out.
# The CUDA libraries would be 5 GB, so a CUDA build never takes them along.
if(VIZOO_CUDA)
  set(package_torch OFF)
else()
  set(package_torch ON)
endif()
option(VIZOO_PACKAGE_TORCH "Put LibTorch's libraries into packages" ${package_torch})
if(VIZOO_PACKAGE_TORCH AND VIZOO_CUDA)
  message(FATAL_ERROR "VIZOO_PACKAGE_TORCH=ON is for CPU builds: LibTorch with CUDA has 5 GB.")
endif()

set(CPACK_PACKAGE_NAME vizoo)
set(CPACK_PACKAGE_VENDOR vizoo)
set(CPACK_PACKAGE_CONTACT "The vizoo authors <vizoo@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGE_FILE_NAME
    "vizoo-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_GENERATOR TGZ)
find_program(VIZOO_DPKG_SHLIBDEPS dpkg-shlibdeps)
find_program(VIZOO_FILE file)
mark_as_advanced(VIZOO_DPKG_SHLIBDEPS VIZOO_FILE)
if(VIZOO_DPKG_SHLIBDEPS AND VIZOO_FILE)
  list(APPEND CPACK_GENERATOR DEB)
endif()

# dpkg-shlibdeps names the packages that the libraries come from; what it finds in these folders
# needs none.
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS
    "${PROJECT_BINARY_DIR}/lib" "${VIZOO_TORCH_LIBRARY_DIR}" ${VIZOO_TORCH_SIBLING_DIRS})

# Read by cpack, once for each generator, after its -D.
set(CPACK_VIZOO_BINARY_DIR "${PROJECT_BINARY_DIR}")
set(CPACK_VIZOO_PACKAGE_TORCH ${VIZOO_PACKAGE_TORCH})
set(CPACK_PROJECT_CONFIG_FILE "${CMAKE_CURRENT_LIST_DIR}/VizooPackageContents.cmake")
include(CPack)
