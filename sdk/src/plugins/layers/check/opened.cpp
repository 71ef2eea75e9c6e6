#include "opened.hpp"

#include <cstring>
#include <filesystem>
#include <iostream>
#include <mutex>

#include "grpo/sdk/plugins/call.hpp"
#include "services.hpp"
#include "streams.hpp"
#include "text.hpp"

namespace grpo::plugins::check {
namespace {

constexpr std::uint64_t magic = 0x6772706f63686563;  // what is at the start of every handle of this layer
constexpr std::size_t most_resting = 4, most_buried = 64;
constexpr std::size_t longest_name = 4096;
thread_local const Run* innermost_run = nullptr;

void tell_standard_error(const Violation& v) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  std::cerr << (v.rule->severity == Severity::violation ? "check: " : "check (advice): ") << v.text() << std::endl;
}

}  // namespace

void Reporter::tell(const Violation& violation) const {
  try {
    sink ? sink(violation) : tell_standard_error(violation);
  } catch (...) {  // a sink that fails does not end the run
  }
}

grpo_status refuse(const grpo_call* call, const std::string& text) noexcept {
  if (call) call->fail(call, GRPO_STATUS_INVALID, text.data(), static_cast<std::int64_t>(text.size()));
  return GRPO_STATUS_INVALID;
}

// ---- the handle

Opened::Opened(Reporter r, Kind kind) : reporter(std::move(r)), magic_(magic), kind_(kind) {}
Opened::~Opened() { magic_ = 0; }

Opened* Opened::find(void* handle, Kind kind, const char* function) {
  auto* opened = static_cast<Opened*>(handle);
  if (opened && opened->magic_ == magic && opened->kind_ == kind) return opened;
  const std::string what = handle ? "a handle that is none of this kind" : "the handle NULL";
  if (const Run* run = Run::innermost()) {
    run->opened().broken(rule::handle_unknown, run->function(), "it called " + std::string(function) + " with " + what);
  } else {
    tell_standard_error({&rule::handle_unknown, "?", "?", function, "called with " + what, true, ""});
  }
  return nullptr;
}

std::string Opened::tell(const Rule& rule, const char* function, const std::string& detail, bool by_caller) const {
  Violation v{&rule, reporter.component->manifest.name, reporter.component->path, function, detail, by_caller, ""};
  const Run* run = Run::innermost();
  if (by_caller) {
    while (run && &run->opened() == this) run = run->above();
    if (run) v.caller = run->opened().reporter.component->manifest.name;
  }
  reporter.tell(v);
  if (rule.severity != Severity::violation) return {};
  return std::string(by_caller ? "called wrongly: " : "") + detail + " [" + rule.id + "]: " + rule.way_out;
}

void Opened::broken(const Rule& rule, const char* function, const std::string& detail, bool by_caller) {
  const std::string text = tell(rule, function, detail, by_caller);
  std::lock_guard lock(mutex_);
  if (pending_.empty() && !text.empty()) pending_ = std::string(function) + ": " + text;
}

std::string Opened::take_pending() {
  std::lock_guard lock(mutex_);
  return std::exchange(pending_, {});
}

const void* Opened::service(const void* service, const char* id) {
  if (!service) return nullptr;
  std::lock_guard lock(mutex_);
  if (!services_) services_ = std::make_unique<CheckedServices>(*this);
  return services_->find(service, id);
}

CheckedSink& Opened::sink(const char* function, const grpo_tensor_sink& inner_sink, bool any_thread) {
  sinks_.push_back(std::make_unique<CheckedSink>(*this, function, inner_sink, any_thread));
  if (sinks_.size() > most_resting) sinks_.pop_front();
  return *sinks_.back();
}

void Opened::end_sinks() {
  for (const auto& one : sinks_) one->live.store(false);
}

CheckedSource& Opened::source(const grpo_tensor_source& inner_source) {
  sources_.push_back(std::make_unique<CheckedSource>(*this, inner_source));
  if (sources_.size() > most_resting) sources_.pop_front();
  return *sources_.back();
}

std::unique_ptr<CallState> Opened::take_state() {
  {
    std::lock_guard lock(mutex_);
    if (resting_.size() >= most_resting) {
      auto state = std::move(resting_.front());
      resting_.pop_front();
      return state;
    }
  }
  return std::make_unique<CallState>(*this);
}

void Opened::rest(std::unique_ptr<CallState> state) {
  std::lock_guard lock(mutex_);
  resting_.push_back(std::move(state));
}

void Opened::look_at_rest(const char* function) {
  const char* of = nullptr;
  {
    std::lock_guard lock(mutex_);
    for (const auto& state : resting_)
      if (state->scratch.touched()) of = state->function;
  }
  if (of) broken(rule::memory_kept, function, std::string("memory of an earlier call of ") + of + " was touched");
}

