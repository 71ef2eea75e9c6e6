#include "grpo/sdk/plugins/reward.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "running.hpp"
#include "utf8.hpp"

namespace grpo::plugins {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t most_components = 64;
constexpr std::int64_t longest_message = 16 * 1024;

// The arrays that a plugin fills.
struct Result {
  std::vector<double> score;
  std::vector<std::int32_t> status;
  std::vector<grpo_str> message;
  std::map<std::string, std::vector<double>> components;
  std::mutex mutex;
  grpo_reward_result table{};

  explicit Result(std::size_t n) : score(n, nan), status(n, GRPO_SAMPLE_OK), message(n, grpo_str{"", 0}) {
    table.struct_size = sizeof table;
    table.host = this;
    table.score = score.data();
    table.status = status.data();
    table.message = message.data();
    table.component = [](const grpo_reward_result* r, const char* name) noexcept -> double* {
      return static_cast<Result*>(r->host)->column(name);
    };
  }

 private:
  double* column(const char* name) noexcept {
    if (!name || !*name) return nullptr;
    try {
      std::lock_guard lock(mutex);
      const std::string key = valid_utf8(std::string_view(name, strnlen(name, 256)));
      if (!components.contains(key) && components.size() >= most_components) return nullptr;
      auto& values = components.try_emplace(key, score.size(), nan).first->second;
      values.reserve(1);
      return values.data();
    } catch (...) {
      return nullptr;
    }
  }
};

std::string text_of(const grpo_str& text) {
  if (!text.data || text.size <= 0) return {};
  return valid_utf8({text.data, static_cast<std::size_t>(std::min(text.size, longest_message))});
}

// A sample as the plugin left it, made into something that nobody can take for a number it is not.
void settle(RewardScores& out, std::size_t i, const Component& who) {
  switch (out.status[i]) {
    case GRPO_SAMPLE_OK:
      if (std::isfinite(out.score[i])) return;
      out.message[i] = who.label() + (std::isnan(out.score[i]) ? ": left the sample without a score (NaN)"
                                                               : ": gave an infinite score");
      out.status[i] = GRPO_SAMPLE_ERROR;
      break;
    case GRPO_SAMPLE_NOT_APPLICABLE:
      break;
    case GRPO_SAMPLE_ERROR:
      if (out.message[i].empty()) out.message[i] = who.label() + ": reported an error without a message";
      break;
    case GRPO_SAMPLE_TIMEOUT:
      if (out.message[i].empty()) out.message[i] = who.label() + ": ran out of time on this sample";
      break;
    default:
      out.message[i] = who.label() + ": gave the sample the unknown status " + std::to_string(out.status[i]);
      out.status[i] = GRPO_SAMPLE_ERROR;
  }
  out.score[i] = nan;
}

}  // namespace

std::int64_t RewardScores::count(std::int32_t wanted) const { return std::count(status.begin(), status.end(), wanted); }

Reward::Reward(Registry& registry, const std::string& name, const nlohmann::json& options, const OpenSettings& settings)
    : Reward(registry.load(GRPO_REWARD_ID, name), options, settings) {}
Reward::Reward(std::shared_ptr<const Component> loaded, const nlohmann::json& options, const OpenSettings& settings)
    : Handle(std::move(loaded), options, settings) {}
Reward::~Reward() { close(); }

bool Reward::concurrent() const { return (component().table->flags & GRPO_REWARD_CONCURRENT) != 0; }
bool Reward::whole_groups() const { return (component().table->flags & GRPO_REWARD_WHOLE_GROUPS) != 0; }
bool Reward::whole_batch() const { return (component().table->flags & GRPO_REWARD_WHOLE_BATCH) != 0; }

RewardScores Reward::score(const RewardBatch& batch, const ScoreSettings& settings) {
  const grpo_reward_batch* arrays = batch.get();
  const auto n = static_cast<std::size_t>(arrays->n_samples);
  Result result(n);
  std::unique_lock lock(one_at_a_time_, std::defer_lock);
  if (!concurrent()) lock.lock();
  Call call(services_);
  if (settings.timeout.count() > 0) call.set_timeout(settings.timeout);
  call.watch(settings.cancel);
  const auto* table = reinterpret_cast<const grpo_reward*>(component().table);
  const grpo_status status = [&]() -> grpo_status {
    if (n == 0) return GRPO_STATUS_OK;
    const Running mark(component(), "score");
    return table->score(raw(), call, arrays, &result.table);
  }();
  RewardScores out;
  out.score = std::move(result.score);
  out.status = std::move(result.status);
  out.components = std::move(result.components);
  for (const grpo_str& text : result.message) out.message.push_back(text_of(text));
  const bool ended_early = (status == GRPO_STATUS_CANCELLED || status == GRPO_STATUS_DEADLINE) && call.cancelled();
  for (std::size_t i = 0; i < n; ++i) {
    if (status != GRPO_STATUS_OK && !ended_early) {
      out.status[i] = GRPO_SAMPLE_ERROR;
      out.message[i] = call.failure(status, component(), "score");
    } else if (ended_early && out.status[i] == GRPO_SAMPLE_OK && std::isnan(out.score[i])) {
      out.status[i] = GRPO_SAMPLE_TIMEOUT;
      out.message[i] = component().label() + ": not reached in time";
    }
    settle(out, i, component());
  }
  return out;
}

}  // namespace grpo::plugins
