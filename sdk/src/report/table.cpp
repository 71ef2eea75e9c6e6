#include "table.hpp"

#include <fmt/format.h>

#include <cmath>

#include "grpo/sdk/report/visible.hpp"

namespace grpo::report {
namespace {

constexpr std::size_t gap = 2;  // blanks between columns

template <class Text>
std::string side_by_side(std::span<const Column> columns, const std::vector<bool>& kept, Text&& text) {
  std::string line;
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (kept[i]) line += fmt::format("{:>{}}", text(columns[i]), columns[i].width + (line.empty() ? 0 : gap));
  return line;
}

}  // namespace

std::string number(double x, std::size_t width, int decimals) {
  if (!std::isfinite(x)) return "-";
  std::string text;
  for (int places = decimals; places >= 0; --places)
    if (text = fmt::format("{:.{}f}", x, places); text.size() <= width) return text;
  for (int places = 3; places >= 1; --places)
    if (text = fmt::format("{:.{}g}", x, places); text.size() <= width) break;
  return text;
}

std::string significant(double x) { return std::isfinite(x) ? fmt::format("{:.3g}", x) : std::string("-"); }

std::vector<bool> columns_that_fit(std::span<const Column> columns, std::size_t room) {
  std::vector<bool> kept(columns.size(), true);
  if (room == 0) return kept;
  const auto width = [&] {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (kept[i]) sum += columns[i].width + (sum ? gap : 0);
    return sum;
  };
  while (width() > room) {
    std::size_t last = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (kept[i] && columns[i].rank > 1 && (last == columns.size() || columns[i].rank >= columns[last].rank)) last = i;
    if (last == columns.size()) break;
    kept[last] = false;
  }
  return kept;
}

std::string titles(std::span<const Column> columns, const std::vector<bool>& kept) {
  return side_by_side(columns, kept, [](const Column& c) { return c.title; });
}

std::string cells(std::span<const Column> columns, const std::vector<bool>& kept) {
  return side_by_side(columns, kept, [](const Column& c) { return std::string_view(c.cell); });
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t room) {
  if (room == 0) return std::string(text);
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const auto end = text.find(' ');
    const auto word = text.substr(0, end);
    const auto width = cells(word);
    if (!out.empty() && used + 1 + width > room) {
      out += '\n';
      out.append(indent, ' ');
      used = 0;
    } else if (!out.empty()) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width;
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return out;
}

}  // namespace grpo::report
