#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <opencv2/core.hpp>
#include <optional>
#include <string>

namespace vizoo {

class VideoInput;

/// Reads the frames of a video file one after another, through OpenCV.
class VideoReader {
 public:
  /// Throws ImageError for what is no regular file, no video that OpenCV can read, or one whose
  /// frames have more pixels than kDefaultMaxPixels; and where libvizoo_video.so is missing.
  explicit VideoReader(const std::filesystem::path& path);
  ~VideoReader();

  /// The next frame: 8-bit RGB, [height, width]; none at the end. Throws ImageError for a frame of
  /// another size than the first.
  std::optional<cv::Mat> next();

  int height() const { return height_; }
  int width() const { return width_; }
  double frames_per_second() const { return frames_per_second_; }  ///< 0 if the file does not say
  /// What the file claims, which need not be true; 0 if it claims nothing.
  int64_t frame_count() const { return frame_count_; }

 private:
  std::string name_;
  std::unique_ptr<VideoInput> input_;
  int height_ = 0;
  int width_ = 0;
  double frames_per_second_ = 0.0;
  int64_t frame_count_ = 0;
};

/// Writes a video as Motion JPEG in an AVI file, which appears when it is whole. next_frame returns
/// one frame after another, 8-bit RGB, of one size, at least one, and nothing at the end. Throws
/// ImageError if the file cannot be written, and whatever next_frame throws.
void write_video(const std::filesystem::path& path,
                 const std::function<std::optional<cv::Mat>()>& next_frame,
                 double frames_per_second);

}  // namespace vizoo
