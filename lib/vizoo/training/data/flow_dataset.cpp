#include "vizoo/training/data/flow_dataset.h"

#include <cmath>
#include <limits>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/flow_file.h"
#include "vizoo/tasks/optical_flow.h"
#include "vizoo/training/data/ppm_file.h"
#include "vizoo/vision/image.h"

namespace vizoo {
namespace {

// What the Middlebury format calls unknown.
constexpr float kUnknownFlow = 1e9F;

std::string pair_size_text(int64_t height, int64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

// uint8, [H, W, 3].
torch::Tensor read_frame(const std::filesystem::path& path) {
  if (path.extension() == ".ppm") return detail::read_ppm(path);
  return tensor_view(read_image(path)).clone();
}

torch::Tensor flow_tensor(FlowField field) {
  for (float& value : field.values) {
    if (!(std::abs(value) <= kUnknownFlow)) value = std::numeric_limits<float>::quiet_NaN();
  }
  return torch::tensor(field.values, torch::kFloat32).view({field.height, field.width, 2});
}

// Rows and columns of the crop, of any tensor [H, W, ...].
torch::Tensor crop_frame(const torch::Tensor& image,
                         int64_t top,
                         int64_t left,
                         const ImageSize& size) {
  return image.narrow(0, top, size.height).narrow(1, left, size.width);
}

}  // namespace

FlowDataset::FlowDataset(std::vector<FlowFiles> pairs, const FlowDatasetOptions& options)
    : pairs_(std::move(pairs)), options_(options) {
  if (pairs_.empty()) throw UsageError("training", "pairs", "at least one pair of frames", "none");
  check_crop_size(options.size(), "size of the crop");
}

Sample FlowDataset::get(int64_t index, RandomStream& random) const {
  const FlowFiles& pair = files(index);
  const auto first = read_frame(pair.first);
  const auto second = read_frame(pair.second);
  const auto flow = flow_tensor(read_flow(pair.flow));
  const auto height = flow.size(0);
  const auto width = flow.size(1);
  for (const auto* frame : {&first, &second}) {
    if (frame->size(0) == height && frame->size(1) == width) continue;
    throw ImageError("image",
                     printable((frame == &first ? pair.first : pair.second).string()),
                     pair_size_text(height, width) + " pixels as the flow",
                     pair_size_text(frame->size(0), frame->size(1)));
  }
  const ImageSize& size = options_.size();
  if (height < size.height || width < size.width) {
    throw ImageError("image",
                     printable(pair.first.string()),
                     "at least " + pair_size_text(size.height, size.width) + " pixels, the crop",
                     pair_size_text(height, width));
  }
  int64_t top = (height - size.height) / 2;
  int64_t left = (width - size.width) / 2;
  if (options_.random_crop()) {
    top = random.integer(height - size.height + 1);
    left = random.integer(width - size.width + 1);
  }
  Sample sample;
  // [1, 2, 27, H, W] -> [2, 27, H, W]
  const auto frames =
      torch::stack({crop_frame(first, top, left, size), crop_frame(second, top, left, size)});
  sample.arguments["inputs"] = flow_patches(frames).squeeze(0);
  sample.labels = crop_frame(flow, top, left, size).contiguous();
  return sample;
}

std::string FlowDataset::describe(int64_t index) const { return files(index).flow.string(); }

}  // namespace vizoo
