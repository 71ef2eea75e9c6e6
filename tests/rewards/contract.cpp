// What every reward must hold: the same sample scores the same alone, in any batch and order, from any thread; whatever
// bytes come; and a cancelled call stops.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

#include "host.hpp"

namespace {
using nlohmann::json;
using rewards_test::Reward;
using rewards_test::Sample;
using rewards_test::Scored;

std::vector<Sample> samples() {
  std::vector<Sample> out;
  const std::string texts[] = {"",
                               "\\boxed{5}",
                               "the answer is 6",
                               "<think>x</think><answer>5</answer>",
                               "<reasoning>a</reasoning>\n<answer>5</answer>",
                               std::string("5\0\\boxed{5}\0", 12),
                               "\xff\xfe\xc3\\boxed{\xe2\x28}",
                               "größe \\boxed{\\frac{10}{2}}",
                               std::string(300, '(')};
  int i = 0;
  for (const auto& text : texts)
    for (const char* truth : {"5", "", "5 is it\n#### 5"}) out.push_back({text, truth, i++ % 40});
  return out;
}

struct Named {
  const char *library, *component;
};

class Contract : public testing::TestWithParam<Named> {
 protected:
  std::string library_ = std::string("reward_") + GetParam().library;
  std::string component_ = GetParam().component;
  Reward open(json options = json::object()) const { return Reward(library_, std::move(options), component_); }
};

TEST_P(Contract, NamesItsComponent) {
  const Reward reward = open();
  EXPECT_STREQ(reward.component().interface_id, GRPO_REWARD_ID);
  EXPECT_EQ(reward.component().name, component_);
  EXPECT_TRUE(reward.table().flags & GRPO_REWARD_CONCURRENT);
}

TEST_P(Contract, ManifestDescribesEveryOption) {
  std::ifstream file(std::string(GRPO_PLUGIN_DIR "/") + library_ + ".so", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const std::size_t at = bytes.find("GRPO1 {");
  ASSERT_NE(at, std::string::npos);
  const auto manifest = json::parse(bytes.c_str() + at + 6);
  json listed;
  for (const auto& c : manifest["components"])
    if (c["name"] == component_) listed = c;
  ASSERT_FALSE(listed["options"].empty());
  for (const auto& [key, option] : listed["options"].items()) {
    EXPECT_TRUE(option.contains("type") && option.contains("default")) << key;
    EXPECT_GT(option.value("description", "").size(), 10u) << key;
  }
  // The defaults of the code are those of the manifest.
  json defaults;
  for (const auto& [key, option] : listed["options"].items()) defaults[key] = option["default"];
  EXPECT_EQ(open().score(samples()), open(defaults).score(samples()));
}

TEST_P(Contract, ScoresDoNotDependOnTheBatch) {
  const Reward reward = open();
  auto all = samples();
  const auto whole = reward.score(all);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(reward.score(std::vector<Sample>{all[i]})[0], whole[i]) << i;
  std::reverse(all.begin(), all.end());
  auto reversed = reward.score(all);
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(reversed, whole);
  EXPECT_TRUE(reward.score(std::vector<Sample>{}).empty());
  for (const Scored& s : whole) EXPECT_TRUE(s.status != GRPO_SAMPLE_OK || std::isfinite(s.score));
}

TEST_P(Contract, HugeCompletions) {
  const Reward reward = open();
  for (std::string piece :
       {std::string("a"), std::string("\\boxed{"), std::string("<answer>"), std::string("\0", 1), std::string("\xff"),
        std::string("</think>"), std::string("<reasoning>"), std::string("</reasoning><answer>"), std::string("\n"),
        std::string("9"), std::string("{"), std::string(" ")}) {
    std::string text;
    while (text.size() < 1'000'000) text += piece;
    const Scored s = reward.score(text, "5");
    EXPECT_TRUE(s.status == GRPO_SAMPLE_OK ? std::isfinite(s.score) : !s.message.empty()) << piece;
    const Scored wrapped = reward.score("<think>" + text + "</think><answer>\\boxed{5}</answer>", text + "5");
    EXPECT_TRUE(wrapped.status == GRPO_SAMPLE_OK ? std::isfinite(wrapped.score) : !wrapped.message.empty()) << piece;
    const Scored opened = reward.score("<reasoning>\n" + text + "\n</answer>", "5");
    EXPECT_TRUE(opened.status == GRPO_SAMPLE_OK ? std::isfinite(opened.score) : !opened.message.empty()) << piece;
  }
}

TEST_P(Contract, FourThreadsAtOnce) {
  const Reward reward = open();
  const auto all = samples();
  const auto expected = reward.score(all);
  std::vector<std::vector<Scored>> got(4);
  std::vector<std::thread> threads;
  for (auto& g : got)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) g = reward.score(all);
    });
  for (auto& t : threads) t.join();
  for (const auto& g : got) EXPECT_EQ(g, expected);
}

TEST_P(Contract, StopsWhenCancelled) {
  const Reward reward = open();
  const auto all = samples();
  const auto whole = reward.score(all);
  grpo_status status = GRPO_STATUS_OK;
  auto part = reward.score(all, 2, &status);
  EXPECT_EQ(status, GRPO_STATUS_CANCELLED);
  // Groups are scored row by row, and the rows of these samples are in the opposite order.
  auto expected = whole;
  if (reward.table().flags & GRPO_REWARD_WHOLE_GROUPS)
    std::reverse(part.begin(), part.end()), std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(part[0], expected[0]);
  EXPECT_EQ(part[1], expected[1]);
  EXPECT_TRUE(std::isnan(part.back().score)) << "nothing after the cancelling is scored";
}

INSTANTIATE_TEST_SUITE_P(All, Contract,
                         testing::Values(Named{"math", "math"}, Named{"format", "format"}, Named{"tags", "tags"},
                                         Named{"length", "length"}, Named{"length", "length_in_group"},
                                         Named{"repetition", "repetition"}, Named{"gsm8k", "gsm8k_correctness"},
                                         Named{"gsm8k", "gsm8k_integer"}, Named{"gsm8k", "gsm8k_strict_format"},
                                         Named{"gsm8k", "gsm8k_soft_format"}, Named{"gsm8k", "gsm8k_xml_count"}),
                         [](const auto& info) { return std::string(info.param.component); });

}  // namespace
