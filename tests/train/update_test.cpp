// The update over the fake model and adamw: what the weights are after it.
#include "grpo/sdk/train/update.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support.hpp"

namespace grpo::train {
namespace {

class Update : public testing::Test {
 protected:
  std::vector<Group> groups() {
    std::vector<Group> all = {group_of({"abcdef", "gh", "ijkl"}), group_of({"mnop", "", "qrstuv"}, 5)};
    double advantage = -1;
    for (Group& g : all)
      for (Sample& s : g.samples) s.advantage = advantage, advantage += 0.4;
    return all;
  }

  std::vector<float> weights() {
    const auto& value = *model.parameters()[0]->value;
    const auto* data = reinterpret_cast<const float*>(plugins::data_of(value));
    return {data, data + plugins::element_count(value.dl)};
  }

  UpdateReport update(UpdateOptions options, std::vector<Group> all) {
    Updater updater(model, nullptr, optimizer, options);
    return updater.update(all, clock);
  }

  plugins::Registry registry = test_registry();
  plugins::Model model{registry, "fake", nlohmann::json::object()};
  plugins::Optimizer optimizer{registry, "adamw", nlohmann::json::object()};
  StepClock clock{0, [](std::int64_t) { return 0.01; }};
  void SetUp() override { optimizer.bind(model); }
};

// One update in a fresh model.
struct Outcome {
  UpdateReport report;
  std::vector<float> weights;
  std::int64_t clock;
};

class Fresh : public Update {
 public:
  void TestBody() override {}
  Outcome run(const UpdateOptions& options, const std::function<void(std::vector<Group>&)>& change = nullptr) {
    SetUp();
    auto all = groups();
    if (change) change(all);
    auto report = update(options, std::move(all));
    return {report, weights(), clock.done};
  }
  Outcome run_in_pieces(const UpdateOptions& options, const std::function<void(std::vector<Group>&)>& change) {
    SetUp();
    auto all = groups();
    change(all);
    std::size_t completions = 0;
    for (const Group& group : all) completions += group.samples.size();
    Updater updater(model, nullptr, optimizer, options);
    updater.begin(static_cast<std::int64_t>(completions));
    for (Group& group : all) updater.accumulate({&group, 1});
    auto report = updater.finish(clock);
    return {report, weights(), clock.done};
  }
};

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(double(a[i]) - double(b[i])));
  return most;
}

TEST_F(Update, TheCutIntoMicroBatchesNeverChangesTheGradient) {
  for (const char* objective : {"grpo", "dapo", "dr_grpo"}) {
    UpdateOptions options{.objective = algorithm::objective_options(objective), .max_completion_length = 8};
    const Outcome whole = Fresh().run(options);
    EXPECT_EQ(whole.report.microbatches, 1);
    for (const std::int64_t budget : {1, 9, 14}) {
      options.max_tokens_per_microbatch = budget;
      const Outcome cut = Fresh().run(options);
      EXPECT_GT(cut.report.microbatches, 1);
      EXPECT_NEAR(cut.report.grad_norm, whole.report.grad_norm, 1e-5 * whole.report.grad_norm) << objective;
      EXPECT_NEAR(cut.report.objective.loss, whole.report.objective.loss, 1e-6) << objective;
    }
  }
}

TEST_F(Update, PiecesGiveTheStepOfTheWhole) {
  for (const char* objective : {"grpo", "dapo", "dr_grpo", "gspo", "luspo"})
    for (const bool masked : {false, true}) {
      UpdateOptions options{.objective = algorithm::objective_options(objective),
                            .max_completion_length = 8,
                            .mask_truncated_completions = masked};
      const auto cut_one = [](std::vector<Group>& all) { all[1].samples[2].finish = GRPO_FINISH_LENGTH; };
      const Outcome whole = Fresh().run(options, cut_one), pieces = Fresh().run_in_pieces(options, cut_one);
      EXPECT_NEAR(pieces.report.grad_norm, whole.report.grad_norm, 1e-5 * whole.report.grad_norm) << objective;
      EXPECT_NEAR(pieces.report.objective.loss, whole.report.objective.loss, 1e-6) << objective;
      EXPECT_LT(largest_difference(pieces.weights, whole.weights), 1e-6) << objective;
      EXPECT_EQ(pieces.clock, whole.clock);
      EXPECT_EQ(pieces.report.tokens, whole.report.tokens);
    }
}

TEST_F(Update, PiecesAreForOneOptimizerStepWithOneDivisor) {
  const auto can = [&](const UpdateOptions& options) {
    return Updater(model, nullptr, optimizer, options).can_take_pieces();
  };
  UpdateOptions options;
  EXPECT_TRUE(can(options));
  EXPECT_FALSE(can({.iterations = 2}));
  EXPECT_FALSE(can({.minibatches = 2}));
  options.objective = algorithm::objective_options("grpo");
  options.objective.entropy_coefficient = 0.1;
  EXPECT_FALSE(can(options));
}

