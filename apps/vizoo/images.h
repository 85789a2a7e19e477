#pragma once

#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "vizoo/nn/torch.h"

namespace vizoo::app {

/// `IMAGE...`, required; see expand_images. Returns the option.
CLI::Option* add_images_argument(CLI::App& command, std::vector<std::string>& images);

/// `--image-backend pil|torchvision`.
void add_image_backend_option(CLI::App& command, std::string& backend);

/// The image files that the arguments mean, in order: files as they stand (there or not), the
/// images of a folder sorted by name, and the matches of a quoted pattern (`'photos/*.jpg'`).
/// Throws UsageError for a folder without images and a pattern without matches.
std::vector<std::filesystem::path> expand_images(const std::vector<std::string>& arguments);

/// The first line of an error about an image, with the image's path behind its `[where]` unless the
/// line names it already: what a processor says of pixels, it says without their file.
std::string error_of_image(const std::exception& error, const std::filesystem::path& path);

/// Pixels that a processor made, as a picture again: normalisation undone, 8-bit RGB. pixel_values:
/// [C, H, W]; mean and std: one value or C; scale: what pixels were multiplied by.
cv::Mat undo_normalization(const torch::Tensor& pixel_values,
                           const std::vector<double>& mean,
                           const std::vector<double>& std,
                           double scale);

/// The original and what became of it, side by side at the height of the taller.
cv::Mat side_by_side(const cv::Mat& original, const cv::Mat& processed);

/// Writes an RGB image as PNG, atomically. Throws ImageError.
void write_png(const std::filesystem::path& path, const cv::Mat& image);

}  // namespace vizoo::app
