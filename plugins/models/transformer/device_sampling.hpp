// device_sampling.hpp: sampling.hpp's rules for many rows at once, in LibTorch's operations, without the host: a device
// makes `room` tokens for each row and is waited for once. Device code, run on the CPU by kernels: portable.
//
// Main idea. What a choice depends on besides the logits is known before the first one: options, stop ids, limits, and
// the random numbers too, which depend on key and position alone. All of it goes over in one copy. Rows that have ended
// go on as they are: their results are masked. What changes with a choice lies on the device and stays in its place,
// the number of the step too, so that the same operations make every choice (replay.hpp).
//
// A draw is a search in two steps, as on the host: sums of 512 neighbours in fp32, added up in double, find the block;
// then the place in it.
#ifndef GRPO_TRANSFORMER_DEVICE_SAMPLING_HPP
#define GRPO_TRANSFORMER_DEVICE_SAMPLING_HPP

#include <ATen/ATen.h>

#include "engine.hpp"
#include "sampling.hpp"
#include "upload.hpp"

namespace grpo::transformer {

// One use for each run: add, send the upload, begin, `room` times choose, finish.
class DeviceSampler {
 public:
  DeviceSampler(std::int64_t vocabulary, at::Device device) : vocabulary_(vocabulary), device_(device) {}

  void add(Upload& upload, const AheadRow* rows, std::int64_t n, std::int64_t room);
  void begin(const Upload& upload);

  const at::Tensor& pending() const { return pending_; }    // [n] int64: the token each row feeds next
  const at::Tensor& position() const { return position_; }  // [n] int64: its place in its sequence
  const at::Tensor& alive() const { return alive_; }        // [n]

  // logits: [n, vocabulary] fp32, after the pending tokens.
  void choose(const at::Tensor& logits);

  // Copies the results to the host: the one synchronisation. Rows of `to` are `room` apart.
  void finish(const AheadResult& to);

 private:
  at::Tensor adjusted(const at::Tensor& logits) const;
  at::Tensor let_through(const at::Tensor& z, const at::Tensor& e) const;
  at::Tensor block_sums(const at::Tensor& e) const;
  at::Tensor draw(const at::Tensor& e, const at::Tensor& total_to) const;
  at::Tensor is_stop(const at::Tensor& token) const;

  std::int64_t vocabulary_;
  at::Device device_;
  std::int64_t n_ = 0, room_ = 0, stops_ = 0, longest_ = 0;
  bool any_drawn_ = false, any_greedy_ = false, any_penalty_ = false, any_top_k_ = false, any_top_p_ = false,
       any_min_p_ = false, any_force_ = false, any_hold_ = false;  // hold: the first tokens may not be stop ids

  struct Places {
    std::int64_t pending, position, remaining, hold, force, top_k, stop, is_stop, sequence, temperature, top_p, min_p,
        penalty, uniform;
  } at_{};
  at::Tensor step_;  // [1] int64
  at::Tensor pending_, position_, alive_;
  at::Tensor remaining_, hold_, force_, top_k_, stop_, is_stop_, seen_;          // [n], stop_ [n, stops], seen_ [n, V]
  at::Tensor temperature_, scale_, greedy_, top_p_, min_p_, penalty_, uniform_;  // [n, 1], uniform_ [room, n, 1]
  at::Tensor tokens_, logprobs_, sampled_, count_, ended_;                       // [room, n] thrice, [n] twice
};

}  // namespace grpo::transformer

#endif
