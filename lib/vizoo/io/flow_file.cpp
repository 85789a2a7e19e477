#include "vizoo/io/flow_file.h"

#include <cstring>
#include <limits>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

constexpr float kMagic = 202021.25F;
constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kMaxBytes = std::size_t{8} << 30U;
constexpr int64_t kMaxSide = std::numeric_limits<int32_t>::max();

void append(std::string& bytes, uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes += static_cast<char>((value >> shift) & 0xFFU);
  }
}

uint32_t word_at(const std::string& bytes, std::size_t position) {
  uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i) {
    value |= uint32_t{static_cast<unsigned char>(bytes[position + i])} << (8 * i);
  }
  return value;
}

uint32_t bits_of(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

std::string size_text(int64_t height, int64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

}  // namespace

void write_flow(const std::filesystem::path& path, const FlowField& flow) {
  const bool sides =
      flow.height > 0 && flow.width > 0 && flow.height <= kMaxSide && flow.width <= kMaxSide;
  const auto count = static_cast<uint64_t>(flow.height) * static_cast<uint64_t>(flow.width) * 2;
  if (!sides || count != flow.values.size()) {
    throw ShapeError("flow",
                     "values",
                     "two for each of " + size_text(flow.height, flow.width) + " pixels",
                     std::to_string(flow.values.size()));
  }
  std::string bytes;
  bytes.reserve(kHeaderBytes + 4 * flow.values.size());
  append(bytes, bits_of(kMagic));
  append(bytes, static_cast<uint32_t>(flow.width));
  append(bytes, static_cast<uint32_t>(flow.height));
  for (const float value : flow.values) append(bytes, bits_of(value));
  write_file_atomically(path, bytes, FileKind::image);
}

FlowField read_flow(const std::filesystem::path& path) {
  const auto bytes = read_file(path, kMaxBytes, FileKind::image);
  if (bytes.size() < kHeaderBytes || word_at(bytes, 0) != bits_of(kMagic)) {
    throw_file_error(FileKind::image, path, "a .flo file, which begins with PIEH", "another");
  }
  FlowField flow;
  flow.width = static_cast<int32_t>(word_at(bytes, 4));
  flow.height = static_cast<int32_t>(word_at(bytes, 8));
  const auto count = static_cast<uint64_t>(flow.height) * static_cast<uint64_t>(flow.width) * 2;
  if (flow.width < 1 || flow.height < 1 || count > kMaxBytes / 4 ||
      bytes.size() != kHeaderBytes + 4 * count) {
    throw_file_error(
        FileKind::image,
        path,
        "as many values as its size of " + size_text(flow.height, flow.width) + " says",
        std::to_string(bytes.size()) + " bytes");
  }
  flow.values.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = word_at(bytes, kHeaderBytes + 4 * i);
    std::memcpy(&flow.values[i], &bits, sizeof(bits));
  }
  return flow;
}

}  // namespace vizoo
