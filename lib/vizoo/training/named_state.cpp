#include "vizoo/training/named_state.h"

#include <map>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxListedEntries = 5;

// Problems of one kind: "missing: a, b, 7 more".
class StateListing {
 public:
  explicit StateListing(const char* title) : title_(title) {}

  void add(const std::string& item) {
    ++count_;
    if (count_ <= kMaxListedEntries) text_ += (count_ == 1 ? " " : ", ") + printable(item);
  }

  void append_to(std::string& message) const {
    if (count_ == 0) return;
    message += (message.empty() ? "" : "; ") + title_ + ":" + text_;
    if (count_ > kMaxListedEntries)
      message += ", " + std::to_string(count_ - kMaxListedEntries) + " more";
  }

 private:
  std::string title_;
  std::string text_;
  std::size_t count_ = 0;
};

bool fits(const torch::Tensor& given, const torch::Tensor& wanted) {
  if (!given.defined() || given.sizes() != wanted.sizes()) return false;
  return wanted.is_floating_point() ? given.is_floating_point()
                                    : given.scalar_type() == wanted.scalar_type();
}

}  // namespace

void copy_named_state(const NamedTensors& given,
                      const NamedTensors& state,
                      const std::string& subject) {
  StateListing missing("missing");
  StateListing left_over("left over");
  StateListing repeated("there twice");
  StateListing unfit("of another shape or kind");

  std::map<std::string, torch::Tensor> sources;
  for (const auto& [name, tensor] : given) {
    if (!sources.emplace(name, tensor).second) repeated.add(name);
  }
  std::vector<std::pair<torch::Tensor, torch::Tensor>> copies;  // from, to
  for (const auto& [name, tensor] : state) {
    const auto source = sources.find(name);
    if (source == sources.end()) {
      missing.add(name);
      continue;
    }
    if (fits(source->second, tensor)) {
      copies.emplace_back(source->second, tensor);
    } else {
      const auto got = source->second.defined() ? describe_tensor(source->second) : "none";
      unfit.add(name + " (expected " + describe_tensor(tensor) + ", got " + got + ")");
    }
    sources.erase(source);
  }
  for (const auto& [name, tensor] : sources) left_over.add(name);

  std::string problems;
  for (const auto* listing : {&missing, &left_over, &repeated, &unfit}) {
    listing->append_to(problems);
  }
  if (!problems.empty()) {
    throw CheckpointError("training",
                          subject,
                          std::to_string(state.size()) + " tensors, those of the model in training",
                          problems,
                          "It belongs to another model or other settings");
  }
  const torch::NoGradGuard no_grad;
  for (auto& [from, to] : copies) to.copy_(from);
}

}  // namespace vizoo
