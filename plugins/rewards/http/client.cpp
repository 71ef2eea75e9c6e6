#include "client.hpp"

#include <curl/curl.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <list>
#include <random>

namespace grpo_http {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int slice_ms = 50;  // how often cancelled() is asked
constexpr double longest_delay = 30, connect_seconds = 10;

struct Slist {
  curl_slist* list = nullptr;
  ~Slist() { curl_slist_free_all(list); }
  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    if (!longer) throw std::bad_alloc();
    list = longer;
  }
};

// OpenSSL writes into sockets that the other end has closed, which is SIGPIPE: not for a library to leave to the host.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec now{};
    if (!was_pending_)
      while (sigtimedwait(&pipe_, nullptr, &now) > 0) {
      }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_, before_;
  bool was_pending_;
};

bool worth_another(CURLcode code, long status) {
  switch (code) {
    case CURLE_OK:
      return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501 && status != 505);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

// The first of a text, on one line.
std::string glimpse(const std::string& body) {
  std::string out = body.substr(0, 200);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 32) c = ' ';
  return out;
}

}  // namespace

struct Client::Connections {
  CURLM* multi = curl_multi_init();
  Connections() {
    if (!multi) throw std::bad_alloc();
  }
  ~Connections() { curl_multi_cleanup(multi); }
};

// One body on its way.
struct Job {
  std::size_t index;
  std::int64_t attempts = 0;
  Clock::time_point not_before{};
  CURL* easy = nullptr;
  Reply reply;
  char why[CURL_ERROR_SIZE] = "";
  std::size_t most = 0;
  bool too_large = false;
};

class Posting {
 public:
  Posting(Client& client, const std::vector<std::string>& bodies, const grpo::call& call,
          const std::function<void(std::size_t, const Reply&)>& tell)
      : client_(client), settings_(client.settings_), bodies_(bodies), call_(call), tell_(tell) {
    headers_.add("Content-Type: application/json");
    headers_.add("Accept: application/json");
    headers_.add("Expect:");  // no round trip before a large body
    for (const std::string& line : settings_.headers) headers_.add(line);
    for (std::size_t i = 0; i < bodies.size(); ++i) jobs_.push_back({.index = i, .reply = {}});
    connections_ = client.take();
  }
  ~Posting() {
    for (Job& job : jobs_)
      if (job.easy) drop(job);
    client_.give_back(std::move(connections_));
  }

  void run() {
    while (!jobs_.empty()) {
      if (call_.cancelled()) stop();
      for (Job& job : jobs_)
        if (!job.easy && Clock::now() >= job.not_before && client_.begin_one()) start(job);
      int running = 0;
      curl_multi_perform(connections_->multi, &running);
      collect();
      if (!jobs_.empty()) curl_multi_poll(connections_->multi, nullptr, 0, wait_ms(), nullptr);
    }
  }

 private:
  int wait_ms() const {
    int wait = slice_ms;
    for (const Job& job : jobs_) {
      if (job.easy) continue;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(job.not_before - Clock::now()).count();
      wait = std::min(wait, static_cast<int>(std::clamp<std::int64_t>(left, 2, slice_ms)));
    }
    return wait;
  }

