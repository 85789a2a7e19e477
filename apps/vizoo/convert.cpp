// `vizoo convert`: weights of any kind that is read to safetensors, another dtype or other shards.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <iostream>
#include <memory>
#include <optional>

#include "commands.h"
#include "common.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/convert.h"

namespace vizoo::app {
namespace {

struct ConvertCommandOptions {
  std::filesystem::path model;
  std::filesystem::path output;
  std::string dtype;
  std::string max_shard_size;
  std::string variant;
};

// "5GB", "300MiB", "1000000": as in Transformers, with powers of 1000 for GB and of 1024 for GiB.
// There "5gb" means bits, which hardly anybody expects: it is refused.
std::size_t parse_size(const std::string& text) {
  constexpr std::pair<const char*, std::size_t> kUnits[] = {
      {"", 1},
      {"KB", 1'000},
      {"MB", 1'000'000},
      {"GB", 1'000'000'000},
      {"KIB", std::size_t{1} << 10U},
      {"MIB", std::size_t{1} << 20U},
      {"GIB", std::size_t{1} << 30U},
  };
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string unit = text.substr(digits);
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  for (const auto& [name, factor] : kUnits) {
    std::size_t bytes = 0;
    constexpr std::size_t kMostDigits = 18;  // whatever is longer does not fit
    if (unit != name || text.back() == 'b' || digits == 0 || digits > kMostDigits) continue;
    if (__builtin_mul_overflow(std::stoull(text.substr(0, digits)), factor, &bytes)) continue;
    if (bytes > 0) return bytes;
  }
  throw UsageError(
      "usage", "--max-shard-size", "a size such as 5GB, 300MiB or 1000000", quote(text));
}

int convert(const ConvertCommandOptions& options) {
  ConvertOptions how;
  how.variant(options.variant);
  if (!options.dtype.empty()) how.dtype(parse_dtype(options.dtype));
  std::error_code error;
  if (!std::filesystem::is_directory(options.model, error)) {
    const char* const unusable = !options.variant.empty()          ? "--variant"
                                 : !options.max_shard_size.empty() ? "--max-shard-size"
                                                                   : nullptr;
    if (unusable != nullptr) {
      throw UsageError("usage",
                       unusable,
                       "a folder as --model",
                       quote(options.model.string()),
                       "A single file becomes a single file");
    }
  }
  if (!options.max_shard_size.empty()) how.max_shard_size(parse_size(options.max_shard_size));

  std::optional<Progress> progress;
  how.progress([&](std::size_t, std::size_t total) {
    if (!progress) progress.emplace("convert", total);
    progress->step();
  });
  const ConvertReport report = convert_checkpoint(options.model, options.output, how);
  progress.reset();
  if (!report.ignored.empty()) {
    std::cerr << "warning: not tensors, ignored: ";
    for (std::size_t i = 0; i < report.ignored.size(); ++i) {
      std::cerr << (i == 0 ? "" : ", ") << report.ignored[i];
    }
    std::cerr << ".\n";
  }
  for (const auto& file : report.files) std::cout << file.string() << '\n';
  std::cout << report.tensors << (report.tensors == 1 ? " tensor, " : " tensors, ")
            << report.converted << " of them converted, " << report.bytes << " bytes\n";
  return kOk;
}

}  // namespace

void add_convert(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand(
      "convert", "Rewrite weights as safetensors, in another dtype or in shards");
  auto options = std::make_shared<ConvertCommandOptions>();
  command
      ->add_option("--model",
                   options->model,
                   "Folder that save_pretrained wrote, or one weight file (.safetensors, or .bin, "
                   ".pt, .pth of torch.save)")
      ->required()
      ->type_name("DIR|FILE");
  command->add_option("--output", options->output, "Folder, or for one file a name in .safetensors")
      ->required()
      ->type_name("DIR|FILE");
  command
      ->add_option("--dtype",
                   options->dtype,
                   "Of floating-point tensors: float32, float64, bfloat16 or float16 (default: as "
                   "they are)")
      ->type_name("NAME");
  command
      ->add_option("--max-shard-size",
                   options->max_shard_size,
                   "Bytes of a weight file, such as 500MB or 2GiB (default: 5GB)")
      ->type_name("SIZE");
  command
      ->add_option(
          "--variant", options->variant, "Read model.NAME.safetensors or pytorch_model.NAME.bin")
      ->type_name("NAME");
  command->footer(
      "Code in the input is never run. Example: vizoo convert --model old-checkpoint --output "
      "new-checkpoint --dtype float16");
  command->callback([&run, options] { run = [options] { return convert(*options); }; });
}

}  // namespace vizoo::app
