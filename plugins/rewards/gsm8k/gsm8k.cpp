// rewards/gsm8k: the five rewards with which TRL's users train on GSM8K, one component each, so that a run lists,
// weighs and plots them apart.
//
//   gsm8k_correctness    2 for the gold answer in <answer>...</answer>; the gold stands behind ####
//   gsm8k_integer        0.5 when the answer is digits and nothing else
//   gsm8k_strict_format  0.5 for <reasoning>, its text, </reasoning>, <answer>, its text, </answer>, each on its lines
//   gsm8k_soft_format    0.5 for both elements at the start, whatever the white space
//   gsm8k_xml_count      0.125 for each tag that is there once, less a thousandth for a character behind the end
//
// The numbers are those of the Python recipe, oddities included (white space as str.strip sees it, a tag count that may
// be negative): tests/golden/make/rewards.py states it again, and the scores are compared to the last bit.
#include <array>
#include <cstddef>
#include <grpo/kit/grading.hpp>
#include <grpo/reward.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

GRPO_MANIFEST({
  "name": "reward_gsm8k", "version": "0.1.0", "licence": "MIT",
  "components": [
    {"interface": "grpo.reward/1", "name": "gsm8k_correctness", "options": {
      "correct": {"type": "number", "default": 2, "description": "score of a right answer"},
      "wrong": {"type": "number", "default": 0, "description": "score of a wrong or a missing one"},
      "compare": {"type": "string", "default": "text", "enum": ["text", "math"],
        "description": "text: the same characters, as the recipe; math: as the reward math does, so 18.00 and a boxed 18 are 18"},
      "answer_tag": {"type": "string", "default": "answer", "description": "name of the element with the answer"}}},
    {"interface": "grpo.reward/1", "name": "gsm8k_integer", "options": {
      "score": {"type": "number", "default": 0.5, "description": "score of an answer of digits alone; others get 0"},
      "answer_tag": {"type": "string", "default": "answer", "description": "name of the element with the answer"}}},
    {"interface": "grpo.reward/1", "name": "gsm8k_strict_format", "options": {
      "score": {"type": "number", "default": 0.5, "description": "score of a completion that has the form; others get 0"},
      "dotall": {"type": "boolean", "default": true,
        "description": "the texts may have several lines; false: one line each, as the recipe's first edition"},
      "reasoning_tag": {"type": "string", "default": "reasoning", "description": "name of the first element"},
      "answer_tag": {"type": "string", "default": "answer", "description": "name of the second element"}}},
    {"interface": "grpo.reward/1", "name": "gsm8k_soft_format", "options": {
      "score": {"type": "number", "default": 0.5, "description": "score of a completion that has the form; others get 0"},
      "dotall": {"type": "boolean", "default": true,
        "description": "the texts may have several lines; false: one line each, as the recipe's first edition"},
      "reasoning_tag": {"type": "string", "default": "reasoning", "description": "name of the first element"},
      "answer_tag": {"type": "string", "default": "answer", "description": "name of the second element"}}},
    {"interface": "grpo.reward/1", "name": "gsm8k_xml_count", "options": {
      "tag_score": {"type": "number", "default": 0.125, "description": "for each of the four tags that is there exactly once"},
      "trailing_penalty": {"type": "number", "default": 0.001, "minimum": 0,
        "description": "taken off, twice, for each character behind the last closing tag"},
      "reasoning_tag": {"type": "string", "default": "reasoning", "description": "name of the first element"},
      "answer_tag": {"type": "string", "default": "answer", "description": "name of the second element"}}}]
});

