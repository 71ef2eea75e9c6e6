// The calls of grpo.model/1 and of its decoder, made again. Weights come from the recording where it has them; else the
// model opens its own, which must be the same, and calls stop where an optimizer changed them.
#include <grpo/model.h>

#include <cstring>
#include <limits>
#include <set>

#include "decoding.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/model.hpp"
#include "tensors.hpp"

namespace grpo::plugins::record {
namespace {

class ModelReplayer final : public Replayer {
 public:
  using Replayer::Replayer;

 private:
  struct State {
    bool whole = false;                              // the recording has the weights
    bool stale = false;                              // they have changed since, to what nobody knows
    std::map<std::uint64_t, std::uint64_t> tickets;  // recorded, and what they are now
    std::set<std::uint64_t> lost;                    // recorded, of forwards that fail now
    std::unique_ptr<DecodeReplay> decode;
  };
  struct Result {
    grpo_status status = GRPO_STATUS_OK;
    std::string error;
    ValueList values;
    std::uint64_t ticket = 0;
  };

  const grpo_model* table() const { return reinterpret_cast<const grpo_model*>(plugin_->table); }

  void asked(const wire::Envelope& m) override {
    Opened& o = opened(m);
    State& s = states_[m.handle()];
    const Unpack a(m.argument(), m.function());
    if (m.function() == "parameters") return introduced(o, s, a);
    if (s.stale) {
      compare_.note("its weights were changed by an optimizer, and are too large to have been kept: calls from call " +
                    std::to_string(stale_from_) + " on are not made again");
      return;
    }
    if ((m.function() == "drop" || m.function() == "backward") &&
        s.lost.contains(static_cast<std::uint64_t>(a.integer("ticket")))) {
      compare_.note("the backward of a forward that fails now is not made");
      return;
    }
    Call call(o.services);
    begin(m, call);
    Result r;
    r.status = make_call(m, o, s, a, call, r);
    r.error = call.error();
    if (m.function() != "drop") results_[m.id()] = std::move(r);
  }

  grpo_status make_call(const wire::Envelope& m, Opened& o, State& s, const Unpack& a, const grpo_call* call,
                        Result& r) {
    const std::string& f = m.function();
    if (f.starts_with("decode.")) return decoder(o, s).run(m, call, r.values);
    if (f == "forward") return forward(o, a, call, r);
    if (f == "backward") return backward(o, s, a, call, r);
    if (f == "drop") {
      table()->drop(o.handle, ticket(s, a));
      return GRPO_STATUS_OK;
    }
    if (f == "zero_grad") return table()->zero_grad(o.handle, call);
    if (f == "commit") {
      if (s.whole)
        put_values(o, a.values("value"));
      else if (!a.values("value").empty()) {
        s.stale = true;
        stale_from_ = m.id();
        return GRPO_STATUS_OK;
      }
      return table()->commit(o.handle, call, a.integer("version"));
    }
    if (f == "export_weights") return export_weights(o, call);
    if (f == "import_weights") return GRPO_STATUS_OK;  // the values are in the answer
    throw Error("call " + std::to_string(m.id()) + ": a model has no function " + f);
  }

  void answered(const wire::Envelope& m) override {
    const auto at = results_.find(m.id());
    if (at == results_.end()) return;
    Result r = std::move(at->second);
    results_.erase(at);
    Opened& o = opened(m);
    State& s = states_[m.handle()];
    compare_.of(m.id(), m.function());
    if (m.function() == "import_weights") return imported(m, o, s);
    if (s.stale) return;
    compare_.outcome(m, r.status, r.error);
    const Unpack expected(m.result(), m.function());
    if (m.function() == "forward" && r.status != GRPO_STATUS_OK && expected.has("ticket"))
      s.lost.insert(static_cast<std::uint64_t>(expected.integer("ticket")));
    if (m.status() != GRPO_STATUS_OK || r.status != GRPO_STATUS_OK) return;
    if (m.function() == "forward") {
      compare_.tensor(expected.tensor("logprob"), Unpack(r.values, "forward").tensor("logprob"), "logprob");
      if (expected.has("entropy"))
        compare_.tensor(expected.tensor("entropy"), Unpack(r.values, "forward").tensor("entropy"), "entropy");
      if (expected.has("ticket")) s.tickets[static_cast<std::uint64_t>(expected.integer("ticket"))] = r.ticket;
    } else if (m.function() == "backward") {
      compare_gradients(expected.values("gradient"), r.values);
    } else if (m.function().starts_with("decode.")) {
      compare_values(compare_, m.result(), r.values);
    }
  }

