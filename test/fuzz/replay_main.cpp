// Runs a fuzz target once on every file below the folders given as arguments, in the order of their
// names: the corpus as an ordinary test, without libFuzzer. `--mutations N` goes on with N inputs
// that chance makes of these files, the same ones each time.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

// A file with a few bytes changed, taken out, put in, or with a part of another file in it.
std::string mutate(const std::vector<std::string>& inputs, std::mt19937& random) {
  const auto below = [&random](std::size_t limit) {
    return random() % std::max<std::size_t>(limit, 1);
  };
  std::string input = inputs[below(inputs.size())];
  for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
    const std::size_t position = below(input.size() + 1);
    const std::size_t count = 1 + below(8);
    switch (below(5)) {
      case 0:
        if (position < input.size()) input[position] = static_cast<char>(random());
        break;
      case 1:
        input.erase(position, count);
        break;
      case 2:
        input.insert(position, count, static_cast<char>(random()));
        break;
      case 3:
        input.insert(position, input.substr(below(input.size() + 1), 4 * count));
        break;
      default: {
        const std::string& other = inputs[below(inputs.size())];
        input.insert(position, other.substr(below(other.size() + 1), 4 * count));
      }
    }
  }
  return input;
}

void run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  unsigned long mutations = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--mutations" && i + 1 < argc) {
      mutations = std::stoul(argv[++i]);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    std::cerr << "no corpus files found\n";
    return 1;
  }
  std::vector<std::string> inputs;
  for (const auto& path : files) {
    std::ifstream stream(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    run(inputs.back());
  }
  std::mt19937 random(20240119);
  for (unsigned long i = 0; i < mutations; ++i) run(mutate(inputs, random));
  std::cout << files.size() << " files, " << mutations << " mutations\n";
}
