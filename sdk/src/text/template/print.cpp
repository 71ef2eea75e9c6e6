#include "print.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "operations.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

void append_hex(std::string& out, const char* prefix, std::uint32_t value, int digits) {
  out += prefix;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += "0123456789abcdef"[(value >> shift) & 15];
}

void append_items(std::string& out, const std::vector<Value>& items, Budget& budget) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(out, items[i], budget);
  }
}

void append_dict(std::string& out, const Dict& dict, Budget& budget) {
  out += '{';
  for (std::size_t i = 0; i < dict.items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(out, dict.items[i].first, budget);
    out += ": ";
    append_repr(out, dict.items[i].second, budget);
  }
  out += '}';
}

void append_view(std::string& out, const View& view, Budget& budget) {
  static constexpr const char* names[] = {"dict_keys([", "dict_values([", "dict_items(["};
  out += names[static_cast<int>(view.part)];
  bool first = true;
  for (const auto& [key, value] : view.dict->items) {
    if (!first) out += ", ";
    first = false;
    if (view.part == View::Part::items) out += '(';
    if (view.part != View::Part::values) append_repr(out, key, budget);
    if (view.part == View::Part::items) out += ", ";
    if (view.part != View::Part::keys) append_repr(out, value, budget);
    if (view.part == View::Part::items) out += ')';
  }
  out += "])";
}

void append_json_text(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const char32_t c = next_code_point(text, i);
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\f':
        out += "\\f";
        continue;
      case '\b':
        out += "\\b";
        continue;
      default:
        break;
    }
    if (c < 0x20 || (ensure_ascii && c > 0x7e && c < 0x10000)) {
      append_hex(out, "\\u", c, 4);
    } else if (ensure_ascii && c >= 0x10000) {
      append_hex(out, "\\u", 0xd800 + ((c - 0x10000) >> 10), 4);
      append_hex(out, "\\u", 0xdc00 + ((c - 0x10000) & 0x3ff), 4);
    } else {
      out.append(text, start, i - start);
    }
  }
  out += '"';
}

std::string json_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return repr_real(value);
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  void write(const Value& value) {
    budget_.step();
    budget_.check_stack();
    const std::size_t before = out.size();
    switch (value.kind()) {
      case Kind::none:
        out += "null";
        break;
      case Kind::boolean:
        out += value.boolean() ? "true" : "false";
        break;
      case Kind::integer:
        out += std::to_string(value.integer());
        break;
      case Kind::real:
        out += json_real(value.real());
        break;
      case Kind::string:
        append_json_text(out, value.text(), style_.ensure_ascii);
        break;
      case Kind::list:
      case Kind::tuple:
        return write_list(value.items());
      case Kind::dict:
        return write_dict(value.as<Dict>());
      default:
        throw Failure("Object of type " + std::string(value.type_name()) + " is not JSON serializable" +
                      (value.is_undefined() ? ": " + value.as<Undefined>().message : ""));
    }
    budget_.build(out.size() - before);
  }

  std::string out;

 private:
  void write_list(const std::vector<Value>& items) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      break_line();
      write(items[i]);
    }
    --level_;
    break_line();
    out += ']';
  }

  void write_dict(const Dict& dict) {
    if (dict.items.empty()) {
      out += "{}";
      return;
    }
    std::vector<std::pair<Value, Value>> sorted;
    if (style_.sort_keys) {
      sorted = dict.items;
      std::stable_sort(sorted.begin(), sorted.end(),
                       [this](const auto& a, const auto& b) { return less(a.first, b.first, budget_); });
    }
    out += '{';
    ++level_;
    bool first = true;
    for (const auto& [key, value] : style_.sort_keys ? sorted : dict.items) {
      if (!first) out += style_.item_separator;
      first = false;
      break_line();
      write_key(key);
      out += style_.key_separator;
      write(value);
    }
    --level_;
    break_line();
    out += '}';
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::string:
        return append_json_text(out, key.text(), style_.ensure_ascii);
      case Kind::none:
        out += "\"null\"";
        return;
      case Kind::boolean:
        out += key.boolean() ? "\"true\"" : "\"false\"";
        return;
      case Kind::integer:
        out += '"' + std::to_string(key.integer()) + '"';
        return;
      case Kind::real:
        out += '"' + json_real(key.real()) + '"';
        return;
      default:
        throw Failure("keys must be str, int, float, bool or None, not " + std::string(key.type_name()));
    }
  }

  void break_line() {
    if (!style_.lines) return;
    budget_.build(1 + level_ * style_.indent.size());
    out += '\n';
    for (std::size_t i = 0; i < level_; ++i) out += style_.indent;
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::size_t level_ = 0;
};

}  // namespace

