#include "vizoo/io/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

void require(int success) {
  if (success == 1) return;
  throw Error(
      "sha256", "libcrypto", "SHA-256", "a refusal", "OpenSSL may be configured without it");
}

[[noreturn]] void fail(const std::filesystem::path& path, FileKind kind) {
  const std::string reason = std::generic_category().message(errno);
  throw_file_error(kind, path, "a readable file", quote(reason));
}

// Closes a file descriptor at the end of the scope.
struct OpenFile {
  int value;
  ~OpenFile() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

struct Sha256::Context {
  Context() : digest(EVP_MD_CTX_new(), EVP_MD_CTX_free) { begin(); }

  void begin() const {
    require(digest ? EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) : 0);
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;

void Sha256::update(const void* data, std::size_t size) {
  require(EVP_DigestUpdate(context_->digest.get(), data, size));
}

std::string Sha256::finish() {
  static constexpr char kHex[] = "0123456789abcdef";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  require(EVP_DigestFinal_ex(context_->digest.get(), digest, &length));
  context_->begin();
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += kHex[digest[i] >> 4U];
    text += kHex[digest[i] & 15U];
  }
  return text;
}

std::string sha256(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.finish();
}

std::string sha256_of_file(const std::filesystem::path& path, FileKind kind) {
  constexpr std::size_t kPiece = std::size_t{1} << 20U;
  // O_NONBLOCK: opening a named pipe that nobody writes to must not hang.
  const OpenFile file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status = {};
  if (file.value < 0 || ::fstat(file.value, &status) != 0) fail(path, kind);
  if (!S_ISREG(status.st_mode)) {
    throw_file_error(kind, path, "a readable file", "a folder, device, pipe or socket");
  }
  Sha256 hash;
  std::string piece(kPiece, '\0');
  while (true) {
    const ssize_t count = ::read(file.value, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path, kind);
    if (count == 0) return hash.finish();
    hash.update(piece.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace vizoo
