#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace vizoo {

/// Sound as numbers.
struct Sound {
  int64_t sample_rate = 0;  ///< for each channel, in Hz
  int64_t channels = 0;
  std::vector<float> samples;  ///< [samples][channels]; integers of a file become [-1, 1)
};

/// Reads a WAV file (RIFF/WAVE): whole numbers of 8, 16, 24 or 32 bits, or floats of 32 or 64; 1 to
/// 64 channels. Chunks that are not needed are skipped. Throws ImageError for any other file, and
/// for one that ends before what its chunks claim.
/// Format: "Multimedia Programming Interface and Data Specifications 1.0", IBM and Microsoft, 1991;
/// WAVE_FORMAT_EXTENSIBLE as Microsoft documents it.
Sound read_wav(const std::filesystem::path& path);

/// Writes 32-bit floats, atomically. Throws UsageError for a rate or a number of channels that a
/// file cannot hold and for samples that the channels do not divide, ImageError if the file cannot
/// be written.
void write_wav(const std::filesystem::path& path, const Sound& sound);

}  // namespace vizoo
