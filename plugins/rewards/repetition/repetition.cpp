// rewards/repetition: a penalty for n-grams that occur again.
//
//   (1 - distinct n-grams / n-grams) * max_penalty        Yeo et al. 2025, arXiv 2502.03373, appendix C.2
//
// 0 for a completion shorter than n. Over token ids it is TRL's get_repetition_penalty_reward, over words Open-R1's.
// Work is n log n: the n-grams are ranked by doubling, never compared piece by piece.
#include <algorithm>
#include <cstdint>
#include <grpo/reward.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

GRPO_MANIFEST({
  "name": "reward_repetition", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "repetition", "options": {
    "ngram_size": {"type": "integer", "default": 3, "minimum": 1, "description": "length of the pieces that are compared"},
    "max_penalty": {"type": "number", "default": -1, "maximum": 0,
      "description": "score of a completion that only repeats itself; never above 0"},
    "unit": {"type": "string", "default": "tokens", "enum": ["tokens", "words"],
      "description": "what the pieces are made of; words are parted by white space, and case does not count in ASCII"}}}]
});

namespace {

using ranks = std::vector<std::uint32_t>;  // equal things have equal numbers

// The ranks of all pieces that are one at i and one at i + distance.
ranks joined(const ranks& first, const ranks& second, std::size_t distance) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> pieces(second.size() - distance);
  for (std::size_t i = 0; i < pieces.size(); ++i)
    pieces[i] = {std::uint64_t{first[i]} << 32 | second[i + distance], static_cast<std::uint32_t>(i)};
  std::sort(pieces.begin(), pieces.end());
  ranks out(pieces.size());
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    rank += i > 0 && pieces[i].first != pieces[i - 1].first;
    out[pieces[i].second] = rank;
  }
  return out;
}

// Pieces of length n, 1 <= n <= units.size().
ranks ngrams(const ranks& units, std::size_t n) {
  if (n == 1) return units;
  const ranks half = ngrams(units, n / 2);
  ranks even = joined(half, half, n / 2);
  return n % 2 ? joined(even, units, n - 1) : even;
}

struct repetition {
  explicit repetition(grpo::options o)
      : size(static_cast<std::size_t>(o.integer("ngram_size", 3))),
        max_penalty(o.number("max_penalty", -1)),
        by_words(o.text("unit", "tokens", {"tokens", "words"}) == "words") {}

  grpo::score operator()(const grpo::sample& s) const {
    const ranks units = by_words ? words(s.completion()) : tokens(s.ids());
    double share = 0;
    if (units.size() >= size) {
      ranks pieces = ngrams(units, size);
      std::sort(pieces.begin(), pieces.end());
      const auto distinct = std::unique(pieces.begin(), pieces.end()) - pieces.begin();
      share = 1 - static_cast<double>(distinct) / static_cast<double>(pieces.size());
    }
    s.component("repeated", share);
    return share > 0 ? share * max_penalty : 0.0;
  }

  template <class Ids>
  static ranks tokens(const Ids& ids) {
    ranks out;
    out.reserve(ids.size());
    for (const std::int32_t id : ids) out.push_back(static_cast<std::uint32_t>(id));
    return out;
  }

  static ranks words(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
    std::unordered_map<std::string_view, std::uint32_t> known;
    ranks out;
    for (std::size_t at = 0; at < lower.size();) {
      if (space(lower[at])) {
        ++at;
        continue;
      }
      std::size_t end = at;
      while (end < lower.size() && !space(lower[end])) ++end;
      const auto word = std::string_view(lower).substr(at, end - at);
      out.push_back(known.try_emplace(word, static_cast<std::uint32_t>(known.size())).first->second);
      at = end;
    }
    return out;
  }

  std::size_t size;
  double max_penalty;
  bool by_words;
};

}  // namespace

GRPO_REWARD(repetition, "repetition");
