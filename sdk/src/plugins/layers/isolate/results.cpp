#include "results.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "control.pb.h"

namespace grpo::plugins::isolate {
namespace {

constexpr std::int64_t longest_message = 16 * 1024;

}  // namespace

void clear(const Outputs& out, std::int64_t n) {
  std::fill_n(out.score, n, std::numeric_limits<double>::quiet_NaN());
  std::fill_n(out.status, n, std::int32_t{GRPO_SAMPLE_OK});
}

void set_message(const grpo_call* call, const grpo_reward_result* result, std::int64_t sample,
                 const std::string& text) {
  const auto size = static_cast<std::int64_t>(text.size());
  auto* copy = static_cast<char*>(call->alloc(call, size + 1));  // zeroed
  if (!copy) return;
  std::memcpy(copy, text.data(), text.size());
  result->message[sample] = {copy, size};
}

void take_results(const Outputs& out, std::int64_t n, const wire::Scored* scored, const grpo_call* call,
                  const grpo_reward_result* result) {
  const auto count = static_cast<std::size_t>(n);
  std::memcpy(result->score, out.score, count * sizeof(double));
  std::memcpy(result->status, out.status, count * sizeof(std::int32_t));
  if (!scored) return;
  for (std::int64_t i = 0; scored->messages() && i < n; ++i) {
    TextPlace place;
    std::memcpy(&place, out.message + i, sizeof place);
    const auto room = static_cast<std::int64_t>(out.text_room);
    if (place.size <= 0 || place.size > longest_message || place.at < 0 || place.at > room - place.size) continue;
    set_message(call, result, i, std::string(out.text + place.at, static_cast<std::size_t>(place.size)));
  }
  for (int k = 0; k < std::min<int>(scored->component_size(), most_columns); ++k) {
    double* column = result->component(result, scored->component(k).c_str());
    if (column) std::memcpy(column, out.component + static_cast<std::size_t>(k) * count, count * sizeof(double));
  }
}

std::int64_t count_done(const Outputs& out, std::int64_t n) {
  std::int64_t done = 0;
  for (std::int64_t i = 0; i < n; ++i) done += !std::isnan(out.score[i]) || out.status[i] != GRPO_SAMPLE_OK;
  return done;
}

void add_metrics(const wire::Scored& scored, const grpo_metrics* metrics) {
  const int n = metrics ? std::min(scored.metric_size(), scored.value_size()) : 0;
  for (int i = 0; i < n; ++i) metrics->add(metrics, scored.metric(i).c_str(), scored.value(i));
}

}  // namespace grpo::plugins::isolate
