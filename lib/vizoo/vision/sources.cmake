# Files of the vision layer, the compile options that one of them needs, and what it links.
set(VIZOO_VISION_SOURCES
  image.cpp image_bmp_webp_tiff.cpp image_jpeg.cpp image_png.cpp
  resample.cpp resample_portable.cpp resample_avx2.cpp
  image_transforms.cpp image_processor.cpp pixel_table.cpp processor_json.cpp
  convnext_image_processor.cpp auto_image_processor.cpp)
set(VIZOO_VISION_HEADERS
  image.h resample.h image_transforms.h image_processor.h convnext_image_processor.h
  auto_image_processor.h)
# What runs on machines without AVX2 must not be compiled for it: one file, called after a check.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/resample_avx2.cpp"
                              PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma" SKIP_PRECOMPILE_HEADERS ON)
endif()
# PNG and JPEG are read by their libraries directly (libjpeg-dev, libpng-dev): OpenCV's readers
# print to stderr and return half an image where Pillow fails.
find_package(OpenCV REQUIRED COMPONENTS core imgcodecs)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
# No header of ours shows libjpeg or libpng: who uses an installed vizoo need not find them.
set(VIZOO_VISION_LIBRARIES
  opencv_core opencv_imgcodecs $<BUILD_INTERFACE:JPEG::JPEG> $<BUILD_INTERFACE:PNG::PNG>)
