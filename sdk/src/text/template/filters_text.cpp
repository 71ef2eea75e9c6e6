// filters_text.cpp: filters that make text.
#include <algorithm>

#include "filters.hpp"
#include "interpreter.hpp"
#include "operations.hpp"
#include "print.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

using Values = std::vector<Value>;

/// The text of the input, and whether the result is Markup if the input was.
std::string text_of(Interpreter& interpreter, const Value& input) {
  std::string text = to_text(input, interpreter.budget());
  interpreter.budget().build(text.size());
  return text;
}

Value upper(Interpreter& interpreter, const Value& input, Values&) {
  return Value(to_upper(text_of(interpreter, input)), input.is_markup());
}

Value lower(Interpreter& interpreter, const Value& input, Values&) {
  return Value(to_lower(text_of(interpreter, input)), input.is_markup());
}

Value capitalize_filter(Interpreter& interpreter, const Value& input, Values&) {
  return Value(capitalize(text_of(interpreter, input)), input.is_markup());
}

// Words begin after white space and any of - ( { [ <: not after an apostrophe, unlike str.title().
Value title(Interpreter& interpreter, const Value& input, Values&) {
  const std::string text = text_of(interpreter, input);
  const auto separates = [](char32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const char32_t first = next_code_point(text, i);
    const std::size_t rest = i;
    if (separates(first)) {
      out.append(text, start, i - start);
      continue;
    }
    while (i < text.size()) {
      std::size_t after = i;
      if (separates(next_code_point(text, after))) break;
      i = after;
    }
    out += to_upper(std::string_view(text).substr(start, rest - start));
    out += to_lower(std::string_view(text).substr(rest, i - rest));
  }
  return out;
}

Value trim(Interpreter& interpreter, const Value& input, Values& given) {
  const std::string text = text_of(interpreter, input);
  const std::string* chars = nullptr;
  if (!given[0].is_missing() && !given[0].is_none()) {
    if (!given[0].is_string()) throw Failure("strip arg must be None or str");
    chars = &given[0].text();
  }
  return Value(std::string(strip(text, true, true, chars)), input.is_markup());
}

Value replace_filter(Interpreter& interpreter, const Value& input, Values& given) {
  const std::string text = text_of(interpreter, input);
  const Value count = given[2].is_missing() || given[2].is_none() ? Value(-1) : given[2];
  Arguments arguments;
  arguments.positional = {Value(text_of(interpreter, given[0])), Value(text_of(interpreter, given[1])), count};
  return interpreter.call(interpreter.attribute(Value(text), "replace"), arguments);
}

Value string_filter(Interpreter& interpreter, const Value& input, Values&) {
  return input.is_string() ? input : Value(text_of(interpreter, input));
}

Value safe(Interpreter& interpreter, const Value& input, Values&) { return Value(text_of(interpreter, input), true); }

Value escape_filter(Interpreter& interpreter, const Value& input, Values&) {
  return escape(input, interpreter.budget());
}

Value force_escape(Interpreter& interpreter, const Value& input, Values&) {
  return Value(escape_html(text_of(interpreter, input)), true);
}

Value indent(Interpreter& interpreter, const Value& input, Values& given) {
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_string()) throw Failure("indent needs text, not '" + std::string(input.type_name()) + "'");
  std::string indention(4, ' ');
  if (given[0].is_string()) {
    indention = given[0].text();
  } else if (!given[0].is_missing()) {
    const std::int64_t width = std::max<std::int64_t>(0, to_integer(given[0], "the width of indent"));
    interpreter.budget().build(static_cast<std::size_t>(width));
    indention.assign(static_cast<std::size_t>(width), ' ');
  }
  const bool first = !given[1].is_missing() && given[1].truth();
  const bool blank = !given[2].is_missing() && given[2].truth();
  const std::string text = input.text() + "\n";
  std::string out = first ? indention : "";
  bool is_first = true;
  for (const std::string_view line : split_lines(text)) {
    if (!is_first) out += "\n";
    if (!is_first && (blank || !line.empty())) out += indention;
    is_first = false;
    out += line;
    interpreter.budget().build(line.size() + indention.size());
  }
  return Value(std::move(out), input.is_markup());
}

Value center(Interpreter& interpreter, const Value& input, Values& given) {
  Arguments arguments;
  arguments.positional = {given[0].is_missing() ? Value(80) : given[0]};
  return interpreter.call(interpreter.attribute(string_filter(interpreter, input, given), "center"), arguments);
}

