#include "vizoo/io/wav_file.h"

#include "test/support/catch.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

std::string number(uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFFU);
  return bytes;
}

std::string chunk(const std::string& name, const std::string& content) {
  return name + number(content.size(), 4) + content + std::string(content.size() % 2, '\0');
}

std::string format(int tag, int channels, int rate, int bits) {
  const int frame = channels * bits / 8;
  return chunk("fmt ",
               number(tag, 2) + number(channels, 2) + number(rate, 4) + number(rate * frame, 4) +
                   number(frame, 2) + number(bits, 2));
}

std::string wav(const std::string& chunks) {
  return "RIFF" + number(4 + chunks.size(), 4) + "WAVE" + chunks;
}

Sound read(const std::string& bytes) {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "a.wav", bytes);
  return read_wav(folder / "a.wav");
}

TEST_CASE("a WAV file comes back as it was written") {
  const test::TemporaryFolder folder;
  const Sound sound{48000, 2, {0.0F, -1.0F, 0.25F, 3.5F}};
  write_wav(folder / "a.wav", sound);
  const auto again = read_wav(folder / "a.wav");
  CHECK(again.sample_rate == 48000);
  CHECK(again.channels == 2);
  CHECK(again.samples == sound.samples);
  CHECK(read_file(folder / "a.wav", 1000).size() == 58 + 16);
  CHECK_THROWS_AS(write_wav(folder / "a.wav", Sound{48000, 2, {1.0F}}), UsageError);
  CHECK_THROWS_AS(write_wav(folder / "a.wav", Sound{0, 1, {}}), UsageError);
  CHECK_THROWS_AS(write_wav(folder / "a.wav", Sound{1, 0, {}}), UsageError);
}

TEST_CASE("samples of every format become floats") {
  using Samples = std::vector<float>;
  CHECK(read(wav(format(1, 1, 8000, 8) + chunk("data", std::string("\x80\x00\xc0", 3)))).samples ==
        Samples{0.0F, -1.0F, 0.5F});
  CHECK(read(wav(format(1, 1, 8000, 16) + chunk("data", number(0x4000, 2) + number(0x8000, 2))))
            .samples == Samples{0.5F, -1.0F});
  CHECK(read(wav(format(1, 1, 8000, 24) + chunk("data", number(0xC00000, 3)))).samples ==
        Samples{-0.5F});
  CHECK(read(wav(format(1, 1, 8000, 32) + chunk("data", number(0x80000000U, 4)))).samples ==
        Samples{-1.0F});
  CHECK(read(wav(format(3, 1, 8000, 32) + chunk("data", number(0x3E800000, 4)))).samples ==
        Samples{0.25F});
  CHECK(
      read(wav(format(3, 1, 8000, 64) + chunk("data", number(0x3FE0000000000000ULL, 8)))).samples ==
      Samples{0.5F});
  const auto extensible =
      chunk("fmt ",
            number(0xFFFE, 2) + number(1, 2) + number(8000, 4) + number(16000, 4) + number(2, 2) +
                number(16, 2) + number(22, 2) + number(16, 2) + number(0, 4) + number(1, 2) +
                std::string(14, 'x'));
  const auto sound =
      read(wav(chunk("LIST", "odd") + extensible + chunk("data", number(0x4000, 2)) + "junk"));
  CHECK(sound.samples == Samples{0.5F});
  CHECK(sound.sample_rate == 8000);
  CHECK(read(wav(format(1, 1, 8000, 16) + chunk("data", ""))).samples.empty());
}

TEST_CASE("a WAV file that lies is an error") {
  const auto good = format(1, 2, 8000, 16);
  const std::string hostile[] = {
      "",
      "RIFF",
      "RIFX" + number(4, 4) + "WAVE",
      wav(""),
      wav(good),
      wav(chunk("data", "abcd")),
      wav(good + "data" + number(5, 4) + "abcd"),
      wav(good + "data" + number(0xFFFFFFFFU, 4) + "abcd"),
      wav(good + chunk("data", "abc")),
      wav("LIST" + number(0xFFFFFFF0U, 4) + good),
      wav(chunk("fmt ", "short") + chunk("data", "abcd")),
      wav(format(1, 0, 8000, 16) + chunk("data", "abcd")),
      wav(format(1, 65, 8000, 16) + chunk("data", "abcd")),
      wav(format(1, 1, 0, 16) + chunk("data", "abcd")),
      wav(format(1, 1, 8000, 12) + chunk("data", "abcd")),
      wav(format(1, 1, 8000, 0) + chunk("data", "abcd")),
      wav(format(3, 1, 8000, 16) + chunk("data", "abcd")),
      wav(format(7, 1, 8000, 8) + chunk("data", "abcd")),
      wav(chunk("fmt ",
                number(1, 2) + number(1, 2) + number(8000, 4) + number(16000, 4) + number(4, 2) +
                    number(16, 2)) +
          chunk("data", "abcd")),
  };
  for (const auto& bytes : hostile) CHECK_THROWS_AS(read(bytes), ImageError);
  CHECK(read(wav(good + chunk("data", "abcd"))).samples.size() == 2);
}

}  // namespace
}  // namespace vizoo
