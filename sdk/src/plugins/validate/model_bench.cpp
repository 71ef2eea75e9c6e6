#include "model_bench.hpp"

#include <grpo/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "grpo/sdk/plugins/model.hpp"

namespace grpo::plugins::conformance {

ModelBench::ModelBench(Subject& subject, Fields fields)
    : table(subject.table_as<grpo_model>()), subject_(subject), fields_(fields), opened_(subject, {.fields = fields}) {
  subject.at("describe");
  info_ = table->describe(handle());
  need(info_, "describe gave nothing", "give a grpo_model_info that lives as long as the handle");
  if (table->query) decode_ = static_cast<const grpo_decode*>(table->query(handle(), GRPO_DECODE_ID));
}

void ModelBench::need_training() const {
  if (!can(GRPO_MODEL_TRAIN)) throw Skipped{"it cannot be trained (no GRPO_MODEL_TRAIN)"};
  need(table->backward && table->zero_grad && table->commit && table->drop,
       "its description says GRPO_MODEL_TRAIN, and its table lacks backward, drop, zero_grad or commit", "");
}

void ModelBench::need_decode() const {
  if (!decode_) throw Skipped{"it does not offer grpo.decode/1"};
}

Tokens ModelBench::tokens(std::uint64_t seed, std::size_t n) const {
  Tokens out;
  for (std::uint64_t i = 0; out.size() < n; ++i) {
    const auto id = static_cast<std::int32_t>(grpo_random_uniform(seed, i) * static_cast<double>(info_->vocabulary));
    if (out.empty() || info_->vocabulary < 4 || id != out.back()) out.push_back(id);
  }
  return out;
}

std::size_t ModelBench::length(std::size_t wanted) const {
  return static_cast<std::size_t>(std::min<std::int64_t>(static_cast<std::int64_t>(wanted), info_->max_positions));
}

grpo_status ModelBench::try_forward(Caller& caller, const Forest& forest, double temperature, Scores& out, bool entropy,
                                    bool train) {
  grpo_forest f = made<grpo_forest>();
  forest.fill(f);
  return try_forward(caller, f, {forest.target_at().begin(), forest.target_at().end()},
                     {forest.target_token().begin(), forest.target_token().end()}, temperature, out, entropy, train);
}

grpo_status ModelBench::try_forward(Caller& caller, const grpo_forest& from, const std::vector<std::int64_t>& target_at,
                                    const Tokens& target, double temperature, Scores& out, bool entropy, bool train) {
  const auto n = target.size();
  std::vector<Pages> kept;
  const auto guarded = [&](const auto* data, std::size_t count, const char* what) {
    kept.push_back(copied(data, count, what));
    kept.back().read_only();
    return static_cast<decltype(data)>(kept.back().data());
  };
  kept.reserve(8);
  Struct<grpo_forest> forest("the grpo_forest", fields_);
  forest->n_tokens = from.n_tokens;
  forest->n_nodes = from.n_nodes;
  forest->token = guarded(from.token, static_cast<std::size_t>(from.n_tokens), "forest->token");
  forest->node_start = guarded(from.node_start, static_cast<std::size_t>(from.n_nodes) + 1, "forest->node_start");
  forest->parent = guarded(from.parent, static_cast<std::size_t>(from.n_nodes), "forest->parent");
  forest.seal();
  Pages logprob(n * sizeof(float), "forward's logprob"), entropies(n * sizeof(float), "forward's entropy"),
      ticket(sizeof(std::uint64_t), "forward's ticket");
  std::fill_n(logprob.as<float>(), n, std::numeric_limits<float>::quiet_NaN());
  std::fill_n(entropies.as<float>(), n, std::numeric_limits<float>::quiet_NaN());
  Struct<grpo_forward> a("the grpo_forward", fields_);
  a->flags = train ? GRPO_FORWARD_TRAIN : 0;
  a->forest = forest;
  a->temperature = temperature;
  a->n_targets = static_cast<std::int64_t>(n);
  a->target_at = guarded(target_at.data(), n, "forward's target_at");
  a->target_token = guarded(target.data(), n, "forward's target_token");
  a->logprob = logprob.as<float>();
  a->entropy = entropy ? entropies.as<float>() : nullptr;
  a->ticket = train ? ticket.as<std::uint64_t>() : nullptr;
  a.seal();
  subject_.at("forward of " + std::to_string(from.n_tokens) + " tokens with " + std::to_string(n) + " targets");
  const grpo_status status = table->forward(handle(), caller, a);
  for (const Pages* p : {&logprob, &entropies, &ticket})
    need(p->intact(), "it wrote before the first element of " + p->what(), "outputs have n_targets elements");
  out.logprob.assign(logprob.as<float>(), logprob.as<float>() + n);
  if (entropy) out.entropy.assign(entropies.as<float>(), entropies.as<float>() + n);
  if (train) out.ticket = *ticket.as<std::uint64_t>();
  for (Pages& p : kept) p.inaccessible();
  return status;
}

Scores ModelBench::forward(const Forest& whole, double temperature, bool entropy, bool train) {
  const std::int32_t depth = info_->max_depth;
  const Forest forest = depth > 0 && whole.depth() > depth ? whole.flattened(depth) : whole;
  Caller call(fields_);
  Scores out;
  const grpo_status status = try_forward(call, forest, temperature, out, entropy, train);
  need(status == GRPO_STATUS_OK,
       "forward failed: " + (call.spoke() ? call.error() : "without a message") + " (" + status_text(status) + ")", "");
  call.end();
  for (const auto* list : {&out.logprob, &out.entropy})
    for (const float x : *list)
      need(std::isfinite(x),
           "forward left a " + std::string(list == &out.logprob ? "log-probability" : "n entropy") +
               " that is not finite",
           "write every target's value");
  return out;
}

void ModelBench::backward(std::uint64_t ticket, const std::vector<float>& dlogprob,
                          const std::vector<float>& dentropy) {
  Pages dl = copied(dlogprob.data(), dlogprob.size(), "dlogprob"),
        de = copied(dentropy.data(), dentropy.size(), "dentropy");
  dl.read_only();
  de.read_only();
  Struct<grpo_backward> a("the grpo_backward", fields_);
  a->ticket = ticket;
  a->dlogprob = dl.as<const float>();
  a->dentropy = dentropy.empty() ? nullptr : de.as<const float>();
  a.seal();
  Caller call(fields_);
  subject_.at("backward");
  const grpo_status status = table->backward(handle(), call, a);
  need(status == GRPO_STATUS_OK, "backward failed: " + call.error() + " (" + status_text(status) + ")", "");
  call.end();
}

void ModelBench::zero_grad() {
  Caller call(fields_);
  subject_.at("zero_grad");
  const grpo_status status = table->zero_grad(handle(), call);
  need(status == GRPO_STATUS_OK, "zero_grad failed: " + call.error() + " (" + status_text(status) + ")", "");
}

void ModelBench::commit(std::int64_t version) {
  Caller call(fields_);
  subject_.at("commit");
  const grpo_status status = table->commit(handle(), call, version);
  need(status == GRPO_STATUS_OK, "commit failed: " + call.error() + " (" + status_text(status) + ")", "");
}

std::vector<const grpo_parameter*> ModelBench::parameters() const {
  Caller call(fields_);
  std::int64_t n = 0;
  const grpo_parameter* const* list = nullptr;
  subject_.at("parameters");
  const grpo_status status = table->parameters(handle(), call, &n, &list);
  need(status == GRPO_STATUS_OK, "parameters failed: " + call.error() + " (" + status_text(status) + ")", "");
  need(n >= 0 && (n == 0 || list), "parameters gave " + std::to_string(n) + " of them", "");
  call.end();
  return {list, list + n};
}

// --- weights ---

namespace {

struct Sink {
  Weights weights;
  Failed failure;
  grpo_tensor_sink table = made<grpo_tensor_sink>();
  Sink() {
    table.owner = this;
    table.put = [](const grpo_tensor_sink* sink, const grpo_call* call, std::int64_t n,
                   const grpo_named_tensor* const* list) noexcept -> grpo_status {
      auto& self = *static_cast<Sink*>(sink->owner);
      try {
        for (std::int64_t i = 0; i < n; ++i) self.take(*list[i]);
        return GRPO_STATUS_OK;
      } catch (const Failed& e) {
        self.failure = e;
        return grpo_fail(call, GRPO_STATUS_INVALID, e.why.c_str());
      }
    };
  }
  void take(const grpo_named_tensor& t) {
    const std::string name = t.name ? t.name : "";
    need(!name.empty() && !weights.tensors.contains(name),
         "export_weights gave '" + name + "' twice, or without a name", "a tensor that several layers use is put once");
    const grpo_dltensor& d = t.tensor->dl;
    need(d.device_type == GRPO_DEVICE_CPU || d.device_type == GRPO_DEVICE_CUDA_HOST,
         "export_weights put '" + name + "' on a device, into a sink without GRPO_SINK_DEVICE",
         "make a copy in host memory");
    need(is_contiguous(d), "export_weights put '" + name + "' with gaps", "put a copy without gaps");
    Weights::One one{{d.shape, d.shape + d.ndim}, d.type, d.bits, {}};
    one.bytes.assign(data_of(*t.tensor), data_of(*t.tensor) + byte_count(d));
    weights.tensors[name] = std::move(one);
  }
};

struct Source {
  const Weights& weights;
  std::vector<const char*> names;
  grpo_tensor tensor = made<grpo_tensor>();
  std::vector<std::int64_t> shape;
  std::vector<char> bytes;
  grpo_tensor_source table = made<grpo_tensor_source>();
  explicit Source(const Weights& from) : weights(from) {
    for (const auto& [name, one] : weights.tensors) names.push_back(name.c_str());
    table.owner = this;
    table.n = static_cast<std::int64_t>(names.size());
    table.names = names.data();
    table.get = [](const grpo_tensor_source* source, const grpo_call*, const char* name,
                   const grpo_tensor** out) noexcept -> grpo_status {
      auto& self = *static_cast<Source*>(source->owner);
      *out = nullptr;
      const auto at = self.weights.tensors.find(name);
      if (at == self.weights.tensors.end()) return GRPO_STATUS_OK;
      self.shape = at->second.shape;
      self.bytes = at->second.bytes;  // the one before is gone
      self.tensor.dl.data = self.bytes.data();
      self.tensor.dl.device_type = GRPO_DEVICE_CPU;
      self.tensor.dl.ndim = static_cast<std::int32_t>(self.shape.size());
      self.tensor.dl.type = at->second.type;
      self.tensor.dl.bits = at->second.bits;
      self.tensor.dl.lanes = 1;
      self.tensor.dl.shape = self.shape.data();
      self.tensor.flags = GRPO_TENSOR_READ_ONLY;
      *out = &self.tensor;
      return GRPO_STATUS_OK;
    };
  }
};

}  // namespace

Weights ModelBench::export_weights() {
  need(table->export_weights, "its table lacks export_weights", "");
  Sink sink;
  Caller call(fields_);
  subject_.at("export_weights");
  const grpo_status status = table->export_weights(handle(), call, &sink.table);
  if (!sink.failure.why.empty()) throw sink.failure;
  need(status == GRPO_STATUS_OK, "export_weights failed: " + call.error() + " (" + status_text(status) + ")", "");
  return std::move(sink.weights);
}

grpo_status ModelBench::import_weights(Caller& caller, std::int64_t version, const Weights& weights) {
  Source source(weights);
  subject_.at("import_weights");
  return table->import_weights(handle(), caller, version, &source.table);
}

std::int64_t elements_of(const grpo_tensor* tensor) { return element_count(tensor->dl); }

float* floats_of(const grpo_tensor* tensor) {
  if (!tensor) return nullptr;
  const grpo_dltensor& d = tensor->dl;
  const bool fits = d.device_type == GRPO_DEVICE_CPU && d.type == GRPO_TYPE_FLOAT && d.bits == 32 && is_contiguous(d);
  return fits ? reinterpret_cast<float*>(data_of(*tensor)) : nullptr;
}

}  // namespace grpo::plugins::conformance
