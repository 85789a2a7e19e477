// Hostile and damaged image files, made here from the small valid ones with fixed seeds. Each
// either decodes to an image of the size that its header states or gives one ImageError of one
// line.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "test/support/catch.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"
#include "vizoo/vision/image.h"

namespace vizoo {
namespace {

using test::message_of;

std::string fixture(const std::string& name) {
  std::ifstream file(std::filesystem::path("test/fixtures/images") / name, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE_FALSE(bytes.empty());
  return bytes;
}

std::string message(const std::string& bytes, const ImageDecodeOptions& options = {}) {
  return message_of<ImageError>([&] { decode_image(bytes, "photo", options); });
}

std::string truncated(const std::string& format) {
  return "[image] photo: expected a complete " + format + ", got a file that ends early.";
}

void put(std::string& bytes, size_t offset, const std::string& value) {
  bytes.replace(offset, value.size(), value);
}

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24),
          static_cast<char>(value >> 16),
          static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string little_endian(uint32_t value) {
  const std::string big = big_endian(value);
  return {big.rbegin(), big.rend()};
}

uint32_t crc32(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

std::string chunk(const std::string& type, const std::string& data) {
  return big_endian(static_cast<uint32_t>(data.size())) + type + data +
         big_endian(crc32(type + data));
}

// A PNG that states any size, around the compressed data of a valid one.
std::string png_of_size(uint32_t width, uint32_t height, char depth = 8, char colour = 2) {
  const std::string valid = fixture("rgb.png");
  const size_t data = valid.find("IDAT");
  const std::string header =
      big_endian(width) + big_endian(height) + depth + colour + std::string(3, '\0');
  return valid.substr(0, 8) + chunk("IHDR", header) + valid.substr(data - 4);
}

// Offset of the 12-byte entry of a tag in a little-endian TIFF.
size_t tiff_entry(const std::string& bytes, unsigned tag) {
  const auto u8 = [&](size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const size_t directory = u8(4) | (u8(5) << 8) | (u8(6) << 16) | (size_t{u8(7)} << 24);
  const int count = u8(directory) | (u8(directory + 1) << 8);
  for (int i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + 12 * static_cast<size_t>(i);
    if ((u8(entry) | (u8(entry + 1) << 8)) == static_cast<int>(tag)) return entry;
  }
  FAIL("no such tag");
  return 0;
}

// States another width and height, and one strip for all of it.
std::string with_tiff_size(std::string bytes, uint32_t side) {
  for (const unsigned tag : {256u, 257u, 278u}) {
    put(bytes,
        tiff_entry(bytes, tag) + 2,
        std::string("\x04\x00\x01\x00\x00\x00", 6) + little_endian(side));
  }
  return bytes;
}

// Decodes or fails with one printable line about this file. Returns whether it decoded.
bool decodes_or_explains(const std::string& bytes) {
  try {
    const cv::Mat image = decode_image(bytes, "photo");
    CHECK(image.type() == CV_8UC3);
    CHECK(image.rows >= 1);
    CHECK(image.cols >= 1);
    return true;
  } catch (const ImageError& error) {
    const std::string text = error.what();
    CHECK(text.rfind("[image] photo: expected ", 0) == 0);
    CHECK(text.find(", got ") != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
    return false;
  }
}

TEST_CASE("no image at all") {
  CHECK(message("") == "[image] photo: expected an image, got an empty file.");
  const std::string formats = "[image] photo: expected a JPEG, PNG, BMP, WebP or TIFF image, got ";
  CHECK(message("hello, world") == formats + "something else.");
  CHECK(message(std::string(1000, '\0')) == formats + "something else.");
  CHECK(message("GIF89a..........") == formats + "a GIF.");
  CHECK(message("%PDF-1.7") == formats + "a PDF.");
  CHECK(message(std::string("\0\0\0\x1c", 4) + "ftypavif") == formats + "an AVIF.");
  CHECK(message(std::string("II+\0\0\0\0\0", 8)) == formats + "a BigTIFF.");
  CHECK(message("{\"size\": 3}") == formats + "something else.");
  CHECK(message_of<ImageError>([] { decode_image("", "a\nb\x1b[0m"); }) ==
        "[image] a\\x0ab\\x1b[0m: expected an image, got an empty file.");
}

TEST_CASE("files cut anywhere are told as such") {
  struct Format {
    const char* file;
    const char* name;
    size_t signature;  // bytes that tell the format
  };
  static const Format kFormats[] = {{"rgb.png", "PNG", 8},
                                    {"rgb.jpg", "JPEG", 2},
                                    {"rgb.bmp", "BMP", 2},
                                    {"lossy.webp", "WebP", 12},
                                    {"lossless.webp", "WebP", 12},
                                    {"progressive.jpg", "JPEG", 2},
                                    {"gray16.png", "PNG", 8},
                                    {"cmyk.jpg", "JPEG", 2}};
  int files = 0;
  for (const Format& format : kFormats) {
    const std::string bytes = fixture(format.file);
    for (int twentieth = 0; twentieth < 20; ++twentieth) {
      const size_t length =
          format.signature + (bytes.size() - 1 - format.signature) * twentieth / 19;
      CAPTURE(format.file, length, bytes.size());
      CHECK(message(bytes.substr(0, length)) == truncated(format.name));
      ++files;
    }
  }
  CHECK(files == 160);
}

TEST_CASE("a TIFF cut anywhere is told as such") {
  const std::string bytes = fixture("rgb.tif");
  for (size_t length = 4; length < bytes.size(); length += 97) {
    CAPTURE(length, bytes.size());
    CHECK(message(bytes.substr(0, length)) == truncated("TIFF"));
  }
}

TEST_CASE("a JPEG cut inside its data but closed by an end marker") {
  const std::string bytes = fixture("rgb.jpg");
  CHECK(message(bytes.substr(0, bytes.size() - 150) + "\xFF\xD9") == truncated("JPEG"));
}

TEST_CASE("sizes over the limit are refused by the header alone") {
  const std::string limit = "[image] photo: expected at most 178956970 pixels, got ";
  CHECK(message(png_of_size(100000, 100000)) == limit + "100000 x 100000.");
  CHECK(message(png_of_size(0x7FFFFFFF, 0x7FFFFFFF)) == limit + "2147483647 x 2147483647.");
  std::string jpeg = fixture("rgb.jpg");
  const size_t frame = jpeg.find("\xFF\xC0");
  put(jpeg, frame + 5, std::string("\xFA\x00\xFA\x00", 4));
  CHECK(message(jpeg) == limit + "64000 x 64000.");
  std::string bmp = fixture("rgb.bmp");
  put(bmp, 18, little_endian(1000000) + little_endian(1000000));
  CHECK(message(bmp) == limit + "1000000 x 1000000.");
  std::string tiff = fixture("rgb.tif");
  ImageDecodeOptions options;
  options.max_pixels = 100;
  CHECK(message(tiff, options) == "[image] photo: expected at most 100 pixels, got 31 x 22.");
  CHECK(message(fixture("lossless.webp"), options) ==
        "[image] photo: expected at most 100 pixels, got 31 x 22.");
}

TEST_CASE("sizes that the data cannot fill are refused without allocating them") {
  CHECK(message(png_of_size(13000, 13000)) == truncated("PNG"));
  CHECK(message(png_of_size(32, 22)) == truncated("PNG"));
  std::string jpeg = fixture("rgb.jpg");
  const size_t frame = jpeg.find("\xFF\xC0");
  put(jpeg, frame + 5, std::string("\x32\x00\x32\x00", 4));
  CHECK(message(jpeg) == truncated("JPEG"));
  put(jpeg, frame + 5, std::string("\x00\x80\x00\x80", 4));
  CHECK(message(jpeg) == truncated("JPEG"));
  std::string bmp = fixture("rgb.bmp");
  put(bmp, 18, little_endian(12000) + little_endian(12000));
  CHECK(message(bmp) == truncated("BMP"));
  std::string webp = fixture("lossy.webp");
  put(webp, 26, std::string("\x00\x32\x00\x32", 4));
  CHECK(message(webp) == "[image] photo: expected a valid WebP, got damaged image data.");
  for (const char* name : {"rgb.tif", "lzw.tif", "deflate.tif", "packbits.tif"}) {
    std::string tiff = fixture(name);
    CHECK(message(with_tiff_size(tiff, 12000)) == truncated("TIFF"));
  }
}

TEST_CASE("sizes of nothing") {
  CHECK(message(png_of_size(0, 5)) == "[image] photo: expected at least one pixel, got 0 x 5.");
  std::string bmp = fixture("rgb.bmp");
  put(bmp, 18, little_endian(0));
  CHECK(message(bmp) == "[image] photo: expected at least one pixel, got 0 x 22.");
  put(bmp, 18, little_endian(0x80000000u));
  CHECK(message(bmp) == "[image] photo: expected a valid BMP, got a negative width.");
}

TEST_CASE("damaged PNG headers") {
  CHECK(message(png_of_size(31, 22, 3)) ==
        "[image] photo: expected a valid PNG, got \"Invalid IHDR data\".");
  CHECK(message(png_of_size(31, 22, 8, 5)) ==
        "[image] photo: expected a valid PNG, got \"Invalid IHDR data\".");
  std::string crc = fixture("rgb.png");
  crc[29] = static_cast<char>(crc[29] ^ 1);
  CHECK(message(crc) == "[image] photo: expected a valid PNG, got \"IHDR: CRC error\".");
  std::string data = fixture("rgb.png");
  const size_t at = data.find("IDAT") + 20;
  data[at] = static_cast<char>(data[at] ^ 0x40);
  CHECK_FALSE(decodes_or_explains(data));
  std::string first = fixture("rgb.png");
  put(first, 12, "IDAT");
  CHECK(message(first) ==
        "[image] photo: expected a PNG that starts with its header, got \"IDAT\".");
  std::string long_chunk = fixture("rgb.png");
  put(long_chunk, long_chunk.find("IDAT") - 4, big_endian(0xFFFFFFFFu));
  CHECK(message(long_chunk) == truncated("PNG"));
}

TEST_CASE("BMP headers of another kind") {
  const auto changed = [](size_t offset, const std::string& value) {
    std::string bytes = fixture("rgb.bmp");
    put(bytes, offset, value);
    return message(bytes);
  };
  CHECK(changed(28, std::string("\x07\x00", 2)) ==
        "[image] photo: expected a BMP of 1, 4, 8, 16, 24 or 32 bits a pixel, got 7.");
  CHECK(changed(30, little_endian(1)) ==
        "[image] photo: expected a BMP without compression, got compression 1.");
  CHECK(changed(14, little_endian(13)) ==
        "[image] photo: expected a valid BMP, got a header of 13 bytes.");
  CHECK(changed(10, little_endian(20)) ==
        "[image] photo: expected a valid BMP, got pixels inside the header.");
  CHECK(changed(10, little_endian(0xFFFFFFFFu)) == truncated("BMP"));
}

TEST_CASE("TIFF directories that lie") {
  const auto changed = [](unsigned tag, size_t offset, const std::string& value) {
    std::string bytes = fixture("rgb.tif");
    put(bytes, tiff_entry(bytes, tag) + offset, value);
    return message(bytes);
  };
  CHECK(changed(259, 8, std::string("\x07\x00", 2)) ==
        "[image] photo: expected a TIFF without compression or with LZW, Deflate or PackBits, got "
        "compression 7.");
  CHECK(changed(262, 8, std::string("\x06\x00", 2)) ==
        "[image] photo: expected a grey, RGB or palette TIFF, got photometric 6 "
        "with 3 samples a pixel.");
  CHECK(changed(277, 8, std::string("\x09\x00", 2)) ==
        "[image] photo: expected a TIFF of 1 to 4 samples a pixel, got 9.");
  CHECK(changed(273, 8, little_endian(0x7FFFFFF0)) == truncated("TIFF"));
  CHECK(changed(279, 8, little_endian(0x7FFFFFF0)) == truncated("TIFF"));
  CHECK(changed(279, 8, little_endian(17)) == truncated("TIFF"));
  CHECK(changed(258, 4, little_endian(0x7FFFFFF0)) == truncated("TIFF"));
  CHECK(changed(257, 2, std::string("\x0b\x00", 2)) ==
        "[image] photo: expected a valid TIFF, got tag 257 of a wrong type.");
  CHECK(changed(256, 2, std::string("\x04\x00\x01\x00\x00\x00", 6) + little_endian(0)) ==
        "[image] photo: expected at least one pixel, got 0 x 22.");
  CHECK(changed(256, 2, std::string("\x04\x00\x01\x00\x00\x00", 6) + little_endian(0xFFFFFFFFu)) ==
        "[image] photo: expected at most 178956970 pixels, got 4294967295 x 22.");
  std::string bytes = fixture("rgb.tif");
  put(bytes, 4, little_endian(0xFFFFFFF0u));
  CHECK(message(bytes) == truncated("TIFF"));
}

TEST_CASE("WebP of other kinds") {
  std::string animated = fixture("lossy.webp");
  put(animated, 12, "ANIM");
  CHECK(message(animated) == "[image] photo: expected a still WebP, got an animation.");
  std::string damaged = fixture("lossy.webp");
  put(damaged, 23, "abc");  // the start code of the key frame
  CHECK(message(damaged) == "[image] photo: expected a valid WebP, got damaged image data.");
  std::string endless = fixture("lossy.webp");
  put(endless, 16, little_endian(0xFFFFFFFFu));
  CHECK(message(endless) == truncated("WebP"));
}

TEST_CASE("JPEG frames of other kinds") {
  std::string lossless = fixture("rgb.jpg");
  lossless[lossless.find("\xFF\xC0") + 1] = '\xC3';
  CHECK(message(lossless) ==
        "[image] photo: expected a valid JPEG, got \"Unsupported JPEG process: SOF type 0xc3\".");
  std::string precise = fixture("rgb.jpg");
  precise[precise.find("\xFF\xC0") + 4] = 12;
  CHECK(message(precise) ==
        "[image] photo: expected a valid JPEG, got \"Unsupported JPEG data precision 12\".");
}

TEST_CASE("bit flips and random bytes never do harm") {
  std::mt19937 random(7);
  const auto pick = [&](size_t limit) {
    return std::uniform_int_distribution<size_t>(0, limit - 1)(random);
  };
  int decoded = 0;
  int refused = 0;
  for (const char* name : {"rgb.png",
                           "palette.png",
                           "gray16.png",
                           "rgb.jpg",
                           "progressive.jpg",
                           "cmyk.jpg",
                           "rgb.bmp",
                           "palette.bmp",
                           "lossy.webp",
                           "lossless.webp",
                           "rgb.tif",
                           "gray16.tif",
                           "lzw.tif",
                           "deflate.tif",
                           "packbits.tif",
                           "orientation6.jpg"}) {
    const std::string valid = fixture(name);
    for (int i = 0; i < 40; ++i) {
      std::string bytes = valid;
      // Half of them in the first bytes, where the headers are.
      const size_t range = i % 2 == 0 ? std::min<size_t>(bytes.size(), 120) : bytes.size();
      for (size_t flips = 1 + pick(3); flips > 0; --flips) {
        const size_t at = pick(range);
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << pick(8)));
      }
      CAPTURE(name, i);
      (decodes_or_explains(bytes) ? decoded : refused) += 1;
    }
  }
  for (int i = 0; i < 40; ++i) {
    std::string bytes(pick(300), '\0');
    for (char& c : bytes) c = static_cast<char>(pick(256));
    const char* const magic[] = {"\xFF\xD8\xFF", "\x89PNG\r\n\x1A\n", "BM", "II*"};
    bytes.insert(0, magic[i % 4], i % 4 == 3 ? 4 : std::strlen(magic[i % 4]));
    decodes_or_explains(bytes);
  }
  CHECK(decoded + refused == 640);
  CHECK(refused > 100);
}

}  // namespace
}  // namespace vizoo
