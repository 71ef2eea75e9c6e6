#include "grpo/sdk/plugins/call.hpp"

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/plugins/services.hpp"
#include "utf8.hpp"

namespace grpo::plugins {
namespace {

constexpr std::int64_t alignment = 64;
constexpr std::int64_t default_limit = std::int64_t{4} << 30;
constexpr std::int64_t longest_error = 16 * 1024;
constexpr std::int64_t century_ns = std::int64_t{3'155'760'000} * 1'000'000'000;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::int64_t least_block = alignment;  // each allocation by itself, so that an overrun is seen
#else
constexpr std::int64_t least_block = 64 * 1024;
#endif

}  // namespace

// Blocks that are filled one after the other. reset keeps the largest: the next call mostly needs as much again.
struct Call::Arena {
  struct Block {
    void* memory;
    std::int64_t size, used;
  };
  std::mutex mutex;
  std::vector<Block> blocks;
  std::int64_t given = 0, limit = default_limit;

  void* take(std::int64_t size) {
    std::lock_guard lock(mutex);
    if (size < 0 || size > limit - given || size > INT64_MAX - alignment) return nullptr;
    const std::int64_t rounded = size == 0 ? alignment : (size + alignment - 1) / alignment * alignment;
    if (blocks.empty() || blocks.back().size - blocks.back().used < rounded) {
      const std::int64_t want = rounded > least_block ? rounded : least_block;
      void* memory = std::aligned_alloc(alignment, static_cast<std::size_t>(want));
      if (!memory) return nullptr;
      blocks.push_back({memory, want, 0});
    }
    Block& block = blocks.back();
    void* out = static_cast<char*>(block.memory) + block.used;
    std::memset(out, 0, static_cast<std::size_t>(rounded));
    block.used += rounded;
    given += size;
    return out;
  }
  void reset() {
    std::size_t largest = 0;
    for (std::size_t i = 1; i < blocks.size(); ++i) {
      if (blocks[i].size > blocks[largest].size) largest = i;
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i != largest || least_block == alignment) std::free(blocks[i].memory);
    }
    if (!blocks.empty())
      blocks = least_block == alignment ? std::vector<Block>()
                                        : std::vector<Block>{{blocks[largest].memory, blocks[largest].size, 0}};
    given = 0;
  }
  ~Arena() {
    for (const Block& block : blocks) std::free(block.memory);
  }
};

Call::Call(std::shared_ptr<const ComponentServices> services)
    : services_(std::move(services)), arena_(std::make_unique<Arena>()) {
  call_.struct_size = sizeof call_;
  call_.host = this;
  call_.cancelled = [](const grpo_call* c) noexcept -> std::int32_t {
    return static_cast<Call*>(c->host)->cancelled();
  };
  call_.alloc = [](const grpo_call* c, std::int64_t size) noexcept -> void* {
    try {
      return static_cast<Call*>(c->host)->arena_->take(size);
    } catch (...) {
      return nullptr;
    }
  };
  call_.fail = [](const grpo_call* c, grpo_status status, const char* text, std::int64_t size) noexcept -> grpo_status {
    Call& self = *static_cast<Call*>(c->host);
    try {
      std::lock_guard lock(self.error_mutex_);
      if (self.error_.empty() && text && size > 0) {
        self.error_ = valid_utf8({text, static_cast<std::size_t>(size < longest_error ? size : longest_error)});
      }
    } catch (...) {  // no memory for the text: the status still tells
    }
    return status;
  };
  call_.progress = [](const grpo_call* c, double done, double total) noexcept {
    Call& self = *static_cast<Call*>(c->host);
    try {
      if (self.progress_) self.progress_(done, total);
    } catch (...) {  // an exception may not pass through the plugin, and progress is not worth a failure
    }
  };
  call_.service = [](const grpo_call* c, const char* id) noexcept -> const void* {
    const auto& services = static_cast<Call*>(c->host)->services_;
    return services && id ? services->find(id) : nullptr;
  };
}

Call::~Call() = default;

// One that is longer than a century is none; added to the clock, INT64_MAX would be in the past.
void Call::set_timeout(std::chrono::nanoseconds from_now) {
  call_.deadline_ns = from_now.count() >= century_ns ? 0 : monotonic_now_ns() + from_now.count();
}
void Call::set_deadline(std::int64_t monotonic_ns) { call_.deadline_ns = monotonic_ns; }
void Call::set_memory_limit(std::int64_t bytes) { arena_->limit = bytes > 0 ? bytes : INT64_MAX; }
void Call::on_progress(std::function<void(double, double)> callback) { progress_ = std::move(callback); }
void Call::watch(const std::atomic<bool>* flag) { watched_ = flag; }

void Call::reset() {
  arena_->reset();
  error_.clear();
  cancelled_.store(0, std::memory_order_relaxed);
  watched_ = nullptr;
  call_.deadline_ns = 0;
}

bool Call::cancelled() const {
  return cancelled_.load(std::memory_order_relaxed) != 0 || (watched_ && watched_->load(std::memory_order_relaxed)) ||
         (call_.deadline_ns != 0 && monotonic_now_ns() >= call_.deadline_ns);
}

std::string Call::error() const {
  std::lock_guard lock(error_mutex_);
  return error_;
}

std::int64_t Call::allocated() const {
  std::lock_guard lock(arena_->mutex);
  return arena_->given;
}

std::string Call::failure(grpo_status status, const Component& who, const char* function) const {
  const std::string text = error();
  return who.label() + ": " + function + ": " + (text.empty() ? std::string("no reason given") : text) + " (" +
         status_name(status) + ")";
}

void Call::need(grpo_status status, const Component& who, const char* function) const {
  if (status != GRPO_STATUS_OK) throw CallError(failure(status, who, function), status);
}

const char* status_name(grpo_status status) {
  switch (status) {
    case GRPO_STATUS_OK:
      return "ok";
    case GRPO_STATUS_FAILED:
      return "failed";
    case GRPO_STATUS_INVALID:
      return "invalid arguments";
    case GRPO_STATUS_UNSUPPORTED:
      return "not supported";
    case GRPO_STATUS_CANCELLED:
      return "cancelled";
    case GRPO_STATUS_DEADLINE:
      return "deadline passed";
    case GRPO_STATUS_NO_MEMORY:
      return "out of memory";
    case GRPO_STATUS_AGAIN:
      return "nothing yet";
    case GRPO_STATUS_END:
      return "at the end";
    default:
      return "unknown status";
  }
}

std::chrono::nanoseconds duration_of(double seconds) {
  if (!(seconds > 0)) return std::chrono::nanoseconds(0);
  return std::chrono::nanoseconds(seconds < century_ns * 1e-9 ? static_cast<std::int64_t>(seconds * 1e9) : century_ns);
}

std::int64_t monotonic_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace grpo::plugins
