#include "grpo/sdk/plugins/sampler.hpp"

#include <gmock/gmock.h>
#include <grpo/random.h>

#include <map>
#include <nlohmann/json.hpp>

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Key = std::pair<std::uint64_t, std::int64_t>;

class Samplers : public testing::Test {
 protected:
  Registry registry = fakes();
  Model model{registry, "fake", nullptr};
  Sampler sampler{registry, "fake", nullptr};
  std::shared_ptr<Sampling> sampling = std::make_shared<Sampling>();
  void SetUp() override {
    sampling->temperature = 0.9;
    sampling->max_new = 24;
    sampling->stop = {0};
  }
  std::vector<Request> requests(bool reversed = false) const {
    const std::vector<std::vector<std::int32_t>> prompts{{5, 6, 7}, {8, 9}, {10, 11, 12, 13}, {14}};
    std::vector<Request> out;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const std::size_t p = reversed ? prompts.size() - 1 - i : i;
      out.push_back({p, grpo_random_key(1, p), prompts[p], 16, sampling});
    }
    return out;
  }
  std::map<Key, Completion> run(std::vector<Request> all) {
    std::map<Key, Completion> out;
    sampler.generate(std::move(all), [&](Completion c) { out.emplace(Key{c.request, c.index}, std::move(c)); });
    return out;
  }
};

TEST_F(Samplers, EveryRequestIsAnsweredWhateverRunsBesideIt) {
  sampler.bind(model);
  const auto a = run(requests()), b = run(requests(true));
  ASSERT_EQ(a.size(), 64u);
  for (const auto& [key, c] : a) {
    EXPECT_EQ(c.ids, b.at(key).ids);
    EXPECT_EQ(c.logprob.size(), c.ids.size());
    EXPECT_EQ(c.logprob_sampled.size(), c.ids.size());
    EXPECT_EQ(c.logprob_kind, GRPO_LOGPROB_TEMPERED);
    EXPECT_EQ(c.finish == GRPO_FINISH_STOP, c.ids.back() == 0);
  }
}

// What the sampler reports is what the model says when it reads the same tokens.
TEST_F(Samplers, LogprobsAreTheModels) {
  sampler.bind(model);
  const auto all = requests();
  for (const auto& [key, c] : run(all)) {
    Forest forest;
    forest.add_scored(forest.add(Forest::root, all[key.first].prompt), c.ids);
    std::vector<float> logprob(c.ids.size());
    model.forward(forest, 0.9, logprob, {}, false);
    for (std::size_t i = 0; i < logprob.size(); ++i) ASSERT_NEAR(logprob[i], c.logprob[i], 1e-5);
  }
}

TEST_F(Samplers, CancelFromTheCallbackMakesCompletionsShort) {
  sampler.bind(model);
  sampling->stop.clear();
  int cut = 0, whole = 0;
  auto all = requests();
  sampler.generate(std::move(all), [&](Completion c) {
    sampler.cancel(3);
    (c.finish == GRPO_FINISH_CANCELLED ? cut : whole)++;
  });
  EXPECT_EQ(cut + whole, 64);
  EXPECT_GE(whole, 48);
  sampler.generate({{0, 1, {5}, 4, sampling}, {1, 2, {6}, 4, std::make_shared<Sampling>(Sampling{.max_new = 200})}},
                   [&](Completion c) {
                     sampler.cancel(1);
                     if (c.request == 1) {
                       EXPECT_EQ(c.finish, GRPO_FINISH_CANCELLED);
                       EXPECT_LT(c.ids.size(), 200u);
                     }
                   });
}

TEST_F(Samplers, RequestsMayJoinWhileItRuns) {
  sampler.bind(model);
  RequestQueue queue;
  queue.add({0, 1, {5, 6}, 2, sampling});
  int done = 0;
  sampler.generate(queue, [&](Completion c) {
    ++done;
    if (c.request < 5 && c.index == 0) queue.add({c.request + 1, c.request + 2, {5, 6}, 2, sampling});
    if (c.request == 5 && c.index == 0) queue.close();
  });
  EXPECT_EQ(done, 12);
  EXPECT_THAT(error_of([&] { queue.add({9, 1, {5}, 1, sampling}); }), HasSubstr("was added to a queue that is closed"));
}

