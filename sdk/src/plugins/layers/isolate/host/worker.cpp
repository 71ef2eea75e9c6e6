// The process that runs the plugin: loads the library, opens one handle, scores batches that lie in shared memory.
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "../area.hpp"
#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/plugins/options.hpp"
#include "grpo/sdk/plugins/registry.hpp"
#include "inbox.hpp"
#include "modes.hpp"
#include "remote_services.hpp"
#include "sampler_side.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t longest_message = 16 * 1024;

// The arrays of one call: in the area, but for the texts, which the plugin gives as pointers.
class Result {
 public:
  grpo_reward_result* get() { return &table_; }
  const std::deque<std::string>& names() const { return names_; }

  void begin(const Outputs& out, std::int64_t n) {
    out_ = out;
    n_ = n;
    names_.clear();
    messages_.assign(static_cast<std::size_t>(std::max<std::int64_t>(n, 1)), grpo_str{"", 0});
    table_.struct_size = sizeof table_;
    table_.host = this;
    table_.score = out.score;
    table_.status = out.status;
    table_.message = messages_.data();
    table_.component = [](const grpo_reward_result* r, const char* name) noexcept -> double* {
      return static_cast<Result*>(r->host)->column(name);
    };
  }

  // Copies the texts into the area, as far as there is room; true: there are any.
  bool finish() {
    bool any = false;
    std::size_t used = 0;
    for (std::int64_t i = 0; i < n_; ++i) {
      const grpo_str& text = messages_[static_cast<std::size_t>(i)];
      const std::int64_t size = text.data && text.size > 0 ? std::min(text.size, longest_message) : 0;
      const bool fits = used + static_cast<std::size_t>(size) <= out_.text_room;
      out_.message[i] = {static_cast<std::int64_t>(used), fits ? size : 0};
      if (size == 0 || !fits) continue;
      std::memcpy(out_.text + used, text.data, static_cast<std::size_t>(size));
      used += static_cast<std::size_t>(size);
      any = true;
    }
    return any;
  }

 private:
  double* column(const char* name) noexcept {
    if (!name || !*name) return nullptr;
    try {
      std::lock_guard lock(mutex_);
      const std::string key(name, strnlen(name, 256));
      auto at = static_cast<std::size_t>(std::find(names_.begin(), names_.end(), key) - names_.begin());
      if (at == names_.size()) {
        if (at == most_columns) return nullptr;
        names_.push_back(key);
        std::fill_n(out_.component + at * static_cast<std::size_t>(n_), n_, nan);
      }
      return out_.component + at * static_cast<std::size_t>(n_);
    } catch (...) {
      return nullptr;
    }
  }
  Outputs out_{};
  std::int64_t n_ = 0;
  std::mutex mutex_;
  std::deque<std::string> names_;
  std::vector<grpo_str> messages_;
  grpo_reward_result table_{};
};

class Worker {
 public:
  Worker(std::string unprotected)
      : channel_(Descriptor(work_fd), false),
        inbox_(channel_),
        services_(std::make_shared<RemoteServices>(channel_, inbox_)),
        unprotected_(std::move(unprotected)) {}

  // Ends the process.
  [[noreturn]] void run() {
    wire::ToChild message;
    for (;;) {
      if (!inbox_.receive(message)) _exit(lost_connection);
      wire::ToHost answer;
      if (message.has_start()) start(message.start(), *answer.mutable_started());
      if (message.has_open()) open(message.open(), *answer.mutable_opened());
      if (message.has_score()) score(message.score(), *answer.mutable_scored());
      if (message.has_close()) close(answer);
      wire::Status done;
      if (sampler_ && sampler_->handle(message, done)) *answer.mutable_done() = std::move(done);
      if (!services_->answer(answer)) _exit(lost_connection);
      if (answer.has_closed()) _exit(0);
    }
  }

 private:
  void start(const wire::Start& m, wire::Started& answer) try {
    RegistrySettings settings;
    settings.host_name = m.host_name();
    settings.isolate_first_load = false;  // this process is the one that may crash
    Registry registry(settings);
    registry.add_file(m.path());
    component_ = registry.load(m.interface_id(), m.name());
    answer.set_flags(component_->table->flags);
    answer.set_header_revision(component_->header_revision);
    answer.set_unprotected(unprotected_);
  } catch (const std::exception& e) {
    answer.set_error(e.what());
  }

  void open(const wire::OpenHandle& m, wire::Opened& answer) {
    services_->offer(m);
    services_->begin();
    Call call(services_);
    try {
      options_.emplace(nlohmann::json::parse(m.options()), component_->manifest.options, component_->manifest.name);
      options_->set_component(component_->entry);
      answer.set_status(component_->table->open(call, *options_, &handle_));
      answer.set_error(call.error());
      if (answer.status() == GRPO_STATUS_OK && component_->manifest.interface_id == GRPO_SAMPLER_ID) {
        const auto* table = reinterpret_cast<const grpo_sampler*>(component_->table);
        sampler_ = std::make_unique<SamplerSide>(*table, handle_, inbox_, services_);
        sampler_->describe(*answer.mutable_sampler());
      }
    } catch (const std::exception& e) {
      answer.set_status(GRPO_STATUS_INVALID);
      answer.set_error(e.what());
    }
  }

  void score(const wire::Score& m, wire::Scored& answer) {
    services_->begin();
    answer.set_id(m.id());
    if (!call_) call_.emplace(services_);
    Call& call = *call_;
    try {
      if (m.area_size() > 0) area_ = Area(inbox_.take_descriptor(), m.area_size());
      if (m.n_samples() < 0 || area_.size() < m.output_at() + output_size(m.n_samples()))
        throw Error("the shared memory is smaller than the batch and its results");
      batch_.read(area_, m);
      result_.begin(outputs_at(area_.data() + m.output_at(), m.n_samples()), m.n_samples());
      call.reset();
      call.set_deadline(m.deadline_ns());
      call.watch(&area_.cancelled());
      const auto* table = reinterpret_cast<const grpo_reward*>(component_->table);
      answer.set_status(table->score(handle_, call, batch_.get(), result_.get()));
      answer.set_messages(result_.finish());
      for (const std::string& name : result_.names()) answer.add_component(name);
      answer.set_error(call.error());
    } catch (const std::exception& e) {
      answer.set_status(GRPO_STATUS_FAILED);
      answer.set_error(e.what());
    }
    services_->take_metrics(answer);
  }

  void close(wire::ToHost& answer) {
    services_->begin();
    component_->table->close(handle_);
    answer.mutable_closed();
  }

  Channel channel_;
  Inbox inbox_;
  std::shared_ptr<RemoteServices> services_;
  std::string unprotected_;
  std::shared_ptr<const Component> component_;
  std::optional<Options> options_;
  void* handle_ = nullptr;
  std::unique_ptr<SamplerSide> sampler_;
  std::optional<Call> call_;
  Area area_;
  BatchInArea batch_;
  Result result_;
};

}  // namespace

int work(int supervisor, const Limits& limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != supervisor) return 1;  // it died before this process asked to be told
  std::string unprotected = restrict_this_process(limits);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what was written before a crash is not lost
  Worker(std::move(unprotected)).run();
}

}  // namespace grpo::plugins::isolate
