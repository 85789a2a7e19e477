# Install rules: the three libraries with their headers, the program, and the package that
# find_package(vizoo) reads. docs/install.md shows the tree.
#
# Nothing that is installed names a folder of this machine, with one exception that can be seen and
# changed: the link <libdir>/vizoo/torch to LibTorch's libraries. RPATHs and vizooConfig.cmake
# go by it. In a package that brings LibTorch along it is a folder.
include(CMakePackageConfigHelpers)

set(VIZOO_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/vizoo")
set(VIZOO_TORCH_LINK "${CMAKE_INSTALL_LIBDIR}/vizoo/torch")
install(TARGETS vizoo_core vizoo_ops vizoo EXPORT vizooTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET vizoo_video)  # libvizoo.so looks for it in its own folder
  install(TARGETS vizoo_video LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
# Two folders below libvizoo_ops.so, where it looks for it.
install(FILES "${PROJECT_SOURCE_DIR}/python/vizoo_natten.py"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/vizoo/python")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/CHANGELOG.md"
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
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

# `cmake --install` makes the link; packages leave it out (VizooPackageContents.cmake).
install(CODE "
  set(torch_link \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${VIZOO_TORCH_LINK}\")
  if(IS_DIRECTORY \"\${torch_link}\" AND NOT IS_SYMLINK \"\${torch_link}\")
    message(STATUS \"Kept: \${torch_link}\")
  else()
    get_filename_component(folder \"\${torch_link}\" DIRECTORY)
    file(MAKE_DIRECTORY \"\${folder}\")
    file(CREATE_LINK \"${VIZOO_TORCH_LIBRARY_DIR}\" \"\${torch_link}\" SYMBOLIC)
    message(STATUS \"Linked: \${torch_link} -> ${VIZOO_TORCH_LIBRARY_DIR}\")
  endif()"
  COMPONENT libtorch_link)

# The component `libtorch`, which only packages ask for: a folder of libraries in the link's place.
install(CODE "
  set(torch_library_dir \"${VIZOO_TORCH_LIBRARY_DIR}\")
  set(torch_siblings \"${VIZOO_TORCH_SIBLING_DIRS}\")
  set(torch_destination \"\${CMAKE_INSTALL_PREFIX}/${VIZOO_TORCH_LINK}\")
  set(licence_destination \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}/licences\")"
  COMPONENT libtorch EXCLUDE_FROM_ALL)
install(SCRIPT "${CMAKE_CURRENT_LIST_DIR}/VizooCopyTorch.cmake"
  COMPONENT libtorch EXCLUDE_FROM_ALL)
