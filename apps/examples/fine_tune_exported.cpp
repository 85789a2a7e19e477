// Fine-tunes a model that `vizoo export` wrote, with LibTorch alone: the parameters of an exported
// model can be trained, and what is saved is an exported model again.
//
//   vizoo export --model weights/dinat-digits --output dinat.pt
//   fine_tune_exported --ops libvizoo_ops.so --size 48 dinat.pt tuned.pt
//
// It is built with vizoo; to build it elsewhere take the CMakeLists.txt of run_exported beside it.
//
// The batch is drawn by the program, so that it needs no files: stripes of four directions, which a
// classifier of anything else has to learn from scratch. Take your own pictures, preprocessed as
// preprocessor_config.json says. Ten steps are enough to see the loss fall.
#include <caffe2/serialize/inline_container.h>
#include <dlfcn.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int64_t kSteps = 10;
constexpr int64_t kClasses = 4;
constexpr int64_t kPicturesPerClass = 8;

struct Batch {
  torch::Tensor pixel_values;  // [B, 3, H, W], in -1..1
  torch::Tensor labels;        // [B], int64
};

// Stripes at 0, 45, 90 and 135 degrees; each picture has its own phase and some noise.
Batch draw_stripes(int64_t size) {
  const auto axis = torch::arange(size, torch::kFloat32);
  std::vector<torch::Tensor> pictures, labels;
  for (int64_t i = 0; i < kClasses * kPicturesPerClass; ++i) {
    const double angle = M_PI * static_cast<double>(i % kClasses) / kClasses;
    const auto distance = axis.unsqueeze(1) * std::sin(angle) + axis.unsqueeze(0) * std::cos(angle);
    const auto stripes = torch::sin(distance * 0.8 + torch::rand({1}) * 2 * M_PI);
    // [H, W] -> [3, H, W]
    const auto picture = stripes.expand({3, size, size}) + torch::randn({3, size, size}) * 0.1;
    pictures.push_back(picture.clamp(-1, 1));
    labels.push_back(torch::tensor(i % kClasses));
  }
  return {torch::stack(pictures), torch::stack(labels)};
}

// All that the archive holds beside the model: config.json, preprocessor_config.json, vizoo.json...
// torch::jit::load returns those whose names it is given.
torch::jit::ExtraFilesMap extra_file_names(const std::string& path) {
  const std::string folder = "extra/";
  torch::jit::ExtraFilesMap files;
  caffe2::serialize::PyTorchStreamReader reader(path);
  for (const auto& name : reader.getAllRecords()) {
    if (name.rfind(folder, 0) == 0) files[name.substr(folder.size())] = "";
  }
  return files;
}

// What LibTorch says goes on for many lines; the first one says what is wrong.
std::string first_line(const std::string& text) {
  const auto start = std::min(text.find_first_not_of('\n'), text.size());
  return text.substr(start, text.find('\n', start) - start);
}

// The first output; a classifier's are its logits.
torch::Tensor logits(torch::jit::Module& model, const torch::Tensor& pixel_values) {
  const auto outputs = model.forward({pixel_values});
  if (outputs.isTuple()) return outputs.toTuple()->elements()[0].toTensor();
  if (outputs.isGenericDict()) return outputs.toGenericDict().at("logits").toTensor();
  return outputs.toTensor();
}

void train(torch::jit::Module& model, const Batch& batch) {
  std::vector<torch::Tensor> parameters;
  for (auto parameter : model.parameters()) {
    parameters.push_back(parameter.set_requires_grad(true));
  }

  // The model was traced in evaluation mode: dropout and drop path stay off, and batch norms use
  // the statistics that they have.
  torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(1e-3).weight_decay(0.01));
  double first = 0, last = 0;
  for (int64_t step = 0; step <= kSteps; ++step) {
    const auto loss =
        torch::nn::functional::cross_entropy(logits(model, batch.pixel_values), batch.labels);
    last = loss.item<double>();
    if (step == 0) first = last;
    std::cout << "step " << step << ": loss " << last << '\n';
    if (step == kSteps) break;
    optimizer.zero_grad();
    loss.backward();
    torch::nn::utils::clip_grad_norm_(parameters, 1.0);
    optimizer.step();
  }
  if (!(last < first)) throw std::runtime_error("[train] the loss did not fall.");
}

// Whoever reads `path` meanwhile sees the old file or the new one, never half of one.
void save(const torch::jit::Module& model,
          const std::string& path,
          const torch::jit::ExtraFilesMap& files) {
  const auto partial = path + ".partial";
  model.save(partial, files);
  if (std::rename(partial.c_str(), path.c_str()) != 0) {
    std::remove(partial.c_str());
    throw std::runtime_error("[save] cannot write " + path + ".");
  }
}

void fine_tune(const std::string& from, const std::string& to, int64_t size) {
  auto files = extra_file_names(from);
  auto model = torch::jit::load(from, torch::kCPU, files);
  model.eval();

  torch::manual_seed(0);
  const auto batch = draw_stripes(size);
  train(model, batch);
  save(model, to, files);

  auto reloaded_files = extra_file_names(to);
  auto reloaded = torch::jit::load(to, torch::kCPU, reloaded_files);
  const torch::NoGradGuard no_grad;
  const auto expected = logits(model, batch.pixel_values);
  const auto difference = (logits(reloaded, batch.pixel_values) - expected).abs().max();
  std::cout << "saved " << to << " with " << reloaded_files.size()
            << " extra files; largest difference after reloading: " << difference.item<double>()
            << '\n';
  if (difference.item<double>() != 0) throw std::runtime_error("[save] the saved model differs.");
  if (reloaded_files != files) throw std::runtime_error("[save] an extra file was not kept.");
  const auto right = expected.argmax(1).eq(batch.labels).sum().item<int64_t>();
  std::cout << "right after training: " << right << " of " << batch.labels.size(0) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  std::string ops;
  int64_t size = 224;
  std::vector<std::string> paths;
  try {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i] == "--ops") {
        ops = arguments.at(++i);
      } else if (arguments[i] == "--size") {
        size = std::stoll(arguments.at(++i));
      } else {
        paths.push_back(arguments[i]);
      }
    }
    if (paths.size() != 2 || size < 1) throw std::invalid_argument("paths");
  } catch (const std::logic_error&) {
    std::cerr << "usage: fine_tune_exported [--ops LIBVIZOO_OPS] [--size PIXELS] FROM TO\n";
    return 2;
  }
  try {
    if (!ops.empty() && dlopen(ops.c_str(), RTLD_NOW) == nullptr) {
      throw std::runtime_error(std::string("[ops] cannot load the op library: ") + dlerror());
    }
    fine_tune(paths[0], paths[1], size);
    return 0;
  } catch (const std::exception& error) {
    auto message = first_line(error.what());
    if (message.rfind("Unknown builtin op: ", 0) == 0) message += " Load its library by --ops.";
    std::cerr << message << '\n';
    return 1;
  }
}
