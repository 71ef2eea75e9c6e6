// Models: forward, backward, commits and decoding made again, with the weights of the recording.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "grpo/sdk/plugins/optimizer.hpp"
#include "grpo/sdk/plugins/sampler.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

// Two steps: sample, forward, backward, optimizer, commit. The model is recorded, the others are not.
void record_training(const std::string& file, const nlohmann::json& options) {
  Registry registry = fakes();
  Model model(recorded(registry.load(GRPO_MODEL_ID, "fake"), {.file = file}), options);
  Optimizer optimizer(registry, "fake", nullptr);
  Sampler sampler(registry, "fake", nullptr);
  sampler.bind(model);
  optimizer.bind(model);
  const auto sampling = std::make_shared<Sampling>(Sampling{.temperature = 0.8, .max_new = 6, .stop = {0}});
  for (std::int64_t step = 1; step <= 2; ++step) {
    Forest forest;
    const std::vector<std::int32_t> prompt{5, 6, 7};
    const auto root = forest.add(Forest::root, prompt);
    sampler.generate({{1, static_cast<std::uint64_t>(step), prompt, 4, sampling}},
                     [&](Completion c) { forest.add_scored(root, c.ids); });
    std::vector<float> logprob(static_cast<std::size_t>(forest.n_targets())), entropy(logprob);
    const std::vector<float> dlogprob(logprob.size(), 0.1f), dentropy(logprob.size(), 0.01f);
    model.zero_grad();
    { const Ticket unused = model.forward(forest, 0.8, logprob, {}, true); }
    model.backward(model.forward(forest, 0.8, logprob, entropy, true), dlogprob, dentropy);
    optimizer.step(step, 0.05, 1);
    model.commit(step);
    model.export_weights([](const std::string&, const grpo_tensor&) {});
  }
}

ReplayReport replay_fake(const std::string& file, const ReplaySettings& settings = {}) {
  Registry registry = fakes();
  return replay(file, registry.load(GRPO_MODEL_ID, "fake"), settings);
}

TEST(RecordModel, AllCallsAreTheSameBitByBit) {
  const Folder folder;
  record_training(folder / "model.calls", {{"seed", 3}});
  const ReplayReport report = replay_fake(folder / "model.calls");
  EXPECT_TRUE(report.same()) << report.differences[0].function << report.differences[0].what;
  EXPECT_GT(report.calls, 20u);
  EXPECT_GT(report.compared, 2u * 8192u);  // gradients of two steps
  EXPECT_TRUE(report.notes.empty()) << join(report.notes);
}

// The weights are the recording's, whatever the plugin would start with.
TEST(RecordModel, WeightsComeFromTheRecording) {
  const Folder folder;
  record_training(folder / "model.calls", {{"seed", 3}});
  const nlohmann::json options = {{"seed", 4}, {"scale", 2}};
  EXPECT_TRUE(replay_fake(folder / "model.calls", {.options = &options}).same());
}

TEST(RecordModel, AnotherModelIsSeen) {
  const Folder folder;
  record_training(folder / "model.calls", nullptr);
  const nlohmann::json options = {{"trainable", false}};
  EXPECT_FALSE(replay_fake(folder / "model.calls", {.options = &options}).same());
  const nlohmann::json shallow = {{"max_depth", 1}};  // it refuses the recorded forests
  const ReplayReport report = replay_fake(folder / "model.calls", {.options = &shallow});
  ASSERT_FALSE(report.same());
  EXPECT_EQ(report.differences[0].function, "forward");
  EXPECT_EQ(report.differences[0].what, "status of the call");
}

}  // namespace
}  // namespace grpo::plugins
