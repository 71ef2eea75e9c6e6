// rewards/length: is the completion as long as asked? It needs no ground truth, and small models learn it in some
// steps.
//
//   target    1 at `target`, less by 1 for each `tolerance` away from it, never below -1
//   short     1 up to `minimum`, 0 from `maximum` on, a straight line between
//   long      0 up to `minimum`, 1 from `maximum` on
//   overlong  0 up to `minimum`, -1 from `maximum` on: DAPO's soft penalty, minimum = maximum - buffer
#include <algorithm>
#include <cmath>
#include <grpo/reward.hpp>
#include <stdexcept>
#include <string>

GRPO_MANIFEST({
  "name": "reward_length", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "length", "options": {
    "form": {"type": "string", "default": "target", "enum": ["target", "short", "long", "overlong"],
      "description": "target: near a length; short, long: a line from minimum to maximum; overlong: a penalty up to -1"},
    "unit": {"type": "string", "default": "tokens", "enum": ["tokens", "characters", "words"],
      "description": "what is counted; characters are Unicode code points, words are parted by white space"},
    "target": {"type": "number", "default": 32, "minimum": 0, "description": "form target: the length that scores 1"},
    "tolerance": {"type": "number", "default": 0, "minimum": 0,
      "description": "form target: the distance that scores 0; 0 means as large as target"},
    "minimum": {"type": "number", "default": 0, "minimum": 0, "description": "other forms: where the line starts"},
    "maximum": {"type": "number", "default": 64, "minimum": 0, "description": "other forms: where the line ends"}}}]
});

namespace {

struct length {
  explicit length(grpo::options o)
      : form(o.text("form", "target", {"target", "short", "long", "overlong"})),
        unit(o.text("unit", "tokens", {"tokens", "characters", "words"})),
        target(o.number("target", 32)),
        tolerance(o.number("tolerance", 0)),
        minimum(o.number("minimum", 0)),
        maximum(o.number("maximum", 64)) {
    if (tolerance == 0) tolerance = std::max(target, 1.0);
    if (form != "target" && !(minimum < maximum))
      throw std::invalid_argument("option minimum (" + std::to_string(minimum) + ") must be below maximum (" +
                                  std::to_string(maximum) + ")");
  }

  grpo::score operator()(const grpo::sample& s) const {
    const double n = count(s);
    s.component(unit.c_str(), n);
    if (form == "target") return std::max(-1.0, 1 - std::abs(n - target) / tolerance);
    const double line = std::clamp((n - minimum) / (maximum - minimum), 0.0, 1.0);
    return form == "short" ? 1 - line : form == "long" ? line : -line;
  }

  double count(const grpo::sample& s) const {
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

  std::string form, unit;
  double target, tolerance, minimum, maximum;
};

}  // namespace

GRPO_REWARD(length, "length");
