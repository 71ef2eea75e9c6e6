// methods_search.cpp: methods of str that look into it: split, find, startswith, isdigit, ...
#include <algorithm>
#include <utility>

#include "interpreter.hpp"
#include "methods.hpp"
#include "operations.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

using Values = std::vector<Value>;

Value strings(std::vector<std::string_view> parts, const Value& self, Interpreter& interpreter) {
  std::vector<Value> values;
  values.reserve(parts.size());
  interpreter.budget().build(self.text().size() + parts.size() * (sizeof(Value) + sizeof(String)));
  for (const std::string_view part : parts) values.emplace_back(std::string(part), self.is_markup());
  return Value::list(std::move(values), interpreter.budget());
}

// -- split

std::vector<std::string_view> split_spaces(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, true, false);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(text);  // the rest, white space at its end too
      return parts;
    }
    std::size_t end = 0;
    for (std::size_t next = 0; end < text.size(); end = next) {
      if (is_space(next_code_point(text, next))) break;
    }
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), true, false);
  }
  return parts;
}

std::vector<std::string_view> split_spaces_from_right(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, false, true);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(text);
      break;
    }
    std::size_t start = text.size();
    while (start > 0) {
      std::size_t before = start - 1;
      while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xc0) == 0x80) --before;
      std::size_t after = before;
      if (is_space(next_code_point(text, after))) break;
      start = before;
    }
    parts.push_back(text.substr(start));
    text = strip(text.substr(0, start), false, true);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, std::int64_t limit) {
  if (separator.empty()) throw Failure("empty separator");
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const std::size_t at = text.find(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator,
                                                  std::int64_t limit) {
  if (separator.empty()) throw Failure("empty separator");
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const std::size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool from_right>
Value split(Interpreter& interpreter, const Value& self, Values& given) {
  const std::int64_t limit = given[1].is_missing() ? -1 : to_integer(given[1], "maxsplit");
  const std::string& text = self.text();
  if (given[0].is_missing() || given[0].is_none()) {
    return strings(from_right ? split_spaces_from_right(text, limit) : split_spaces(text, limit), self, interpreter);
  }
  const std::string& separator = text_argument(given[0], "split");
  return strings(from_right ? split_at_from_right(text, separator, limit) : split_at(text, separator, limit), self,
                 interpreter);
}

Value splitlines(Interpreter& interpreter, const Value& self, Values& given) {
  return strings(split_lines(self.text(), !given[0].is_missing() && given[0].truth()), self, interpreter);
}

template <bool from_right>
Value partition(Interpreter& interpreter, const Value& self, Values& given) {
  const std::string& separator = text_argument(given[0], "partition");
  if (separator.empty()) throw Failure("empty separator");
  const std::string& text = self.text();
  interpreter.budget().build(text.size());
  const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
  std::vector<std::string> parts = {text, "", ""};
  if (at != std::string::npos) {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  } else if (from_right) {
    std::swap(parts[0], parts[2]);
  }
  std::vector<Value> values;
  for (std::string& part : parts) values.emplace_back(std::move(part), self.is_markup());
  return Value::tuple(std::move(values), interpreter.budget());
}

// -- search

/// The part of `self` between the code points given[1] and given[2], and where it starts.
std::string_view window(const Value& self, const Value& start, const Value& stop, std::int64_t& first, bool& valid) {
  std::string_view text = self.text();
  first = 0;
  valid = true;
  const bool whole = (start.is_missing() || start.is_none()) && (stop.is_missing() || stop.is_none());
  if (whole) return text;
  const std::int64_t size = length(self);
  const auto place = [size](const Value& at, std::int64_t otherwise) {
    if (at.is_missing() || at.is_none()) return otherwise;
    const std::int64_t position = to_integer(at, "a position in a string");
    return position < 0 ? std::max<std::int64_t>(position + size, 0) : position;
  };
  first = place(start, 0);
  const std::int64_t last = std::min(place(stop, size), size);
  valid = first <= last;
  if (!valid) return {};
  const std::size_t from = byte_position(text, static_cast<std::size_t>(first));
  return text.substr(from, byte_position(text.substr(from), static_cast<std::size_t>(last - first)));
}

template <bool from_right, bool must_find>
Value find(Interpreter&, const Value& self, Values& given) {
  const std::string& wanted = text_argument(given[0], "find");
  std::int64_t first = 0;
  bool valid = true;
  const std::string_view text = window(self, given[1], given[2], first, valid);
  const std::size_t at = !valid ? std::string_view::npos : from_right ? text.rfind(wanted) : text.find(wanted);
  if (at != std::string_view::npos) return first + static_cast<std::int64_t>(count_code_points(text.substr(0, at)));
  if (must_find) throw Failure("substring not found");
  return -1;
}

Value count(Interpreter&, const Value& self, Values& given) {
  const std::string& wanted = text_argument(given[0], "count");
  std::int64_t first = 0;
  bool valid = true;
  const std::string_view text = window(self, given[1], given[2], first, valid);
  if (!valid) return 0;
  if (wanted.empty()) return static_cast<std::int64_t>(count_code_points(text)) + 1;
  std::int64_t result = 0;
  for (std::size_t at = 0; (at = text.find(wanted, at)) != std::string_view::npos; at += wanted.size()) ++result;
  return result;
}

template <bool at_end>
Value affix(Interpreter&, const Value& self, Values& given) {
  const char* const name = at_end ? "endswith" : "startswith";
  std::int64_t first = 0;
  bool valid = true;
  const std::string_view text = window(self, given[1], given[2], first, valid);
  const auto has = [&](const Value& wanted) {
    const std::string& part = text_argument(wanted, name);
    if (!valid || part.size() > text.size()) return false;
    return (at_end ? text.substr(text.size() - part.size()) : text.substr(0, part.size())) == part;
  };
  if (!given[0].is(Kind::tuple)) return has(given[0]);
  for (const Value& one : given[0].items()) {
    if (has(one)) return true;
  }
  return false;
}

// -- kinds of characters

bool has_digit_value(char32_t c) {
  return is_decimal(c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ||
         (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247c) ||
         (c >= 0x2488 && c <= 0x2490);
}

bool is_alphanumeric(char32_t c) { return is_letter(c) || is_numeric(c); }

template <bool (*holds)(char32_t), bool empty>
Value all(Interpreter&, const Value& self, Values&) {
  const std::string& text = self.text();
  if (text.empty()) return empty;
  for (std::size_t i = 0; i < text.size();) {
    if (!holds(next_code_point(text, i))) return false;
  }
  return true;
}

template <bool (*wanted)(char32_t), bool (*unwanted)(char32_t)>
Value cased(Interpreter&, const Value& self, Values&) {
  return all_cased(self.text(), wanted, unwanted);
}

Value istitle(Interpreter&, const Value& self, Values&) {
  const std::string& text = self.text();
  bool found = false, inside = false;
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = next_code_point(text, i);
    const bool begins = is_upper(c) || is_title(c);
    if (begins ? inside : (is_lower(c) && !inside)) return false;
    inside = begins || is_lower(c);
    found |= inside;
  }
  return found;
}

Value isidentifier(Interpreter&, const Value& self, Values&) {
  const std::string& text = self.text();
  for (std::size_t i = 0; i < text.size();) {
    const bool first = i == 0;
    const char32_t c = next_code_point(text, i);
    if (!(c == '_' || is_letter(c) || (!first && is_decimal(c)))) return false;
  }
  return !text.empty();
}

bool is_ascii(char32_t c) { return c < 0x80; }

}  // namespace

void add_search_methods(StringMethods& table) {
  table["split"] = {{"sep", "maxsplit"}, 0, split<false>};
  table["rsplit"] = {{"sep", "maxsplit"}, 0, split<true>};
  table["splitlines"] = {{"keepends"}, 0, splitlines};
  table["partition"] = {{"/sep"}, 1, partition<false>};
  table["rpartition"] = {{"/sep"}, 1, partition<true>};
  table["find"] = {{"/sub", "/start", "/end"}, 1, find<false, false>};
  table["rfind"] = {{"/sub", "/start", "/end"}, 1, find<true, false>};
  table["index"] = {{"/sub", "/start", "/end"}, 1, find<false, true>};
  table["rindex"] = {{"/sub", "/start", "/end"}, 1, find<true, true>};
  table["count"] = {{"/sub", "/start", "/end"}, 1, count};
  table["startswith"] = {{"/prefix", "/start", "/end"}, 1, affix<false>};
  table["endswith"] = {{"/suffix", "/start", "/end"}, 1, affix<true>};
  table["isdigit"] = {{}, 0, all<has_digit_value, false>};
  table["isdecimal"] = {{}, 0, all<is_decimal, false>};
  table["isnumeric"] = {{}, 0, all<is_numeric, false>};
  table["isalpha"] = {{}, 0, all<is_letter, false>};
  table["isalnum"] = {{}, 0, all<is_alphanumeric, false>};
  table["isspace"] = {{}, 0, all<is_space, false>};
  table["isascii"] = {{}, 0, all<is_ascii, true>};
  table["isprintable"] = {{}, 0, all<is_printable, true>};
  table["isupper"] = {{}, 0, cased<is_upper, is_lower>};
  table["islower"] = {{}, 0, cased<is_lower, is_upper>};
  table["istitle"] = {{}, 0, istitle};
  table["isidentifier"] = {{}, 0, isidentifier};
}

}  // namespace grpo::text::jinja
