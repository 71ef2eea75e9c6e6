// Recording the calls of grpo.reward/1.
#include <grpo/reward.h>

#include "recorded_layer.hpp"

namespace grpo::plugins::record {
namespace {

// The host's result, with an eye on which components the plugin asks for.
class WatchedResult {
 public:
  explicit WatchedResult(const grpo_reward_result* outer) : outer_(outer) {
    table_.struct_size = sizeof table_;
    table_.host = this;
    table_.score = outer->score;
    table_.status = outer->status;
    table_.message = outer->message;
    table_.component = [](const grpo_reward_result* r, const char* name) noexcept -> double* {
      auto& self = *static_cast<WatchedResult*>(r->host);
      double* values = self.outer_->component(self.outer_, name);
      try {
        const std::lock_guard lock(self.mutex_);
        if (values) self.columns_[name] = values;
      } catch (...) {  // no memory: this column is not recorded
      }
      return values;
    };
  }
  const grpo_reward_result* get() const { return &table_; }
  wire::RewardArrays arrays(std::int64_t n) const {
    return {n, table_.score, table_.status, table_.message, {columns_.begin(), columns_.end()}};
  }

 private:
  const grpo_reward_result* outer_;
  grpo_reward_result table_{};
  std::mutex mutex_;
  std::map<std::string, double*> columns_;
};

struct OpenedReward : Handle<grpo_reward> {};

class RecordedReward final : public RecordedLayer<OpenedReward> {
 public:
  RecordedReward(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to)
      : RecordedLayer(std::move(inner), std::move(to)) {
    table_.score = [](void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                      const grpo_reward_result* result) noexcept {
      return guarded(call, [&] { return score(*static_cast<OpenedReward*>(handle), call, batch, result); });
    };
  }

 private:
  static grpo_status score(OpenedReward& o, const grpo_call* call, const grpo_reward_batch* batch,
                           const grpo_reward_result* result) {
    const WatchedResult columns(result);
    return o.tape->call(
        "score", call, [&](wire::Envelope& e) { wire::write(*batch, *e.mutable_reward()->mutable_batch()); },
        [&](const grpo_call* c, std::uint64_t) { return o.table->score(o.inner, c, batch, columns.get()); },
        [&](wire::Envelope& e, grpo_status) {
          wire::write(columns.arrays(batch->n_samples), *e.mutable_reward()->mutable_result());
        });
  }
};

}  // namespace

std::shared_ptr<const Component> record_reward(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to) {
  return layered(std::make_shared<RecordedReward>(std::move(inner), std::move(to)));
}

}  // namespace grpo::plugins::record
