# Install rules: the three libraries with their headers, the program, and the package that
# find_package(vizoo) reads. The package finds LibTorch by the same file as the build does, and
# looks first where the build found it.
include(CMakePackageConfigHelpers)

set(VIZOO_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/vizoo")
install(TARGETS vizoo_core vizoo_ops vizoo EXPORT vizooTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET vizoo_video)  # libvizoo.so looks for it in its own folder
  install(TARGETS vizoo_video LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
# Beside libvizoo_ops.so, where it looks for it.
install(FILES "${PROJECT_SOURCE_DIR}/python/vizoo_natten.py" DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT vizooTargets NAMESPACE vizoo:: DESTINATION ${VIZOO_PACKAGE_DIR})
configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/vizooConfig.cmake.in" "${PROJECT_BINARY_DIR}/vizooConfig.cmake"
  INSTALL_DESTINATION ${VIZOO_PACKAGE_DIR})
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/vizooConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/vizooConfig.cmake"
  "${PROJECT_BINARY_DIR}/vizooConfigVersion.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindOpenCV.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/VizooTorch.cmake"
  DESTINATION ${VIZOO_PACKAGE_DIR})
