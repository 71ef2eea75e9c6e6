#include "grpo/sdk/train/best_of.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <grpo/kit/grading.hpp>
#include <map>
#include <random>
#include <string>

#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

constexpr std::int64_t draws = 1000;

template <class ValueOf>
double mean_over_draws(const std::vector<std::uint32_t>& indices, std::int64_t n, const ValueOf& value_of) {
  double sum = 0;
  for (auto at = indices.begin(); at != indices.end(); at += n)
    sum += value_of(std::span(&*at, static_cast<std::size_t>(n)));
  return sum / static_cast<double>(draws);
}

// The place in `drawn` of the first that says what most say.
std::uint32_t majority_of(std::span<const std::uint32_t> drawn, std::span<const std::int64_t> votes) {
  std::uint32_t winner = drawn[0];
  std::ptrdiff_t most = 0;
  for (const std::uint32_t i : drawn) {
    const auto count = std::count_if(drawn.begin(), drawn.end(), [&](auto k) { return votes[k] == votes[i]; });
    if (count > most) most = count, winner = i;
  }
  return winner;
}

}  // namespace

// As numpy draws bounded integers: the low bits of a number that the range needs, until they are in it.
std::vector<std::uint32_t> bootstrap_indices(std::uint32_t size, std::int64_t n, std::int64_t times,
                                             std::uint32_t seed) {
  std::vector<std::uint32_t> indices(static_cast<std::size_t>(n * times), 0);
  if (size <= 1) return indices;
  std::mt19937 random(seed);
  const std::uint32_t mask = std::bit_ceil(size) - 1;
  for (auto& index : indices) {
    do {
      index = static_cast<std::uint32_t>(random()) & mask;
    } while (index >= size);
  }
  return indices;
}

BestOf best_of(std::span<const double> values, std::span<const std::int64_t> votes, std::int64_t n) {
  if (!votes.empty() && votes.size() != values.size())
    throw Error("best_of: " + std::to_string(votes.size()) + " votes for " + std::to_string(values.size()) + " values");
  BestOf out;
  std::vector<double> known;
  std::copy_if(values.begin(), values.end(), std::back_inserter(known), [](double v) { return std::isfinite(v); });
  if (known.empty()) return out;
  const auto indices = bootstrap_indices(static_cast<std::uint32_t>(known.size()), n, draws);
  const auto less = [&known](std::uint32_t a, std::uint32_t b) { return known[a] < known[b]; };
  out.best = mean_over_draws(indices, n, [&](auto drawn) { return known[*std::ranges::max_element(drawn, less)]; });
  out.worst = mean_over_draws(indices, n, [&](auto drawn) { return known[*std::ranges::min_element(drawn, less)]; });
  if (votes.size() == known.size())
    out.majority = mean_over_draws(indices, n, [&](auto drawn) { return known[majority_of(drawn, votes)]; });
  return out;
}

std::vector<std::int64_t> votes_of(std::span<const std::string_view> completions) {
  std::map<std::string, std::int64_t> numbers;
  std::vector<std::int64_t> votes;
  for (const std::string_view text : completions) {
    const auto answer = kit::extract_answer(text);
    const auto said = answer ? "=" + kit::normalize_answer(*answer) : std::string();
    votes.push_back(numbers.try_emplace(said, static_cast<std::int64_t>(numbers.size())).first->second);
  }
  return votes;
}

BestOfTally::BestOfTally(std::vector<std::int64_t> sizes) : sizes_(std::move(sizes)), values_(sizes_.size()) {}

void BestOfTally::question(std::span<const double> right, std::span<const double> rewards,
                           std::span<const std::string_view> completions) {
  if (sizes_.empty()) return;
  const auto votes = votes_of(completions);
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    const BestOf accuracy = best_of(right, votes, sizes_[i]), reward = best_of(rewards, {}, sizes_[i]);
    Values& v = values_[i];
    v.accuracy_best.push_back(accuracy.best), v.accuracy_worst.push_back(accuracy.worst);
    v.majority.push_back(accuracy.majority);
    v.reward_best.push_back(reward.best), v.reward_worst.push_back(reward.worst);
  }
}

std::vector<BestOfN> BestOfTally::result() const {
  std::vector<BestOfN> out;
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    const Values& v = values_[i];
    out.push_back({sizes_[i], mean_of(v.accuracy_best), mean_of(v.accuracy_worst), mean_of(v.majority),
                   mean_of(v.reward_best), mean_of(v.reward_worst)});
  }
  return out;
}

}  // namespace grpo::train
