#include "vizoo/training/data/ppm_file.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/vision/resample.h"

namespace vizoo::detail {
namespace {

constexpr std::size_t kMaxPpmBytes = std::size_t{3} * kDefaultMaxPixels + 65536;

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The numbers of the header.
class Header {
 public:
  Header(const std::string& bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {
    if (bytes.compare(0, 2, "P6") != 0) fail("a binary PPM image, which begins with P6", "another");
  }

  // Blanks and comments, then digits.
  int64_t number() {
    while (position_ < bytes_.size() && (is_blank(bytes_[position_]) || bytes_[position_] == '#')) {
      if (bytes_[position_] == '#') {
        position_ = std::min(bytes_.find('\n', position_), bytes_.size() - 1);
      }
      ++position_;
    }
    int64_t value = 0;
    const std::size_t begin = position_;
    while (position_ < bytes_.size() && bytes_[position_] >= '0' && bytes_[position_] <= '9') {
      value = value * 10 + (bytes_[position_++] - '0');
      if (value > kDefaultMaxPixels) break;
    }
    if (position_ == begin || value < 1 || value > kDefaultMaxPixels) {
      fail("numbers from 1 to " + std::to_string(kDefaultMaxPixels) + " in the header", "others");
    }
    return value;
  }

  // Where pixels begin: behind one blank.
  std::size_t end() const { return position_ + 1; }

  [[noreturn]] void fail(const std::string& expected, const std::string& got) const {
    throw ImageError("image", name_, expected, got);
  }

 private:
  const std::string& bytes_;
  std::string name_;
  std::size_t position_ = 2;
};

}  // namespace

torch::Tensor read_ppm(const std::filesystem::path& path) {
  const std::string bytes = read_file(path, kMaxPpmBytes, FileKind::image);
  Header header(bytes, printable(path.string()));
  const int64_t width = header.number();
  const int64_t height = header.number();
  const int64_t largest = header.number();
  if (width > kDefaultMaxPixels / height) {
    header.fail("at most " + std::to_string(kDefaultMaxPixels) + " pixels", "more");
  }
  if (largest != 255) header.fail("values up to 255", std::to_string(largest));
  const auto size = static_cast<std::size_t>(width * height * 3);
  if (bytes.size() < header.end() || bytes.size() - header.end() < size) {
    header.fail("a complete PPM", "a file that ends early");
  }
  auto pixels = torch::empty({height, width, 3}, torch::kByte);
  std::memcpy(pixels.mutable_data_ptr<uint8_t>(), bytes.data() + header.end(), size);
  return pixels;
}

}  // namespace vizoo::detail
