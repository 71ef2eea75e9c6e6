// A run whose reward is a function in Python: its scores and their parts are in the metrics, its failures cost samples.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "support.hpp"

using namespace e2e;

namespace {

constexpr const char* functions = R"(
def easyr1(reward_input, scale=1.0):
    text = reward_input["response"]
    digits = sum(c.isdigit() for c in text)
    assert reward_input["response_length"] > 0 and reward_input["ground_truth"].isdigit()
    return {"overall": scale * digits / max(1, len(text)), "digits": digits}

def trl(prompts, completions, answer, completion_ids, trainer_state, log_metric, **kwargs):
    assert len(set(prompts)) == 1, "a call has the completions of whole prompts"
    assert all(ids for ids in completion_ids)
    log_metric("global_step", trainer_state.global_step)
    return [float(c.strip().isdigit()) for c in completions]

def verl(data_source, solution_str, ground_truth, extra_info=None):
    if len(solution_str) % 2:
        raise ValueError("an odd one of " + extra_info["answer"])
    return 0.5
)";

TEST(PythonReward, TrainsWithFunctionsOfThreeStyles) {
  if (std::system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2> /dev/null") != 0)
    GTEST_SKIP() << "no Python 3.9 or later on this machine";
  Scratch dir;
  make_run(dir.path());
  write(dir / "functions.py", functions);
  std::string run = read(dir / "run.yaml");
  const auto from = run.find("rewards: "), to = run.find('\n', from);
  ASSERT_NE(from, std::string::npos);
  run.replace(from, to - from,
              "rewards:\n"
              "  - {plugin: python, name: easy, options: {function: 'functions.py:easyr1', kwargs: {scale: 2}}}\n"
              "  - {plugin: python, name: as_trl, weight: 0.5, options: {function: 'functions.py:trl'}}\n"
              "  - {plugin: python, name: as_verl, weight: 0, options: {function: 'functions.py:verl'}}");
  write(dir / "run.yaml", run);
  const auto result = host("train --config run.yaml", dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  ASSERT_EQ(rows.size(), 4u);
  double failed = 0;
  for (const auto& row : rows) {
    EXPECT_EQ(row["rewards/easy/errors"], 0) << result.out;
    EXPECT_EQ(row["rewards/as_trl/errors"], 0) << result.out;
    EXPECT_TRUE(row["rewards/easy/digits"].is_number());
    EXPECT_EQ(row["plugin/as_trl/global_step"], row["step"].get<double>() - 1);
    EXPECT_NEAR(row["reward"].get<double>(),
                row["rewards/easy/mean"].get<double>() + 0.5 * row["rewards/as_trl/mean"].get<double>(), 1e-6);
    failed += row["rewards/as_verl/errors"].get<double>();
  }
  EXPECT_GT(failed, 0) << "of untrained completions some have an odd length";
  EXPECT_NE((result.out + result.err).find("ValueError: an odd one of "), std::string::npos);
}

}  // namespace
