// The decode engine by LibTorch's operations: any device, any type. The cache is [blocks * 16, kv_heads, size] a layer;
// what a pass looks at is gathered from it by index.
//
// Running ahead. For one call, the keys and values that its rows will see are gathered once, with space for the tokens
// to come; then `room` passes follow each other, each feeding what the one before chose, all on the device and by the
// same operations in the same memory (replay.hpp). New keys and values go to the cache at the end. Nothing is read back
// before it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "adapter.hpp"
#include "device_sampling.hpp"
#include "engine.hpp"
#include "flash.hpp"
#include "ops.hpp"
#include "replay.hpp"
#include "rope_tables.hpp"
#include "weights.hpp"
#include "wide.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

class PortableEngine final : public Engine {
 public:
  PortableEngine(EngineModel& model, std::int64_t blocks)
      : model_(model),
        c_(model.config),
        ops_(make_portable_ops()),
        type_(model.weights.compute_type()),
        device_(model.weights.device()),
        blocks_(blocks) {
    const auto options = at::TensorOptions().device(device_).dtype(type_);
    for (std::int64_t i = 0; i < c_.layers; ++i) {
      keys_.push_back(at::zeros({blocks * block_tokens, c_.kv_heads, c_.head_dim}, options));
      values_.push_back(at::zeros({blocks * block_tokens, c_.kv_heads, c_.head_dim}, options));
    }
    std::vector<std::int32_t> all(static_cast<std::size_t>(std::min(c_.max_positions, blocks * block_tokens)));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int32_t>(i);
    std::tie(cos_, sin_) = rope_tables(c_, all.data(), static_cast<std::int64_t>(all.size()), device_);
  }

  std::int64_t max_rows() const override { return device_.is_cpu() ? 256 : 4096; }
  std::int64_t max_logits() const override { return 64; }

  void run(const EngineRow* row, std::int64_t n, std::int64_t) override {
    copy_blocks();
    read_rows(row, n);
    const auto place = place_.to(device_);
    const auto write = [&](std::size_t i, const Tensor& k, const Tensor& v) {
      keys_[i].index_copy_(0, place, k);
      values_[i].index_copy_(0, place, v);
    };
    if (model_.flash) {
      const auto chunks = read_chunks(row, n);
      last_ = layers(token_.to(device_), position_.to(device_),
                     [&](std::size_t i, const Tensor& q, const Tensor& k, const Tensor& v) {
                       write(i, k, v);
                       auto s = chunks.sequences;
                       s.window = c_.window[i];
                       return flash::forward(s, q, keys_[i].index_select(0, chunks.seen),
                                             values_[i].index_select(0, chunks.seen))
                           .out;
                     });
      return;
    }
    const auto [seen_rows, distances] = read_seen(row, n);
    const auto seen = seen_rows.to(device_), distance = distances.to(device_);
    last_ = layers(token_.to(device_), position_.to(device_),
                   [&](std::size_t i, const Tensor& q, const Tensor& k, const Tensor& v) {
                     write(i, k, v);
                     return look_back(q, seen, hidden(distance, c_.window[i]), keys_[i], values_[i]);
                   });
  }

  const float* logits(std::int64_t first, std::int64_t n) override {
    logits_ = logits_of(last_.narrow(0, first, n)).cpu().contiguous();
    return logits_.const_data_ptr<float>();
  }

  // Noted, and done all at once before the next pass: forks come by the hundred, and each would be two copies a layer.
  void copy_block(std::int32_t from, std::int32_t to) override {
    const auto noted = [&](std::int64_t block) {
      return std::find(copy_to_.begin(), copy_to_.end(), block) != copy_to_.end();
    };
    if (noted(from) || noted(to)) copy_blocks();
    copy_from_.push_back(from);
    copy_to_.push_back(to);
  }

  bool runs_ahead() const override { return true; }

  // As many rows together as the gathered keys have memory for: twice that of the cache.
  void run_ahead(const AheadRow* row, std::int64_t n, std::int64_t room, const std::function<void()>& stop,
                 const AheadResult& to) override {
    if (n == 0) return;
    copy_blocks();
    std::int64_t longest = 0;
    for (std::int64_t r = 0; r < n; ++r) longest = std::max(longest, row[r].length + room);
    const std::int64_t together = std::clamp<std::int64_t>(2 * blocks_ * block_tokens / longest, 1, max_rows());
    const auto all = [&] {
      for (std::int64_t r = 0; r < n; r += together) {
        const std::int64_t at = r * room;
        run_ahead_together(row + r, std::min(together, n - r), room, longest, stop,
                           {to.token + at, to.count + r, to.ended + r, to.logprob ? to.logprob + at : nullptr,
                            to.logprob_sampled ? to.logprob_sampled + at : nullptr});
      }
    };
    model_.recorder ? model_.recorder->inside(all) : all();
  }

