// Runs a model that `vizoo export` wrote, with LibTorch alone: nothing of vizoo is included or
// linked. The op library is loaded at run time, and only if the model needs it.
//
//   vizoo export --model weights/dinat-digits --output dinat.pt
//
//   cmake -S apps/examples/run_exported -B build/run_exported -DCMAKE_PREFIX_PATH=/path/to/libtorch
//   cmake --build build/run_exported
//   build/run_exported/run_exported --ops libvizoo_ops.so --size 48 dinat.pt
//
// It runs the model on one picture and on a batch of two that begins with the same picture, prints
// the shapes and the best class, and fails if the batch changed the answer.
#include <dlfcn.h>
#include <torch/script.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <iostream>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr double kTolerance = 1e-5;

struct Options {
  std::string ops;    // path of libvizoo_ops.so; empty if none is to be loaded
  std::string model;  // path of the exported model
  int64_t size = 224;
};

std::optional<Options> parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& name = arguments[i];
    const bool has_value = name == "--ops" || name == "--size";
    if (has_value && ++i == arguments.size()) return std::nullopt;
    const auto& value = arguments[i];
    if (name == "--ops") {
      options.ops = value;
    } else if (name == "--size") {
      const auto* end = value.data() + value.size();
      const auto [stop, error] = std::from_chars(value.data(), end, options.size);
      if (error != std::errc() || stop != end || options.size < 1) return std::nullopt;
    } else if (options.model.empty() && name.rfind('-', 0) != 0) {
      options.model = name;
    } else {
      return std::nullopt;
    }
  }
  if (options.model.empty()) return std::nullopt;
  return options;
}

// The operators register themselves with LibTorch when their library is loaded; nothing is called.
void load_ops(const std::string& path) {
  if (dlopen(path.c_str(), RTLD_NOW) == nullptr) {
    throw std::runtime_error("[ops] cannot load the op library: " + std::string(dlerror()));
  }
}

// The string `key` of a JSON object that holds it once; a JSON library would do it properly.
std::string string_field(const std::string& json, const std::string& key) {
  std::smatch found;
  const std::regex field("\"" + key + "\"\\s*:\\s*\"([^\"]*)\"");
  return std::regex_search(json, found, field) ? found[1].str() : "";
}

// What LibTorch says goes on for many lines; the first sentence says what is wrong.
std::string first_sentence(const std::string& text) {
  const auto start = std::min(text.find_first_not_of('\n'), text.size());
  const auto end = std::min(text.find('\n', start), text.find(". ", start));
  return text.substr(start, end - start);
}

torch::jit::Module load_model(const std::string& path) {
  // Extra files are asked for by name, and are read before the model's code: vizoo.json is there
  // even if the code then names an operator that is not.
  torch::jit::ExtraFilesMap files{{"vizoo.json", ""}};
  try {
    auto model = torch::jit::load(path, torch::kCPU, files);
    model.eval();
    return model;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    std::smatch unknown;
    if (std::regex_search(message, unknown, std::regex("Unknown builtin op: ([\\w:]+)"))) {
      auto library = string_field(files["vizoo.json"], "op_library");
      if (library.empty()) library = "libvizoo_ops.so";
      throw std::runtime_error("[model] " + path + ": needs the operator " + unknown[1].str() +
                               ", which is not loaded. Give the library that has it: --ops " +
                               library + ".");
    }
    throw std::runtime_error("[model] " + path +
                             ": not a model that LibTorch can load: " + first_sentence(message));
  }
}

// The first output. An exported model returns a tuple, or a dict if it was exported so; vizoo.json
// names the outputs in order.
torch::Tensor run(torch::jit::Module& model, const torch::Tensor& pixel_values) {
  const torch::InferenceMode inference;
  const auto outputs = model.forward({pixel_values});
  if (outputs.isTuple()) return outputs.toTuple()->elements()[0].toTensor();
  if (outputs.isGenericDict()) return outputs.toGenericDict().at("logits").toTensor();
  return outputs.toTensor();
}

void run_model(const Options& options) {
  if (!options.ops.empty()) load_ops(options.ops);
  auto model = load_model(options.model);

  torch::manual_seed(0);
  const auto pictures = torch::rand({2, 3, options.size, options.size}) * 2 - 1;
  const auto alone = run(model, pictures.slice(0, 0, 1));
  const auto batch = run(model, pictures);
  for (const auto& logits : {alone, batch}) {
    std::cout << "batch of " << logits.size(0) << ": " << logits.sizes();
    if (logits.dim() == 2) {
      const auto [score, label] = logits[0].softmax(0).max(0);
      std::cout << ", best class " << label.item<int64_t>() << ", score " << score.item<float>();
    }
    std::cout << '\n';
  }

  const auto difference = (alone[0] - batch[0]).abs().max().item<double>();
  std::cout << "largest difference: " << difference << '\n';
  if (!(difference <= kTolerance)) {
    throw std::runtime_error("[model] " + options.model +
                             ": the answer for a picture depends on its batch.");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse({argv + 1, argv + argc});
  if (!options) {
    std::cerr << "usage: run_exported [--ops LIBVIZOO_OPS] [--size PIXELS] MODEL\n";
    return 2;
  }
  try {
    run_model(*options);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
