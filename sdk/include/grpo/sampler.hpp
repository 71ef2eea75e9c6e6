// sampler.hpp: a sampler in C++17 or later, one class.
//
// Main idea. A sampler that works in the model's process derives from grpo::bound_sampler, which keeps the binding, the
// weights' version and the requests that were cancelled; what is left to write is generate. See examples/sampler-cpp
// for a whole one.
//
//     struct my_sampler : grpo::bound_sampler {
//       explicit my_sampler(grpo::options);                                    // or (grpo::options, grpo::host)
//       void generate(grpo::feed& feed, const grpo::call& call);
//     };
//     GRPO_SAMPLER(my_sampler, "mine");
//
// A sampler with an engine of its own is a class with the functions of the table; those marked optional come together,
// as the flags of its description ask for them. See sampler.h for what each must do:
//
//     struct my_engine {
//       explicit my_engine(grpo::options);
//       const grpo_sampler_info& info() const noexcept;
//       void generate(grpo::feed&, const grpo::call&);
//       void cancel(std::uint64_t request) noexcept;                           // [any thread]
//       const grpo_tensor_sink* update_begin(std::int64_t version, const grpo::call&);   // GRPO_SAMPLER_UPDATES
//       void update_end(bool accept, const grpo::call&);
//       void pause(std::int32_t mode, const grpo::call&);                                // GRPO_SAMPLER_BESIDE
//       void resume(const grpo::call&);
//     };
#ifndef GRPO_SAMPLER_HPP
#define GRPO_SAMPLER_HPP

