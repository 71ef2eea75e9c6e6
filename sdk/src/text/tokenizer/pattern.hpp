// pattern.hpp: what a tokenizer searches for: a plain string, or a regular expression in Oniguruma's syntax.
#ifndef GRPO_SRC_TEXT_TOKENIZER_PATTERN_HPP
#define GRPO_SRC_TEXT_TOKENIZER_PATTERN_HPP

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "field.hpp"

struct pcre2_real_code_8;

namespace grpo::text {

struct Match {
  std::size_t begin, end;  // bytes
};

// An expression of Oniguruma (Ruby syntax, UTF-8) compiled by PCRE2. Where the two differ, the expression is rewritten;
// where that is not possible the constructor throws std::invalid_argument with the reason.
// find() may be called from any thread.
class Regex {
 public:
  explicit Regex(std::string_view expression);

  // The first match at or behind `from` in valid UTF-8; all of `text` is visible to assertions.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  std::shared_ptr<pcre2_real_code_8> code_;
  bool jit_ = false;
};

// PCRE2's spelling of an Oniguruma expression; throws std::invalid_argument. Exposed for its tests.
std::string to_pcre2(std::string_view expression);

class Pattern {
 public:
  // From {"String": "..."} or {"Regex": "..."}.
  static Pattern read(const Field& field);
  explicit Pattern(std::string literal) : what_(std::move(literal)) {}
  explicit Pattern(Regex regex) : what_(std::move(regex)) {}

  // Calls use(begin, end, is_match) for the matches and for what lies between them, in order; together they cover
  // `text`.
  template <class Use>
  void for_each(std::string_view text, Use&& use) const {
    std::size_t covered = 0, from = 0;
    std::optional<std::size_t> last_end;
    while (from <= text.size()) {
      const std::optional<Match> match = find(text, from);
      if (!match) break;
      if (match->begin == match->end && last_end == match->end) {  // an empty match directly behind the last one
        from = behind_character(text, match->end);
        continue;
      }
      if (covered != match->begin) use(covered, match->begin, false);
      use(match->begin, match->end, true);
      covered = from = match->end;
      last_end = match->end;
    }
    if (covered != text.size()) use(covered, text.size(), false);
  }

  std::string replace_all(std::string_view text, std::string_view content) const;

 private:
  std::optional<Match> find(std::string_view text, std::size_t from) const;
  static std::size_t behind_character(std::string_view text, std::size_t position);

  std::variant<std::string, Regex> what_;
};

}  // namespace grpo::text

#endif
