#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace vizoo {

/// Optical flow between two frames: a displacement for each pixel of the first.
struct FlowField {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<float> values;  ///< [height][width][2]: pixels to the right, pixels down
};

/// Writes a `.flo` file of the Middlebury benchmark, atomically: the float 202021.25, width and
/// height as int32, and the values, all little endian. Throws ShapeError unless there are height
/// width 2 values and both sides are from 1 to 2^31 - 1; ImageError if the file cannot be written.
/// Format: https://vision.middlebury.edu/flow/code/flow-code/README.txt
void write_flow(const std::filesystem::path& path, const FlowField& flow);

/// Reads one. Throws ImageError for another format and for a file that is not as long as its sizes
/// say, before anything of their size is allocated.
FlowField read_flow(const std::filesystem::path& path);

}  // namespace vizoo
