#include "vizoo/training/failure_monitor.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace vizoo {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kPoll(500);
constexpr Milliseconds kQuickPoll(20);
constexpr Milliseconds kStatements(3000);  // until all processes must have spoken
constexpr Milliseconds kReading(1000);     // until all must have read what was decided
constexpr Milliseconds kDecision(6000);    // longer than both: the store does not answer
constexpr Milliseconds kLeaving(10000);

// What a process says about itself: `<own 0 or 1> <operations> <reason>`.
struct Statement {
  bool own = false;  // it is its own failure
  int64_t operations = 0;
  std::string reason;
};

std::string encode(const Statement& statement) {
  return std::string(statement.own ? "1 " : "0 ") + std::to_string(statement.operations) + " " +
         statement.reason;
}

Statement decode_message(const std::string& text) {
  Statement statement;
  statement.own = text.rfind("1 ", 0) == 0;
  const auto space = text.find(' ', 2);
  if (text.size() < 2 || space == std::string::npos) return statement;
  statement.operations = std::strtoll(text.c_str() + 2, nullptr, 10);
  statement.reason = text.substr(space + 1);
  return statement;
}

// `<ranks with commas> <message>`.
std::string encode(const GroupFailure& failure) {
  std::string text;
  for (const int rank : failure.culprits) text += std::to_string(rank) + ",";
  return text + " " + failure.message;
}

GroupFailure decode_failure(const std::string& text) {
  GroupFailure failure;
  const auto space = std::min(text.find(' '), text.size());
  std::size_t begin = 0;
  for (auto comma = text.find(','); comma < space; comma = text.find(',', begin)) {
    failure.culprits.push_back(std::atoi(text.substr(begin, comma - begin).c_str()));
    begin = comma + 1;
  }
  if (space < text.size()) failure.message = text.substr(space + 1);
  return failure;
}

std::string name_ranks(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
  }
  return text;
}

GroupFailure blame(std::vector<int> ranks,
                   const std::string& expected,
                   const std::string& got,
                   const std::string& hint) {
  auto message =
      Error("process group", name_ranks(ranks), expected, got, printable(hint, 300)).what();
  return {message, std::move(ranks)};
}

}  // namespace

struct FailureMonitor::Shared {
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::optional<GroupFailure> failure;
  std::optional<Statement> report;  // to be said by the monitor
  int64_t operations = 0;           // begun
  int64_t under_way = 0;
  bool leaving = false;
  bool stop = false;
  bool ended = false;

  void publish(GroupFailure found) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!failure) failure = std::move(found);
    changed.notify_all();
  }
};

// The thread's part.
class FailureMonitor::Worker {
 public:
  Worker(std::shared_ptr<Shared> shared, c10::intrusive_ptr<c10d::Store> store, Options options)
      : shared_(std::move(shared)), store_(std::move(store)), options_(std::move(options)) {}

  void run() {
    try {
      watch();
    } catch (const std::exception&) {
      shared_->publish(store_is_gone());
    }
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->ended = true;
    shared_->changed.notify_all();
  }

  // Without the store nobody can be asked.
  static GroupFailure store_is_gone(const Options& options) {
    if (options.store_is_hosted) {
      return {Error("process group",
                    "store at " + options.store_place,
                    "an answer",
                    "none: the launcher that hosts it has ended or hangs")
                  .what(),
              {}};
    }
    return blame({0},
                 "the store that it hosts to answer",
                 "nothing: it died, hangs or has ended before the others",
                 "");
  }

 private:
  GroupFailure store_is_gone() const { return store_is_gone(options_); }

  void watch() {
    bool said_goodbye = false;
    while (true) {
      bool leaving = false;
      std::optional<Statement> report;
      {
        std::unique_lock<std::mutex> lock(shared_->mutex);
        shared_->changed.wait_for(lock, said_goodbye ? kQuickPoll : kPoll, [&] {
          return shared_->stop || shared_->report || (shared_->leaving && !said_goodbye);
        });
        if (shared_->stop) return;
        leaving = shared_->leaving;
        report = shared_->report;
      }
      if (report || store_->add("failures", 0) > 0) return settle(report);
      if (leaving && !said_goodbye) {
        store_->set(key("left", options_.rank), "1");
        store_->add("left", 1);
        said_goodbye = true;
      }
      const bool hosts_store = options_.rank == 0 && !options_.store_is_hosted;
      if (said_goodbye && (!hosts_store || store_->add("left", 0) == options_.size)) return;
    }
  }

  // Something is wrong: says what this process knows and learns who is to blame.
  void settle(const std::optional<Statement>& report) {
    auto statement = report.value_or(Statement());
    {
      const std::lock_guard<std::mutex> lock(shared_->mutex);
      statement.operations = shared_->operations;
    }
    store_->set(key("statement", options_.rank), encode(statement));
    store_->add("failures", 1);
    const auto start = Clock::now();
    if (options_.rank == 0) {
      while (store_->add("failures", 0) + store_->add("left", 0) < options_.size &&
             Clock::now() - start < kStatements) {
        std::this_thread::sleep_for(kQuickPoll);
      }
      const auto failure = judge();
      const auto spoken = store_->add("failures", 0);
      store_->set("decision", encode(failure));
      const auto decided = Clock::now();
      while (store_->add("read", 0) < spoken - 1 && Clock::now() - decided < kReading) {
        std::this_thread::sleep_for(kQuickPoll);
      }
      return shared_->publish(failure);
    }
    while (Clock::now() - start < kStatements + kReading) {
      if (store_->check({"decision"})) {
        const auto failure = decode_failure(store_->get_to_str("decision"));
        store_->add("read", 1);
        return shared_->publish(failure);
      }
      std::this_thread::sleep_for(kQuickPoll);
    }
    shared_->publish(judge());  // the store lives without rank 0
  }

