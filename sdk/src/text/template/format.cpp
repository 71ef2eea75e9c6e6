// format.cpp: "%d of %s" % (1, 'x') and "{} of {name!r:>5}".format(...).
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "interpreter.hpp"
#include "methods.hpp"
#include "operations.hpp"
#include "print.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

constexpr std::int64_t max_width = 1 << 20;

/// How a number or text is laid out, by either notation.
struct Layout {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';    // - + or space
  bool alternate = false;
  bool zero = false;
  char grouping = '\0';
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = '\0';
};

std::string pad(const std::string& text, const Layout& layout, char align, std::size_t prefix, Budget& budget) {
  const auto size = static_cast<std::int64_t>(count_code_points(text));
  if (layout.width <= size) return text;
  budget.build(static_cast<std::size_t>(layout.width));
  const std::int64_t room = layout.width - size;
  const std::int64_t before = align == '<' || align == '=' ? 0 : align == '^' ? room / 2 : room;
  std::string out = align == '=' ? text.substr(0, prefix) : "";
  const std::int64_t here = align == '=' ? room : before;
  for (std::int64_t i = 0; i < here; ++i) out += layout.fill;
  out += align == '=' ? text.substr(prefix) : text;
  for (std::int64_t i = here; i < room; ++i) out += layout.fill;
  return out;
}

