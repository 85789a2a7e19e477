#include "vizoo/io/sha256.h"

#include "test/support/catch.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"

using namespace vizoo;

// FIPS 180-4 examples of NIST.
constexpr const char* kOfNothing =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kOfMillionA =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST_CASE("SHA-256 gives the digests of the standard's examples") {
  CHECK(sha256("") == kOfNothing);
  CHECK(sha256("abc") == kOfAbc);
  CHECK(sha256(std::string(1000000, 'a')) == kOfMillionA);
  Sha256 hash;
  for (int i = 0; i < 1000; ++i) hash.update(std::string(1000, 'a'));
  CHECK(hash.finish() == kOfMillionA);
  hash.update("abc");  // begins anew
  CHECK(hash.finish() == kOfAbc);
}

TEST_CASE("SHA-256 of a file reads it in pieces") {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "a", std::string(3000001, 'a'));
  CHECK(sha256_of_file(folder / "a") == sha256(std::string(3000001, 'a')));
  write_file_atomically(folder / "empty", "");
  CHECK(sha256_of_file(folder / "empty") == kOfNothing);
  CHECK_THROWS_AS(sha256_of_file(folder / "missing"), CheckpointError);
  CHECK_THROWS_AS(sha256_of_file(folder.path()), CheckpointError);
  CHECK_THROWS_AS(sha256_of_file("/dev/zero"), CheckpointError);
  CHECK_THROWS_AS(sha256_of_file(folder / "missing", FileKind::tokenizer), TokenizerError);
}
