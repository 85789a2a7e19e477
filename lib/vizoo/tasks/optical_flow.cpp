#include "vizoo/tasks/optical_flow.h"

#include <algorithm>
#include <string>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using Corner = std::pair<int64_t, int64_t>;  // top, left

std::string tile_size_text(int64_t height, int64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

void check_frame(const torch::Tensor& frame, const char* name) {
  if (frame.defined() && frame.scalar_type() == torch::kByte && frame.dim() == 3 &&
      frame.size(2) == 3) {
    return;
  }
  throw ShapeError("flow", name, "uint8 [H, W, 3]", frame.defined() ? frame.toString() : "none");
}

std::vector<Corner> tile_corners(const FlowModel& model,
                                 int64_t height,
                                 int64_t width,
                                 const OpticalFlowOptions& options) {
  const auto tile_height = model.height;
  const auto tile_width = model.width;
  if (height < tile_height || width < tile_width) {
    throw ShapeError("flow",
                     "frames",
                     "at least " + tile_size_text(tile_height, tile_width) + " pixels, one tile",
                     tile_size_text(height, width),
                     "Enlarge or pad both frames");
  }
  if (options.batch() < 1) {
    throw UsageError("task", "batch", "at least 1", std::to_string(options.batch()));
  }
  const auto starts = [&](int64_t size, int64_t tile) {
    return tile_starts(size, tile, std::min(options.min_overlap(), tile / 2));
  };
  std::vector<Corner> corners;
  const auto lefts = starts(width, tile_width);
  for (const auto top : starts(height, tile_height)) {
    for (const auto left : lefts) corners.emplace_back(top, left);
  }
  return corners;
}

torch::Tensor crop_tile(const torch::Tensor& image,
                        const Corner& corner,
                        const torch::Tensor& tile) {
  return image.narrow(0, corner.first, tile.size(0)).narrow(1, corner.second, tile.size(1));
}

}  // namespace

FlowModel::FlowModel(const PerceiverForOpticalFlowImpl& model)
    : height(model.config.train_size[0]),
      width(model.config.train_size[1]),
      forward([&model, like = model.parameters().front().options()](const torch::Tensor& patches) {
        return model.forward(patches.to(like)).logits;
      }) {}

FlowModel::FlowModel(int64_t tile_height,
                     int64_t tile_width,
                     std::function<torch::Tensor(const torch::Tensor& patches)> call)
    : height(tile_height), width(tile_width), forward(std::move(call)) {}

std::vector<int64_t> tile_starts(int64_t size, int64_t tile, int64_t min_overlap) {
  if (min_overlap < 0 || min_overlap >= tile) {
    throw UsageError("flow",
                     "min_overlap",
                     "from 0 to less than a tile's " + std::to_string(tile),
                     std::to_string(min_overlap));
  }
  if (size < tile) {
    throw ShapeError(
        "flow", "size", "at least a tile's " + std::to_string(tile), std::to_string(size));
  }
  std::vector<int64_t> starts;
  const auto last = size - tile;
  for (int64_t start = 0; start < last; start += tile - min_overlap) starts.push_back(start);
  starts.push_back(last);
  return starts;
}

torch::Tensor flow_patches(const torch::Tensor& frames) {
  if (!frames.defined() || frames.scalar_type() != torch::kByte || frames.dim() != 4 ||
      frames.size(0) != 2 || frames.size(3) != 3) {
    throw ShapeError(
        "flow", "frames", "uint8 [2, H, W, 3]", frames.defined() ? frames.toString() : "none");
  }
  const auto height = frames.size(1);
  const auto width = frames.size(2);
  // [2, H, W, 3] -> [2, 3, H, W]; values as upstream makes them, in float64
  auto values = frames.permute({0, 3, 1, 2}).to(torch::kFloat64).div(255).mul(2).sub(1);
  values = torch::constant_pad_nd(values.to(torch::kFloat32), {1, 1, 1, 1}, 0);
  std::vector<torch::Tensor> shifted;
  for (int64_t y = 0; y < 3; ++y) {
    for (int64_t x = 0; x < 3; ++x) {
      shifted.push_back(values.narrow(2, y, height).narrow(3, x, width));
    }
  }
  return torch::cat(shifted, 1).unsqueeze(0);
}

torch::Tensor tile_weights(int64_t height, int64_t width) {
  const auto distance = [](int64_t size) {
    const auto index = torch::arange(1, size + 1, torch::kFloat64);
    return torch::minimum(index, index.flip(0));
  };
  return torch::minimum(distance(height).unsqueeze(1), distance(width).unsqueeze(0));
}

int64_t flow_tile_count(const FlowModel& model,
                        int64_t height,
                        int64_t width,
                        const OpticalFlowOptions& options) {
  return static_cast<int64_t>(tile_corners(model, height, width, options).size());
}

torch::Tensor optical_flow(const FlowModel& model,
                           const torch::Tensor& first,
                           const torch::Tensor& second,
                           const OpticalFlowOptions& options) {
  check_frame(first, "first frame");
  check_frame(second, "second frame");
  const auto height = first.size(0);
  const auto width = first.size(1);
  if (second.size(0) != height || second.size(1) != width) {
    throw ShapeError("flow",
                     "second frame",
                     tile_size_text(height, width) + " pixels as the first",
                     tile_size_text(second.size(0), second.size(1)));
  }
  const auto corners = tile_corners(model, height, width, options);
  const auto weights = tile_weights(model.height, model.width);
  auto flow = torch::zeros({height, width, 2}, torch::kFloat64);
  auto total = torch::zeros({height, width}, torch::kFloat64);

  const auto batch = static_cast<std::size_t>(options.batch());
  for (std::size_t begin = 0; begin < corners.size(); begin += batch) {
    const auto end = std::min(begin + batch, corners.size());
    std::vector<torch::Tensor> tiles;
    for (std::size_t i = begin; i < end; ++i) {
      tiles.push_back(flow_patches(torch::stack(
          {crop_tile(first, corners[i], weights), crop_tile(second, corners[i], weights)})));
    }
    const auto logits = model.forward(torch::cat(tiles)).detach();
    const auto pixels = logits.to(torch::kCPU, torch::kFloat32).mul(kFlowScale);
    for (std::size_t i = begin; i < end; ++i) {
      const auto tile = pixels[static_cast<int64_t>(i - begin)];
      crop_tile(flow, corners[i], weights).add_(tile.to(torch::kFloat64) * weights.unsqueeze(-1));
      crop_tile(total, corners[i], weights).add_(weights);
      if (options.on_tile()) options.on_tile()();
    }
  }
  return flow.div_(total.unsqueeze(-1)).to(torch::kFloat32);
}

}  // namespace vizoo
