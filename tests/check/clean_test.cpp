// What ships runs clean under the checks, and as well as without them: rewards, the local sampler on the fake model,
// optimizers; and the examples, as a stranger builds them.
#include <cmath>

#include "grpo/sdk/plugins/checked.hpp"
#include "line.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

Registry checked_registry(Said& said, const std::vector<std::string>& places) {
  RegistrySettings settings;
  settings.probe_cache.clear();
  settings.layer = [&said](std::shared_ptr<const Component> c) { return checked(std::move(c), said.settings()); };
  Registry registry(std::move(settings));
  for (const std::string& place : places) registry.add_directory(place);
  return registry;
}

// Every sample has a score or a status of its own; the same as without checks.
void expect_clean(const std::vector<std::string>& places, const std::string& name, const nlohmann::json& options) {
  Said said;
  Registry registry = checked_registry(said, places), bare;
  for (const std::string& place : places) bare.add_directory(place);
  const nlohmann::json record = {{"max_words", 3}, {"level", 1.5}, {"tags", {"a", "b"}}, {"note", "\u00e9t\u00e9"}};
  RewardBatch batch(7);
  const std::vector<std::int32_t> ids{1, 2, 3};
  for (const char* truth : {"42", "", "#### 1/2", "x^2+1"}) {
    const auto row = batch.add_row(
        {.prompt = "What is it?", .messages = "[]", .ground_truth = truth, .prompt_ids = ids, .columns = &record});
    std::int64_t index = 0;
    for (const char* text :
         {"", "\\boxed{42}", "<think>so</think><answer>0.5</answer>",
          "<reasoning>\nr\n</reasoning>\n<answer>\nx\n</answer>", "The answer is 42. \xE2\x82\xAC\xF0\x9F\x98\x80",
          "one two three four five six seven eight nine ten"})
      batch.add_sample({.row = row, .index = index++, .completion = text, .ids = ids});
  }
  RewardScores scores[2];
  {
    Reward checked_one(registry, name, options), bare_one(bare, name, options);
    for (int i = 0; i < 3; ++i) scores[0] = checked_one.score(batch);
    scores[1] = bare_one.score(batch);
  }
  EXPECT_EQ(said.text(), "") << name;
  EXPECT_EQ(scores[0].status, scores[1].status) << name;
  EXPECT_EQ(scores[0].message, scores[1].message) << name;
  EXPECT_LT(scores[0].count(GRPO_SAMPLE_ERROR), batch.samples()) << name;
  for (std::size_t i = 0; i < scores[0].score.size(); ++i) {
    const double a = scores[0].score[i], b = scores[1].score[i];
    EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << name << ", sample " << i;
  }
  EXPECT_EQ(scores[0].components.size(), scores[1].components.size()) << name;
}

TEST(Clean, Rewards) {
  const std::vector<std::string> places{SHIPPED};
  expect_clean(places, "math", nullptr);
  expect_clean(places, "math", {{"last_number", true}, {"gold", "raw"}});
  expect_clean(places, "format", nullptr);
  expect_clean(places, "tags", {{"trailing_penalty", 0.001}});
  for (const char* name : {"correctness", "integer", "strict_format", "soft_format", "xml_count"})
    expect_clean(places, std::string("gsm8k_") + name, nullptr);
  for (const char* unit : {"tokens", "words"}) expect_clean(places, "repetition", {{"unit", unit}, {"ngram_size", 2}});
  for (const char* form : {"target", "short", "long", "overlong", "cosine"})
    for (const char* unit : {"tokens", "characters", "words"})
      expect_clean(places, "length", {{"form", form}, {"unit", unit}});
}

void expect_clean_line(const std::vector<std::string>& places, const std::string& sampler, const std::string& optimizer,
                       const Line& line = {}) {
  Said said;
  Registry registry = checked_registry(said, places);
  expect_learning(registry, sampler, optimizer, line);
  EXPECT_EQ(said.text(), "");
}

TEST(Clean, TheLineOfFakes) { expect_clean_line({FAKES}, "fake", "fake"); }
TEST(Clean, LocalSamplerAndSgd) { expect_clean_line({FAKES, SHIPPED}, "local", "sgd", {.rate = 400}); }
TEST(Clean, LocalSamplerAndAdamw) { expect_clean_line({FAKES, SHIPPED}, "local", "adamw"); }

// A sampler that runs ahead, forks, is cancelled, and runs out of cache.
TEST(Clean, LocalSamplerUnderPressure) {
  Said said;
  Registry registry = checked_registry(said, {FAKES, SHIPPED});
  {
    Model model(registry, "fake", nullptr);
    Sampler sampler(registry, "local", {{"slots", 4}, {"cache_tokens", 60}, {"prefill_chunk", 2}});
    sampler.bind(model);
    const auto sampling = std::make_shared<Sampling>(
        Sampling{.temperature = 1, .top_k = 20, .min_new = 2, .max_new = 12, .stop = {0, 3}});
    std::vector<Request> requests;
    for (std::uint64_t i = 0; i < 6; ++i) requests.push_back({i, i * 7, {5, 6, 7, 8}, 5, sampling, i % 2 == 0});
    int done = 0, cancelled = 0;
    sampler.generate(std::move(requests), [&](Completion c) {
      if (++done == 2) sampler.cancel(c.request);
      cancelled += c.finish == GRPO_FINISH_CANCELLED;
    });
    EXPECT_EQ(done, 30);
    EXPECT_GT(cancelled, 0);
    // Cancelled as a whole, in the middle: slots are given back, and the next call works.
    std::vector<Request> more{{9, 1, {5, 6}, 8, sampling}};
    EXPECT_THROW(sampler.generate(more, [&](Completion) { sampler.cancel_all(); }), CallError);
    EXPECT_NO_THROW(sampler.generate(more, [](Completion) {}));
  }
  EXPECT_EQ(said.text(), "");
}

TEST(Clean, ExamplesRewards) {
  expect_clean({EXAMPLES}, "boxed", nullptr);
  expect_clean({EXAMPLES}, "brevity", {{"words", 2}, {"slope", 0.25}});
  expect_clean({EXAMPLES}, "word_limit", nullptr);
}
TEST(Clean, ExamplesLine) {
  expect_clean_line({EXAMPLES, FAKES}, "plain", "lion",
                    {.model = "bigram", .options = {{"vocabulary", 64}, {"width", 8}, {"seed", 3}}, .rate = 0.05});
}

}  // namespace
}  // namespace grpo::plugins