 private:
  Tensor by_block(const Tensor& cache) const { return cache.view({blocks_, block_tokens * c_.kv_size()}); }

  void copy_blocks() {
    if (copy_to_.empty()) return;
    Upload upload;
    const auto from_at = upload.add(copy_from_), to_at = upload.add(copy_to_);
    upload.send(device_);
    const auto n = static_cast<std::int64_t>(copy_to_.size());
    const auto from = upload.integers(from_at, {n}), to = upload.integers(to_at, {n});
    for (const auto* caches : {&keys_, &values_})
      for (const auto& cache : *caches) by_block(cache).index_copy_(0, to, by_block(cache).index_select(0, from));
    copy_from_.clear();
    copy_to_.clear();
  }

  // All layers of a pass: x [n, hidden] after the last. attend(layer, q, k, v), [n, heads, size] each, RoPE applied,
  // gives [n, heads, size].
  template <typename Attend>
  Tensor layers(const Tensor& token, const Tensor& position, const Attend& attend) const {
    const Layout& layout = model_.weights.layout();
    const std::int64_t n = token.size(0), heads = c_.heads, kv_heads = c_.kv_heads, size = c_.head_dim;
    const auto cos = cos_.index_select(0, position), sin = sin_.index_select(0, position);
    auto x = model_.weights.matrix(layout.embedding).index_select(0, token).to(at::kFloat);
    for (std::size_t i = 0; i < layout.layers.size(); ++i) {
      const auto& l = layout.layers[i];
      const auto qkv = linear(norm(x, l.input_norm), l.qkv, l.qkv_bias).view({n, heads + 2 * kv_heads, size});
      const auto q = qkv.narrow(1, 0, heads), k = qkv.narrow(1, heads, kv_heads);
      if (c_.qk_norm) {
        ops_->rms_norm(q, model_.weights.norm(l.q_norm), c_.norm_eps, q, {});
        ops_->rms_norm(k, model_.weights.norm(l.k_norm), c_.norm_eps, k, {});
      }
      ops_->rope(qkv.narrow(1, 0, heads + kv_heads), cos, sin, false);
      const Tensor out = attend(i, q, k, qkv.narrow(1, heads + kv_heads, kv_heads));
      x = x + linear(out.reshape({n, c_.q_size()}), l.o, l.o_bias);
      const auto gate_up = linear(norm(x, l.post_norm), l.gate_up, l.gate_up_bias);
      const auto active = at::empty({n, c_.ffn}, gate_up.options());
      ops_->swiglu(gate_up, active);
      x = x + linear(active, l.down, l.down_bias);
    }
    return x;
  }

  Tensor logits_of(const Tensor& x) const {  // fp32
    const auto& layout = model_.weights.layout();
    const auto normed = norm(x, layout.final_norm);
    if (type_ == at::kFloat) return linear(normed, layout.head, {});
    const auto z = at::empty({x.size(0), c_.vocabulary}, x.options().dtype(at::kFloat));
    wide::set(z, normed, model_.weights.matrix(layout.head).t());
    return z;
  }

