#include "network.hpp"

#include <grpo/random.h>

#include <algorithm>

#include "adapter.hpp"
#include "kernels/simd.hpp"
#include "rope_tables.hpp"
#include "upload.hpp"
#include "wide.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

// [T, n] as [T, 1, n], the form of Ops
Tensor one_group(const Tensor& x) { return x.unsqueeze(1); }

}  // namespace

Network::Network(const Config& config, Weights& weights, bool fast, bool flash, std::int64_t logits_chunk,
                 std::int64_t activation_bytes, double dropout, MatmulLibrary matmul)
    : config_(config),
      weights_(weights),
      fast_(fast),
      flash_(flash),
      logits_chunk_(logits_chunk),
      activation_bytes_(activation_bytes),
      dropout_(dropout),
      ops_(fast ? make_cpu_ops() : make_portable_ops()),
      scratch_(weights.device()),
      type_(weights.compute_type()) {
  if (fast) matmul_.emplace(matmul);
}

void Network::multiply(const Tensor& y, const Tensor& a, const Tensor& b) const {
  auto to = y;
  if (matmul_) {
    matmul_->set(y, a, b);
  } else {
    at::mm_out(to, a, b);
  }
}

void Network::multiply_add(const Tensor& y, const Tensor& a, const Tensor& b) const {
  if (matmul_) {
    matmul_->add(y, a, b);
  } else if (y.scalar_type() == a.scalar_type()) {
    auto to = y;
    to.addmm_(a, b);
  } else {  // gradients are fp32 whatever the products are
    wide::add(y, a, b);
  }
}

void Network::begin(const Activations& keep, bool train) {
  adapted_ = keep.adapted;
  drops_ = train && dropout_ > 0;
  dropout_key_ = keep.dropout_key;
}

Tensor Network::dropout_of(const Tensor& x, const Range& weight) const {
  if (!drops_) return {};
  return dropout_mask(grpo_random_key(dropout_key_, static_cast<std::uint64_t>(weight.offset)), dropout_, x);
}

// y = x W^T + bias, and what adapters add
void Network::linear(const Tensor& x, const Range& weight, const Range& bias, const Tensor& y) const {
  const auto w = weights_.matrix(weight).t();
  if (bias.exists()) {
    y.copy_(weights_.bias(bias).expand(y.sizes()));
    multiply_add(y, x, w);
  } else {
    multiply(y, x, w);
  }
  const auto* adapter = adapted_ ? weights_.layout().adapter_of(weight) : nullptr;
  if (!adapter) return;
  const auto mask = dropout_of(x, weight);
  add_adapted(weights_, *adapter, mask.defined() ? x * mask : x, y);
}

// dx = dy W, if dx is defined; the gradients of what is trained are added to.
void Network::linear_backward(const Tensor& dy, const Tensor& x, const Range& weight, const Range& bias,
                              const Tensor& dx) {
  if (weights_.trains(weight)) multiply_add(weights_.gradient_matrix(weight), dy.t(), x);
  if (bias.exists() && weights_.trains(bias)) weights_.gradient_vector(bias).add_(dy.sum(0, false, at::kFloat));
  if (dx.defined()) multiply(dx, dy, weights_.matrix(weight));
  const auto* adapter = weights_.layout().adapter_of(weight);
  if (!adapter) return;
  const auto mask = dropout_of(x, weight);
  const auto added = adapted_backward(weights_, *adapter, dy, mask.defined() ? x * mask : x);
  if (dx.defined()) dx.add_(mask.defined() ? added * mask : added);
}

