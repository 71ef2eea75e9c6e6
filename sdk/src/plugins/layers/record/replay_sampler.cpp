// The calls of grpo.sampler/1, made again with a feed and a model that only repeat what they said (script.hpp).
#include "grpo/sdk/error.hpp"
#include "script.hpp"

namespace grpo::plugins::record {
namespace {

class SamplerReplayer final : public Replayer {
 public:
  using Replayer::Replayer;

 private:
  const grpo_sampler* table() const { return reinterpret_cast<const grpo_sampler*>(plugin_->table); }

  Script& script(std::uint64_t handle) {
    auto& s = scripts_[handle];
    if (!s) s = std::make_unique<Script>(compare_);
    return *s;
  }

  void asked(const wire::Envelope& m) override {
    const std::string& f = m.function();
    if (m.parent() != 0) {
      if (m.parent() == collected_.id()) script(m.handle()).add(m);
      return;
    }
    if (f == "cancel") return;  // of a request that was not open
    if (f == "update_begin")
      throw Error("call " + std::to_string(m.id()) +
                  ": this sampler has weights of its own (update_begin), which recordings do not hold; its calls "
                  "cannot be made again");
    if (f == "pause") {
      compare_.note("pauses are not made again");
      return;
    }
    if (f != "bind" && f != "generate" && f != "model_changed")
      throw Error("call " + std::to_string(m.id()) + ": a sampler has no function " + f);
    opened(m);
    collected_ = m;
    script(m.handle()).begin(m.id());
  }

  void answered(const wire::Envelope& m) override {
    if (m.parent() != 0) {
      if (m.parent() == collected_.id()) script(m.handle()).add(m);
      return;
    }
    if (m.id() != collected_.id()) return;
    std::string error;
    const grpo_status status = run(collected_, error);
    compare_.of(m.id(), m.function());
    if (m.status() == GRPO_STATUS_CANCELLED || m.status() == GRPO_STATUS_DEADLINE)
      compare_.note("calls that the host cancelled, or that ran into their deadline, are made again but not compared");
    else
      compare_.outcome(m, status, error);
    collected_.Clear();
  }

  void finished() override {
    if (collected_.id() == 0) return;
    std::string error;
    unanswered(collected_.id());
    script(collected_.handle()).ends_early();
    run(collected_, error);
  }

  void closing(std::uint64_t handle) override { script(handle).lenient(); }

  // The call, with all of its callbacks known.
  grpo_status run(const wire::Envelope& m, std::string& error) {
    Opened& o = opened(m);
    Script& s = script(m.handle());
    s.cancel = [this, &o](std::uint64_t request) { table()->cancel(o.handle, request); };
    Call call(o.services);
    begin(m, call);
    compare_.of(m.id(), m.function());
    const Unpack a(m.argument(), m.function());
    grpo_status status = GRPO_STATUS_OK;
    if (m.function() == "bind") {
      if (!table()->bind) throw Error(plugin_->label() + " does not bind; the recorded one did");
      s.describe(a);
      status = table()->bind(o.handle, call, s.binding());
    } else if (m.function() == "model_changed") {
      if (table()->model_changed) table()->model_changed(o.handle, a.integer("version"));
    } else {
      status = table()->generate(o.handle, call, s.feed());
    }
    s.end();
    error = call.error();
    return status;
  }

  std::map<std::uint64_t, std::unique_ptr<Script>> scripts_;
  wire::Envelope collected_;  // the call whose callbacks are being read; id 0: none
};

}  // namespace

std::unique_ptr<Replayer> replay_sampler(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                         ReplayReport& report) {
  return std::make_unique<SamplerReplayer>(std::move(plugin), settings, report);
}

}  // namespace grpo::plugins::record
