#include "vizoo/training/checkpointer.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>
#include <string_view>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/training/checkpoint_files.h"
#include "vizoo/training/checkpoint_manifest.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kUnfinished = ".tmp";

std::string checkpoint_name(int64_t step) {
  char text[40];
  std::snprintf(text, sizeof(text), "step-%08lld", static_cast<long long>(step));
  return text;
}

bool begins_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// The step of a name that `checkpoint_name` gives, or nothing.
std::optional<int64_t> step_of(std::string_view name) {
  if (!begins_with(name, kPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size() || step < 0) return std::nullopt;
  if (checkpoint_name(step) != name) return std::nullopt;
  return step;
}

// Steps of what looks like a checkpoint, ascending.
std::vector<int64_t> steps_in(const fs::path& folder) {
  std::vector<int64_t> steps;
  for (const auto& name : names_in(folder)) {
    if (const auto step = step_of(name)) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

// What a killed save or removal left, and the temporary files of `write_file_atomically`.
bool is_leftover(const std::string& name) {
  return ends_with(name, kUnfinished) &&
         (begins_with(name, kPrefix) || begins_with(name, ".vizoo-"));
}

void remove_leftovers(const fs::path& folder) {
  for (const auto& name : names_in(folder)) {
    if (is_leftover(name)) remove_tree(folder / name);
  }
}

SavedCheckpoint saved_checkpoint(const fs::path& folder, const CheckpointManifest& manifest) {
  return {folder, manifest.step, manifest.metric};
}

CheckpointManifest read_manifest_of(const fs::path& folder) {
  auto manifest = read_manifest(folder);
  const auto name = folder.has_filename() ? folder.filename() : folder.parent_path().filename();
  const auto step = step_of(name.string());
  if (step && *step != manifest.step) {
    throw CheckpointError("checkpoint",
                          printable(folder.native()) + ": " + CheckpointManifest::kFileName,
                          "step " + std::to_string(*step),
                          std::to_string(manifest.step));
  }
  return manifest;
}

}  // namespace

SavedCheckpoint verify_checkpoint(const fs::path& folder) {
  const auto manifest = read_manifest_of(folder);
  verify_files(folder, manifest);
  return saved_checkpoint(folder, manifest);
}

Checkpointer::Checkpointer(fs::path folder, CheckpointerOptions options)
    : folder_(std::move(folder)),
      checkpoints_(folder_ / "checkpoints"),
      options_(std::move(options)) {
  if (options_.keep_last() >= 1) return;
  throw UsageError("checkpoint", "keep_last", "at least 1", std::to_string(options_.keep_last()));
}

Checkpointer::~Checkpointer() {
  if (lock_ >= 0) ::close(lock_);
}

fs::path Checkpointer::checkpoint_folder(int64_t step) const {
  return checkpoints_ / checkpoint_name(step);
}

fs::path Checkpointer::temporary_folder(int64_t step) const {
  return checkpoints_ / (checkpoint_name(step) + std::string(kUnfinished));
}

void Checkpointer::claim() {
  make_folders(checkpoints_);
  if (lock_ < 0) lock_ = lock_folder(checkpoints_);
  remove_leftovers(folder_);
  remove_leftovers(checkpoints_);
}

void Checkpointer::save(int64_t step,
                        const std::function<void(const fs::path&)>& content,
                        std::optional<double> metric) {
  begin(step);
  try {
    content(temporary_folder(step));
  } catch (...) {
    abandon(step);
    throw;
  }
  finish(step, metric);
}

void Checkpointer::begin(int64_t step) {
  if (step < 0) throw UsageError("checkpoint", "step", "at least 0", std::to_string(step));
  make_folders(checkpoints_);
  remove_tree(temporary_folder(step));
  make_folder(temporary_folder(step));
}

void Checkpointer::finish(int64_t step, std::optional<double> metric) {
  const auto temporary = temporary_folder(step);
  bool replaced = false;
  try {
    auto manifest = sync_and_describe(temporary);
    if (manifest.files.empty()) {
      throw_file_error(FileKind::checkpoint, temporary, "at least one file", "none");
    }
    manifest.step = step;
    if (metric && std::isfinite(*metric)) manifest.metric = metric;
    write_manifest(temporary, manifest);
    const auto spare = checkpoints_ / (checkpoint_name(step) + ".replaced" + kUnfinished.data());
    replaced = rename_or_exchange(temporary, checkpoint_folder(step), spare);
  } catch (...) {
    abandon(step);
    throw;
  }
  try {
    sync_to_disk(checkpoints_);
    if (replaced) remove_tree(temporary);  // the earlier checkpoint of this step
    remove_old(step);
  } catch (const CheckpointError& error) {
    throw CheckpointError(std::string(error.what()) + " The checkpoint of step " +
                          std::to_string(step) + " is complete.");
  }
}

void Checkpointer::abandon(int64_t step) noexcept {
  try {
    remove_tree(temporary_folder(step));
  } catch (...) {
    // What failed before matters more; the next claim() removes what is left.
  }
}

NewestCheckpoint Checkpointer::newest() const {
  NewestCheckpoint found;
  auto steps = steps_in(checkpoints_);
  for (auto step = steps.rbegin(); step != steps.rend() && !found.checkpoint; ++step) {
    try {
      found.checkpoint = verify_checkpoint(checkpoint_folder(*step));
    } catch (const CheckpointError& error) {
      found.passed_over.emplace_back(error.what());
    }
  }
  if (!found.checkpoint && !steps.empty()) {
    throw CheckpointError(found.passed_over.front() + " No other of the " +
                          std::to_string(steps.size()) + " in " + printable(checkpoints_.native()) +
                          " can be loaded either.");
  }
  return found;
}

std::vector<SavedCheckpoint> Checkpointer::list() const {
  std::vector<SavedCheckpoint> saved;
  for (const int64_t step : steps_in(checkpoints_)) {
    const auto folder = checkpoint_folder(step);
    try {
      saved.push_back(saved_checkpoint(folder, read_manifest_of(folder)));
    } catch (const CheckpointError&) {
      // Not one that could be loaded, now at least: left out, and left alone.
    }
  }
  return saved;
}

std::optional<SavedCheckpoint> Checkpointer::best() const { return best_of(list()); }

std::optional<SavedCheckpoint> Checkpointer::best_of(
    const std::vector<SavedCheckpoint>& saved) const {
  std::optional<SavedCheckpoint> best;
  for (const auto& candidate : saved) {
    if (!candidate.metric) continue;
    const bool is_better =
        !best || (options_.higher_is_better() ? *candidate.metric > *best->metric
                                              : *candidate.metric < *best->metric);
    if (is_better) best = candidate;
  }
  return best;
}

void Checkpointer::remove_old(int64_t saved_step) {
  auto saved = list();
  // What is later belongs to another course of the run: see remove_after.
  saved.erase(
      std::remove_if(
          saved.begin(), saved.end(), [&](const auto& one) { return one.step > saved_step; }),
      saved.end());
  std::set<int64_t> unwanted;
  const auto last = static_cast<std::size_t>(options_.keep_last());
  for (std::size_t i = 0; i + last < saved.size(); ++i) unwanted.insert(saved[i].step);
  if (const auto best = best_of(saved); best && options_.keep_best()) unwanted.erase(best->step);
  unwanted.erase(saved_step);
  remove_steps({unwanted.begin(), unwanted.end()});
}

void Checkpointer::remove_after(int64_t step) {
  auto unwanted = steps_in(checkpoints_);
  unwanted.erase(unwanted.begin(), std::upper_bound(unwanted.begin(), unwanted.end(), step));
  remove_steps(unwanted);
}

void Checkpointer::remove_steps(const std::vector<int64_t>& steps) {
  if (steps.empty()) return;
  for (const int64_t step : steps) {
    remove_tree(temporary_folder(step));
    rename_folder(checkpoint_folder(step), temporary_folder(step));
  }
  // Else a power loss could bring the old names back and find them half empty.
  sync_to_disk(checkpoints_);
  for (const int64_t step : steps) remove_tree(temporary_folder(step));
}

}  // namespace vizoo
