// recorder.hpp: the file that calls are written into, and what each layer needs to write one.
//
//     return tape.call("score", call, [&](wire::Envelope& e) { ...arguments... },
//                      [&](const grpo_call* c, std::uint64_t) { return inner->score(handle, c, ...); },
//                      [&](wire::Envelope& e, grpo_status) { ...results... });
//
// Calls are written before they are made: a plugin that takes the process down leaves the call that did it.
#ifndef GRPO_PLUGINS_RECORD_RECORDER_HPP
#define GRPO_PLUGINS_RECORD_RECORDER_HPP

#include <grpo/host.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "grpo/sdk/plugins/registry.hpp"
#include "wire/wire.hpp"

struct gzFile_s;

namespace grpo::plugins::record {

// One file. [any thread]
class Recorder {
 public:
  // Makes the file and writes the header. Throws grpo::Error.
  Recorder(const std::filesystem::path& file, const Component& component, const std::string& host);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Appends a message and hands it to the system. Throws grpo::Error.
  void write(wire::Envelope& message);
  std::uint64_t next_call() { return ++calls_; }
  std::uint64_t next_handle() { return ++handles_; }
  std::int64_t now_ns() const;  // since the header
  bool records(const Component& component) const;

  bool active() const { return active_.load(std::memory_order_relaxed); }
  // Ends the recording; the reason goes to the log, once.
  void give_up(const std::string& reason, const grpo_log* log) noexcept;

 private:
  void put(const google::protobuf::MessageLite& message);

  std::filesystem::path file_;
  std::string interface_, name_, library_;
  gzFile_s* out_ = nullptr;
  std::mutex mutex_;
  std::string bytes_;
  std::map<std::thread::id, std::uint32_t> threads_;
  std::int64_t start_ns_;
  std::atomic<std::uint64_t> calls_{0}, handles_{0};
  std::atomic<bool> active_{true};
};

// The component's header, as it goes into a file.
void describe(const Component& component, wire::Component& out);

// A call that passes everything on, and keeps the first text that was given to fail.
class WatchedCall {
 public:
  explicit WatchedCall(const grpo_call* outer);
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;
  operator const grpo_call*() const { return &call_; }
  std::string error() const;

 private:
  grpo_call call_{};
  const grpo_call* outer_;
  mutable std::mutex mutex_;
  std::string error_;
};

// What one open handle writes. A recorder that fails says so in the log, and the call goes on. [any thread]
class Tape {
 public:
  using Fill = std::function<void(wire::Envelope&)>;
  using FillAnswer = std::function<void(wire::Envelope&, grpo_status)>;

  Tape(std::shared_ptr<Recorder> to, const grpo_call* open);
  std::uint64_t handle() const { return handle_; }

  // A call of the inner component: written, made, and what it answered written. run(call, number) makes it with a call
  // that is watched. parent: the call in which a callback is made, or 0.
  template <class Run>
  grpo_status call(const char* function, const grpo_call* outer, const Fill& arguments, const Run& run,
                   const FillAnswer& results = nullptr, std::uint64_t parent = 0) {
    const auto id = ask(function, outer, arguments, parent);
    const WatchedCall watched(outer);
    const grpo_status status = run(static_cast<const grpo_call*>(watched), id);
    Fill fill;
    if (results) fill = [&](wire::Envelope& e) { results(e, status); };
    answer(id, function, status, watched.error(), fill, parent);
    return status;
  }

  // The two halves of it. Returns the call's number.
  std::uint64_t ask(const char* function, const grpo_call* call, const Fill& fill = nullptr, std::uint64_t parent = 0);
  void answer(std::uint64_t id, const char* function, grpo_status status, const std::string& error,
              const Fill& fill = nullptr, std::uint64_t parent = 0);
  // A function without arguments or results that matter.
  void note(const char* function, const Fill& fill = nullptr);

 private:
  void put(const Fill& fill, wire::Envelope& message);
  std::shared_ptr<Recorder> to_;
  std::uint64_t handle_;
  const grpo_log* log_ = nullptr;
};

// The layers, one for each kind.
std::shared_ptr<const Component> record_reward(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to);
std::shared_ptr<const Component> record_optimizer(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to);
std::shared_ptr<const Component> record_model(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to);
std::shared_ptr<const Component> record_sampler(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to);

}  // namespace grpo::plugins::record

#endif
