# Files of the vision layer, the compile options that one of them needs, and what it links.
set(VIZOO_VISION_SOURCES
  image.cpp image_bmp.cpp image_jpeg.cpp image_png.cpp image_region.cpp image_tiff.cpp
  image_webp.cpp tiff_codecs.cpp
  resample.cpp resample_avx2.cpp resample_portable.cpp resample_weights.cpp
  image_transforms.cpp work_image.cpp batch_feature.cpp image_processor.cpp
  image_processor_attributes.cpp pixel_table.cpp
  processor_json.cpp convnext_image_processor.cpp vit_image_processor.cpp
  poolformer_image_processor.cpp levit_image_processor.cpp bit_image_processor.cpp
  gaussian_zoom.cpp owlv2_steps.cpp owlv2_image_processor.cpp
  perceiver_image_processor.cpp auto_image_processor.cpp video.cpp)
set(VIZOO_VISION_HEADERS
  image.h image_region.h resample.h image_transforms.h image_processor.h image_processor_attributes.h
  convnext_image_processor.h vit_image_processor.h poolformer_image_processor.h
  levit_image_processor.h bit_image_processor.h gaussian_zoom.h owlv2_image_processor.h
  perceiver_image_processor.h auto_image_processor.h video.h)
# What runs on machines without AVX2 must not be compiled for it: one file, called after a check.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/resample_avx2.cpp"
                              PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma" SKIP_PRECOMPILE_HEADERS ON)
endif()
# Weights are exact only without fused multiply-adds, which some processors and flags bring.
set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/resample_weights.cpp"
                            PROPERTIES COMPILE_OPTIONS "-ffp-contract=off"
                                       SKIP_PRECOMPILE_HEADERS ON)
# SciPy's sums have none either; the loops of this file are to be vectorised in every build.
set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/gaussian_zoom.cpp"
                            PROPERTIES COMPILE_OPTIONS "-ffp-contract=off;-O3"
                                       SKIP_PRECOMPILE_HEADERS ON)
# Only WebP goes through OpenCV (whose readers print to stderr and return half an image where Pillow
# fails); PNG and JPEG are read by their own libraries (libpng-dev, libjpeg-dev).
find_package(OpenCV REQUIRED COMPONENTS core imgcodecs imgproc videoio)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
# No header of ours shows libjpeg or libpng: who uses an installed vizoo need not find them.
set(VIZOO_VISION_LIBRARIES
  opencv_core opencv_imgcodecs $<BUILD_INTERFACE:opencv_imgproc> $<BUILD_INTERFACE:JPEG::JPEG>
  $<BUILD_INTERFACE:PNG::PNG> $<BUILD_INTERFACE:ZLIB::ZLIB>)
