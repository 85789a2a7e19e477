#include "http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo::serve {
namespace {

constexpr const char* kHost = "127.0.0.1";
constexpr int kBacklog = 128;  // connections that the system keeps until they are accepted
constexpr int64_t kDefaultTopK = 5;
constexpr int64_t kMaxTopK = 1'000'000;

void write(const Answer& answer, httplib::Response& response) {
  response.status = answer.status;
  if (answer.status == 503) response.set_header("Retry-After", "1");
  // What a message quotes of a client's bytes need not be UTF-8.
  response.set_content(answer.body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
                       "application/json");
}

// `text` as an integer of [least, most].
std::optional<int64_t> integer(const std::string& text, int64_t least, int64_t most) {
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  if (value < least || value > most) return std::nullopt;
  return value;
}

Answer wrong_value(const std::string& subject, const std::string& range, const std::string& got) {
  return failure(400, Error("serve", subject, "an integer of " + range, quote(got)).what());
}

// Puts a request into the queue and waits for what the workers make of it, or for its deadline.
Answer answer_from(BatchQueue& queue, std::unique_ptr<Request> request) {
  const auto deadline = request->deadline;
  auto answer = request->answer.get_future();
  if (!queue.push(std::move(request))) {
    return failure(503, "[serve] queue: full. Try again later.");
  }
  if (answer.wait_until(deadline) != std::future_status::ready) {
    return failure(504, "[serve] deadline: passed before there was an answer.");
  }
  return answer.get();
}

}  // namespace

class HttpServer::Implementation {
 public:
  Implementation(const Options& options, BatchQueue& queue, Metrics& metrics)
      : options_(options), queue_(queue), metrics_(metrics) {
    server_.new_task_queue = [threads = options.threads] {
      return new httplib::ThreadPool(threads);
    };
    server_.set_keep_alive_max_count(1);
    server_.set_tcp_nodelay(true);
    server_.set_payload_max_length(options.max_body);
    server_.set_socket_options([this](socket_t socket) {
      // httplib would set SO_REUSEPORT, by which two servers could share one port unawares.
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
      listener_ = socket;
    });
    server_.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
      if (!response.body.empty()) return;
      const auto what = "[serve] " + printable(request.method + " " + request.path);
      write(
          failure(response.status,
                  what + (response.status == 404 ? ": no such page. Send images to POST /classify."
                                                 : ": cannot be answered.")),
          response);
    });
    add_routes();
    bind();
  }

  int start() {
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // Before that, stop() would not be heard.
    while (!server_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return port_;
  }

  void stop() {
    server_.stop();
    thread_.join();
  }

 private:
  void add_routes() {
    server_.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      write({200, {{"status", "ok"}}}, response);
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(metrics_.text(queue_.size()), "text/plain; version=0.0.4");
    });
    server_.Post("/classify",
                 [this](const httplib::Request& request,
                        httplib::Response& response,
                        const httplib::ContentReader& reader) {
                   const auto arrived = Clock::now();
                   const auto answer = classify(request, response, reader, arrived);
                   metrics_.count_answer(answer.status, Clock::now() - arrived);
                   write(answer, response);
                 });
  }

  void bind() {
    port_ = options_.port;
    const bool bound = port_ == 0 ? (port_ = server_.bind_to_any_port(kHost)) > 0
                                  : server_.bind_to_port(kHost, port_);
    if (!bound) {
      throw UsageError("serve",
                       "--port",
                       "a port that is free on " + std::string(kHost),
                       std::to_string(options_.port));
    }
    // httplib lets 5 connections wait; of more at a time the system would make some try again.
    listen(listener_, kBacklog);
  }

  Answer classify(const httplib::Request& request,
                  const httplib::Response& response,
                  const httplib::ContentReader& reader,
                  Clock::time_point arrived) {
    auto item = std::make_unique<Request>();
    item->arrived = arrived;
    if (auto problem = read_image(request, response, reader, item->image)) return *problem;

    const auto top_k = request.has_param("top_k") ? request.get_param_value("top_k")
                                                  : std::to_string(kDefaultTopK);
    const auto count = integer(top_k, 1, kMaxTopK);
    if (!count) return wrong_value("top_k", "1.." + std::to_string(kMaxTopK), top_k);
    item->top_k = *count;

    const auto longest = std::to_string(options_.deadline.count());
    const auto header =
        request.has_header("X-Deadline-Ms") ? request.get_header_value("X-Deadline-Ms") : longest;
    const auto deadline = integer(header, 0, options_.deadline.count());
    if (!deadline) return wrong_value("X-Deadline-Ms", "0.." + longest, header);
    item->deadline = arrived + std::chrono::milliseconds(*deadline);
    return answer_from(queue_, std::move(item));
  }

  // The body, or why there is none. It is always read to its end, though no more of it kept than
  // may be: a client that is still sending would not see the answer.
  std::optional<Answer> read_image(const httplib::Request& request,
                                   const httplib::Response& response,
                                   const httplib::ContentReader& reader,
                                   std::string& image) const {
    if (request.is_multipart_form_data()) {
      reader([](const httplib::MultipartFormData&) { return true; },
             [](const char*, std::size_t) { return true; });
      return failure(415,
                     "[serve] body: expected an image file, got a form. "
                     "Send the file itself, as curl --data-binary @photo.jpg does.");
    }
    const auto limit = options_.max_body;
    bool too_large = false;
    const bool complete = reader([&](const char* data, std::size_t size) {
      too_large = too_large || image.size() + size > limit;
      if (!too_large) image.append(data, size);
      return true;
    });
    if (too_large || response.status == 413) {
      return failure(
          413,
          Error("serve", "body", "at most " + std::to_string(limit) + " bytes", "more").what());
    }
    if (!complete) return failure(400, "[serve] body: ended early.");
    return std::nullopt;
  }

  const Options options_;
  BatchQueue& queue_;
  Metrics& metrics_;
  httplib::Server server_;
  socket_t listener_ = INVALID_SOCKET;
  int port_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer(const Options& options, BatchQueue& queue, Metrics& metrics)
    : implementation_(std::make_unique<Implementation>(options, queue, metrics)) {}

HttpServer::~HttpServer() = default;

int HttpServer::start() { return implementation_->start(); }

void HttpServer::stop() { implementation_->stop(); }

}  // namespace vizoo::serve
