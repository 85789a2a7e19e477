// Fine-tunes an image classifier on folders of images (train/class/name.jpg) in a loop of your own:
//
//   fine_tune weights/convnext-digits letters/train letters/test tuned
//
// Every piece stands alone; Trainer and `vizoo train` put the same ones together and add
// checkpoints, resuming and many processes.
#include <iostream>

#include "vizoo/vizoo.h"

constexpr int64_t kEpochs = 3;

static double accuracy(vizoo::ImageClassifier& model, vizoo::DataLoader& loader) {
  const torch::NoGradGuard no_grad;
  model->eval();
  vizoo::ClassificationAccuracy metric;
  loader.start(0);
  while (const auto parts = loader.next()) {
    const auto& batch = parts->front();
    metric.add(model->forward(batch.arguments.at("pixel_values")).logits, batch.labels);
  }
  return metric.values().front().second;
}

static void fine_tune(const std::string& checkpoint,
                      const std::string& train,
                      const std::string& test,
                      const std::string& output) {
  torch::manual_seed(0);
  const std::shared_ptr<const vizoo::ImageProcessor> processor =
      vizoo::AutoImageProcessor::from_pretrained(checkpoint);
  const auto classes = vizoo::ImageFolderDataset(train, processor).classes();
  const auto labels = vizoo::choose_head_labels(checkpoint, classes);
  auto model = vizoo::load_classifier_with_labels(checkpoint, labels);

  const auto open = [&](const std::string& folder, bool shuffle) {
    const auto options = vizoo::ImageFolderOptions().label2id(labels.label2id);
    return vizoo::DataLoader(
        std::make_shared<vizoo::ImageFolderDataset>(folder, processor, options),
        vizoo::DataLoaderOptions().batch(32).shuffle(shuffle));
  };
  auto training_data = open(train, true);
  auto test_data = open(test, false);
  const auto optimizer = vizoo::make_optimizer(vizoo::parameter_groups(*model));
  const auto schedule =
      vizoo::ScheduleOptions().learning_rate(1e-3).steps(kEpochs * training_data.steps_per_epoch());

  int64_t step = 0;
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    model->train();
    training_data.start(epoch);
    double total = 0;
    while (const auto parts = training_data.next()) {
      const auto& batch = parts->front();
      const auto logits = model->forward(batch.arguments.at("pixel_values")).logits;
      const auto loss = vizoo::softmax_cross_entropy(logits, batch.labels, 0.1);
      optimizer->zero_grad();
      (loss.sum / loss.weight).backward();
      vizoo::clip_gradient_norm(optimizer->parameters(), 1.0);
      optimizer->step(vizoo::scheduled_learning_rate(schedule, step++));
      total += loss.sum.item<double>();
    }
    std::cout << "epoch " << epoch + 1 << ": loss "
              << total / static_cast<double>(training_data.size()) << ", test accuracy "
              << accuracy(model, test_data) << std::endl;
  }
  vizoo::save_pretrained(*model, output);
  processor->save_pretrained(output);
  std::cout << "saved " << output << '\n';
}

int main(int argc, char** argv) {
  if (argc != 5) return std::cerr << "usage: fine_tune CHECKPOINT TRAIN TEST OUTPUT\n", 2;
  try {
    fine_tune(argv[1], argv[2], argv[3], argv[4]);
  } catch (const std::exception& error) {
    return std::cerr << error.what() << '\n', 1;
  }
}
