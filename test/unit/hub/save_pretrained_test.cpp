#include "vizoo/hub/save_pretrained.h"

#include "test/support/catch.h"
#include "test/support/checkpoint_files.h"
#include "test/support/small_convnext.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/io/file.h"

using namespace vizoo;
using vizoo::test::file_bytes;
using vizoo::test::TemporaryFolder;

namespace {

const std::filesystem::path kShipped = "weights/convnext-digits";
}  // namespace

TEST_CASE("what Transformers saved is saved again byte for byte", "[hub]") {
  const TemporaryFolder folder;
  auto model = from_pretrained<ConvNextForImageClassification>(kShipped);
  save_pretrained(model, folder.path());
  CHECK(file_bytes(folder / "config.json") == file_bytes(kShipped / "config.json"));
  CHECK(file_bytes(folder / "model.safetensors") == file_bytes(kShipped / "model.safetensors"));
}

TEST_CASE("keys that no field claims are kept", "[hub]") {
  const TemporaryFolder folder;
  const TemporaryFolder second;
  ConvNextForImageClassification model(test::small_convnext_config());
  model->config.unknown["my_key"] = R"({"a":[1,2.5,null]})";
  save_pretrained(model, folder.path());
  LoadReport report;
  auto loaded =
      from_pretrained<ConvNextForImageClassification>(folder.path(), LoadOptions().report(&report));
  save_pretrained(loaded, second.path());
  CHECK(file_bytes(second / "config.json") == file_bytes(folder / "config.json"));
  CHECK(read_json_file(second / "config.json")["my_key"] == Json::parse(R"({"a":[1,2.5,null]})"));
  CHECK(std::count(
            report.unknown_config_keys.begin(), report.unknown_config_keys.end(), "my_key") == 1);
}

TEST_CASE("a save that cannot be made says so and leaves the old one", "[hub]") {
  const TemporaryFolder folder;
  ConvNextForImageClassification model(test::small_convnext_config());
  save_pretrained(model, folder.path());
  const auto before = file_bytes(folder / "model.safetensors");
  CHECK_THROWS_WITH(save_pretrained(model, folder / "model.safetensors"),
                    "[checkpoint] " + (folder / "model.safetensors").string() +
                        ": expected a folder that can be written, got \"Not a directory\".");
  CHECK_THROWS_AS(save_pretrained(model, "/dev/null/x"), CheckpointError);
  CHECK(file_bytes(folder / "model.safetensors") == before);
}
