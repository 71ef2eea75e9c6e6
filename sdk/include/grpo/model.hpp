// model.hpp: a model in C++17 or later, one class. See examples/model-cpp for a whole one.
//
//     struct my_model {
//       explicit my_model(grpo::options);                                      // or (grpo::options, grpo::host)
//       const grpo_model_info& info() noexcept;                                // the same object until it is destroyed
//       grpo::span<const grpo_parameter* const> parameters() const;
//       std::uint64_t forward(const grpo::forward_pass&, const grpo::call&);   // the ticket, if it trains; else 0
//
//       // with GRPO_MODEL_TRAIN
//       void backward(const grpo_backward&, const grpo::call&);
//       void drop(std::uint64_t ticket) noexcept;
//       void zero_grad(const grpo::call&);
//       void commit(std::int64_t version, const grpo::call&);
//       // to be saved, and to feed a sampler with an engine of its own
//       void export_weights(const grpo_tensor_sink&, const grpo::call&);
//       // with GRPO_MODEL_IMPORT
//       void import_weights(std::int64_t version, const grpo_tensor_source&, const grpo::call&);
//
//       // to be sampled from in its own process: grpo.decode/1, which the manifest then lists under "offers"
//       const grpo_decode_info& decoder() const noexcept;
//       std::unique_ptr<my_session> open_session(const grpo_decode_session&, const grpo::call&);
//     };
//     struct my_session {
//       std::int64_t free_tokens() const noexcept;
//       void prefill(const grpo_decode_prefill&, const grpo::call&);
//       void fork(const grpo_decode_fork&, const grpo::call&);
//       void assign(const grpo_decode_assign&, const grpo::call&);
//       void step(const grpo_decode_step&, const grpo::call&);
//       void release(grpo::span<const std::int64_t> slots) noexcept;
//     };
//     GRPO_MODEL(my_model, "mine");
//
// model.h and decode.h say what each must do. What is in the batch but not in the description's flags (explicit
// positions, extras, unknown flags) is refused before it arrives. The model's exception hooks (boundary.hpp) hold for
// its sessions too.
#ifndef GRPO_MODEL_HPP
#define GRPO_MODEL_HPP

#include <grpo/decode.h>

#include <cstring>
#include <memory>
#include <type_traits>

