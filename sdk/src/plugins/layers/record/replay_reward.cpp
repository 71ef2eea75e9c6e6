// The calls of grpo.reward/1, made again.
#include <algorithm>
#include <cmath>
#include <limits>

#include "grpo/sdk/error.hpp"
#include "replaying.hpp"
#include "scored.hpp"

namespace grpo::plugins::record {
namespace {

class RewardReplayer final : public Replayer {
 public:
  using Replayer::Replayer;

 private:
  void asked(const wire::Envelope& message) override {
    if (message.function() != "score" || !message.has_reward()) return;
    Opened& o = opened(message);
    const wire::RewardBatchView batch(message.reward().batch());
    Call call(o.services);
    begin(message, call);
    auto& [status, error, result] = made_[message.id()];
    Scored scored(batch.get()->n_samples);
    const auto* table = reinterpret_cast<const grpo_reward*>(plugin_->table);
    status = table->score(o.handle, call, batch.get(), scored.get());
    error = call.error();
    scored.write(result);
    check(message.id(), status, result);
  }

  // What a reward may not do, whatever was recorded.
  void check(std::uint64_t id, grpo_status status, const wire::RewardResult& result) {
    compare_.of(id, "score");
    if (status != GRPO_STATUS_OK) return;
    for (const Flaw& flaw : flaws_of(result)) compare_.broken(flaw.sample, flaw.rule, flaw.got);
  }

  void answered(const wire::Envelope& message) override {
    const auto at = made_.find(message.id());
    if (at == made_.end()) return;
    const Made made = std::move(at->second);
    made_.erase(at);
    if (message.status() == GRPO_STATUS_CANCELLED || message.status() == GRPO_STATUS_DEADLINE) {
      compare_.note("calls that the host cancelled, or that ran into their deadline, are made again but not compared");
      return;
    }
    compare_.of(message.id(), "score");
    compare_.outcome(message, made.status, made.error);
    if (message.status() == GRPO_STATUS_OK && made.status == GRPO_STATUS_OK)
      results(message.reward().result(), made.result);
  }

  void results(const wire::RewardResult& expected, const wire::RewardResult& got) {
    const int n = got.score_size();
    if (expected.score_size() != n || expected.status_size() != n)
      throw Error("call has " + std::to_string(expected.score_size()) + " recorded scores for " + std::to_string(n) +
                  " samples");
    for (int i = 0; i < n; ++i) {
      compare_.integer(expected.status(i), got.status(i), i, "status");
      compare_.number(expected.score(i), got.score(i), i, "score");
      const auto text = [i](const wire::RewardResult& r) {
        return i < r.message_size() ? r.message(i) : std::string();
      };
      compare_.text(text(expected), text(got), i, "message");
    }
    std::map<std::string, std::pair<const wire::Scores*, const wire::Scores*>> columns;
    for (const auto& c : expected.component()) columns[c.name()].first = &c;
    for (const auto& c : got.component()) columns[c.name()].second = &c;
    for (const auto& [name, pair] : columns) {
      const auto value = [](const wire::Scores* s, int i) {
        return s && i < s->value_size() ? s->value(i) : std::numeric_limits<double>::quiet_NaN();
      };
      for (int i = 0; i < n; ++i) compare_.number(value(pair.first, i), value(pair.second, i), i, "component " + name);
    }
  }

  void finished() override {
    for (const auto& [id, made] : made_) unanswered(id);
  }

  struct Made {
    grpo_status status = GRPO_STATUS_OK;
    std::string error;
    wire::RewardResult result;
  };
  std::map<std::uint64_t, Made> made_;
};

}  // namespace

std::unique_ptr<Replayer> replay_reward(std::shared_ptr<const Component> plugin, const ReplaySettings& settings,
                                        ReplayReport& report) {
  return std::make_unique<RewardReplayer>(std::move(plugin), settings, report);
}

}  // namespace grpo::plugins::record
