// scratch.hpp: what a plugin is given in one call, in memory of its own.
//
// Main idea. Inputs are copied here and compared afterwards; result arrays lie here between guard bytes and are copied
// out. When the call has ended the pages are taken away (PROT_NONE): a plugin that kept a pointer faults, a handler
// gives the page back filled with poison, and the layer finds out at its next look (`touched`). Nobody is ended by it.
//
// The handler is installed with the first Scratch. Faults elsewhere go on to the handler that was there before.
#ifndef GRPO_PLUGINS_CHECK_SCRATCH_HPP
#define GRPO_PLUGINS_CHECK_SCRATCH_HPP

#include <grpo/base.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

namespace grpo::plugins::check {

inline constexpr unsigned char poison = 0xDB;

struct Damage {
  enum class Kind { none, input, result, allocation } kind = Kind::none;
  std::string what;  // "token", "completion of sample 3"
};

// For one call at a time.
class Scratch {
 public:
  explicit Scratch(std::size_t first_bytes = 32 * 1024);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void begin();  // gives the pages back, forgets what was in them
  void end();    // takes them away

  // A copy of n elements (nullptr of nullptr), which no one may write.
  template <class T>
  const T* input(const T* from, std::int64_t n, const char* what) {
    if (!from || n < 0) return from;
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
    void* mine = take(bytes);
    copy_bytes(mine, from, bytes);
    inputs_.push_back({mine, from, bytes, what});
    return static_cast<const T*>(mine);
  }
  // A [grows] struct that is changed before it goes to the plugin; lock(copy) when it is complete. At least sizeof(T).
  template <class T>
  T* structure(const T& from) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(structure(&from, from.struct_size, sizeof(T)));
  }
  template <class T>
  void lock(const T* structure, const char* what) {
    lock_bytes(structure, sizeof(T) > structure->struct_size ? sizeof(T) : structure->struct_size, what);
  }
  void lock_bytes(const void* mine, std::size_t bytes, const char* what);

  // A list of pointers that was made here, which no one may write.
  template <class T>
  T* list(const std::vector<T>& from, const char* what) {
    auto* mine = static_cast<T*>(take(from.size() * sizeof(T)));
    copy_bytes(mine, from.data(), from.size() * sizeof(T));
    lock_bytes(mine, from.size() * sizeof(T), what);
    return mine;
  }

  // Texts with all their bytes. whose: "row" or "sample".
  const grpo_str* texts(const grpo_str* from, std::int64_t n, const char* what, const char* whose);
  const char* name(const char* text, const char* what);

  // [any thread] n elements between guards, which hold what `to` holds now (nullptr of nullptr).
  template <class T>
  T* result(T* to, std::int64_t n, const char* what) {
    if (!to || n < 0) return to;
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
    std::lock_guard lock(mutex_);
    void* mine = guarded(bytes);
    copy_bytes(mine, to, bytes);
    results_.push_back({mine, to, bytes, what});
    return static_cast<T*>(mine);
  }
  void copy_out() const;  // results into the arrays that they stand for

  void* allocate(std::int64_t bytes);  // [any thread] between guards, zeroed; for call->alloc
  Damage damage() const;               // what was written that may not be: the first
  bool contains(const void* p) const;

  // Was something touched after end? Once.
  bool touched() { return touched_.exchange(false, std::memory_order_relaxed); }

 private:
  friend struct Fault;
  struct Region {
    char* base;
    std::size_t size, used;
    std::size_t entry;  // in the handler's list
  };
  struct Range {
    void* mine;
    const void* theirs;  // inputs: what it was copied from; structs: a copy kept in originals_, by offset
    std::size_t bytes;
    const char* what;
  };
  struct Result {
    void* mine;
    void* theirs;
    std::size_t bytes;
    const char* what;
  };
  struct Texts {
    const grpo_str* mine;
    const grpo_str* theirs;
    const char* first;
    std::int64_t n;
    const char *what, *whose;
  };
  struct Locked {
    const void* mine;
    std::size_t offset, bytes;  // of the original in originals_
    const char* what;
  };
  static void copy_bytes(void* to, const void* from, std::size_t bytes);
  void* take(std::size_t bytes);
  void* guarded(std::size_t bytes);
  void* structure(const void* from, std::size_t theirs, std::size_t ours);
  Region& add_region(std::size_t bytes);
  bool same(const Texts& texts, std::int64_t& at) const;

  std::size_t first_bytes_;
  std::vector<Region> regions_;
  std::size_t current_ = 0;
  std::vector<Range> inputs_;
  std::vector<Locked> locked_;
  std::vector<char> originals_;
  std::vector<Texts> texts_;
  std::vector<Result> results_;
  std::vector<Result> allocations_;  // theirs: nullptr
  std::mutex mutex_;                 // of result and allocate
  std::atomic<bool> touched_{false};
};

}  // namespace grpo::plugins::check

#endif
