#include <gtest/gtest.h>

#include <grpo/sdk/config/nearest.hpp>

using namespace grpo::config;

TEST(Nearest, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("wieght", "weight"), 1);  // neighbours swapped
  EXPECT_EQ(edit_distance("TOP_P", "top_p"), 0);
}

TEST(Nearest, OnlyWhatCanBeMeant) {
  EXPECT_EQ(nearest("temprature", {"top_p", "temperature"}), "temperature");
  EXPECT_EQ(nearest("top_q", {"temperature", "top_k", "top_p"}), "top_k");
  EXPECT_EQ(nearest("banana", {"temperature", "top_k", "max_new"}), "");
  EXPECT_EQ(nearest("lr", {"top_p", "temperature"}), "");
  EXPECT_EQ(nearest("ab", {"ac", "abc"}), "ac");  // a tie: the first
  EXPECT_EQ(nearest("x", {}), "");
  EXPECT_EQ(nearest("maxi", {"minimum", "maximum", "form"}), "maximum");  // the only one that begins so
  EXPECT_EQ(nearest("max_", {"max_steps", "max_length"}), "");
  EXPECT_EQ(did_you_mean("sed", {"seed"}), " Did you mean `seed`?");
  EXPECT_EQ(did_you_mean("sed", {"temperature"}), "");
}
