// The decode engine for fp32 in host memory: own loops throughout (simd.hpp), so that a sequence's tokens depend on
// nothing but itself. Weights are packed once for every version; that is a second copy of them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine.hpp"
#include "kernels/simd.hpp"
#include "memory.hpp"
#include "record.hpp"
#include "weights.hpp"

namespace grpo::transformer {

class PackedWeights {
 public:
  PackedWeights(const Weights& weights, DecodeType wanted) : weights_(weights), wanted_(wanted) {
    const auto place = [this](const Range& r) {
      const auto at = size_;
      size_ += simd::packed_size(r.rows, r.columns);
      return at;
    };
    for (const auto& l : weights.layout().layers)
      layers_.push_back({place(l.qkv), place(l.o), place(l.gate_up), place(l.down)});
    head_ = place(weights.layout().head);
    buffer_ = fresh_zeros(size_, at::kFloat);
  }

  void refresh(std::uint64_t version) {
    if (packed_ && version == version_) return;
    type_ = wanted_ == DecodeType::float32                       ? simd::PackedType::float32
            : wanted_ == DecodeType::bfloat16 || fits_bfloat16() ? simd::PackedType::bfloat16
                                                                 : simd::PackedType::float32;
    each_matrix([this](const Range& r, std::int64_t at) {
      simd::pack(weights_.value_data() + r.offset, r.rows, r.columns, type_, address(at));
    });
    packed_ = true;
    version_ = version;
  }

  struct Layer {
    std::int64_t qkv, o, gate_up, down;
  };
  const Layer& layer(std::size_t i) const { return layers_[i]; }
  std::int64_t head() const { return head_; }
  simd::PackedMatrix at(std::int64_t offset) const { return {address(offset), type_}; }
  simd::PackedType type() const { return type_; }

 private:
  // Most published checkpoints hold bfloat16, and until the first optimizer step so do we.
  bool fits_bfloat16() const {
    bool fits = true;
    each_matrix([&](const Range& r, std::int64_t) {
      fits = fits && simd::fits_bfloat16(weights_.value_data() + r.offset, r.size());
    });
    return fits;
  }

  template <typename Body>
  void each_matrix(const Body& body) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto& l = weights_.layout().layers[i];
      body(l.qkv, layers_[i].qkv);
      body(l.o, layers_[i].o);
      body(l.gate_up, layers_[i].gate_up);
      body(l.down, layers_[i].down);
    }
    body(weights_.layout().head, head_);
  }

  void* address(std::int64_t offset) const {
    const auto size = type_ == simd::PackedType::float32 ? sizeof(float) : sizeof(std::uint16_t);
    return reinterpret_cast<char*>(buffer_.mutable_data_ptr<float>()) + offset * static_cast<std::int64_t>(size);
  }

  const Weights& weights_;
  std::vector<Layer> layers_;
  std::int64_t head_ = 0, size_ = 0;
  DecodeType wanted_;
  simd::PackedType type_ = simd::PackedType::float32;
  at::Tensor buffer_;  // as for fp32; what is not touched takes no memory
  bool packed_ = false;
  std::uint64_t version_ = 0;
};

