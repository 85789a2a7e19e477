#include "vizoo/vision/video.h"

#include <dlfcn.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "vizoo/core/error.h"
#include "vizoo/vision/resample.h"
#include "vizoo/vision/video_backend.h"

namespace vizoo {
namespace {

std::string frame_size_text(int height, int width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

// libvizoo_video.so from the folder of the library that this code is in.
const VideoBackend& load_backend() {
  std::filesystem::path path = "libvizoo_video.so";
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void*>(&load_backend), &self) != 0 && self.dli_fname) {
    path = std::filesystem::path(self.dli_fname).parent_path() / path;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto function =
      library == nullptr
          ? nullptr
          : reinterpret_cast<VideoBackendFunction>(dlsym(library, kVideoBackendFunction));
  if (function == nullptr) {
    const char* problem = dlerror();
    throw ImageError("video",
                     printable(path.string()),
                     "vizoo's library for videos",
                     quote(problem != nullptr ? problem : "nothing"));
  }
  return *function();
}

const VideoBackend& backend() {
  static const VideoBackend& loaded = load_backend();  // tried again after an exception
  return loaded;
}

}  // namespace

VideoReader::VideoReader(const std::filesystem::path& path) : name_(printable(path.string())) {
  std::error_code error;
  // An absolute path is never taken for a protocol, a device or a pattern of many files.
  const auto absolute = std::filesystem::absolute(path, error);
  if (error || !std::filesystem::is_regular_file(absolute, error)) {
    throw ImageError("video", name_, "a video file", "none");
  }
  input_ = backend().open(absolute.string());
  constexpr double kMaxSide = 1 << 30;
  if (!input_ || !(input_->height >= 1 && input_->height <= kMaxSide) ||
      !(input_->width >= 1 && input_->width <= kMaxSide)) {
    throw ImageError("video", name_, "a video that OpenCV can read", "another file");
  }
  height_ = static_cast<int>(input_->height);
  width_ = static_cast<int>(input_->width);
  if (int64_t{height_} * width_ > kDefaultMaxPixels) {
    throw ImageError("video",
                     name_,
                     "frames of at most " + std::to_string(kDefaultMaxPixels) + " pixels",
                     frame_size_text(height_, width_));
  }
  const double rate = input_->frames_per_second;
  if (std::isfinite(rate) && rate > 0.0) frames_per_second_ = rate;
  const double count = input_->frame_count;
  if (count >= 1.0 && count < 1e12) frame_count_ = static_cast<int64_t>(count);
}

VideoReader::~VideoReader() = default;

std::optional<cv::Mat> VideoReader::next() {
  cv::Mat frame;
  if (!input_->read(frame) || frame.empty()) return std::nullopt;
  if (frame.type() != CV_8UC3 || frame.rows != height_ || frame.cols != width_) {
    throw ImageError(
        "video",
        name_,
        "frames of one size, " + frame_size_text(height_, width_) + " in three 8-bit channels",
        frame_size_text(frame.rows, frame.cols));
  }
  cv::Mat rgb;
  cv::cvtColor(frame, rgb, cv::COLOR_BGR2RGB);
  return rgb;
}

void write_video(const std::filesystem::path& path,
                 const std::function<std::optional<cv::Mat>()>& next_frame,
                 double frames_per_second) {
  // OpenCV goes by the ending.
  const auto partial = path.parent_path() / ("." + path.stem().string() + ".partial.avi");
  std::error_code error;
  try {
    auto frame = next_frame();
    const auto output = backend().create(partial.string(), frames_per_second, frame.value().size());
    cv::Mat bgr;
    bool written = output != nullptr;
    for (; written && frame; frame = next_frame()) {
      cv::cvtColor(*frame, bgr, cv::COLOR_RGB2BGR);
      written = output->write(bgr);
    }
    if (!written)
      throw ImageError("video", printable(path.string()), "a file that can be written", "none");
  } catch (...) {
    std::filesystem::remove(partial, error);
    throw;
  }
  std::filesystem::rename(partial, path, error);
  if (error) {
    const auto reason = quote(error.message());
    std::filesystem::remove(partial, error);
    throw ImageError("video", printable(path.string()), "a file that can be written", reason);
  }
}

}  // namespace vizoo
