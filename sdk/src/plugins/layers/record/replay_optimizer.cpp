// The calls of grpo.optimizer/1, made again on what was kept of the slices.
#include <grpo/optimizer.h>

#include <cstring>

#include "grpo/sdk/error.hpp"
#include "replaying.hpp"
#include "tensors.hpp"
#include "values.hpp"

namespace grpo::plugins::record {
namespace {

class OptimizerReplayer final : public Replayer {
 public:
  using Replayer::Replayer;

 private:
  struct Slice {
    std::string name;
    std::vector<std::int64_t> whole_shape;
    std::unique_ptr<wire::TensorView> value, gradient;
    grpo_slice table{};
  };
  struct Bound {
    std::deque<Slice> slices;
    std::vector<const grpo_slice*> list;
    bool whole = true;  // nothing was cut off
  };

  const grpo_optimizer* table() const { return reinterpret_cast<const grpo_optimizer*>(plugin_->table); }

  void asked(const wire::Envelope& m) override {
    Opened& o = opened(m);
    const std::string& f = m.function();
    const Unpack a(m.argument(), f);
    Call call(o.services);
    result_ = {m.id(), GRPO_STATUS_OK, "", 0};
    if (f != "bind" && !bound_.contains(m.handle())) throw Error("call " + std::to_string(m.id()) + ": not bound yet");
    Bound& b = bound_[m.handle()];
    begin(m, call);
    if (f == "bind") {
      bind(m, b);
      result_.status = table()->bind(o.handle, call, static_cast<std::int64_t>(b.list.size()), b.list.data());
    } else if (f == "squared_norm") {
      take(a.values("gradient"), b, true);
      result_.status = table()->squared_norm(o.handle, call, &result_.sum);
    } else if (f == "step") {
      take(a.values("gradient"), b, true);
      take(a.values("value"), b, false);
      grpo_optimizer_step s{};
      s.struct_size = sizeof s;
      s.step = a.integer("step");
      s.learning_rate = a.number("learning_rate");
      s.gradient_scale = a.number("gradient_scale");
      result_.status = table()->step(o.handle, call, &s);
    } else if (f == "state_written") {
      restore(o, a.values("state"));
      result_.status = table()->state_written(o.handle, call);
    } else if (f == "state") {
      std::int64_t n = 0;
      const grpo_named_tensor* const* list = nullptr;
      result_.status = table()->state(o.handle, call, &n, &list);
    } else {
      throw Error("call " + std::to_string(m.id()) + ": an optimizer has no function " + f);
    }
    result_.error = call.error();
  }

  void answered(const wire::Envelope& m) override {
    if (m.id() != result_.call) return;
    result_.call = 0;
    compare_.of(m.id(), m.function());
    compare_.outcome(m, result_.status, result_.error);
    if (m.status() != GRPO_STATUS_OK || result_.status != GRPO_STATUS_OK) return;
    const Unpack expected(m.result(), m.function());
    const Bound& b = bound_[m.handle()];
    if (m.function() == "squared_norm") {
      if (b.whole)
        compare_.number(expected.number("sum"), result_.sum, -1, "squared norm");
      else
        compare_.note("of large parameters the first " + std::to_string(most_elements) +
                      " elements were kept: norms are computed, but not compared");
    }
    if (m.function() == "step") compare_values(expected.values("value"), b);
    if (m.function() == "state") compare_state(opened(m), expected.values("state"));
  }

  void finished() override {
    if (result_.call != 0) unanswered(result_.call);
  }

