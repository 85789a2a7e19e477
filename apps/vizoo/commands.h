#pragma once

// One function per subcommand: it adds the subcommand's options to the program and sets `run` to
// what is to be done once all arguments have been parsed. `run` returns the exit code.

#include <functional>

namespace CLI {
class App;
}

namespace vizoo::app {

using Run = std::function<int()>;

void add_autoencode(CLI::App& program, Run& run);
void add_bench(CLI::App& program, Run& run);
void add_classify(CLI::App& program, Run& run);
void add_convert(CLI::App& program, Run& run);
void add_detect(CLI::App& program, Run& run);
void add_doctor(CLI::App& program, Run& run);
void add_embed(CLI::App& program, Run& run);
void add_eval(CLI::App& program, Run& run);
void add_export(CLI::App& program, Run& run);
void add_fill_mask(CLI::App& program, Run& run);
void add_flow(CLI::App& program, Run& run);
void add_forward(CLI::App& program, Run& run);
void add_inspect(CLI::App& program, Run& run);
void add_launch(CLI::App& program, Run& run);
void add_list(CLI::App& program, Run& run);
void add_plot(CLI::App& program, Run& run);
void add_preprocess(CLI::App& program, Run& run);
void add_tokenize(CLI::App& program, Run& run);
void add_train(CLI::App& program, Run& run);

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kInterrupted = 130;

}  // namespace vizoo::app
