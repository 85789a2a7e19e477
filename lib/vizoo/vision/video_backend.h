#pragma once

// What of OpenCV's videoio is used. It lives in a library of its own, libvizoo_video.so, which is
// loaded when the first video is opened: videoio brings a hundred libraries, which every start of
// every program would have to load.

#include <cstdint>
#include <memory>
#include <opencv2/core.hpp>
#include <string>

namespace vizoo {

/// A video that is being read.
class VideoInput {
 public:
  virtual ~VideoInput() = default;
  /// The next frame, BGR; false at the end and for what cannot be decoded.
  virtual bool read(cv::Mat& frame) = 0;

  // What the file claims; not checked.
  double height = 0.0;
  double width = 0.0;
  double frames_per_second = 0.0;
  double frame_count = 0.0;
};

/// A video that is being written.
class VideoOutput {
 public:
  /// Finishes the file.
  virtual ~VideoOutput() = default;
  /// Appends a frame, BGR; false if that fails.
  virtual bool write(const cv::Mat& frame) = 0;
};

/// The entries of the library. Both return null where OpenCV fails, and do not throw.
struct VideoBackend {
  std::unique_ptr<VideoInput> (*open)(const std::string& path);
  /// Motion JPEG in AVI.
  std::unique_ptr<VideoOutput> (*create)(const std::string& path,
                                         double frames_per_second,
                                         const cv::Size& size);
};

/// Name and type of the one function that the library exports.
constexpr const char* kVideoBackendFunction = "vizoo_video_backend";
using VideoBackendFunction = const VideoBackend* (*)();

}  // namespace vizoo
