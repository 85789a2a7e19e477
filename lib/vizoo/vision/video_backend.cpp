// libvizoo_video.so: OpenCV's videoio behind the interface of video_backend.h.
#include "vizoo/vision/video_backend.h"

#include <opencv2/videoio.hpp>

namespace vizoo {
namespace {

class CaptureInput : public VideoInput {
 public:
  bool open(const std::string& path) {
    if (!capture_.open(path, cv::CAP_FFMPEG)) return false;
    height = capture_.get(cv::CAP_PROP_FRAME_HEIGHT);
    width = capture_.get(cv::CAP_PROP_FRAME_WIDTH);
    frames_per_second = capture_.get(cv::CAP_PROP_FPS);
    frame_count = capture_.get(cv::CAP_PROP_FRAME_COUNT);
    return true;
  }

  bool read(cv::Mat& frame) override {
    try {
      return capture_.read(frame);
    } catch (const cv::Exception&) {
      return false;
    }
  }

 private:
  cv::VideoCapture capture_;
};

class WriterOutput : public VideoOutput {
 public:
  bool open(const std::string& path, double frames_per_second, const cv::Size& size) {
    return writer_.open(path,
                        cv::CAP_OPENCV_MJPEG,
                        cv::VideoWriter::fourcc('M', 'J', 'P', 'G'),
                        frames_per_second,
                        size);
  }

  bool write(const cv::Mat& frame) override {
    try {
      writer_.write(frame);
      return true;
    } catch (const cv::Exception&) {
      return false;
    }
  }

 private:
  cv::VideoWriter writer_;
};

template <class Video, class... Arguments>
std::unique_ptr<Video> make(const Arguments&... arguments) {
  try {
    auto video = std::make_unique<Video>();
    if (video->open(arguments...)) return video;
  } catch (const cv::Exception&) {
  }
  return nullptr;
}

}  // namespace
}  // namespace vizoo

extern "C" __attribute__((visibility("default"))) const vizoo::VideoBackend* vizoo_video_backend() {
  static const vizoo::VideoBackend backend = {
      [](const std::string& path) -> std::unique_ptr<vizoo::VideoInput> {
        return vizoo::make<vizoo::CaptureInput>(path);
      },
      [](const std::string& path,
         double frames_per_second,
         const cv::Size& size) -> std::unique_ptr<vizoo::VideoOutput> {
        return vizoo::make<vizoo::WriterOutput>(path, frames_per_second, size);
      }};
  return &backend;
}
