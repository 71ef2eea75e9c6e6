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
    const auto place = [this](const Range& r, std::int64_t parts) {
      const auto at = size_;
      size_ += parts * simd::packed_size(r.rows / parts, r.columns);
      return at;
    };
    for (const auto& l : weights.layout().layers)
      layers_.push_back({place(l.qkv, 1), place(l.o, 1), place(l.gate_up, 2), place(l.down, 1)});
    head_ = place(weights.layout().head, 1);
    buffer_ = fresh_zeros(size_, at::kFloat);
  }

  void refresh(std::uint64_t version) {
    if (packed_ && version == version_) return;
    type_ = wanted_ == DecodeType::float32                       ? simd::PackedType::float32
            : wanted_ == DecodeType::bfloat16 || fits_bfloat16() ? simd::PackedType::bfloat16
                                                                 : simd::PackedType::float32;
    each_matrix([this](const Range& r, std::int64_t at, bool gated) {
      const auto matrix = weights_.merged(r);
      const float* weight = matrix.const_data_ptr<float>();
      if (gated)
        simd::pack_gated(weight, r.rows / 2, r.columns, {address(at), type_});
      else
        simd::pack(weight, r.rows, r.columns, {address(at), type_});
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
    each_matrix([&](const Range& r, std::int64_t, bool) {
      fits = fits && simd::fits_bfloat16(weights_.merged(r).const_data_ptr<float>(), r.size());
    });
    return fits;
  }

  template <typename Body>
  void each_matrix(const Body& body) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto& l = weights_.layout().layers[i];
      body(l.qkv, layers_[i].qkv, false);
      body(l.o, layers_[i].o, false);
      body(l.gate_up, layers_[i].gate_up, true);
      body(l.down, layers_[i].down, false);
    }
    body(weights_.layout().head, head_, false);
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
      : model_(model), c_(model.config), shape_(c_), longest_(longest), layer_block_(c_.kv_size() * block_tokens) {
    if (!model.packed) model.packed = std::make_shared<PackedWeights>(model.weights, model.decode_type);
    model.packed->refresh(model.version);
    const auto floats = [](std::int64_t n) { return fresh_zeros(n, at::kFloat); };
    cache_ = floats(blocks * block_step());
    x_ = floats(rows * c_.hidden);
    inside_ = floats(rows * shape_.inside_step());
    if (c_.qk_norm) turned_ = floats(rows * c_.qkv_size());
    active_ = floats(rows * c_.ffn);
    logits_ = floats(logit_rows * c_.vocabulary);
    cos_ = floats(rows * c_.head_dim / 2);
    sin_ = floats(rows * c_.head_dim / 2);
    scratch_ = floats(std::max(simd::linear_scratch(rows, std::max({c_.hidden, c_.ffn, c_.q_size()})),
                               simd::cached_attention_scratch(longest, c_.group(), c_.head_dim)));
    tokens_.resize(static_cast<std::size_t>(rows));
    positions_.resize(static_cast<std::size_t>(rows));
  }

  std::int64_t max_rows() const override { return rows; }
  std::int64_t max_logits() const override { return logit_rows; }

  void run(const EngineRow* row, std::int64_t n, std::int64_t place) override {
    model_.packed->refresh(model_.version);
    for (std::int64_t r = 0; r < n; ++r) {
      positions_[static_cast<std::size_t>(r)] = row[r].position;
      tokens_[static_cast<std::size_t>(r)] = {row[r].block, row[r].position};
    }
    rope_table(c_, positions_.data(), n, data(cos_), data(sin_));
    const auto first = rows_of(0, place);
    const float* embedding = model_.weights.value_data() + model_.weights.layout().embedding.offset;
    for (std::int64_t r = 0; r < n; ++r)
      std::copy_n(embedding + row[r].token * c_.hidden, c_.hidden, first.x + r * first.step);
      // One region for all layers: a thread that has done its part of a product goes straight on to the next.
#pragma omp parallel
    for (std::size_t i = 0; i < layers(); ++i) run_layer(i, n, rows_of(i, place), rows_of(i + 1, place).x);
    last_ = rows_of(layers(), place);
  }

  const float* logits(std::int64_t first, std::int64_t n) override {
    const Layout& layout = model_.weights.layout();
    const float* norm = model_.weights.value_data() + layout.final_norm.offset;
#pragma omp parallel
    simd::linear({last_.x + first * last_.step, last_.step, norm, c_.norm_eps}, n,
                 model_.packed->at(model_.packed->head()), nullptr, c_.vocabulary, c_.hidden,
                 {data(logits_), c_.vocabulary}, data(scratch_));
    return data(logits_);
  }

  void copy_block(std::int32_t from, std::int32_t to) override {
    std::copy_n(data(cache_) + from * block_step(), block_step(), data(cache_) + to * block_step());
  }

 private:
  static constexpr std::int64_t rows = 256, logit_rows = 64;
  static float* data(const at::Tensor& t) { return t.mutable_data_ptr<float>(); }

  // Where the layer's activations go: into the record, or into memory of our own, which every layer uses again.
  LayerRows rows_of(std::size_t layer, std::int64_t place) const {
    if (place < 0) return shape_.rows(data(x_), c_.hidden, data(inside_));
    const auto recorded = model_.record->layer(layer, place);
    return recorded.qkv ? recorded : shape_.rows(recorded.x, recorded.step, data(inside_));
  }

  std::size_t layers() const { return static_cast<std::size_t>(c_.layers); }
  std::int64_t block_step() const { return c_.layers * 2 * layer_block_; }

  // By all threads of a region.
  void run_layer(std::size_t i, std::int64_t n, const LayerRows& a, float* next) {
    const auto& l = model_.weights.layout().layers[i];
    const auto& packed = model_.packed->layer(i);
    const float* values = model_.weights.value_data();
    const auto at = [values](const Range& r) { return r.exists() ? values + r.offset : nullptr; };
    const auto linear = [&](const simd::LinearInput& in, std::int64_t matrix, const Range& weight, const Range& bias,
                            const simd::LinearOutput& out) {
      simd::linear(in, n, model_.packed->at(matrix), at(bias), weight.rows, weight.columns, out, data(scratch_));
    };
    linear({a.x, a.step, at(l.input_norm), c_.norm_eps}, packed.qkv, l.qkv, l.qkv_bias, {a.qkv, a.inside_step});
    attend(i, n, a);
    linear({a.attention, a.inside_step}, packed.o, l.o, l.o_bias, {a.middle, a.inside_step, a.x, a.step});
    simd::gated_linear({a.middle, a.inside_step, at(l.post_norm), c_.norm_eps}, n, model_.packed->at(packed.gate_up),
                       at(l.gate_up_bias), c_.ffn, c_.hidden, a.gate_up, a.inside_step, data(active_), data(scratch_));
    linear({data(active_), c_.ffn}, packed.down, l.down, l.down_bias, {next, a.step, a.middle, a.inside_step});
  }

  void attend(std::size_t i, std::int64_t n, const LayerRows& a) {
    const auto& l = model_.weights.layout().layers[i];
    const float* values = model_.weights.value_data();
    simd::CachedLayer layer{};
    layer.token = tokens_.data();
    layer.n = n;
    layer.kv_heads = c_.kv_heads;
    layer.group = c_.group();
    layer.size = c_.head_dim;
    layer.qkv = layer.turned = a.qkv;
    layer.step = layer.turned_step = a.inside_step;
    if (c_.qk_norm) {  // a record has them as they were before
      layer.q_norm = values + l.q_norm.offset;
      layer.k_norm = values + l.k_norm.offset;
      layer.norm_eps = c_.norm_eps;
      layer.turned = data(turned_);
      layer.turned_step = c_.qkv_size();
    }
    layer.cos = data(cos_);
    layer.sin = data(sin_);
    layer.keys = data(cache_) + static_cast<std::int64_t>(i) * 2 * layer_block_;
    layer.values = layer.keys + layer_block_;
    layer.block_step = block_step();
    layer.window = c_.window[i];
    layer.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c_.head_dim)));
    layer.out = a.attention;
    layer.lse = a.lse;
    simd::write_cache(layer);
    simd::cached_attention(layer, longest_, data(scratch_));
  }

  EngineModel& model_;
  const Config& c_;
  LayerShape shape_;
  std::int64_t longest_, layer_block_;
  at::Tensor cache_;  // [blocks][layers]: keys [kv_heads][size][16], values [kv_heads][16][size]
  at::Tensor x_, inside_, turned_, active_, logits_, cos_, sin_, scratch_;
  LayerRows last_{};  // whose x the last pass left
  std::vector<simd::CachedToken> tokens_;
  std::vector<std::int32_t> positions_;
};

}  // namespace

std::unique_ptr<Engine> make_cpu_engine(EngineModel& model, std::int64_t blocks, std::int64_t longest) {
  return std::make_unique<CpuEngine>(model, blocks, longest);
}

}  // namespace grpo::transformer
