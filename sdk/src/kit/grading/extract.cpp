// Finding the answer in a completion.
#include <algorithm>
#include <grpo/kit/grading.hpp>
#include <vector>

#include "text.hpp"

namespace grpo::kit {
namespace grading {
namespace {

constexpr std::size_t none = std::string_view::npos;

struct Span {
  std::size_t start = none, end = none;  // of the answer itself
  bool found() const { return start != none; }
};

// The answer of `\boxed 5`: one LaTeX word, its groups kept whole.
Span unbraced(std::string_view s, std::size_t at) {
  constexpr std::size_t longest = 200;  // it starts anew at every \boxed: this keeps the walk linear
  while (at < s.size() && s[at] == ' ') ++at;
  s = s.substr(0, at + longest);
  std::size_t end = at;
  int depth = 0;
  for (; end < s.size(); ++end) {
    const char c = s[end];
    if (c == '{') ++depth;
    if (c == '}' && --depth < 0) break;
    if (depth == 0 && (is_space(c) || c == '$' ||
                       (c == '\\' && end > at && s[end - 1] != '{' && end + 1 < s.size() && !is_letter(s[end + 1]))))
      break;
  }
  if (depth > 0) return {};
  while (end > at && std::string_view(".,;").find(s[end - 1]) != none) --end;
  return end > at ? Span{at, end} : Span{};
}

// Whether two boxes with this between them give one answer: "$ and $x = ", ", ".
bool joins(std::string_view between) {
  constexpr std::size_t longest = 24;
  if (between.size() > longest) return false;
  bool word = false, comma = false;
  for (std::size_t i = 0; i < between.size();) {
    const char c = between[i];
    std::size_t end = i;
    while (end < between.size() && is_letter(between[end])) ++end;
    const std::string_view letters = between.substr(i, end - i);
    if (letters == "and" || letters == "or") {
      word = true;
    } else if (letters.size() > 1) {
      return false;
    } else if (c == ',') {
      comma = true;
    } else if (letters.empty() && c != ' ' && c != '$' && c != '=' && c != '}') {
      return false;
    }
    i = std::max(end, i + 1);
  }
  return word || comma;
}

// The complete \boxed or \fbox that starts last, and before it those that belong to the same answer. One walk with a
// stack of braces: linear whatever is left open.
struct Boxes {
  Span last;
  std::string text;  // of all of them, separated by commas
  bool found() const { return last.found(); }
};
Boxes last_boxed(std::string_view s) {
  struct Open {
    bool box;
    std::size_t start, command;  // of its inside, of its \boxed
  };
  std::vector<Open> open;
  constexpr std::size_t most = 16;  // boxes of one answer
  std::vector<Span> joined;         // the last box, and those before it that it continues
  Span last;
  std::size_t last_end = 0, box_start = 0;  // behind the last box; before the one that is being added
  const auto add = [&](Span box) {
    const bool continues = last.found() && box_start >= last_end && joined.size() < most &&
                           joins(s.substr(last_end, box_start - last_end));
    if (!continues) joined.clear();
    joined.push_back(box);
    last = box;
    last_end = std::min(box.end + 1, s.size());
  };
  // Braces ahead of the first box close none.
  for (std::size_t i = std::min(s.find("\\boxed"), s.find("\\fbox")); i < s.size(); ++i) {
    if (s[i] == '{') open.push_back({false, 0, 0});
    if (s[i] == '}' && !open.empty()) {
      const Open o = open.back();
      open.pop_back();
      if (o.box && (!last.found() || o.start > last.start)) {
        box_start = o.command;
        add({o.start, i});
      }
    }
    if (s[i] != '\\') continue;
    const std::size_t size = s.substr(i, 6) == "\\boxed" ? 6 : s.substr(i, 5) == "\\fbox" ? 5 : 0;
    if (size == 0 || (i + size < s.size() && is_letter(s[i + size]))) {
      ++i;  // whatever is escaped, \{ above all
      continue;
    }
    std::size_t after = i + size;
    while (after < s.size() && is_space(s[after])) ++after;
    if (after < s.size() && s[after] == '{') {
      open.push_back({true, after + 1, i});
      i = after;
    } else if (const Span word = unbraced(s, i + size); word.found()) {
      box_start = i;
      add({word.start, word.end});
      last_end = word.end;
      i = word.end - 1;
    } else {
      i += size - 1;
    }
  }
  Boxes boxes{last, {}};
  std::vector<std::string_view> texts;
  for (const Span& box : joined) {
    const auto text = trimmed(s.substr(box.start, box.end - box.start));
    const auto same = [&](std::string_view other) { return other == text || answers_equal(other, text); };
    if (texts.empty() || std::none_of(texts.begin(), texts.end(), same)) texts.push_back(text);  // 3/2, or 1.5
  }
  for (const auto text : texts) boxes.text.append(boxes.text.empty() ? "" : ", ").append(text);
  return boxes;
}

std::size_t find_ignoring_case(std::string_view s, std::string_view lower_case, std::size_t from) {
  const auto at = std::search(s.begin() + static_cast<std::ptrdiff_t>(std::min(from, s.size())), s.end(),
                              lower_case.begin(), lower_case.end(), [](char a, char b) { return lower(a) == b; });
  return at == s.end() ? none : static_cast<std::size_t>(at - s.begin());
}

// The last <answer>...</answer>. A last one that is not closed counts: a stop text may have cut the end off.
Span last_tag(std::string_view s) {
  constexpr std::string_view open = "<answer>", close = "</answer>";
  Span last;
  for (std::size_t at = 0; (at = find_ignoring_case(s, open, at)) != none;) {
    const std::size_t start = at + open.size();
    const std::size_t next = find_ignoring_case(s, open, start);
    const std::size_t end = find_ignoring_case(s.substr(0, next), close, start);
    if (end != none) last = {start, end};
    if (end == none && next == none && !last.found()) last = {start, s.size()};
    at = start;
    if (next == none) break;
    at = next;
  }
  return last;
}

std::size_t line_end(std::string_view s, std::size_t from) { return std::min(s.find('\n', from), s.size()); }

// #### 72. Markdown has headings of this form: a number must follow, or nothing but this line.
Span last_hashes(std::string_view s) {
  for (std::size_t at = s.rfind("####"); at != none; at = at == 0 ? none : s.rfind("####", at - 1)) {
    std::size_t start = at + 4;
    if (at > 0 && s[at - 1] == '#') continue;
    const std::size_t end = line_end(s, start);
    const std::string_view line = trimmed(s.substr(start, end - start));
    if (line.empty()) continue;
    const bool number =
        is_digit(line[0]) || std::string_view("$-+.\\(").find(line[0]) != none || line.substr(0, 3) == "\u2212";
    if (!number && !trimmed(s.substr(end)).empty()) continue;
    return {start, end};
  }
  return {};
}

// To the end of the sentence, or of the line; a formula in dollars is not cut.
std::size_t sentence_end(std::string_view s, std::size_t from) {
  s = s.substr(0, line_end(s, from));
  bool formula = false;
  for (std::size_t i = from; i < s.size(); ++i) {
    if (s[i] == '$' && (i == 0 || s[i - 1] != '\\')) formula = !formula;
    // One dollar before a digit is a price: what follows is no formula unless a second one closes it on this line.
    if (formula && s[i] == '$' && s.find('$', i + 1) == none) formula = false;
    if (!formula && (s[i] == '.' || s[i] == '!' || s[i] == '?') && (i + 1 == s.size() || is_space(s[i + 1]))) return i;
  }
  return s.size();
}

Span last_phrase(std::string_view s) {
  // Longest first where one begins like another; the last in the text wins.
  constexpr std::string_view phrases[] = {
      "final answer is", "answer is", "final answer", "answer:", "answer**:", "answer :", "answer =", "answer equals"};
  std::size_t best = none, start = none;
  bool has_verb = false;
  for (std::string_view phrase : phrases) {
    for (std::size_t at = 0; (at = find_ignoring_case(s, phrase, at)) != none; at += phrase.size()) {
      const bool later = best == none || at + phrase.size() > start;
      if (later) {
        best = at;
        start = at + phrase.size();
        has_verb = phrase.ends_with("is") || phrase.ends_with("equals") || phrase.ends_with("=");
      }
    }
  }
  if (best == none) return {};
  while (start < s.size() && (std::string_view(":*= ").find(s[start]) != none || is_space(s[start]))) ++start;
  const std::size_t end = sentence_end(s, start);
  // "Final answer: the volume of $ABC$ is 120": what stands behind the verb.
  for (std::string_view verb : {" is ", " are ", " equals "}) {
    const std::size_t at = s.substr(0, end).rfind(verb);
    if (!has_verb && at != none && at >= start) start = std::max(start, at + verb.size());
  }
  return trimmed(s.substr(start, end - start)).empty() ? Span{} : Span{start, end};
}

// "$x = 5$ apples": the formula is the answer, unless the dollar is a price.
std::string_view formula_of(std::string_view s) {
  const std::size_t open = s.find('$');
  if (open == none) return s;
  const std::size_t close = s.find('$', open + 1);
  if (close == none || trimmed(s.substr(open + 1, close - open - 1)).empty()) return s;
  if (s.find('$', close + 1) != none) return s;
  return s.substr(open + 1, close - open - 1);
}

Span last_number(std::string_view s) {
  std::size_t end = s.size();
  while (end > 0 && !is_digit(s[end - 1])) --end;
  if (end == 0) return {};
  std::size_t start = end;
  const auto part_of_number = [&](std::size_t i) {
    if (is_digit(s[i])) return true;
    const bool between = i > 0 && i + 1 < s.size() && is_digit(s[i - 1]) && is_digit(s[i + 1]);
    return (between && (s[i] == ',' || s[i] == '.' || s[i] == '/')) ||
           (s[i] == '.' && i + 1 < s.size() && is_digit(s[i + 1]));
  };
  while (start > 0 && part_of_number(start - 1)) --start;
  const bool sign =
      start > 0 && s[start - 1] == '-' && (start == 1 || !(is_digit(s[start - 2]) || is_letter(s[start - 2])));
  if (sign) --start;
  if (end < s.size() && s[end] == '%') ++end;
  return {start, end};
}

std::string text_of(std::string_view s, Span span) {
  return std::string(trimmed(s.substr(span.start, span.end - span.start)));
}

std::optional<ExtractedAnswer> find_in(std::string_view s, const ExtractOptions& options) {
  const Boxes boxes = last_boxed(s);
  const Span box = boxes.last;
  const auto answer = [&](Span span, AnswerForm form) -> std::optional<ExtractedAnswer> {
    std::string text = text_of(s, span);
    if (text.empty()) return std::nullopt;
    return ExtractedAnswer{std::move(text), form};
  };
  const auto boxed = [&]() -> std::optional<ExtractedAnswer> {
    if (boxes.text.empty()) return std::nullopt;
    return ExtractedAnswer{boxes.text, AnswerForm::boxed};
  };
  if (options.boxed_only) return boxed();
  const Span tag = last_tag(s);
  if (box.found() && (!tag.found() || box.start >= tag.start)) return boxed();
  if (tag.found()) {
    // The tag may hold a sentence: "The answer is 5."
    const std::string_view inside = s.substr(tag.start, tag.end - tag.start);
    for (const Span inner : {last_hashes(inside), last_phrase(inside)})
      if (inner.found()) return ExtractedAnswer{text_of(inside, inner), AnswerForm::tag};
    return answer(tag, AnswerForm::tag);
  }
  if (const Span hashes = last_hashes(s); hashes.found()) return answer(hashes, AnswerForm::hashes);
  if (const Span phrase = last_phrase(s); phrase.found()) {
    const std::string_view inside = formula_of(s.substr(phrase.start, phrase.end - phrase.start));
    return ExtractedAnswer{std::string(trimmed(inside)), AnswerForm::phrase};
  }
  if (options.last_number)
    if (const Span number = last_number(s); number.found()) return answer(number, AnswerForm::last_number);
  return std::nullopt;
}

}  // namespace
}  // namespace grading

std::optional<ExtractedAnswer> find_answer(std::string_view completion, const ExtractOptions& options) {
  // What follows the thoughts is the answer; where nothing is found there, the whole text is asked.
  const std::size_t thoughts = completion.rfind("</think>");
  if (thoughts != std::string_view::npos)
    if (auto answer = grading::find_in(completion.substr(thoughts + 8), options)) return answer;
  return grading::find_in(completion, options);
}

std::optional<std::string> extract_answer(std::string_view completion, const ExtractOptions& options) {
  auto answer = find_answer(completion, options);
  if (!answer) return std::nullopt;
  return std::move(answer->text);
}

std::string extract_gold(std::string_view record) {
  const auto answer = grading::find_in(record, {});
  const bool strong = answer && (answer->form == AnswerForm::boxed || answer->form == AnswerForm::tag ||
                                 answer->form == AnswerForm::hashes);
  return strong ? answer->text : std::string(grading::trimmed(record));
}

}  // namespace grpo::kit
