// boundary.hpp: where C++ ends. The functions of every table that reward.hpp, optimizer.hpp, sampler.hpp and model.hpp
// make run through here, so no exception leaves a plugin.
//
// What is thrown becomes                     status                  text
//   grpo::failure                            its own                 its own; empty: said already, by whoever failed
//   std::bad_alloc                           GRPO_STATUS_NO_MEMORY   "no memory"
//   std::exception                           GRPO_STATUS_FAILED      what()
//   anything else                            GRPO_STATUS_FAILED      "unknown exception"
//
// Two hooks, for classes that build on a library with habits of its own. Both are members of the plugin's class:
//
//     struct my_model {
//       // Exceptions of the library. Called while one is in flight: throw it again, catch what you know, throw a
//       // failure in its place. What you do not catch goes on as in the table above.
//       static void translate() {
//         try {
//           throw;
//         } catch (const their::out_of_memory& e) {
//           throw grpo::failure(GRPO_STATUS_NO_MEMORY, e.text());
//         }
//       }
//       // Made before each call and destroyed after it, on its thread: a guard for the library's per-thread mode.
//       using scope = their::no_gradients;
//     };
//
// Functions that have no status to fail with (describe, drop, release, cancel, ...) must not throw: the process ends.
#ifndef GRPO_BOUNDARY_HPP
#define GRPO_BOUNDARY_HPP

#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "author.hpp"

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {
namespace detail {

// Does Uses<T> compile? Uses is an alias for the type of an expression.
template <template <class> class Uses, class T, class = void>
struct has : std::false_type {};
template <template <class> class Uses, class T>
struct has<Uses, T, std::void_t<Uses<T>>> : std::true_type {};

template <class T>
using uses_translate = decltype(T::translate());

struct no_scope {};
template <class Author, class = void>
struct scope_of {
  using type = no_scope;
};
template <class Author>
struct scope_of<Author, std::void_t<typename Author::scope>> {
  using type = typename Author::scope;
};

// Runs body with the author's hooks.
template <class Author, class Body>
void with_hooks(Body&& body) {
  if constexpr (has<uses_translate, Author>::value) {
    try {
      [[maybe_unused]] const typename scope_of<Author>::type scope{};
      body();
    } catch (...) {
      Author::translate();
      throw;
    }
  } else {
    [[maybe_unused]] const typename scope_of<Author>::type scope{};
    body();
  }
}

// Runs body. OK, or what report(status, text) makes of an exception; `text` ends with the exception.
template <class Author, class Body, class Report>
grpo_status caught(Body&& body, Report&& report) noexcept {
  try {
    with_hooks<Author>(std::forward<Body>(body));
    return GRPO_STATUS_OK;
  } catch (const failure& e) {
    return report(e.status(), e.what());
  } catch (const std::bad_alloc&) {
    return report(grpo_status{GRPO_STATUS_NO_MEMORY}, "no memory");
  } catch (const std::exception& e) {
    return report(grpo_status{GRPO_STATUS_FAILED}, e.what());
  } catch (...) {
    return report(grpo_status{GRPO_STATUS_FAILED}, "unknown exception");
  }
}

// A function of a table.
template <class Author, class Body>
grpo_status guarded(const grpo_call* c, Body&& body) noexcept {
  return caught<Author>(std::forward<Body>(body), [c](grpo_status status, const char* text) {
    return *text ? grpo_fail(c, status, text) : status;
  });
}

// An author's object, from options and, if its constructor wants them, the host and the call to open.
template <class Author>
Author make(options o, host h, [[maybe_unused]] const grpo_call* c = nullptr) {
  static_assert(std::is_constructible_v<Author, options, host, call> ||
                    std::is_constructible_v<Author, options, host> || std::is_constructible_v<Author, options>,
                "a plugin's class has a constructor from grpo::options, or from grpo::options and grpo::host");
  if constexpr (std::is_constructible_v<Author, options, host, call>) {
    return Author(o, h, call(c));
  } else if constexpr (std::is_constructible_v<Author, options, host>) {
    return Author(o, h);
  } else {
    return Author(o);
  }
}

// What a handle points to.
template <class Author>
struct object {
  object(options o, host h, const grpo_call* c) : own(make<Author>(o, h, c)) {}
  Author own;
  bool bound = false;  // where the interface has a bind
};

template <class Author>
Author& own(void* handle) {
  return static_cast<object<Author>*>(handle)->own;
}

template <class Author>
grpo_status open(const grpo_call* c, const grpo_options* o, void** handle) noexcept {
  return guarded<Author>(c, [&] { *handle = new object<Author>(options(o), host(c), c); });
}

template <class Author>
void close(void* handle) noexcept {
  delete static_cast<object<Author>*>(handle);
}

// For functions that need a bind first, which comes once.
template <class Author, class Body>
grpo_status guarded_bind(void* handle, const grpo_call* c, Body&& body) noexcept {
  return guarded<Author>(c, [&] {
    auto& self = *static_cast<object<Author>*>(handle);
    if (self.bound) throw failure(GRPO_STATUS_INVALID, "bind was called before");
    body(self.own);
    self.bound = true;
  });
}
template <class Author, class Body>
grpo_status guarded_bound(void* handle, const grpo_call* c, Body&& body) noexcept {
  return guarded<Author>(c, [&] {
    auto& self = *static_cast<object<Author>*>(handle);
    if (!self.bound) throw failure(GRPO_STATUS_INVALID, "bind comes before anything else");
    body(self.own);
  });
}

}  // namespace detail
}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#endif