std::string repr_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific).ptr;
  const std::string scientific(buffer.data(), end);
  const std::size_t mark = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(mark + 1));
  if (exponent < -4 || exponent >= 16) return scientific;  // both write at least two digits of exponent
  std::string digits;
  for (const char c : scientific.substr(0, mark)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = std::signbit(value) ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < 0) {
    out += "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  } else if (count <= exponent + 1) {
    out += digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  } else {
    out += digits.substr(0, static_cast<std::size_t>(exponent + 1)) + "." +
           digits.substr(static_cast<std::size_t>(exponent + 1));
  }
  return out;
}

std::string repr_text(std::string_view text) {
  const bool double_quotes = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const char32_t c = next_code_point(text, i);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out.append(text, start, i - start);
    } else if (c < 0x100) {
      append_hex(out, "\\x", c, 2);
    } else if (c < 0x10000) {
      append_hex(out, "\\u", c, 4);
    } else {
      append_hex(out, "\\U", c, 8);
    }
  }
  return out + quote;
}

void append_repr(std::string& out, const Value& value, Budget& budget) {
  budget.step();
  budget.check_stack();
  switch (value.kind()) {
    case Kind::string: {
      const std::string quoted = repr_text(value.text());
      budget.build(quoted.size());
      out += value.is_markup() ? "Markup(" + quoted + ")" : quoted;
      return;
    }
    case Kind::undefined:
      out += "Undefined";
      return;
    case Kind::list:
      out += '[';
      append_items(out, value.items(), budget);
      out += ']';
      return;
    case Kind::tuple:
      out += '(';
      append_items(out, value.items(), budget);
      out += value.items().size() == 1 ? ",)" : ")";
      return;
    case Kind::dict:
      return append_dict(out, value.as<Dict>(), budget);
    case Kind::view:
      return append_view(out, value.as<View>(), budget);
    default:
      out += to_text(value, budget);
  }
}

std::string repr(const Value& value, Budget& budget) {
  std::string out;
  append_repr(out, value, budget);
  return out;
}

std::string to_text(const Value& value, Budget& budget) {
  switch (value.kind()) {
    case Kind::missing:
    case Kind::undefined:
      return {};
    case Kind::none:
      return "None";
    case Kind::boolean:
      return value.boolean() ? "True" : "False";
    case Kind::integer:
      return std::to_string(value.integer());
    case Kind::real:
      return repr_real(value.real());
    case Kind::string:
      return value.text();
    case Kind::range: {
      const auto& range = value.as<Range>();
      std::string out = "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
      if (range.step != 1) out += ", " + std::to_string(range.step);
      return out + ")";
    }
    case Kind::iterator:
      return "<" + std::string(value.as<Iterator>().type) + " object>";
    case Kind::space: {
      std::string out = "<Namespace {";
      budget.check_stack();
      bool first = true;
      for (const auto& [name, item] : value.as<Space>().items) {
        if (!first) out += ", ";
        first = false;
        out += repr_text(name) + ": ";
        append_repr(out, item, budget);
      }
      return out + "}>";
    }
    case Kind::special:
      return value.as<Special>().print(budget);
    default:
      return repr(value, budget);
  }
}

std::string to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonWriter writer(style, budget);
  writer.write(value);
  return std::move(writer.out);
}

}  // namespace grpo::text::jinja