  void finished() override {
    for (const auto& [id, result] : results_) unanswered(id);
  }
  void closing(std::uint64_t handle) override { states_.erase(handle); }  // decode sessions end before their model

  // ---- weights

  std::map<std::string, const grpo_parameter*> parameters(Opened& o) const {
    std::int64_t n = 0;
    const grpo_parameter* const* list = nullptr;
    Call call(o.services);
    call.need(table()->parameters(o.handle, call, &n, &list), *plugin_, "parameters");
    std::map<std::string, const grpo_parameter*> out;
    for (std::int64_t i = 0; i < n; ++i) out[list[i]->name] = list[i];
    return out;
  }

  void put_values(Opened& o, const ValueList& values) {
    const auto all = parameters(o);
    for (const wire::Value& value : values) {
      const auto at = all.find(value.name());
      if (at == all.end()) throw Error("the recording has the parameter '" + value.name() + "', the model has not");
      const grpo_tensor& to = *at->second->value;
      const wire::Tensor& from = value.tensor();
      if (to.dl.device_type == GRPO_DEVICE_CUDA)
        throw Error("the model is on a GPU, where recorded weights are not put; open it on the CPU (--options)");
      if (from.type() != to.dl.type || from.bits() != to.dl.bits ||
          static_cast<std::int64_t>(from.data().size()) != record::bytes_of(to) || !is_contiguous(to.dl))
        throw Error("the parameter '" + value.name() + "' has another shape or type than the recorded one");
      std::memcpy(data_of(to), from.data().data(), from.data().size());
    }
  }

  void introduced(Opened& o, State& s, const Unpack& a) {
    s.whole = a.integer("whole") != 0;
    compare_.of(0, "parameters");
    compare_.integer(a.values("value").size(), static_cast<std::int64_t>(parameters(o).size()), -1, "parameters");
    if (s.whole) {
      put_values(o, a.values("value"));
      Call call(o.services);
      if (table()->commit) call.need(table()->commit(o.handle, call, 0), *plugin_, "commit");
      return;
    }
    const auto all = parameters(o);
    for (const wire::Value& value : a.values("value")) {
      const auto at = all.find(value.name());
      wire::Tensor now;
      if (at != all.end()) write_spread(*at->second->value, most_elements, now);
      if (now.data() != value.tensor().data())
        throw Error("the weights are not those that were recorded: " + value.name() +
                    " differs, and they are too large to be in the recording. Open the model on the same ones "
                    "(--options '{\"path\": \"...\"}')");
    }
  }

  void imported(const wire::Envelope& m, Opened& o, State& s) {
    if (m.status() != GRPO_STATUS_OK) return;
    const Unpack result(m.result(), "import_weights");
    if (!s.whole && !result.values("value").empty()) {
      s.stale = true;
      stale_from_ = m.id();
      return;
    }
    put_values(o, result.values("value"));
    compare_.note("imports of weights are replaced by writing what they left, and a commit");
    Call call(o.services);
    if (table()->commit) call.need(table()->commit(o.handle, call, 1), *plugin_, "commit");
  }

  grpo_status export_weights(Opened& o, const grpo_call* call) {
    grpo_tensor_sink sink{};
    sink.struct_size = sizeof sink;
    sink.put = [](const grpo_tensor_sink*, const grpo_call*, std::int64_t, const grpo_named_tensor* const*) noexcept {
      return grpo_status{GRPO_STATUS_OK};
    };
    return table()->export_weights(o.handle, call, &sink);
  }

  // ---- calls