namespace {

using std::string_view;
constexpr std::size_t none = string_view::npos;

// The bytes of the white space at the start of s, as Python's str.strip and \s see it; 0 when there is none.
std::size_t space_at(string_view s) {
  if (s.empty()) return 0;
  const auto c = static_cast<unsigned char>(s[0]);
  if (c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f)) return 1;
  for (string_view two : {"\u0085", "\u00a0"})
    if (s.substr(0, 2) == two) return 2;
  for (string_view three : {"\u1680", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"})
    if (s.substr(0, 3) == three) return 3;
  const bool en_quad_to_hair_space = s.size() >= 3 && s.substr(0, 2) == "\xe2\x80" &&
                                     static_cast<unsigned char>(s[2]) >= 0x80 &&
                                     static_cast<unsigned char>(s[2]) <= 0x8a;
  return en_quad_to_hair_space ? 3 : 0;
}

string_view stripped(string_view s) {
  while (const std::size_t n = space_at(s)) s.remove_prefix(n);
  for (bool again = true; again && !s.empty();) {
    again = false;
    for (std::size_t n = 1; n <= 3 && n <= s.size() && !again; ++n)
      if (space_at(s.substr(s.size() - n)) == n) {
        s.remove_suffix(n);
        again = true;
      }
  }
  return s;
}

string_view after_last(string_view s, string_view mark) {
  const std::size_t at = s.rfind(mark);
  return at == none ? s : s.substr(at + mark.size());
}

// <name>, </name>
struct element {
  element(grpo::options o, const char* option, const char* otherwise) {
    const std::string name(o.text(option, otherwise));
    if (name.empty() || name.find_first_of("<>/ \n") != none)
      throw std::invalid_argument(std::string("option ") + option + " takes a name without brackets, like " +
                                  otherwise);
    open = "<" + name + ">";
    close = "</" + name + ">";
  }
  // The text of the last such element; the whole completion where there is none.
  string_view text_of(string_view completion) const {
    const string_view rest = after_last(completion, open);
    return stripped(rest.substr(0, rest.find(close)));
  }
  std::string open, close;
};

struct correctness {
  explicit correctness(grpo::options o)
      : correct(o.number("correct", 2)),
        wrong(o.number("wrong", 0)),
        by_math(o.text("compare", "text", {"text", "math"}) == "math"),
        answer(o, "answer_tag", "answer") {}

  grpo::score operator()(const grpo::sample& s) const {
    const std::string gold = gold_of(s.truth());
    if (gold.empty()) return grpo::not_applicable;
    const string_view given = answer.text_of(s.completion());
    return (by_math ? same_value(gold, given) : gold == given) ? correct : wrong;
  }

  // What stands behind the first ####, without thousands separators and dollar signs.
  static std::string gold_of(string_view truth) {
    const std::size_t at = truth.find("####");
    string_view line = at == none ? truth : truth.substr(at + 4);
    line = stripped(line.substr(0, line.find("####")));
    std::string gold;
    for (char c : line)
      if (c != ',' && c != '$') gold += c;
    return gold;
  }
  static bool same_value(const std::string& gold, string_view given) {
    const auto inside = grpo::kit::extract_answer(given);
    return grpo::kit::answers_equal(gold, inside ? string_view(*inside) : given);
  }

  double correct, wrong;
  bool by_math;
  element answer;
};

struct integer {
  explicit integer(grpo::options o) : score(o.number("score", 0.5)), answer(o, "answer_tag", "answer") {}

  grpo::score operator()(const grpo::sample& s) const {
    const string_view given = answer.text_of(s.completion());
    const bool digits = !given.empty() && given.find_first_not_of("0123456789") == none;
    return digits ? score : 0.0;
  }

  double score;
  element answer;
};

// What both forms share: a completion that matches gets the score.
struct form {
  explicit form(grpo::options o)
      : score(o.number("score", 0.5)),
        dotall(o.boolean("dotall", true)),
        reasoning(o, "reasoning_tag", "reasoning"),
        answer(o, "answer_tag", "answer") {}
  double score;
  bool dotall;
  element reasoning, answer;
};

// ^<reasoning>\n.*?\n</reasoning>\n<answer>\n.*?\n</answer>\n$
struct strict_format : form {
  explicit strict_format(grpo::options o)
      : form(o),
        head(reasoning.open + "\n"),
        middle("\n" + reasoning.close + "\n" + answer.open + "\n"),
        tail("\n" + answer.close + "\n") {}

  grpo::score operator()(const grpo::sample& s) const { return matches(s.completion()) ? score : 0.0; }

  bool matches(string_view text) const {
    if (text.size() > tail.size() && text.substr(text.size() - 2) == "\n\n") text.remove_suffix(1);  // $ allows one
    if (text.substr(0, head.size()) != head) return false;
    text.remove_prefix(head.size());
    const std::size_t at = text.find(middle);
    if (at == none) return false;
    string_view inside = text.substr(at + middle.size());
    if (inside.size() < tail.size() || inside.substr(inside.size() - tail.size()) != tail) return false;
    inside.remove_suffix(tail.size());
    return dotall || (text.find('\n') == at && inside.find('\n') == none);
  }

  std::string head, middle, tail;
};

// <reasoning>.*?</reasoning>\s*<answer>.*?</answer>, from the first character on
struct soft_format : form {
  using form::form;

  grpo::score operator()(const grpo::sample& s) const { return matches(s.completion()) ? score : 0.0; }

  // Every position only moves on, so work is linear whatever is repeated.
  bool matches(string_view text) const {
    if (text.substr(0, reasoning.open.size()) != reasoning.open) return false;
    const std::size_t first_line = dotall ? text.size() : std::min(text.find('\n'), text.size());
    std::size_t close = 0, line = 0;
    for (std::size_t at = reasoning.open.size(); (at = text.find(reasoning.close, at)) != none && at < first_line;) {
      at += reasoning.close.size();
      std::size_t inside = at;
      while (const std::size_t n = space_at(text.substr(inside))) inside += n;
      if (text.substr(inside, answer.open.size()) != answer.open) continue;
      inside += answer.open.size();
      if (close < inside) close = text.find(answer.close, inside);
      if (close == none) return false;
      if (line < inside) line = dotall ? text.size() : std::min(text.find('\n', inside), text.size());
      if (close < line) return true;
    }
    return false;
  }
};

// Four tags with the line breaks around them. The closing one is counted without the last line break, so that its
// trailing text may be missing; the two penalties are for the text behind it, once with and once without that break.
struct xml_count {
  explicit xml_count(grpo::options o)
      : tag_score(o.number("tag_score", 0.125)), trailing_penalty(o.number("trailing_penalty", 0.001)) {
    const element reasoning(o, "reasoning_tag", "reasoning"), answer(o, "answer_tag", "answer");
    marks = {reasoning.open + "\n", "\n" + reasoning.close + "\n", "\n" + answer.open + "\n", "\n" + answer.close};
    end = marks[3] + "\n";
  }

  grpo::score operator()(const grpo::sample& s) const {
    const string_view text = s.completion();
    double sum = 0;
    int once = 0;
    for (std::size_t i = 0; i < marks.size(); ++i) {
      if (count(text, marks[i]).n != 1) continue;
      ++once;
      sum += tag_score;
      if (i == 2) sum -= static_cast<double>(characters(count(text, end).rest)) * trailing_penalty;
      if (i == 3) sum -= (static_cast<double>(characters(count(text, marks[3]).rest)) - 1) * trailing_penalty;
    }
    s.component("tags", once);
    return sum;
  }

  // As Python's count and split see it: from the left, without overlap.
  struct counted {
    std::size_t n;
    string_view rest;  // what follows the last one; all where there is none
  };
  static counted count(string_view text, string_view mark) {
    counted c{0, text};
    for (std::size_t at; (at = c.rest.find(mark)) != none; ++c.n) c.rest.remove_prefix(at + mark.size());
    return c;
  }
  static std::size_t characters(string_view s) {
    std::size_t n = 0;
    for (char c : s) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return n;
  }

  double tag_score, trailing_penalty;
  std::array<std::string, 4> marks;
  std::string end;
};

template <class Reward>
constexpr grpo_component component(const char* name) {
  return {sizeof(grpo_component), 0, GRPO_REWARD_ID, name, &grpo::reward_table<Reward>::table};
}
constexpr grpo_component components[] = {
    component<correctness>("gsm8k_correctness"), component<integer>("gsm8k_integer"),
    component<strict_format>("gsm8k_strict_format"), component<soft_format>("gsm8k_soft_format"),
    component<xml_count>("gsm8k_xml_count")};
const grpo_component* const list[] = {&components[0], &components[1], &components[2], &components[3], &components[4]};

}  // namespace

GRPO_PLUGIN(list);
