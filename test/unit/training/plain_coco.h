#pragma once

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

namespace vizoo::test {

struct Found {
  int image, label;
  double left, top, right, bottom, score;
};

struct True {
  int image, label;
  double left, top, right, bottom;
  bool crowd;
  double area;
};

struct Scenes {
  int images = 0;
  std::vector<Found> found;
  std::vector<True> truth;
};

/// COCO's rule once more, from its definition: one (class, size, threshold) at a time, precision at
/// a recall as the maximum over all prefixes.
class PlainCoco {
 public:
  explicit PlainCoco(const Scenes& scenes) : scenes_(scenes) {}

  struct Result {
    std::vector<double> precisions;  // of 101 recalls
    double recall = 0;
    bool occurs = false;
  };

  Result result(int label, int size, double iou, std::size_t most) const {
    std::vector<std::tuple<double, bool, bool>> all;  // score, right, ignored
    int wanted = 0;
    for (int image = 0; image < scenes_.images; ++image) {
      for (const auto& truth : scenes_.truth) {
        const bool here = truth.image == image && truth.label == label;
        wanted += here && !ignored(truth, size) ? 1 : 0;
      }
      for (const auto& entry : judged(image, label, size, iou, most)) all.push_back(entry);
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return std::get<0>(a) > std::get<0>(b);
    });
    Result result;
    result.occurs = wanted > 0;
    if (!result.occurs) return result;
    std::vector<std::pair<double, double>> points;  // recall, precision
    int right = 0;
    int wrong = 0;
    for (const auto& [score, is_right, is_ignored] : all) {
      if (!is_ignored) (is_right ? right : wrong) += 1;
      const double counted = right + wrong;
      points.emplace_back(static_cast<double>(right) / wanted, counted > 0 ? right / counted : 0);
      result.recall = points.back().first;
    }
    for (int level = 0; level <= 100; ++level) {
      double best = 0;
      for (const auto& [recall, precision] : points) {
        if (recall >= level * 0.01) best = std::max(best, precision);
      }
      result.precisions.push_back(best);
    }
    return result;
  }

 private:
  static bool outside(double area, int size) {
    static const double limits[4][2] = {{0, 1e10}, {0, 1024}, {1024, 9216}, {9216, 1e10}};
    return area < limits[size][0] || area > limits[size][1];
  }

  static bool ignored(const True& truth, int size) {
    return truth.crowd || outside(truth.area, size);
  }

  static double iou_of(const Found& a, const True& b) {
    const double w = std::max(0.0, std::min(a.right, b.right) - std::max(a.left, b.left));
    const double h = std::max(0.0, std::min(a.bottom, b.bottom) - std::max(a.top, b.top));
    const double own = (a.right - a.left) * (a.bottom - a.top);
    const double other = (b.right - b.left) * (b.bottom - b.top);
    return w * h / (b.crowd ? own : own + other - w * h);
  }

  std::vector<std::tuple<double, bool, bool>> judged(
      int image, int label, int size, double iou, std::size_t most) const {
    std::vector<Found> found;
    for (const auto& one : scenes_.found) {
      if (one.image == image && one.label == label) found.push_back(one);
    }
    std::stable_sort(
        found.begin(), found.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    found.resize(std::min(found.size(), most));
    std::vector<True> truth;
    for (const auto& one : scenes_.truth) {
      if (one.image == image && one.label == label) truth.push_back(one);
    }
    std::vector<bool> taken(truth.size(), false);
    std::vector<std::tuple<double, bool, bool>> verdicts;
    for (const auto& one : found) {
      // The best box that counts, else the best of the others; the last among equals.
      int choice = -1;
      for (const bool among_ignored : {false, true}) {
        double best = iou;
        for (std::size_t i = 0;
             i < truth.size() && !(among_ignored && choice >= 0 && !ignored(truth[choice], size));
             ++i) {
          if (ignored(truth[i], size) != among_ignored) continue;
          if (taken[i] && !truth[i].crowd) continue;
          if (iou_of(one, truth[i]) < best) continue;
          best = iou_of(one, truth[i]);
          choice = static_cast<int>(i);
        }
      }
      if (choice >= 0) taken[choice] = true;
      const double area = (one.right - one.left) * (one.bottom - one.top);
      const bool is_ignored = choice >= 0 ? ignored(truth[choice], size) : outside(area, size);
      verdicts.emplace_back(one.score, choice >= 0, is_ignored);
    }
    return verdicts;
  }

  const Scenes& scenes_;
};

/// All values of AveragePrecision for `labels` classes.
inline std::vector<double> plain_values(const Scenes& scenes, int labels) {
  const PlainCoco plain(scenes);
  const auto mean = [&](int size, const std::vector<double>& ious, std::size_t most, bool recall) {
    double sum = 0;
    double count = 0;
    for (int label = 0; label < labels; ++label) {
      for (const double iou : ious) {
        const auto result = plain.result(label, size, iou, most);
        if (!result.occurs) continue;
        if (recall) {
          sum += result.recall;
          count += 1;
          continue;
        }
        for (const double precision : result.precisions) sum += precision;
        count += 101;
      }
    }
    return count > 0 ? sum / count : -1.0;
  };
  std::vector<double> all;
  for (int i = 0; i < 10; ++i) all.push_back(0.5 + 0.05 * i);
  return {mean(0, all, 100, false),
          mean(0, {0.5}, 100, false),
          mean(0, {0.75}, 100, false),
          mean(1, all, 100, false),
          mean(2, all, 100, false),
          mean(3, all, 100, false),
          mean(0, all, 1, true),
          mean(0, all, 10, true),
          mean(0, all, 100, true),
          mean(1, all, 100, true),
          mean(2, all, 100, true),
          mean(3, all, 100, true)};
}

}  // namespace vizoo::test
