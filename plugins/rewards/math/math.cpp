// rewards/math: is the final answer of a completion right?
//
// The answer is found and compared by the grading kit. simpleRL's reward is correct 1, wrong -0.5, missing -1,
// boxed_only true. Components: format (an answer was found), accuracy (it is right).
#include <grpo/kit/grading.hpp>
#include <grpo/reward.hpp>
#include <stdexcept>
#include <string>

GRPO_MANIFEST({
  "name": "reward_math", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "math", "options": {
    "correct": {"type": "number", "default": 1, "description": "score of a right answer"},
    "wrong": {"type": "number", "default": 0, "description": "score of a wrong answer"},
    "missing": {"type": "number", "default": 0, "description": "score where no answer is found"},
    "boxed_only": {"type": "boolean", "default": false,
      "description": "only a LaTeX box holds an answer; otherwise also an answer tag, four hashes, and: the answer is"},
    "last_number": {"type": "boolean", "default": false,
      "description": "where nothing else is found, the last number of the completion is its answer"},
    "gold": {"type": "string", "default": "auto", "enum": ["auto", "raw"],
      "description": "auto takes the answer out of a worked solution (GSM8K, MATH); raw takes the ground truth as it is"}}}]
});

namespace {

struct math {
  explicit math(grpo::options o)
      : correct(o.number("correct", 1)), wrong(o.number("wrong", 0)), missing(o.number("missing", 0)) {
    find.boxed_only = o.boolean("boxed_only", false);
    find.last_number = o.boolean("last_number", false);
    raw = o.text("gold", "auto", {"auto", "raw"}) == "raw";
    if (find.boxed_only && find.last_number)
      throw std::invalid_argument("options boxed_only and last_number contradict each other: leave one out");
  }

  grpo::score operator()(const grpo::sample& s) const {
    const std::string gold = raw ? std::string(s.truth()) : grpo::kit::extract_gold(s.truth());
    if (gold.empty()) return grpo::not_applicable;
    const auto answer = grpo::kit::extract_answer(s.completion(), find);
    const bool right = answer && grpo::kit::answers_equal(gold, *answer);
    s.component("format", answer ? 1 : 0);
    s.component("accuracy", right ? 1 : 0);
    return right ? correct : answer ? wrong : missing;
  }

  double correct, wrong, missing;
  bool raw = false;
  grpo::kit::ExtractOptions find;
};

}  // namespace

GRPO_REWARD(math, "math");
