// script.hpp: a feed and a model that answer as they did when a sampler was recorded.
//
// Main idea. What a sampler asked of its host is in the file, in order, with the answers. A sampler that is the same
// asks the same again, so neither model nor requests are needed: each question is compared with the next one of the
// script and gets its answer. The first that is another one ends the call: nobody knows what would have been said to
// it.
#ifndef GRPO_PLUGINS_RECORD_SCRIPT_HPP
#define GRPO_PLUGINS_RECORD_SCRIPT_HPP

#include <mutex>

#include "feeding.hpp"
#include "replaying.hpp"

namespace grpo::plugins::record {

class Script {
 public:
  explicit Script(Comparison& compare);
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  void describe(const Unpack& bind);  // the recorded call of bind
  const grpo_sampler_binding* binding() const { return &binding_; }
  const grpo_feed* feed() const { return &feed_; }

  // The callbacks of the next call, in order; `cancel` is how the host's cancellations reach the sampler.
  void begin(std::uint64_t call);
  void add(const wire::Envelope& message);
  void ends_early();  // the call has no answer in the recording, so what follows the last callback is not known
  std::function<void(std::uint64_t request)> cancel;
  void end();      // of the call: says what was not asked
  void lenient();  // from now on everything is right: the sampler is being closed

 private:
  struct Entry {
    wire::Envelope ask, answer;
    bool answered = false;
  };
  struct Session {
    Script* of;
    std::int64_t number;
  };
  static Script& of(void* model) { return *static_cast<Script*>(model); }
  static Session& session(void* s) { return *static_cast<Session*>(s); }

  // The answer to this question, or nullptr: it is another one than was recorded.
  const wire::Envelope* next(const std::string& function, const ValueList& argument);
  const wire::Envelope* past_the_end(const std::string& function, const ValueList& argument);
  // For callbacks that have nothing but a status.
  grpo_status status_of(const grpo_call* call, const std::string& function, const ValueList& argument);
  grpo_status fail(const grpo_call* call) const;
  void diverge(const std::string& expected, const std::string& got);
  grpo_status give_step(const grpo_call* call, std::int64_t number, const grpo_decode_step& a);
  grpo_status deliver(const grpo_call* call, const grpo_completion& c);
  void fill_decode();

  Comparison& compare_;
  std::mutex mutex_;
  std::deque<Entry> entries_;
  std::size_t at_ = 0;
  bool diverged_ = false, lenient_ = false, ends_early_ = false;
  std::deque<RequestView> requests_;
  std::deque<Session> sessions_;
  grpo_model_info model_info_{};
  grpo_decode_info decode_info_{};
  grpo_model model_{};
  grpo_decode decode_{};
  grpo_sampler_binding binding_{};
  grpo_feed feed_{};
};

}  // namespace grpo::plugins::record

#endif
