#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "vizoo/io/file.h"

namespace vizoo {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces; computed by OpenSSL's libcrypto.
class Sha256 {
 public:
  /// Throws Error if libcrypto refuses SHA-256.
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(const void* data, std::size_t size);
  void update(std::string_view text) { update(text.data(), text.size()); }

  /// The digest of all bytes so far as 64 lower-case hexadecimal digits. The next `update` begins
  /// anew.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// SHA-256 of `text`, 64 lower-case hexadecimal digits.
std::string sha256(std::string_view text);

/// SHA-256 of a regular file, which is read in pieces. Throws the exception of `kind` if it is
/// missing, unreadable or not a regular file.
std::string sha256_of_file(const std::filesystem::path& path, FileKind kind = FileKind::checkpoint);

}  // namespace vizoo
