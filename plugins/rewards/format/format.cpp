// rewards/format: does the completion match a pattern?
//
// PCRE2 syntax. A pattern that backtracks without end stops at a limit that grows with the completion, and is an error
// of that sample. A pattern that does not compile is refused when the reward opens, with the place.
#include <pcre2.h>

#include <grpo/reward.hpp>
#include <memory>
#include <stdexcept>
#include <string>

GRPO_MANIFEST({
  "name": "reward_format", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "format", "options": {
    "pattern": {"type": "string", "default": "<think>.*?</think>\\s*<answer>.*?</answer>\\s*",
      "description": "PCRE2 pattern"},
    "match": {"type": "string", "default": "full", "enum": ["full", "search"],
      "description": "full: from the first character to the last; search: anywhere"},
    "flags": {"type": "string", "default": "s",
      "description": "letters: s a dot matches a new line, i any case, m ^ and $ at lines, x spaces in the pattern do not count"},
    "matched": {"type": "number", "default": 1, "description": "score of a completion that matches"},
    "unmatched": {"type": "number", "default": 0, "description": "score of one that does not"}}}]
});

namespace {

std::string text_of(int code) {
  PCRE2_UCHAR text[160];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

struct format {
  explicit format(grpo::options o) : matched(o.number("matched", 1)), unmatched(o.number("unmatched", 0)) {
    const std::string pattern(o.text("pattern", "<think>.*?</think>\\s*<answer>.*?</answer>\\s*"));
    const std::string_view match = o.text("match", "full", {"full", "search"});
    // The text is UTF-8 by contract; what is not is skipped over, not refused.
    std::uint32_t bits = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
    if (match == "full") bits |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    for (char flag : o.text("flags", "s")) bits |= bit(flag);
    code = compile(pattern, bits);
    // The limit on steps holds for one beginning of a match, and a completion has as many beginnings as letters. So the
    // search is made part of the pattern, whose beginning is the completion's. Verbs, (*...), stand first or nowhere.
    if (match == "search" && !pattern.starts_with("(*"))
      code = compile("(?s:.*?)(?:" + pattern + (bits & PCRE2_EXTENDED ? "\n)" : ")"), bits | PCRE2_ANCHORED);
  }

  grpo::score operator()(const grpo::sample& s) const {
    const std::string_view text = s.completion();
    const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> limits(
        pcre2_match_context_create(nullptr), pcre2_match_context_free);
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> groups(pcre2_match_data_create(1, nullptr),
                                                                                pcre2_match_data_free);
    if (!limits || !groups) throw std::bad_alloc();
    // Some steps for every byte, and enough for patterns that try a few ways: at most about a second.
    pcre2_set_match_limit(limits.get(),
                          static_cast<std::uint32_t>(1'000'000 + 20 * std::min<std::size_t>(text.size(), 1u << 22)));
    pcre2_set_heap_limit(limits.get(), 256 * 1024);  // KiB
    const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0,
                                  groups.get(), limits.get());
    if (found < 0 && found != PCRE2_ERROR_NOMATCH)
      throw std::runtime_error("the pattern cannot be matched: " + text_of(found) + "; make it try fewer ways");
    return found >= 0 ? matched : unmatched;
  }

  using Code = std::unique_ptr<pcre2_code, void (*)(pcre2_code*)>;

  static Code compile(const std::string& pattern, std::uint32_t bits) {
    int error = 0;
    PCRE2_SIZE at = 0;
    Code compiled(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), bits, &error, &at, nullptr),
        pcre2_code_free);
    if (!compiled)
      throw std::invalid_argument("option pattern does not compile at offset " + std::to_string(at) + ", `" +
                                  pattern.substr(std::min<std::size_t>(at, pattern.size()), 20) +
                                  "`: " + text_of(error));
    return compiled;
  }

  static std::uint32_t bit(char flag) {
    switch (flag) {
      case 's':
        return PCRE2_DOTALL;
      case 'i':
        return PCRE2_CASELESS;
      case 'm':
        return PCRE2_MULTILINE;
      case 'x':
        return PCRE2_EXTENDED;
      default:
        throw std::invalid_argument(std::string("option flags has `") + flag + "`: letters of s, i, m, x");
    }
  }

  double matched, unmatched;
  Code code{nullptr, pcre2_code_free};
};

}  // namespace

GRPO_REWARD(format, "format");
