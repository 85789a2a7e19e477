#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

// jpeglib.h needs stdio first.
#include <jpeglib.h>

#include <opencv2/core.hpp>

namespace vizoo::test {

/// How `jpeg_bytes` writes.
struct JpegForm {
  int horizontal = 2;  ///< sampling of the first component against the others
  int vertical = 2;
  bool gray = false;
  bool progressive = false;
  int restart_rows = 0;  ///< rows of blocks between restart markers; 0: none
  int quality = 85;
};

/// A JPEG file of an RGB image.
inline std::string jpeg_bytes(const cv::Mat& image, const JpegForm& form = {}) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's type
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = static_cast<JDIMENSION>(image.cols);
  info.image_height = static_cast<JDIMENSION>(image.rows);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  if (form.gray) jpeg_set_colorspace(&info, JCS_GRAYSCALE);
  jpeg_set_quality(&info, form.quality, TRUE);
  info.comp_info[0].h_samp_factor = form.gray ? 1 : form.horizontal;
  info.comp_info[0].v_samp_factor = form.gray ? 1 : form.vertical;
  info.restart_in_rows = form.restart_rows;
  if (form.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPLE*>(image.ptr<JSAMPLE>(static_cast<int>(info.next_scanline)));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string bytes(reinterpret_cast<const char*>(data), size);
  jpeg_destroy_compress(&info);
  std::free(data);
  return bytes;
}

}  // namespace vizoo::test