// Everything but the layer's output goes into `arena`.
LayerActivations Network::layer_activations(std::size_t index, const Tensor& x, const Activations& keep, Arena& arena) {
  const LayerLayout& l = weights_.layout().layers[index];
  const std::int64_t n = x.size(0), size = config_.head_dim, heads = config_.heads, kv_heads = config_.kv_heads;
  LayerActivations a;
  a.x = x;
  a.qkv = arena.take({n, config_.qkv_size()}, type_);
  a.attention = arena.take({n, heads, size}, type_);
  a.lse = arena.take({n, heads}, at::kFloat);
  a.middle = arena.take({n, config_.hidden}, at::kFloat);
  a.gate_up = arena.take({n, 2 * config_.ffn}, type_);
  const auto temporary = scratch_.mark();  // after them, for they may be in scratch memory too

  const auto normed = scratch_.take({n, config_.hidden}, type_);
  ops_->rms_norm(one_group(x), weights_.norm(l.input_norm), config_.norm_eps, one_group(normed), {});
  linear(normed, l.qkv, l.qkv_bias, a.qkv);

  const auto by_head = a.qkv.view({n, heads + 2 * kv_heads, size});
  const auto raw_q = by_head.narrow(1, 0, heads), raw_k = by_head.narrow(1, heads, kv_heads);
  const auto v = by_head.narrow(1, heads + kv_heads, kv_heads);
  auto qk = by_head.narrow(1, 0, heads + kv_heads);
  if (config_.qk_norm) {
    qk = scratch_.take({n, heads + kv_heads, size}, type_);
    ops_->rms_norm(raw_q, weights_.norm(l.q_norm), config_.norm_eps, qk.narrow(1, 0, heads), {});
    ops_->rms_norm(raw_k, weights_.norm(l.k_norm), config_.norm_eps, qk.narrow(1, heads, kv_heads), {});
  }
  ops_->rope(qk, keep.cos, keep.sin, false);

  const auto blocks = keep.forest.blocks(config_.window[index]);
  if (flash_) {
    attention_flash(blocks, qk.narrow(1, 0, heads), qk.narrow(1, heads, kv_heads), v, a.attention, a.lse);
  } else if (fast_ && size % 16 == 0) {
    attention_cpu(blocks, qk.narrow(1, 0, heads), qk.narrow(1, heads, kv_heads), v, scratch_, a.attention, a.lse);
  } else {
    attention(blocks, qk.narrow(1, 0, heads), qk.narrow(1, heads, kv_heads), v, fast_, a.attention, a.lse);
  }

  const auto branch = scratch_.take({n, config_.hidden}, type_);
  linear(a.attention.view({n, config_.q_size()}), l.o, l.o_bias, branch);
  at::add_out(a.middle, x, branch);

  ops_->rms_norm(one_group(a.middle), weights_.norm(l.post_norm), config_.norm_eps, one_group(normed), {});
  linear(normed, l.gate_up, l.gate_up_bias, a.gate_up);
  scratch_.rewind(temporary);
  return a;
}

// next = middle + down(silu(gate) up)
void Network::layer_output(std::size_t index, const LayerActivations& a, const Tensor& next) {
  const LayerLayout& l = weights_.layout().layers[index];
  const auto temporary = scratch_.mark();
  const auto active = scratch_.take({next.size(0), config_.ffn}, type_);
  ops_->swiglu(a.gate_up, active);
  const auto branch = scratch_.take(next.sizes(), type_);
  linear(active, l.down, l.down_bias, branch);
  auto to = next;
  at::add_out(to, a.middle, branch);
  scratch_.rewind(temporary);
}

// What does not fit into the budget is computed again in backward: of such a layer only the input is kept.
std::int64_t Network::layers_kept_whole(std::int64_t tokens) const {
  const std::int64_t type_size = static_cast<std::int64_t>(c10::elementSize(type_));
  const std::int64_t inputs = tokens * config_.hidden * std::int64_t{sizeof(float)};
  const std::int64_t rest = tokens * (type_size * (config_.qkv_size() + config_.q_size() + 2 * config_.ffn) +
                                      std::int64_t{sizeof(float)} * (config_.heads + config_.hidden));
  return std::clamp<std::int64_t>((activation_bytes_ - config_.layers * inputs) / rest, 0, config_.layers);
}

// The residual stream after the last layer, at the tokens that have targets: [R, hidden].
Tensor Network::last_rows(Activations& keep, bool train, const std::function<void()>& stop) {
  const Forest& forest = keep.forest;
  const auto device = weights_.device();
  const auto stream = [&] { return keep.arena.take({forest.tokens, config_.hidden}, at::kFloat); };
  auto x = stream();
  x.copy_(weights_.matrix(weights_.layout().embedding).index_select(0, index_tensor(forest.token, device)));
  const std::int64_t whole = train ? layers_kept_whole(forest.tokens) : 0;
  for (std::int64_t i = 0; i < config_.layers; ++i) {
    stop();
    const auto temporary = scratch_.mark();
    auto a = layer_activations(static_cast<std::size_t>(i), x, keep, i < whole ? keep.arena : scratch_);
    const auto next = train ? stream() : x;
    layer_output(static_cast<std::size_t>(i), a, next);
    if (i >= whole) {
      a = {};
      a.x = x;
      scratch_.rewind(temporary);
    }
    if (train) keep.layers.push_back(std::move(a));
    x = next;
  }
  const auto rows = keep.arena.take({forest.rows(), config_.hidden}, at::kFloat);
  return rows.copy_(x.index_select(0, index_tensor(forest.row_token, device)));
}

