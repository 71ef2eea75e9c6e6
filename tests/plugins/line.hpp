// line.hpp: the whole line through the plugins alone: sample, score, advantages, backward, step. A policy over the last
// two tokens learns to write one letter.
#ifndef GRPO_TESTS_PLUGINS_LINE_HPP
#define GRPO_TESTS_PLUGINS_LINE_HPP

#include <grpo/random.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/sdk/plugins/optimizer.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "grpo/sdk/plugins/sampler.hpp"

namespace grpo::plugins {

inline std::string text_of(const std::vector<std::int32_t>& ids) {  // 1..26 are letters, 0 ends
  std::string out;
  for (const std::int32_t id : ids) {
    if (id > 0) out += id <= 26 ? static_cast<char>('a' + id - 1) : '-';
  }
  return out;
}

struct Line {
  std::string model = "fake";
  nlohmann::json options = nullptr;  // of the model; the vocabulary is 64
  double rate = 0.2;
};

// With the reward `letters` of this registry, and the given model, sampler and optimizer.
inline void expect_learning(Registry& registry, const std::string& sampler_name, const std::string& optimizer_name,
                            const Line& line = {}) {
  Model model(registry, line.model, line.options);
  Sampler sampler(registry, sampler_name, nullptr);
  Optimizer optimizer(registry, optimizer_name, nullptr);
  Reward letters(registry, "letters", nullptr);
  sampler.bind(model);
  optimizer.bind(model);
  const std::vector<std::vector<std::int32_t>> prompts{{5, 6, 7}, {8, 9}, {10, 11, 12, 13}, {14}};
  const std::vector<std::string> truth{"a", "b", "c", "d"};
  constexpr std::int64_t group = 16;
  const auto sampling = std::make_shared<Sampling>(Sampling{.temperature = 0.9, .max_new = 24, .stop = {0}});
  double first = 0, last = 0, worst_difference = 0;
  for (std::int64_t step = 1; step <= 60; ++step) {
    std::vector<Request> requests;
    const std::uint64_t key = grpo_random_key(42, static_cast<std::uint64_t>(step));
    for (std::size_t p = 0; p < prompts.size(); ++p)
      requests.push_back({p, grpo_random_key(key, p), prompts[p], group, sampling});
    std::vector<std::vector<Completion>> done(prompts.size(), std::vector<Completion>(group));
    sampler.generate(std::move(requests),
                     [&](Completion c) { done[c.request][static_cast<std::size_t>(c.index)] = std::move(c); });

    RewardBatch batch(step);
    Forest forest;
    std::vector<float> sampled;
    for (std::size_t p = 0; p < prompts.size(); ++p) {
      const auto row = batch.add_row({.ground_truth = truth[p], .prompt_ids = prompts[p]});
      const auto node = forest.add(Forest::root, prompts[p]);
      for (const Completion& c : done[p]) {
        batch.add_sample(
            {.row = row, .index = c.index, .completion = text_of(c.ids), .finish = c.finish, .ids = c.ids});
        forest.add_scored(node, c.ids);
        sampled.insert(sampled.end(), c.logprob.begin(), c.logprob.end());
      }
    }
    const RewardScores scores = letters.score(batch);
    ASSERT_EQ(scores.count(GRPO_SAMPLE_OK), 64);
    std::vector<float> logprob(static_cast<std::size_t>(forest.n_targets())), derivative;
    model.zero_grad();
    Ticket ticket = model.forward(forest, 0.9, logprob, {}, true);
    for (std::size_t k = 0; k < logprob.size(); ++k)
      worst_difference = std::max(worst_difference, std::fabs(double{logprob[k]} - double{sampled[k]}));
    double mean_reward = 0;
    for (std::size_t p = 0; p < prompts.size(); ++p) {
      double mean = 0, square = 0;
      for (std::size_t i = 0; i < group; ++i) mean += scores.score[p * group + i] / group;
      for (std::size_t i = 0; i < group; ++i) square += std::pow(scores.score[p * group + i] - mean, 2) / group;
      for (std::size_t i = 0; i < group; ++i) {
        const double advantage = (scores.score[p * group + i] - mean) / (std::sqrt(square) + 1e-4);
        derivative.insert(derivative.end(), done[p][i].ids.size(),
                          static_cast<float>(-advantage / static_cast<double>(logprob.size())));
      }
      mean_reward += mean / static_cast<double>(prompts.size());
    }
    model.backward(std::move(ticket), derivative);
    const double norm = std::sqrt(optimizer.squared_norm());
    ASSERT_TRUE(std::isfinite(norm));
    optimizer.step(step, line.rate, std::min(1.0, 1.0 / norm));
    model.commit(step);
    sampler.update_weights(model, step);
    if (step == 1) first = mean_reward;
    last = mean_reward;
  }
  EXPECT_LT(first, 0.05);
  EXPECT_GT(last, 0.25) << "from " << first;
  EXPECT_LT(worst_difference, 1e-5);
}

}  // namespace grpo::plugins

#endif
