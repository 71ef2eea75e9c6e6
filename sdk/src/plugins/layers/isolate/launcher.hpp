// launcher.hpp: a handle's processes: how one is started and opened, and what happens when one is lost.
//
// The first restart after a loss is at once, then the pauses grow; so many losses in a row, and there is none any more.
#ifndef GRPO_PLUGINS_ISOLATE_LAUNCHER_HPP
#define GRPO_PLUGINS_ISOLATE_LAUNCHER_HPP

#include <grpo/base.h>

#include <memory>
#include <mutex>
#include <string>

#include "child.hpp"

namespace grpo::wire {
class Opened;
}

namespace grpo::plugins::isolate {

// [any thread], but for set.
class Launcher {
 public:
  Launcher(std::string program, Component what, const IsolateSettings& settings);

  const Component& what() const { return what_; }
  const IsolateSettings& settings() const { return settings_; }
  const HostServices& services() const { return services_; }
  void set(const grpo_call* call, const grpo_options* options);  // of the handle's open

  std::unique_ptr<Child> start() const;  // a process with the library loaded. Throws grpo::Error
  // Opens the handle there; on failure the text is in the call. answer: null, or what the plugin's process told.
  grpo_status open_in(Child& child, const grpo_call* call, wire::Opened* answer = nullptr) const;

  // Both, after the pause that is due. Null: `why` tells.
  std::unique_ptr<Child> restart(const grpo_call* call, std::string& why);

  void lost(const std::string& how);  // a process is gone; says so in the log
  void went_well();                   // a call did
  // Ends a process after `close`, and logs what was wrong with that.
  void close(std::unique_ptr<Child> child, std::int64_t until_ns) const;

 private:
  bool wait_for_restart(const grpo_call* call, std::string& why);

  const std::string program_;
  const Component what_;
  const IsolateSettings settings_;
  HostServices services_;
  std::string options_;
  std::mutex mutex_;
  int losses_ = 0;  // since a call that went well
  std::int64_t not_before_ns_ = 0;
  std::string quarantined_;  // why; empty: it is not
};

// Small things that all of this needs.
std::int64_t nanoseconds(double seconds);
std::int64_t from_now(double seconds);  // on the clock of deadlines
std::string seconds_text(double seconds);
grpo_status fail(const grpo_call* call, grpo_status status, const std::string& text);
bool stopped(const grpo_call* call);

}  // namespace grpo::plugins::isolate

#endif