Tensor Network::recorded_last_rows(const Activations& keep) {
  std::vector<std::int64_t> places;
  for (const auto token : keep.forest.row_token) places.push_back(keep.places[static_cast<std::size_t>(token)]);
  const auto last = keep.record->layer(weights_.layout().layers.size(), 0);
  auto rows = scratch_.take({keep.forest.rows(), config_.hidden}, at::kFloat);
  simd::gather(last.x, last.step, config_.hidden, places.data(), keep.forest.rows(), rows.mutable_data_ptr<float>());
  return rows;
}

// Fetched together, since the record has tokens in the order of the rollout.
LayerActivations Network::recorded_layer(std::size_t index, const Activations& keep) {
  const auto from = keep.record->layer(index, 0);
  const std::int64_t n = keep.forest.tokens;
  const auto fetch = [&](const float* rows, std::int64_t step, at::IntArrayRef shape) {
    const auto to = scratch_.take(shape, at::kFloat);
    simd::gather(rows, step, to.numel() / n, keep.places.data(), n, to.mutable_data_ptr<float>());
    return to;
  };
  LayerActivations a;
  a.x = fetch(from.x, from.step, {n, config_.hidden});
  if (!from.qkv) return a;
  a.qkv = fetch(from.qkv, from.inside_step, {n, config_.qkv_size()});
  a.attention = fetch(from.attention, from.inside_step, {n, config_.heads, config_.head_dim});
  a.lse = fetch(from.lse, from.inside_step, {n, config_.heads});
  a.middle = fetch(from.middle, from.inside_step, {n, config_.hidden});
  a.gate_up = fetch(from.gate_up, from.inside_step, {n, 2 * config_.ffn});
  return a;
}

void Network::forward(Activations& keep, bool train, const std::function<void()>& stop, float* logprob,
                      float* entropy) {
  const Forest& forest = keep.forest;
  const auto device = weights_.device();
  begin(keep, train);
  keep.arena.rewind();
  keep.layers.clear();
  scratch_.rewind();
  const std::int64_t rows = forest.rows();
  if (rows == 0) return;
  std::tie(keep.cos, keep.sin) = rope_tables(config_, forest.position.data(), forest.tokens, device);

  keep.rows = keep.record ? recorded_last_rows(keep) : last_rows(keep, train, stop);
  stop();
  keep.rows_rstd = keep.arena.take({rows, 1}, at::kFloat);
  keep.normed = keep.arena.take({rows, config_.hidden}, type_);
  ops_->rms_norm(one_group(keep.rows), weights_.norm(weights_.layout().final_norm), config_.norm_eps,
                 one_group(keep.normed), keep.rows_rstd);
  if (!recorded_scores(keep, logprob, entropy)) score(keep, logprob, entropy);
}

// From the record, if it has all of them.
bool Network::recorded_scores(Activations& keep, float* logprob, float* entropy) {
  if (!keep.record) return false;
  const Forest& f = keep.forest;
  keep.statistics.resize(static_cast<std::size_t>(f.rows()));
  for (std::size_t r = 0; r < keep.statistics.size(); ++r)
    for (auto i = static_cast<std::size_t>(f.row_start[r]); i < static_cast<std::size_t>(f.row_start[r + 1]); ++i) {
      const auto score = keep.record->find_score(keep.places[static_cast<std::size_t>(f.row_token[r])],
                                                 keep.temperature, f.target_id[i]);
      if (!score) return false;
      keep.statistics[r] = score->statistics;
      logprob[f.target[i]] = score->logprob;
      if (entropy) entropy[f.target[i]] = static_cast<float>(score->statistics.entropy);
    }
  return true;
}

void Network::score(Activations& keep, float* logprob, float* entropy) {
  const Forest& forest = keep.forest;
  std::vector<RowSums> sums(static_cast<std::size_t>(forest.rows()));
  std::vector<float> picked(forest.target.size());
  for_parts(forest.rows(), [&](const LogitsPart& part) {
    const auto logits = head_logits(keep, part);
    ops_->add_sums(logits, keep.temperature, sums.data() + part.row);
    ops_->gather_targets(logits, forest, part, picked.data());
  });
  keep.statistics.clear();
  for (std::size_t r = 0; r < sums.size(); ++r) {
    keep.statistics.push_back(sums[r].statistics(keep.temperature));
    for (auto i = static_cast<std::size_t>(forest.row_start[r]); i < static_cast<std::size_t>(forest.row_start[r + 1]);
         ++i) {
      const auto target = forest.target[i];
      logprob[target] = static_cast<float>(static_cast<double>(picked[i]) / keep.temperature - keep.statistics[r].lse);
      if (entropy) entropy[target] = static_cast<float>(keep.statistics[r].entropy);
    }
  }
}

