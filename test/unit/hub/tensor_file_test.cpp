#include "vizoo/hub/tensor_file.h"

#include "test/support/catch.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"

using namespace vizoo;

TEST_CASE("tensors of every shape and dtype survive a file") {
  const test::TemporaryFolder folder;
  const NamedTensors tensors{
      {"scalar", torch::tensor(2.5, torch::kFloat64)},
      {"empty", torch::zeros({0, 3})},
      {"half", torch::arange(4).to(torch::kHalf)},
      {"brain", torch::arange(4).to(torch::kBFloat16)},
      {"step", torch::tensor(int64_t{1} << 40)},
      {"flags", torch::tensor({true, false})},
      {"bytes", torch::arange(5).to(torch::kUInt8)},
      {"strided", torch::arange(6).to(torch::kFloat32).view({2, 3}).t().requires_grad_()}};
  write_tensors(folder / "t.safetensors", tensors, {{"note", "kept"}});
  const auto read = read_tensors(folder / "t.safetensors");
  REQUIRE(read.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    CHECK(read.at(name).scalar_type() == tensor.scalar_type());
    CHECK(read.at(name).is_contiguous());
    CHECK_FALSE(read.at(name).requires_grad());
    CHECK(torch::equal(read.at(name), tensor));
  }
  CHECK(SafetensorsFile::open(folder / "t.safetensors").metadata_value("note") == "kept");

  write_tensors(folder / "again.safetensors", read);
  CHECK(read_tensors(folder / "again.safetensors").size() == tensors.size());
}

TEST_CASE("what a tensor file cannot hold is refused") {
  const test::TemporaryFolder folder;
  const auto path = folder / "t.safetensors";
  const auto one = torch::ones({2});
  CHECK_THROWS_AS(write_tensors(path, NamedTensors{{"a", one}, {"a", one}}), CheckpointError);
  const auto complex = torch::ones({2}, torch::kComplexDouble);
  CHECK_THROWS_AS(write_tensors(path, NamedTensors{{"a", complex}}), CheckpointError);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK_THROWS_AS(read_tensors(path), CheckpointError);
}
