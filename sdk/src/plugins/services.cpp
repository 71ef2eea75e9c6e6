#include "grpo/sdk/plugins/services.hpp"

#include <algorithm>
#include <cstring>

#include "utf8.hpp"

namespace grpo::plugins {

struct Services::State {
  ServiceSettings settings;
  std::mutex log_mutex, metrics_mutex;
  std::map<std::string, Mean> metrics;
};

namespace {

constexpr std::size_t longest_metric_name = 128;
constexpr std::size_t longest_line = 64 * 1024;

// Tables for one component. Each function gets its own table first, and finds this object in its `host`. Nothing may be
// thrown through the plugin that called.
template <class State>
class View final : public ComponentServices {
 public:
  View(std::shared_ptr<State> state, std::string name) : state_(std::move(state)), name_(std::move(name)) {
    fill_log();
    fill_metrics();
    if (state_->settings.tokenizer) fill_tokenizer();
    if (state_->settings.tasks) fill_tasks();
  }

  const void* find(std::string_view id) const override {
    if (id == GRPO_LOG_ID && state_->settings.log) return &log_;
    if (id == GRPO_METRICS_ID && state_->settings.metrics) return &metrics_;
    if (id == GRPO_TOKENIZER_ID && state_->settings.tokenizer) return &tokenizer_;
    if (id == GRPO_TASKS_ID && state_->settings.tasks) return &tasks_;
    return nullptr;
  }

 private:
  void fill_log() {
    log_.struct_size = sizeof log_;
    log_.host = this;
    log_.level = state_->settings.log_level;
    log_.write = [](const grpo_log* log, std::int32_t level, const char* text, std::int64_t size) noexcept {
      const View& self = *static_cast<View*>(log->host);
      if (level < self.state_->settings.log_level || !text || size < 0) return;
      try {
        std::string line = valid_utf8({text, std::min(static_cast<std::size_t>(size), longest_line)});
        while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
        std::lock_guard lock(self.state_->log_mutex);
        self.state_->settings.log(level, self.name_, line);
      } catch (...) {  // a line that cannot be logged is lost
      }
    };
  }

  void fill_metrics() {
    metrics_.struct_size = sizeof metrics_;
    metrics_.host = this;
    metrics_.add = [](const grpo_metrics* metrics, const char* name, double value) noexcept {
      const View& self = *static_cast<View*>(metrics->host);
      if (!name) return;
      try {
        const std::string_view given(name, strnlen(name, longest_metric_name));
        const std::string key = "plugin/" + self.name_ + "/" + valid_utf8(given);
        std::lock_guard lock(self.state_->metrics_mutex);
        Mean& mean = self.state_->metrics[key];
        mean.sum += value;
        ++mean.count;
      } catch (...) {
      }
    };
  }

  void fill_tokenizer() {
    const TokenizerService& t = *state_->settings.tokenizer;
    tokenizer_.struct_size = sizeof tokenizer_;
    tokenizer_.host = this;
    tokenizer_.vocabulary = t.vocabulary();
    tokenizer_.bos = t.bos();
    tokenizer_.eos = t.eos();
    tokenizer_.pad = t.pad();
    tokenizer_.encode = [](const grpo_tokenizer* table, std::uint32_t flags, const char* text, std::int64_t size,
                           std::int32_t* ids, std::int64_t room) noexcept -> std::int64_t {
      try {
        const std::string_view given(text, static_cast<std::size_t>(size));
        if (valid_utf8(given) != given) return -1;
        const auto out =
            static_cast<View*>(table->host)->state_->settings.tokenizer->encode(given, flags & GRPO_TOKENIZER_SPECIAL);
        const auto n = static_cast<std::int64_t>(out.size());
        if (room > 0) std::copy_n(out.begin(), std::min(n, room), ids);
        return n;
      } catch (...) {
        return -1;
      }
    };
    tokenizer_.decode = [](const grpo_tokenizer* table, std::uint32_t flags, const std::int32_t* ids, std::int64_t n,
                           char* text, std::int64_t room) noexcept -> std::int64_t {
      try {
        if (std::any_of(ids, ids + n, [table](std::int32_t id) { return id < 0 || id >= table->vocabulary; }))
          return -1;
        const auto out =
            static_cast<View*>(table->host)->state_->settings.tokenizer->decode(ids, n, flags & GRPO_TOKENIZER_SPECIAL);
        const auto bytes = static_cast<std::int64_t>(out.size());
        if (room > 0) std::copy_n(out.begin(), std::min(bytes, room), text);
        return bytes;
      } catch (...) {
        return -1;
      }
    };
  }

  void fill_tasks() {
    tasks_.struct_size = sizeof tasks_;
    tasks_.host = this;
    tasks_.threads = state_->settings.tasks->threads();
    tasks_.parallel_for = [](const grpo_tasks* tasks, const grpo_call* call, std::int64_t n, std::int64_t grain,
                             void (*body)(void*, std::int64_t, std::int64_t), void* context) noexcept -> grpo_status {
      try {
        const bool all = static_cast<View*>(tasks->host)
                             ->state_->settings.tasks->parallel_for(
                                 n, grain, [&](std::int64_t begin, std::int64_t end) { body(context, begin, end); },
                                 [&] { return call && call->cancelled(call) != 0; });
        return all ? GRPO_STATUS_OK : GRPO_STATUS_CANCELLED;
      } catch (const std::exception& e) {
        return call ? grpo_fail(call, GRPO_STATUS_FAILED, e.what()) : grpo_status{GRPO_STATUS_FAILED};
      }
    };
  }

  std::shared_ptr<State> state_;
  std::string name_;
  grpo_log log_{};
  grpo_metrics metrics_{};
  grpo_tokenizer tokenizer_{};
  grpo_tasks tasks_{};
};

}  // namespace

Services::Services(ServiceSettings settings) : state_(std::make_shared<State>()) {
  state_->settings = std::move(settings);
}
Services::~Services() = default;

std::shared_ptr<const ComponentServices> Services::of(const std::string& name) const {
  return std::make_shared<View<State>>(state_, name);
}

std::map<std::string, Mean> Services::take_metrics() {
  std::lock_guard lock(state_->metrics_mutex);
  std::map<std::string, Mean> out;
  out.swap(state_->metrics);
  return out;
}

}  // namespace grpo::plugins
