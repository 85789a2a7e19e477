# What goes into a package, decided when cpack runs: everything, and LibTorch's libraries unless
# `cpack -D VIZOO_PACKAGE_TORCH=OFF`. The link to the LibTorch of this machine never goes in.
if(NOT DEFINED VIZOO_PACKAGE_TORCH)
  set(VIZOO_PACKAGE_TORCH ${CPACK_VIZOO_PACKAGE_TORCH})
endif()
set(CPACK_INSTALL_CMAKE_PROJECTS "${CPACK_VIZOO_BINARY_DIR};vizoo;Unspecified;/")
if(VIZOO_PACKAGE_TORCH)
  list(APPEND CPACK_INSTALL_CMAKE_PROJECTS "${CPACK_VIZOO_BINARY_DIR};vizoo;libtorch;/")
elseif(CPACK_GENERATOR STREQUAL "DEB")
  set(CPACK_DEBIAN_PACKAGE_NAME vizoo-without-libtorch)
else()
  string(APPEND CPACK_PACKAGE_FILE_NAME "-without-libtorch")
endif()
