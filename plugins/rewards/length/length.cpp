// rewards/length: is the completion as long as asked? But for the form `cosine` it needs no ground truth, and small
// models learn it in some steps.
//
//   target    1 at `target`, less by 1 for each `tolerance` away from it, never below -1
//   short     1 up to `minimum`, 0 from `maximum` on, a straight line between
//   long      0 up to `minimum`, 1 from `maximum` on
//   overlong  0 up to `minimum`, -1 from `maximum` on: DAPO's soft penalty, minimum = maximum - buffer
//   cosine    half a cosine over the length, flat from `maximum` on: a right answer falls from max_value_correct to
//             min_value_correct, a wrong one rises from min_value_wrong to max_value_wrong (Yeo et al. 2025, arXiv
//             2502.03373, appendix C.1; TRL's and Open-R1's get_cosine_scaled_reward with max_len = maximum)
//
// length_in_group compares with the other completions of the prompt: from 0.5 for the shortest to -0.5 for the longest,
// and a wrong answer gets no more than 0; all equal, all 0 (Kimi k1.5, arXiv 2501.12599, section 2.3.3; Open-R1's
// len_reward, which compares all completions that it is called with).
#include <algorithm>
#include <cmath>
#include <grpo/kit/grading.hpp>
#include <grpo/reward.hpp>
#include <stdexcept>
#include <string>
#include <vector>

GRPO_MANIFEST({
  "name": "reward_length", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "length", "options": {
    "form": {"type": "string", "default": "target", "enum": ["target", "short", "long", "overlong", "cosine"],
      "description": "target: near a length; short, long: a line from minimum to maximum; overlong: a penalty up to -1; cosine: short where right, long where wrong"},
    "unit": {"type": "string", "default": "tokens", "enum": ["tokens", "characters", "words"],
      "description": "what is counted; characters are Unicode code points, words are parted by white space"},
    "target": {"type": "number", "default": 32, "minimum": 0, "description": "form target: the length that scores 1"},
    "tolerance": {"type": "number", "default": 0, "minimum": 0,
      "description": "form target: the distance that scores 0; 0 means as large as target"},
    "minimum": {"type": "number", "default": 0, "minimum": 0, "description": "other forms: where the line starts"},
    "maximum": {"type": "number", "default": 64, "minimum": 0, "description": "other forms: where the line or the cosine ends"},
    "max_value_correct": {"type": "number", "default": 1, "description": "form cosine: a right answer of length 0"},
    "min_value_correct": {"type": "number", "default": 0.5, "description": "form cosine: a right answer at maximum and beyond"},
    "min_value_wrong": {"type": "number", "default": -1, "description": "form cosine: a wrong or missing answer of length 0"},
    "max_value_wrong": {"type": "number", "default": -0.5, "description": "form cosine: a wrong or missing answer at maximum and beyond"}}},
    {"interface": "grpo.reward/1", "name": "length_in_group", "options": {
      "unit": {"type": "string", "default": "tokens", "enum": ["tokens", "characters", "words"],
        "description": "what is counted; characters are Unicode code points, words are parted by white space"}}}]
});

namespace {

double count(const grpo::sample& s, const std::string& unit) {
  if (unit == "tokens") return static_cast<double>(s.num_tokens());
  std::size_t characters = 0, words = 0;
  bool inside = false;
  for (char c : s.completion()) {
    characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    words += !space && !inside;
    inside = !space;
  }
  return static_cast<double>(unit == "words" ? words : characters);
}

bool is_right(const grpo::sample& s, const std::string& gold) {
  const auto answer = grpo::kit::extract_answer(s.completion());
  const bool right = answer && grpo::kit::answers_equal(gold, *answer);
  s.component("accuracy", right ? 1 : 0);
  return right;
}

struct length {
  explicit length(grpo::options o)
      : form(o.text("form", "target", {"target", "short", "long", "overlong", "cosine"})),
        unit(o.text("unit", "tokens", {"tokens", "characters", "words"})),
        target(o.number("target", 32)),
        tolerance(o.number("tolerance", 0)),
        minimum(o.number("minimum", 0)),
        maximum(o.number("maximum", 64)),
        max_value_correct(o.number("max_value_correct", 1)),
        min_value_correct(o.number("min_value_correct", 0.5)),
        min_value_wrong(o.number("min_value_wrong", -1)),
        max_value_wrong(o.number("max_value_wrong", -0.5)) {
    if (tolerance == 0) tolerance = std::max(target, 1.0);
    if (form == "cosine") {
      if (!(maximum > 0)) throw std::invalid_argument("option maximum must be above 0: the cosine ends there");
    } else if (form != "target" && !(minimum < maximum)) {
      throw std::invalid_argument("option minimum (" + std::to_string(minimum) + ") must be below maximum (" +
                                  std::to_string(maximum) + ")");
    }
  }

  grpo::score operator()(const grpo::sample& s) const {
    const double n = count(s, unit);
    s.component(unit.c_str(), n);
    if (form == "cosine") return cosine(s, n);
    if (form == "target") return std::max(-1.0, 1 - std::abs(n - target) / tolerance);
    const double line = std::clamp((n - minimum) / (maximum - minimum), 0.0, 1.0);
    return form == "short" ? 1 - line : form == "long" ? line : -line;
  }

  grpo::score cosine(const grpo::sample& s, double n) const {
    const std::string gold = grpo::kit::extract_gold(s.truth());
    if (gold.empty()) return grpo::not_applicable;
    const bool right = is_right(s, gold);
    const double at_zero = right ? max_value_correct : min_value_wrong;
    const double at_end = right ? min_value_correct : max_value_wrong;
    constexpr double pi = 3.14159265358979323846;
    return at_end + 0.5 * (at_zero - at_end) * (1 + std::cos(std::min(n / maximum, 1.0) * pi));
  }

  std::string form, unit;
  double target, tolerance, minimum, maximum;
  double max_value_correct, min_value_correct, min_value_wrong, max_value_wrong;
};

struct length_in_group {
  explicit length_in_group(grpo::options o) : unit(o.text("unit", "tokens", {"tokens", "characters", "words"})) {}

  void operator()(const grpo::group& g) const {
    const std::string gold = grpo::kit::extract_gold(g[0].truth());
    std::vector<double> lengths;
    for (std::size_t i = 0; i < g.size(); ++i) {
      lengths.push_back(count(g[i], unit));
      g[i].component(unit.c_str(), lengths.back());
    }
    const auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (gold.empty())
        g.set(i, grpo::not_applicable);
      else
        g.set(i, score(lengths[i], *shortest, *longest, is_right(g[i], gold)));
    }
  }

  static double score(double n, double shortest, double longest, bool right) {
    if (shortest == longest) return 0;
    const double ours = 0.5 - (n - shortest) / (longest - shortest);
    return right ? ours : std::min(0.0, ours);
  }

  std::string unit;
};

template <class Reward>
constexpr grpo_component component(const char* name) {
  return {sizeof(grpo_component), 0, GRPO_REWARD_ID, name, &grpo::reward_table<Reward>::table};
}
constexpr grpo_component components[] = {component<length>("length"), component<length_in_group>("length_in_group")};
const grpo_component* const list[] = {&components[0], &components[1]};

}  // namespace

GRPO_PLUGIN(list);