Value truncate(Interpreter& interpreter, const Value& input, Values& given) {
  const std::int64_t length = given[0].is_missing() ? 255 : to_integer(given[0], "the length of truncate");
  const bool kill_words = !given[1].is_missing() && given[1].truth();
  const std::string end = given[2].is_missing() ? "..." : text_of(interpreter, given[2]);
  const bool no_leeway = given[3].is_missing() || given[3].is_none();
  const std::int64_t leeway = no_leeway ? 5 : to_integer(given[3], "the leeway of truncate");
  const auto end_length = static_cast<std::int64_t>(count_code_points(end));
  if (length < end_length) throw Failure("expected length >= " + std::to_string(end_length));
  if (leeway < 0) throw Failure("expected leeway >= 0");
  if (jinja::length(input) <= length + leeway) return input;
  if (!input.is_string()) throw Failure("truncate needs text");
  const std::string& text = input.text();
  std::string kept = text.substr(0, byte_position(text, static_cast<std::size_t>(length - end_length)));
  if (!kill_words) {
    const std::size_t space = kept.rfind(' ');
    if (space != std::string::npos) kept.resize(space);
  }
  return Value(kept + end, input.is_markup());
}

Value word_count(Interpreter& interpreter, const Value& input, Values&) {
  const std::string text = text_of(interpreter, input);
  std::int64_t count = 0;
  bool inside = false;
  for (std::size_t i = 0; i < text.size();) {
    const bool word = is_word(next_code_point(text, i));
    if (word && !inside) ++count;
    inside = word;
  }
  return count;
}

Value format(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    throw Failure("can't handle positional and keyword arguments at the same time");
  }
  Value values = Value::tuple(arguments.positional, budget);
  if (!arguments.named.empty()) {
    auto dict = std::make_shared<Dict>();
    for (const auto& [name, value] : arguments.named) dict->set(name, value, budget);
    values = Value::of(Kind::dict, std::move(dict));
  }
  return format_percent(input.is_string() ? input : Value(text_of(interpreter, input)), values, budget);
}

// As transformers replaces it: json.dumps without HTML escapes.
Value to_json_filter(Interpreter& interpreter, const Value& input, Values& given) {
  JsonStyle style;
  style.ensure_ascii = !given[0].is_missing() && given[0].truth();
  style.sort_keys = !given[3].is_missing() && given[3].truth();
  if (!given[1].is_missing() && !given[1].is_none()) {
    style.lines = true;
    style.item_separator = ",";
    if (given[1].is_string()) {
      style.indent = given[1].text();
    } else {
      const std::int64_t width = std::max<std::int64_t>(0, to_integer(given[1], "the indent of tojson"));
      interpreter.budget().build(static_cast<std::size_t>(width));
      style.indent.assign(static_cast<std::size_t>(width), ' ');
    }
  }
  if (!given[2].is_missing() && !given[2].is_none()) {
    const std::vector<Value> separators = collect(given[2], interpreter.budget());
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      throw Failure("separators of tojson must be two strings: between items, and after keys");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return to_json(input, style, interpreter.budget());
}

Value default_filter(Interpreter&, const Value& input, Values& given) {
  const bool also_false = !given[1].is_missing() && given[1].truth();
  if (!input.is_undefined() && !(also_false && !input.truth())) return input;
  return given[0].is_missing() ? Value("") : given[0];
}

}  // namespace

void add_text_filters(FilterTable& table) {
  table["upper"] = {{}, 0, upper, nullptr};
  table["lower"] = {{}, 0, lower, nullptr};
  table["capitalize"] = {{}, 0, capitalize_filter, nullptr};
  table["title"] = {{}, 0, title, nullptr};
  table["trim"] = {{"chars"}, 0, trim, nullptr};
  table["replace"] = {{"old", "new", "count"}, 2, replace_filter, nullptr};
  table["string"] = {{}, 0, string_filter, nullptr};
  table["safe"] = {{}, 0, safe, nullptr};
  table["e"] = table["escape"] = {{}, 0, escape_filter, nullptr};
  table["forceescape"] = {{}, 0, force_escape, nullptr};
  table["indent"] = {{"width", "first", "blank"}, 0, indent, nullptr};
  table["center"] = {{"width"}, 0, center, nullptr};
  table["truncate"] = {{"length", "killwords", "end", "leeway"}, 0, truncate, nullptr};
  table["wordcount"] = {{}, 0, word_count, nullptr};
  table["format"] = {{}, 0, nullptr, format};
  table["tojson"] = {{"ensure_ascii", "indent", "separators", "sort_keys"}, 0, to_json_filter, nullptr};
  table["d"] = table["default"] = {{"default_value", "boolean"}, 0, default_filter, nullptr};
}

}  // namespace grpo::text::jinja
