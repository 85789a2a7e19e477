#include "vizoo/io/pickle_reader.h"

#include <algorithm>
#include <unordered_set>

#include "vizoo/core/error.h"
#include "vizoo/io/pickle_machine.h"
#include "vizoo/io/utf8.h"

namespace vizoo {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMaxIgnoredNames = 100;
constexpr std::string_view kUsualNames[] = {"state_dict", "model_state_dict", "model", "module"};

class StateReader : private TorchFileReader {
 public:
  StateReader(const PickleMachine& machine, const std::string& source)
      : TorchFileReader(source), machine_(machine) {}

  PickledState read(const PickleValue& root) {
    if (root.kind != Kind::dict) {
      fail("", "a dict of tensors", pickle_kind_name(root.kind));
    }
    PickledState state;
    const PickleValue chosen = choose(root, state);
    std::unordered_set<std::string_view> names;
    std::size_t dimensions = 0;
    for_each(chosen, [&](const PickleMachine::Item& item) {
      if (item.value.kind != Kind::tensor) return ignore(item.key, state);
      state.tensors.push_back(read_tensor(item));
      const PickledTensor& tensor = state.tensors.back();
      if (!names.insert(tensor.name).second) {
        fail("tensor " + quote(tensor.name), "every name once", "it again");
      }
      dimensions += tensor.shape.size();
      if (dimensions > kMaxPickledDimensions || state.tensors.size() > kMaxPickleTensors) {
        fail("",
             "at most " + std::to_string(kMaxPickleTensors) + " tensors with " +
                 std::to_string(kMaxPickledDimensions) + " dimensions in all of them",
             "more");
      }
      return true;
    });
    return state;
  }

 private:
  // Until `visit` returns false.
  template <class Visit>
  void for_each(const PickleValue& dict, Visit&& visit) const {
    uint32_t link = machine_.dict(dict).first;
    while (link != 0) {
      const PickleMachine::Item& item = machine_.dict_item(link);
      if (!visit(item)) return;
      link = item.next;
    }
  }

  bool ignore(const PickleValue& key, PickledState& state) const {
    ++state.ignored_count;
    if (state.ignored.size() < kMaxIgnoredNames) {
      state.ignored.push_back(key.kind == Kind::text
                                  ? machine_.text(key)
                                  : std::string_view(pickle_kind_name(key.kind)));
    }
    return true;
  }

  // The search ends at the first tensor; `budget` bounds it where a dict without tensors is meant
  // many times.
  bool has_tensors(const PickleValue& value, std::size_t& budget) const {
    if (value.kind != Kind::dict) return false;
    bool found = false;
    for_each(value, [&](const PickleMachine::Item& item) {
      found = item.value.kind == Kind::tensor;
      if (budget == 0) fail("", "a dict of tensors", "dicts that mean each other many times");
      --budget;
      return !found;
    });
    return found;
  }

  // The dict that holds the tensors: `root`, or one of its values.
  PickleValue choose(const PickleValue& root, PickledState& state) const {
    std::size_t budget = 2 * kMaxPickleValues;
    if (machine_.dict(root).first == 0 || has_tensors(root, budget)) return root;
    std::vector<const PickleMachine::Item*> found;
    std::vector<const PickleMachine::Item*> usual;
    for_each(root, [&](const PickleMachine::Item& item) {
      if (!has_tensors(item.value, budget)) return true;
      found.push_back(&item);
      const bool is_usual =
          item.key.kind == Kind::text &&
          std::find(std::begin(kUsualNames), std::end(kUsualNames), machine_.text(item.key)) !=
              std::end(kUsualNames);
      if (is_usual) usual.push_back(&item);
      return true;
    });
    const std::vector<const PickleMachine::Item*>& candidates = usual.size() == 1 ? usual : found;
    if (candidates.size() != 1) {
      fail("",
           "a dict of tensors",
           found.empty() ? "a dict without tensors" : "several: " + list(found),
           found.empty() ? "" : "Save the one that is wanted in a file of its own");
    }
    for_each(root, [&](const PickleMachine::Item& item) {
      return &item == candidates.front() || ignore(item.key, state);
    });
    return candidates.front()->value;
  }

  std::string list(const std::vector<const PickleMachine::Item*>& items) const {
    constexpr std::size_t kShown = 5;
    std::string text;
    for (std::size_t i = 0; i < items.size() && i < kShown; ++i) {
      const PickleValue& key = items[i]->key;
      text += (i == 0 ? "" : ", ") +
              (key.kind == Kind::text ? quote(machine_.text(key)) : pickle_kind_name(key.kind));
    }
    return text + (items.size() > kShown ? ", ..." : "");
  }

  PickledTensor read_tensor(const PickleMachine::Item& item) const {
    if (item.key.kind != Kind::text) {
      fail("", "names of tensors that are strings", pickle_kind_name(item.key.kind));
    }
    PickledTensor tensor;
    tensor.name = machine_.text(item.key);
    if (tensor.name.size() > kMaxPickledNameBytes) {
      fail("tensor " + quote(tensor.name),
           "a name of at most " + std::to_string(kMaxPickledNameBytes) + " bytes",
           std::to_string(tensor.name.size()));
    }
    if (find_invalid_utf8(tensor.name) != tensor.name.size()) {
      fail("tensor " + quote(tensor.name), "a name in UTF-8", "other bytes");
    }
    const PickleTensor& found = machine_.tensor(item.value);
    const PickleStorage& storage = machine_.storage(found.storage);
    tensor.dtype = found.dtype;
    tensor.storage = storage.key;
    tensor.storage_bytes = storage.bytes;
    tensor.offset = found.offset;
    tensor.extent = found.extent;
    tensor.bytes = found.elements * static_cast<int64_t>(dtype_bits(found.dtype) / 8);
    for (std::size_t i = 0; i < found.sizes.size; ++i) {
      tensor.shape.push_back(machine_.item(found.sizes, i).number);
      tensor.strides.push_back(machine_.item(found.strides, i).number);
    }
    return tensor;
  }

  const PickleMachine& machine_;
};

}  // namespace

void TorchFileReader::fail(const std::string& subject,
                           const std::string& expected,
                           const std::string& got,
                           const std::string& hint) const {
  throw CheckpointError("checkpoint",
                        printable(source_) + (subject.empty() ? "" : ": " + subject),
                        expected,
                        got,
                        hint);
}

PickledState read_pickled_state(std::string_view pickle, const std::string& source) {
  if (pickle.size() > kMaxPickleBytes) {
    throw CheckpointError("checkpoint",
                          printable(source) + ": data.pkl",
                          "at most " + std::to_string(kMaxPickleBytes) + " bytes",
                          std::to_string(pickle.size()));
  }
  PickleMachine machine(pickle, source);
  const PickleValue root = machine.run();
  return StateReader(machine, source).read(root);
}

}  // namespace vizoo
