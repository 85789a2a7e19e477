// `vizoo plot`: the logs of training runs as curves.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include "commands.h"
#include "images.h"
#include "vizoo/core/error.h"
#include "vizoo/io/json.h"
#include "vizoo/tasks/draw_curve.h"
#include "vizoo/training/log_file.h"

namespace vizoo::app {
namespace {

constexpr std::size_t kMaxLogs = 8;      // as many as there are colours
constexpr std::size_t kMaxMetrics = 12;  // panels beside loss and learning rate
constexpr double kMaxStep = 1e15;

struct PlotOptions {
  std::vector<std::filesystem::path> logs;
  std::vector<std::string> names;
  std::filesystem::path output;
  std::string title;
  int64_t width = 1200;
  int64_t height = 420;
};

// What one log has to show.
struct LogCurves {
  std::string name;
  Curve loss;
  Curve learning_rate;
  std::map<std::string, Curve> evaluation;  // by metric

  bool is_empty() const {
    const auto has_numbers = [](const Curve& curve) {
      return std::any_of(curve.values.begin(), curve.values.end(), [](double value) {
        return std::isfinite(value);
      });
    };
    return !has_numbers(loss) && !has_numbers(learning_rate) &&
           std::none_of(evaluation.begin(), evaluation.end(), [&](const auto& metric) {
             return has_numbers(metric.second);
           });
  }
};

class LogReader {
 public:
  LogReader(std::filesystem::path path, std::string name) : path_(std::move(path)) {
    curves_.name = std::move(name);
  }

  LogCurves read() {
    for (const auto& line : read_log(path_)) {
      ++number_;
      const auto step = step_of(line);
      if (!step) continue;
      add(curves_.loss, *step, line, "loss");
      add(curves_.learning_rate, *step, line, "learning_rate");
      const auto evaluation = line.find("evaluation");
      if (evaluation != line.end() && evaluation->is_object()) add_metrics(*step, *evaluation);
    }
    if (curves_.is_empty()) {
      throw Error("log",
                  printable(path_.native()),
                  "lines with \"step\" and numbers in \"loss\" or \"evaluation\"",
                  "none",
                  "The log of a training run has them once it has begun");
    }
    return std::move(curves_);
  }

 private:
  [[noreturn]] void fail(const std::string& field, const char* expected, const Json& got) const {
    throw Error("log",
                printable(path_.native()) + ":" + std::to_string(number_) + ": " + field,
                expected,
                describe_json(got));
  }

  std::optional<double> step_of(const Json& line) const {
    const auto found = line.find("step");
    if (found == line.end()) return std::nullopt;  // a remark
    if (!found->is_number() || std::abs(found->get<double>()) > kMaxStep) {
      fail("/step", "a number of at most 1e15", *found);
    }
    return found->get<double>();
  }

  void add(Curve& curve, double step, const Json& line, const char* field) const {
    const auto found = line.find(field);
    if (found == line.end()) return;
    if (!found->is_number() && !found->is_null()) {
      fail(std::string("/") + field, "a number or null", *found);
    }
    append(curve, step, *found);
  }

  // What a metric holds beside numbers (a table of classes, say) is not for curves.
  void add_metrics(double step, const Json& evaluation) {
    for (const auto& [name, value] : evaluation.items()) {
      if (value.is_number() || value.is_null()) append(curves_.evaluation[name], step, value);
    }
  }

  static void append(Curve& curve, double step, const Json& value) {
    curve.steps.push_back(step);
    curve.values.push_back(value.is_null() ? NAN : value.get<double>());
  }

  std::filesystem::path path_;
  LogCurves curves_;
  std::size_t number_ = 0;  // of the line, from 1
};

// Two logs that were joined have steps that begin again.
void sort_by_step(Curve& curve) {
  if (std::is_sorted(curve.steps.begin(), curve.steps.end())) return;
  std::vector<std::size_t> order(curve.steps.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return curve.steps[a] < curve.steps[b];
  });
  Curve sorted = curve;
  for (std::size_t i = 0; i < order.size(); ++i) {
    sorted.steps[i] = curve.steps[order[i]];
    sorted.values[i] = curve.values[order[i]];
  }
  curve = std::move(sorted);
}

// `mean_class_accuracy` -> `mean class accuracy`; those that need more words have their own.
std::string metric_title(const std::string& metric) {
  static const std::map<std::string, std::string> kTitles = {
      {"AP", "average precision (IoU 0.50 to 0.95)"},
      {"AP50", "average precision (IoU 0.50)"},
      {"AP75", "average precision (IoU 0.75)"},
      {"AP_small", "average precision, small objects"},
      {"AP_medium", "average precision, medium objects"},
      {"AP_large", "average precision, large objects"},
      {"end_point_error", "end-point error (pixels)"},
      {"outliers", "outliers (share of pixels)"},
      {"top1", "top-1 accuracy"},
      {"top5", "top-5 accuracy"}};
  const auto known = kTitles.find(metric);
  if (known != kTitles.end()) return known->second;
  std::string title = metric;
  std::replace(title.begin(), title.end(), '_', ' ');
  return title;
}

// Puts the curves of all logs together, quantity by quantity.
class PanelMaker {
 public:
  explicit PanelMaker(std::vector<LogCurves> logs) : logs_(std::move(logs)) {}

