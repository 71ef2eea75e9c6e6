// caller.hpp: a grpo_call as strict as the contract allows, and structs as a later host would pass them.
#ifndef GRPO_VALIDATE_CALLER_HPP
#define GRPO_VALIDATE_CALLER_HPP

#include <grpo/base.h>

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "pages.hpp"

namespace grpo::plugins::conformance {

// How structs are passed.
enum class Fields {
  plain,   // as these headers have them
  longer,  // as a later host has them: more bytes, zero
  noisy    // more bytes, not zero: a plugin that does not know the fields does not look at them
};
inline constexpr std::size_t tail_bytes = 96;

// A [grows] struct of the host's. It ends where an inaccessible page begins, so reading a field that it does not have
// is a fault; `intact` compares it with what it was.
template <class T>
class Struct {
 public:
  explicit Struct(const char* what, Fields fields = Fields::plain)
      : pages_(sizeof(T) + (fields == Fields::plain ? 0 : tail_bytes), what) {
    static_assert(sizeof(T) % alignof(T) == 0);
    get()->struct_size = static_cast<std::uint32_t>(pages_.size());
    if (fields == Fields::noisy) std::memset(pages_.as<char>() + sizeof(T), 0x5A, tail_bytes);
  }
  T* get() const { return pages_.as<T>(); }
  T* operator->() const { return get(); }
  operator const T*() const { return get(); }
  void seal() {  // the contract: a reader never writes into it
    pages_.read_only();
  }
  Pages& pages() { return pages_; }

 private:
  Pages pages_;
};

template <class T>
T made() {  // a [grows] struct as its maker makes it
  T out{};
  out.struct_size = sizeof(T);
  return out;
}

class Caller {
 public:
  explicit Caller(Fields fields = Fields::plain);
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  operator const grpo_call*() const { return call_; }
  std::string error() const;
  bool spoke() const { return !error().empty(); }
  std::int64_t asked() const { return asked_.load(); }  // how often cancelled() was called

  // Before the call.
  std::atomic<bool> stop{false};  // cancelled() is true
  std::int64_t stop_after = -1;   // cancelled() is true from its so many-th asking on
  bool no_memory = false;         // alloc gives NULL
  void deadline(std::int64_t monotonic_ns) { call_->deadline_ns = monotonic_ns; }
  std::map<std::string, const void*> services;  // empty: none, as in another trainer
  // The call is over: neither it nor what alloc gave may be touched any more. For one call only.
  void end();

 private:
  static Caller& self(const grpo_call* p) { return *static_cast<Caller*>(p->host); }
  Struct<grpo_call> call_;
  mutable std::mutex mutex_;
  std::string error_;
  std::vector<Pages> given_;
  std::atomic<std::int64_t> asked_{0};
};

std::string status_text(grpo_status status);  // "failed (1)"

}  // namespace grpo::plugins::conformance

#endif
