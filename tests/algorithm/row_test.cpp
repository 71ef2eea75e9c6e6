// The `objective` filter's row: names, shapes, and what a bad row is told.
#include "grpo/sdk/algorithm/objective_row.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {
namespace {

using nlohmann::json;

json parse(const char* text) { return json::parse(text); }

TEST(Row, OnPolicyDapo) {
  const json out = objective_row(parse(R"({"per_token_logps": [[-1, -2], [-3]], "advantages": [3, -6]})"));
  EXPECT_EQ(out.at("loss"), 0.0);
  EXPECT_EQ(out.at("dlogp"), parse("[[-1.0, -1.0], [2.0]]"));
  EXPECT_TRUE(out.at("dentropy").is_null());
  EXPECT_EQ(out.at("metrics").at("ratio/mean"), 1.0);
}

TEST(Row, NamesAndNestingAreOneRow) {
  const json expected =
      objective_row(parse(R"({"per_token_logps": [[-1, -2], []], "old_per_token_logps": [[-1.5, -2], []],
      "ref_per_token_logps": [[-1.1, -2], []], "advantages": [1, 1], "entropies": [[1, 2], []], "id": 7,
      "config": {"loss_type": "grpo", "beta": 0.1, "entropy_coef": 0.5}})"));
  EXPECT_EQ(objective_row(parse(R"({"logp": [[-1, -2], []], "old_logp": [[-1.5, -2], []], "logp_ref": [[-1.1, -2], []],
      "advantages": [1, 1], "entropy": [[1, 2], []], "sampling_logp": null, "_note": 1,
      "loss_type": "grpo", "beta": 0.1, "entropy_coef": 0.5})")),
            expected);
  EXPECT_EQ(expected.at("dentropy"), parse("[[-0.25, -0.25], []]"));
}

TEST(Row, PaddingIsRaggedness) {
  const json ragged = objective_row(parse(R"({"logp": [[-1, -2], [-3]], "old_logp": [[-1.3, -2.2], [-2.5]],
      "advantages": [1, -1], "loss_type": "dr_grpo", "max_completion_length": 4})"));
  const json padded = objective_row(parse(R"({"logp": [[-1, -2], [-3, null]], "old_logp": [[-1.3, -2.2], [-2.5, 0]],
      "mask": [[1, 1], [1, 0]], "advantages": [1, -1], "loss_type": "dr_grpo", "max_completion_length": 4})"));
  EXPECT_EQ(ragged.at("loss"), padded.at("loss"));
  EXPECT_EQ(padded.at("dlogp")[1][1], 0.0);
}

TEST(Row, AFlatListIsOneCompletion) {
  const json flat = objective_row(parse(R"({"logp": [-1, -2], "mask": [1, 0], "advantages": 2})"));
  const json nested = objective_row(parse(R"({"logp": [[-1, -2]], "mask": [[1, 0]], "advantages": [2]})"));
  EXPECT_EQ(json::array({flat.at("dlogp")}), nested.at("dlogp"));
}

TEST(Row, AdvantagesComeByRowAsAColumnOrByToken) {
  const json by_row = objective_row(parse(R"({"logp": [[-1, -2], [-3]], "advantages": [2, 1]})"));
  const json column = objective_row(parse(R"({"logp": [[-1, -2], [-3]], "advantages": [[2], [1]]})"));
  const json by_token = objective_row(parse(R"({"logp": [[-1, -2], [-3]], "advantages": [[2, 2], [1]]})"));
  EXPECT_EQ(by_row, column);
  EXPECT_EQ(by_row, by_token);
}

TEST(Row, AnUnknownSampledLogProbabilityIsNoCorrection) {
  const json out = objective_row(parse(R"({"logp": [[-1, -1]], "sampling_logp": [[-2, null]], "advantages": [1],
      "config": {"is_correction": "token_truncate", "vllm_importance_sampling_clip_max": 2.5}})"));
  EXPECT_EQ(out.at("dlogp"), parse("[[-1.25, -0.5]]"));
  const json none = objective_row(parse(R"({"logp": [[-1, -1]], "sampling_logp": [null], "advantages": [1],
      "config": {"is_correction": "token_truncate"}})"));
  EXPECT_EQ(none.at("dlogp"), parse("[[-0.5, -0.5]]"));
}

TEST(Row, RejectedTokensAreOutOfTheMask) {
  const json out = objective_row(parse(R"({"logp": [[-1, -1], [-1]], "sampling_logp": [[-1.1, -2], [-1]],
      "advantages": [1, 1], "config": {"rollout_rs": "token_k1", "rollout_rs_threshold": 2}})"));
  EXPECT_EQ(out.at("dlogp"), parse("[[-0.5, 0.0], [-0.5]]"));
  EXPECT_EQ(out.at("metrics").at("sampling/rejection/tokens"), 1 / 3.0);
  EXPECT_THROW(objective_row(parse(R"({"logp": [[-1]], "advantages": [1], "rollout_rs": "token_k1"})")), Error);
  EXPECT_THROW(objective_row(parse(R"({"logp": [[-1]], "advantages": [1], "rollout_rs": "m2",
      "rollout_rs_threshold": "1"})")),
               Error)
      << "without what the sampler said";
}

TEST(Row, RewardsMakeAdvantages) {
  const json out = objective_row(parse(R"({"logp": [[-1], [-1], [-1], [-1]], "rewards": [1, 3, 5, null],
      "num_generations": 2, "scale_rewards": "none"})"));
  EXPECT_EQ(out.at("dlogp"), parse("[[0.25], [-0.25], [0.0], [0.0]]"));
}

TEST(Row, SeveralRewardsAreSummedOrNormalisedFirst) {
  const char* const row = R"({"logp": [[-1], [-1], [-1], [-1]], "num_generations": 4, "loss_type": "dapo",
      "rewards_per_func": [[1, 0], [0, 0], [0, 0], [0, null]], "reward_weights": [1, 2], "scale_rewards": "none"})";
  EXPECT_EQ(objective_row(parse(row)).at("dlogp"), parse("[[-0.1875], [0.0625], [0.0625], [0.0625]]"));
  json gdpo = parse(row);
  gdpo["multi_objective_aggregation"] = "normalize_then_sum";
  const auto gradient = objective_row(gdpo).at("dlogp");
  EXPECT_NEAR(gradient[0][0].get<double>(), -1.5 / 4, 1e-3);  // a deviation of its own, twice
  EXPECT_NEAR(gradient[1][0].get<double>(), 0.5 / 4, 1e-3);
}