void bury(std::unique_ptr<Opened> opened) {
  static auto& mutex = *new std::mutex;  // never destroyed: threads may outlive main
  static auto& buried = *new std::deque<std::unique_ptr<Opened>>;
  std::unique_ptr<Opened> oldest;
  std::lock_guard lock(mutex);
  buried.push_back(std::move(opened));
  if (buried.size() <= most_buried) return;
  oldest = std::move(buried.front());
  buried.pop_front();
}

// ---- options

const grpo_options* CheckedOptions::begin(Opened& of, const grpo_options* options) {
  owner = &of;
  outer = options;
  table.struct_size = sizeof table;
  table.host = this;
  table.json = options->json;
  if (GRPO_HAS(options, component)) table.component = options->component;
  const auto usable = [](const grpo_options* o, const char* key) {
    auto& self = *static_cast<CheckedOptions*>(o->host);
    if (!self.live.load())
      self.owner->broken(rule::options_stale, "open", "an option was read after open");
    else if (!key)
      self.owner->broken(rule::service_arguments, "open", "an option was asked for without its key");
    else
      return true;
    return false;
  };
  static const auto check = usable;
  table.number = [](const grpo_options* o, const char* key, double* value) noexcept -> std::int32_t {
    const auto& self = *static_cast<CheckedOptions*>(o->host);
    return check(o, key) ? self.outer->number(self.outer, key, value) : 0;
  };
  table.integer = [](const grpo_options* o, const char* key, std::int64_t* value) noexcept -> std::int32_t {
    const auto& self = *static_cast<CheckedOptions*>(o->host);
    return check(o, key) ? self.outer->integer(self.outer, key, value) : 0;
  };
  table.text = [](const grpo_options* o, const char* key, grpo_str* value) noexcept -> std::int32_t {
    const auto& self = *static_cast<CheckedOptions*>(o->host);
    return check(o, key) ? self.outer->text(self.outer, key, value) : 0;
  };
  live.store(true);
  return &table;
}

// ---- what is left behind

Belongings Belongings::now() {
  namespace fs = std::filesystem;
  Belongings out;
  std::error_code error;
  const auto number = [](const fs::path& p) { return std::atoi(p.filename().c_str()); };
  for (fs::directory_iterator it("/proc/self/task", error), end; !error && it != end; it.increment(error))
    out.threads.insert(number(it->path()));
  for (fs::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const auto to = fs::read_symlink(it->path(), gone);
    if (!gone) out.files[number(it->path())] = to.string();
  }
  return out;
}

void Opened::appeared(const Belongings& earlier) {
  const Belongings later = Belongings::now();
  std::lock_guard lock(mutex_);
  for (const int id : later.threads)
    if (!earlier.threads.contains(id)) appeared_.threads.insert(id);
  for (const auto& [descriptor, to] : later.files) {
    const auto at = earlier.files.find(descriptor);
    const bool own = to.starts_with("/proc/") && to.find("/fd") != to.npos;  // the directory that was being listed
    if (!own && (at == earlier.files.end() || at->second != to)) appeared_.files[descriptor] = to;
  }
}

void Opened::left_behind() {
  if (appeared_.threads.empty() && appeared_.files.empty()) return;
  const Belongings left = Belongings::now();
  std::size_t threads = 0;
  for (const int id : appeared_.threads) threads += left.threads.contains(id);
  if (watch_threads && threads > 0)
    broken(rule::handle_threads, "close",
           std::to_string(threads) + (threads == 1 ? " thread is left" : " threads are left"));
  for (const auto& [descriptor, to] : appeared_.files)
    if (const auto at = left.files.find(descriptor); at != left.files.end() && at->second == to)
      broken(rule::handle_descriptors, "close", "descriptor " + std::to_string(descriptor) + " (" + to + ") is left");
}

// ---- the run

Run::Run(Opened& opened, const char* function, Threads threads, const grpo_call* call, bool has_call)
    : opened_(opened),
      function_(function),
      threads_(threads != Threads::as_declared ? threads
               : opened.concurrent             ? Threads::any
                                               : Threads::one_at_a_time),
      outer_(call),
      has_call_(has_call),
      above_(innermost_run) {
  innermost_run = this;
  opened_.running.fetch_add(1);
  if (opened_.closed.load()) wrong(rule::handle_closed, "the handle was closed before");
  if (has_call && !call) wrong(rule::call_null, "the call is NULL");
  if (threads_ == Threads::same && std::this_thread::get_id() != opened_.thread)
    wrong(rule::thread_same, "called on another thread than open");
  if (threads_ == Threads::one_at_a_time && opened_.alone.fetch_add(1) > 0)
    wrong(rule::thread_one_at_a_time, "another call on this handle runs");
  if (refused_) return;
  opened_.look_at_rest(function);
  if (call) {
    state_ = opened_.take_state();
    state_->begin(call, function);
  }
  watching_ = opened_.watched.fetch_sub(1) > 0;
  if (watching_) before_ = Belongings::now();
}

