#include "call.hpp"

#include <algorithm>
#include <cmath>

#include "grpo/sdk/plugins/call.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace grpo::plugins::check {
namespace {
constexpr std::int64_t longest_text = 16 * 1024;
}

CallState::CallState(Opened& o) : owner(o) {
  table.struct_size = sizeof table;
  table.host = this;
  table.cancelled = [](const grpo_call* call) noexcept -> std::int32_t {
    CallState& s = self(call);
    return s.stale("cancelled") ? 1 : s.outer->cancelled(s.outer);
  };
  table.alloc = [](const grpo_call* call, std::int64_t size) noexcept -> void* { return self(call).alloc(size); };
  table.fail = [](const grpo_call* call, grpo_status status, const char* text, std::int64_t size) noexcept {
    return self(call).fail(status, text, size);
  };
  table.progress = [](const grpo_call* call, double done, double total) noexcept { self(call).progress(done, total); };
  table.service = [](const grpo_call* call, const char* id) noexcept -> const void* { return self(call).service(id); };
}

void CallState::begin(const grpo_call* from, const char* name) {
  if (scratch.touched()) owner.broken(rule::memory_kept, function, "memory of an earlier call was touched");
  scratch.begin();
  outer = from;
  function = name;
  table.deadline_ns = from->deadline_ns;
  {
    std::lock_guard lock(mutex_);
    said_.clear();
  }
  live.store(true, std::memory_order_release);
}

void CallState::end() {
  live.store(false, std::memory_order_release);
  scratch.end();
}

std::string CallState::said() {
  std::lock_guard lock(mutex_);
  return said_;
}

bool CallState::asked_to_stop() const {
  return outer->cancelled(outer) != 0 || (outer->deadline_ns != 0 && monotonic_now_ns() >= outer->deadline_ns);
}

bool CallState::stale(const char* what) {
  if (live.load(std::memory_order_acquire)) return false;
  owner.broken(rule::call_stale, function, std::string("call->") + what + " after the function had returned");
  return true;
}

void* CallState::alloc(std::int64_t size) {
  if (stale("alloc")) return nullptr;
  try {
    if (size < 0) {
      owner.broken(rule::call_alloc_size, function, "alloc of " + std::to_string(size) + " bytes");
      return nullptr;
    }
    if (!outer->alloc(outer, size)) return nullptr;  // counts against the caller's limit
    return scratch.allocate(size);
  } catch (...) {
    return nullptr;
  }
}

grpo_status CallState::fail(grpo_status status, const char* text, std::int64_t size) {
  if (stale("fail")) return status;
  try {
    if (status <= GRPO_STATUS_OK || status > GRPO_STATUS_END)
      owner.broken(rule::call_fail_status, function, "call->fail with the status " + std::to_string(status));
    if (!text || size <= 0 || !is_utf8(text, size))
      owner.broken(rule::call_fail_text, function,
                   !text || size <= 0 ? "call->fail without a text" : "call->fail with a text that is not UTF-8");
    std::lock_guard lock(mutex_);
    if (said_.empty() && text && size > 0) said_.assign(text, static_cast<std::size_t>(std::min(size, longest_text)));
  } catch (...) {  // no memory for the text: the status still tells
  }
  return status;
}

void CallState::progress(double done, double total) {
  if (stale("progress")) return;
  if (!std::isfinite(done) || !std::isfinite(total) || done < 0 || done > total)
    owner.broken(rule::call_progress, function,
                 "progress of " + std::to_string(done) + " out of " + std::to_string(total));
  outer->progress(outer, done, total);
}

const void* CallState::service(const char* id) {
  if (stale("service")) return nullptr;
  if (!id) {
    owner.broken(rule::call_service, function, "call->service(NULL)");
    return nullptr;
  }
  return owner.service(outer->service(outer, id), id);
}

}  // namespace grpo::plugins::check
