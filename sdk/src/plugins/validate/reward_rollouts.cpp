// What the samples hold: answers in the forms that rewards look for, right, wrong and odd.
#include "reward_bench.hpp"

namespace grpo::plugins::conformance {
namespace {

using nlohmann::json;

Rollout::Row row(const std::string& question, const std::string& truth, int number) {
  return {question,
          json::array({{{"role", "user"}, {"content", question}}}).dump(),
          truth,
          {{"question", question},
           {"answer", truth},
           {"max_words", 3 + number},
           {"difficulty", 0.25 * number},
           {"tags", json::array({"a", number})}}};
}

void add_group(Rollout& out, std::size_t row, const std::vector<std::string>& texts) {
  std::int64_t index = 0;
  for (const std::string& text : texts)
    out.samples.push_back({row, index++, text, index % 3 == 0 ? GRPO_FINISH_LENGTH : GRPO_FINISH_STOP});
}

}  // namespace

Rollout usual_rollout() {
  Rollout out;
  out.rows = {row("What is 6 times 7?", "42", 0), row("Half of one?", "#### 0.5", 1), row("Say nothing.", "", 2)};
  add_group(out, 0,
            {"So \\boxed{42}.", "<think>6*7</think> <answer>42</answer>", "The answer is 41", "#### 42", "",
             "<reasoning>\nsix sevens\n</reasoning>\n<answer>\n42\n</answer>\n"});
  add_group(out, 1, {"\\boxed{\\frac{1}{2}}", "one two three four five six seven eight", "0.5", "maybe \\boxed{"});
  add_group(out, 2, {"I cannot know.", "</answer><answer>", "42 42 42 42"});
  return out;
}

Rollout odd_rollout(bool quick) {
  Rollout out;
  const std::string nul("a\0b\0", 4);
  const std::size_t large = quick ? 20'000 : 200'000;
  std::string braces, words;
  for (std::size_t i = 0; i < large / 10; ++i) braces += "\\boxed{", words += "42 ";
  out.rows = {row("?", "42", 0), row(nul, nul, 1)};
  add_group(out, 0,
            {"", nul, std::string(1, '\0'), "\xEF\xBB\xBF", "\xEF\xBF\xBD\xEF\xBF\xBD", "\xF4\x8F\xBF\xBF",
             "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7", "e\xCC\x81\xCC\x81\xCC\x81",
             "\xE2\x80\xAE\xD7\x90\xD7\x91", "\r\n\t\v\f\x01\x7F", std::string(large, ' '), std::string(large, 'x'),
             braces, words, "<answer>" + std::string(large, '9') + "</answer>", std::string(large / 4, '(')});
  add_group(out, 1, {"\\boxed{" + nul + "}", "%s%n%d", "\\", "{}{}{}", "-", "1e999", "0/0", "\\frac{1}{0}"});
  return out;
}

Rollout bare_rollout() {
  Rollout out = usual_rollout();
  for (Rollout::Row& r : out.rows) r = {r.prompt, "", "", json::object()};
  return out;
}

}  // namespace grpo::plugins::conformance
