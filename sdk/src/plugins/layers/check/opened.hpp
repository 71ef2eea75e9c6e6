// opened.hpp: one handle behind the checks, and one run of one of its functions.
//
// Main idea. Every function of a checked table is a Run: it looks at the handle and the thread, gives the plugin a
// grpo_call and memory of its own, and at the end looks at both. What is specific to the function stands between.
//
//     return perform<RewardHandle>(handle, "score", Threads::any, call, [&](RewardHandle& reward, Run& run) {
//       ... run.memory() ... run.broken(rule::reward_nan, "sample 3 ...") ...
//       return reward.table->score(reward.inner, run.call(), batch, result);
//     });
//
// A handle outlives its close for a while, so that its use after close is told and not crashed.
#ifndef GRPO_PLUGINS_CHECK_OPENED_HPP
#define GRPO_PLUGINS_CHECK_OPENED_HPP

#include <grpo/plugin.h>
#include <grpo/tensor.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "call.hpp"
#include "released.hpp"
#include "rules.hpp"

namespace grpo::plugins::check {

// Whose contract, and where to tell.
struct Reporter {
  std::shared_ptr<const Component> component;
  ViolationSink sink;
  void tell(const Violation& violation) const;
};

enum class Threads { any, one_at_a_time, same, as_declared };  // as_declared: one at a time, unless concurrent
enum class Kind : std::uint32_t { reward, model, session, sampler, optimizer };

class Run;
class CheckedServices;
struct CheckedSink;
struct CheckedSource;

// The options that open gets: they end with it.
struct CheckedOptions {
  const grpo_options* begin(Opened& owner, const grpo_options* options);
  void end() { live.store(false); }
  Opened* owner = nullptr;
  const grpo_options* outer = nullptr;
  grpo_options table{};
  std::atomic<bool> live{false};
};

// What a process holds that a handle may leave behind.
struct Belongings {
  std::set<int> threads;
  std::map<int, std::string> files;  // what the descriptor leads to
  static Belongings now();
};

class Opened {
 public:
  Opened(Reporter reporter, Kind kind);
  virtual ~Opened();

  // The handle behind a `void*` of a caller; nullptr, and told, if there is none of this kind.
  static Opened* find(void* handle, Kind kind, const char* function);

  // [any thread] Tells the sink. The result: what a call should fail with; empty for advice.
  std::string tell(const Rule& rule, const char* function, const std::string& detail, bool by_caller) const;
  // [any thread] The same, and a violation fails the call that now runs, or the next that can fail.
  void broken(const Rule& rule, const char* function, const std::string& detail, bool by_caller = false);
  std::string take_pending(const std::string& function);  // function: of the call that takes it

  // The host's service, checked; nullptr of nullptr.
  const void* service(const void* inner, const char* id);

  // The host's sink or source, checked; both stay until the handle is gone.
  CheckedSink& sink(const char* function, const grpo_tensor_sink& inner, bool any_thread);
  CheckedSource& source(const grpo_tensor_source& inner);
  void end_sinks();

  // A call's memory: the one that has rested longest.
  std::unique_ptr<CallState> take_state();
  void rest(std::unique_ptr<CallState> state);
  void look_at_rest(const char* function);  // was something touched since?

  void* inner = nullptr;  // the plugin's handle
  bool is_open = false;   // the plugin's open went well
  bool concurrent = false;
  CheckedOptions options;
  const Reporter reporter;
  const std::thread::id thread = std::this_thread::get_id();  // of open
  std::atomic<bool> closed{false};
  std::atomic<int> running{0}, alone{0};

  // Threads and files that appeared in the plugin's functions: looked for in this many runs more.
  std::atomic<int> watched{1};
  bool watch_threads = true;
  void appeared(const Belongings& earlier);
  void left_behind();  // after close

 private:
  std::uint64_t magic_;
  Kind kind_;
  std::mutex mutex_;
  std::string pending_, pending_of_;  // text, and the function that it is about
  std::deque<std::unique_ptr<CallState>> resting_;
  std::unique_ptr<CheckedServices> services_;
  std::deque<std::unique_ptr<CheckedSink>> sinks_;  // the latest
  std::deque<std::unique_ptr<CheckedSource>> sources_;
  Belongings appeared_;
};

// Keeps what was closed, for as long as some dozens are closed after it.
void bury(std::unique_ptr<Opened> opened);

class Run {
 public:
  // call: nullptr for functions without one.
  Run(Opened& opened, const char* function, Threads threads, const grpo_call* call, bool has_call);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  bool refused() const { return refused_; }  // the plugin is not called
  const char* function() const { return function_; }
  Opened& opened() const { return opened_; }
  const grpo_call* call() const { return &state_->table; }
  const grpo_call* outer() const { return outer_; }
  Scratch& memory() { return state_->scratch; }

