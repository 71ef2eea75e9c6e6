#include "grpo/sdk/report/visible.hpp"

#include <fmt/format.h>

namespace grpo::report {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

std::string visible(std::string_view text, std::string_view indent) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (c == '\n') {
      out += '\n';
      out += indent;
    } else if ((c < 0x20 && c != '\t') || c == 0x7F) {
      out += fmt::format("\\x{:02x}", c);
    } else if (c == 0xC2 && next >= 0x80 && next < 0xA0) {  // U+0080 to U+009F: some terminals obey these
      out += fmt::format("\\x{:02x}", next);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string visible(std::string_view text, std::string_view indent, std::size_t limit) {
  const std::string all = visible(text, indent);
  if (all.size() <= limit) return all;
  const auto boundary = [&](std::size_t at) {  // never inside a UTF-8 sequence
    while (at < all.size() && continues(all[at])) ++at;
    return at;
  };
  return all.substr(0, boundary(limit / 2)) + " [...] " + all.substr(boundary(all.size() - limit / 2));
}

std::size_t cells(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += !continues(c);
  return n;
}

}  // namespace grpo::report
