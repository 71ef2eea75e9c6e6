// replaying.hpp: what the replays of the four kinds share.
#ifndef GRPO_PLUGINS_RECORD_REPLAYING_HPP
#define GRPO_PLUGINS_RECORD_REPLAYING_HPP

#include <map>
#include <memory>
#include <span>
#include <string>

#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/plugins/options.hpp"
#include "grpo/sdk/plugins/replay.hpp"
#include "recording.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::record {

// What is compared, and where differences go.
class Comparison {
 public:
  Comparison(const ReplaySettings& settings, ReplayReport& report) : settings_(settings), report_(report) {}

  void of(std::uint64_t call, const std::string& function) { call_ = call, function_ = function; }
  void number(double expected, double got, std::int64_t at, const std::string& what);
  void integer(std::int64_t expected, std::int64_t got, std::int64_t at, const std::string& what);
  void text(const std::string& expected, const std::string& got, std::int64_t at, const std::string& what);
  void status(grpo_status expected, grpo_status got);
  // Errors of the call, by their status and, if messages are compared, their text.
  void outcome(const wire::Envelope& expected, grpo_status got, const std::string& error);
  void tensor(const wire::Tensor& expected, const wire::Tensor& got, const std::string& what);
  void broken(std::int64_t at, const std::string& rule, const std::string& got);  // the contract
  void note(const std::string& what);
  void differ(std::int64_t at, const std::string& what, std::string expected, std::string got);

 private:
  bool agree(double a, double b) const;
  const ReplaySettings& settings_;
  ReplayReport& report_;
  std::uint64_t call_ = 0;
  std::string function_;
};

// The calls of a kind, run on open handles of the plugin.
class Replayer {
 public:
  Replayer(std::shared_ptr<const Component> plugin, const ReplaySettings& settings, ReplayReport& report)
      : plugin_(std::move(plugin)), settings_(settings), report_(report), compare_(settings, report) {}
  virtual ~Replayer() = default;
  Replayer(const Replayer&) = delete;
  Replayer& operator=(const Replayer&) = delete;

  void run(Recording& recording);

 protected:
  struct Opened {
    std::unique_ptr<Options> options;
    std::shared_ptr<const ComponentServices> services;
    void* handle = nullptr;
    bool open = false;
  };

  // A message of the file that is neither open nor close; asks come in order, answers as they came.
  virtual void asked(const wire::Envelope& message) = 0;
  virtual void answered(const wire::Envelope& message) = 0;
  virtual void closing(std::uint64_t handle) { (void)handle; }  // before the plugin's close
  virtual void finished() {}  // no more messages: calls without an answer are still there

  Opened& opened(const wire::Envelope& message);  // throws grpo::Error when there is no such handle
  void unanswered(std::uint64_t call);            // the recording does not say how it ended
  // Says which call is made now, and gives it its deadline.
  void begin(const wire::Envelope& message, Call& call);

  std::shared_ptr<const Component> plugin_;
  const ReplaySettings& settings_;
  ReplayReport& report_;
  Comparison compare_;

 private:
  void open(const wire::Envelope& message);
  void follow(Recording& recording);
  void close(std::uint64_t handle);
  void open_answered(const wire::Envelope& message);
  std::map<std::uint64_t, Opened> handles_;
  std::vector<std::uint64_t> unanswered_;
  std::map<std::uint64_t, std::pair<grpo_status, std::string>> opens_;  // what open gave, by call
};

std::unique_ptr<Replayer> replay_reward(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                        ReplayReport& report);
std::unique_ptr<Replayer> replay_optimizer(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                           ReplayReport& report);
std::unique_ptr<Replayer> replay_model(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                       ReplayReport& report);
std::unique_ptr<Replayer> replay_sampler(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                         ReplayReport& report);

}  // namespace grpo::plugins::record

#endif
