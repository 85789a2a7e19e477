#include "vizoo/io/flow_file.h"

#include <limits>

#include "test/support/catch.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

std::string header(const std::string& sizes) { return "PIEH" + sizes; }

TEST_CASE("a .flo file is the published format and comes back as it was") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "one.flo";
  const FlowField flow{1, 2, {1.0F, -2.5F, 0.0F, 1e10F}};
  write_flow(path, flow);
  using namespace std::string_literals;
  CHECK(read_file(path, 100) ==
        "PIEH\x02\x00\x00\x00\x01\x00\x00\x00"
        "\x00\x00\x80\x3f\x00\x00\x20\xc0\x00\x00\x00\x00\xf9\x02\x15\x50"s);
  const auto again = read_flow(path);
  CHECK(again.height == 1);
  CHECK(again.width == 2);
  CHECK(again.values == flow.values);
}

TEST_CASE("a flow of another size than it says cannot be written") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "one.flo";
  CHECK_THROWS_AS(write_flow(path, {2, 2, std::vector<float>(7)}), ShapeError);
  CHECK_THROWS_AS(write_flow(path, {0, 0, {}}), ShapeError);
  CHECK_THROWS_AS(write_flow(path, {-1, -1, {1.0F, 2.0F}}), ShapeError);
  CHECK_THROWS_AS(write_flow(folder.path() / "none" / "one.flo", {1, 1, {1.0F, 2.0F}}), ImageError);
}

TEST_CASE("a .flo file that lies is an error") {
  using namespace std::string_literals;
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "one.flo";
  const std::string pixel(8, '\0');
  const std::string hostile[] = {
      "",
      "PIEH",
      "HEIP\x01\0\0\0\x01\0\0\0"s + pixel,
      header("\x01\0\0\0\x01\0\0\0"s),
      header("\x01\0\0\0\x01\0\0\0"s) + pixel + "x",
      header("\x01\0\0\0\x02\0\0\0"s) + pixel,
      header("\0\0\0\0\x01\0\0\0"s),
      header("\xff\xff\xff\xff\xff\xff\xff\xff"s) + pixel,
      header("\xff\xff\xff\x7f\xff\xff\xff\x7f"s) + pixel,
      header("\0\0\0\x80\0\0\0\x80"s),
  };
  for (const auto& bytes : hostile) {
    write_file_atomically(path, bytes);
    CHECK_THROWS_AS(read_flow(path), ImageError);
  }
  CHECK_THROWS_AS(read_flow(folder.path() / "none.flo"), ImageError);
}

}  // namespace
}  // namespace vizoo
