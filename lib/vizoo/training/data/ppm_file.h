#pragma once

#include <filesystem>

#include "vizoo/nn/torch.h"

namespace vizoo::detail {

/// Reads a binary portable pixmap of 8 bits a channel ("P6", largest value 255), in which the
/// frames of FlyingChairs come: uint8, [H, W, 3]. Throws ImageError for another format, sizes
/// beyond kDefaultMaxPixels, and a file that ends early.
/// Format: https://netpbm.sourceforge.net/doc/ppm.html
torch::Tensor read_ppm(const std::filesystem::path& path);

}  // namespace vizoo::detail
