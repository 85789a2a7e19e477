#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/training/data/data_path.h"
#include "vizoo/training/data/flow_dataset.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListBytes = std::size_t{1} << 28U;
constexpr std::array<const char*, 7> kFrameSuffixes = {
    ".png", ".ppm", ".jpg", ".jpeg", ".bmp", ".webp", ".tif"};
constexpr char kChairsEnd[] = "_flow";

bool is_file(const fs::path& path) {
  std::error_code code;
  return fs::is_regular_file(path, code);
}

bool is_folder(const fs::path& path) {
  std::error_code code;
  return fs::is_directory(path, code);
}

std::vector<fs::path> flow_files_below(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code code;
  auto entries = fs::recursive_directory_iterator(
      folder, fs::directory_options::follow_directory_symlink, code);
  while (!code && entries != fs::recursive_directory_iterator()) {
    if (entries.depth() > kMaxFolderDepth)
      fail_data_path(folder, "folders within each other", "too many");
    if (entries->path().extension() == ".flo") found.push_back(entries->path());
    entries.increment(code);
  }
  if (code) fail_data_path(folder, "a folder that can be read", code.message());
  std::sort(found.begin(), found.end());
  return found;
}

// `stem` with the suffix of an image file that is there.
fs::path frame_of(const fs::path& stem, const fs::path& flow) {
  for (const char* suffix : kFrameSuffixes) {
    fs::path path = stem;
    path += suffix;
    if (is_file(path)) return path;
  }
  fail_data_path(flow, "a frame " + quote(stem.filename().string()) + " with it", "none");
}

// frame_0009 -> frame_0010; none without a number at the end.
std::optional<std::string> next_stem(const std::string& stem) {
  std::string next = stem;
  for (std::size_t i = next.size(); i > 0 && next[i - 1] >= '0' && next[i - 1] <= '9'; --i) {
    if (next[i - 1] != '9') {
      ++next[i - 1];
      return next;
    }
    next[i - 1] = '0';
  }
  return std::nullopt;
}

// Frames of the number of `flow` and the next one, in the folder `frames`.
FlowFiles numbered(const fs::path& frames, const fs::path& flow) {
  const std::string stem = flow.stem().string();
  const auto next = next_stem(stem);
  if (!next) {
    fail_data_path(flow, "a name that ends in a number that leaves room for the next", quote(stem));
  }
  return {frame_of(frames / stem, flow), frame_of(frames / *next, flow), flow};
}

std::vector<FlowFiles> from_folder(const fs::path& folder) {
  std::vector<FlowFiles> pairs;
  const bool has_clean = is_folder(folder / "clean");
  const bool has_final = is_folder(folder / "final");
  if (is_folder(folder / "flow") && (has_clean || has_final)) {
    const auto flows = flow_files_below(folder / "flow");
    for (const char* pass : {"clean", "final"}) {
      if (!is_folder(folder / pass)) continue;
      for (const auto& flow : flows) {
        const auto scene = flow.parent_path().lexically_relative(folder / "flow");
        pairs.push_back(numbered(folder / pass / scene, flow));
      }
    }
    return pairs;
  }
  for (const auto& flow : flow_files_below(folder)) {
    const std::string stem = flow.stem().string();
    const std::string end = kChairsEnd;
    if (stem.size() >= end.size() && stem.substr(stem.size() - end.size()) == end) {
      const auto name = flow.parent_path() / stem.substr(0, stem.size() - end.size());
      pairs.push_back(
          {frame_of(name.string() + "_img1", flow), frame_of(name.string() + "_img2", flow), flow});
    } else {
      pairs.push_back(numbered(flow.parent_path(), flow));
    }
  }
  return pairs;
}

std::vector<FlowFiles> from_list(const fs::path& path) {
  std::istringstream lines(read_file(path, kMaxListBytes, FileKind::config));
  std::vector<FlowFiles> pairs;
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    std::vector<std::string> fields;
    std::istringstream columns(line);
    std::string field;
    if (line.find('\t') != std::string::npos) {
      while (std::getline(columns, field, '\t')) fields.push_back(field);
    } else {
      while (columns >> field) fields.push_back(field);
    }
    if (fields.size() != 3) {
      fail_data_path(path.string() + ":" + std::to_string(number),
                     "three paths: first frame, second frame, flow",
                     std::to_string(fields.size()));
    }
    const fs::path folder = path.parent_path();
    pairs.push_back({folder / fields[0], folder / fields[1], folder / fields[2]});
  }
  return pairs;
}

}  // namespace

std::vector<FlowFiles> find_flow_files(const fs::path& path) {
  if (!is_folder(path) && !is_file(path)) {
    fail_data_path(path, "a folder, or a text file of three paths a line", "nothing of this name");
  }
  auto pairs = is_folder(path) ? from_folder(path) : from_list(path);
  if (pairs.empty()) {
    fail_data_path(path, "at least one pair of frames with its .flo file", "none");
  }
  return pairs;
}

}  // namespace vizoo
