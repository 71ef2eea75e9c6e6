// Weights stored in bfloat16 for decoding.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "support.hpp"

namespace grpo::test {
namespace {

// The rows of five samples of different length.
std::vector<Session::Row> decode(const std::string& name, const std::string& dtype) {
  Model model({{"path", (models() / name).string()}, {"decode_dtype", dtype}});
  std::mt19937 random(9);
  Session session(model, 5, 400);
  const std::vector<std::int64_t> slots{0, 1, 2, 3, 4};
  for (const auto slot : slots)
    session.prefill({slot}, {random_tokens(random, 10 + static_cast<std::size_t>(slot) * 7)});
  session.assign(slots, {1, 2, 3, 4, 5}, sampling(1, 30));
  return session.run(slots, 8);
}

TEST(DecodeDtype, AutomaticLosesNothing) {
  for (const char* name : {"mistral", "llama_llama3", "qwen3", "qwen2"}) {  // the first two are bfloat16 checkpoints
    const auto expected = decode(name, "float32"), rows = decode(name, "auto");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].token, expected[i].token) << name;
      EXPECT_EQ(rows[i].logprob, expected[i].logprob) << name << ": bit for bit";
    }
  }
}

TEST(DecodeDtype, Bfloat16IsExactForBfloat16CheckpointsAndNearForOthers) {
  for (const char* name : {"mistral", "llama_llama3"}) {
    const auto expected = decode(name, "float32"), rows = decode(name, "bfloat16");
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].logprob, expected[i].logprob) << name;
  }
  const auto expected = decode("qwen3", "float32"), rows = decode("qwen3", "bfloat16");
  double most = 0;
  std::int64_t compared = 0;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t t = 0; t < rows[i].token.size() && rows[i].token[t] == expected[i].token[t]; ++t, ++compared)
      most = std::max<double>(most, std::fabs(rows[i].logprob[t] - expected[i].logprob[t]));
  EXPECT_GT(compared, 10);
  EXPECT_GT(most, 0) << "these weights cannot be had in bfloat16";
  EXPECT_LT(most, 0.05);
}

}  // namespace
}  // namespace grpo::test