TEST_F(Update, PiecesWithNothingToLearnFromLeaveTheWeights) {
  const auto before = weights();
  const Outcome out = Fresh().run_in_pieces({.max_completion_length = 8, .mask_truncated_completions = true},
                                            [](std::vector<Group>& all) {
                                              for (Group& g : all)
                                                for (Sample& s : g.samples) s.finish = GRPO_FINISH_LENGTH;
                                            });
  EXPECT_EQ(out.weights, before);
  EXPECT_EQ(out.clock, 1);
}

TEST_F(Update, MinibatchesAndIterationsAreOptimizerSteps) {
  UpdateOptions options{.iterations = 3, .minibatches = 2};
  const Outcome out = Fresh().run(options);
  EXPECT_EQ(out.report.optimizer_steps, 6);
  EXPECT_EQ(out.clock, 6);
  EXPECT_GT(out.report.objective.ratio_max, 1);
  options.minibatches = 3;
  const auto text = error_of([&] { Fresh().run(options); });
  EXPECT_NE(text.find("algorithm.minibatches"), std::string::npos) << text;
}

TEST_F(Update, MaskedTruncatedCompletionsTeachNothing) {
  const auto cut_one = [](std::vector<Group>& all) { all[0].samples[0].finish = GRPO_FINISH_LENGTH; };
  const auto another_advantage = [&](std::vector<Group>& all) {
    cut_one(all);
    all[0].samples[0].advantage = 50;
  };
  UpdateOptions options{.mask_truncated_completions = true, .max_grad_norm = 0};
  const Outcome masked = Fresh().run(options, cut_one), same = Fresh().run(options, another_advantage);
  EXPECT_EQ(masked.weights, same.weights);
  options.mask_truncated_completions = false;
  EXPECT_GT(largest_difference(masked.weights, Fresh().run(options, another_advantage).weights), 1e-3);
}

TEST_F(Update, WithNothingToLearnFromTheWeightsStayAndTheScheduleGoesOn) {
  const auto before = weights();
  const auto all_cut = [](std::vector<Group>& all) {
    for (Group& g : all)
      for (Sample& s : g.samples) s.finish = GRPO_FINISH_LENGTH;
  };
  const Outcome out = Fresh().run({.mask_truncated_completions = true}, all_cut);
  EXPECT_EQ(out.weights, before);
  EXPECT_EQ(out.clock, 1);
  EXPECT_EQ(out.report.optimizer_steps, 0);
  EXPECT_DOUBLE_EQ(out.report.learning_rate, 0.01);
}

// The other way, with backward passes, is forced by an entropy term too small to count.
TEST_F(Update, GroupsWithoutAnAdvantageHaveNoBackwardPassAndChangeNothingElse) {
  const auto one_silent = [](std::vector<Group>& all) {
    for (Sample& s : all[0].samples) s.advantage = 0;
  };
  UpdateOptions options{.iterations = 2};
  const Outcome skipped = Fresh().run(options, one_silent);
  options.objective.entropy_coefficient = 1e-30;
  const Outcome whole = Fresh().run(options, one_silent);
  EXPECT_LT(skipped.report.tokens, whole.report.tokens);
  EXPECT_LT(largest_difference(skipped.weights, whole.weights), 1e-7);
  const auto values = skipped.report.objective.values(), expected = whole.report.objective.values();
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(values[i].first, expected[i].first);
    EXPECT_NEAR(values[i].second, expected[i].second, 1e-6) << values[i].first;
  }
  EXPECT_NEAR(skipped.report.objective.loss, whole.report.objective.loss, 1e-6);
}

TEST_F(Update, AGradientThatIsNotFiniteIsNotSteppedOn) {
  const auto before = weights();
  auto* gradient = reinterpret_cast<float*>(plugins::data_of(*model.parameters()[0]->gradient));
  gradient[5] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(apply_gradients(model, optimizer, 1, 0.1, 1, 1)));
  EXPECT_EQ(weights(), before);
  model.zero_grad();
  gradient[5] = 2;
  EXPECT_DOUBLE_EQ(apply_gradients(model, optimizer, 1, 0.1, 1, 1), 2);
  EXPECT_NE(weights(), before);
}

TEST_F(Update, AKlWithoutAReferenceIsRefused) {
  UpdateOptions options;
  options.objective.kl_coefficient = 0.1;
  EXPECT_THROW(update(options, groups()), Error);
}

}  // namespace
}  // namespace grpo::train
