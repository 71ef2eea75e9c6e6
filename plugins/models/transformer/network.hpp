// network.hpp: forward and backward of the whole transformer over a forest.
//
// Main idea. Backward is written out, not recorded. Forward keeps in an Activations what backward cannot cheaply make
// again: the residual stream before and in the middle of each layer, q, k, v, the attention's output, gate and up. The
// normed inputs and the activation's output are made again. Where a rollout has left all that in a Record, forward runs
// no layer. The residual stream and all gradients are fp32; matrix products run in the compute type.
#ifndef GRPO_TRANSFORMER_NETWORK_HPP
#define GRPO_TRANSFORMER_NETWORK_HPP

#include <functional>

#include "arena.hpp"
#include "matmul.hpp"
#include "ops.hpp"
#include "record.hpp"
#include "weights.hpp"

namespace grpo::transformer {

// What one layer keeps, T tokens; as in LayerRows. Where memory is short only x, the rest undefined.
struct LayerActivations {
  at::Tensor x;               // [T, hidden]
  at::Tensor qkv;             // [T, q + 2 kv]; RoPE applied unless the model norms q and k
  at::Tensor attention, lse;  // [T, heads, size], [T, heads]
  at::Tensor middle;          // [T, hidden]
  at::Tensor gate_up;         // [T, 2 ffn]
};

// What one forward keeps for its backward.
struct Activations {
  explicit Activations(at::Device device) : arena(device) {}

  Arena arena;
  Forest forest;
  double temperature = 1;
  const Record* record = nullptr;        // where the layers' activations are, if not here
  std::vector<std::int64_t> places;      // [T] in the record
  std::vector<LayerActivations> layers;  // empty with a record
  at::Tensor cos, sin;                   // [T, size / 2]
  at::Tensor rows, rows_rstd, normed;    // [R, hidden] before and after the last norm, [R, 1]
  std::vector<RowStatistics> statistics;
  bool adapted = true;            // false: by the base weights alone; then there is no backward
  std::uint64_t dropout_key = 0;  // of adapters, while training
};

class Network {
 public:
  // fast: single-pass loops and fused attention; needs fp32 in host memory.
  // flash: attention by flash.hpp.
  // activation_bytes: what one forward may keep for its backward; layers beyond it are computed twice.
  // dropout: of the adapters' inputs while training, 0 to under 1.
  // matmul: with `fast`.
  Network(const Config& config, Weights& weights, bool fast, bool flash, std::int64_t logits_chunk,
          std::int64_t activation_bytes, double dropout, MatmulLibrary matmul);

  // logprob, entropy (may be null): [targets] in the caller's order. With train, `keep` serves one backward. stop is
  // asked before each layer and throws to end the call.
  void forward(Activations& keep, bool train, const std::function<void()>& stop, float* logprob, float* entropy);

  // Adds to the gradients; uses `keep` up.
  void backward(Activations& keep, const float* dlogprob, const float* dentropy);

 private:
  at::Tensor last_rows(Activations& keep, bool train, const std::function<void()>& stop);
  at::Tensor recorded_last_rows(const Activations& keep);
  std::int64_t layers_kept_whole(std::int64_t tokens) const;
  LayerActivations layer_activations(std::size_t index, const at::Tensor& x, const Activations& keep, Arena& arena);
  void layer_output(std::size_t index, const LayerActivations& a, const at::Tensor& next);
  void layer_backward(std::size_t index, Activations& keep, const at::Tensor& dx);
  LayerActivations recorded_layer(std::size_t index, const Activations& keep);
  // What a pass is done with, until the next.
  void begin(const Activations& keep, bool train);
  // y = a b and y += a b, by the library for it.
  void multiply(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b) const;
  void multiply_add(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b) const;
  void linear(const at::Tensor& x, const Range& weight, const Range& bias, const at::Tensor& y) const;
  at::Tensor dropout_of(const at::Tensor& x, const Range& weight) const;  // undefined: none
  void linear_backward(const at::Tensor& dy, const at::Tensor& x, const Range& weight, const Range& bias,
                       const at::Tensor& dx);
  bool recorded_scores(Activations& keep, float* logprob, float* entropy);
  void score(Activations& keep, float* logprob, float* entropy);
  void for_parts(std::int64_t rows, const std::function<void(const LogitsPart&)>& body);
  at::Tensor head_logits(const Activations& keep, const LogitsPart& part);
  Range head_rows(const LogitsPart& part) const;

  const Config& config_;
  Weights& weights_;
  bool fast_, flash_;
  std::int64_t logits_chunk_, activation_bytes_;
  double dropout_;
  bool adapted_ = true, drops_ = false;
  std::uint64_t dropout_key_ = 0;
  std::unique_ptr<Ops> ops_;
  std::optional<Matmul> matmul_;  // nothing: LibTorch's operations, for all types and devices
  Arena scratch_;
  at::ScalarType type_;
};

}  // namespace grpo::transformer

#endif