Run::~Run() {
  if (watching_) opened_.appeared(before_);
  if (threads_ == Threads::one_at_a_time) opened_.alone.fetch_sub(1);
  opened_.running.fetch_sub(1);
  if (state_) {
    state_->end();
    opened_.rest(std::move(state_));
  }
  innermost_run = above_;
}

const Run* Run::innermost() { return innermost_run; }

void Run::look_at_memory() {
  if (std::exchange(looked_, true)) return;
  if (const Damage damage = memory().damage(); damage.kind != Damage::Kind::none) {
    switch (damage.kind) {
      case Damage::Kind::input:
        broken(rule::inputs_written, "it wrote into its input: " + damage.what);
        break;
      case Damage::Kind::result:
        broken(rule::results_outside, "it wrote " + damage.what);
        break;
      default:
        broken(rule::call_alloc_overrun, "it wrote " + damage.what);
    }
  }
}

grpo_status Run::finish(grpo_status status, bool exception) {
  std::string said;
  if (state_) {
    state_->live.store(false);
    said = state_->said();
    add(opened_.take_pending());
    if (exception) broken(rule::status_exception, "a C++ exception left the function");
    if (status < GRPO_STATUS_OK || status > GRPO_STATUS_NO_MEMORY) {
      if (status != allowed_)
        broken(rule::status_unknown,
               "it returned the status " + std::to_string(status) + " (" + status_name(status) + ")");
    } else if (status != allowed_ && (status == GRPO_STATUS_CANCELLED || status == GRPO_STATUS_DEADLINE) && !refused_ &&
               !state_->asked_to_stop()) {
      broken(rule::status_unasked,
             std::string("it returned '") + status_name(status) + "', and nobody had asked for it");
    } else if ((status == GRPO_STATUS_FAILED || status == GRPO_STATUS_INVALID || status == GRPO_STATUS_UNSUPPORTED) &&
               said.empty() && text_.empty() && status != allowed_) {
      broken(rule::status_no_reason, "it failed without a text");
    }
    look_at_memory();
    opened_.look_at_rest(function_);
  }
  add(opened_.take_pending());
  if (text_.empty() && said.empty()) return status;
  if (text_.empty()) return outer_->fail(outer_, status, said.data(), static_cast<std::int64_t>(said.size()));
  if (!said.empty()) text_ += "; it said: " + said;
  if (refused_) status = GRPO_STATUS_INVALID;
  if (status == GRPO_STATUS_OK) status = GRPO_STATUS_FAILED;
  if (outer_) outer_->fail(outer_, status, text_.data(), static_cast<std::int64_t>(text_.size()));
  return status;
}

bool Run::check_text(const grpo_str& text, const std::string& what) {
  if (!text.data || text.size < 0) {
    broken(rule::text_null, what + (text.data ? " has " + std::to_string(text.size) + " bytes" : " is NULL"));
    return false;
  }
  // This object lies in the frame that called the plugin: what is below belonged to frames that have returned.
  const auto at = reinterpret_cast<std::uintptr_t>(text.data), top = reinterpret_cast<std::uintptr_t>(this);
  constexpr std::uintptr_t reach = 1024 * 1024;
  if (at < top && top - at < reach) {
    broken(rule::text_stack, what + " lies on the stack");
    return false;
  }
  if (!is_utf8(text.data, text.size)) {
    broken(rule::text_utf8, what + " is not UTF-8: " + quoted(text.data, text.size));
    return false;
  }
  if (text.data[text.size] != 0) {
    broken(rule::text_final_zero, what + " lacks its final 0: " + quoted(text.data, text.size));
    return false;
  }
  return true;
}

bool Run::check_name(const char* name, const std::string& what) {
  if (!name) {
    broken(rule::text_null, what + " is NULL");
    return false;
  }
  const std::size_t size = strnlen(name, longest_name);
  if (size == longest_name) {
    broken(rule::text_final_zero, what + " does not end within " + std::to_string(longest_name) + " bytes");
    return false;
  }
  if (!is_utf8(name, static_cast<std::int64_t>(size))) {
    broken(rule::text_utf8, what + " is not UTF-8: " + quoted(name, static_cast<std::int64_t>(size)));
    return false;
  }
  return true;
}

}  // namespace grpo::plugins::check
