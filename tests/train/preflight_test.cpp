// What is wrong and can be seen at the start of a run.
#include "grpo/sdk/train/preflight.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace grpo::train {
namespace {

constexpr const char* chat_template =
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

class Preflight : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = nlohmann::json::parse(read(GRPO_SOURCE_DIR "/host/demo/tokenizer.json"));
    int id = 15;
    for (const char* token : {"<s>", "<|im_start|>", "<|im_end|>"})
      tokenizer["added_tokens"].push_back({{"id", id++},
                                           {"content", token},
                                           {"single_word", false},
                                           {"lstrip", false},
                                           {"rstrip", false},
                                           {"normalized", false},
                                           {"special", true}});
    write(dir / "tokenizer.json", tokenizer.dump());
    write(dir / "tokenizer_config.json",
          nlohmann::json{{"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}, {"chat_template", chat_template}}.dump());
    text = std::make_shared<const ModelText>(ModelText::load(dir.path(), {}));
  }
  config::Config config(const std::string& yaml = "", const std::vector<std::string>& overrides = {}) {
    return config::load(config::Source{"test", yaml, {}}, overrides);
  }
  // A row as the run would ask it.
  Prompt prompt(const std::string& content, const std::string& truth = "", const std::string& system = "") {
    Prompt p;
    p.row = 3;
    auto messages = nlohmann::ordered_json::array();
    if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
    messages.push_back({{"role", "user"}, {"content", content}});
    p.messages = messages.dump();
    p.text = text->chat_template->render(messages);
    p.ids = text->tokenizer.encode(p.text);
    p.ground_truth = truth;
    return p;
  }
  std::string prompts_say(const std::vector<Prompt>& prompts, const config::Config& c) {
    std::string all;
    for (const auto& f : check_prompts(c, *text, prompts)) all += f + "\n";
    return all;
  }
  std::string prompts_say(const std::vector<Prompt>& prompts) { return prompts_say(prompts, config()); }
  static Rollout rollout(std::vector<std::string> completions, const std::vector<double>& rewards,
                         std::int32_t finish = GRPO_FINISH_STOP) {
    Rollout r;
    r.groups.push_back(group_of(completions));
    for (std::size_t i = 0; i < rewards.size(); ++i) {
      r.groups[0].samples[i].reward = rewards[i];
      r.groups[0].samples[i].scores = {rewards[i]};
      r.groups[0].samples[i].finish = finish;
    }
    return r;
  }
  static std::string rollout_says(const config::Config& c, const Rollout& r, const std::vector<std::string>& names) {
    std::string all;
    for (const auto& f : check_rollout(c, r, names)) all += f + "\n";
    return all;
  }
  Scratch dir;
  std::shared_ptr<const ModelText> text;
};

TEST_F(Preflight, NothingIsSaidOfPromptsThatAreRight) {
  EXPECT_EQ(prompts_say({prompt("1+1=", "2"), prompt("2+2=", "4", "Be brief."), prompt("1+0=", "1")}), "");
}

TEST_F(Preflight, TheTemplateAppliedTwice) {
  const auto once = prompt("1+1=").text;
  const auto said = prompts_say({prompt(once)});
  EXPECT_NE(said.find("row 3 already holds <"), std::string::npos) << said;
  EXPECT_NE(said.find("data.raw_prompt: true"), std::string::npos) << said;
}

TEST_F(Preflight, TwoBeginningsOfText) {
  Prompt p = prompt("1+1=");
  EXPECT_EQ(prompts_say({p}), "");
  p.ids.insert(p.ids.begin(), *text->tokenizer.bos_id());
  EXPECT_NE(prompts_say({p}).find("two <s> (BOS)"), std::string::npos);
}

TEST_F(Preflight, TwoSystemPrompts) {
  auto p = prompt("1+1=", "", "Be brief.");
  const auto messages = nlohmann::ordered_json::array({{{"role", "system"}, {"content", "Be brief."}},
                                                       {{"role", "system"}, {"content", "Be kind."}},
                                                       {{"role", "user"}, {"content", "1+1="}}});
  p.messages = messages.dump();
  p.text = text->chat_template->render(messages);
  EXPECT_NE(prompts_say({p}).find("two system prompts"), std::string::npos) << prompts_say({p});
  const auto c = config("data: {system_prompt: Be brief.}");
  EXPECT_EQ(prompts_say({prompt("1+1=", "", "Be brief.")}, c), "");
  EXPECT_NE(prompts_say({prompt("Be brief. 1+1=", "", "Be brief.")}, c).find("two system prompts"), std::string::npos);
}

TEST_F(Preflight, TheLabelInThePrompt) {
  const auto said = prompts_say({prompt("1+1= 2", "2"), prompt("2+2= 4", "4"), prompt("3+3=", "6")});
  EXPECT_NE(said.find("the label is in the prompt in 2 of 3 rows"), std::string::npos) << said;
  const std::string solution = "They have 3 and 4, so 7. #### 7";
  EXPECT_NE(prompts_say({prompt("Q: " + solution + " Now you.", solution), prompt("Q2: " + solution, solution)})
                .find("the label is in the prompt"),
            std::string::npos);
  // Chance: digits of the answer stand somewhere in the question, or one in many ends with it.
  EXPECT_EQ(prompts_say({prompt("What is 2 and 2?", "2"), prompt("Is 4 more than 3", "3"), prompt("5 or 6?", "5")}),
            "");
}

TEST_F(Preflight, APatternThatNoCompletionCanFit) {
  auto p = prompt("1+1=");
  p.text += "<think>\n";
  const auto c = config("rewards: [{plugin: format, name: shape}]");
  EXPECT_NE(prompts_say({p}, c).find("reward 'shape': its pattern begins with <think>"), std::string::npos);
  EXPECT_EQ(prompts_say({prompt("1+1=")}, c), "");
  const auto end = config("rewards: [{plugin: format, options: {pattern: '.*\\<\\|im_end\\|\\>$'}}]");
  EXPECT_NE(prompts_say({prompt("1+1=")}, end).find("wants <|im_end|>"), std::string::npos)
      << prompts_say({prompt("1+1=")}, end);
}

TEST_F(Preflight, WhatTheFirstRolloutShows) {
  const auto c = config("rewards: [{plugin: length}]");
  EXPECT_EQ(rollout_says(c, rollout({"a", "b"}, {0, 1}), {"length"}), "");
  const auto equal = rollout_says(c, rollout({"a", "b"}, {0.5, 0.5}), {"length"});
  EXPECT_NE(equal.find("all have the same reward, 0.5"), std::string::npos) << equal;
  const auto cut = rollout_says(c, rollout({"a", "b"}, {0, 1}, GRPO_FINISH_LENGTH), {"length"});
  EXPECT_NE(cut.find("cut at sampler.max_new_tokens (256)"), std::string::npos) << cut;
  const auto math = config("rewards: [{plugin: math}]");
  Rollout r = rollout({"it is 4", "maybe 5"}, {0, 0});
  r.scores.metrics.set("rewards/math/format", 0);
  EXPECT_NE(rollout_says(math, r, {"math"}).find("nothing is boxed"), std::string::npos);
  for (auto& s : r.groups[0].samples) s.finish = GRPO_FINISH_LENGTH;
  EXPECT_EQ(rollout_says(math, r, {"math"}).find("boxed"), std::string::npos) << "cut before its answer, maybe";
  r.scores.metrics.set("rewards/math/format", 0.5);
  EXPECT_EQ(rollout_says(math, r, {"math"}).find("boxed"), std::string::npos);
  const auto format = config("rewards: [{plugin: format, options: {pattern: 'x+'}}]");
  const auto fits = rollout_says(format, rollout({"a", "b"}, {0, 0}), {"format"});
  EXPECT_NE(fits.find("its pattern \"x+\" fits none of the first 2"), std::string::npos) << fits;
}

std::string says(const std::string& algorithm, const std::vector<std::string>& overrides = {}) {
  std::string all;
  for (const auto& f :
       check_settings(config::load(config::Source{"run.yaml", "algorithm: {" + algorithm + "}", {}}, overrides)))
    all += f + "\n";
  return all;
}

TEST(PreflightOfSettings, ARejectionOfWhatAgrees) {
  const auto high = says("rollout_rs: 'token_k3,seq_mean_k1', rollout_rs_threshold: '0.1,1.001_1.1'");
  EXPECT_EQ(high.find("run.yaml:1: algorithm.rollout_rejection_threshold: the bounds of seq_mean_k1, 1.001 to 1.1"), 0u)
      << high;
  EXPECT_EQ(says("rollout_rs: token_k1, rollout_rs_threshold: 0.9_1"), "");
  EXPECT_NE(says("rollout_rs: token_k1, rollout_rs_threshold: 0.8_0.9"), "");
}

TEST(PreflightOfSettings, AClipOfTokensOnTheRatioOfCompletions) {
  const std::string gspo =
      "Set algorithm.clip_low: 0.0003 and algorithm.clip_high: 0.0004 (GSPO, arXiv 2507.18071, "
      "section 5.1)";
  const auto given = says("objective: gspo, clip_low: 0.2, clip_high: 0.28");
  EXPECT_EQ(given.find("run.yaml:1: algorithm.clip_low: ratios are clipped under 1 - 0.2 and over 1 + 0.28"), 0u)
      << given;
  EXPECT_NE(given.find("with algorithm.objective: gspo a ratio"), std::string::npos) << given;
  EXPECT_NE(given.find(gspo), std::string::npos) << given;
  const auto left = says("ratio: sequence");
  EXPECT_EQ(left.find("algorithm.clip_low (default): ratios are clipped under 1 - 0.2"), 0u) << left;
  EXPECT_NE(left.find("with algorithm.ratio: sequence a ratio"), std::string::npos) << left;
  EXPECT_NE(left.find(gspo), std::string::npos) << left;
  const auto high = says("objective: gspo_token", {"algorithm.clip_high=0.28"});
  EXPECT_EQ(high.find("command line: algorithm.clip_high: ratios"), 0u) << high;
  EXPECT_NE(says("objective: luspo, epsilon: 0.2").find("clip_low: 0.002 and algorithm.clip_high: 0.0025 (LUSPO, "),
            std::string::npos);
  for (const char* fine :
       {"", "objective: gspo", "objective: gspo_token", "objective: luspo", "objective: gspo, clip_low: 0.009",
        "ratio: sequence, clip_low: 3e-4, clip_high: 4e-4", "objective: gspo, ratio: token, clip_low: 0.2",
        "objective: gmpo", "objective: cispo, ratio: sequence", "clip_low: 0.2, clip_high: 0.28"})
    EXPECT_EQ(says(fine), "") << fine;
}

TEST(HealthSigns, WhatWasMissingInAllOfTheFirstStepsIsSaidOnce) {
  const auto metrics = [](double clipped, double reward, double norm) {
    report::Metrics m;
    m.set("completions/clipped_ratio", clipped);
    m.set("reward", reward);
    m.set("grad_norm", norm);
    return m;
  };
  HealthSigns rejected;
  for (std::int64_t step = 1; step <= 5; ++step) {
    auto m = metrics(0.5, 1, 0);
    m.set("sampling/rejection/tokens", 1);
    const auto said = rejected.after(step, m);
    ASSERT_EQ(said.size(), step == 5 ? 1u : 0u);
    if (step < 5) continue;
    EXPECT_NE(said[0].find("rollout_rejection took every token"), std::string::npos) << said[0];
  }
  HealthSigns bad, good, resumed;
  for (std::int64_t step = 4; step <= 8; ++step) EXPECT_TRUE(resumed.after(step, metrics(1, 0, 0)).empty());
  for (std::int64_t step = 1; step <= 8; ++step) {
    EXPECT_EQ(bad.after(step, metrics(1, 0, 0)).size(), step == 5 ? 3u : 0u) << step;
    EXPECT_TRUE(good.after(step, step == 2   ? metrics(0.5, 0, 0)
                                 : step == 4 ? metrics(1, 1, 2)
                                             : metrics(1, 0, 0))
                    .empty());
  }
}

}  // namespace
}  // namespace grpo::train