  std::vector<CurvePanel> make() {
    CurvePanel loss{"loss", {}, true};
    for (std::size_t i = 0; i < logs_.size(); ++i) {
      logs_[i].loss.is_noisy = true;
      add(loss, logs_[i].loss, i, "training");
    }
    add_evaluation(loss, "loss");
    CurvePanel rate{"learning rate", {}, false};
    for (std::size_t i = 0; i < logs_.size(); ++i) add(rate, logs_[i].learning_rate, i, "");
    std::vector<CurvePanel> panels;
    for (auto* panel : {&loss, &rate}) {
      if (!panel->curves.empty()) panels.push_back(std::move(*panel));
    }
    std::set<std::string> metrics;
    for (const auto& log : logs_) {
      for (const auto& [metric, curve] : log.evaluation) metrics.insert(metric);
    }
    metrics.erase("loss");
    for (const auto& metric : metrics) {
      if (panels.size() == kMaxMetrics + 2) break;
      CurvePanel panel{metric_title(metric), {}, false};
      add_evaluation(panel, metric);
      panels.push_back(std::move(panel));
    }
    left_out_ = metrics.size() > kMaxMetrics ? metrics.size() - kMaxMetrics : 0;
    return panels;
  }

  std::size_t left_out() const { return left_out_; }

 private:
  // One log has a colour for training and one for evaluation, several have one each.
  void add(CurvePanel& panel, Curve& curve, std::size_t log, const std::string& kind) const {
    if (curve.steps.empty()) return;
    sort_by_step(curve);
    const bool is_alone = logs_.size() == 1;
    curve.color = is_alone ? (curve.has_markers ? 1 : 0) : static_cast<int64_t>(log);
    curve.name = is_alone ? kind : logs_[log].name + (kind.empty() ? "" : ", " + kind);
    panel.curves.push_back(std::move(curve));
  }

  void add_evaluation(CurvePanel& panel, const std::string& metric) {
    for (std::size_t i = 0; i < logs_.size(); ++i) {
      const auto found = logs_[i].evaluation.find(metric);
      if (found == logs_[i].evaluation.end()) continue;
      found->second.has_markers = true;
      add(panel, found->second, i, "evaluation");
    }
  }

  std::vector<LogCurves> logs_;
  std::size_t left_out_ = 0;
};

// A run's folder stands for the log in it.
std::filesystem::path log_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? path / "log.jsonl" : path;
}

// The name of a log that was given none: its own, or its run's folder's if all are called alike.
std::vector<std::string> default_names(const std::vector<std::filesystem::path>& logs) {
  std::vector<std::string> names;
  std::vector<std::string> folders;
  for (const auto& log : logs) {
    const auto path = std::filesystem::absolute(log);
    names.push_back(path.stem().string());
    folders.push_back(path.parent_path().filename().string());
  }
  const std::set<std::string> different(names.begin(), names.end());
  return different.size() == names.size() ? names : folders;
}

void check_plot_usage(const PlotOptions& options) {
  if (options.output.extension() != ".png") {
    throw UsageError(
        "usage", "--output", "a name that ends in .png", quote(options.output.string()));
  }
  if (options.logs.size() > kMaxLogs) {
    throw UsageError(
        "usage", "LOG", "at most " + std::to_string(kMaxLogs), std::to_string(options.logs.size()));
  }
  if (!options.names.empty() && options.names.size() != options.logs.size()) {
    throw UsageError("usage",
                     "--name",
                     "one for each LOG (" + std::to_string(options.logs.size()) + ")",
                     std::to_string(options.names.size()));
  }
}

int plot(const PlotOptions& options) {
  check_plot_usage(options);
  std::vector<std::filesystem::path> paths;
  for (const auto& log : options.logs) paths.push_back(log_file(log));
  const auto names = options.names.empty() ? default_names(paths) : options.names;
  std::vector<LogCurves> logs;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    logs.push_back(LogReader(paths[i], names[i]).read());
  }
  PanelMaker maker(std::move(logs));
  const auto panels = maker.make();
  if (maker.left_out() > 0) {
    std::cerr << "[plot] " << maker.left_out() << " metrics left out: the picture has room for "
              << kMaxMetrics << ".\n";
  }
  const auto picture = draw_curves(
      panels,
      CurvePictureOptions().width(options.width).panel_height(options.height).title(options.title));
  write_png(options.output, picture);
  std::cout << printable(options.output.string()) << "  " << picture.cols << " x " << picture.rows
            << " pixels:";
  for (const auto& panel : panels) {
    std::cout << (&panel == &panels.front() ? " " : ", ") << printable(panel.title);
  }
  std::cout << '\n';
  return kOk;
}

}  // namespace

void add_plot(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("plot", "Draw the curves of training logs");
  auto options = std::make_shared<PlotOptions>();
  command->add_option("logs", options->logs, "Logs that vizoo train wrote, or folders of its runs")
      ->required()
      ->type_name("LOG...");
  command->add_option("--output", options->output, "Picture to write")
      ->required()
      ->type_name("CURVE.png");
  command->add_option("--name", options->names, "Name of a log in the legend, once for each")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("NAME");
  command->add_option("--title", options->title, "A line over the picture")->type_name("TEXT");
  command->add_option("--width", options->width, "Width of the picture in pixels")
      ->check(CLI::Range(400, 8000))
      ->capture_default_str();
  command->add_option("--height", options->height, "Height of the first panel in pixels")
      ->check(CLI::Range(200, 4000))
      ->capture_default_str();
  command->footer(
      "Example: vizoo plot --output curve.png run/log.jsonl\n"
      "         vizoo plot --output compare.png --name small --name large run1 run2");
  command->callback([&run, options] { run = [options] { return plot(*options); }; });
}

}  // namespace vizoo::app
