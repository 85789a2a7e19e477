// Writes a checkpoint with fresh weights for a config.json: what the GPU check runs models on.
//
// usage: vizoo_make_checkpoint CLASS CONFIG_FOLDER OUTPUT_FOLDER
#include <iostream>

#include "vizoo/hub/from_pretrained.h"
#include "vizoo/hub/save_pretrained.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: vizoo_make_checkpoint CLASS CONFIG_FOLDER OUTPUT_FOLDER\n";
    return 2;
  }
  try {
    torch::manual_seed(0);
    const auto model = vizoo::build_model(vizoo::find_model(argv[1]), argv[2]);
    vizoo::save_pretrained(*model, argv[3]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
