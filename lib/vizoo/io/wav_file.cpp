#include "vizoo/io/wav_file.h"

#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = std::size_t{2} << 30U;
constexpr uint32_t kPcm = 1;
constexpr uint32_t kFloat = 3;
constexpr uint32_t kExtensible = 0xFFFE;
constexpr int64_t kMaxChannels = 64;

struct Format {
  uint32_t tag = 0;
  uint32_t channels = 0;
  uint32_t rate = 0;
  uint32_t bits = 0;
};

// Little endian, `size` bytes.
uint64_t number(std::string_view bytes, std::size_t position, std::size_t size) {
  uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= uint64_t{static_cast<unsigned char>(bytes[position + i])} << (8 * i);
  }
  return value;
}

uint32_t word(std::string_view bytes, std::size_t position, std::size_t size) {
  return static_cast<uint32_t>(number(bytes, position, size));
}

[[noreturn]] void fail(const fs::path& path, std::string_view expected, std::string_view got) {
  throw_file_error(FileKind::image, path, expected, got);
}

Format read_format(const fs::path& path, std::string_view chunk) {
  if (chunk.size() < 16) fail(path, "a format of at least 16 bytes", std::to_string(chunk.size()));
  Format format{word(chunk, 0, 2), word(chunk, 2, 2), word(chunk, 4, 4), word(chunk, 14, 2)};
  if (format.tag == kExtensible && chunk.size() >= 26) format.tag = word(chunk, 24, 2);
  const bool whole =
      format.tag == kPcm && format.bits % 8 == 0 && format.bits >= 8 && format.bits <= 32;
  const bool floats = format.tag == kFloat && (format.bits == 32 || format.bits == 64);
  if (!whole && !floats) {
    fail(path,
         "whole numbers of 8, 16, 24 or 32 bits or floats of 32 or 64",
         "format " + std::to_string(format.tag) + " of " + std::to_string(format.bits) + " bits");
  }
  if (format.channels < 1 || format.channels > kMaxChannels || format.rate < 1) {
    fail(path,
         "1 to 64 channels at 1 Hz or more",
         std::to_string(format.channels) + " at " + std::to_string(format.rate) + " Hz");
  }
  const auto frame = format.channels * format.bits / 8;
  if (word(chunk, 12, 2) != frame) {
    fail(path,
         std::to_string(frame) + " bytes for the samples of all channels",
         std::to_string(word(chunk, 12, 2)));
  }
  return format;
}

float sample_at(std::string_view data, std::size_t position, const Format& format) {
  const std::size_t size = format.bits / 8;
  const uint64_t bits = number(data, position, size);
  if (format.tag == kFloat && size == 4) {
    const auto narrow = static_cast<uint32_t>(bits);
    float value = 0.0F;
    std::memcpy(&value, &narrow, sizeof(value));
    return value;
  }
  if (format.tag == kFloat) {
    double value = 0.0;
    std::memcpy(&value, &bits, sizeof(value));
    return static_cast<float>(value);
  }
  if (size == 1) return (static_cast<float>(bits) - 128.0F) / 128.0F;  // the one unsigned format
  const auto sign = uint64_t{1} << (format.bits - 1);
  const auto value = static_cast<int64_t>(bits) - static_cast<int64_t>((bits & sign) << 1U);
  return static_cast<float>(static_cast<double>(value) / static_cast<double>(sign));
}

void append(std::string& bytes, uint64_t value, int size) {
  for (int i = 0; i < size; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFFU);
}

}  // namespace

Sound read_wav(const fs::path& path) {
  const auto file = read_file(path, kMaxBytes, FileKind::image);
  const std::string_view bytes = file;
  if (bytes.size() < 12 || bytes.substr(0, 4) != "RIFF" || bytes.substr(8, 4) != "WAVE") {
    fail(path, "a WAV file, which begins with RIFF and WAVE", "another");
  }
  std::optional<Format> format;
  std::optional<std::string_view> data;
  for (std::size_t position = 12; position + 8 <= bytes.size() && !(format && data);) {
    const auto name = bytes.substr(position, 4);
    const std::size_t size = word(bytes, position + 4, 4);
    position += 8;
    if (size > bytes.size() - position) {
      fail(path,
           std::to_string(size) + " bytes in its chunk " + quote(name),
           std::to_string(bytes.size() - position));
    }
    if (name == "fmt " && !format) format = read_format(path, bytes.substr(position, size));
    if (name == "data" && !data) data = bytes.substr(position, size);
    position += std::min(size + size % 2, bytes.size() - position);
  }
  if (!format || !data) fail(path, "the chunks fmt and data", format ? "no data" : "no fmt");
  const std::size_t step = format->bits / 8;
  if (data->size() % (step * format->channels) != 0) {
    fail(path,
         "whole samples of " + std::to_string(step * format->channels) + " bytes",
         std::to_string(data->size()) + " bytes");
  }
  Sound sound{format->rate, format->channels, std::vector<float>(data->size() / step)};
  for (std::size_t i = 0; i < sound.samples.size(); ++i) {
    sound.samples[i] = sample_at(*data, i * step, *format);
  }
  return sound;
}

void write_wav(const fs::path& path, const Sound& sound) {
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
  const auto data = uint64_t{4} * sound.samples.size();
  const bool fits = sound.sample_rate >= 1 && sound.channels >= 1 &&
                    sound.channels <= kMaxChannels && sound.sample_rate <= 0xFFFFFF &&
                    sound.samples.size() % static_cast<std::size_t>(sound.channels) == 0;
  if (!fits || data + 50 > kMax) {
    throw UsageError("wav",
                     printable(path.string()),
                     "whole samples of 1 to 64 channels in less than 4 GiB",
                     std::to_string(sound.samples.size()) + " of " +
                         std::to_string(sound.channels) + " at " +
                         std::to_string(sound.sample_rate) + " Hz");
  }
  const auto rate = static_cast<uint64_t>(sound.sample_rate);
  const auto channels = static_cast<uint64_t>(sound.channels);
  std::string bytes = "RIFF";
  append(bytes, 50 + data, 4);
  bytes += "WAVEfmt ";
  append(bytes, 18, 4);
  append(bytes, kFloat, 2);
  append(bytes, channels, 2);
  append(bytes, rate, 4);
  append(bytes, rate * channels * 4, 4);
  append(bytes, channels * 4, 2);
  append(bytes, 32, 2);
  append(bytes, 0, 2);  // no extension
  bytes += "fact";
  append(bytes, 4, 4);
  append(bytes, sound.samples.size() / channels, 4);
  bytes += "data";
  append(bytes, data, 4);
  for (const float sample : sound.samples) {
    uint32_t bits = 0;
    std::memcpy(&bits, &sample, sizeof(bits));
    append(bytes, bits, 4);
  }
  write_file_atomically(path, bytes, FileKind::image);
}

}  // namespace vizoo
