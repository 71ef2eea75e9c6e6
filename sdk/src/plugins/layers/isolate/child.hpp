// child.hpp: the host's end of one process that runs a plugin: starting it, talking to it, ending it.
//
// No thread stands behind it. What the process writes, and its end, wait in a socket until somebody calls.
#ifndef GRPO_PLUGINS_ISOLATE_CHILD_HPP
#define GRPO_PLUGINS_ISOLATE_CHILD_HPP

#include <grpo/host.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "channel.hpp"
#include "grpo/sdk/plugins/isolated.hpp"

namespace grpo::wire {
class Ended;
class ToChild;
class ToHost;
class TokensAnswer;
class TokensQuestion;
}  // namespace grpo::wire

namespace grpo::plugins::isolate {

// The host's services, as far as they cross. Null: not offered.
struct HostServices {
  const grpo_log* log = nullptr;
  const grpo_metrics* metrics = nullptr;
  const grpo_tokenizer* tokenizer = nullptr;

  explicit HostServices(const grpo_call* call = nullptr);
  void write(std::int32_t level, const std::string& line) const;
};

class Child {
 public:
  enum class Wait { message, ended, late };

  // Starts the processes and tells them what to load; the answer is waited for by `loaded`. Throws grpo::Error when
  // they cannot be started.
  Child(const std::string& program, const Component& what, const IsolateSettings& settings);
  ~Child();  // ends them
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void set_services(const HostServices& services) { services_ = services; }

  // [any thread] False: it is gone, or does not take the message in the time.
  bool send(const wire::ToChild& message, std::int64_t deadline_ns, int descriptor = -1);

  // The next answer. Serves the plugin's questions meanwhile, and calls `look` some twenty times a second. deadline 0:
  // none. `ended`: the process is gone, or said what no process of ours says and was ended; `how` tells.
  Wait wait(wire::ToHost& answer, std::int64_t deadline_ns, const std::function<void()>& look = nullptr);

  bool has_ended();                                // looks, without waiting
  void end();                                      // kills all of it and waits for that
  const std::string& how() const { return how_; }  // it ended: "its process was killed by SIGSEGV (...); it wrote: ..."

 private:
  void start(const std::string& program, const IsolateSettings& settings);
  bool read_reports();
  void tell(const wire::Ended& ended);
  bool serve(wire::ToHost& message);
  void answer(const wire::TokensQuestion& question);
  void log_output(const std::string& text, std::uint64_t left_out);

  HostServices services_;
  std::mutex send_mutex_;
  Channel channel_;
  Descriptor reports_;
  int supervisor_ = 0;
  bool ended_ = false, garbled_ = false;
  std::string how_;
  std::atomic<std::int64_t> lines_left_{0};  // of grpo.log/1, in this call
};

}  // namespace grpo::plugins::isolate

#endif
