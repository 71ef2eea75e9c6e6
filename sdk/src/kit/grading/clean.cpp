// One spelling for answers that are written in many ways.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "compare.hpp"
#include "text.hpp"

namespace grpo::kit::grading {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

// UTF-8 signs and what they become.
constexpr Pair signs[] = {
    {"\u2212", "-"},        {"\u2013", "-"},           {"\u2010", "-"},         {"\u2011", "-"},
    {"\u00d7", "*"},        {"\u00b7", "*"},           {"\u22c5", "*"},         {"\u00f7", "/"},
    {"\u2044", "/"},        {"\u03c0", "\\pi "},       {"\u221e", "\\infty "},  {"\u221a", "\\sqrt "},
    {"\u00b0", ""},         {"\u222a", "\\cup "},      {"\u2229", "\\cap "},    {"\u2264", "\\le "},
    {"\u2265", "\\ge "},    {"\u2260", "\\ne "},       {"\u00b1", "\\pm "},     {"\u00bd", " 1/2"},
    {"\u00bc", " 1/4"},     {"\u00be", " 3/4"},        {"\u2153", " 1/3"},      {"\u2154", " 2/3"},
    {"\u215b", " 1/8"},     {"\u215c", " 3/8"},        {"\u215d", " 5/8"},      {"\u215e", " 7/8"},
    {"\u2155", " 1/5"},     {"\u2156", " 2/5"},        {"\u2157", " 3/5"},      {"\u2158", " 4/5"},
    {"\u2159", " 1/6"},     {"\u215a", " 5/6"},        {"\u2248", "\\approx "}, {"\u211d", "\\mathbb{R}"},
    {"\u00a0", " "},        {"\u202f", " "},           {"\u2009", " "},         {"\u2002", " "},
    {"\u2003", " "},        {"\u3000", " "},           {"\u200b", ""},          {"\ufeff", ""},
    {"\uff0c", ","},        {"\u3002", "."},           {"\uff0e", "."},         {"\uff08", "("},
    {"\uff09", ")"},        {"\uff1d", "="},           {"\u2019", "'"},         {"\u2018", "'"},
    {"\u201c", "\""},       {"\u201d", "\""},          {"\u20ac", ""},          {"\u00a3", ""},
    {"\u00a5", ""},         {"\u2205", "\\emptyset "}, {"\u2208", "\\in "},     {"\u03b8", "\\theta "},
    {"\u03b1", "\\alpha "}, {"\u03b2", "\\beta "},
};

// Commands and what they become. What is not here stays.
constexpr Pair commands[] = {
    {"left", ""},
    {"right", ""},
    {"big", ""},
    {"Big", ""},
    {"bigg", ""},
    {"Bigg", ""},
    {"bigl", ""},
    {"bigr", ""},
    {"Bigl", ""},
    {"Bigr", ""},
    {"biggl", ""},
    {"biggr", ""},
    {"displaystyle", ""},
    {"textstyle", ""},
    {"limits", ""},
    {"quad", " "},
    {"qquad", " "},
    {"dfrac", "\\frac"},
    {"tfrac", "\\frac"},
    {"cfrac", "\\frac"},
    {"cdot", "*"},
    {"times", "*"},
    {"ast", "*"},
    {"div", "/"},
    {"leq", "\\le "},
    {"leqslant", "\\le "},
    {"geq", "\\ge "},
    {"geqslant", "\\ge "},
    {"neq", "\\ne "},
    {"lt", "<"},
    {"gt", ">"},
    {"lvert", "|"},
    {"rvert", "|"},
    {"vert", "|"},
    {"mid", "|"},
    {"langle", "("},
    {"rangle", ")"},
    {"lbrace", "\\{"},
    {"rbrace", "\\}"},
    {"lbrack", "["},
    {"rbrack", "]"},
    {"lparen", "("},
    {"rparen", ")"},
    {"percent", "%"},
    {"varnothing", "\\emptyset "},
    {"dots", "..."},
    {"ldots", "..."},
    {"cdots", "..."},
    {"binom", "\\binom"},
    {"dbinom", "\\binom"},
    {"tbinom", "\\binom"},
    {"infin", "\\infty "},
    {"pounds", ""},
    {"euro", ""},
    {"to", "\\to "},
    {"rightarrow", "\\to "},
    {"nobreak", ""},
    {"allowbreak", ""},
    {"lnot", "\\neg "},
    {"land", "\\wedge "},
    {"lor", "\\vee "},
    {"varphi", "\\phi "},
    {"varepsilon", "\\epsilon "},
    {"approx", "\\approx "},
    {"simeq", "\\approx "},
    {"reals", "\\mathbb{R}"},
    {"R", "\\mathbb{R}"},
};

// Raised and lowered figures: 10\u207b\u00b3 is 10^{-3}.
constexpr Pair superscripts[] = {{"\u2070", "0"}, {"\u00b9", "1"}, {"\u00b2", "2"}, {"\u00b3", "3"},
                                 {"\u2074", "4"}, {"\u2075", "5"}, {"\u2076", "6"}, {"\u2077", "7"},
                                 {"\u2078", "8"}, {"\u2079", "9"}, {"\u207b", "-"}, {"\u207f", "n"}};
constexpr Pair subscripts[] = {{"\u2080", "0"}, {"\u2081", "1"}, {"\u2082", "2"}, {"\u2083", "3"}, {"\u2084", "4"},
                               {"\u2085", "5"}, {"\u2086", "6"}, {"\u2087", "7"}, {"\u2088", "8"}, {"\u2089", "9"}};

// Commands whose braces hold words.
constexpr std::string_view wrappers[] = {
    "text",   "textbf", "textit", "textrm", "textnormal", "textsf", "mbox",       "mathrm",
    "mathbf", "mathit", "mathsf", "mathtt", "bm",         "hbox",   "boldsymbol", "operatorname",
    "boxed",  "fbox",   "texttt", "rm",     "bf",         "it"};

// The end of the group that opens at `at`, or npos.
std::size_t group_end(std::string_view s, std::size_t at) {
  int depth = 0;
  for (std::size_t i = at; i < s.size(); ++i) {
    if (s[i] == '\\') {
      ++i;
    } else if (s[i] == '{') {
      ++depth;
    } else if (s[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

// Walks the text once. A wrapper's braces become spaces: their ends are kept on a stack, so nesting costs nothing more.
class Cleaner {
 public:
  explicit Cleaner(std::string_view s) : s_(s) {}

  std::string run() {
    out_.reserve(s_.size() + 8);
    while (at_ < s_.size()) step();
    return std::move(out_);
  }

 private:
  void step() {
    const char c = s_[at_];
    if (c == '\\') return command();
    if (c == '{') return open();
    if (c == '}') return close();
    if (static_cast<unsigned char>(c) >= 0x80) return sign();
    ++at_;
    if (c == '$') return;
    if (c == '^' && skip_degree()) return degree();
    if (c == '*' && at_ < s_.size() && s_[at_] == '*') {
      ++at_;
      out_ += '^';
    } else {
      out_ += c == '~' || c == '\0' || is_space(c) ? ' ' : c;
    }
  }

  bool has_rows() {
    if (!rows_) rows_ = s_.find("\\begin") != s_.npos;
    return *rows_;
  }

  void degree() {
    for (std::string_view function : {"\\sin", "\\cos", "\\tan", "\\cot"}) {
      if (s_.find(function) == s_.npos) continue;
      out_ += "\\degree ";  // 60 degrees are not 60
      return;
    }
  }

  void sign() {
    if (s_.substr(at_, 2) == "\u00b0") {
      at_ += 2;
      return degree();
    }
    if (run_of(superscripts, '^') || run_of(subscripts, '_')) return;
    for (const auto& [from, to] : signs) {
      if (s_.substr(at_, from.size()) == from) {
        out_ += to;
        at_ += from.size();
        return;
      }
    }
    out_ += s_[at_++];
  }

  template <std::size_t n>
  bool run_of(const Pair (&figures)[n], char command) {
    std::string run;
    for (bool again = true; again;) {
      again = false;
      for (const auto& [from, to] : figures) {
        if (s_.substr(at_, from.size()) != from) continue;
        run += to;
        at_ += from.size();
        again = true;
        break;
      }
    }
    if (run.empty()) return false;
    out_ += command;
    out_ += run.size() == 1 ? run : "{" + run + "}";
    return true;
  }

  void blanks() {
    while (at_ < s_.size() && s_[at_] == ' ') ++at_;
  }

  // 14{,}916, also with spaces about the comma
  bool separator() {
    std::size_t i = at_ + 1;
    while (i < s_.size() && i < at_ + 4 && s_[i] == ' ') ++i;
    if (i >= s_.size() || s_[i] != ',') return false;
    ++i;
    while (i < s_.size() && i < at_ + 8 && s_[i] == ' ') ++i;
    if (i >= s_.size() || s_[i] != '}') return false;
    while (!out_.empty() && out_.back() == ' ') out_.pop_back();
    out_ += ',';
    at_ = i + 1;
    blanks();
    return true;
  }

  void open() {
    if (separator()) return;
    braces_.push_back('{');
    out_ += '{';
    ++at_;
  }
  void close() {
    out_ += !braces_.empty() && braces_.back() == 't' ? ' ' : '}';
    if (!braces_.empty()) braces_.pop_back();
    ++at_;
  }

  void command() {
    if (at_ + 1 >= s_.size()) {
      ++at_;
      return;
    }
    // Written through one program too many, \\\\frac; in a matrix it ends a row.
    if (s_[at_ + 1] == '\\' && at_ + 2 < s_.size() && is_letter(s_[at_ + 2]) && !has_rows()) ++at_;
    const char next = s_[at_ + 1];
    if (!is_letter(next)) {
      at_ += 2;
      switch (next) {
        case '!':  // moves back over what follows, a space too
          return blanks();
        case '(':
        case ')':
        case '[':
        case ']':
        case '$':
          return;
        case ',':
        case ';':
        case ':':
        case ' ':
        case '>':
        case '/':
          out_ += ' ';
          return;
        case '%':
        case '#':
        case '&':
        case '_':
        case '|':
          out_ += next;
          return;
        default:
          out_ += '\\';
          out_ += next;
          return;
      }
    }
    std::size_t end = at_ + 1;
    while (end < s_.size() && is_letter(s_[end])) ++end;
    const std::string_view name = s_.substr(at_ + 1, end - at_ - 1);
    at_ = end;
    if (std::find(std::begin(wrappers), std::end(wrappers), name) != std::end(wrappers)) {
      while (at_ < s_.size() && s_[at_] == ' ') ++at_;
      out_ += ' ';
      if (at_ < s_.size() && s_[at_] == '{') {
        braces_.push_back('t');
        ++at_;
      }
      return;
    }
    if (name == "degree") return degree();
    if (name == "left" || name == "right") {  // \left. is a delimiter that is not there
      while (at_ < s_.size() && s_[at_] == ' ') ++at_;
      if (at_ < s_.size() && s_[at_] == '.') ++at_;
      return;
    }
    for (const auto& [from, to] : commands) {
      if (name == from) {
        out_ += to;
        return;
      }
    }
    out_ += '\\';
    out_ += name;
    if (at_ < s_.size() && s_[at_] != '{' && s_[at_] != ' ') out_ += ' ';
  }

  // After a '^': is this the sign for degrees?
  bool skip_degree() {
    std::size_t i = at_;
    const auto blanks = [&] {
      while (i < s_.size() && s_[i] == ' ') ++i;
    };
    blanks();
    const bool group = i < s_.size() && s_[i] == '{';
    if (group) ++i;
    blanks();
    bool found = false;
    for (std::string_view degree : {"\\circ", "\\degree", "\u00b0", "\u2218"}) {
      if (s_.substr(i, degree.size()) == degree) {
        i += degree.size();
        found = true;
        break;
      }
    }
    if (!found) return false;
    blanks();
    if (group) {
      if (i >= s_.size() || s_[i] != '}') return false;
      ++i;
    }
    at_ = i;
    return true;
  }

  std::string_view s_;
  std::optional<bool> rows_;  // it holds a matrix or its like; looked up when it matters
  std::size_t at_ = 0;
  std::string out_;
  std::string braces_;  // 't' for a wrapper's, '{' for the others
};

std::string with_single_spaces(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (char c : trimmed(s))
    if (c != ' ' || out.empty() || out.back() != ' ') out += c;
  return out;
}

// What ends or starts an answer without being part of it.
std::string_view without_edges(std::string_view s) {
  for (bool again = true; again;) {
    s = trimmed(s);
    again = false;
    if (!s.empty() && std::string_view(".,;:`\"'*?").find(s.back()) != std::string_view::npos &&
        !(s.size() >= 3 && s.substr(s.size() - 3) == "...")) {
      s.remove_suffix(1);
      again = true;
    } else if (s.size() >= 2 && s.substr(s.size() - 2) == "\\\\") {
      s.remove_suffix(2);
      again = true;
    } else if (!s.empty() && std::string_view("`\"'*=:^").find(s.front()) != std::string_view::npos) {
      s.remove_prefix(1);
      again = true;
    }
  }
  return s;
}

// "5 percent" is "5%"; words that join answers are commas.
std::string with_words_replaced(std::string s) {
  if (s.find(' ') == s.npos) return s;
  constexpr Pair words[] = {{" percentage", "%"}, {" percent", "%"}, {" pct", "%"},
                            {" per cent", "%"},   {" and ", ", "},   {" or ", ", "}};
  for (const auto& [from, to] : words) {
    std::size_t at = s.find(from);
    if (at == std::string::npos) continue;
    std::string out;
    std::size_t done = 0;
    for (; at != std::string::npos; at = s.find(from, done)) {
      const std::string_view before = std::string_view(s).substr(0, at),
                             behind = std::string_view(s).substr(at + from.size());
      const bool stays = from == " and " && and_is_of_a_number(before, behind);
      out.append(s, done, at - done).append(stays ? from : to);
      done = at + from.size();
    }
    s = out.append(s, done);
  }
  return s;
}

}  // namespace

std::string clean(std::string_view answer) {
  std::string s = with_single_spaces(without_edges(Cleaner(answer).run()));
  if (s.size() >= 2 && s.front() == '{' && group_end(s, 0) == s.size() - 1)
    s = with_single_spaces(without_edges(std::string_view(s).substr(1, s.size() - 2)));
  return with_words_replaced(std::move(s));
}

namespace {

bool is_unit_sign(char c) {
  return is_letter(c) || static_cast<unsigned char>(c) >= 0x80 ||
         std::string_view(" ^{}()/*-.'\\0123456789").find(c) != std::string_view::npos;
}

// Words that belong to mathematics.
bool is_math_word(std::string_view w) {
  constexpr std::string_view words[] = {"pi",     "sqrt",   "sin",    "cos",   "tan",  "cot",   "sec",
                                        "csc",    "log",    "ln",     "exp",   "frac", "infty", "inf",
                                        "arcsin", "arccos", "arctan", "binom", "mod"};
  return std::find(std::begin(words), std::end(words), w) != std::end(words);
}

// Units that stand without a space: "5cm". Single letters only after a space: 5 m is a length, 5m may be a product.
bool is_glued_unit(std::string_view w) {
  constexpr std::string_view words[] = {"cm", "mm", "km", "kg", "mg", "ml", "mL", "lb",  "lbs", "oz", "ft", "hr", "hrs",
                                        "am", "pm", "AM", "PM", "mi", "yd", "Hz", "kHz", "MHz", "eV", "kW", "min"};
  return w.size() > 3 || std::find(std::begin(words), std::end(words), w) != std::end(words);
}
bool is_letter_unit(char c) { return std::string_view("msghLlNJWVAKCFP").find(c) != std::string_view::npos; }

}  // namespace

std::string without_unit(const std::string& s) {
  int depth = 0;
  bool after_number = false;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    if (c == '\\') {  // a command is no unit, but it may stand for a number: \sqrt{3} cm
      std::size_t end = i + 1;
      while (end < s.size() && is_letter(s[end])) ++end;
      if (std::string_view(s).substr(i, end - i) == "\\pi") after_number = true;
      i = std::max(end, i + 2) - 1;
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (is_digit(c)) after_number = true;
    if (depth > 0 || !after_number) continue;
    std::size_t end = i;
    if (c == '(') {
      ++end;
      while (end < s.size() && s[end] == ' ') ++end;
    }
    const bool parenthesis =
        c == '(' && i > 0 && s[i - 1] == ' ' && end < s.size() && is_letter(s[end]) && s.back() == ')';
    if (!parenthesis && !is_letter(c)) continue;
    const std::size_t start = end;
    while (end < s.size() && is_letter(s[end])) ++end;
    const std::string_view word = std::string_view(s).substr(start, end - start);
    const bool spaced = i > 0 && s[i - 1] == ' ';
    const bool unit = !is_math_word(word) && (parenthesis || is_glued_unit(word) || (spaced && word.size() > 1) ||
                                              (spaced && is_letter_unit(word[0])));
    if (unit) {
      const bool only_unit_follows = std::all_of(s.begin() + static_cast<std::ptrdiff_t>(i), s.end(), is_unit_sign);
      const std::string_view front = trimmed(std::string_view(s).substr(0, i));
      const bool in_list = !front.empty() && front.back() == ',';  // "(2, 3), east"
      return only_unit_follows && !in_list ? std::string(front) : s;
    }
    i = end - 1;
  }
  return s;
}

}  // namespace grpo::kit::grading