namespace {

class CpuEngine final : public Engine {
 public:
  CpuEngine(EngineModel& model, std::int64_t blocks, std::int64_t longest)
      : model_(model), c_(model.config), longest_(longest), block_elements_(c_.kv_size() * block_tokens) {
    if (!model.packed) model.packed = std::make_shared<PackedWeights>(model.weights, model.decode_type);
    model.packed->refresh(model.version);
    const auto floats = [](std::int64_t n) { return fresh_zeros(n, at::kFloat); };
    keys_ = floats(c_.layers * blocks * block_elements_);
    values_ = floats(c_.layers * blocks * block_elements_);
    layer_stride_ = blocks * block_elements_;
    x_ = floats(rows * c_.hidden);
    normed_ = floats(rows * c_.hidden);
    qkv_ = floats(rows * c_.qkv_size());
    if (c_.qk_norm) normed_qkv_ = floats(rows * c_.qkv_size());
    attention_ = floats(rows * c_.q_size());
    gate_up_ = floats(rows * 2 * c_.ffn);
    active_ = floats(rows * c_.ffn);
    logits_ = floats(logit_rows * c_.vocabulary);
    cos_ = floats(rows * c_.head_dim / 2);
    sin_ = floats(rows * c_.head_dim / 2);
    sums_ = floats(simd::linear_scratch(rows, std::max({c_.hidden, c_.ffn, c_.q_size()})));
    scratch_ = floats(simd::cached_attention_scratch(longest, c_.group()));
    cache_rows_.resize(static_cast<std::size_t>(rows));
    queries_.resize(static_cast<std::size_t>(rows));
    positions_.resize(static_cast<std::size_t>(rows));
  }

  std::int64_t max_rows() const override { return rows; }
  std::int64_t max_logits() const override { return logit_rows; }

  void run(const EngineRow* row, std::int64_t n, std::int64_t place) override {
    model_.packed->refresh(model_.version);
    const Layout& layout = model_.weights.layout();
    const float* values = model_.weights.value_data();
    const std::int64_t hidden = c_.hidden, qkv_size = c_.qkv_size(), size = c_.head_dim;
    for (std::int64_t r = 0; r < n; ++r) positions_[static_cast<std::size_t>(r)] = row[r].position;
    rope_table(c_, positions_.data(), n, data(cos_), data(sin_));
    const auto optional = [values](const Range& r) { return r.exists() ? values + r.offset : nullptr; };
    const auto linear = [&](const float* x, std::int64_t packed, const Range& weight, const Range& bias,
                            const float* residual, float* y) {
      simd::linear(x, n, model_.packed->at(packed), optional(bias), weight.rows, weight.columns, residual, y,
                   data(sums_));
    };
    const auto norm = [&](const float* x, const Range& weight) {
      simd::rms_norm(x, hidden, values + weight.offset, c_.norm_eps, n, 1, hidden, data(normed_), hidden, nullptr);
    };

    auto a = place_of(0, place);
    for (std::int64_t r = 0; r < n; ++r)
      std::copy_n(values + layout.embedding.offset + row[r].token * hidden, hidden, a.x + r * hidden);
    for (std::size_t i = 0; i < layout.layers.size(); ++i) {
      const auto& l = layout.layers[i];
      const auto& packed = model_.packed->layer(i);
      norm(a.x, l.input_norm);
      linear(data(normed_), packed.qkv, l.qkv, l.qkv_bias, nullptr, a.qkv);
      float* qkv = a.qkv;
      if (c_.qk_norm) {  // a record has them as they were before
        qkv = data(normed_qkv_);
        std::copy_n(a.qkv, n * qkv_size, qkv);
        simd::rms_norm(qkv, qkv_size, values + l.q_norm.offset, c_.norm_eps, n, c_.heads, size, qkv, qkv_size, nullptr);
        simd::rms_norm(qkv + c_.q_size(), qkv_size, values + l.k_norm.offset, c_.norm_eps, n, c_.kv_heads, size,
                       qkv + c_.q_size(), qkv_size, nullptr);
      }
      attend(row, n, i, qkv, a);
      linear(a.attention, packed.o, l.o, l.o_bias, a.x, a.middle);
      norm(a.middle, l.post_norm);
      linear(data(normed_), packed.gate_up, l.gate_up, l.gate_up_bias, nullptr, a.gate_up);
      simd::swiglu(a.gate_up, n, c_.ffn, data(active_));
      const auto next = place_of(i + 1, place);
      linear(data(active_), packed.down, l.down, l.down_bias, a.middle, next.x);
      a = next;
    }
    last_ = a.x;
  }