  void run_ahead_together(const AheadRow* row, std::int64_t n, std::int64_t room, std::int64_t longest,
                          const std::function<void()>& stop, const AheadResult& to) {
    const std::int64_t blocks = (longest + block_tokens - 1) / block_tokens, stride = blocks * block_tokens;
    std::vector<std::int64_t> table(static_cast<std::size_t>(n * blocks), 0);  // block 0 where there is none: unseen
    for (std::int64_t r = 0; r < n; ++r) {
      const std::int64_t end = row[r].length + std::clamp<std::int64_t>(row[r].remaining, 1, room);
      for (std::int64_t b = 0; b * block_tokens < end; ++b)
        table[static_cast<std::size_t>(r * blocks + b)] = row[r].block[b];
    }
    DeviceSampler sampler(c_.vocabulary, device_);
    Upload upload;
    const auto table_at = upload.add(table);
    sampler.add(upload, row, n, room);
    upload.send(device_);
    sampler.begin(upload);

    const auto lanes = at::arange(block_tokens, at::TensorOptions().device(device_).dtype(at::kLong));
    const auto blocks_of = upload.integers(table_at, {n * blocks});
    const auto places = (blocks_of.unsqueeze(1) * block_tokens + lanes).view({n, stride});
    std::vector<Tensor> keys, values;  // [n * stride, kv_heads, size]
    const auto gathered = [&](const Tensor& cache) {
      return by_block(cache).index_select(0, blocks_of).view({n * stride, c_.kv_heads, c_.head_dim});
    };
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      keys.push_back(gathered(keys_[i]));
      values.push_back(gathered(values_[i]));
    }
    const auto row_begin = at::arange(n, lanes.options()) * stride, column = at::arange(stride, lanes.options());
    flash::Sequences single;
    single.q_start = at::arange(n + 1, lanes.options().dtype(at::kInt));
    single.k_start = single.q_start * stride;
    single.q_longest = 1;
    single.k_longest = stride;

