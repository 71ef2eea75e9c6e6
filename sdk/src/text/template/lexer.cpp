#include "lexer.hpp"

#include <algorithm>
#include <string_view>

#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

// LF line ends, and without the one newline at the end.
std::string normalize(const std::string& source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(const std::string& source, const std::string& name) : source_(normalize(source)), name_(name) {}

  std::vector<Token> run() {
    while (position_ < source_.size()) {
      const std::size_t tag = find_tag();
      if (tag == std::string::npos) {
        add_data(source_.substr(position_), position_);
        position_ = source_.size();
        break;
      }
      read_text_and_tag(tag);
    }
    tokens_.push_back({TokenKind::end, line_at(source_.size()), ""});
    return std::move(tokens_);
  }

 private:
  // -- text between tags

  std::size_t find_tag() const {
    for (std::size_t at = position_; (at = source_.find('{', at)) != std::string::npos; ++at) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '%' || next == '#' || next == '{') return at;
    }
    return std::string::npos;
  }

  void read_text_and_tag(std::size_t tag) {
    const char kind = source_[tag + 1];
    const bool line_starts = line_starts_;
    const std::size_t text_start = position_;
    position_ = tag + 2;
    char sign = '\0';
    if (peek() == '-' || peek() == '+') sign = source_[position_++];
    add_stripped(text_start, tag, sign, kind != '{', line_starts);
    line_starts_ = false;
    if (kind == '#') {
      skip_comment(tag);
    } else if (kind == '%' && begins_raw()) {
      read_raw(tag);
    } else {
      tokens_.push_back({kind == '{' ? TokenKind::variable_begin : TokenKind::block_begin, line_at(tag), ""});
      read_tag(kind == '{' ? "}}" : "%}");
    }
  }

  // The text before a tag: without its white space after a minus, without the indentation of a tag that stands alone.
  void add_stripped(std::size_t start, std::size_t end, char sign, bool may_strip_indent, bool line_starts) {
    std::string_view text = std::string_view(source_).substr(start, end - start);
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign != '+' && may_strip_indent) {
      const std::size_t newline = text.rfind('\n');
      const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line > 0 || line_starts) && line < text.size() && strip(text.substr(line), true, false).empty()) {
        text = text.substr(0, line);
      }
    }
    add_data(std::string(text), start);
  }

  void add_data(std::string text, std::size_t at) {
    if (!text.empty()) tokens_.push_back({TokenKind::data, line_at(at), std::move(text)});
  }

  // -- ends of tags

  void skip_spaces() {
    while (position_ < source_.size()) {
      std::size_t next = position_;
      if (!is_space(next_code_point(source_, next))) return;
      position_ = next;
    }
  }

  // At `-%}`, `+%}` or `%}`: moves past it and what it swallows.
  bool take_end(std::string_view end) {
    std::size_t at = position_;
    const char sign = peek();
    const bool signed_end = sign == '-' || (sign == '+' && end != "}}");
    if (signed_end) ++at;
    if (source_.compare(at, end.size(), end) != 0) return false;
    position_ = at + end.size();
    if (signed_end && sign == '-') {
      skip_spaces();
    } else if (!signed_end && end != "}}" && peek() == '\n') {
      ++position_;
    }
    line_starts_ = source_[position_ - 1] == '\n';
    return true;
  }

  void skip_comment(std::size_t tag) {
    for (std::size_t at = position_; (at = source_.find("#}", at)) != std::string::npos;) {
      // the earliest end wins: with its sign, if the sign is not the comment's own
      position_ = at > position_ && (source_[at - 1] == '-' || source_[at - 1] == '+') ? at - 1 : at;
      take_end("#}");
      return;
    }
    fail_syntax(name_, line_at(tag), "missing end of comment: expected '#}'");
  }

  // -- raw

  bool begins_raw() {
    const std::size_t start = position_;
    skip_spaces();
    bool raw = source_.compare(position_, 3, "raw") == 0;
    if (raw) {
      position_ += 3;
      skip_spaces();
      raw = source_.compare(position_, 2, "%}") == 0 || source_.compare(position_, 3, "-%}") == 0;
    }
    position_ = start;
    return raw;
  }

  void read_raw(std::size_t tag) {
    skip_spaces();
    position_ += 3;
    skip_spaces();
    if (peek() == '-') {
      position_ += 3;
      skip_spaces();
    } else {
      position_ += 2;
    }
    const bool line_starts = source_[position_ - 1] == '\n';
    const std::size_t start = position_;
    for (std::size_t at = start; (at = source_.find("{%", at)) != std::string::npos; ++at) {
      position_ = at + 2;
      char sign = '\0';
      if (peek() == '-' || peek() == '+') sign = source_[position_++];
      skip_spaces();
      if (source_.compare(position_, 6, "endraw") != 0) continue;
      position_ += 6;
      skip_spaces();
      if (!take_end("%}")) continue;
      const bool after = line_starts_;
      add_stripped(start, at, sign, true, line_starts);
      line_starts_ = after;
      return;
    }
    fail_syntax(name_, line_at(tag), "missing end of raw block: expected '{% endraw %}'");
  }

  // -- inside of tags

  void read_tag(std::string_view end) {
    std::string open;  // the closing sign each open bracket waits for
    while (true) {
      if (open.empty() && take_end(end)) {
        tokens_.push_back({end == "}}" ? TokenKind::variable_end : TokenKind::block_end, line_at(position_ - 1), ""});
        return;
      }
      if (position_ >= source_.size()) {
        // the parser says what it expected
        return;
      }
      std::size_t next = position_;
      const char32_t c = next_code_point(source_, next);
      if (is_space(c)) {
        position_ = next;
      } else if (c < 0x80 && is_digit(static_cast<char>(c))) {
        read_number();
      } else if (c == '\'' || c == '"') {
        read_string(static_cast<char>(c));
      } else if (is_word(c)) {
        read_name();
      } else {
        read_sign(open);
      }
    }
  }

  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < source_.size() ? source_[position_ + ahead] : '\0';
  }

  void add(TokenKind kind, std::size_t start, std::string text) {
    tokens_.push_back({kind, line_at(start), std::move(text)});
  }

  // (_?digit)* from `at`
  std::size_t skip_digits(std::size_t at, bool (*is_one)(char)) const {
    while (at < source_.size()) {
      const std::size_t digit = source_[at] == '_' ? at + 1 : at;
      if (digit >= source_.size() || !is_one(source_[digit])) return at;
      at = digit + 1;
    }
    return at;
  }

  void read_number() {
    const std::size_t start = position_;
    if (source_[start] == '0') {
      const char letter = static_cast<char>(peek(1) | 0x20);
      bool (*is_one)(char) = nullptr;
      if (letter == 'x') is_one = [](char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); };
      if (letter == 'o') is_one = [](char c) { return c >= '0' && c <= '7'; };
      if (letter == 'b') is_one = [](char c) { return c == '0' || c == '1'; };
      if (is_one && skip_digits(start + 2, is_one) > start + 2) {
        position_ = skip_digits(start + 2, is_one);
        return add(TokenKind::integer, start, without_underscores(start));
      }
    }
    std::size_t end = skip_digits(start + 1, is_digit);
    const std::size_t integer_end = end;
    if (start == 0 || source_[start - 1] != '.') {
      if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1]))
        end = skip_digits(end + 2, is_digit);
      if (end < source_.size() && (source_[end] | 0x20) == 'e') {
        std::size_t exponent = end + 1;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
        if (exponent < source_.size() && is_digit(source_[exponent])) end = skip_digits(exponent + 1, is_digit);
      }
    }
    if (end != integer_end) {
      position_ = end;
      return add(TokenKind::real, start, without_underscores(start));
    }
    position_ = integer_end;
    if (source_[start] == '0') position_ = skip_digits(start + 1, [](char c) { return c == '0'; });
    add(TokenKind::integer, start, without_underscores(start));
  }

  std::string without_underscores(std::size_t start) const {
    std::string text = source_.substr(start, position_ - start);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    return text;
  }

  void read_name() {
    const std::size_t start = position_;
    while (position_ < source_.size()) {
      std::size_t next = position_;
      if (!is_word(next_code_point(source_, next))) break;
      position_ = next;
    }
    add(TokenKind::name, start, source_.substr(start, position_ - start));
  }

  void read_sign(std::string& open) {
    static constexpr std::string_view signs[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                                 "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view sign : signs) {
      if (source_.compare(position_, sign.size(), sign) != 0) continue;
      if (sign == "(") open += ')';
      if (sign == "[") open += ']';
      if (sign == "{") open += '}';
      if (sign == ")" || sign == "]" || sign == "}") {
        const std::string quoted = "unexpected '" + std::string(sign) + "'";
        if (open.empty()) fail_syntax(name_, line_at(position_), quoted);
        if (open.back() != sign[0]) fail_syntax(name_, line_at(position_), quoted + ", expected '" + open.back() + "'");
        open.pop_back();
      }
      add(TokenKind::sign, position_, std::string(sign));
      position_ += sign.size();
      return;
    }
    std::size_t end = position_;
    next_code_point(source_, end);
    fail_syntax(name_, line_at(position_), "unexpected character '" + source_.substr(position_, end - position_) + "'");
  }

  // -- strings

  void read_string(char quote) {
    const std::size_t start = position_;
    std::size_t end = start + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) {
      fail_syntax(name_, line_at(start), std::string("unexpected character '") + quote + "': this string has no end");
    }
    position_ = end + 1;
    add(TokenKind::string, start, unescape(start + 1, end));
  }

  std::string unescape(std::size_t at, std::size_t end) const {
    std::string out;
    while (at < end) {
      const char c = source_[at++];
      if (c != '\\') {
        out += c;
        continue;
      }
      const char escaped = source_[at++];
      static constexpr std::string_view letters = "abfnrtv\\'\"";
      static constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\'\"";
      if (const std::size_t which = letters.find(escaped); which != std::string_view::npos) {
        out += meanings[which];
      } else if (escaped == '\n') {
        // a line end after a backslash is no part of the string
      } else if (escaped == 'x') {
        append_code_point(out, hex(at, end, 2));
      } else if (escaped == 'u') {
        append_code_point(out, surrogates(at, end));
      } else if (escaped == 'U') {
        append_code_point(out, hex(at, end, 8));
      } else if (escaped >= '0' && escaped <= '7') {
        char32_t value = static_cast<char32_t>(escaped - '0');
        for (int i = 0; i < 2 && at < end && source_[at] >= '0' && source_[at] <= '7'; ++i) {
          value = value * 8 + static_cast<char32_t>(source_[at++] - '0');
        }
        append_code_point(out, value);
      } else if (escaped == 'N') {
        fail_syntax(name_, line_at(at), "characters by name (\\N{...}) are not supported: write \\uXXXX");
      } else {
        out += '\\';
        out += escaped;
      }
    }
    return out;
  }

  char32_t hex(std::size_t& at, std::size_t end, int digits) const {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at) {
      static constexpr std::string_view known = "0123456789abcdef";
      const std::size_t digit =
          at < end ? known.find(static_cast<char>(is_digit(source_[at]) ? source_[at] : source_[at] | 0x20))
                   : std::string_view::npos;
      if (digit == std::string_view::npos) fail_syntax(name_, line_at(at), "truncated character escape in a string");
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (value > 0x10ffff) fail_syntax(name_, line_at(at), "illegal Unicode character in a string");
    return value;
  }

  // \uD83D\uDE00 is one character here: UTF-8 has no halves.
  char32_t surrogates(std::size_t& at, std::size_t end) const {
    const char32_t first = hex(at, end, 4);
    if (first < 0xd800 || first > 0xdfff) return first;
    if (first < 0xdc00 && at + 6 <= end && source_[at] == '\\' && source_[at + 1] == 'u') {
      std::size_t after = at + 2;
      const char32_t second = hex(after, end, 4);
      if (second >= 0xdc00 && second <= 0xdfff) {
        at = after;
        return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
      }
    }
    return 0xfffd;
  }

  int line_at(std::size_t position) const {
    if (position < counted_to_) {
      return 1 + static_cast<int>(
                     std::count(source_.begin(), source_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    }
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(counted_to_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    counted_to_ = position;
    return line_;
  }

  std::string source_;
  const std::string& name_;
  std::size_t position_ = 0;
  bool line_starts_ = true;  // the text read last ended in a newline
  std::vector<Token> tokens_;
  mutable int line_ = 1;  // at counted_to_
  mutable std::size_t counted_to_ = 0;
};

}  // namespace

void fail_syntax(const std::string& name, int line, const std::string& what) {
  throw Error(name + ", line " + std::to_string(line) + ": " + what);
}

std::vector<Token> tokenize(const std::string& source, const std::string& name) { return Lexer(source, name).run(); }

}  // namespace grpo::text::jinja