std::string in_base(std::uint64_t value, unsigned base, bool upper) {
  // A pointer first: GCC 12 puts the index of (upper ? "..." : "...")[index] into both branches, and what its check for
  // a division by zero (-fsanitize=integer-divide-by-zero, nothing else is needed) saves of it is set in the first
  // alone.
  const char* const symbols = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string digits;
  do {
    digits += symbols[value % base];
    value /= base;
  } while (value > 0);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string grouped(const std::string& digits, char separator) {
  const std::size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string out;
  for (std::size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % 3 == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(end);
}

std::string integer_digits(std::int64_t value, const Layout& layout) {
  const auto magnitude =
      value < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  switch (layout.type) {
    case 'x':
      return (layout.alternate ? "0x" : "") + in_base(magnitude, 16, false);
    case 'X':
      return (layout.alternate ? "0X" : "") + in_base(magnitude, 16, true);
    case 'o':
      return (layout.alternate ? "0o" : "") + in_base(magnitude, 8, false);
    case 'b':
      return (layout.alternate ? "0b" : "") + in_base(magnitude, 2, false);
    default:
      return in_base(magnitude, 10, false);
  }
}

std::string real_digits(double value, const Layout& layout) {
  const bool upper = layout.type == 'E' || layout.type == 'F' || layout.type == 'G';
  if (std::isnan(value)) return upper ? "NAN" : "nan";
  if (std::isinf(value)) return upper ? "INF" : "inf";
  value = std::abs(value);
  const std::int64_t precision = layout.precision < 0 ? 6 : layout.precision;
  if (precision > 1000) throw Failure("the precision of a format is too large");
  char type = layout.type;
  if (type == '\0' && layout.precision < 0) return repr_real(value);
  if (type == '%') {
    type = 'f';
    value *= 100;
  }
  if (type == '\0' || type == 'n') type = 'g';
  const std::string format = std::string(layout.alternate ? "%#." : "%.") + "*" + type;
  char buffer[2048];
  std::snprintf(buffer, sizeof buffer, format.c_str(), static_cast<int>(precision), value);
  std::string digits = buffer;
  if (layout.type == '\0' && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  return layout.type == '%' ? digits + "%" : digits;
}

std::string number_text(const Value& value, const Layout& layout, Budget& budget) {
  const bool as_real =
      !value.is_integral() || (layout.type != '\0' && std::string("eEfFgG%").find(layout.type) != std::string::npos);
  const bool negative = as_real ? std::signbit(value.real()) && !std::isnan(value.real()) : value.integer() < 0;
  std::string digits = as_real ? real_digits(value.real(), layout) : integer_digits(value.integer(), layout);
  if (layout.grouping) digits = grouped(digits, layout.grouping);
  const std::string sign = negative ? "-" : layout.sign == '+' ? "+" : layout.sign == ' ' ? " " : "";
  Layout padded = layout;
  char align = layout.align ? layout.align : '>';
  if (layout.zero && !layout.align) {
    align = '=';
    padded.fill = "0";
  }
  const std::size_t prefix = sign.size() + (!as_real && layout.alternate && layout.type != 'd' && layout.type ? 2 : 0);
  return pad(sign + digits, padded, align, prefix, budget);
}

std::string text_in_layout(std::string text, const Layout& layout, char align, Budget& budget) {
  if (layout.precision >= 0) text.resize(byte_position(text, static_cast<std::size_t>(layout.precision)));
  return pad(text, layout, layout.align ? layout.align : align, 0, budget);
}

std::int64_t read_number(std::string_view text, std::size_t& at) {
  std::int64_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = std::min(value * 10 + (text[at++] - '0'), max_width + 1);
  }
  if (value > max_width) throw Failure("a width or precision in a format is too large");
  return value;
}

// -- percent

class PercentFormatter {
 public:
  PercentFormatter(const Value& text, const Value& value, Budget& budget)
      : text_(text), value_(value), budget_(budget) {}

  Value run() {
    const std::string& text = text_.text();
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      if (text[at] != '%') {
        out += text[at++];
        continue;
      }
      ++at;
      out += conversion(text, at);
    }
    // what can be subscripted counts as a mapping, which need not be used up
    const bool mapping =
        value_.is(Kind::dict) || value_.is(Kind::list) || value_.is(Kind::range) || value_.is_undefined();
    const bool all_used = value_.is(Kind::tuple) ? used_ >= value_.items().size() : used_ > 0 || mapping;
    if (!all_used) throw Failure("not all arguments converted during string formatting");
    budget_.build(out.size());
    return Value(std::move(out), text_.is_markup());
  }

 private:
  const Value& next_value() {
    if (value_.is(Kind::tuple)) {
      if (used_ >= value_.items().size()) throw Failure("not enough arguments for format string");
      return value_.items()[used_++];
    }
    if (used_++ > 0) throw Failure("not enough arguments for format string");
    return value_;
  }

  std::int64_t number_or_star(const std::string& text, std::size_t& at) {
    if (at >= text.size() || text[at] != '*') return read_number(text, at);
    ++at;
    const std::int64_t value = to_integer(next_value(), "*");
    if (std::abs(value) > max_width) throw Failure("a width or precision in a format is too large");
    return value;
  }

  std::string conversion(const std::string& text, std::size_t& at) {
    Layout layout;
    const Value* named = nullptr;
    if (at < text.size() && text[at] == '(') {
      const std::size_t end = text.find(')', at);
      if (end == std::string::npos) throw Failure("incomplete format key");
      if (!value_.is(Kind::dict)) throw Failure("format requires a mapping");
      const std::string key = text.substr(at + 1, end - at - 1);
      named = value_.as<Dict>().find(key);
      if (!named) throw Failure("the mapping has no key '" + key + "'");
      at = end + 1;
    }
    for (bool flags = true; flags && at < text.size();) {
      switch (text[at]) {
        case '-':
          layout.align = '<';
          break;
        case '+':
          layout.sign = '+';
          break;
        case ' ':
          if (layout.sign != '+') layout.sign = ' ';
          break;
        case '#':
          layout.alternate = true;
          break;
        case '0':
          layout.zero = true;
          break;
        default:
          flags = false;
      }
      if (flags) ++at;
    }
    layout.width = number_or_star(text, at);
    if (layout.width < 0) {
      layout.align = '<';
      layout.width = -layout.width;
    }
    if (at < text.size() && text[at] == '.') {
      ++at;
      layout.precision = std::max<std::int64_t>(0, number_or_star(text, at));
    }
    while (at < text.size() && (text[at] == 'h' || text[at] == 'l' || text[at] == 'L')) ++at;
    if (at >= text.size()) throw Failure("incomplete format");
    layout.type = text[at++];
    if (layout.type == '%') return "%";
    return converted(named ? *named : next_value(), layout);
  }

  std::string converted(const Value& value, Layout layout) {
    switch (layout.type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text = layout.type == 's' ? to_text(value, budget_) : repr(value, budget_);
        if (text_.is_markup() && !value.is_markup()) text = escape_html(text);
        return text_in_layout(std::move(text), layout, '>', budget_);
      }
      case 'c':
        if (value.is_string() && length(value) == 1) return text_in_layout(value.text(), layout, '>', budget_);
        if (value.is_integral()) {
          std::string text;
          append_code_point(text, static_cast<char32_t>(value.integer()));
          return text_in_layout(std::move(text), layout, '>', budget_);
        }
        throw Failure("%c requires int or char");
      case 'd':
      case 'i':
      case 'u': {
        if (value.is_undefined()) fail_undefined(value);
        if (!value.is_number())
          throw Failure("%d format: a real number is required, not " + std::string(value.type_name()));
        layout.type = 'd';
        if (value.is_integral()) return integer_with_precision(value.integer(), layout);
        if (!(std::abs(value.real()) < 9.2e18)) throw Failure("%d format: the number does not fit 64 bits");
        return integer_with_precision(static_cast<std::int64_t>(value.real()), layout);
      }
      case 'x':
      case 'X':
      case 'o':
        if (!value.is_integral())
          throw Failure("%x format: an integer is required, not " + std::string(value.type_name()));
        return integer_with_precision(value.integer(), layout);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (value.is_undefined()) fail_undefined(value);
        if (!value.is_number()) throw Failure("must be real number, not " + std::string(value.type_name()));
        return number_text(Value(value.real()), layout, budget_);
      default:
        throw Failure("unsupported format character '" + std::string(1, layout.type) + "'");
    }
  }

  std::string integer_with_precision(std::int64_t value, Layout layout) {
    std::string digits = integer_digits(value, layout);
    const std::size_t prefix = layout.alternate && layout.type != 'd' ? 2 : 0;
    while (static_cast<std::int64_t>(digits.size() - prefix) < layout.precision) digits.insert(prefix, "0");
    const std::string sign = value < 0 ? "-" : layout.sign == '+' ? "+" : layout.sign == ' ' ? " " : "";
    char align = layout.align ? layout.align : '>';
    if (layout.zero && !layout.align) {
      align = '=';
      layout.fill = "0";
    }
    return pad(sign + digits, layout, align, sign.size() + prefix, budget_);
  }

  const Value& text_;
  const Value& value_;
  Budget& budget_;
  std::size_t used_ = 0;
};

