#include "vizoo/training/data_loader.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <stdexcept>
#include <thread>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// Sample i holds i and a random number; those of `broken` cannot be read.
class NumberDataset : public Dataset {
 public:
  explicit NumberDataset(int64_t size, std::set<int64_t> broken = {})
      : size_(size), broken_(std::move(broken)) {}

  int64_t size() const override { return size_; }

  Sample get(int64_t index, RandomStream& random) const override {
    ++calls;
    threads_seen = std::max<int>(threads_seen, at::get_num_threads());
    if (broken_.count(index) != 0) {
      throw ImageError("image", describe(index), "an image", "something else");
    }
    if (index == fatal) throw std::logic_error("a bug");
    Sample sample;
    sample.arguments["pixel_values"] =
        torch::tensor({static_cast<double>(index), random.uniform()}, torch::kFloat64);
    sample.labels = torch::tensor(index, torch::kInt64);
    return sample;
  }

  std::string describe(int64_t index) const override { return std::to_string(index) + ".png"; }

  int64_t fatal = -1;
  mutable std::atomic<int> calls{0};
  mutable std::atomic<int> threads_seen{0};

 private:
  int64_t size_;
  std::set<int64_t> broken_;
};

DataLoaderOptions options(int64_t batch, int64_t workers = 0) {
  return DataLoaderOptions().batch(batch).workers(workers).seed(11);
}

using Rows = std::vector<std::vector<double>>;  // index and random number of each sample

Rows rows_of(const Batch& batch) {
  Rows rows;
  for (int64_t i = 0; i < batch.size; ++i) {
    const auto row = batch.arguments.at("pixel_values")[i];
    CHECK(batch.labels[i].item<int64_t>() == row[0].item<double>());
    rows.push_back({row[0].item<double>(), row[1].item<double>()});
  }
  return rows;
}

// All steps of an epoch from a position on, part by part.
std::vector<std::vector<Rows>> steps_of(DataLoader& loader, int64_t epoch, int64_t position = 0) {
  std::vector<std::vector<Rows>> steps;
  loader.start(epoch, position);
  while (const auto parts = loader.next()) {
    steps.emplace_back();
    for (const auto& part : *parts) steps.back().push_back(rows_of(part));
  }
  return steps;
}

TEST_CASE("batches are the same, bit for bit, under any number of workers") {
  const auto dataset = std::make_shared<NumberDataset>(101, std::set<int64_t>{17, 60});
  std::vector<std::vector<std::vector<Rows>>> results;
  for (const int64_t workers : {0, 1, 2, 5}) {
    for (const int64_t prefetch : {1, 3, 50}) {
      DataLoader loader(dataset, options(8, workers).prefetch(prefetch).accumulation(2));
      auto steps = steps_of(loader, 0);
      const auto second = steps_of(loader, 1);
      CHECK(steps.size() == 13);
      steps.insert(steps.end(), second.begin(), second.end());
      results.push_back(steps);
      CHECK(loader.skipped().size() == 2);
    }
  }
  for (const auto& result : results) CHECK(result == results.front());
  CHECK(results.front()[0] != results.front()[13]);
}

TEST_CASE("together the processes see what one sees") {
  const auto dataset = std::make_shared<NumberDataset>(61);
  DataLoader alone(dataset, options(10));
  const auto expected = steps_of(alone, 2);
  for (const int64_t world_size : {2, 4}) {
    std::vector<Rows> together(expected.size());
    for (int64_t rank = 0; rank < world_size; ++rank) {
      DataLoader loader(dataset, options(10, 2).rank(rank).world_size(world_size).accumulation(3));
      const auto steps = steps_of(loader, 2);
      REQUIRE(steps.size() == expected.size());
      for (std::size_t i = 0; i < steps.size(); ++i) {
        CHECK(steps[i].size() == 3);
        for (const auto& part : steps[i]) {
          together[i].insert(together[i].end(), part.begin(), part.end());
        }
      }
    }
    for (std::size_t i = 0; i < together.size(); ++i) CHECK(together[i] == expected[i][0]);
  }
}

TEST_CASE("a process without samples in a short last batch still makes the step") {
  const auto dataset = std::make_shared<NumberDataset>(9);
  DataLoader loader(dataset, options(8, 1).rank(3).world_size(4).accumulation(2));
  loader.start(0);
  REQUIRE(loader.next());
  CHECK(loader.position() == 8);
  const auto last = loader.next();
  REQUIRE(last);
  REQUIRE(last->size() == 2);
  for (const auto& part : *last) {
    CHECK(part.size == 0);
    CHECK(part.arguments.empty());
    CHECK_FALSE(part.labels.defined());
  }
  CHECK(loader.indices() == std::vector<std::vector<int64_t>>(2));
  CHECK(loader.position() == 9);
  CHECK_FALSE(loader.next());
  CHECK_FALSE(loader.next());
}

TEST_CASE("an epoch goes on in its middle") {
  const auto dataset = std::make_shared<NumberDataset>(50);
  DataLoader loader(dataset, options(8, 2));
  const auto whole = steps_of(loader, 4);
  CHECK(loader.steps_per_epoch() == 7);
  DataLoader resumed(dataset, options(8, 3));
  resumed.start(4, 24);
  CHECK(resumed.steps_left() == 4);
  const auto rest = steps_of(resumed, 4, 24);
  REQUIRE(rest.size() == 4);
  for (std::size_t i = 0; i < rest.size(); ++i) CHECK(rest[i] == whole[i + 3]);
  // What was begun can be given up at any time.
  resumed.start(4, 0);
  REQUIRE(resumed.next());
  CHECK(steps_of(resumed, 4, 48).size() == 1);
  CHECK(steps_of(resumed, 4, 50).empty());
}

