// `vizoo fill-mask`: what a masked language model expects in place of the masks of a text.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>

#include "commands.h"
#include "common.h"
#include "model_source.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/io/config_json.h"
#include "vizoo/tasks/masked_language_modeling.h"
#include "vizoo/text/auto_tokenizer.h"

namespace vizoo::app {
namespace {

struct FillMaskOptions {
  ModelOptions model;
  // A list would take a text in brackets for a list.
  std::string text;
  std::string dtype = "float32";
  std::string device = "cpu";
  int64_t top_k = 5;
  int threads = 0;
  bool as_json = false;
};

void print_filled_json(const FilledText& filled) {
  auto masks = Json::array();
  for (const auto& mask : filled.masks) {
    auto candidates = Json::array();
    for (const auto& one : mask.candidates) {
      candidates.push_back({{"id", one.id}, {"token", one.token}, {"score", one.score}});
    }
    masks.push_back({{"position", mask.position}, {"candidates", candidates}});
  }
  std::cout << Json{{"text", filled.text}, {"masks", masks}}.dump() << '\n';
}

void print_filled_words(const FilledText& filled) {
  std::cout << printable(filled.text, filled.text.size()) << '\n';
  for (const auto& mask : filled.masks) {
    std::cout << "token " << mask.position << '\n';
    for (const auto& one : mask.candidates) {
      std::cout << "  " << std::fixed << std::setprecision(4) << one.score << "  " << std::setw(3)
                << one.id << "  " << quote(one.token) << '\n';
    }
  }
}

// All outputs are computed, of which those of the masks are taken.
MaskedLanguageModel exported_language_model(ExportedModel exported,
                                            const PerceiverConfig& config,
                                            torch::Device device) {
  const auto& description = exported.description;
  const auto& outputs = description.outputs;
  const auto logits = std::find(outputs.begin(), outputs.end(), "logits") - outputs.begin();
  if (description.class_name != PerceiverForMaskedLMImpl::kClassName ||
      logits == static_cast<std::ptrdiff_t>(outputs.size())) {
    throw CheckpointError("export",
                          "exported model",
                          "PerceiverForMaskedLM with the output logits",
                          printable(description.class_name));
  }
  return {
      config.max_position_embeddings,
      [=](const torch::Tensor& input_ids, const torch::Tensor& positions) {
        NamedArguments arguments;
        for (const auto& input : exported.description.inputs) {
          arguments[input.name] =
              (input.name == "attention_mask" ? torch::ones_like(input_ids) : input_ids).to(device);
        }
        const auto all = run_torchscript(exported, arguments);
        return all[static_cast<std::size_t>(logits)].second[0].index_select(0,
                                                                            positions.to(device));
      }};
}

int fill_mask(const FillMaskOptions& options) {
  apply_threads(options.threads);
  const ModelSource source(options.model);
  const auto tokenizer = AutoTokenizer::from_pretrained(source.folder());
  LoadReport report;
  const auto device = parse_device(options.device);
  const auto load =
      LoadOptions().torch_dtype(parse_dtype(options.dtype)).device(device).report(&report);
  PerceiverForMaskedLM model{nullptr};  // outlives what runs it
  if (!source.is_exported()) {
    model = AutoModelForMaskedLM::from_pretrained(source.folder(), load);
  }
  const auto runs = source.is_exported()
                        ? exported_language_model(source.load_exported(load),
                                                  config_from_json<PerceiverConfig>(
                                                      load_config(source.folder()), "config.json"),
                                                  device)
                        : MaskedLanguageModel(*model);
  print_warnings(report);
  const c10::InferenceMode inference;
  const auto filled = vizoo::fill_mask(runs, *tokenizer, options.text, options.top_k);
  options.as_json ? print_filled_json(filled) : print_filled_words(filled);
  return kOk;
}

}  // namespace

void add_fill_mask(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("fill-mask", "Fill in the masks of a text");
  auto options = std::make_shared<FillMaskOptions>();
  add_model_options(*command, options->model);
  command->add_option("text", options->text, "A text with [MASK] for each token (byte) to fill in")
      ->required()
      ->type_name("TEXT");
  command->add_option("--top-k", options->top_k, "Candidates for each mask")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer(
      "Example: vizoo fill-mask --model language-perceiver \"The cat sat on the[MASK][MASK][MASK]"
      "[MASK].\"");
  command->callback([&run, options] { run = [options] { return fill_mask(*options); }; });
}

}  // namespace vizoo::app
