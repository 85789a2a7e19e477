#include "vizoo/hub/checkpoint.h"

#include <torch/serialize.h>

#include <cstring>

#include "test/support/catch.h"
#include "test/support/checkpoint_files.h"
#include "test/support/small_convnext.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/io/file.h"

using namespace vizoo;
using vizoo::test::randomize;
using vizoo::test::read_all;
using vizoo::test::small_convnext_config;
using vizoo::test::TemporaryFolder;
using vizoo::test::TensorsByName;
using vizoo::test::write_bin;

namespace {

void write_tensors(const std::filesystem::path& path, const TensorsByName& tensors) {
  std::vector<TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back(
        {name, *safetensors_dtype(tensor.scalar_type()), tensor.sizes().vec(), tensor.data_ptr()});
  }
  write_safetensors(path, entries, SafetensorsMetadata{{"format", "pt"}});
}

void check_same(const TensorsByName& left, const TensorsByName& right) {
  REQUIRE(left.size() == right.size());
  for (const auto& [name, tensor] : left) {
    INFO("tensor: " << name);
    REQUIRE(right.count(name) == 1);
    const auto& other = right.at(name);
    REQUIRE(tensor.scalar_type() == other.scalar_type());
    REQUIRE(tensor.sizes() == other.sizes());
    CHECK(std::memcmp(
              tensor.contiguous().data_ptr(), other.contiguous().data_ptr(), tensor.nbytes()) == 0);
  }
}

TensorsByName many_kinds() {
  torch::manual_seed(7);
  const auto base = torch::randn({6, 8});
  return {{"plain", base},
          {"half", torch::randn({3, 5}).to(torch::kHalf)},
          {"bfloat16", torch::randn({4}).to(torch::kBFloat16)},
          {"double", torch::randn({2, 2}).to(torch::kDouble)},
          {"count", torch::tensor(int64_t{123456789012345})},
          {"mask", torch::tensor({true, false, true})},
          {"bytes", torch::arange(7).to(torch::kByte)},
          {"transposed", base.t()},
          {"rows", base.slice(0, 1, 6, 2)},
          {"columns", base.slice(1, 3, 8, 3)},
          {"expanded", torch::randn({1, 4}).expand({3, 4})},
          {"empty", torch::empty({0, 3})},
          {"scalar", torch::tensor(2.5F)}};
}

std::string checkpoint_error(const std::filesystem::path& folder, const std::string& variant = "") {
  try {
    const Checkpoint checkpoint(folder, variant);
  } catch (const CheckpointError& error) {
    auto message = std::string(error.what());
    const auto at = message.find(folder.string());
    if (at != std::string::npos) message.replace(at, folder.string().size(), "DIR");
    return message;
  }
  return "";
}

}  // namespace

TEST_CASE("a .bin gives the tensors that were saved in it", "[hub]") {
  const TemporaryFolder folder;
  const auto tensors = many_kinds();
  write_bin(folder / "pytorch_model.bin", tensors);
  const Checkpoint checkpoint(folder.path());
  CHECK(checkpoint.path() == folder / "pytorch_model.bin");
  check_same(read_all(checkpoint), tensors);
  check_same(read_all(checkpoint), tensors);  // what was given back to the system is read again
  check_same(read_all(Checkpoint::open_file(folder / "pytorch_model.bin")), tensors);
  for (const auto& tensor : checkpoint.tensors()) {
    CHECK(tensor.view.bytes == tensors.at(tensor.name).nbytes());
    CHECK(tensor.file == folder / "pytorch_model.bin");
    CHECK((tensor.view.data != nullptr) == tensors.at(tensor.name).is_contiguous());
    if (tensor.view.data == nullptr) {
      CHECK_THROWS_AS(load_tensor(tensor.file, tensor.view), CheckpointError);
    }
  }
}

