#include "utf8.hpp"

namespace grpo::plugins {
namespace {

struct Lead {
  int following;            // continuation bytes; -1: not a lead byte
  unsigned char low, high;  // range of the first of them
};

Lead lead(unsigned char c) {
  if (c < 0x80) return {0, 0, 0};
  if (c >= 0xC2 && c <= 0xDF) return {1, 0x80, 0xBF};
  if (c == 0xE0) return {2, 0xA0, 0xBF};
  if (c == 0xED) return {2, 0x80, 0x9F};  // no surrogates
  if (c >= 0xE1 && c <= 0xEF) return {2, 0x80, 0xBF};
  if (c == 0xF0) return {3, 0x90, 0xBF};
  if (c >= 0xF1 && c <= 0xF3) return {3, 0x80, 0xBF};
  if (c == 0xF4) return {3, 0x80, 0x8F};
  return {-1, 0, 0};
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Lead first = lead(static_cast<unsigned char>(text[i]));
    std::size_t n = 1;
    int missing = first.following;
    for (; missing > 0 && i + n < text.size(); --missing, ++n) {
      const auto c = static_cast<unsigned char>(text[i + n]);
      const bool fits = n == 1 ? c >= first.low && c <= first.high : c >= 0x80 && c <= 0xBF;
      if (!fits) break;
    }
    if (missing == 0) {
      out.append(text.substr(i, n));
    } else {
      out += "\xEF\xBF\xBD";
    }
    i += n;
  }
  return out;
}

std::string one_line(std::string_view text, std::size_t most) {
  std::string out = valid_utf8(text.size() > most ? text.substr(text.size() - most) : text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 32) c = ' ';
  const std::size_t from = out.find_first_not_of(' ');
  return from == out.npos ? std::string() : out.substr(from, out.find_last_not_of(' ') + 1 - from);
}

}  // namespace grpo::plugins