  GroupFailure judge() {
    std::vector<int> failed;
    std::vector<int> silent;
    std::vector<int> left;
    std::vector<std::pair<int, Statement>> waiting;
    std::string seen;
    for (int rank = 0; rank < options_.size; ++rank) {
      if (store_->check({key("statement", rank)})) {
        const auto statement = decode_message(store_->get_to_str(key("statement", rank)));
        if (seen.empty() && !statement.reason.empty()) {
          seen = "Rank " + std::to_string(rank) + (statement.own ? " says: " : " saw: ") +
                 statement.reason;
        }
        if (statement.own) {
          failed.push_back(rank);
          seen = "It says: " + statement.reason;
        }
        waiting.emplace_back(rank, statement);
      } else if (store_->check({key("left", rank)})) {
        left.push_back(rank);
      } else {
        silent.push_back(rank);
      }
    }
    if (!failed.empty()) {
      return blame(failed, "to go on with the others", "a failure of its own", seen);
    }
    if (!silent.empty()) {
      return blame(silent, "an answer within 3 s", "none: it died or is stopped", seen);
    }
    if (!left.empty()) {
      return blame(
          left, "to take part in what others wait for", "that it has left the group", seen);
    }
    return judge_by_operations(waiting, seen);
  }

  // All are alive: who has come to the fewest operations keeps the others waiting.
  GroupFailure judge_by_operations(const std::vector<std::pair<int, Statement>>& statements,
                                   const std::string& seen) const {
    int64_t fewest = INT64_MAX;
    int64_t most = 0;
    for (const auto& [rank, statement] : statements) {
      fewest = std::min(fewest, statement.operations);
      most = std::max(most, statement.operations);
    }
    if (fewest == most) {
      return {Error("process group",
                    "operation " + std::to_string(most),
                    "an end in all processes",
                    "a failure of the connection between them",
                    printable(seen, 300))
                  .what(),
              {}};
    }
    std::vector<int> late;
    for (const auto& [rank, statement] : statements) {
      if (statement.operations == fewest) late.push_back(rank);
    }
    return blame(late,
                 "operation " + std::to_string(most),
                 "operation " + std::to_string(fewest) + ": it hangs or is too slow",
                 seen);
  }

  static std::string key(const std::string& name, int rank) {
    return name + "/" + std::to_string(rank);
  }

  std::shared_ptr<Shared> shared_;
  c10::intrusive_ptr<c10d::Store> store_;
  Options options_;
};

FailureMonitor::FailureMonitor(c10::intrusive_ptr<c10d::Store> store, Options options)
    : options_(std::move(options)), shared_(std::make_shared<Shared>()) {
  auto worker = std::make_shared<Worker>(shared_, std::move(store), options_);
  thread_ = std::thread([worker = std::move(worker)] { worker->run(); });
}

FailureMonitor::~FailureMonitor() {
  {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    shared_->stop = true;
    shared_->changed.notify_all();
    shared_->changed.wait_for(lock, 2 * kPoll, [this] { return shared_->ended; });
    if (!shared_->ended) {
      thread_.detach();
      return;
    }
  }
  thread_.join();
}

std::function<void()> FailureMonitor::begin_operation() {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  ++shared_->operations;
  ++shared_->under_way;
  return [shared = shared_] {
    const std::lock_guard<std::mutex> guard(shared->mutex);
    --shared->under_way;
    shared->changed.notify_all();
  };
}

bool FailureMonitor::wait(const std::function<bool()>& done, Milliseconds limit) {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  return shared_->changed.wait_for(
      lock, limit, [&] { return done() || shared_->failure.has_value(); });
}

std::optional<GroupFailure> FailureMonitor::failure() const {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  return shared_->failure;
}

GroupFailure FailureMonitor::report(const std::string& reason, bool own) {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  if (!shared_->report) shared_->report = Statement{own, 0, printable(reason, 300)};
  shared_->changed.notify_all();
  shared_->changed.wait_for(
      lock, kDecision, [this] { return shared_->failure.has_value() || shared_->ended; });
  if (shared_->failure) return *shared_->failure;
  return Worker::store_is_gone(options_);
}

bool FailureMonitor::leave() {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  // The other side of the last operation may be a moment behind.
  shared_->changed.wait_for(
      lock, 2 * kPoll, [this] { return shared_->under_way == 0 || shared_->failure.has_value(); });
  if (shared_->failure || shared_->under_way > 0) return false;
  shared_->leaving = true;
  shared_->changed.notify_all();
  shared_->changed.wait_for(lock, kLeaving, [this] { return shared_->ended; });
  // A store that is gone by now is nobody's failure.
  return shared_->ended;
}

}  // namespace vizoo