#include "boundary.hpp"
#include "forest_check.hpp"
#include "tensors.hpp"

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {

// A batch: packed tokens, and nodes that continue their parents.
class forest_view {
 public:
  explicit forest_view(const grpo_forest& f) : f_(f) {}
  id_view tokens() const { return {f_.token, f_.n_tokens}; }
  std::size_t nodes() const { return static_cast<std::size_t>(f_.n_nodes); }
  std::int64_t parent(std::size_t node) const { return f_.parent[node]; }  // -1: a root
  std::int64_t begin(std::size_t node) const { return f_.node_start[node]; }
  std::int64_t end(std::size_t node) const { return f_.node_start[node + 1]; }
  id_view node(std::size_t i) const { return {f_.token + begin(i), end(i) - begin(i)}; }
  const grpo_forest& raw() const { return f_; }

 private:
  const grpo_forest& f_;
};

// What forward is asked, and where its results go.
class forward_pass {
 public:
  explicit forward_pass(const grpo_forward& a) : a_(a) {}
  forest_view forest() const { return forest_view(*a_.forest); }
  bool train() const { return (a_.flags & GRPO_FORWARD_TRAIN) != 0; }
  bool base() const { return (a_.flags & GRPO_FORWARD_BASE) != 0; }  // only of a model that is GRPO_MODEL_ADAPTED
  double temperature() const { return a_.temperature; }
  std::size_t targets() const { return static_cast<std::size_t>(a_.n_targets); }
  span<const std::int64_t> target_at() const { return {a_.target_at, a_.n_targets}; }
  id_view target_token() const { return {a_.target_token, a_.n_targets}; }
  span<float> logprob() const { return {a_.logprob, a_.n_targets}; }                   // [targets] out
  span<float> entropy() const { return {a_.entropy, a_.entropy ? a_.n_targets : 0}; }  // [targets] out, or none
  const grpo_forward& raw() const { return a_; }

 private:
  const grpo_forward& a_;
};

namespace detail {

template <class T>
using uses_model_info = decltype(std::declval<T&>().info());
template <class T>
using uses_parameters = decltype(std::declval<T&>().parameters());
template <class T>
using uses_forward = decltype(std::uint64_t{
    std::declval<T&>().forward(std::declval<const forward_pass&>(), std::declval<const call&>())});
template <class T>
using uses_backward =
    decltype(std::declval<T&>().backward(std::declval<const grpo_backward&>(), std::declval<const call&>()));
template <class T>
using uses_export =
    decltype(std::declval<T&>().export_weights(std::declval<const grpo_tensor_sink&>(), std::declval<const call&>()));
template <class T>
using uses_import = decltype(std::declval<T&>().import_weights(
    std::int64_t{}, std::declval<const grpo_tensor_source&>(), std::declval<const call&>()));
template <class T>
using uses_session =
    decltype(std::declval<T&>().open_session(std::declval<const grpo_decode_session&>(), std::declval<const call&>()));

inline void refuse_unknown(std::uint32_t flags, std::uint32_t known, const char* where) {
  if (flags & ~known)
    throw failure(GRPO_STATUS_UNSUPPORTED, std::string(where) + " has flags that this model does not know");
}
inline void refuse_extras(const grpo_model_info& info, const void* position, std::int64_t n_extras, const char* where) {
  if (position && !(info.flags & GRPO_MODEL_POSITIONS))
    throw failure(GRPO_STATUS_UNSUPPORTED, std::string(where) + ": explicit positions are not offered");
  if (n_extras > 0 && !(info.flags & GRPO_MODEL_EXTRAS))
    throw failure(GRPO_STATUS_UNSUPPORTED, std::string(where) + ": extras are not offered");
}

}  // namespace detail

// grpo.decode/1 of a model.
template <class Model>
struct decode_table {
  using session_type = typename detail::uses_session<Model>::element_type;
  struct open_one {
    Model& model;
    std::unique_ptr<session_type> session;
  };
  static open_one& of(void* session) { return *static_cast<open_one*>(session); }

  static const grpo_decode_info* describe(void* model) noexcept { return &detail::own<Model>(model).decoder(); }
  static grpo_status session_open(void* handle, const grpo_call* c, const grpo_decode_session* wanted,
                                  void** session) noexcept {
    return detail::guarded<Model>(c, [&] {
      Model& model = detail::own<Model>(handle);
      auto opened = model.open_session(*wanted, call(c));
      *session = new open_one{model, std::move(opened)};
    });
  }
  static void session_close(void* session) noexcept { delete &of(session); }
  static std::int64_t free_tokens(void* session) noexcept { return of(session).session->free_tokens(); }
  static grpo_status prefill(void* session, const grpo_call* c, const grpo_decode_prefill* a) noexcept {
    return detail::guarded<Model>(c, [&] {
      detail::refuse_unknown(a->flags, GRPO_PREFILL_TRAIN, "prefill");
      detail::refuse_extras(of(session).model.info(), a->position, a->n_extras, "prefill");
      of(session).session->prefill(*a, call(c));
    });
  }
  static grpo_status fork(void* session, const grpo_call* c, const grpo_decode_fork* a) noexcept {
    return detail::guarded<Model>(c, [&] { of(session).session->fork(*a, call(c)); });
  }
  static grpo_status assign(void* session, const grpo_call* c, const grpo_decode_assign* a) noexcept {
    return detail::guarded<Model>(c, [&] { of(session).session->assign(*a, call(c)); });
  }
  static grpo_status step(void* session, const grpo_call* c, const grpo_decode_step* a) noexcept {
    return detail::guarded<Model>(c, [&] {
      detail::refuse_unknown(a->flags, GRPO_STEP_PEEK, "step");
      of(session).session->step(*a, call(c));
    });
  }
  static void release(void* session, std::int64_t n, const std::int64_t* slot) noexcept {
    of(session).session->release(span<const std::int64_t>(slot, n));
  }
  static constexpr grpo_decode table = {
      sizeof(grpo_decode), 0, describe, session_open, session_close, free_tokens, prefill, fork, assign, step, release};
};

template <class Model>
struct model_table {
  static_assert(detail::has<detail::uses_model_info, Model>::value &&
                    detail::has<detail::uses_parameters, Model>::value,
                "a model has `const grpo_model_info& info() noexcept` and `grpo::span<const grpo_parameter* "
                "const> parameters() const`");
  static_assert(detail::has<detail::uses_forward, Model>::value,
                "a model has `std::uint64_t forward(const grpo::forward_pass&, const grpo::call&)`");
  static constexpr bool decodes = detail::has<detail::uses_session, Model>::value;

  static Model& own(void* handle) { return detail::own<Model>(handle); }
  static const void* query([[maybe_unused]] void* handle, [[maybe_unused]] const char* id) noexcept {
    if constexpr (decodes) {
      if (std::strcmp(id, GRPO_DECODE_ID) == 0) return &decode_table<Model>::table;
    }
    return nullptr;
  }
  static const grpo_model_info* describe(void* handle) noexcept { return &own(handle).info(); }
  static grpo_status parameters(void* handle, const grpo_call* c, std::int64_t* n,
                                const grpo_parameter* const** list) noexcept {
    return detail::guarded<Model>(c, [&] {
      const span<const grpo_parameter* const> all = own(handle).parameters();
      *n = static_cast<std::int64_t>(all.size());
      *list = all.data();
    });
  }
  static grpo_status forward(void* handle, const grpo_call* c, const grpo_forward* a) noexcept {
    return detail::guarded<Model>(c, [&] {
      Model& model = own(handle);
      const forward_pass pass(*a);
      const bool adapted = (model.info().flags & GRPO_MODEL_ADAPTED) != 0;
      detail::refuse_unknown(
          a->flags, std::uint32_t{GRPO_FORWARD_TRAIN} | (adapted ? std::uint32_t{GRPO_FORWARD_BASE} : 0u), "forward");
      if (!a->forest) throw failure(GRPO_STATUS_INVALID, "forward has no forest");
      detail::refuse_extras(model.info(), a->forest->position, a->forest->n_extras, "forward");
      check_forest(model.info(), *a);
      if (pass.train() && !a->ticket)
        throw failure(GRPO_STATUS_INVALID, "forward with TRAIN has no place for a ticket");
      const std::uint64_t ticket = model.forward(pass, call(c));
      if (pass.train()) *a->ticket = ticket;
    });
  }
  static grpo_status backward(void* handle, const grpo_call* c, const grpo_backward* a) noexcept {
    return detail::guarded<Model>(c, [&] { own(handle).backward(*a, call(c)); });
  }
  static void drop(void* handle, std::uint64_t ticket) noexcept { own(handle).drop(ticket); }
  static grpo_status zero_grad(void* handle, const grpo_call* c) noexcept {
    return detail::guarded<Model>(c, [&] { own(handle).zero_grad(call(c)); });
  }
  static grpo_status commit(void* handle, const grpo_call* c, std::int64_t version) noexcept {
    return detail::guarded<Model>(c, [&] { own(handle).commit(version, call(c)); });
  }
  static grpo_status export_weights(void* handle, const grpo_call* c, const grpo_tensor_sink* sink) noexcept {
    return detail::guarded<Model>(c, [&] { own(handle).export_weights(*sink, call(c)); });
  }
  static grpo_status import_weights(void* handle, const grpo_call* c, std::int64_t version,
                                    const grpo_tensor_source* source) noexcept {
    return detail::guarded<Model>(c, [&] { own(handle).import_weights(version, *source, call(c)); });
  }

  static constexpr grpo_model make() {
    grpo_model t{};
    t.struct_size = sizeof t;
    t.open = detail::open<Model>;
    t.close = detail::close<Model>;
    if constexpr (decodes) t.query = query;
    t.describe = describe;
    t.parameters = parameters;
    t.forward = forward;
    if constexpr (detail::has<detail::uses_backward, Model>::value) {
      t.backward = backward;
      t.drop = drop;
      t.zero_grad = zero_grad;
      t.commit = commit;
    }
    if constexpr (detail::has<detail::uses_export, Model>::value) t.export_weights = export_weights;
    if constexpr (detail::has<detail::uses_import, Model>::value) t.import_weights = import_weights;
    return t;
  }
  static constexpr grpo_model table = make();
};

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#define GRPO_MODEL(Type, name) GRPO_PLUGIN_ONE(GRPO_MODEL_ID, name, &grpo::model_table<Type>::table)

#endif