  void bind(const wire::Envelope& m, Bound& b) {
    b = Bound();
    for (const wire::Value& value : m.argument()) {
      const Unpack s(value.list().value(), "bind");
      Slice& slice = b.slices.emplace_back();
      slice.name = s.text("name");
      slice.whole_shape = s.list<std::int64_t>("whole_shape");
      slice.value = std::make_unique<wire::TensorView>(s.tensor("value"));
      slice.gradient = std::make_unique<wire::TensorView>(s.tensor("gradient"));
      grpo_slice& t = slice.table;
      t.struct_size = sizeof t;
      t.flags = static_cast<std::uint32_t>(s.integer("flags"));
      t.name = slice.name.c_str();
      t.whole_ndim = static_cast<std::int64_t>(slice.whole_shape.size());
      t.whole_shape = slice.whole_shape.data();
      t.offset = s.integer("offset");
      t.value = slice.value->get();
      t.gradient = slice.gradient->get();
      b.whole = b.whole && s.integer("elements") == wire::elements(t.value->dl);
      b.list.push_back(&t);
    }
    if (!b.whole && !(table()->flags & GRPO_OPTIMIZER_ELEMENTWISE))
      throw Error("the recording has parts of parameters, which " + plugin_->label() +
                  " cannot step: it is not GRPO_OPTIMIZER_ELEMENTWISE");
  }

  static void copy(const wire::Tensor& from, const grpo_tensor& to, const std::string& name) {
    if (static_cast<std::int64_t>(from.data().size()) != record::bytes_of(to))
      throw Error("a recorded tensor of '" + name + "' has another size than it had before: the recording is damaged");
    std::memcpy(static_cast<char*>(to.dl.data) + to.dl.byte_offset, from.data().data(), from.data().size());
  }

  static Slice& slice_of(const wire::Value& value, Bound& b) {
    const auto i = static_cast<std::size_t>(std::strtoull(value.name().c_str(), nullptr, 10));
    if (i >= b.slices.size())
      throw Error("a recorded tensor belongs to slice " + value.name() + ", which there is not");
    return b.slices[i];
  }
  void take(const ValueList& from, Bound& b, bool gradients) {
    for (const wire::Value& value : from) {
      const Slice& s = slice_of(value, b);
      copy(value.tensor(), gradients ? *s.gradient->get() : *s.value->get(), s.name);
    }
  }

  // A slice that is not among the recorded ones has the values that it had before; it is compared when it is.
  void compare_values(const ValueList& expected, const Bound& b) {
    for (const wire::Value& value : expected) {
      const Slice& s = slice_of(value, const_cast<Bound&>(b));
      wire::Tensor got;
      wire::write(*s.value->get(), got);
      compare_.tensor(value.tensor(), got, "value " + s.name);
    }
  }

  std::map<std::string, const grpo_tensor*> state_of(Opened& o) const {
    std::int64_t n = 0;
    const grpo_named_tensor* const* list = nullptr;
    Call call(o.services);
    call.need(table()->state(o.handle, call, &n, &list), *plugin_, "state");
    std::map<std::string, const grpo_tensor*> out;
    for (std::int64_t i = 0; i < n; ++i) out[list[i]->name] = list[i]->tensor;
    return out;
  }
  void compare_state(Opened& o, const ValueList& expected) {
    const auto now = state_of(o);
    compare_.integer(expected.size(), static_cast<std::int64_t>(now.size()), -1, "tensors of state");
    for (const wire::Value& value : expected) {
      const auto at = now.find(value.name());
      wire::Tensor got;
      if (at != now.end()) wire::write(*at->second, got);
      compare_.tensor(value.tensor(), got, "state " + value.name());
    }
  }
  void restore(Opened& o, const ValueList& state) {
    const auto now = state_of(o);
    for (const wire::Value& value : state) {
      const auto at = now.find(value.name());
      if (at == now.end())
        throw Error("the recording restores the state '" + value.name() + "', which " + plugin_->label() +
                    " does not have");
      copy(value.tensor(), *at->second, value.name());
    }
  }

  struct Result {
    std::uint64_t call = 0;
    grpo_status status = GRPO_STATUS_OK;
    std::string error;
    double sum = 0;
  };
  std::map<std::uint64_t, Bound> bound_;
  Result result_;
};

}  // namespace

std::unique_ptr<Replayer> replay_optimizer(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                           ReplayReport& report) {
  return std::make_unique<OptimizerReplayer>(std::move(plugin), settings, report);
}

}  // namespace grpo::plugins::record
