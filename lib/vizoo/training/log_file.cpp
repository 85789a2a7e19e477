#include "vizoo/training/log_file.h"

#include <string>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/training/append_file.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxLogBytes = std::size_t{1} << 30U;

Error line_error(const std::filesystem::path& path, std::size_t number, const std::string& got) {
  return Error("log",
               printable(path.native()) + ":" + std::to_string(number),
               "a JSON object",
               got,
               "The log of a training run has one in each line");
}

// A line of the log, without its newline.
Json parse_line(const std::filesystem::path& path, std::size_t number, std::string_view text) {
  Json line;
  try {
    line = parse_json(text, path.string());
  } catch (const ConfigError&) {
    throw line_error(path, number, quote(text));
  }
  if (!line.is_object()) throw line_error(path, number, describe_json(line));
  return line;
}

std::string read_text(const std::filesystem::path& path) {
  try {
    return read_file(path, kMaxLogBytes);
  } catch (const CheckpointError& error) {
    // The same words under another heading: a log is no checkpoint.
    const std::string message = error.what();
    throw Error("[log]" + message.substr(message.find(']') + 1));
  }
}

// Calls visit(line, begin) for each line that ends in a newline; stops when it returns false.
// Returns where the text after the last visited line begins.
template <class Visit>
std::size_t visit_lines(const std::filesystem::path& path,
                        std::string_view text,
                        const Visit& visit) {
  std::size_t begin = 0;
  for (std::size_t number = 1; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) break;
    if (!visit(parse_line(path, number, text.substr(begin, end - begin)))) break;
    begin = end + 1;
  }
  return begin;
}

bool is_beyond(const Json& line, std::optional<int64_t> step) {
  const auto found = line.find("step");
  return step && found != line.end() && found->is_number() && found->get<double>() > *step;
}

}  // namespace

LogFile::LogFile(const std::filesystem::path& path, std::optional<int64_t> resumed_step)
    : path_(path), file_(std::make_unique<AppendFile>(path)) {
  const auto text = read_text(path);
  // One half line is what a killed run may leave; anything else is somebody's file.
  if (!text.empty() && text[0] != '{') throw line_error(path, 1, quote(text));
  const auto kept =
      visit_lines(path, text, [&](const Json& line) { return !is_beyond(line, resumed_step); });
  file_->truncate(static_cast<int64_t>(kept));
}

LogFile::~LogFile() = default;

void LogFile::write(const Json& line) {
  if (!line.is_object()) {
    throw UsageError("log", printable(path_.native()), "a JSON object", describe_json(line));
  }
  file_->append(line.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
}

std::vector<Json> read_log(const std::filesystem::path& path) {
  const auto text = read_text(path);
  std::vector<Json> lines;
  const auto end = visit_lines(path, text, [&](Json line) {
    lines.push_back(std::move(line));
    return true;
  });
  // What a killed run left, or a whole line that an editor robbed of its newline.
  try {
    if (end < text.size()) lines.push_back(parse_line(path, lines.size() + 1, text.substr(end)));
  } catch (const Error&) {
    if (lines.empty()) throw;
  }
  return lines;
}

}  // namespace vizoo