// -- braces

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Value& text, const Arguments& arguments)
      : interpreter_(interpreter), budget_(interpreter.budget()), self_(text), arguments_(arguments) {}

  std::string run(std::string_view text, int depth) {
    if (depth > 2) throw Failure("Max string recursion exceeded");
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const char c = text[at];
      if (c != '{' && c != '}') {
        out += c;
        ++at;
      } else if (at + 1 < text.size() && text[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '}') {
        throw Failure("Single '}' encountered in format string");
      } else {
        const std::size_t end = field_end(text, at);
        out += field(text.substr(at + 1, end - at - 1), depth);
        at = end + 1;
      }
    }
    budget_.build(out.size());
    return out;
  }

 private:
  static std::size_t field_end(std::string_view text, std::size_t at) {
    int open = 0;
    for (; at < text.size(); ++at) {
      if (text[at] == '{') ++open;
      if (text[at] == '}' && --open == 0) return at;
    }
    throw Failure("expected '}' before end of string");
  }

  std::string field(std::string_view field, int depth) {
    const std::size_t mark = field.find_first_of("!:");
    const std::string_view name = field.substr(0, mark);
    char conversion = '\0';
    std::string spec;
    if (mark != std::string_view::npos) {
      std::string_view rest = field.substr(mark);
      if (rest[0] == '!') {
        if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
          throw Failure("expected ':' after conversion specifier");
        conversion = rest[1];
        rest.remove_prefix(2);
      }
      if (!rest.empty()) spec = run(rest.substr(1), depth + 1);
    }
    Value value = lookup(name);
    if (conversion == 's') value = Value(to_text(value, budget_));
    if (conversion == 'r' || conversion == 'a') value = Value(repr(value, budget_));
    if (conversion && std::string_view("sra").find(conversion) == std::string_view::npos) {
      throw Failure("Unknown conversion specifier " + std::string(1, conversion));
    }
    const std::string text = formatted(value, spec);
    return self_.is_markup() && !value.is_markup() ? escape_html(text) : text;
  }

  Value lookup(std::string_view name) {
    const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, first_end));
    for (std::size_t at = first_end; at < name.size();) {
      if (name[at] == '.') {
        const std::size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        value = interpreter_.attribute(value, std::string(name.substr(at + 1, end - at - 1)));
        at = end;
      } else {
        const std::size_t end = name.find(']', at);
        if (name[at] != '[' || end == std::string_view::npos) throw Failure("Missing ']' in format string");
        const std::string key(name.substr(at + 1, end - at - 1));
        const bool number = !key.empty() && key.size() < 18 && key.find_first_not_of("0123456789") == std::string::npos;
        value = interpreter_.item(value, number ? Value(static_cast<std::int64_t>(std::stoll(key))) : Value(key));
        at = end + 1;
      }
    }
    return value;
  }

  Value first(std::string_view name) {
    std::size_t index = next_;
    if (name.empty()) {
      if (numbered_) throw Failure("cannot switch from manual field specification to automatic field numbering");
      automatic_ = true;
      ++next_;
    } else if (name.find_first_not_of("0123456789") == std::string_view::npos && name.size() < 9) {
      if (automatic_) throw Failure("cannot switch from automatic field numbering to manual field specification");
      numbered_ = true;
      index = static_cast<std::size_t>(std::stoul(std::string(name)));
    } else {
      for (const auto& [known, value] : arguments_.named) {
        if (known == name) return value;
      }
      throw Failure("format() has no argument '" + std::string(name) + "'");
    }
    if (index >= arguments_.positional.size())
      throw Failure("Replacement index " + std::to_string(index) + " out of range");
    return arguments_.positional[index];
  }

  std::string formatted(const Value& value, const std::string& spec) {
    if (spec.empty()) return to_text(value, budget_);
    const Layout layout = parse(spec);
    const bool text_type = layout.type == '\0' || layout.type == 's';
    if (value.is_string() && text_type) {
      if (layout.sign != '-' || layout.align == '=') throw Failure("this format does not fit a string: '" + spec + "'");
      return text_in_layout(value.text(), layout, '<', budget_);
    }
    if (value.is_number() && layout.type != 's') {
      if (value.is(Kind::boolean) && layout.type == '\0') return number_text(Value(value.integer()), layout, budget_);
      if (value.is(Kind::real) && layout.type != '\0' &&
          std::string_view("dxXob").find(layout.type) != std::string_view::npos) {
        throw Failure("Unknown format code '" + std::string(1, layout.type) + "' for object of type 'float'");
      }
      if (value.is_integral() && layout.precision >= 0 && text_type) {
        throw Failure("Precision not allowed in integer format specifier");
      }
      return number_text(value, layout, budget_);
    }
    throw Failure("unsupported format '" + spec + "' for an object of type '" + value.type_name() + "'");
  }

  static Layout parse(const std::string& spec) {
    Layout layout;
    std::size_t at = 0;
    const auto aligns = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
    std::size_t after_first = 0;
    next_code_point(spec, after_first);
    if (after_first < spec.size() && aligns(spec[after_first])) {
      layout.fill = spec.substr(0, after_first);
      layout.align = spec[after_first];
      at = after_first + 1;
    } else if (aligns(spec[0])) {
      layout.align = spec[0];
      at = 1;
    }
    const auto at_one_of = [&](const char* signs) {
      return at < spec.size() && std::string(signs).find(spec[at]) != std::string::npos;
    };
    if (at_one_of("+- ")) layout.sign = spec[at++];
    if (at_one_of("#")) layout.alternate = ++at > 0;
    if (at_one_of("0")) layout.zero = ++at > 0;
    layout.width = read_number(spec, at);
    if (at_one_of(",_")) layout.grouping = spec[at++];
    if (at_one_of(".")) {
      ++at;
      if (!at_one_of("0123456789")) throw Failure("Format specifier missing precision");
      layout.precision = read_number(spec, at);
    }
    if (at < spec.size()) layout.type = spec[at++];
    const bool known = layout.type == '\0' || std::string("sdbxXoeEfFgGn%").find(layout.type) != std::string::npos;
    if (at < spec.size() || !known) throw Failure("Invalid format specifier '" + spec + "'");
    if (layout.type == 'n') layout.type = '\0';
    return layout;
  }

  Interpreter& interpreter_;
  Budget& budget_;
  const Value& self_;
  const Arguments& arguments_;
  std::size_t next_ = 0;
  bool automatic_ = false, numbered_ = false;
};

}  // namespace

Value format_percent(const Value& text, const Value& value, Budget& budget) {
  return PercentFormatter(text, value, budget).run();
}

Value format_braces(Interpreter& interpreter, const Value& text, const Arguments& arguments) {
  return Value(BraceFormatter(interpreter, text, arguments).run(text.text(), 0), text.is_markup());
}

}  // namespace grpo::text::jinja
