// methods_change.cpp: methods of str that return another one: strip, replace, upper, join, ...
#include <utf8proc.h>

#include "interpreter.hpp"
#include "methods.hpp"
#include "operations.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

using Values = std::vector<Value>;

/// Markup escapes what is put into it.
std::string inserted(const Value& self, const Value& given, const char* method) {
  const std::string& text = text_argument(given, method);
  return self.is_markup() && !given.is_markup() ? escape_html(text) : text;
}

Value like(const Value& self, std::string text, Interpreter& interpreter) {
  interpreter.budget().build(text.size());
  return Value(std::move(text), self.is_markup());
}

template <std::string (*change)(std::string_view)>
Value changed(Interpreter& interpreter, const Value& self, Values&) {
  return like(self, change(self.text()), interpreter);
}

std::string case_fold(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    utf8proc_int32_t folded[8];
    int boundary = 0;
    const auto c = static_cast<utf8proc_int32_t>(next_code_point(text, i));
    const auto count = utf8proc_decompose_char(c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t j = 0; j < count && j < 8; ++j) append_code_point(out, static_cast<char32_t>(folded[j]));
  }
  return out;
}

template <bool left, bool right>
Value strip_method(Interpreter& interpreter, const Value& self, Values& given) {
  const std::string* chars = nullptr;
  if (!given[0].is_missing() && !given[0].is_none()) chars = &text_argument(given[0], "strip");
  return like(self, std::string(strip(self.text(), left, right, chars)), interpreter);
}

Value replace_method(Interpreter& interpreter, const Value& self, Values& given) {
  const std::string& old = text_argument(given[0], "replace");
  const std::string by = inserted(self, given[1], "replace");
  std::int64_t left = given[2].is_missing() ? -1 : to_integer(given[2], "the count of replace");
  const std::string& text = self.text();
  Budget& budget = interpreter.budget();
  std::string out;
  if (old.empty()) {
    // before every character and at the end
    for (std::size_t i = 0; i <= text.size();) {
      if (left != 0) {
        budget.build(by.size());
        out += by;
        --left;
      }
      if (i == text.size()) break;
      const std::size_t start = i;
      next_code_point(text, i);
      out.append(text, start, i - start);
    }
    return like(self, std::move(out), interpreter);
  }
  std::size_t from = 0;
  for (; left != 0; --left) {
    const std::size_t at = text.find(old, from);
    if (at == std::string::npos) break;
    budget.build(by.size() + at - from);
    out.append(text, from, at - from);
    out += by;
    from = at + old.size();
  }
  out.append(text, from);
  return like(self, std::move(out), interpreter);
}

Value join_method(Interpreter& interpreter, const Value& self, Values& given) {
  Budget& budget = interpreter.budget();
  if (given[0].is_undefined()) return like(self, "", interpreter);
  std::string out;
  bool first = true;
  const Next next = iterate(given[0], budget);
  for (Value item; next(item);) {
    if (!item.is_string() && !self.is_markup()) {
      throw Failure("join() needs strings, but found '" + std::string(item.type_name()) + "'");
    }
    const std::string text = self.is_markup() ? escape(item, budget).text() : item.text();
    if (!first) out += self.text();
    first = false;
    out += text;
    budget.build(text.size() + self.text().size());
  }
  return Value(std::move(out), self.is_markup());
}

template <int side>  // -1: text at the left, 0: in the middle, 1: at the right
Value justify(Interpreter& interpreter, const Value& self, Values& given) {
  const std::int64_t width = to_integer(given[0], "the width");
  const std::string fill = given[1].is_missing() ? " " : inserted(self, given[1], "center");
  if (count_code_points(fill) != 1) throw Failure("The fill character must be exactly one character long");
  const std::int64_t size = length(self);
  if (width <= size) return self;
  const std::int64_t room = width - size;
  interpreter.budget().build(static_cast<std::size_t>(room));
  // as Python: the odd one goes left when the width is odd too
  const std::int64_t before = side < 0 ? 0 : side > 0 ? room : room / 2 + (room & width & 1);
  std::string out;
  for (std::int64_t i = 0; i < before; ++i) out += fill;
  out += self.text();
  for (std::int64_t i = before; i < room; ++i) out += fill;
  return like(self, std::move(out), interpreter);
}

Value zfill(Interpreter& interpreter, const Value& self, Values& given) {
  const std::int64_t room = to_integer(given[0], "the width") - length(self);
  const std::string& text = self.text();
  if (room <= 0) return self;
  interpreter.budget().build(static_cast<std::size_t>(room));
  const std::size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  return like(self, text.substr(0, sign) + std::string(static_cast<std::size_t>(room), '0') + text.substr(sign),
              interpreter);
}

Value remove_prefix(Interpreter& interpreter, const Value& self, Values& given) {
  const std::string& prefix = text_argument(given[0], "removeprefix");
  if (self.text().compare(0, prefix.size(), prefix) != 0) return self;
  return like(self, self.text().substr(prefix.size()), interpreter);
}

Value remove_suffix(Interpreter& interpreter, const Value& self, Values& given) {
  const std::string& suffix = text_argument(given[0], "removesuffix");
  const std::string& text = self.text();
  if (text.size() < suffix.size() || text.compare(text.size() - suffix.size(), suffix.size(), suffix) != 0) return self;
  return like(self, text.substr(0, text.size() - suffix.size()), interpreter);
}

Value expand_tabs(Interpreter& interpreter, const Value& self, Values& given) {
  const std::int64_t size = given[0].is_missing() ? 8 : to_integer(given[0], "the tab size");
  const std::string& text = self.text();
  std::string out;
  std::int64_t column = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const char32_t c = next_code_point(text, i);
    if (c == '\t') {
      const std::int64_t spaces = size > 0 ? size - column % size : 0;
      interpreter.budget().build(static_cast<std::size_t>(spaces));
      out.append(static_cast<std::size_t>(spaces), ' ');
      column += spaces;
    } else {
      column = c == '\n' || c == '\r' ? 0 : column + 1;
      out.append(text, start, i - start);
    }
  }
  return like(self, std::move(out), interpreter);
}

}  // namespace

void add_change_methods(StringMethods& table) {
  table["upper"] = {{}, 0, changed<to_upper>};
  table["lower"] = {{}, 0, changed<to_lower>};
  table["capitalize"] = {{}, 0, changed<capitalize>};
  table["title"] = {{}, 0, changed<title_case>};
  table["swapcase"] = {{}, 0, changed<swap_case>};
  table["casefold"] = {{}, 0, changed<case_fold>};
  table["strip"] = {{"/chars"}, 0, strip_method<true, true>};
  table["lstrip"] = {{"/chars"}, 0, strip_method<true, false>};
  table["rstrip"] = {{"/chars"}, 0, strip_method<false, true>};
  table["replace"] = {{"/old", "/new", "/count"}, 2, replace_method};
  table["join"] = {{"/iterable"}, 1, join_method};
  table["ljust"] = {{"/width", "/fillchar"}, 1, justify<-1>};
  table["rjust"] = {{"/width", "/fillchar"}, 1, justify<1>};
  table["center"] = {{"/width", "/fillchar"}, 1, justify<0>};
  table["zfill"] = {{"/width"}, 1, zfill};
  table["removeprefix"] = {{"/prefix"}, 1, remove_prefix};
  table["removesuffix"] = {{"/suffix"}, 1, remove_suffix};
  table["expandtabs"] = {{"tabsize"}, 0, expand_tabs};
}

}  // namespace grpo::text::jinja