// The parts in which logits are made. Many rows and few ids make the better matrix products, and read the weights and
// their gradient once; whole rows, of which there are then few, make fewer kernels where each launch counts.
void Network::for_parts(std::int64_t rows, const std::function<void(const LogitsPart&)>& body) {
  const std::int64_t elements = logits_chunk_ * config_.vocabulary;
  const std::int64_t n_rows = fast_ ? std::min<std::int64_t>(rows, 4096) : logits_chunk_;
  const std::int64_t n_ids =
      fast_ ? std::clamp<std::int64_t>(elements / n_rows / 512 * 512, 512, 2048) : config_.vocabulary;
  for (std::int64_t r = 0; r < rows; r += n_rows)
    for (std::int64_t id = 0; id < config_.vocabulary; id += n_ids) {
      const auto temporary = scratch_.mark();
      body({r, std::min(n_rows, rows - r), id, std::min(n_ids, config_.vocabulary - id)});
      scratch_.rewind(temporary);
    }
}

// fp32, in scratch memory.
Tensor Network::head_logits(const Activations& keep, const LogitsPart& part) {
  const auto normed = keep.normed.narrow(0, part.row, part.rows);
  const auto logits = scratch_.take({part.rows, part.ids}, at::kFloat);
  const auto head = head_rows(part);
  if (type_ == at::kFloat) {
    linear(normed, head, {}, logits);
  } else {
    wide::set(logits, normed, weights_.matrix(head).t());
  }
  return logits;
}

// The rows of the head's weight that belong to the part's ids.
Range Network::head_rows(const LogitsPart& part) const {
  const Range& head = weights_.layout().head;
  return {head.offset + part.id * head.columns, part.ids, head.columns};
}

