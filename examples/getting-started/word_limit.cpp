// word_limit: 1 up to as many words as the row's column max_words says; each word more costs `slope`.
#include <algorithm>
#include <cmath>
#include <grpo/reward.hpp>
#include <sstream>
#include <string>

GRPO_MANIFEST({
  "name": "word_limit", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "word_limit", "options": {
    "slope": {"type": "number", "default": 0.05, "minimum": 0, "description": "what a word too many costs"}}}]
});

struct word_limit {
  double slope;
  explicit word_limit(grpo::options o) : slope(o.number("slope", 0.05)) {}

  grpo::score operator()(const grpo::sample& s) const {
    const double limit = s.number("max_words");
    if (std::isnan(limit)) return grpo::not_applicable;
    std::istringstream text{std::string(s.completion())};
    double words = 0;
    for (std::string word; text >> word;) ++words;
    s.component("words", words);
    return words == 0 ? 0 : std::max(0.0, 1 - slope * std::max(0.0, words - limit));
  }
};
GRPO_REWARD(word_limit, "word_limit");
