// slices.hpp: what the optimizers of this folder share: the slices they were bound to, their state, and the work on
// them in blocks.
//
// Blocks have a fixed size, whatever the number of threads, and each writes its own elements and its own partial sum;
// so results do not depend on threads. State is fp32. Values of 16 bits get a master copy in fp32, which is part of the
// state: the values are its roundings.
#ifndef OPTIMIZER_SLICES_HPP
#define OPTIMIZER_SLICES_HPP

#include <grpo/host.h>
#include <grpo/optimizer.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "numbers.hpp"

namespace optimizers {

struct failure {
  grpo_status status;
  std::string text;
};

// Runs body, and turns what it throws into a status: no exception leaves the library.
template <class Body>
grpo_status guarded(const grpo_call* call, Body&& body) noexcept;

struct slice {
  const grpo_slice* of;
  std::int64_t n;  // elements
  element value_kind, gradient_kind;
  void* value;
  const void* gradient;
  std::vector<float*> state;  // in the order of bind's `what`
  float* master;              // nullptr: the values are fp32 themselves
};

// A stretch of a slice, as fp32.
struct stretch {
  const slice& in;
  std::int64_t begin, n;
  float* value;  // the values or their master copy
  const float* gradient;
};

class slices {
 public:
  // who: of the optimizer, for messages.
  slices(std::string who, const grpo_call* call);

  // Once. Makes a state tensor "<slice>@<offset>.<what>" for each of `what`, and "master" where it is needed. Throws
  // failure.
  void bind(std::int64_t n, const grpo_slice* const* list, const std::vector<const char*>& what);
  bool bound() const { return bound_; }

  // Over the gradients of all slices but duplicates.
  double squared_norm(const grpo_call* call);

  // Throws failure, naming the parameter, if a gradient times scale is not finite or beyond limit.
  void check_gradients(const grpo_call* call, double scale, float limit);

  // body(stretch), no exceptions, for all elements of all slices, in stretches of a size that stays in the first cache.
  template <class Body>
  void update(const grpo_call* call, Body&& body);

  const grpo_named_tensor* const* state(std::int64_t* n) const;

 private:
  struct block {
    std::size_t slice;
    std::int64_t begin, end;
  };
  struct tensor {  // a state tensor
    struct release {
      void operator()(float* p) const;
    };
    std::string name;
    std::int64_t shape[1];
    std::unique_ptr<float[], release> data;
    grpo_tensor view{};
    grpo_named_tensor named{};
  };

  float* add_state(const grpo_slice& of, std::int64_t n, const char* what);
  const float* gradient(const slice& s, std::int64_t begin, std::int64_t n, float* scratch) const;

  // body(i), no exceptions, for every block, on the host's threads where it offers some. All of them have run on
  // return.
  using block_body = void (*)(void* context, std::size_t i);
  void for_blocks(const grpo_call* call, block_body body, void* context);
  template <class Body>
  void for_blocks(const grpo_call* call, Body&& body) {
    for_blocks(
        call, [](void* context, std::size_t i) { (*static_cast<std::remove_reference_t<Body>*>(context))(i); }, &body);
  }
  // fn(begin, n) for the stretches of a block
  template <class Fn>
  static void for_stretches(const block& b, Fn&& fn) {
    for (std::int64_t at = b.begin; at < b.end; at += stretch_size)
      fn(at, at + stretch_size < b.end ? stretch_size : b.end - at);
  }

  static constexpr std::int64_t block_size = 32768, stretch_size = 2048;

  std::string who_;
  const grpo_tasks* tasks_;  // NULL: this thread alone
  bool bound_ = false;
  std::vector<slice> slices_;
  std::vector<block> blocks_;
  std::vector<double> sums_;          // [blocks]
  std::vector<unsigned char> marks_;  // [blocks]
  std::vector<unsigned char> done_;   // [blocks]
  std::deque<tensor> tensors_;        // they stay where they are
  std::vector<const grpo_named_tensor*> named_;
};

template <class Body>
void slices::update(const grpo_call* call, Body&& body) {
  for_blocks(call, [&](std::size_t i) {
    alignas(64) float scratch[stretch_size];
    const slice& s = slices_[blocks_[i].slice];
    for_stretches(blocks_[i], [&](std::int64_t begin, std::int64_t n) {
      const float* g = gradient(s, begin, n, scratch);
      if (s.value_kind == element::fp32) {
        body(stretch{s, begin, n, static_cast<float*>(s.value) + begin, g});
        return;
      }
      auto* value = static_cast<std::uint16_t*>(s.value) + begin;
      follow(s.value_kind, value, s.master + begin, n);
      body(stretch{s, begin, n, s.master + begin, g});
      narrow(s.value_kind, s.master + begin, value, n);
    });
  });
}

template <class Body>
grpo_status guarded(const grpo_call* call, Body&& body) noexcept {
  try {
    body();
    return GRPO_STATUS_OK;
  } catch (const failure& e) {
    return grpo_fail(call, e.status, e.text.c_str());
  } catch (const std::bad_alloc&) {
    return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "optimizer: no memory for its state");
  } catch (const std::exception& e) {
    return grpo_fail(call, GRPO_STATUS_FAILED, e.what());
  } catch (...) {
    return grpo_fail(call, GRPO_STATUS_FAILED, "optimizer: unknown exception");
  }
}

}  // namespace optimizers

#endif
