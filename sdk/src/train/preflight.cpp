#include "grpo/sdk/train/preflight.hpp"

#include <fmt/format.h>
#include <grpo/sampler.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/visible.hpp"
#include "grpo/sdk/train/update.hpp"

namespace grpo::train {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string shown(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return fmt::format("\"{}\"", report::visible(text, "", 80));
}

std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

std::size_t occurrences(std::string_view text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = what.empty() ? text.npos : text.find(what); at != text.npos; at = text.find(what, at + what.size()))
    ++n;
  return n;
}

// What was written to the model, without roles and template.
std::string content_of(const Prompt& prompt) {
  if (prompt.messages.empty()) return prompt.text;
  std::string all;
  const auto messages = ordered_json::parse(prompt.messages, nullptr, false);
  for (const auto& m : messages)
    if (m.is_object() && m.contains("content") && m["content"].is_string() && m.value("role", "") != "system")
      all += m["content"].get<std::string>() + "\n";
  return all;
}

// The conversation's rendering, "" where this template does not take it.
std::string rendered(const ModelText& text, const ordered_json& messages, bool generation) {
  if (!text.chat_template) return "";
  try {
    return text.chat_template->render(messages, generation);
  } catch (const Error&) {
    return "";
  }
}

std::set<std::int32_t> special_ids(const ModelText& text, const std::string& of) {
  std::set<std::int32_t> ids;
  for (const auto id : text.tokenizer.encode(of))
    if (text.tokenizer.is_special(id)) ids.insert(id);
  return ids;
}

// Tokens of the chat template that stand in the prompt itself, before it was applied.
void check_template_twice(const ModelText& text, std::span<const Prompt> prompts, Findings& findings) {
  const auto own = special_ids(text, rendered(text, {{{"role", "user"}, {"content", "x"}}}, true));
  for (const Prompt& p : prompts) {
    if (p.messages.empty()) continue;
    for (const auto id : special_ids(text, content_of(p)))
      if (own.contains(id)) {
        findings.push_back(fmt::format(
            "the prompt of row {} already holds {}, a token of the chat template, which is then applied a second time; "
            "if the data is rendered already, set data.raw_prompt: true",
            p.row, text.tokenizer.token(id).value_or("")));
        return;
      }
  }
}

void check_bos_twice(const ModelText& text, std::span<const Prompt> prompts, Findings& findings) {
  const auto bos = text.tokenizer.bos_id();
  for (const Prompt& p : prompts)
    if (bos && p.ids.size() > 1 && p.ids[0] == *bos && p.ids[1] == *bos) {
      findings.push_back(
          fmt::format("the prompt of row {} begins with two {} (BOS): take it out of the data or of the "
                      "chat template",
                      p.row, text.tokenizer.token(*bos).value_or("")));
      return;
    }
}

void check_system_twice(const config::Config& c, const ModelText& text, std::span<const Prompt> prompts,
                        Findings& findings) {
  // How a system turn begins, by the model's own template.
  const std::string mark = "system-message";
  const auto turn =
      rendered(text, {{{"role", "system"}, {"content", mark}}, {{"role", "user"}, {"content", "x"}}}, true);
  std::string header = turn.substr(0, turn.find(mark) == turn.npos ? 0 : turn.find(mark));
  if (const auto bos = text.tokenizer.bos_id()) {  // a text begins once
    const std::string first(text.tokenizer.token(*bos).value_or(""));
    if (header.starts_with(first) && header.size() > first.size() + 4) header.erase(0, first.size());
  }
  for (const Prompt& p : prompts) {
    const bool by_text = !c.data.system_prompt.empty() && occurrences(p.text, trimmed(c.data.system_prompt)) > 1;
    if (by_text || (header.size() > 4 && occurrences(p.text, header) > 1)) {
      findings.push_back(fmt::format(
          "the prompt of row {} has two system prompts: {}; leave data.system_prompt empty if the data brings its own",
          p.row, shown(p.text)));
      return;
    }
  }
}

// A long label anywhere in the prompt, a short one at its end, where chance does not put it.
void check_label(std::span<const Prompt> prompts, Findings& findings) {
  constexpr std::size_t long_label = 16;
  std::size_t there = 0, asked = 0;
  const Prompt* example = nullptr;
  for (const Prompt& p : prompts) {
    const std::string_view truth = trimmed(p.ground_truth);
    if (truth.empty()) continue;
    ++asked;
    const std::string content = content_of(p);
    const std::string_view text = trimmed(content);
    const bool at_end = text.ends_with(truth) && text.size() > truth.size() &&
                        !std::isalnum(static_cast<unsigned char>(text[text.size() - truth.size() - 1]));
    if (!at_end && (truth.size() < long_label || text.find(truth) == text.npos)) continue;
    ++there;
    if (!example) example = &p;
  }
  if (there == 0 || asked < 2 || 2 * there <= asked) return;
  findings.push_back(
      fmt::format("the label is in the prompt in {} of {} rows looked at: row {} asks with its answer {}; "
                  "check data.prompt_key, data.answer_key and data.prompt_template",
                  there, asked, example->row, shown(example->ground_truth)));
}

