#include "caller.hpp"

#include "grpo/sdk/plugins/call.hpp"

namespace grpo::plugins::conformance {

Caller::Caller(Fields fields) : call_("the grpo_call", fields) {
  call_->host = this;
  call_->cancelled = [](const grpo_call* p) noexcept -> std::int32_t {
    Caller& c = self(p);
    const std::int64_t asked = ++c.asked_;
    return c.stop.load() || (c.stop_after >= 0 && asked > c.stop_after) ||
           (p->deadline_ns && monotonic_now_ns() > p->deadline_ns);
  };
  call_->alloc = [](const grpo_call* p, std::int64_t size) noexcept -> void* {
    Caller& c = self(p);
    if (c.no_memory || size < 0) return nullptr;
    try {
      std::lock_guard lock(c.mutex_);
      // The contract aligns to 64 bytes, so the block's end is as exact as that allows.
      c.given_.emplace_back((static_cast<std::size_t>(size) + 63) / 64 * 64, "a block from call->alloc");
      return c.given_.back().data();
    } catch (...) {
      return nullptr;
    }
  };
  call_->fail = [](const grpo_call* p, grpo_status status, const char* text, std::int64_t size) noexcept {
    Caller& c = self(p);
    try {
      std::lock_guard lock(c.mutex_);
      if (c.error_.empty() && text && size > 0) c.error_.assign(text, static_cast<std::size_t>(size));
    } catch (...) {
    }
    return status;
  };
  call_->progress = [](const grpo_call*, double, double) noexcept {};
  call_->service = [](const grpo_call* p, const char* id) noexcept -> const void* {
    const auto& services = self(p).services;
    for (const auto& [known, table] : services)
      if (known == id) return table;
    return nullptr;
  };
}

std::string Caller::error() const {
  std::lock_guard lock(mutex_);
  return error_;
}

void Caller::end() {
  std::lock_guard lock(mutex_);
  for (Pages& p : given_) p.inaccessible();
  call_.pages().inaccessible();
}

std::string status_text(grpo_status status) {
  return std::string(status_name(status)) + " (" + std::to_string(status) + ")";
}

}  // namespace grpo::plugins::conformance