  void broken(const Rule& rule, const std::string& detail) { tell(rule, detail, false); }
  // The caller's fault: the plugin is not to be called.
  void wrong(const Rule& rule, const std::string& detail) {
    tell(rule, detail, true);
    refused_ = true;
  }
  bool failing() const { return !text_.empty(); }
  // Before finish, for functions that must know whether they will fail.
  void look_at_memory();
  void allow(grpo_status status) { allowed_ = status; }  // not unasked
  // The checked component that this thread is inside of, if it is another one.
  static const Run* innermost();
  const Run* above() const { return above_; }
  // What the plugin returned, to what the caller gets: looks at the status and the memory.
  grpo_status finish(grpo_status status, bool exception);
  // Text of the plugin.
  bool check_text(const grpo_str& text, const std::string& what);
  bool check_name(const char* name, const std::string& what);
  // A [grows] struct of the plugin.
  template <class T>
  bool check_struct(const T* p, const char* what) {
    if (p && !too_short(p)) return true;
    broken(rule::struct_size, std::string(what) + (p ? " has " + std::to_string(p->struct_size) + " bytes; " +
                                                           std::to_string(released_size<T>) + " are due"
                                                     : std::string(" is NULL")));
    return false;
  }

 private:
  void tell(const Rule& rule, const std::string& detail, bool by_caller) {
    if (has_call_)
      add(opened_.tell(rule, function_, detail, by_caller));
    else  // it has no status of its own
      opened_.broken(rule, function_, detail, by_caller);
  }
  void add(const std::string& text) {
    if (text_.empty()) text_ = text;
  }
  Opened& opened_;
  const char* function_;
  Threads threads_;
  const grpo_call* outer_;
  const bool has_call_;
  std::unique_ptr<CallState> state_;
  const Run* above_;  // the run on this thread that this one is inside of
  bool refused_ = false, watching_ = false, looked_ = false;
  grpo_status allowed_ = GRPO_STATUS_OK;
  std::string text_;  // of the first violation
  Belongings before_;
};

// The functions of tables.

grpo_status refuse(const grpo_call* call, const std::string& text) noexcept;

// Calls f(handle, run) -> grpo_status. Nothing leaves it but a status.
template <class Handle, class F>
grpo_status perform(void* handle, const char* function, Threads threads, const grpo_call* call, F&& f) noexcept {
  try {
    Opened* found = Opened::find(handle, Handle::kind, function);
    if (!found) return refuse(call, std::string(function) + ": the handle is none that was opened");
    Run run(*found, function, threads, call, true);
    grpo_status status = GRPO_STATUS_INVALID;
    bool exception = false;
    if (!run.refused()) {
      try {
        status = f(static_cast<Handle&>(*found), run);
      } catch (const std::bad_alloc&) {
        status = GRPO_STATUS_NO_MEMORY;
      } catch (...) {
        exception = true;
        status = GRPO_STATUS_FAILED;
      }
    }
    return run.finish(status, exception);
  } catch (...) {
    return refuse(call, std::string(function) + ": the checks ran out of memory");
  }
}

// open: `opened` becomes the handle. after(run): what the handle needs at once.
template <class Handle, class After>
grpo_status open(std::unique_ptr<Handle> opened, const grpo_table* inner, const grpo_call* call,
                 const grpo_options* options, void** handle, After&& after) {
  Handle& h = *opened;
  const grpo_status status = perform<Handle>(&h, "open", Threads::any, call, [&](Handle&, Run& run) -> grpo_status {
    if (!options || !handle) {
      run.wrong(rule::call_null, "open without options, or without a place for the handle");
      return GRPO_STATUS_INVALID;
    }
    const grpo_status opening = inner->open(run.call(), h.options.begin(h, options), &h.inner);
    h.options.end();
    h.is_open = opening == GRPO_STATUS_OK;
    if (h.is_open) after(run);
    return opening;
  });
  if (status == GRPO_STATUS_OK) {
    *handle = opened.release();
    return status;
  }
  if (h.is_open) inner->close(h.inner);
  h.closed.store(true);
  bury(std::move(opened));
  return status;
}

// The same for a function without a call: f(handle, run) -> R; `otherwise` if the plugin is not called.
template <class Handle, class R, class F>
R visit(void* handle, const char* function, Threads threads, R otherwise, F&& f) noexcept {
  try {
    Opened* found = Opened::find(handle, Handle::kind, function);
    if (!found) return otherwise;
    Run run(*found, function, threads, nullptr, false);
    if (run.refused()) return otherwise;
    try {
      return f(static_cast<Handle&>(*found), run);
    } catch (...) {
      run.broken(rule::status_exception, "an exception left the function");
      return otherwise;
    }
  } catch (...) {
    return otherwise;
  }
}

// close: calls f(handle, run) even on the wrong thread, and buries the handle. A second close does nothing.
template <class Handle, class F>
void close(void* handle, const char* function, Threads threads, F&& f) noexcept {
  try {
    Opened* found = Opened::find(handle, Handle::kind, function);
    if (!found) return;
    {
      Run run(*found, function, threads, nullptr, false);
      if (found->closed.load()) return;
      if (found->running.load() > 1)
        return run.wrong(rule::handle_busy, "closed while a call on it runs; it stays open");
      if (found->closed.exchange(true)) return;
      try {
        f(static_cast<Handle&>(*found), run);
      } catch (...) {
        run.broken(rule::status_exception, "an exception left the function");
      }
      found->left_behind();
    }
    bury(std::unique_ptr<Opened>(found));
  } catch (...) {  // no memory to tell
  }
}

}  // namespace grpo::plugins::check

#endif
