// author.hpp: the words that reward.hpp, optimizer.hpp, sampler.hpp and model.hpp share.
//
// Main idea. A plugin in C++ is a class; its functions throw. Whatever they throw becomes a status with a text at the
// one place where C++ meets the C tables (boundary.hpp). `throw grpo::failure("what, and the way out")` is all that an
// author needs; the host puts the component's name before it.
//
// C++17 or later. Nothing here owns what the host owns: these are views, valid as long as the C header says.
#ifndef GRPO_AUTHOR_HPP
#define GRPO_AUTHOR_HPP

#include <grpo/host.h>
#include <grpo/plugin.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(hidden)  // two plugins' copies of this are never one, however they are linked
namespace grpo {
inline namespace v1 {

inline std::string_view view(grpo_str s) { return {s.data, static_cast<std::size_t>(s.size)}; }

// n elements that lie one after the other, somebody else's. std::span of C++20 is made from one without a cast.
template <class T>
class span {
 public:
  using value_type = std::remove_cv_t<T>;
  using iterator = T*;
  using const_iterator = T*;
  constexpr span() = default;
  template <class Number, class = std::enable_if_t<std::is_integral_v<Number>>>
  constexpr span(T* data, Number n) : data_(data), n_(static_cast<std::size_t>(n)) {}
  template <class Container, class = decltype(static_cast<T*>(std::declval<Container&>().data()))>
  constexpr span(Container& from) : data_(from.data()), n_(from.size()) {}
  template <class Container, class = decltype(static_cast<T*>(std::declval<const Container&>().data()))>
  constexpr span(const Container& from) : data_(from.data()), n_(from.size()) {}
  constexpr T* begin() const { return data_; }
  constexpr T* end() const { return data_ + n_; }
  constexpr T* data() const { return data_; }
  constexpr std::size_t size() const { return n_; }
  constexpr bool empty() const { return n_ == 0; }
  constexpr T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t n_ = 0;
};
using id_view = span<const std::int32_t>;  // token ids

// What a plugin throws: a status and a text for a person.
class failure : public std::runtime_error {
 public:
  explicit failure(const std::string& text) : failure(GRPO_STATUS_FAILED, text) {}
  failure(grpo_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
  grpo_status status() const noexcept { return status_; }

 private:
  grpo_status status_;
};

// For what a function of the other side returned: it has told the call why it failed, so nothing is added.
inline void need(grpo_status status) {
  if (status != GRPO_STATUS_OK) throw failure(status, "");
}

// The call that a function was given. [any thread]; valid until the function returns.
class call {
 public:
  explicit call(const grpo_call* c) : c_(c) {}
  const grpo_call* raw() const { return c_; }
  operator const grpo_call*() const { return c_; }

  bool cancelled() const { return c_->cancelled(c_) != 0; }
  // Throws failure once the host has cancelled the call or its deadline has passed. Some ns.
  void stop_if_asked() const {
    if (!cancelled()) return;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const bool late = c_->deadline_ns != 0 && std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec >= c_->deadline_ns;
    throw failure(late ? GRPO_STATUS_DEADLINE : GRPO_STATUS_CANCELLED,
                  late ? "the deadline has passed" : "it was stopped by the host");
  }
  // n of them, zeroed, freed by the host when the function has returned. Throws failure when there is no memory.
  template <class T>
  span<T> alloc(std::int64_t n) const {
    static_assert(std::is_trivial_v<T>, "nothing is constructed or destroyed here");
    void* memory = c_->alloc(c_, n * static_cast<std::int64_t>(sizeof(T)));
    if (!memory) throw failure(GRPO_STATUS_NO_MEMORY, "no memory");
    return {static_cast<T*>(memory), n};
  }
  void progress(double done, double total) const { c_->progress(c_, done, total); }

 private:
  const grpo_call* c_;
};

// A call that keeps the text of a failure to itself and passes all else on. For the host the first text of a call
// stays, so a question that may be answered with no would spoil the text of a later error.
class quiet_call {
 public:
  explicit quiet_call(const grpo_call* asked) : asked_(asked) {
    mine_.self = this;
    grpo_call& c = mine_.call;
    c.struct_size = sizeof c;
    c.host = asked->host;
    c.deadline_ns = asked->deadline_ns;
    c.cancelled = [](const grpo_call* p) { return of(p)->cancelled(of(p)); };
    c.alloc = [](const grpo_call* p, std::int64_t size) { return of(p)->alloc(of(p), size); };
    c.progress = [](const grpo_call* p, double done, double total) { of(p)->progress(of(p), done, total); };
    c.service = [](const grpo_call* p, const char* id) { return of(p)->service(of(p), id); };
    c.fail = [](const grpo_call* p, grpo_status status, const char* text, std::int64_t size) noexcept {
      std::string& kept = reinterpret_cast<const tagged*>(p)->self->text_;
      try {
        if (kept.empty()) kept.assign(text, static_cast<std::size_t>(size));
      } catch (...) {  // no memory for the text: the status is told all the same
      }
      return status;
    };
  }
  quiet_call(const quiet_call&) = delete;
  quiet_call& operator=(const quiet_call&) = delete;
  operator const grpo_call*() const { return &mine_.call; }
  const std::string& text() const { return text_; }  // of the first failure

 private:
  struct tagged {
    grpo_call call;  // found by its address, so it comes first
    quiet_call* self;
  };
  static const grpo_call* of(const grpo_call* c) { return reinterpret_cast<const tagged*>(c)->self->asked_; }
  tagged mine_{};
  const grpo_call* asked_;
  std::string text_;
};

// Checked against the manifest by the host. Valid in the constructor; texts stay valid as long as the object.
class options {
 public:
  explicit options(const grpo_options* o) : o_(o) {}
  double number(const char* key, double otherwise) const { return grpo_option_number(o_, key, otherwise); }
  std::int64_t integer(const char* key, std::int64_t otherwise) const {
    return grpo_option_integer(o_, key, otherwise);
  }
  bool boolean(const char* key, bool otherwise) const { return grpo_option_integer(o_, key, otherwise) != 0; }
  // A string; a list or an object as JSON.
  std::string_view text(const char* key, std::string_view otherwise) const {
    grpo_str s;
    return o_->text(o_, key, &s) ? view(s) : otherwise;
  }
  std::string_view json() const { return view(o_->json); }
  const grpo_options* raw() const { return o_; }

  // The same, in least .. most, or less than `below`; else failure (GRPO_STATUS_INVALID) that names the key. For hosts
  // that do not read manifests, and for limits that a manifest cannot say.
  double number(const char* key, double otherwise, double least, double most) const {
    const double value = number(key, otherwise);
    if (value >= least && value <= most) return value;
    refuse(key, written(value), "in " + written(least) + " .. " + written(most));
  }
  double number_below(const char* key, double otherwise, double least, double below) const {
    const double value = number(key, otherwise);
    if (value >= least && value < below) return value;
    refuse(key, written(value), "at least " + written(least) + " and below " + written(below));
  }
  std::int64_t integer(const char* key, std::int64_t otherwise, std::int64_t least, std::int64_t most) const {
    const std::int64_t value = integer(key, otherwise);
    if (value >= least && value <= most) return value;
    refuse(key, std::to_string(value), "in " + std::to_string(least) + " .. " + std::to_string(most));
  }
  std::string_view text(const char* key, std::string_view otherwise,
                        std::initializer_list<std::string_view> choices) const {
    const std::string_view value = text(key, otherwise);
    std::string list;
    for (const std::string_view choice : choices) {
      if (choice == value) return value;
      list += (list.empty() ? "" : ", ") + std::string(choice);
    }
    refuse(key, "`" + std::string(value) + "`", "one of " + list);
  }

 private:
  [[noreturn]] static void refuse(const char* key, const std::string& value, const std::string& range) {
    throw failure(GRPO_STATUS_INVALID, std::string("option ") + key + " is " + value + ", and must be " + range);
  }
  static std::string written(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", x);
    return text;
  }
  const grpo_options* o_;
};

// What the host offers, or nothing: every function may be called either way. Valid as long as the object. [any thread]
class host {
 public:
  explicit host(const grpo_call* open)
      : log_(service<grpo_log>(open, GRPO_LOG_ID)),
        metrics_(service<grpo_metrics>(open, GRPO_METRICS_ID)),
        tokenizer_(service<grpo_tokenizer>(open, GRPO_TOKENIZER_ID)),
        tasks_(service<grpo_tasks>(open, GRPO_TASKS_ID)),
        comm_(service<grpo_comm>(open, GRPO_COMM_ID)) {}
  // A line for the run's log; level: GRPO_LOG_INFO, GRPO_LOG_WARNING, ...
  void log(std::int32_t level, std::string_view line) const {
    if (log_ && level >= log_->level) log_->write(log_, level, line.data(), static_cast<std::int64_t>(line.size()));
  }
  // Reported as plugin/<component>/<name>, the mean over the step.
  void metric(const char* name, double value) const {
    if (metrics_) metrics_->add(metrics_, name, value);
  }
  // NULL: the host has none.
  const grpo_tokenizer* tokenizer() const { return tokenizer_; }
  const grpo_tasks* tasks() const { return tasks_; }
  const grpo_comm* comm() const { return comm_; }

 private:
  template <class T>
  static const T* service(const grpo_call* open, const char* id) {
    return static_cast<const T*>(open->service(open, id));
  }
  const grpo_log* log_;
  const grpo_metrics* metrics_;
  const grpo_tokenizer* tokenizer_;
  const grpo_tasks* tasks_;
  const grpo_comm* comm_;
};

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#endif
