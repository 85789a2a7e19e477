// Reads file names from stdin, one a line, and prints one line for each: `ok` or `error <message>`.
// `ok` means that vizoo accepts the file. With a folder as argument every accepted file is written
// again there under its own name. Serves compare_safetensors.py.
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/io/safetensors.h"

namespace {

void rewrite(const vizoo::SafetensorsFile& file, const std::filesystem::path& path) {
  std::vector<vizoo::TensorToWrite> tensors;
  for (const vizoo::TensorView& view : file.tensors()) {
    tensors.push_back({std::string(view.name), view.dtype, view.shape, view.data});
  }
  vizoo::write_safetensors(path, tensors, file.metadata());
}

}  // namespace

int main(int argc, char** argv) {
  std::string name;
  while (std::getline(std::cin, name)) {
    try {
      const auto file = vizoo::SafetensorsFile::open(name);
      if (argc > 1) rewrite(file, argv[1] / std::filesystem::path(name).filename());
      std::cout << "ok\n";
    } catch (const vizoo::Error& error) {
      std::cout << "error " << error.what() << '\n';
    }
  }
}