TEST(Row, NamesOfVerl) {
  const auto of = [](const std::string& options) {
    return objective_row(json::parse(
        R"({"logp": [[-1, -2], [-3]], "old_logp": [[-3, -2.2], [-2.5]], "advantages": [-1, 2],)" + options + "}"));
  };
  EXPECT_EQ(of(R"("loss_type": "vanilla", "clip_ratio_c": 3)"), of(R"("loss_type": "dapo", "delta": 3)"));
  EXPECT_NE(of(R"("loss_type": "vanilla", "clip_ratio_c": 3)"), of(R"("loss_type": "vanilla")"));
  EXPECT_EQ(of(R"("loss_agg_mode": "seq-mean-token-mean")"), of(R"("loss_type": "grpo")"));
  EXPECT_NEAR(of(R"("loss_agg_mode": "token-sum")").at("loss").get<double>(),
              3 * of(R"("loss_type": "dapo")").at("loss").get<double>(), 1e-14);
  EXPECT_EQ(of(R"("loss_type": "geo_mean")"), of(R"("loss_type": "gmpo")"));
  EXPECT_EQ(of(R"("loss_type": "kl_cov")").at("metrics").at("clip_ratio/covariance_mean"), 1.0 / 3);
}

TEST(Row, BadRowsAreToldWhy) {
  const auto told = [](const char* text) -> std::string {
    try {
      objective_row(parse(text));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  using testing::HasSubstr;
  EXPECT_THAT(told("[1]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(told(R"({"advantages": [1]})"), HasSubstr("\"per_token_logps\" is missing"));
  EXPECT_THAT(told(R"({"logp": [[-1]]})"), HasSubstr("\"advantages\" is missing"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "epsilonhigh": 1})"),
              HasSubstr("unknown key \"epsilonhigh\""));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "config": {"clip": 1}})"),
              HasSubstr("unknown option \"clip\""));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "beta": 1, "config": {"beta": 1}})"),
              HasSubstr("\"beta\" is given twice"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "beta": 0.1})"), HasSubstr("reference_logprob is missing"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "beta": "x"})"),
              HasSubstr("\"beta\" is \"x\"; it must be a number"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "old_logp": [[-1, -1]], "advantages": [1]})"),
              HasSubstr("\"old_logp\", row 0 has 2"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1, 2]})"), HasSubstr("\"advantages\" has 2 values for 1 rows"));
  EXPECT_THAT(told(R"({"logp": [["a"]], "advantages": [1]})"), HasSubstr("\"logp\" holds \"a\""));
  EXPECT_THAT(told(R"({"logp": [[-1]], "logps": [[-1]], "advantages": [1]})"),
              HasSubstr("two names of the same array"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "mask": [[2]], "advantages": [1]})"), HasSubstr("it must be 0 or 1"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "loss_type": "ppo"})"),
              HasSubstr("unknown objective \"ppo\""));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "is_correction": "x"})"), HasSubstr("token_truncate"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "loss_type": "vespo", "is_correction": "sequence_mask"})"),
              HasSubstr("vespo needs"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "top_entropy_quantile": 0.5})"),
              HasSubstr("needs \"entropies\""));
  EXPECT_THAT(told(R"({"logp": [[-1]], "rewards_per_func": [[1, 2]], "num_generations": 1, "reward_weights": [1]})"),
              HasSubstr("\"reward_weights\" has 1 numbers for 2 rewards"));
  EXPECT_THAT(told(R"({"logp": [[-1], [-1]], "rewards_per_func": [[1], [1, 2]], "num_generations": 2})"),
              HasSubstr("equally many"));
  EXPECT_THAT(told(R"({"logp": [[-1]], "advantages": [1], "loss_type": "gmpo", "importance_sampling_level": "token"})"),
              HasSubstr("geometric mean"));
  EXPECT_THAT(told(R"({"logp": [[-1], [-1]], "rewards": [1, 2], "num_generations": 3})"), HasSubstr("num_generations"));
}

}  // namespace
}  // namespace grpo::algorithm
