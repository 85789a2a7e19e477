// A program of somebody else's that knows LibTorch and nothing of vizoo: it loads libvizoo_ops.so
// at run time, calls an op that the dispatcher then has, and runs a TorchScript module that uses
// it.
//   ops_consumer LIBVIZOO_OPS
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/script.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>

namespace {

constexpr int64_t kHeads = 2;
constexpr int64_t kHeadDim = 8;
constexpr std::array<int64_t, 2> kKernel{3, 5};
constexpr std::array<int64_t, 2> kDilation{2, 1};
constexpr double kScale = 0.4;
constexpr double kTolerance = 1e-9;

using Na2d = at::Tensor(const at::Tensor&,
                        const at::Tensor&,
                        const at::Tensor&,
                        const std::optional<at::Tensor>&,
                        at::IntArrayRef,
                        at::IntArrayRef,
                        std::optional<double>);

struct Picture {
  at::Tensor query, key, value, rpb;
};

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error("expected " + what);
}

// Offset of a key from a query along one axis, in the coordinates of their dilation group, or
// nothing where the query does not see the key.
std::optional<int64_t> offset(int64_t query, int64_t key, int64_t size, int axis) {
  const int64_t dilation = kDilation[axis];
  const int64_t kernel = kKernel[axis];
  const int64_t group = query % dilation;
  if (key % dilation != group) return std::nullopt;
  const int64_t tokens = (size - group + dilation - 1) / dilation;
  const int64_t first = std::clamp<int64_t>(query / dilation - kernel / 2, 0, tokens - kernel);
  const int64_t position = key / dilation;
  if (position < first || position >= first + kernel) return std::nullopt;
  return position - query / dilation;
}

// Dense attention of all tokens with all, where what is not to be seen has a bias of -infinity.
at::Tensor dense_attention(const Picture& picture) {
  const int64_t height = picture.query.size(1);
  const int64_t width = picture.query.size(2);
  const int64_t tokens = height * width;
  auto bias =
      at::full({kHeads, tokens, tokens}, -std::numeric_limits<double>::infinity(), at::kDouble);
  for (int64_t query = 0; query < tokens; ++query) {
    for (int64_t key = 0; key < tokens; ++key) {
      const auto row = offset(query / width, key / width, height, 0);
      const auto column = offset(query % width, key % width, width, 1);
      if (!row || !column) continue;
      for (int64_t head = 0; head < kHeads; ++head) {
        bias[head][query][key] = picture.rpb[head][*row + kKernel[0] - 1][*column + kKernel[1] - 1];
      }
    }
  }
  // [B, H, W, heads, D] -> [B, heads, H * W, D]
  const auto heads_first = [](const at::Tensor& x) { return x.flatten(1, 2).transpose(1, 2); };
  const auto scores =
      at::matmul(heads_first(picture.query), heads_first(picture.key).transpose(2, 3)) * kScale;
  const auto out = at::matmul((scores + bias).softmax(-1), heads_first(picture.value));
  // [B, heads, H * W, D] -> [B, H, W, heads, D]
  return out.transpose(1, 2).reshape(picture.query.sizes());
}

Picture random_picture(int64_t batch, int64_t height, int64_t width) {
  // A packed projection: query, key and value are views of one tensor.
  const auto packed = at::randn({batch, height, width, 3, kHeads, kHeadDim}, at::kDouble);
  return {packed.select(3, 0),
          packed.select(3, 1),
          packed.select(3, 2),
          at::randn({kHeads, 2 * kKernel[0] - 1, 2 * kKernel[1] - 1}, at::kDouble)};
}

void check(const at::Tensor& ours, const at::Tensor& expected, const std::string& what) {
  require(ours.sizes() == expected.sizes(), "the sizes of the query from " + what);
  const auto error = (ours - expected).abs().max().item<double>();
  std::cout << what << ' ' << ours.sizes() << ": error " << error << '\n';
  require(error <= kTolerance, "an error of at most 1e-9 from " + what);
}

// A module whose forward calls the op, saved to a string of bytes.
std::string save_module(const c10::TypedOperatorHandle<Na2d>& na2d, const Picture& example) {
  torch::jit::Module module("Attention");
  module.register_parameter("rpb", example.rpb, /*is_buffer=*/true);
  const auto forward = [&](torch::jit::Stack inputs) {
    const auto out = na2d.call(inputs[0].toTensor(),
                               inputs[1].toTensor(),
                               inputs[2].toTensor(),
                               module.attr("rpb").toTensor(),
                               kKernel,
                               kDilation,
                               kScale);
    return torch::jit::Stack{out};
  };
  const auto trace = torch::jit::tracer::trace(
      {example.query, example.key, example.value},
      forward,
      [](const at::Tensor&) { return ""; },
      /*strict=*/true,
      /*force_outplace=*/false,
      &module);
  auto* method = module._ivalue()->compilation_unit()->create_function(
      c10::QualifiedName(*module.type()->name(), "forward"), trace.first->graph);
  module.type()->addMethod(method);
  std::ostringstream file;
  module.save(file);
  return file.str();
}

void run(const char* library) {
  auto& dispatcher = c10::Dispatcher::singleton();
  require(!dispatcher.findSchema({"vizoo::na2d", ""}).has_value(), "no op before loading");
  if (dlopen(library, RTLD_NOW) == nullptr) throw std::runtime_error(dlerror());
  const auto na2d = dispatcher.findSchemaOrThrow("vizoo::na2d", "").typed<Na2d>();

  at::manual_seed(7);
  const std::array<Picture, 2> pictures{random_picture(1, 7, 9), random_picture(3, 6, 5)};
  for (const auto& picture : pictures) {
    const auto out = na2d.call(
        picture.query, picture.key, picture.value, picture.rpb, kKernel, kDilation, kScale);
    check(out, dense_attention(picture), "vizoo::na2d");
  }

  std::istringstream file(save_module(na2d, pictures[0]));
  auto module = torch::jit::load(file);
  for (auto picture : pictures) {
    picture.rpb = pictures[0].rpb;  // the module's own
    const auto out = module.forward({picture.query, picture.key, picture.value}).toTensor();
    check(out, dense_attention(picture), "a TorchScript module");
  }

  bool refused = false;
  try {
    na2d.call(pictures[0].query,
              pictures[0].key,
              pictures[0].value,
              std::nullopt,
              {4, 4},
              {1, 1},
              std::nullopt);
  } catch (const c10::Error& error) {
    refused = std::string(error.what_without_backtrace()).find("[na2d] kernel_size: expected") == 0;
  }
  require(refused, "an even kernel size to be refused");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: ops_consumer LIBVIZOO_OPS\n";
    return 2;
  }
  try {
    run(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
