# find_package(OpenCV COMPONENTS core imgcodecs ...): OpenCV's own package where it is installed, else
# the modules one by one. Debian keeps OpenCVConfig.cmake in libopencv-dev, which brings 600 MB of
# modules that vizoo does not use; with only libopencv-core-dev and its like there is no such file.
# Offers the imported targets opencv_<component>, as OpenCV's package does.

find_package(OpenCV CONFIG QUIET COMPONENTS ${OpenCV_FIND_COMPONENTS})
if(OpenCV_FOUND)
  return()
endif()

find_path(OpenCV_INCLUDE_DIR opencv2/core/version.hpp PATH_SUFFIXES opencv4)
mark_as_advanced(OpenCV_INCLUDE_DIR)
set(OpenCV_VERSION "")
if(OpenCV_INCLUDE_DIR)
  file(STRINGS "${OpenCV_INCLUDE_DIR}/opencv2/core/version.hpp" _lines
       REGEX "^#define CV_VERSION_(MAJOR|MINOR|REVISION) +[0-9]+")
  foreach(_line IN LISTS _lines)
    string(REGEX MATCH "[0-9]+$" _number "${_line}")
    list(APPEND OpenCV_VERSION "${_number}")
  endforeach()
  list(JOIN OpenCV_VERSION "." OpenCV_VERSION)
endif()

foreach(_component IN LISTS OpenCV_FIND_COMPONENTS)
  find_library(OpenCV_${_component}_LIBRARY opencv_${_component})
  mark_as_advanced(OpenCV_${_component}_LIBRARY)
  if(OpenCV_${_component}_LIBRARY)
    set(OpenCV_${_component}_FOUND TRUE)
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCV
  REQUIRED_VARS OpenCV_INCLUDE_DIR
  VERSION_VAR OpenCV_VERSION
  HANDLE_COMPONENTS
  REASON_FAILURE_MESSAGE "Run scripts/setup.sh, or build without images: -DVIZOO_OPENCV=OFF.")

if(OpenCV_FOUND)
  foreach(_component IN LISTS OpenCV_FIND_COMPONENTS)
    if(OpenCV_${_component}_LIBRARY AND NOT TARGET opencv_${_component})
      add_library(opencv_${_component} UNKNOWN IMPORTED)
      set_target_properties(opencv_${_component} PROPERTIES
        IMPORTED_LOCATION "${OpenCV_${_component}_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${OpenCV_INCLUDE_DIR}")
    endif()
  endforeach()
endif()
