// From Oniguruma's syntax, in which tokenizer.json writes its expressions, to PCRE2's. What differs and matters:
//   \s \w \d \h   other sets (\s of PCRE2 has U+180E, \w has no marks, \h is white space): written out
//   \v            a character, not a class;  \uHHHH for \x{HHHH};  {,n} for {0,n}
//   \p{L}         of Unicode 16, where PCRE2 10.42 knows Unicode 14
//   \p{Han}       the script, where PCRE2 also counts its extensions
//   [a[bc]]       a union of classes, where PCRE2 takes the inner bracket for a character
//   (?m:...)      lets "." match a line end, which PCRE2 calls (?s:...)
// What would silently mean something else is refused.
#include <pcre2.h>

#include <cctype>
#include <cstdio>
#include <stdexcept>

#include "pattern.hpp"
#include "unicode.hpp"

namespace grpo::text {
namespace {

constexpr std::string_view white_space =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view not_white_space =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{D7FF}\x{E000}-\x{10FFFF})";
constexpr std::string_view word =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr std::string_view hexadecimal = "0-9A-Fa-f";

class Translator {
 public:
  explicit Translator(std::string_view source) : in_(source) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        bracket();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        brace();
      } else {
        out_ += c;
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument(what + " at byte " + std::to_string(at_) +
                                " of the regular expression is not supported: " + std::string(in_));
  }

