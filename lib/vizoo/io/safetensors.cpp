#include "vizoo/io/safetensors.h"

#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {

SafetensorsFile::SafetensorsFile(std::filesystem::path path,
                                 MappedFile file,
                                 SafetensorsHeader header)
    : path_(std::move(path)), file_(std::move(file)), header_(std::move(header)) {}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  MappedFile file(path);
  SafetensorsHeader header = parse_safetensors_header(file.text(), path.string());
  return {path, std::move(file), std::move(header)};
}

TensorView SafetensorsFile::tensor(std::size_t index) const& {
  const SafetensorsHeader::Entry& entry = header_.entries[index];
  TensorView view;
  view.name = entry.name;
  view.dtype = entry.dtype;
  const int64_t* const sizes = header_.dimensions.data() + entry.first_dimension;
  view.shape.assign(sizes, sizes + entry.rank);
  view.data = file_.data() + header_.data_begin + entry.begin;
  view.bytes = entry.end - entry.begin;
  return view;
}

std::vector<TensorView> SafetensorsFile::tensors() const& {
  std::vector<TensorView> views;
  views.reserve(size());
  for (std::size_t index = 0; index < size(); ++index) views.push_back(tensor(index));
  return views;
}

std::optional<TensorView> SafetensorsFile::find(std::string_view name) const& {
  const SafetensorsHeader::Entry* const entry = header_.find(name);
  if (entry == nullptr) return std::nullopt;
  return tensor(static_cast<std::size_t>(entry - header_.entries.data()));
}

TensorView SafetensorsFile::at(std::string_view name) const& {
  std::optional<TensorView> view = find(name);
  if (!view) {
    throw CheckpointError(
        "checkpoint", printable(path_.native()), "a tensor " + quote(name), "none of that name");
  }
  return *std::move(view);
}

std::optional<std::string> SafetensorsFile::metadata_value(std::string_view key) const {
  if (!header_.metadata) return std::nullopt;
  for (const auto& [candidate, value] : *header_.metadata) {
    if (candidate == key) return value;
  }
  return std::nullopt;
}

}  // namespace vizoo
