// Recording the calls of grpo.reward/1.
#include <grpo/reward.h>

#include "layers/layer.hpp"
#include "recorder.hpp"

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

class RecordedReward final : public LayerOf<grpo_reward> {
 public:
  RecordedReward(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to)
      : LayerOf(std::move(inner)), to_(std::move(to)) {
    table_.close = [](void* handle) noexcept { close(static_cast<Opened*>(handle)); };
    table_.score = [](void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                      const grpo_reward_result* result) noexcept {
      return guarded(call, [&] { return score(*static_cast<Opened*>(handle), call, batch, result); });
    };
  }

  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    auto opened = std::make_unique<Opened>();
    opened->table = inner_table();
    const grpo_status status = open_inner(to_, inner(), call, options, opened->tape, &opened->inner);
    if (status == GRPO_STATUS_OK) *handle = opened.release();
    return status;
  }

 private:
  struct Opened {
    const grpo_reward* table = nullptr;
    void* inner = nullptr;
    std::unique_ptr<Tape> tape;
  };

  static void close(Opened* opened) noexcept {
    const std::unique_ptr<Opened> o(opened);
    o->table->close(o->inner);
    o->tape->note("close");
  }

  static grpo_status score(Opened& o, const grpo_call* call, const grpo_reward_batch* batch,
                           const grpo_reward_result* result) {
    const auto id = o.tape->ask("score", call,
                                [&](wire::Envelope& e) { wire::write(*batch, *e.mutable_reward()->mutable_batch()); });
    const WatchedCall watched(call);
    const WatchedResult columns(result);
    const grpo_status status = o.table->score(o.inner, watched, batch, columns.get());
    o.tape->answer(id, "score", status, watched.error(), [&](wire::Envelope& e) {
      wire::write(columns.arrays(batch->n_samples), *e.mutable_reward()->mutable_result());
    });
    return status;
  }

  std::shared_ptr<Recorder> to_;
};

}  // namespace

std::shared_ptr<const Component> record_reward(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to) {
  return layered(std::make_shared<RecordedReward>(std::move(inner), std::move(to)));
}

}  // namespace grpo::plugins::record
