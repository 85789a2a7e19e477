// What needs no LibTorch: reading a weight file.
#include <vizoo/core/error.h>
#include <vizoo/io/safetensors.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const auto file = vizoo::SafetensorsFile::open(argv[1]);
    std::cout << file.size() << " tensors\n";
    return file.size() > 0 ? 0 : 1;
  } catch (const vizoo::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