TEST_CASE("without shuffling samples come in their order, and rows know their index") {
  const auto dataset = std::make_shared<NumberDataset>(10, std::set<int64_t>{4});
  DataLoader loader(dataset, options(4, 2).shuffle(false).max_skipped(0.2));
  loader.start(0);
  std::vector<int64_t> indices;
  while (const auto parts = loader.next()) {
    REQUIRE(loader.indices().size() == 1);
    const auto rows = rows_of(parts->front());
    REQUIRE(loader.indices()[0].size() == rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CHECK(rows[i][0] == static_cast<double>(loader.indices()[0][i]));
      indices.push_back(loader.indices()[0][i]);
    }
  }
  CHECK(indices == std::vector<int64_t>{0, 1, 2, 3, 5, 6, 7, 8, 9});
}

TEST_CASE("samples that cannot be read are skipped and named once") {
  const auto dataset = std::make_shared<NumberDataset>(100, std::set<int64_t>{7, 70});
  DataLoader loader(dataset, options(16, 2));
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    int64_t samples = 0;
    loader.start(epoch);
    while (const auto parts = loader.next()) samples += parts->front().size;
    CHECK(samples == 98);
  }
  REQUIRE(loader.skipped().size() == 2);
  std::map<int64_t, std::string> skipped;
  for (const auto& sample : loader.skipped()) skipped[sample.index] = sample.message;
  CHECK(skipped.at(7) == "[image] 7.png: expected an image, got something else.");
  CHECK(skipped.count(70) == 1);
}

TEST_CASE("one broken sample of a few is skipped, a second one is too many") {
  DataLoader one(std::make_shared<NumberDataset>(3, std::set<int64_t>{1}), options(3));
  CHECK(steps_of(one, 0).at(0).at(0).size() == 2);
  DataLoader two(std::make_shared<NumberDataset>(3, std::set<int64_t>{1, 2}), options(3));
  CHECK_THROWS_AS(steps_of(two, 0), Error);
}

TEST_CASE("more broken samples than allowed are an error that names the first") {
  std::set<int64_t> broken;
  for (int64_t i = 20; i < 26; ++i) broken.insert(i);
  const auto dataset = std::make_shared<NumberDataset>(100, broken);
  DataLoader loader(dataset, options(10, 2).shuffle(false));
  loader.start(0);
  REQUIRE(loader.next());
  REQUIRE(loader.next());
  std::string message;
  try {
    loader.next();
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message ==
        "[training] data set: expected at most 5 % of 100 samples that cannot be read, got 6: "
        "20.png, 21.png, 22.png and 3 more. The first one: [image] 20.png: expected an image, got "
        "something else.");
  CHECK_THROWS_AS(loader.next(), UsageError);
  DataLoader patient(dataset, options(10, 2).max_skipped(0.06));
  CHECK(steps_of(patient, 0).size() == 10);
}

TEST_CASE("other exceptions reach the caller, and the loader can begin anew") {
  const auto dataset = std::make_shared<NumberDataset>(20);
  dataset->fatal = 13;
  for (const int64_t workers : {0, 2}) {
    DataLoader loader(dataset, options(4, workers).shuffle(false));
    loader.start(0);
    for (int i = 0; i < 3; ++i) REQUIRE(loader.next());
    CHECK_THROWS_AS(loader.next(), std::logic_error);
    CHECK_THROWS_AS(loader.next(), UsageError);
    loader.start(0, 16);
    CHECK(loader.next());
  }
}

TEST_CASE("workers stay within the window") {
  const auto dataset = std::make_shared<NumberDataset>(1000);
  DataLoader loader(dataset, options(10, 4).prefetch(3));
  loader.start(0);
  for (int i = 1; i <= 20; ++i) {
    REQUIRE(loader.next());
    CHECK(dataset->calls <= 10 * i + 30);
  }
}

TEST_CASE("workers use one thread each and leave the number of all others alone") {
  const int before = at::get_num_threads();
  const auto fresh_thread = [] {
    int count = 0;
    std::thread([&] { count = at::get_num_threads(); }).join();
    return count;
  };
  const int fresh = fresh_thread();
  const auto dataset = std::make_shared<NumberDataset>(40);
  DataLoader loader(dataset, options(8, 3));
  CHECK(steps_of(loader, 0).size() == 5);
  CHECK(dataset->threads_seen == 1);
  CHECK(at::get_num_threads() == before);
  CHECK(fresh_thread() == fresh);
}

TEST_CASE("loaders refuse what makes no sense") {
  const auto dataset = std::make_shared<NumberDataset>(10);
  const auto make = [&](const DataLoaderOptions& value) { DataLoader loader(dataset, value); };
  CHECK_THROWS_AS(make(options(0)), UsageError);
  CHECK_THROWS_AS(make(options(4).accumulation(0)), UsageError);
  CHECK_THROWS_AS(make(options(4).workers(-1)), UsageError);
  CHECK_THROWS_AS(make(options(4).workers(5000)), UsageError);
  CHECK_THROWS_AS(make(options(4).prefetch(0)), UsageError);
  CHECK_THROWS_AS(make(options(4).rank(1)), UsageError);
  CHECK_THROWS_AS(make(options(4).max_skipped(1.5)), UsageError);
  CHECK_THROWS_AS(DataLoader(std::make_shared<NumberDataset>(0), options(4)), UsageError);
  DataLoader loader(dataset, options(4));
  CHECK_THROWS_AS(loader.next(), UsageError);
  CHECK_THROWS_AS(loader.start(-1), UsageError);
  CHECK_THROWS_AS(loader.start(0, 11), UsageError);
}

}  // namespace
}  // namespace vizoo