    const auto first = sampler.position().clone();
    std::int64_t passes = 0;
    const auto goes_on = [&] {
      stop();
      if (device_.is_cpu() && !sampler.alive().any().item<bool>())
        return false;  // a device would have to be waited for
      ++passes;
      return true;
    };
    const auto recording = repeat(room, model_.recorder, goes_on, [&] {
      const auto& position = sampler.position();
      const auto here = row_begin + position, distance = position.unsqueeze(1) - column;
      single.k_used = (position + 1).to(at::kInt);
      const auto x = layers(sampler.pending(), position,
                            [&](std::size_t i, const Tensor& q, const Tensor& k_new, const Tensor& v_new) {
                              keys[i].index_copy_(0, here, k_new);
                              values[i].index_copy_(0, here, v_new);
                              if (!model_.flash) return look_at(q, hidden(distance, c_.window[i]), keys[i], values[i]);
                              single.window = c_.window[i];
                              return flash::forward(single, q, keys[i], values[i]).out;
                            });
      sampler.choose(logits_of(x));
    });
    // A pass more, a place more; a row that has ended stayed at its last one, and wrote the same there every time.
    const auto went = at::arange(passes, lanes.options());
    const auto fed = at::minimum(first.unsqueeze(1) + went, sampler.position().unsqueeze(1));  // [n, passes]
    const auto here = (row_begin.unsqueeze(1) + fed).view({-1}), place = places.gather(1, fed).view({-1});
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      keys_[i].index_copy_(0, place, keys[i].index_select(0, here));
      values_[i].index_copy_(0, place, values[i].index_select(0, here));
    }
    sampler.finish(to);
  }

  // Host arrays of a pass: token ids, positions, places in the cache.
  static std::int64_t place_of(const EngineRow& row, std::int64_t t) {
    return row.block[t / block_tokens] * block_tokens + t % block_tokens;
  }
  void read_rows(const EngineRow* row, std::int64_t n) {
    for (auto* t : {&token_, &place_, &position_}) *t = at::empty({n}, at::kLong);
    for (std::int64_t r = 0; r < n; ++r) {
      token_.mutable_data_ptr<std::int64_t>()[r] = row[r].token;
      position_.mutable_data_ptr<std::int64_t>()[r] = row[r].position;
      place_.mutable_data_ptr<std::int64_t>()[r] = place_of(row[r], row[r].position);
    }
  }

  // [n, longest]: the places of each row's sequence, and how far back each is; below 0: not its.
  std::pair<Tensor, Tensor> read_seen(const EngineRow* row, std::int64_t n) const {
    std::int64_t longest = 0;
    for (std::int64_t r = 0; r < n; ++r) longest = std::max<std::int64_t>(longest, row[r].position + 1);
    const auto seen = at::zeros({n, longest}, at::kLong);
    auto* to = seen.mutable_data_ptr<std::int64_t>();
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t t = 0; t <= row[r].position; ++t) to[r * longest + t] = place_of(row[r], t);
    return {seen, position_.unsqueeze(1) - at::arange(longest, at::kLong)};
  }

  // Rows of one sequence, one after the other, are its chunk: all places of all sequences, packed.
  struct Chunks {
    flash::Sequences sequences;
    Tensor seen;
  };
  Chunks read_chunks(const EngineRow* row, std::int64_t n) const {
    std::vector<std::int64_t> queries, keys, places;
    Chunks out;
    for (std::int64_t r = 0; r < n; ++r) {
      const bool goes_on = r > 0 && row[r].block == row[r - 1].block && row[r].position == row[r - 1].position + 1;
      if (goes_on) {
        ++queries.back();
        ++keys.back();
      } else {
        queries.push_back(1);
        keys.push_back(row[r].position + 1);
        for (std::int64_t t = 0; t < row[r].position; ++t) places.push_back(place_of(row[r], t));
      }
      places.push_back(place_of(row[r], row[r].position));
      out.sequences.q_longest = std::max(out.sequences.q_longest, queries.back());
      out.sequences.k_longest = std::max(out.sequences.k_longest, keys.back());
    }
    out.sequences.q_start = flash::starts(queries, device_);
    out.sequences.k_start = flash::starts(keys, device_);
    Upload upload;
    const auto at = upload.add(places);
    upload.send(device_);
    out.seen = upload.integers(at, {static_cast<std::int64_t>(places.size())});
    return out;
  }

  static Tensor hidden(const Tensor& distance, std::int64_t window) {
    const auto ahead = distance < 0;
    return window > 0 ? ahead.logical_or(distance >= window) : ahead;
  }

  Tensor norm(const Tensor& x, const Range& weight) const {
    const auto y = at::empty(x.sizes(), x.options().dtype(type_));
    ops_->rms_norm(x.unsqueeze(1), model_.weights.norm(weight), c_.norm_eps, y.unsqueeze(1), {});
    return y;
  }

  Tensor linear(const Tensor& x, const Range& weight, const Range& bias) const {
    const auto y = at::linear(x, model_.weights.matrix(weight),
                              bias.exists() ? std::optional<Tensor>(model_.weights.bias(bias)) : std::nullopt);
    if (const auto* adapter = model_.weights.layout().adapter_of(weight)) add_adapted(model_.weights, *adapter, x, y);
    return y;
  }

  // q: [n, heads, size]; seen, hidden: [n, longest]. A few rows at a time, to bound what is gathered.
  Tensor look_back(const Tensor& q, const Tensor& seen, const Tensor& hidden, const Tensor& keys,
                   const Tensor& values) const {
    const std::int64_t n = q.size(0), longest = seen.size(1);
    const std::int64_t piece = std::max<std::int64_t>(1, (device_.is_cpu() ? 16384 : 1 << 20) / longest);
    std::vector<Tensor> out;
    for (std::int64_t r = 0; r < n; r += piece) {
      const std::int64_t m = std::min(piece, n - r);
      const auto index = seen.narrow(0, r, m).reshape({-1});
      out.push_back(look_at(q.narrow(0, r, m), hidden.narrow(0, r, m), keys.index_select(0, index),
                            values.index_select(0, index)));
    }
    return at::cat(out);
  }

  // q: [n, heads, size], each against its own keys and values: [n * longest, kv_heads, size].
  Tensor look_at(const Tensor& q, const Tensor& hidden, const Tensor& keys, const Tensor& values) const {
    const std::int64_t n = q.size(0), longest = hidden.size(1), size = c_.head_dim, kv_heads = c_.kv_heads;
    const auto by_head = [&](const Tensor& x) {  // [n, kv_heads, longest, size]
      return x.view({n, longest, kv_heads, size}).permute({0, 2, 1, 3}).to(at::kFloat);
    };
    const auto query = q.reshape({n, kv_heads, c_.group(), size}).to(at::kFloat);
    const auto scores = at::matmul(query, by_head(keys).transpose(2, 3)).div_(std::sqrt(static_cast<double>(size)));
    scores.masked_fill_(hidden.view({n, 1, 1, longest}), -std::numeric_limits<float>::infinity());
    return at::matmul(at::softmax(scores, -1), by_head(values)).to(type_).view({n, c_.heads, size});
  }

  EngineModel& model_;
  const Config& c_;
  std::unique_ptr<Ops> ops_;
  at::ScalarType type_;
  at::Device device_;
  std::int64_t blocks_;
  std::vector<Tensor> keys_, values_;
  std::vector<std::int64_t> copy_from_, copy_to_;  // blocks, not yet copied
  Tensor cos_, sin_;                               // [positions, size / 2]
  Tensor token_, place_, position_, last_, logits_;
};

}  // namespace

std::unique_ptr<Engine> make_portable_engine(EngineModel& model, std::int64_t blocks) {
  return std::make_unique<PortableEngine>(model, blocks);
}

}  // namespace grpo::transformer