void Network::layer_backward(std::size_t index, Activations& keep, const Tensor& dx) {
  const LayerLayout& l = weights_.layout().layers[index];
  const std::int64_t n = dx.size(0), size = config_.head_dim, heads = config_.heads, kv_heads = config_.kv_heads;
  const auto temporary = scratch_.mark();
  LayerActivations a = keep.record ? recorded_layer(index, keep) : keep.layers[index];
  if (!a.qkv.defined()) a = layer_activations(index, a.x, keep, scratch_);
  const auto rstd = scratch_.take({n, 1}, at::kFloat);
  const auto norm_backward = [&](const Tensor& dy, const Tensor& x, const Range& weight) {
    ops_->rms_norm_backward(one_group(dy), one_group(x), weights_.norm(weight), rstd, one_group(dx), true,
                            weights_.gradient_vector(weight));
  };

  // next = middle + down(silu(gate) up)
  const auto normed = scratch_.take({n, config_.hidden}, type_), dnormed = scratch_.take({n, config_.hidden}, type_);
  auto dbranch = dx;
  if (type_ != at::kFloat) dbranch = scratch_.take({n, config_.hidden}, type_).copy_(dx);
  {
    const auto mark = scratch_.mark();
    const auto active = scratch_.take({n, config_.ffn}, type_), dactive = scratch_.take({n, config_.ffn}, type_);
    ops_->swiglu(a.gate_up, active);
    linear_backward(dbranch, active, l.down, l.down_bias, dactive);
    ops_->swiglu_backward(dactive, a.gate_up);
    scratch_.rewind(mark);
  }
  ops_->rms_norm(one_group(a.middle), weights_.norm(l.post_norm), config_.norm_eps, one_group(normed), rstd);
  linear_backward(a.gate_up, normed, l.gate_up, l.gate_up_bias, dnormed);
  norm_backward(dnormed, a.middle, l.post_norm);

  // middle = x + o(attention)
  if (type_ != at::kFloat) dbranch.copy_(dx);
  const auto dattention = scratch_.take({n, heads, size}, type_);
  linear_backward(dbranch, a.attention.view({n, config_.q_size()}), l.o, l.o_bias,
                  dattention.view({n, config_.q_size()}));
  const auto dqkv = scratch_.take({n, config_.qkv_size()}, type_);
  const auto by_head = a.qkv.view({n, heads + 2 * kv_heads, size}),
             d_by_head = dqkv.view({n, heads + 2 * kv_heads, size});
  auto qk = by_head.narrow(1, 0, heads + kv_heads);
  Tensor q_rstd, k_rstd;
  if (config_.qk_norm) {
    qk = scratch_.take({n, heads + kv_heads, size}, type_);
    q_rstd = scratch_.take({n, heads}, at::kFloat);
    k_rstd = scratch_.take({n, kv_heads}, at::kFloat);
    ops_->rms_norm(by_head.narrow(1, 0, heads), weights_.norm(l.q_norm), config_.norm_eps, qk.narrow(1, 0, heads),
                   q_rstd);
    ops_->rms_norm(by_head.narrow(1, heads, kv_heads), weights_.norm(l.k_norm), config_.norm_eps,
                   qk.narrow(1, heads, kv_heads), k_rstd);
    ops_->rope(qk, keep.cos, keep.sin, false);
  }
  const auto dq = d_by_head.narrow(1, 0, heads), dk = d_by_head.narrow(1, heads, kv_heads);
  const auto q = qk.narrow(1, 0, heads), k = qk.narrow(1, heads, kv_heads),
             v = by_head.narrow(1, heads + kv_heads, kv_heads), dv = d_by_head.narrow(1, heads + kv_heads, kv_heads);
  const auto blocks = keep.forest.blocks(config_.window[index]);
  if (flash_) {
    attention_flash_backward(blocks, dattention, q, k, v, a.attention, a.lse, dq, dk, dv);
  } else if (fast_ && size % 16 == 0) {
    attention_cpu_backward(blocks, dattention, q, k, v, a.attention, a.lse, scratch_, dq, dk, dv);
  } else {
    attention_backward(blocks, dattention, q, k, v, a.attention, a.lse, fast_, dq, dk, dv);
  }
  ops_->rope(d_by_head.narrow(1, 0, heads + kv_heads), keep.cos, keep.sin, true);
  if (config_.qk_norm) {
    ops_->rms_norm_backward(dq, by_head.narrow(1, 0, heads), weights_.norm(l.q_norm), q_rstd, dq, false,
                            weights_.gradient_vector(l.q_norm));
    ops_->rms_norm_backward(dk, by_head.narrow(1, heads, kv_heads), weights_.norm(l.k_norm), k_rstd, dk, false,
                            weights_.gradient_vector(l.k_norm));
  }
  ops_->rms_norm(one_group(a.x), weights_.norm(l.input_norm), config_.norm_eps, one_group(normed), rstd);
  linear_backward(dqkv, normed, l.qkv, l.qkv_bias, dnormed);
  norm_backward(dnormed, a.x, l.input_norm);
  scratch_.rewind(temporary);
}

void Network::backward(Activations& keep, const float* dlogprob, const float* dentropy) {
  const Forest& forest = keep.forest;
  const std::int64_t rows = forest.rows();
  if (rows == 0) return;
  const auto device = weights_.device();
  const Layout& layout = weights_.layout();
  begin(keep, true);
  scratch_.rewind();

  const auto drows = scratch_.take({rows, config_.hidden}, at::kFloat);
  const auto dnormed = scratch_.take({rows, config_.hidden}, type_);
  for_parts(rows, [&](const LogitsPart& part) {
    auto dlogits = head_logits(keep, part);
    ops_->score_backward(dlogits, forest, part, keep.temperature, keep.statistics.data() + part.row, dlogprob,
                         dentropy);
    if (type_ != at::kFloat) dlogits = dlogits.to(type_);
    const auto head = head_rows(part);
    linear_backward(dlogits, keep.normed.narrow(0, part.row, part.rows), head, {}, {});
    const auto to = dnormed.narrow(0, part.row, part.rows);
    if (part.id == 0) {
      multiply(to, dlogits, weights_.matrix(head));
    } else {
      multiply_add(to, dlogits, weights_.matrix(head));
    }
  });
  ops_->rms_norm_backward(one_group(dnormed), one_group(keep.rows), weights_.norm(layout.final_norm), keep.rows_rstd,
                          one_group(drows), false, weights_.gradient_vector(layout.final_norm));
  const auto dx = scratch_.take({forest.tokens, config_.hidden}, at::kFloat);
  dx.zero_().index_add_(0, index_tensor(forest.row_token, device), drows);
  for (std::size_t i = layout.layers.size(); i-- > 0;) layer_backward(i, keep, dx);
  if (weights_.trains(layout.embedding))
    weights_.gradient_matrix(layout.embedding).index_add_(0, index_tensor(forest.token, device), dx);
}

}  // namespace grpo::transformer
