// Tokenizing on one thread: scripts/bench_peers.py compares it with the `tokenizers` library on the
// same texts. VIZOO_BENCH_MODEL names a model folder, VIZOO_BENCH_TEXTS a file with one text a
// line.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "vizoo/text/auto_tokenizer.h"

namespace {

using namespace vizoo;

void tokenize(benchmark::State& state, bool with_offsets) {
  const char* model = std::getenv("VIZOO_BENCH_MODEL");
  const char* texts = std::getenv("VIZOO_BENCH_TEXTS");
  if (model == nullptr || texts == nullptr) {
    state.SkipWithError("VIZOO_BENCH_MODEL and VIZOO_BENCH_TEXTS are not set");
    return;
  }
  const auto tokenizer = AutoTokenizer::from_pretrained(model);
  std::vector<std::string> lines;
  std::ifstream stream(texts);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  EncodeOptions options;
  options.return_offsets_mapping = with_offsets;
  for (auto _ : state) {
    benchmark::DoNotOptimize(tokenizer->encode_batch(lines, options));
  }
}

void load(benchmark::State& state) {
  const char* model = std::getenv("VIZOO_BENCH_MODEL");
  if (model == nullptr) {
    state.SkipWithError("VIZOO_BENCH_MODEL is not set");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(AutoTokenizer::from_pretrained(model));
}

BENCHMARK_CAPTURE(tokenize, ids, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(tokenize, offsets, true)->Unit(benchmark::kMillisecond);
BENCHMARK(load)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