#include <grpo/sampler.h>

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "boundary.hpp"

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {

// One sample, finished. What it points to is copied by deliver.
struct completion {
  std::uint64_t request = 0;
  std::int64_t index = 0;  // which sample of the request
  id_view ids = {};
  span<const float> logprob = {};          // [ids] of `logprob_kind`
  span<const float> logprob_sampled = {};  // [ids] or none
  std::int32_t finish = GRPO_FINISH_STOP;
  std::int32_t logprob_kind = GRPO_LOGPROB_TEMPERED;
  std::int64_t version = 0;                     // of the weights that gave the last token
  span<const std::int64_t> token_version = {};  // [ids]; none: all `version`
};

// Where requests come from and completions go. As long as generate runs.
class feed {
 public:
  feed(const grpo_feed* f, const grpo_call* c) : f_(f), c_(c) {}

  // The next request, valid until its last completion is delivered; NULL: none now (after waiting for up to wait_ns),
  // or ended(). Throws failure when the host wants generate to end.
  const grpo_request* next(std::int64_t wait_ns) {
    const grpo_request* request = nullptr;
    const grpo_status status = ended_ ? grpo_status{GRPO_STATUS_END} : f_->next(f_, c_, wait_ns, &request);
    if (status == GRPO_STATUS_AGAIN) return nullptr;
    ended_ = status == GRPO_STATUS_END;
    if (ended_) return nullptr;
    need(status);
    return request;
  }
  bool ended() const { return ended_; }  // no request will come

  void deliver(const completion& done) {
    static constexpr std::int32_t no_id = 0;  // arrays without elements are arrays all the same
    static constexpr float no_number = 0;
    const bool empty = done.ids.empty();
    grpo_completion c{};
    c.struct_size = sizeof c;
    c.request = done.request;
    c.index = done.index;
    c.n = static_cast<std::int64_t>(done.ids.size());
    c.ids = empty ? &no_id : done.ids.data();
    c.finish = done.finish;
    c.logprob_kind = done.logprob_kind;
    if (done.logprob_kind != GRPO_LOGPROB_NONE) c.logprob = empty ? &no_number : done.logprob.data();
    c.logprob_sampled = done.logprob_sampled.data();
    c.version = done.version;
    c.token_version = done.token_version.data();
    need(f_->deliver(f_, c_, &c));
  }

 private:
  const grpo_feed* f_;
  const grpo_call* c_;
  bool ended_ = false;
};

// What a step of the decoder made, by row. Kept from step to step for its memory.
class decoded {
 public:
  id_view ids(std::size_t row) const { return {token_.data() + row * room_, n(row)}; }
  span<const float> logprob(std::size_t row) const { return {logprob_.data() + row * room_, n(row)}; }
  span<const float> logprob_sampled(std::size_t row) const { return {sampled_.data() + row * room_, n(row)}; }
  std::int32_t ended(std::size_t row) const { return ended_[row]; }  // GRPO_FINISH_NONE: it goes on

 private:
  friend class decode_session;
  std::int64_t n(std::size_t row) const { return count_[row]; }
  std::size_t room_ = 0;
  std::vector<std::int32_t> token_, count_, ended_;
  std::vector<float> logprob_, sampled_;
};

// A session of the model's decoder; closed with the object. [same thread, open to close]. Its functions throw failure;
// what they take and do is in decode.h.
class decode_session {
 public:
  decode_session() = default;
  decode_session(const grpo_decode* table, void* model, const grpo_call* c, std::int64_t slots, std::int64_t tokens)
      : table_(table) {
    grpo_decode_session wanted{};
    wanted.struct_size = sizeof wanted;
    wanted.slots = slots;
    wanted.tokens = tokens;
    need(table->session_open(model, c, &wanted, &session_));
    open_ = true;
  }
  decode_session(decode_session&& other) noexcept { swap(other); }
  decode_session& operator=(decode_session&& other) noexcept {
    decode_session old(std::move(*this));
    swap(other);
    return *this;
  }
  ~decode_session() {
    if (open_) table_->session_close(session_);
  }

  explicit operator bool() const { return open_; }
  std::int64_t free_tokens() const { return table_->free_tokens(session_); }

  // Slot i gets token[start[i] .. start[i + 1]).
  void prefill(const grpo_call* c, span<const std::int64_t> slot, span<const std::int64_t> start, id_view token,
               std::uint32_t flags = 0) {
    grpo_decode_prefill a{};
    a.struct_size = sizeof a;
    a.flags = flags;  // GRPO_PREFILL_*
    a.n = size_of(slot);
    a.slot = slot.data();
    a.start = start.data();
    a.token = token.data();
    need(table_->prefill(session_, c, &a));
  }
  void prefill(const grpo_call* c, std::int64_t slot, id_view token, std::uint32_t flags = 0) {
    const std::int64_t start[] = {0, size_of(token)};
    prefill(c, {&slot, 1}, {start, 2}, token, flags);
  }
  void fork(const grpo_call* c, span<const std::int64_t> from, span<const std::int64_t> to) {
    grpo_decode_fork a{};
    a.struct_size = sizeof a;
    a.n = size_of(to);
    a.from = from.data();
    a.to = to.data();
    need(table_->fork(session_, c, &a));
  }
  void assign(const grpo_call* c, span<const std::int64_t> slot, span<const std::uint64_t> key,
              span<const grpo_sampling* const> sampling) {
    grpo_decode_assign a{};
    a.struct_size = sizeof a;
    a.n = size_of(slot);
    a.slot = slot.data();
    a.key = key.data();
    a.sampling = sampling.data();
    need(table_->assign(session_, c, &a));
  }
  // Up to `room` tokens for each slot.
  void step(const grpo_call* c, span<const std::int64_t> slot, std::int64_t room, decoded& out) {
    const std::size_t n = slot.size(), cells = n * static_cast<std::size_t>(room);
    out.room_ = static_cast<std::size_t>(room);
    if (out.token_.size() < cells) {
      out.token_.resize(cells);
      out.logprob_.resize(cells);
      out.sampled_.resize(cells);
    }
    out.count_.assign(n, 0);
    out.ended_.assign(n, GRPO_FINISH_NONE);
    grpo_decode_step a{};
    a.struct_size = sizeof a;
    a.n = size_of(slot);
    a.room = room;
    a.slot = slot.data();
    a.token = out.token_.data();
    a.count = out.count_.data();
    a.ended = out.ended_.data();
    a.logprob = out.logprob_.data();
    a.logprob_sampled = out.sampled_.data();
    need(table_->step(session_, c, &a));
    for (const std::int32_t made : out.count_)
      if (made < 0 || made > room)
        throw failure("a step of the model says that it made " + std::to_string(made) + " tokens, of at most " +
                      std::to_string(room));
  }
  void release(span<const std::int64_t> slot) { table_->release(session_, size_of(slot), slot.data()); }

 private:
  template <class T>
  static std::int64_t size_of(span<T> list) {
    return static_cast<std::int64_t>(list.size());
  }
  void swap(decode_session& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(session_, other.session_);
    std::swap(open_, other.open_);
  }
  const grpo_decode* table_ = nullptr;
  void* session_ = nullptr;
  bool open_ = false;  // NULL may be a session too
};

// The base of a sampler that drives the decoder of a model in its own process.
class bound_sampler {
 public:
  const grpo_sampler_info& info() const noexcept { return info_; }
  void bind(const grpo_sampler_binding& to, const call&) {
    if (!to.decode_table)
      throw failure(GRPO_STATUS_UNSUPPORTED,
                    "this model offers no grpo.decode/1: choose another model, or a sampler with an engine of its own");
    bound_ = &to;
    info_.sampling |= decoder().sampling;
  }
  void model_changed(std::int64_t version) noexcept { version_ = version; }
  void cancel(std::uint64_t request) noexcept {
    try {
      const std::lock_guard lock(mutex_);
      cancels_.push_back(request);
      any_cancel_.store(true, std::memory_order_release);
    } catch (...) {  // out of memory: the request runs to its own end, which the contract allows
    }
  }

 protected:
  bound_sampler() {
    info_.struct_size = sizeof info_;
    info_.flags = GRPO_SAMPLER_BINDS;
    info_.logprob_kind = GRPO_LOGPROB_TEMPERED;
  }
  bound_sampler(const bound_sampler&) = delete;
  bound_sampler& operator=(const bound_sampler&) = delete;
  ~bound_sampler() = default;

  // After bind.
  const grpo_model_info& model() const { return *bound_->model_table->describe(bound_->model); }
  const grpo_decode_info& decoder() const { return *bound_->decode_table->describe(bound_->model); }
  std::int64_t version() const { return version_; }  // of the model's weights
  // Throws failure; GRPO_STATUS_NO_MEMORY: ask for less.
  decode_session open_session(const grpo_call* c, std::int64_t slots, std::int64_t tokens) const {
    return {bound_->decode_table, bound_->model, c, slots, tokens};
  }
  // The requests whose end was asked for since the last time. A few ns when there are none.
  void take_cancels(std::vector<std::uint64_t>& requests) {
    requests.clear();
    if (!any_cancel_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex_);
    std::swap(requests, cancels_);
    any_cancel_.store(false, std::memory_order_relaxed);
  }

  grpo_sampler_info info_{};  // bind adds what the decoder can do

 private:
  const grpo_sampler_binding* bound_ = nullptr;
  std::int64_t version_ = 0;
  std::mutex mutex_;
  std::vector<std::uint64_t> cancels_;
  std::atomic<bool> any_cancel_{false};
};

namespace detail {

template <class T>
using uses_generate = decltype(std::declval<T&>().generate(std::declval<feed&>(), std::declval<const call&>()));
template <class T>
using uses_info = decltype(std::declval<T&>().info());
template <class T>
using uses_cancel = decltype(std::declval<T&>().cancel(std::uint64_t{}));
template <class T>
using uses_binding =
    decltype(std::declval<T&>().bind(std::declval<const grpo_sampler_binding&>(), std::declval<const call&>()));
template <class T>
using uses_updates = decltype(std::declval<T&>().update_end(true, std::declval<const call&>()));
template <class T>
using uses_resume = decltype(std::declval<T&>().resume(std::declval<const call&>()));

}  // namespace detail

template <class Sampler>
struct sampler_table {
  static_assert(detail::has<detail::uses_generate, Sampler>::value,
                "a sampler has `void generate(grpo::feed&, const grpo::call&)`");
  static_assert(detail::has<detail::uses_info, Sampler>::value && detail::has<detail::uses_cancel, Sampler>::value,
                "a sampler has `const grpo_sampler_info& info() const noexcept` and `void cancel(std::uint64_t) "
                "noexcept`, or gets them from grpo::bound_sampler");
  static constexpr bool binds = detail::has<detail::uses_binding, Sampler>::value;

  static Sampler& own(void* handle) { return detail::own<Sampler>(handle); }
  static const grpo_sampler_info* describe(void* handle) noexcept { return &own(handle).info(); }
  static grpo_status bind(void* handle, const grpo_call* c, const grpo_sampler_binding* to) noexcept {
    return detail::guarded_bind<Sampler>(handle, c, [&](Sampler& s) { s.bind(*to, call(c)); });
  }
  static void model_changed(void* handle, std::int64_t version) noexcept { own(handle).model_changed(version); }
  static grpo_status generate(void* handle, const grpo_call* c, const grpo_feed* f) noexcept {
    const auto run = [&](Sampler& s) {
      feed from(f, c);
      s.generate(from, call(c));
    };
    if constexpr (binds) {
      return detail::guarded_bound<Sampler>(handle, c, run);
    } else {
      return detail::guarded<Sampler>(c, [&] { run(own(handle)); });
    }
  }
  static void cancel(void* handle, std::uint64_t request) noexcept { own(handle).cancel(request); }
  static grpo_status pause(void* handle, const grpo_call* c, std::int32_t mode) noexcept {
    return detail::guarded<Sampler>(c, [&] { own(handle).pause(mode, call(c)); });
  }
  static grpo_status resume(void* handle, const grpo_call* c) noexcept {
    return detail::guarded<Sampler>(c, [&] { own(handle).resume(call(c)); });
  }
  static grpo_status update_begin(void* handle, const grpo_call* c, std::int64_t version,
                                  const grpo_tensor_sink** sink) noexcept {
    return detail::guarded<Sampler>(c, [&] { *sink = own(handle).update_begin(version, call(c)); });
  }
  static grpo_status update_end(void* handle, const grpo_call* c, std::int32_t accept) noexcept {
    return detail::guarded<Sampler>(c, [&] { own(handle).update_end(accept != 0, call(c)); });
  }

  static constexpr grpo_sampler make() {
    grpo_sampler t{};
    t.struct_size = sizeof t;
    t.open = detail::open<Sampler>;
    t.close = detail::close<Sampler>;
    t.describe = describe;
    t.generate = generate;
    t.cancel = cancel;
    if constexpr (binds) {
      t.bind = bind;
      t.model_changed = model_changed;
    }
    if constexpr (detail::has<detail::uses_updates, Sampler>::value) {
      t.update_begin = update_begin;
      t.update_end = update_end;
    }
    if constexpr (detail::has<detail::uses_resume, Sampler>::value) {
      t.pause = pause;
      t.resume = resume;
    }
    return t;
  }
  static constexpr grpo_sampler table = make();
};

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#define GRPO_SAMPLER(Type, name) GRPO_PLUGIN_ONE(GRPO_SAMPLER_ID, name, &grpo::sampler_table<Type>::table)

#endif
