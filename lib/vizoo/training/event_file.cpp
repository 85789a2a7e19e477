#include "vizoo/training/event_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "vizoo/training/append_file.h"

namespace vizoo {
namespace {

// ---- CRC-32C and the framing of records ------------------------------------------------------

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1U) != 0 ? (value >> 1U) ^ 0x82F63B78U : value >> 1U;
    }
    table[i] = value;
  }
  return table;
}

// A CRC over data that hold CRCs themselves is weak; so the format rotates them and adds a
// constant.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15U) | (crc << 17U)) + 0xA282EAD8U;
}

template <class Integer>
void append_little_endian(std::string& text, Integer value) {
  for (std::size_t i = 0; i < sizeof(value); ++i) {
    text += static_cast<char>((value >> (8 * i)) & 0xFFU);
  }
}

std::string record(const std::string& data) {
  std::string framed;
  append_little_endian(framed, static_cast<uint64_t>(data.size()));
  append_little_endian(framed, masked_crc(framed));
  framed += data;
  append_little_endian(framed, masked_crc(data));
  return framed;
}

// ---- Protocol buffers --------------------------------------------------------------------------

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Field numbers of event.proto and summary.proto.
constexpr uint32_t kEventWallTime = 1;
constexpr uint32_t kEventStep = 2;
constexpr uint32_t kEventFileVersion = 3;
constexpr uint32_t kEventSummary = 5;
constexpr uint32_t kEventSessionLog = 7;
constexpr uint32_t kSessionLogStatus = 1;
constexpr uint64_t kSessionLogStart = 1;
constexpr uint32_t kSummaryValue = 1;
constexpr uint32_t kValueTag = 1;
constexpr uint32_t kValueSimpleValue = 2;

void append_varint(std::string& text, uint64_t value) {
  for (; value >= 0x80U; value >>= 7U) text += static_cast<char>((value & 0x7FU) | 0x80U);
  text += static_cast<char>(value);
}

void append_key(std::string& text, uint32_t field, WireType type) {
  append_varint(text, field << 3U | type);
}

void append_integer(std::string& text, uint32_t field, uint64_t value) {
  append_key(text, field, kVarint);
  append_varint(text, value);
}

void append_double(std::string& text, uint32_t field, double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  append_key(text, field, kFixed64);
  append_little_endian(text, bits);
}

void append_float(std::string& text, uint32_t field, float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  append_key(text, field, kFixed32);
  append_little_endian(text, bits);
}

void append_bytes(std::string& text, uint32_t field, std::string_view value) {
  append_key(text, field, kBytes);
  append_varint(text, value.size());
  text += value;
}

std::string scalar_value(const std::string& tag, double value) {
  std::string message;
  append_bytes(message, kValueTag, tag);
  append_float(message, kValueSimpleValue, static_cast<float>(value));
  return message;
}

std::string event(double wall_time, int64_t step, uint32_t content, const std::string& message) {
  std::string text;
  append_double(text, kEventWallTime, wall_time);
  if (step != 0) append_integer(text, kEventStep, static_cast<uint64_t>(step));
  append_bytes(text, content, message);
  return text;
}

// ---- The file's name ---------------------------------------------------------------------------

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  std::string text(name.data());
  for (char& letter : text) {
    if (letter == '/') letter = '_';
  }
  return text;
}

std::string file_name(double wall_time) {
  auto seconds = std::to_string(static_cast<int64_t>(std::max(0.0, std::floor(wall_time))));
  seconds.insert(0, seconds.size() < 10 ? 10 - seconds.size() : 0, '0');
  return "events.out.tfevents." + seconds + "." + host_name();
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_crc_table();
  uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc = kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ (crc >> 8U);
  }
  return ~crc;
}

EventFile::EventFile(const std::filesystem::path& folder,
                     double wall_time,
                     std::optional<int64_t> resumed_step) {
  const auto name = file_name(wall_time);
  for (int64_t number = 0; file_ == nullptr; ++number) {
    path_ = folder / (number == 0 ? name : name + "." + std::to_string(number));
    file_ = AppendFile::make_new(path_);
  }
  append(event(wall_time, 0, kEventFileVersion, "brain.Event:2"));
  if (resumed_step) {
    // TensorBoard drops earlier events from the step of a START on.
    std::string message;
    append_integer(message, kSessionLogStatus, kSessionLogStart);
    append(event(wall_time, *resumed_step + 1, kEventSessionLog, message));
  }
}

EventFile::~EventFile() = default;

void EventFile::add_scalars(int64_t step,
                            const std::vector<std::pair<std::string, double>>& values,
                            double wall_time) {
  std::string summary;
  for (const auto& [tag, value] : values) {
    append_bytes(summary, kSummaryValue, scalar_value(tag, value));
  }
  append(event(wall_time, step, kEventSummary, summary));
}

void EventFile::append(const std::string& event) { file_->append(record(event)); }

}  // namespace vizoo