  const float* logits(std::int64_t first, std::int64_t n) override {
    const Layout& layout = model_.weights.layout();
    simd::rms_norm(last_ + first * c_.hidden, c_.hidden, model_.weights.value_data() + layout.final_norm.offset,
                   c_.norm_eps, n, 1, c_.hidden, data(normed_), c_.hidden, nullptr);
    simd::linear(data(normed_), n, model_.packed->at(model_.packed->head()), nullptr, c_.vocabulary, c_.hidden, nullptr,
                 data(logits_), data(sums_));
    return data(logits_);
  }

  void copy_block(std::int32_t from, std::int32_t to) override {
    const auto bytes = static_cast<std::size_t>(block_elements_) * sizeof(float);
    for (std::int64_t i = 0; i < c_.layers; ++i)
      for (auto* cache : {data(keys_), data(values_)})
        std::memcpy(cache + i * layer_stride_ + to * block_elements_,
                    cache + i * layer_stride_ + from * block_elements_, bytes);
  }

 private:
  static constexpr std::int64_t rows = 256, logit_rows = 64;
  static float* data(const at::Tensor& t) { return t.mutable_data_ptr<float>(); }

  // Where the layer's activations go, in the record or in memory of our own, which every layer uses again. Of what
  // comes after the last layer, x alone.
  Record::Layer place_of(std::size_t layer, std::int64_t place) const {
    if (place < 0)
      return {data(x_), data(qkv_), data(attention_), nullptr, data(x_), data(gate_up_)};  // x is updated in place
    if (layer == static_cast<std::size_t>(c_.layers))
      return {model_.record->last(place), nullptr, nullptr, nullptr, nullptr, nullptr};
    return model_.record->layer(layer, place);
  }

  // Turns queries and keys, writes keys and values into the cache, then lets every row look back.
  void attend(const EngineRow* row, std::int64_t n, std::size_t layer, float* qkv, const Record::Layer& a) {
    float* keys = data(keys_) + static_cast<std::int64_t>(layer) * layer_stride_;
    float* values = data(values_) + static_cast<std::int64_t>(layer) * layer_stride_;
    const std::int64_t size = c_.head_dim, window = c_.window[layer];
    for (std::int64_t r = 0; r < n; ++r) {
      const std::int64_t position = row[r].position;
      float* own = qkv + r * c_.qkv_size();
      cache_rows_[static_cast<std::size_t>(r)] = {own, row[r].block[position / block_tokens], position % block_tokens};
      queries_[static_cast<std::size_t>(r)] = {own,
                                               row[r].block,
                                               window > 0 ? std::max<std::int64_t>(0, position + 1 - window) : 0,
                                               position + 1,
                                               a.attention + r * c_.q_size(),
                                               a.lse ? a.lse + r * c_.heads : nullptr};
    }
    simd::write_cache(cache_rows_.data(), n, data(cos_), data(sin_), c_.kv_heads, c_.group(), size, keys, values);
    simd::cached_attention(queries_.data(), n, keys, values, c_.kv_heads, c_.group(), size,
                           static_cast<float>(1 / std::sqrt(static_cast<double>(size))), data(scratch_), longest_);
  }

  EngineModel& model_;
  const Config& c_;
  std::int64_t longest_, block_elements_, layer_stride_ = 0;
  at::Tensor keys_, values_;  // [layers][blocks][kv_heads][size][16] and [..][16][size]
  at::Tensor x_, normed_, qkv_, normed_qkv_, attention_, gate_up_, active_, logits_, cos_, sin_, sums_, scratch_;
  const float* last_ = nullptr;  // [rows, hidden] what the last pass left
  std::vector<simd::CacheRow> cache_rows_;
  std::vector<simd::CachedQuery> queries_;
  std::vector<std::int32_t> positions_;
};

}  // namespace

std::unique_ptr<Engine> make_cpu_engine(EngineModel& model, std::int64_t blocks, std::int64_t longest) {
  return std::make_unique<CpuEngine>(model, blocks, longest);
}

}  // namespace grpo::transformer
