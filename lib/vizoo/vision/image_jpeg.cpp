// JPEG by libjpeg: its own error handlers keep it silent, and the end of the data is an error.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>

// jpeglib.h needs stdio first.
#include <jerror.h>
#include <jpeglib.h>

#include "vizoo/core/error.h"
#include "vizoo/vision/image_formats.h"

namespace vizoo::detail {
namespace {

// libjpeg-turbo has it, the IJG's libjpeg has not.
#if defined(LIBJPEG_TURBO_VERSION_NUMBER) && LIBJPEG_TURBO_VERSION_NUMBER >= 1005000
#define VIZOO_PARTIAL_JPEG
#endif

// A progressive file can ask for any number of passes over all of its blocks.
constexpr int kMaxScans = 200;

struct JpegErrorState {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  bool truncated;
  bool too_many_scans;
  char message[JMSG_LENGTH_MAX];
};

JpegErrorState& state_of(j_common_ptr info) {
  return *reinterpret_cast<JpegErrorState*>(info->err);
}

[[noreturn]] void leave(j_common_ptr info) { std::longjmp(state_of(info).jump, 1); }

void on_error(j_common_ptr info) {
  JpegErrorState& state = state_of(info);
  state.base.format_message(info, state.message);
  leave(info);
}

// Level -1 is a warning about damaged data. Decoding goes on as in Pillow, but not when the
// entropy-coded data ran out: libjpeg would invent the rest.
void on_message(j_common_ptr info, int level) {
  JpegErrorState& state = state_of(info);
  if (level < 0 && state.base.msg_code == JWRN_HIT_MARKER) {
    state.truncated = true;
    leave(info);
  }
}

void discard_output(j_common_ptr) {}

void ignore_source(j_decompress_ptr) {}

boolean on_empty_source(j_decompress_ptr info) {
  state_of(reinterpret_cast<j_common_ptr>(info)).truncated = true;
  leave(reinterpret_cast<j_common_ptr>(info));
}

void skip_source(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<size_t>(count) > info->src->bytes_in_buffer) on_empty_source(info);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<size_t>(count);
}

void on_progress(j_common_ptr common) {
  const auto* info = reinterpret_cast<j_decompress_ptr>(common);
  if (info->input_scan_number <= kMaxScans) return;
  state_of(common).too_many_scans = true;
  leave(common);
}

// Owns the decompressor. The members that call libjpeg set the jump target first and keep nothing
// with a destructor on their stacks.
class JpegReader {
 public:
  explicit JpegReader(const ImageFile& file) : file_(file) {
    info_.err = jpeg_std_error(&error_.base);
    error_.base.error_exit = on_error;
    error_.base.emit_message = on_message;
    error_.base.output_message = discard_output;
    source_.init_source = ignore_source;
    source_.fill_input_buffer = on_empty_source;
    source_.skip_input_data = skip_source;
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = ignore_source;
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(file.bytes.data());
    source_.bytes_in_buffer = file.bytes.size();
    progress_.progress_monitor = on_progress;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  void read_header(bool want_exif) {
    if (!try_header(want_exif)) report();
  }

  void read_pixels(cv::Mat& image, cv::Mat& ink_row) {
    if (!try_pixels(image, ink_row.empty() ? nullptr : ink_row.data)) report();
  }

#ifdef VIZOO_PARTIAL_JPEG
  // Rows from `top` on, columns from `left` on, as many as `image` has of either; `left` must be
  // where blocks begin. Not for CMYK.
  void read_part(cv::Mat& image, JDIMENSION top, JDIMENSION left) {
    if (!try_part(image, top, left)) report();
  }
#endif

  const jpeg_decompress_struct& info() const { return info_; }

  std::string_view exif() const {
    for (auto marker = info_.marker_list; marker != nullptr; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (data.substr(0, 6) == std::string_view("Exif\0\0", 6)) return data;
    }
    return {};
  }

 private:
  bool try_header(bool want_exif) {
    if (setjmp(error_.jump) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.src = &source_;
    info_.progress = &progress_;
    if (want_exif) jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  // `inks`: room for one row of four channels, only for CMYK.
  bool try_pixels(cv::Mat& image, uint8_t* inks) {
    if (setjmp(error_.jump) != 0) return false;
    info_.out_color_space = inks != nullptr ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      uint8_t* row = image.data + info_.output_scanline * image.step[0];
      JSAMPROW target = inks != nullptr ? inks : row;
      if (jpeg_read_scanlines(&info_, &target, 1) == 1 && inks != nullptr) {
        inks_to_rgb(inks, row);
      }
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

#ifdef VIZOO_PARTIAL_JPEG
  bool try_part(cv::Mat& image, JDIMENSION top, JDIMENSION left) {
    if (setjmp(error_.jump) != 0) return false;
    info_.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info_);
    JDIMENSION offset = left;
    auto width = static_cast<JDIMENSION>(image.cols);
    jpeg_crop_scanline(&info_, &offset, &width);
    if (top > 0) jpeg_skip_scanlines(&info_, top);
    for (int y = 0; y < image.rows; ++y) {
      JSAMPROW target = image.data + static_cast<size_t>(y) * image.step[0];
      jpeg_read_scanlines(&info_, &target, 1);
    }
    // The rest is not wanted: no jpeg_finish_decompress.
    return true;
  }
#endif

  // Adobe files store inverted inks, and Pillow takes every CMYK JPEG for one:
  // R = K' - (255 - C') K' / 255 with C', K' as stored.
  void inks_to_rgb(const uint8_t* inks, uint8_t* row) const {
    for (JDIMENSION x = 0; x < info_.output_width; ++x, inks += 4) {
      const int black = inks[3];
      for (int c = 0; c < 3; ++c) {
        const int product = (255 - inks[c]) * black + 128;
        *row++ = static_cast<uint8_t>(std::max(black - ((product + (product >> 8)) >> 8), 0));
      }
    }
  }

  [[noreturn]] void report() const {
    if (error_.truncated) fail_truncated(file_, "JPEG");
    if (error_.too_many_scans) {
      fail(file_, "a JPEG of at most " + std::to_string(kMaxScans) + " scans", "more");
    }
    fail(file_, "a valid JPEG", quote(error_.message));
  }

  const ImageFile& file_;
  jpeg_decompress_struct info_{};
  JpegErrorState error_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
};

// Each 8 x 8 block takes at least one bit of Huffman code, so a small file cannot hold a large
// image: caught here before its size is allocated. Arithmetic coding can go below.
void check_data_size(const ImageFile& file, const jpeg_decompress_struct& info) {
  if (info.arith_code) return;
  uint64_t samples = 0;
  for (int i = 0; i < info.num_components; ++i) {
    const jpeg_component_info& component = info.comp_info[i];
    samples += uint64_t{info.image_width} * info.image_height * component.h_samp_factor *
               component.v_samp_factor / (info.max_h_samp_factor * info.max_v_samp_factor);
  }
  if (samples / 64 > uint64_t{8} * file.bytes.size()) fail_truncated(file, "JPEG");
}

void check_header(const ImageFile& file,
                  const jpeg_decompress_struct& info,
                  const ImageDecodeOptions& options) {
  check_size(file, info.image_width, info.image_height, options);
  const int channels = info.num_components;
  if (channels != 1 && channels != 3 && channels != 4) {
    fail(file, "a JPEG of 1, 3 or 4 channels", std::to_string(channels));
  }
  check_data_size(file, info);
}

cv::Mat whole_image(JpegReader& reader) {
  const jpeg_decompress_struct& info = reader.info();
  const int width = static_cast<int>(info.image_width);
  cv::Mat pixels(static_cast<int>(info.image_height), width, CV_8UC3);
  cv::Mat ink_row;
  if (info.num_components == 4) ink_row.create(1, width, CV_8UC4);
  reader.read_pixels(pixels, ink_row);
  return pixels;
}

#ifdef VIZOO_PARTIAL_JPEG
bool ends_with_marker(std::string_view bytes) {
  return bytes.size() >= 2 && bytes.substr(bytes.size() - 2) == "\xFF\xD9";
}

cv::Mat part_of_image(JpegReader& reader, const ImageRegion& region) {
  const jpeg_decompress_struct& info = reader.info();
  // Chroma is interpolated from its neighbours, which must be there to give the same bytes.
  const int64_t margin = int64_t{2} * info.max_h_samp_factor;
  const int64_t block = int64_t{DCTSIZE} * info.max_h_samp_factor;
  const int64_t left = std::max<int64_t>(region.left - margin, 0) / block * block;
  const int64_t right =
      std::min<int64_t>(region.left + region.width + margin, int64_t{info.image_width});
  cv::Mat pixels(static_cast<int>(region.height), static_cast<int>(right - left), CV_8UC3);
  reader.read_part(pixels, static_cast<JDIMENSION>(region.top), static_cast<JDIMENSION>(left));
  const auto first = static_cast<int>(region.left - left);
  return pixels.colRange(first, first + static_cast<int>(region.width));
}
#endif

}  // namespace

DecodedImage decode_jpeg(const ImageFile& file, const ImageDecodeOptions& options) {
  JpegReader reader(file);
  reader.read_header(options.apply_exif_orientation);
  check_header(file, reader.info(), options);
  DecodedImage decoded;
  decoded.orientation = exif_orientation(reader.exif());
  decoded.pixels = whole_image(reader);
  return decoded;
}

cv::Mat decode_jpeg_region(const ImageFile& file,
                           const RegionChooser& choose,
                           const ImageDecodeOptions& options) {
  JpegReader reader(file);
  reader.read_header(/*want_exif=*/false);
  const jpeg_decompress_struct& info = reader.info();
  check_header(file, info, options);
  const ImageSize size{info.image_height, info.image_width};
  const ImageRegion region = choose(size);
  check_region(file, region, size);
#ifdef VIZOO_PARTIAL_JPEG
  if (info.num_components != 4 && ends_with_marker(file.bytes)) {
    return part_of_image(reader, region);
  }
#endif
  return part_of(whole_image(reader), region);
}

}  // namespace vizoo::detail
