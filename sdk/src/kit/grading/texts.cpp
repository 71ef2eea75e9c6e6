// Two answers as texts.
#include <algorithm>

#include "compare.hpp"
#include "text.hpp"

namespace grpo::kit::grading {
namespace {

// The text without "a", "an", "the" in front.
std::string_view without_article(std::string_view s) {
  for (std::string_view article : {"a ", "an ", "the "})
    if (starts_with_ignoring_case(s, article) && s.size() > article.size() + 2 && is_letter(s[article.size()]) &&
        is_letter(s[article.size() + 1]))
      return s.substr(article.size());
  return s;
}

// "(C)", "C)" and "C" choose the same.
std::string_view choice(std::string_view s) {
  if (s.size() == 3 && s[0] == '(' && s[2] == ')' && is_letter(s[1])) return s.substr(1, 1);
  if (s.size() == 2 && s[1] == ')' && is_letter(s[0])) return s.substr(0, 1);
  return s;
}
// The letter of "(C) 12" and "C. 12"; else nothing.
char chosen(std::string_view s) {
  if (s.size() < 3) return 0;
  const std::size_t at = s[0] == '(' ? 1 : 0;
  const bool marked = at ? s[2] == ')' : s[1] == ')' || s[1] == '.' || s[1] == ':';
  const std::string_view rest = trimmed(s.substr(at ? 3 : 2));
  return marked && (rest.empty() || rest[0] != ',') && s[at] >= 'A' && s[at] <= 'J' ? s[at] : '\0';
}

}  // namespace

std::string compact(std::string_view s) {
  s = without_article(s);
  std::string out;
  out.reserve(s.size());
  bool words = true;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const bool between_figures = s[i] == ' ' && i > 0 && i + 1 < s.size() && is_digit(s[i - 1]) && is_digit(s[i + 1]);
    if (s[i] == ' ' && !between_figures) continue;
    if (s[i] == '{' && i + 2 < s.size() && s[i + 2] == '}' && s[i + 1] != '\\' && (i == 0 || s[i - 1] != '\\')) {
      out += s[++i];
      ++i;
    } else {
      out += s[i];
    }
    if (!is_letter(out.back()) && std::string_view("-'().").find(out.back()) == std::string_view::npos) words = false;
  }
  if (words) std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool texts_equal(std::string_view gold, std::string_view answer) {
  const std::string a = compact(gold), b = compact(answer);
  if (a.empty()) return false;
  if (choice(a) == choice(b)) return true;
  const auto chooses = [](std::string_view one, std::string_view other) {
    const std::string_view letter = choice(trimmed(one));
    return letter.size() == 1 && is_letter(letter[0]) && chosen(trimmed(other)) == letter[0];
  };
  return chooses(gold, answer) || chooses(answer, gold);
}

std::vector<std::string> split(std::string_view s, std::string_view separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  at_top_level(s, [&](std::size_t i) -> std::size_t {
    if (s.substr(i, separator.size()) != separator) return 0;
    parts.emplace_back(trimmed(s.substr(start, i - start)));
    start = i + separator.size();
    return separator.size();
  });
  parts.emplace_back(trimmed(s.substr(start)));
  return parts;
}

}  // namespace grpo::kit::grading
