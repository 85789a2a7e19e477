#include "vizoo/hub/convert.h"

#include <torch/serialize.h>

#include <fstream>

#include "test/support/catch.h"
#include "test/support/checkpoint_files.h"
#include "test/support/small_convnext.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/io/file.h"

using namespace vizoo;
using vizoo::test::file_bytes;
using vizoo::test::randomize;
using vizoo::test::read_all;
using vizoo::test::small_convnext_config;
using vizoo::test::TemporaryFolder;
using vizoo::test::write_bin;

namespace {

namespace fs = std::filesystem;

void save_model(const fs::path& folder) {
  ConvNextForImageClassification model(small_convnext_config());
  randomize(model, 11);
  save_pretrained(model, folder);
  write_file_atomically(folder / "preprocessor_config.json", "{ \"size\" :224}");
  write_file_atomically(folder / "script.py", "print()");
}

template <class E>
std::string convert_error(const fs::path& input, const fs::path& output) {
  try {
    convert_checkpoint(input, output);
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a folder is converted byte for byte if nothing changes", "[convert]") {
  const TemporaryFolder folder;
  save_model(folder / "in");
  std::vector<std::size_t> steps;
  const auto report = convert_checkpoint(
      folder / "in", folder / "out", ConvertOptions().progress([&](auto done, auto total) {
        steps.push_back(done);
        CHECK(done <= total);
      }));
  for (const char* name : {"config.json", "preprocessor_config.json", "model.safetensors"}) {
    CHECK(file_bytes(folder / "out" / name) == file_bytes(folder / "in" / name));
  }
  CHECK_FALSE(fs::exists(folder / "out" / "script.py"));
  CHECK(report.files.size() == 3);
  CHECK(report.converted == 0);
  CHECK(report.tensors == steps.size());
  CHECK(report.tensors == steps.back());
}

TEST_CASE("only floating-point tensors change their dtype", "[convert]") {
  const TemporaryFolder folder;
  torch::manual_seed(1);
  const std::map<std::string, torch::Tensor> tensors = {
      {"weight", torch::randn({5, 3})},
      {"view", torch::randn({4, 6}).t()},
      {"half", torch::randn({3}).to(torch::kHalf)},
      {"double", torch::randn({2}).to(torch::kDouble)},
      {"steps", torch::tensor(int64_t{1} << 40)},
      {"mask", torch::tensor({true, false})},
      {"none", torch::empty({0, 2})}};
  write_bin(folder / "in.pt", tensors);
  for (const auto dtype : {torch::kFloat32, torch::kFloat64, torch::kBFloat16, torch::kFloat16}) {
    const auto report = convert_checkpoint(
        folder / "in.pt", folder / "out.safetensors", ConvertOptions().dtype(dtype));
    const auto converted = read_all(Checkpoint::open_file(folder / "out.safetensors"));
    REQUIRE(converted.size() == tensors.size());
    std::size_t changed = 0;
    for (const auto& [name, tensor] : tensors) {
      INFO("tensor: " << name);
      const auto expected = tensor.is_floating_point() ? tensor.to(dtype) : tensor;
      CHECK(converted.at(name).scalar_type() == expected.scalar_type());
      CHECK(torch::equal(converted.at(name), expected));
      changed += expected.scalar_type() != tensor.scalar_type() ? 1 : 0;
    }
    CHECK(report.converted == changed);
    CHECK(SafetensorsFile::open(folder / "out.safetensors").metadata_value("format") == "pt");
  }
}

TEST_CASE("weights are dealt to shards and put together again", "[convert]") {
  const TemporaryFolder folder;
  save_model(folder / "in");
  convert_checkpoint(folder / "in", folder / "shards", ConvertOptions().max_shard_size(20'000));
  CHECK(fs::exists(folder / "shards" / "model.safetensors.index.json"));
  CHECK_FALSE(fs::exists(folder / "shards" / "model.safetensors"));
  convert_checkpoint(folder / "shards", folder / "one");
  CHECK(file_bytes(folder / "one" / "model.safetensors") ==
        file_bytes(folder / "in" / "model.safetensors"));
  // Into the same folder again: what does not belong any more goes.
  convert_checkpoint(folder / "in", folder / "shards");
  CHECK_FALSE(fs::exists(folder / "shards" / "model.safetensors.index.json"));
  CHECK(file_bytes(folder / "shards" / "model.safetensors") ==
        file_bytes(folder / "in" / "model.safetensors"));
}

TEST_CASE("tied tensors are written each", "[convert]") {
  const TemporaryFolder folder;
  const auto shared = torch::randn({4, 4});
  write_bin(folder / "in.bin", {{"a", shared}, {"b", shared}, {"c", shared[1]}});
  convert_checkpoint(folder / "in.bin", folder / "out.safetensors");
  const auto tensors = read_all(Checkpoint::open_file(folder / "out.safetensors"));
  CHECK(torch::equal(tensors.at("a"), shared));
  CHECK(torch::equal(tensors.at("b"), shared));
  CHECK(torch::equal(tensors.at("c"), shared[1]));
}

TEST_CASE("only the dtype of a config.json changes", "[convert]") {
  const auto change = [](const std::string& text) {
    return with_torch_dtype(text, "float16", "c.json");
  };
  CHECK(change("{}") == "{\n  \"torch_dtype\": \"float16\"\n}");
  CHECK(change("{\"a\" :1 }\n") == "{\n  \"torch_dtype\": \"float16\",\"a\" :1 }\n");
  CHECK(change("{\"torch_dtype\":null, \"b\":1e-12}") ==
        "{\"torch_dtype\":\"float16\", \"b\":1e-12}");
  CHECK(change("{\"z\": [{\"torch_dtype\": \"x\"}],\n  \"torch_dtype\": \"float32\"}") ==
        "{\"z\": [{\"torch_dtype\": \"x\"}],\n  \"torch_dtype\": \"float16\"}");
  CHECK(change("{\"dtype\": \"a\\\"b\\\\\", \"c\": {\"dtype\": 1}}") ==
        "{\"dtype\": \"float16\", \"c\": {\"dtype\": 1}}");
  CHECK_THROWS_WITH(change("{\"torch_dtype\": 5}"),
                    "[config] c.json: /torch_dtype: expected a string or null, got 5.");
  CHECK_THROWS_WITH(change("[]"),
                    "[config] c.json: expected a JSON object, got an array of 0 "
                    "values.");
  CHECK_THROWS_AS(change("{"), ConfigError);
}

TEST_CASE("the input is never replaced", "[convert]") {
  const TemporaryFolder folder;
  save_model(folder / "in");
  const auto before = file_bytes(folder / "in" / "model.safetensors");
  fs::create_directory_symlink(folder / "in", folder / "link");
  fs::create_directory(folder / "links");
  fs::create_symlink(folder / "in" / "model.safetensors", folder / "links" / "model.safetensors");
  const auto message = [](const fs::path& output) {
    return "[convert] output: expected another place than the input, got \"" + output.string() +
           "\". The input is never replaced.";
  };
  CHECK(convert_error<UsageError>(folder / "in", folder / "in") == message(folder / "in"));
  CHECK(convert_error<UsageError>(folder / "in", folder / "link") == message(folder / "link"));
  CHECK(convert_error<UsageError>(folder / "links", folder / "in") == message(folder / "in"));
  const auto file = folder / "in" / "model.safetensors";
  const auto through = folder / "link" / "model.safetensors";
  CHECK(convert_error<UsageError>(file, file) == message(file));
  CHECK(convert_error<UsageError>(file, through) == message(through));
  CHECK(file_bytes(file) == before);
}

TEST_CASE("targets that cannot be written leave what was there", "[convert]") {
  const TemporaryFolder folder;
  save_model(folder / "in");
  const auto file = folder / "in" / "model.safetensors";
  write_file_atomically(folder / "taken", "old");
  CHECK(convert_error<UsageError>(file, folder / "taken") ==
        "[convert] output: expected the name of a file that ends in .safetensors, got \"" +
            (folder / "taken").string() + "\". The input is a single file.");
  CHECK(convert_error<CheckpointError>(folder / "in", folder / "taken").rfind("[checkpoint] ", 0) ==
        0);
  CHECK(file_bytes(folder / "taken") == "old");
  CHECK(convert_error<CheckpointError>(file, folder / "no" / "such" / "x.safetensors") ==
        "[checkpoint] " + (folder / "no" / "such" / "x.safetensors").string() +
            ": expected a file that can be written, got \"No such file or directory\". What was "
            "there before is unchanged.");

  // A config.json that is wrong is found before the weights are written.
  write_file_atomically(folder / "in" / "config.json", "{", FileKind::config);
  CHECK_THROWS_AS(
      convert_checkpoint(folder / "in", folder / "out", ConvertOptions().dtype(torch::kFloat16)),
      ConfigError);
  CHECK_FALSE(fs::exists(folder / "out"));
}

TEST_CASE("input that is no checkpoint is refused", "[convert]") {
  const TemporaryFolder folder;
  const auto output = folder / "out.safetensors";
  const auto missing = folder / "missing.bin";
  CHECK(convert_error<CheckpointError>(missing, output) ==
        "[checkpoint] " + missing.string() +
            ": expected a readable file, got \"No such file or directory\".");
  const fs::path corpus = "test/fuzz/corpus/torch_checkpoint";
  CHECK(convert_error<CheckpointError>(corpus / "torchscript", output) ==
        "[checkpoint] test/fuzz/corpus/torch_checkpoint/torchscript: expected a state file, got a "
        "TorchScript program. It holds code: a state file is written by "
        "torch.save(model.state_dict(), path).");
  CHECK_FALSE(fs::exists(output));
}