TEST_CASE("weights are looked for in the order of Transformers", "[hub]") {
  const TemporaryFolder folder;
  const auto marked = [](float value) { return TensorsByName{{"w", torch::full({2}, value)}}; };
  const auto found = [&](const std::string& variant = "") {
    return read_all(Checkpoint(folder.path(), variant)).at("w")[0].item<float>();
  };
  const auto index = [&](const std::string& name, const std::string& shard) {
    write_file_atomically(folder / name, R"({"weight_map":{"w":")" + shard + "\"}}");
  };
  CHECK(checkpoint_error(folder.path()) ==
        "[checkpoint] DIR: expected model.safetensors, pytorch_model.bin or the index of either, "
        "got a folder without weights.");
  write_bin(folder / "shard.bin", marked(1));
  index("pytorch_model.bin.index.json", "shard.bin");
  CHECK(found() == 1);
  write_bin(folder / "pytorch_model.bin", marked(2));
  CHECK(found() == 2);
  write_tensors(folder / "shard.safetensors", marked(3));
  index("model.safetensors.index.json", "shard.safetensors");
  CHECK(found() == 3);
  write_tensors(folder / "model.safetensors", marked(4));
  CHECK(found() == 4);

  CHECK(checkpoint_error(folder.path(), "fp16") ==
        "[checkpoint] DIR: expected model.fp16.safetensors, pytorch_model.fp16.bin or the index of "
        "either, got a folder without weights.");
  write_bin(folder / "half.bin", marked(5));
  index("pytorch_model.bin.index.fp16.json", "half.bin");
  CHECK(found("fp16") == 5);
  write_bin(folder / "pytorch_model.fp16.bin", marked(6));
  CHECK(found("fp16") == 6);
}

TEST_CASE("a .bin that would run code is refused", "[hub]") {
  const TemporaryFolder folder;
  std::filesystem::copy_file("test/fuzz/corpus/torch_checkpoint/os_system",
                             folder / "pytorch_model.bin");
  CHECK(checkpoint_error(folder.path()) ==
        "[checkpoint] DIR/pytorch_model.bin: data.pkl byte 2: expected what a pickle of tensors "
        "needs, got global \"os.system\". Only tensors in dicts are read: save model.state_dict() "
        "alone, by torch.save or as safetensors.");
}

TEST_CASE("a model is the same from .bin as from safetensors", "[hub]") {
  const TemporaryFolder folder;
  ConvNextForImageClassification model(small_convnext_config());
  randomize(model, 5);
  save_pretrained(model, folder.path());
  auto tensors = read_all(Checkpoint(folder.path()));
  tensors["extra.weight"] = torch::ones({2});
  tensors.erase("classifier.bias");
  write_tensors(folder / "model.safetensors", tensors);
  const auto load = [&](LoadReport& report) {
    torch::manual_seed(3);
    return AutoModelForImageClassification::from_pretrained(folder.path(),
                                                            LoadOptions().report(&report));
  };
  LoadReport first_report;
  const auto first = load(first_report);
  std::filesystem::remove(folder / "model.safetensors");
  write_bin(folder / "pytorch_model.bin", tensors);
  LoadReport second_report;
  const auto second = load(second_report);
  CHECK(second_report.warnings() == first_report.warnings());
  CHECK(first_report.unexpected == std::vector<std::string>{"extra.weight"});
  CHECK(first_report.missing == std::vector<std::string>{"classifier.bias"});
  const auto parameters = second->named_parameters();
  for (const auto& parameter : first->named_parameters()) {
    INFO("parameter: " << parameter.key());
    CHECK(torch::equal(parameter.value(), parameters[parameter.key()]));
  }
}

TEST_CASE("what is no tensor is in the report", "[hub]") {
  const TemporaryFolder folder;
  ConvNextForImageClassification model(small_convnext_config());
  save_pretrained(model, folder.path());
  c10::Dict<std::string, torch::Tensor> state;
  for (const auto& [name, tensor] : read_all(Checkpoint(folder.path()))) state.insert(name, tensor);
  c10::impl::GenericDict outer(c10::StringType::get(), c10::AnyType::get());
  outer.insert("epoch", 3);
  outer.insert("state_dict", state);
  const auto bytes = torch::pickle_save(outer);
  std::filesystem::remove(folder / "model.safetensors");
  write_file_atomically(folder / "pytorch_model.bin", std::string_view(bytes.data(), bytes.size()));
  LoadReport report;
  AutoModelForImageClassification::from_pretrained(folder.path(), LoadOptions().report(&report));
  CHECK(report.unexpected == std::vector<std::string>{"epoch"});
  CHECK(report.missing.empty());
}