  grpo_status forward(Opened& o, const Unpack& a, const grpo_call* call, Result& r) {
    const auto token = a.list<std::int32_t>("token");
    const auto start = a.list<std::int64_t>("node_start");
    const auto parent = a.list<std::int64_t>("parent");
    const auto at = a.list<std::int64_t>("target_at");
    const auto target = a.list<std::int32_t>("target_token", static_cast<std::int64_t>(at.size()));
    const auto n = static_cast<std::int64_t>(at.size());
    if (start.size() != parent.size() + 1 || start.back() != static_cast<std::int64_t>(token.size()))
      a.wrong("node_start");
    for (const std::int64_t t : at)
      if (t < 0 || t >= static_cast<std::int64_t>(token.size())) a.wrong("target_at");
    std::vector<float> logprob(at.size() + 1, std::numeric_limits<float>::quiet_NaN()), entropy = logprob;
    grpo_forest forest{};
    forest.struct_size = sizeof forest;
    forest.n_tokens = static_cast<std::int64_t>(token.size());
    forest.n_nodes = static_cast<std::int64_t>(parent.size());
    forest.token = token.data();
    forest.node_start = start.data();
    forest.parent = parent.data();
    grpo_forward f{};
    f.struct_size = sizeof f;
    f.flags = static_cast<std::uint32_t>(a.integer("flags"));
    f.forest = &forest;
    f.temperature = a.number("temperature");
    f.n_targets = n;
    f.target_at = at.data();
    f.target_token = target.data();
    f.logprob = logprob.data();
    f.entropy = a.integer("entropy") ? entropy.data() : nullptr;
    f.ticket = f.flags & GRPO_FORWARD_TRAIN ? &r.ticket : nullptr;
    const grpo_status status = table()->forward(o.handle, call, &f);
    Pack(r.values).list("logprob", logprob.data(), n).list("entropy", f.entropy, n);
    return status;
  }

  std::uint64_t ticket(const State& s, const Unpack& a) const {
    const auto at = s.tickets.find(static_cast<std::uint64_t>(a.integer("ticket")));
    if (at == s.tickets.end()) a.wrong("ticket");
    return at->second;
  }

  grpo_status backward(Opened& o, const State& s, const Unpack& a, const grpo_call* call, Result& r) {
    const auto dlogprob = a.list<float>("dlogprob");
    std::vector<float> dentropy;
    if (a.has("dentropy")) dentropy = a.list<float>("dentropy", static_cast<std::int64_t>(dlogprob.size()));
    const grpo_backward b{sizeof b, 0, ticket(s, a), dlogprob.data(), a.has("dentropy") ? dentropy.data() : nullptr};
    const grpo_status status = table()->backward(o.handle, call, &b);
    Pack pack(r.values);
    for (const auto& [name, p] : parameters(o))
      if (p->gradient) write_spread(*p->gradient, most_elements, pack.tensor(name.c_str()));
    return status;
  }

  void compare_gradients(const ValueList& expected, const ValueList& got) {
    for (const wire::Value& value : expected) {
      const wire::Value* same = nullptr;
      for (const wire::Value& other : got)
        if (other.name() == value.name()) same = &other;
      compare_.tensor(value.tensor(), same ? same->tensor() : wire::Tensor(), "gradient " + value.name());
    }
  }

  DecodeReplay& decoder(Opened& o, State& s) {
    if (s.decode) return *s.decode;
    const void* decode = table()->query ? table()->query(o.handle, GRPO_DECODE_ID) : nullptr;
    if (!decode) throw Error(plugin_->label() + " offers no " GRPO_DECODE_ID ", of which the recording has calls");
    s.decode = std::make_unique<DecodeReplay>(static_cast<const grpo_decode*>(decode), o.handle,
                                              table()->describe(o.handle)->vocabulary);
    return *s.decode;
  }

  std::map<std::uint64_t, State> states_;
  std::map<std::uint64_t, Result> results_;
  std::uint64_t stale_from_ = 0;
};

}  // namespace

std::unique_ptr<Replayer> replay_model(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                       ReplayReport& report) {
  return std::make_unique<ModelReplayer>(std::move(plugin), settings, report);
}

}  // namespace grpo::plugins::record