TEST_F(Samplers, WhatTheCallbackThrowsIsThrownOn) {
  sampler.bind(model);
  EXPECT_EQ(error_of([&] { sampler.generate(requests(), [](Completion) { throw Error("disk full"); }); }), "disk full");
  EXPECT_EQ(run(requests()).size(), 64u) << "it does not work afterwards";
}

TEST_F(Samplers, Refusals) {
  EXPECT_THAT(error_of([&] { run(requests()); }), HasSubstr("it needs a model; bind one first"));
  sampler.bind(model);
  const auto one = [&](Request r) { return error_of([&] { run({std::move(r)}); }); };
  EXPECT_THAT(one({7, 1, {}, 1, sampling}),
              AllOf(HasSubstr("plugin 'fake' ("), HasSubstr("request 7: the prompt is empty")));
  EXPECT_THAT(one({7, 1, {64}, 1, sampling}), HasSubstr("holds id 64; the vocabulary has 64 ids"));
  EXPECT_THAT(one({7, 1, std::vector<std::int32_t>(256, 1), 1, sampling}),
              HasSubstr("a prompt of 256 tokens leaves nothing of 256 positions"));
  EXPECT_THAT(one({7, 1, {1}, 0, sampling}), HasSubstr("0 samples are wanted"));
  EXPECT_THAT(one({7, 1, {1}, 1, std::make_shared<Sampling>(Sampling{.stop_text = {"\n"}})}),
              HasSubstr("does not support stop_text"));
  EXPECT_THAT(one({7, 1, {1}, 1, std::make_shared<Sampling>(Sampling{.temperature = -1})}),
              HasSubstr("temperature must be 0 or more"));
  EXPECT_THAT(error_of([&] {
                run({{7, 1, {1}, 1, sampling}, {7, 1, {1}, 1, sampling}});
              }),
              HasSubstr("two open requests have the id 7"));
  EXPECT_THAT(one({7, 1, {1}, 1000, sampling}), HasSubstr("generate: fake: more samples than slots (not supported)"));
}

// A sampler that answers wrongly is told apart from one that answers.
TEST_F(Samplers, RogueOnesAreFoundOut) {
  const auto result = [&](const std::string& how) {
    Sampler rogue(registry, "rogue", {{"how", how}});
    int n = 0;
    const auto limited = std::make_shared<Sampling>(Sampling{.max_new = 2});
    const std::string text = error_of([&] { rogue.generate({{4, 1, {5}, 3, limited}}, [&](Completion) { ++n; }); });
    return std::to_string(n) + ": " + text;
  };
  EXPECT_EQ(result("not"), "3: nothing was thrown");
  EXPECT_THAT(result("twice"), HasSubstr("delivered sample 0 of request 4 twice"));
  EXPECT_THAT(result("missing"), HasSubstr("request 4 still lacks 1 of its 3 completions"));
  EXPECT_THAT(result("early"), HasSubstr("before the end of the feed: 1 requests were not taken"));
  EXPECT_THAT(result("stranger"), HasSubstr("a completion of request 5, which is not open"));
  EXPECT_THAT(result("index"), HasSubstr("sample 3 of request 4, which has 3 samples"));
  EXPECT_THAT(result("silent"), HasSubstr("without the log-probabilities that it announces"));
  EXPECT_THAT(result("nan"), HasSubstr("with a log-probability that is NaN"));
  EXPECT_THAT(result("id"), HasSubstr("with the id -7, which is not in the vocabulary"));
  EXPECT_THAT(result("long"), HasSubstr("with 3 tokens; max_new is 2"));
  EXPECT_THAT(result("finish"), HasSubstr("with the finish reason 9"));
}

TEST_F(Samplers, VersionsAreTold) {
  sampler.bind(model);
  model.commit(17);
  sampler.update_weights(model, 17);
  for (const auto& [key, c] : run(requests())) EXPECT_EQ(c.version, 17);
}

}  // namespace
}  // namespace grpo::plugins
