// Samplers: generate made again without a model, each callback compared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpo/sdk/plugins/sampler.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

Registry all() {
  Registry registry = fakes();
  registry.add_directory(GRPO_PLUGIN_DIR);
  return registry;
}

// Two rollouts; one of the second's requests is cancelled as soon as another's completion is there.
void record_rollouts(const std::string& file, const char* name) {
  Registry registry = all();
  Model model(registry, "fake", nullptr);
  Sampler sampler(recorded(registry.load(GRPO_SAMPLER_ID, name), {.file = file}), nullptr);
  sampler.bind(model);
  const auto sampling = std::make_shared<Sampling>(
      Sampling{.temperature = 0.8, .top_p = 0.9, .max_new = 9, .stop = {0}, .stop_text = {}});
  const auto longer = std::make_shared<Sampling>(Sampling{.max_new = 200});
  for (std::int64_t step = 1; step <= 2; ++step) {
    sampler.update_weights(model, step);
    std::vector<Request> requests{{1, 11, {5, 6, 7}, 4, sampling}, {2, 12, {8}, 2, sampling}};
    if (step == 2) requests.push_back({3, 13, {9, 9}, 2, longer});
    int n = 0;
    sampler.generate(std::move(requests), [&](Completion c) {
      if (c.request == 1 && step == 2) sampler.cancel(3);
      ++n;
    });
    EXPECT_EQ(n, step == 1 ? 6 : 8);
  }
}

ReplayReport replay_rollouts(const std::string& file, const char* name, const ReplaySettings& settings = {}) {
  Registry registry = all();
  return replay(file, registry.load(GRPO_SAMPLER_ID, name), settings);
}

class RecordSampler : public testing::TestWithParam<const char*> {};

TEST_P(RecordSampler, IsTheSameWithoutAModel) {
  const Folder folder;
  record_rollouts(folder / "sampler.calls", GetParam());
  const ReplayReport report = replay_rollouts(folder / "sampler.calls", GetParam());
  for (const auto& d : report.differences) ADD_FAILURE() << d.what << ": " << d.expected << ", now " << d.got;
  EXPECT_TRUE(report.notes.empty()) << join(report.notes);
  EXPECT_EQ(report.calls, 6u);           // open, bind, and twice model_changed and generate
  EXPECT_GT(report.compared, 14u * 8u);  // what was delivered
}
INSTANTIATE_TEST_SUITE_P(Both, RecordSampler, testing::Values("fake", "local"),
                         [](const auto& info) { return std::string(info.param); });

TEST(RecordSampler, WithOtherOptionsItAsksForSomethingElse) {
  const Folder folder;
  record_rollouts(folder / "sampler.calls", "local");
  const nlohmann::json options = {{"room", 3}};  // as many tokens in a step
  const ReplayReport report = replay_rollouts(folder / "sampler.calls", "local", {.options = &options});
  ASSERT_FALSE(report.same());
  const Difference& d = report.differences[0];
  EXPECT_EQ(d.function, "generate");
  EXPECT_EQ(d.what, "what it asks for");
  EXPECT_THAT(d.expected, testing::StartsWith("decode.session_open(flags=0, slots=64"));
  EXPECT_THAT(d.got, testing::AllOf(testing::StartsWith("decode.session_open"), testing::Ne(d.expected)));
}

TEST(RecordSampler, ACutRecordingIsMadeAgainAsFarAsItGoes) {
  const Folder folder;
  record_rollouts(folder / "sampler.calls", "local");
  const std::string bytes = bytes_of(folder / "sampler.calls");
  write(folder / "cut.calls", bytes.substr(0, bytes.size() / 2));
  const ReplayReport report = replay_rollouts(folder / "cut.calls", "local");
  EXPECT_TRUE(report.same()) << report.differences[0].what << report.differences[0].expected;
  EXPECT_THAT(join(report.notes), HasSubstr("was not closed"));
}

}  // namespace
}  // namespace grpo::plugins
