#pragma once

// What the tests of exported models share.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/export/torchscript.h"
#include "vizoo/io/json.h"

namespace vizoo::test {

/// A stored case of the parity tests in evaluation mode.
struct ExportCase {
  std::filesystem::path folder;
  std::shared_ptr<PretrainedModelImpl> model;
  NamedArguments arguments;
  ExportOptions options;
};

/// `stored`: the case.json of the folder.
ExportCase load_case(const std::filesystem::path& folder, const Json& stored);

/// One by its folder in test/fixtures, such as "owlv2/detector".
ExportCase stored_case(const std::string& name);

/// Folders of the cases that are a plain forward.
std::vector<std::filesystem::path> exportable_cases();

/// Classes without a stored case, small, with their usual inputs.
std::vector<ExportCase> perceiver_heads();

/// The message of the Error that `body` throws, empty if it throws none.
std::string message(const std::function<void()>& body);

}  // namespace vizoo::test
