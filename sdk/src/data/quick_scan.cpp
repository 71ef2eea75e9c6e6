#include "quick_scan.hpp"

#include <cstdint>
#include <cstring>

namespace grpo::data {
namespace {

// Walks one text. Every function leaves `at_` behind what it read, and returns false where the parser must look.
class Walker {
 public:
  Walker(std::string_view text, std::vector<Field>& fields)
      : at_(text.data()), end_(text.data() + text.size()), fields_(fields) {}

  bool row() {
    skip_spaces();
    if (at_ == end_ || *at_ != '{' || !object(0)) return false;
    skip_spaces();
    return at_ == end_;
  }

 private:
  static constexpr int deepest = 64;

  bool next_is(char c) { return at_ < end_ && *at_ == c ? (++at_, true) : false; }

  void skip_spaces() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  bool object(int depth) {
    ++at_;
    skip_spaces();
    if (next_is('}')) return true;
    for (int n = 1; n <= most_keys; ++n) {
      skip_spaces();
      std::string_view name;
      bool escaped = false;
      if (!string(name, escaped) || (escaped && depth == 0)) return false;
      skip_spaces();
      if (!next_is(':')) return false;
      Kind kind = Kind::other;
      if (!value(depth + 1, kind)) return false;
      if (depth == 0) fields_.push_back({name, kind});
      skip_spaces();
      if (next_is('}')) return true;
      if (!next_is(',')) return false;
    }
    return false;
  }

  bool array(int depth) {
    ++at_;
    skip_spaces();
    if (next_is(']')) return true;
    while (true) {
      Kind kind = Kind::other;
      if (!value(depth + 1, kind)) return false;
      skip_spaces();
      if (next_is(']')) return true;
      if (!next_is(',')) return false;
    }
  }

  bool value(int depth, Kind& kind) {
    skip_spaces();
    if (at_ == end_ || depth > deepest) return false;
    std::string_view ignored;
    bool escaped = false;
    switch (*at_) {
      case '"':
        kind = Kind::text;
        return string(ignored, escaped);
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        kind = Kind::null;
        return word("null");
      default:
        return number(kind);
    }
  }

  bool word(std::string_view expected) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  int digits() {
    const char* const begin = at_;
    while (at_ < end_ && is_digit(*at_)) ++at_;
    return static_cast<int>(std::min<std::ptrdiff_t>(end_ - begin, at_ - begin));
  }

  // Up to 15 digits before the point: below 2^53. An exponent may be out of range: the parser's.
  bool number(Kind& kind) {
    next_is('-');
    const bool zero = at_ < end_ && *at_ == '0';
    const int whole = digits();
    if (whole == 0 || whole > 15 || (zero && whole > 1)) return false;
    kind = Kind::integer;
    if (next_is('.')) {
      kind = Kind::number;
      if (digits() == 0) return false;
    }
    return at_ == end_ || (*at_ != 'e' && *at_ != 'E');
  }

  bool string(std::string_view& inside, bool& escaped) {
    if (!next_is('"')) return false;
    const char* const begin = at_;
    while (true) {
      skip_plain();
      if (at_ == end_) return false;
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') {
        inside = {begin, static_cast<std::size_t>(at_ - begin)};
        ++at_;
        return true;
      }
      if (c < 0x20) return false;
      if (c == '\\') {
        escaped = true;
        if (!escape()) return false;
      } else if (!wide_character()) {
        return false;
      }
    }
  }

  // On to the next quote, backslash, control character or byte outside ASCII; eight bytes at a time.
  void skip_plain() {
    constexpr std::uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    while (end_ - at_ >= 8) {
      std::uint64_t eight;
      std::memcpy(&eight, at_, 8);
      const std::uint64_t quote = eight ^ (ones * '"'), backslash = eight ^ (ones * '\\');
      const std::uint64_t special =
          ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | ((eight - ones * 0x20) & ~eight) | eight;
      if (special & tops) break;
      at_ += 8;
    }
    while (at_ < end_) {
      const auto c = static_cast<unsigned char>(*at_);
      if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') return;
      ++at_;
    }
  }

  bool escape() {
    ++at_;
    if (at_ == end_) return false;
    const char c = *at_++;
    if (c != 'u') return std::strchr("\"\\/bfnrt", c) != nullptr && c != '\0';
    if (end_ - at_ < 4) return false;
    int code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char h = static_cast<char>(*at_ | 0x20);
      if (is_digit(*at_))
        code = code * 16 + (*at_ - '0');
      else if (h >= 'a' && h <= 'f')
        code = code * 16 + (h - 'a' + 10);
      else
        return false;
    }
    return code < 0xD800 || code > 0xDFFF;
  }

  // One character of two to four bytes; the ranges of its second byte are Table 3-7 of the Unicode Standard.
  bool wide_character() {
    const auto byte = [&](int i) { return static_cast<unsigned char>(at_[i]); };
    const unsigned char c = byte(0);
    const int length = c >= 0xC2 && c <= 0xDF ? 2 : (c & 0xF0) == 0xE0 ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
    if (length == 0 || end_ - at_ < length) return false;
    const int low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (byte(1) < low || byte(1) > high) return false;
    for (int i = 2; i < length; ++i)
      if ((byte(i) & 0xC0) != 0x80) return false;
    at_ += length;
    return true;
  }

  const char* at_;
  const char* end_;
  std::vector<Field>& fields_;
};

}  // namespace

bool quick_scan(std::string_view row, std::vector<Field>& fields) {
  fields.clear();
  return Walker(row, fields).row();
}

}  // namespace grpo::data
