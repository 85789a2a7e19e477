#include "vizoo/training/event_file.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

using namespace vizoo;
using vizoo::test::TemporaryFolder;

namespace {

// A reader that goes by the format's description and shares nothing with the writer: the CRC is
// computed bit by bit, fields are collected by number.
uint32_t slow_crc32c(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool out = (crc & 1U) != ((static_cast<unsigned char>(byte) >> bit) & 1U);
      crc >>= 1U;
      if (out) crc ^= 0x82F63B78U;
    }
  }
  return ~crc;
}

uint32_t unmasked(uint32_t masked) {
  const uint32_t rotated = masked - 0xA282EAD8U;
  return (rotated >> 17U) | (rotated << 15U);
}

template <class T>
T take(const std::string& bytes, std::size_t& at) {
  T value{};
  REQUIRE(at + sizeof(T) <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  at += sizeof(T);
  return value;
}

std::vector<std::string> read_records(const std::filesystem::path& path) {
  const auto bytes = read_file(path, 1U << 20U);
  std::vector<std::string> records;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length_bytes = bytes.substr(at, 8);
    const auto length = take<uint64_t>(bytes, at);
    CHECK(unmasked(take<uint32_t>(bytes, at)) == slow_crc32c(length_bytes));
    REQUIRE(at + length <= bytes.size());
    records.push_back(bytes.substr(at, length));
    at += length;
    CHECK(unmasked(take<uint32_t>(bytes, at)) == slow_crc32c(records.back()));
  }
  return records;
}

struct Field {
  uint32_t number;
  uint64_t bits;      // of a varint, double or float
  std::string bytes;  // of what has a length
};

uint64_t take_varint(const std::string& message, std::size_t& at) {
  uint64_t value = 0;
  for (uint32_t shift = 0;; shift += 7) {
    REQUIRE(shift < 64);
    const auto byte = take<uint8_t>(message, at);
    value |= static_cast<uint64_t>(byte & 0x7FU) << shift;
    if ((byte & 0x80U) == 0) return value;
  }
}

std::vector<Field> fields_of(const std::string& message) {
  std::vector<Field> fields;
  for (std::size_t at = 0; at < message.size();) {
    const auto key = take_varint(message, at);
    Field field{static_cast<uint32_t>(key >> 3U), 0, ""};
    switch (key & 7U) {
      case 0:
        field.bits = take_varint(message, at);
        break;
      case 1:
        field.bits = take<uint64_t>(message, at);
        break;
      case 5:
        field.bits = take<uint32_t>(message, at);
        break;
      default: {
        REQUIRE((key & 7U) == 2);
        const auto length = take_varint(message, at);
        REQUIRE(at + length <= message.size());
        field.bytes = message.substr(at, length);
        at += length;
      }
    }
    fields.push_back(field);
  }
  return fields;
}

const Field& field(const std::vector<Field>& fields, uint32_t number) {
  for (const auto& candidate : fields) {
    if (candidate.number == number) return candidate;
  }
  FAIL("no field " << number);
  return fields[0];
}

double as_double(uint64_t bits) {
  double value = 0.0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float as_float(uint64_t bits) {
  const auto low = static_cast<uint32_t>(bits);
  float value = 0.0F;
  std::memcpy(&value, &low, sizeof(value));
  return value;
}

}  // namespace

TEST_CASE("CRC-32C gives the values of RFC 3720") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xE3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62A8AB43U);
  std::string ascending;
  for (char i = 0; i < 32; ++i) ascending += i;
  CHECK(crc32c(ascending) == 0x46DD794EU);
  CHECK(slow_crc32c(ascending) == 0x46DD794EU);  // the reader of this test too
}

TEST_CASE("an event file begins with the bytes that TensorBoard looks for") {
  const TemporaryFolder folder;
  const EventFile file(folder / "events", 1700000000.75);
  const auto name = file.path().filename().string();
  CHECK(name.rfind("events.out.tfevents.1700000000.", 0) == 0);
  CHECK(name.size() > std::strlen("events.out.tfevents.1700000000."));
  const auto records = read_records(file.path());
  REQUIRE(records.size() == 1);
  const auto event = fields_of(records[0]);
  CHECK(as_double(field(event, 1).bits) == 1700000000.75);
  CHECK(field(event, 3).bytes == "brain.Event:2");
}

TEST_CASE("scalars are in the file at once, with step, time and value") {
  const TemporaryFolder folder;
  EventFile file(folder.path(), 5.0);
  const double infinity = std::numeric_limits<double>::infinity();
  file.add_scalars(300, {{"loss/train", 0.1}, {"rate", -2.5e-4}}, 1.7e9 + 0.25);
  file.add_scalars(int64_t{1} << 40, {{"loss/train", infinity}, {"nan", std::nan("")}}, 1.7e9);
  file.add_scalars(0, {{std::string(300, 'x'), 0.0}}, 1.7e9);
  const auto records = read_records(file.path());
  REQUIRE(records.size() == 4);

  const auto first = fields_of(records[1]);
  CHECK(as_double(field(first, 1).bits) == 1.7e9 + 0.25);
  CHECK(field(first, 2).bits == 300);
  const auto values = fields_of(field(first, 5).bytes);
  REQUIRE(values.size() == 2);
  CHECK(values[0].number == 1);
  CHECK(field(fields_of(values[0].bytes), 1).bytes == "loss/train");
  CHECK(as_float(field(fields_of(values[0].bytes), 2).bits) == 0.1F);
  CHECK(field(fields_of(values[1].bytes), 1).bytes == "rate");
  CHECK(as_float(field(fields_of(values[1].bytes), 2).bits) == -2.5e-4F);

  const auto second = fields_of(records[2]);
  CHECK(field(second, 2).bits == uint64_t{1} << 40U);
  const auto strange = fields_of(field(second, 5).bytes);
  CHECK(std::isinf(as_float(field(fields_of(strange[0].bytes), 2).bits)));
  CHECK(std::isnan(as_float(field(fields_of(strange[1].bytes), 2).bits)));

  const auto third = fields_of(field(fields_of(records[3]), 5).bytes);
  CHECK(field(fields_of(third[0].bytes), 1).bytes == std::string(300, 'x'));
}

TEST_CASE("a resumed run has a file of its own that takes back later steps") {
  const TemporaryFolder folder;
  const EventFile before(folder.path(), 7.0);
  EventFile after(folder.path(), 7.0, 120);
  CHECK(after.path().string() == before.path().string() + ".1");
  after.add_scalars(121, {{"loss", 1.0}}, 8.0);
  const auto records = read_records(after.path());
  REQUIRE(records.size() == 3);
  const auto start = fields_of(records[1]);
  CHECK(field(start, 2).bits == 121);
  const auto session = fields_of(field(start, 7).bytes);
  CHECK(field(session, 1).bits == 1);  // START
  CHECK(read_records(before.path()).size() == 1);
}

TEST_CASE("an event file that cannot be made is an error of the log") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "");
  const auto message = test::error_message([&] { EventFile file(folder / "file" / "below", 1.0); });
  CHECK(test::contains(message, "[log] "));
}
