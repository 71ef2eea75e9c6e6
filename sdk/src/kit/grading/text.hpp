// text.hpp: what the grader's files share about bytes and text.
#ifndef GRPO_KIT_GRADING_TEXT_HPP
#define GRPO_KIT_GRADING_TEXT_HPP

#include <string>
#include <string_view>

namespace grpo::kit::grading {

// ASCII only, whatever the locale says.
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

inline std::string_view trimmed(std::string_view s) {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}
inline bool starts_with_ignoring_case(std::string_view s, std::string_view lower_case_start) {
  if (s.size() < lower_case_start.size()) return false;
  for (std::size_t i = 0; i < lower_case_start.size(); ++i)
    if (lower(s[i]) != lower_case_start[i]) return false;
  return true;
}

// One spelling of an answer, still LaTeX: commands that only lay out are gone, \dfrac is \frac, \text{cm} is " cm ",
// Unicode signs are their ASCII or LaTeX form, \% is %, currency and degree signs and a trailing period are gone.
std::string clean(std::string_view answer);

// A cleaned answer without its unit: "5 cm^2" -> "5", "9 (apples)" -> "9". The same text when there is none.
std::string without_unit(const std::string& cleaned);

}  // namespace grpo::kit::grading

#endif
