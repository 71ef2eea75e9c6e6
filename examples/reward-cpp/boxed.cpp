// boxed: 1 for the ground truth in the last \boxed{}, `wrong` for another answer, `missing` for none.
#include <grpo/reward.hpp>

GRPO_MANIFEST({
  "name": "boxed", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "boxed", "options": {
    "wrong": {"type": "number", "default": -0.5}, "missing": {"type": "number", "default": -1}}}]
});

struct boxed {
  double wrong, missing;
  explicit boxed(grpo::options o) : wrong(o.number("wrong", -0.5)), missing(o.number("missing", -1)) {}

  grpo::score operator()(const grpo::sample& s) const {
    if (s.truth().empty()) return grpo::not_applicable;
    const auto text = s.completion();
    const auto at = text.rfind("\\boxed{");
    s.component("format", at != text.npos);
    if (at == text.npos) return missing;
    const auto answer = text.substr(at + 7);
    return answer.substr(0, answer.find('}')) == s.truth() ? 1.0 : wrong;
  }
};
GRPO_REWARD(boxed, "boxed");
