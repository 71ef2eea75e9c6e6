// client.hpp: POST of many bodies, with retries, a bound on how many are under way, and an end when the host asks.
#ifndef GRPO_REWARD_HTTP_CLIENT_HPP
#define GRPO_REWARD_HTTP_CLIENT_HPP

#include <functional>
#include <grpo/author.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace grpo_http {

struct ClientSettings {
  std::string url;                   // with tokens
  std::vector<std::string> headers;  // "Name: value"
  std::string ca_file;               // empty: the system's
  double timeout = 30;               // seconds an attempt
  std::int64_t retries = 3;          // attempts after the first
  double retry_delay = 0.5;          // seconds before the first retry; doubles, 30 at most
  std::size_t max_concurrency = 16;  // requests under way, of all calls together
  double max_response_mib = 64;
};

struct Reply {
  std::string body;
  std::string error;       // empty: it went well
  bool timed_out = false;  // the last attempt did
};

class Client {
 public:
  explicit Client(ClientSettings settings);
  ~Client();
  Client(const Client&) = delete;

  // Posts each body and tells its reply, in the order in which they end. Throws grpo::failure when the call is to stop;
  // what had gone wrong with the open ones until then is told first. [any thread]
  void post(const std::vector<std::string>& bodies, const grpo::call& call,
            const std::function<void(std::size_t, const Reply&)>& tell);

 private:
  friend class Posting;
  struct Connections;  // of one call at a time, kept open between calls
  std::unique_ptr<Connections> take();
  void give_back(std::unique_ptr<Connections> connections);
  bool begin_one();
  void end_one();

  ClientSettings settings_;
  std::mutex mutex_;
  std::size_t under_way_ = 0;
  std::vector<std::unique_ptr<Connections>> idle_;
};

}  // namespace grpo_http

#endif