  char peek(std::size_t ahead) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }

  // Writes the set `inside`; alone it needs brackets, in a class it joins the others. Returns true: it is a set.
  bool put_set(std::string_view inside, bool in_class, bool negated = false) {
    if (in_class) {
      if (negated) refuse("a negated set inside a class");
      out_ += inside;
    } else {
      out_ += negated ? "[^" : "[";
      out_ += inside;
      out_ += ']';
    }
    return true;
  }

  // At a backslash. True if it stood for a set of characters.
  bool escape(bool in_class) {
    const char c = peek(1);
    if (c == '\0') refuse("a backslash at the end");
    if (c == 'p' || c == 'P') return property(in_class);
    if (c == 'x' || c == 'u') return code_point();
    switch (c) {
      case 's':
      case 'S':
        at_ += 2;
        return put_set(c == 's' ? white_space : not_white_space, in_class);
      case 'w':
      case 'W':
        at_ += 2;
        return put_set(std::string(word) + recent_ranges("L") + recent_ranges("M") + recent_ranges("Nd"), in_class,
                       c == 'W');
      case 'h':
      case 'H':
        at_ += 2;
        return put_set(hexadecimal, in_class, c == 'H');
      case 'd':
      case 'D':
        at_ += 2;
        out_ += c == 'd' ? "\\p{Nd}" : "\\P{Nd}";
        return true;
      case 'v':
        at_ += 2;
        out_ += "\\x{B}";
        return false;
      case 'A':
      case 'z':
      case 'Z':
        if (in_class) refuse("an anchor inside a class");
        break;
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'e':
      case 'a':
        break;
      default:
        if (std::isalnum(static_cast<unsigned char>(c))) refuse(std::string("\\") + c);
    }
    // A character that needs no escape may be more than one byte: the rest is copied by the caller.
    out_ += '\\';
    out_ += c;
    at_ += 2;
    return false;
  }

  bool code_point() {
    const char kind = peek(1);
    std::string digits;
    std::size_t i = 2;
    if (kind == 'x' && peek(2) == '{') {
      for (i = 3; std::isxdigit(static_cast<unsigned char>(peek(i))); ++i) digits += peek(i);
      if (peek(i) != '}') refuse("\\x{ without }");
      ++i;
    } else {
      const std::size_t most = kind == 'u' ? 4 : 2;
      while (digits.size() < most && std::isxdigit(static_cast<unsigned char>(peek(i)))) digits += peek(i++);
      if (kind == 'u' && digits.size() != 4) refuse("\\u without four digits");
      if (kind == 'x' && !digits.empty() && std::stoul(digits, nullptr, 16) > 0x7F) refuse("a raw byte");
    }
    if (digits.empty()) refuse("a code point without digits");
    out_.append("\\x{").append(digits).append("}");
    at_ += i;
    return false;
  }

  bool property(bool in_class) {
    if (peek(2) != '{') refuse("\\p without braces");
    const std::size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) refuse("\\p{ without }");
    std::string name(in_.substr(at_ + 3, close - at_ - 3));
    bool negated = peek(1) == 'P';
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.erase(0, 1);
    }
    const bool in_class_negated = in_class && negated;
    if (name.size() > 2 && is_script(name)) name.insert(0, "sc:");
    std::string set(in_class_negated ? "\\P{" : "\\p{");
    set.append(name).append("}");
    // A negated class is cut out of nothing here: PCRE2's own is right but for characters of the last years.
    if (name.size() <= 2 && !in_class_negated) set += recent_ranges(name);
    at_ = close + 1;
    return put_set(set, in_class, !in_class && negated);
  }

  // The characters of a general category that PCRE2 may be too old to know, as members of a class.
  static std::string recent_ranges(std::string_view category) {
    std::string ranges;
    for (const RecentCharacters& row : recent_characters()) {
      if (std::string_view(row.category).substr(0, category.size()) != category) continue;
      char text[32];
      std::snprintf(text, sizeof text, "\\x{%X}-\\x{%X}", static_cast<unsigned>(row.first),
                    static_cast<unsigned>(row.last));
      ranges += text;
    }
    return ranges;
  }

  // PCRE2 itself knows which names are scripts.
  static bool is_script(const std::string& name) {
    const std::string probe = "\\p{sc:" + name + "}";
    int error = 0;
    std::size_t offset = 0;
    pcre2_code* code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(probe.data()), probe.size(), PCRE2_UTF, &error, &offset, nullptr);
    pcre2_code_free(code);
    return code != nullptr;
  }

  // At the opening bracket of a class that is in no other.
  void bracket() {
    out_ += '[';
    ++at_;
    if (peek(0) == '^') {
      out_ += '^';
      ++at_;
    }
    members();
    out_ += ']';
  }

  // Up to and over the closing bracket.
  void members() {
    bool first = true, after_set = false;
    while (true) {
      if (at_ >= in_.size()) refuse("a class without ]");
      const char c = in_[at_];
      if (c == ']' && !first) {
        ++at_;
        return;
      }
      if (c == '&' && peek(1) == '&') refuse("an intersection of classes");
      if (c == '[') {
        if (peek(1) == ':' || peek(1) == '^') refuse("[: or [^ inside a class");
        ++at_;
        members();
        after_set = true;
      } else if (c == '\\') {
        after_set = escape(true);
      } else if (c == ']' || (c == '-' && after_set)) {  // stands for itself; PCRE2 could read a range
        out_ += '\\';
        out_ += c;
        ++at_;
        after_set = false;
      } else {
        out_ += c;
        ++at_;
        after_set = false;
      }
      first = false;
    }
  }

  void group() {
    if (peek(1) == '*') refuse("(*");
    out_ += '(';
    ++at_;
    if (peek(0) != '?') return;
    out_ += '?';
    ++at_;
    const char c = peek(0);
    if (c == ':' || c == '=' || c == '!' || c == '>') return;
    if (c == '<' && (peek(1) == '=' || peek(1) == '!')) return;
    while (peek(0) != ':' && peek(0) != ')') {
      const char option = peek(0);
      if (option == 'i' || option == '-') {
        out_ += option;
      } else if (option == 'm') {
        out_ += 's';
      } else {
        refuse(std::string("(?") + option);
      }
      ++at_;
    }
  }

  void brace() {
    std::size_t i = 1;
    std::string low, high;
    while (std::isdigit(static_cast<unsigned char>(peek(i)))) low += peek(i++);
    const bool comma = peek(i) == ',';
    if (comma) {
      ++i;
      while (std::isdigit(static_cast<unsigned char>(peek(i)))) high += peek(i++);
    }
    if (peek(i) != '}' || (low.empty() && high.empty())) {  // not a count: the character
      out_ += "\\{";
      ++at_;
      return;
    }
    if (peek(i + 1) == '+') refuse("{...}+, which is not possessive here,");
    out_.append("{").append(low.empty() ? "0" : low).append(comma ? "," : "").append(high).append("}");
    at_ += i + 1;
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string to_pcre2(std::string_view expression) { return Translator(expression).run(); }

}  // namespace grpo::text
