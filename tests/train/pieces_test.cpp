#include "pieces.hpp"

#include <gtest/gtest.h>

namespace grpo::train {
namespace {

TEST(Pieces, AStepThatTheModelHoldsIsOnePiece) {
  EXPECT_EQ(prompts_per_piece({4, 8, 100, 64, 6000}), 4u);
  EXPECT_EQ(prompts_per_piece({32, 8, 100, 64, 0}), 32u) << "no preference";
}

TEST(Pieces, ALongerOneIsCutEvenly) {
  EXPECT_EQ(prompts_per_piece({32, 8, 100, 64, 6000}), 8u) << "9 would fit: 4 pieces of 8";
  EXPECT_EQ(prompts_per_piece({17, 16, 50, 20, 4000}), 9u) << "10 would fit: 9 and 8";
}

TEST(Pieces, ThereAreAlwaysEnoughCompletionsToKeepTheArithmeticBusy) {
  EXPECT_EQ(prompts_per_piece({32, 8, 100, 170, 6000}), 4u);
  EXPECT_EQ(prompts_per_piece({32, 8, 100, 200, 6000}), 4u) << "of 32 completions most may be kept";
  EXPECT_EQ(prompts_per_piece({32, 8, 100, 1480, 6000}), 4u) << "an eighth";
  EXPECT_EQ(prompts_per_piece({32, 8, 100, 1500, 6000}), 32u) << "too little";
  EXPECT_EQ(prompts_per_piece({1, 64, 100, 128, 6000}), 1u) << "a group is never cut";
}

}  // namespace
}  // namespace grpo::train