std::string pattern_of(const config::RewardConfig& reward) {
  constexpr const char* built_in = "<think>.*?</think>\\s*<answer>.*?</answer>\\s*";  // of the plugin `format`
  const auto options = json::parse(reward.options.json, nullptr, false);
  return options.is_object() && options.contains("pattern") && options["pattern"].is_string()
             ? options["pattern"].get<std::string>()
             : built_in;
}

double unmatched_of(const config::RewardConfig& reward) {
  const auto options = json::parse(reward.options.json, nullptr, false);
  return options.is_object() && options.contains("unmatched") && options["unmatched"].is_number()
             ? options["unmatched"].get<double>()
             : 0;
}

std::string name_of(const config::RewardConfig& reward) { return reward.name.empty() ? reward.plugin : reward.name; }

// The first tag that the pattern wants, if it begins with one; else "".
std::string first_tag(std::string_view pattern) {
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view skip : {"^", "\\A", "\\s*", "\\n", "\\n*", "(?s)", "(?:", "("})
      if (pattern.starts_with(skip)) pattern.remove_prefix(skip.size()), more = true;
  }
  if (!pattern.starts_with("<")) return "";
  const auto end = pattern.find('>');
  return end == pattern.npos ? "" : std::string(pattern.substr(0, end + 1));
}

// A pattern without the backslashes before punctuation, such as \<\|im_end\|\>.
std::string unescaped(const std::string& pattern) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size() && std::ispunct(static_cast<unsigned char>(pattern[i + 1]))) ++i;
    text += pattern[i];
  }
  return text;
}

void check_patterns(const config::Config& c, const ModelText& text, std::span<const Prompt> prompts,
                    Findings& findings) {
  for (const auto& reward : c.rewards) {
    if (reward.plugin != "format" || prompts.empty()) continue;
    const std::string pattern = pattern_of(reward), tag = first_tag(pattern);
    if (const auto ids = special_ids(text, unescaped(pattern)); !ids.empty())
      findings.push_back(
          fmt::format("reward '{}': its pattern wants {}, but completions are scored without special "
                      "tokens, so none can fit; take it out of the pattern",
                      name_of(reward), text.tokenizer.token(*ids.begin()).value_or("")));
    if (!tag.empty() && trimmed(prompts.front().text).ends_with(tag))
      findings.push_back(
          fmt::format("reward '{}': its pattern begins with {}, which the prompt already ends with, so "
                      "no completion can fit; take it out of the pattern, or out of the prompt",
                      name_of(reward), tag));
  }
}

// The clips that the paper of a ratio over whole completions has.
struct SequenceClips {
  double low, high;
  const char* source;
};
SequenceClips clips_of_paper(const config::AlgorithmConfig& a) {
  const bool luspo = a.objective == "luspo";
  const auto paper = algorithm::objective_options(luspo ? "luspo" : "gspo");
  return {paper.clip_low, paper.clip_high,
          luspo ? "LUSPO, arXiv 2602.05261, section 5.1" : "GSPO, arXiv 2507.18071, section 5.1"};
}

void check_clip(const config::Config& c, Findings& findings) {
  const auto objective = objective_of(c);
  const bool of_sequences =
      objective.term == algorithm::PolicyTerm::clip && objective.ratio != algorithm::RatioLevel::token;
  if (!of_sequences || std::max(objective.clip_low, objective.clip_high) < clip_of_tokens) return;
  const auto& a = c.algorithm;
  const auto paper = clips_of_paper(a);
  findings.push_back(fmt::format(
      "{}: ratios are clipped under 1 - {} and over 1 + {}, a range for those of single tokens; with {} a ratio is the "
      "geometric mean over a whole completion, which stays far nearer to 1, so next to nothing is clipped. Set "
      "algorithm.clip_low: {} and algorithm.clip_high: {} ({})",
      c.where(objective.clip_low < clip_of_tokens ? "algorithm.clip_high" : "algorithm.clip_low"), objective.clip_low,
      objective.clip_high, a.ratio.empty() ? "algorithm.objective: " + a.objective : "algorithm.ratio: " + a.ratio,
      paper.low, paper.high, paper.source));
}

// Bounds that a sampler without fault does not lie within: then the divergence is 0.
void check_rejection(const config::Config& c, Findings& findings) {
  for (const auto& criterion : weights_of(c).rejection)
    if (criterion.lower > 0 || criterion.upper < 0)
      findings.push_back(fmt::format(
          "{}: the bounds of {}, {:.4g} to {:.4g}, leave out 1, the ratio where model and sampler agree, so that what "
          "agrees is rejected; write them as 0.5_2",
          c.where("algorithm.rollout_rejection_threshold"), criterion.mode, std::exp(criterion.lower),
          std::exp(criterion.upper)));
}

}  // namespace

