#include "vizoo/vision/video.h"

#include "test/support/catch.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

// Frames of one colour each, uncompressed: Y, U and V planes of full size.
std::string y4m(int frames, int height, int width, const std::string& rate = "25:1") {
  std::string bytes = "YUV4MPEG2 W" + std::to_string(width) + " H" + std::to_string(height) + " F" +
                      rate + " Ip A1:1 C444\n";
  const auto plane = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  for (int i = 0; i < frames; ++i) {
    bytes += "FRAME\n" + std::string(plane, static_cast<char>(80 + 20 * i)) +
             std::string(plane, '\x60') + std::string(plane, '\xC0');
  }
  return bytes;
}

TEST_CASE("frames of a video are read in order, as RGB") {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "a%02d.y4m", y4m(3, 20, 32));
  VideoReader video(folder / "a%02d.y4m");
  CHECK(video.height() == 20);
  CHECK(video.width() == 32);
  CHECK(video.frames_per_second() == Approx(25.0));
  int last = 0;
  for (int i = 0; i < 3; ++i) {
    const auto frame = video.next();
    REQUIRE(frame);
    REQUIRE(frame->type() == CV_8UC3);
    CHECK(frame->size() == cv::Size(32, 20));
    const auto pixel = frame->at<cv::Vec3b>(10, 16);
    CHECK(pixel[0] > pixel[1] + 50);  // V above its middle is red, U below is not blue
    CHECK(pixel[0] > pixel[2] + 50);
    CHECK(pixel[0] > last);
    last = pixel[0];
  }
  CHECK_FALSE(video.next());
  CHECK_FALSE(video.next());
}

TEST_CASE("what is no video is an error") {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "text.mp4", "no video");
  write_file_atomically(folder / "empty.mp4", "");
  write_file_atomically(folder / "none.y4m", "YUV4MPEG2 W0 H0 F25:1\n");
  for (const char* name : {"text.mp4", "empty.mp4", "none.y4m", "missing.mp4", "."}) {
    CHECK_THROWS_AS(VideoReader(folder / name), ImageError);
  }
  // A protocol of FFmpeg, a camera and a pattern of images are no files.
  for (const char* name : {"data:,x", "0", "frame_%02d.png", "tcp://localhost:1"}) {
    CHECK_THROWS_AS(VideoReader(name), ImageError);
  }
}

TEST_CASE("a video that ends early has fewer frames") {
  const test::TemporaryFolder folder;
  const auto bytes = y4m(2, 20, 32);
  write_file_atomically(folder / "a.y4m", bytes.substr(0, bytes.size() - 100));
  VideoReader video(folder / "a.y4m");
  CHECK(video.next());
  CHECK_FALSE(video.next());
}

}  // namespace
}  // namespace vizoo
