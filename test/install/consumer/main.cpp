// A program of somebody else's: loads a checkpoint with the installed library and answers.
#include <vizoo/vizoo.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  auto model = vizoo::AutoModelForImageClassification::from_pretrained(argv[1]);
  const torch::NoGradGuard no_grad;
  auto pixel_values = torch::zeros({1, 3, 32, 32});
#ifdef VIZOO_OPENCV
  if (argc != 3) return 2;
  const auto processor = vizoo::AutoImageProcessor::from_pretrained(argv[1]);
  pixel_values = (*processor)(vizoo::read_image(argv[2])).pixel_values;
#endif
  const auto output = model->forward(pixel_values);
  const auto best = vizoo::top_k_labels(model->base_config(), output.logits, 1)[0][0];
  if (argc == 3) std::cout << "label " << best.label << ", ";
  std::cout << output.logits.size(1) << " labels\n";
  return output.logits.size(1) == 10 ? 0 : 1;
}