  void start(Job& job) {
    job.easy = curl_easy_init();
    if (!job.easy) {
      client_.end_one();
      throw std::bad_alloc();
    }
    job.reply = {};
    job.too_large = false;
    job.most = static_cast<std::size_t>(settings_.max_response_mib * 1024 * 1024);
    ++job.attempts;
    const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(job.easy, option, value); };
    const auto ms = [](double seconds) { return static_cast<long>(std::ceil(seconds * 1000)); };
    set(CURLOPT_URL, settings_.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(bodies_[job.index].size()));
    set(CURLOPT_POSTFIELDS, bodies_[job.index].data());
    set(CURLOPT_HTTPHEADER, headers_.list);
    set(CURLOPT_ACCEPT_ENCODING, "");
    set(CURLOPT_USERAGENT, "grpo-reward-http/0.1");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TIMEOUT_MS, ms(settings_.timeout));
    set(CURLOPT_CONNECTTIMEOUT_MS, ms(std::min(settings_.timeout, connect_seconds)));
    if (!settings_.ca_file.empty()) set(CURLOPT_CAINFO, settings_.ca_file.c_str());
    set(CURLOPT_ERRORBUFFER, job.why);
    set(CURLOPT_PRIVATE, &job);
    set(CURLOPT_WRITEDATA, &job);
    set(
        CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t size, std::size_t n, void* to) -> std::size_t {
          Job& j = *static_cast<Job*>(to);
          j.too_large = j.reply.body.size() + size * n > j.most;
          if (j.too_large) return 0;
          try {
            j.reply.body.append(data, size * n);
          } catch (...) {
            return 0;
          }
          return size * n;
        });
    curl_multi_add_handle(connections_->multi, job.easy);
  }

  void drop(Job& job) {
    curl_multi_remove_handle(connections_->multi, job.easy);
    curl_easy_cleanup(job.easy);
    job.easy = nullptr;
    client_.end_one();
  }

  void collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(connections_->multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      Job* job = nullptr;
      long status = 0;
      curl_off_t after = 0;
      const CURLcode code = message->data.result;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
      curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
      curl_easy_getinfo(message->easy_handle, CURLINFO_RETRY_AFTER, &after);
      const char* to = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_REDIRECT_URL, &to);
      ended(*job, code, status, static_cast<double>(after), to ? to : "");
    }
  }

  void ended(Job& job, CURLcode code, long status, double after, const std::string& to) {
    drop(job);
    job.reply.error = what(job, code, status);
    if (!to.empty()) job.reply.error += ": " + to + " is not asked; give that address if it is the right one";
    job.reply.timed_out = code == CURLE_OPERATION_TIMEDOUT;
    if (!job.reply.error.empty() && worth_another(code, status) && job.attempts <= settings_.retries) {
      job.not_before = Clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(delay(job, after) * 1000));
      return;
    }
    if (!job.reply.error.empty() && job.attempts > 1)
      job.reply.error += " (the last of " + std::to_string(job.attempts) + " attempts)";
    tell_(job.index, job.reply);
    jobs_.remove_if([&](const Job& j) { return &j == &job; });
  }

  std::string what(const Job& job, CURLcode code, long status) const {
    if (job.too_large) {
      char mib[32];
      std::snprintf(mib, sizeof mib, "%g", settings_.max_response_mib);
      return std::string("the answer is larger than ") + mib + " MiB (the option `max_response_mib`)";
    }
    if (code != CURLE_OK) return *job.why ? job.why : curl_easy_strerror(code);
    if (status >= 200 && status < 300) return {};
    return "HTTP " + std::to_string(status) + (job.reply.body.empty() ? "" : ": " + glimpse(job.reply.body));
  }

  // Twice as long each time, spread a little so that callers do not come back all at once.
  double delay(const Job& job, double after) {
    const double doubled =
        settings_.retry_delay * std::pow(2, std::min<double>(static_cast<double>(job.attempts) - 1, 20));
    return std::min(longest_delay,
                    std::max(after, doubled * std::uniform_real_distribution<double>(0.75, 1.25)(spread_)));
  }

  void stop() {
    for (Job& job : jobs_) {
      if (job.reply.error.empty()) continue;
      job.reply.error = "no answer in time; an attempt before: " + job.reply.error;
      job.reply.timed_out = true;
      tell_(job.index, job.reply);
    }
    call_.stop_if_asked();
  }

  Client& client_;
  const ClientSettings& settings_;
  const std::vector<std::string>& bodies_;
  const grpo::call& call_;
  const std::function<void(std::size_t, const Reply&)>& tell_;
  Slist headers_;
  std::list<Job> jobs_;
  std::unique_ptr<Client::Connections> connections_;
  std::minstd_rand spread_{static_cast<std::uint_fast32_t>(Clock::now().time_since_epoch().count())};
};

Client::Client(ClientSettings settings) : settings_(std::move(settings)) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) throw grpo::failure(std::string("libcurl: ") + curl_easy_strerror(ready));
}
Client::~Client() = default;

std::unique_ptr<Client::Connections> Client::take() {
  std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Connections>();
  auto out = std::move(idle_.back());
  idle_.pop_back();
  return out;
}

void Client::give_back(std::unique_ptr<Connections> connections) {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(connections));
}

bool Client::begin_one() {
  std::lock_guard lock(mutex_);
  return under_way_ < settings_.max_concurrency && ++under_way_;
}

void Client::end_one() {
  std::lock_guard lock(mutex_);
  --under_way_;
}

void Client::post(const std::vector<std::string>& bodies, const grpo::call& call,
                  const std::function<void(std::size_t, const Reply&)>& tell) {
  const NoPipeSignal guard;
  Posting(*this, bodies, call, tell).run();
}

}  // namespace grpo_http