Findings check_settings(const config::Config& c) {
  Findings findings;
  check_clip(c, findings);
  check_rejection(c, findings);
  return findings;
}

Findings check_prompts(const config::Config& config, const ModelText& text, std::span<const Prompt> prompts) {
  Findings findings;
  check_template_twice(text, prompts, findings);
  check_bos_twice(text, prompts, findings);
  check_system_twice(config, text, prompts, findings);
  check_label(prompts, findings);
  check_patterns(config, text, prompts, findings);
  return findings;
}

Findings check_rollout(const config::Config& config, const Rollout& rollout, const std::vector<std::string>& rewards) {
  Findings findings;
  std::vector<const Sample*> samples;
  for (const Group* group : all_groups(rollout))
    for (const Sample& s : group->samples) samples.push_back(&s);
  if (samples.size() < 2) return findings;
  const auto all = [&](const auto& holds) {
    return std::all_of(samples.begin(), samples.end(), [&](const Sample* s) { return holds(*s); });
  };
  const auto n = samples.size();
  const Sample& first = *samples.front();
  // A score that all of them have; NaN: they differ, or there is none.
  const auto common = [&](const auto& score) {
    return all([&](const Sample& s) { return score(s) == score(first); }) ? score(first) : no_value;
  };

  const bool all_cut = all([](const Sample& s) { return s.finish == GRPO_FINISH_LENGTH; });
  if (all_cut)
    findings.push_back(
        fmt::format("every one of the first {} completions was cut at sampler.max_new_tokens ({}): raise it, or see "
                    "that the prompt's form lets the model end (chat template, sampler.stop)",
                    n, config.sampler.max_new_tokens));
  if (const double reward = common([](const Sample& s) { return s.reward; }); !std::isnan(reward))
    findings.push_back(
        fmt::format("the first {} completions all have the same reward, {}: there is nothing to learn "
                    "from them. One of them: {}",
                    n, reward, shown(first.text)));
  for (std::size_t r = 0; r < rewards.size() && r < config.rewards.size(); ++r) {
    const auto& entry = config.rewards[r];
    const auto found = rollout.scores.metrics.find("rewards/" + rewards[r] + "/format");
    const bool boxed = all([](const Sample& s) { return s.text.find("\\boxed") == s.text.npos; });
    if (entry.plugin == "math" && found && *found == 0 && !all_cut)  // what was cut may have had its answer to come
      findings.push_back(fmt::format(
          "reward '{}' found no answer in any of the first {} completions{}: ask for \\boxed{{}} in the prompt "
          "(data.prompt_template, data.system_prompt), or let it take the last number (options: {{last_number: true}})",
          rewards[r], n, boxed ? "; nothing is boxed" : ""));
    const double score = common([r](const Sample& s) { return s.scores[r]; });
    if (entry.plugin == "format" && score == unmatched_of(entry))
      findings.push_back(
          fmt::format("reward '{}': its pattern {} fits none of the first {} completions. One of them: {}", rewards[r],
                      shown(pattern_of(entry)), n, shown(first.text)));
  }
  return findings;
}

Findings HealthSigns::after(std::int64_t step, const report::Metrics& m) {
  constexpr std::int64_t last = 5;
  watched_ = watched_ || step == 1;
  if (!watched_ || step > last) return {};
  ended_ = ended_ || m.get("completions/clipped_ratio") < 1;
  rewarded_ = rewarded_ || m.get("reward") != 0 || m.get("reward_std") > 0;
  moved_ = moved_ || m.get("grad_norm") != 0;
  accepted_ = accepted_ || m.get("sampling/rejection/tokens") < 1;
  Findings findings;
  if (step < last) return findings;
  if (!ended_)
    findings.push_back(
        fmt::format("in {} steps no completion has ended by itself (completions/clipped_ratio is 1): "
                    "raise sampler.max_new_tokens, or see that the model can end (docs/training.md)",
                    last));
  if (!rewarded_)
    findings.push_back(
        fmt::format("in {} steps every reward was 0: the task is too hard, the answers are not "
                    "recognised, or completions are cut before them (report.samples_every: 1 shows "
                    "some)",
                    last));
  if (!accepted_)
    findings.push_back(
        fmt::format("in {} steps algorithm.rollout_rejection took every token out of the loss: what it measured is "
                    "sampling/rejection/<mode>/min and max; raise algorithm.rollout_rejection_threshold, or see why "
                    "model and sampler disagree (sampling/logp_difference)",
                    last));
  else if (!moved_)
    findings.push_back(
        fmt::format("in {} steps grad_norm was 0: the weights have not moved. Groups whose rewards are "
                    "all equal teach nothing (frac_reward_zero_std)",
                    last));
  return findings;
}

}  // namespace grpo::train
