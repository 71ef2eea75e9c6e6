#include "expression.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "text.hpp"

namespace grpo::kit::grading {
namespace {

constexpr std::size_t max_input = 2000 + 200;  // a number of max_digits and some
constexpr int max_depth = 60;
constexpr int max_operations = 500;
constexpr double pi = 3.14159265358979323846;

constexpr std::string_view functions[] = {"arcsin", "arccos", "arctan", "sin", "cos", "tan", "cot",
                                          "sec",    "csc",    "log",    "lg",  "ln",  "exp"};

// Recursive descent. Every function answers nothing at the first thing it does not know.
class Parser {
 public:
  Parser(std::string_view s, Reading reading) : s_(s), reading_(reading) {}

  std::optional<Value> all() {
    auto v = choice();
    blanks();
    return v && at_ == s_.size() ? v : std::nullopt;
  }

 private:
  using Result = std::optional<Value>;

  void blanks() {
    while (at_ < s_.size() && s_[at_] == ' ') ++at_;
  }
  char peek() {
    blanks();
    return at_ < s_.size() ? s_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool spend() { return ++operations_ <= max_operations; }

  Result sum() {
    if (++depth_ > max_depth) return std::nullopt;
    Result v = product_of_factors();
    while (v && (peek() == '+' || peek() == '-')) {
      const bool subtract = s_[at_++] == '-';
      const Result next = product_of_factors();
      if (!next || !spend()) return std::nullopt;
      v = subtract ? minus(*v, *next) : plus(*v, *next);
    }
    --depth_;
    return v;
  }

  Result product_of_factors() {
    Result v = signed_factor();
    while (v) {
      const char c = peek();
      if (c == '*' || c == '/') {
        ++at_;
        const Result next = signed_factor();
        if (!next || !spend()) return std::nullopt;
        v = c == '*' ? Result(times(*v, *next)) : over(*v, *next);
      } else if (starts_factor(c)) {
        const Result next = power_of_primary();
        if (!next || !spend()) return std::nullopt;
        v = times(*v, *next);
      } else {
        break;
      }
    }
    return v;
  }
  bool starts_factor(char c) const {
    if (c == '|') return bars_ == 0;
    if (c == '\\') {
      const auto ends = [&](std::string_view mark) { return s_.substr(at_, mark.size()) == mark; };
      return !ends("\\}") && !ends("\\\\") && !ends("\\rfloor") && !ends("\\rceil") && !ends("\\choose") &&
             !ends("\\degree");
    }
    return is_letter(c) || is_digit(c) || c == '(' || c == '{' || c == '.' || c == '[';
  }

  Result signed_factor() {
    bool minus_sign = false;
    while (peek() == '-' || peek() == '+') minus_sign ^= s_[at_++] == '-';
    Result v = power_of_primary();
    return v && minus_sign ? negative(*v) : v;
  }

  Result power_of_primary() {
    if (++depth_ > max_depth) return std::nullopt;
    Result v = primary();
    while (v && peek() == '!') {
      ++at_;
      if (!spend()) return std::nullopt;
      v = factorial(*v);
    }
    if (v && take_command("degree")) v = spend() ? Result(times(*v, constant(pi / 180))) : std::nullopt;
    if (v && take('^')) {
      const Result exponent = superscript();
      v = exponent && spend() ? raised(*v, *exponent) : std::nullopt;
    }
    --depth_;
    return v;
  }
  Result superscript() {
    if (peek() == '-') {
      ++at_;
      const Result v = superscript();
      return v ? Result(negative(*v)) : v;
    }
    const Result v = argument();
    if (v && peek() == '^') {  // 2^3^2 = 2^(3^2)
      ++at_;
      const Result exponent = superscript();
      return exponent && spend() ? raised(*v, *exponent) : std::nullopt;
    }
    return v;
  }

  // n \choose k
  Result choice() {
    const Result top = sum();
    if (!top || !take_command("choose")) return top;
    const Result bottom = sum();
    return bottom && spend() ? binomial(*top, *bottom) : std::nullopt;
  }

  Result group(char open, char close) {
    if (!take(open)) return std::nullopt;
    const int bars = bars_;
    bars_ = 0;
    Result v = choice();
    bars_ = bars;
    return v && take(close) ? v : std::nullopt;
  }

  bool take_command(std::string_view name) {
    if (peek() != '\\') return false;
    const std::string_view rest = s_.substr(at_);
    if (rest.substr(1, name.size()) != name) return false;
    if (rest.size() > name.size() + 1 && is_letter(rest[name.size() + 1])) return false;
    at_ += name.size() + 1;
    return true;
  }

  // What a LaTeX command or ^ takes: a group, or one digit, letter or command. In plain text a whole number: 2^10.
  Result argument(bool one_digit = false) {
    const char c = peek();
    if (c == '{') return group('{', '}');
    if (is_digit(c) && one_digit) {
      ++at_;
      return from_integer(c - '0');
    }
    if (++depth_ > max_depth) return std::nullopt;
    Result v = primary();
    --depth_;
    return v;
  }

  Result primary() {
    const char c = peek();
    if (c == '{') return group('{', '}');
    if (c == '(') return group('(', ')');
    if (c == '[') return group('[', ']');
    if (c == '|') {
      ++at_;
      ++bars_;
      const Result v = sum();
      --bars_;
      return v && take('|') ? Result(absolute(*v)) : std::nullopt;
    }
    if (is_digit(c) || c == '.') return number();
    if (c == '\\') return command();
    if (is_letter(c)) return word();
    return std::nullopt;
  }

  std::string_view digits() {
    const std::size_t start = at_;
    while (at_ < s_.size() && is_digit(s_[at_])) ++at_;
    return s_.substr(start, at_ - start);
  }
  bool group_of_three(std::size_t i) const {
    return i + 4 <= s_.size() && (s_[i] == ',' || s_[i] == ' ') && is_digit(s_[i + 1]) && is_digit(s_[i + 2]) &&
           is_digit(s_[i + 3]) && (i + 4 == s_.size() || !is_digit(s_[i + 4]));
  }

  Result number() {
    std::string whole(digits());
    if (!whole.empty() && whole.size() <= 3 && whole != "0" && group_of_three(at_)) {  // 1,234,567 or 1 234 567
      const char separator = s_[at_];
      while (group_of_three(at_) && s_[at_] == separator) {
        ++at_;
        whole += digits();
      }
    }
    std::string_view fraction;
    if (at_ < s_.size() && s_[at_] == '.') {
      ++at_;
      fraction = digits();
    }
    if (whole.empty() && fraction.empty()) return std::nullopt;
    if (at_ < s_.size() && s_[at_] == '\\' && take_command("overline")) return recurring(whole, fraction);
    const long exponent = scientific();
    const auto r = decimal(whole, fraction, exponent);
    if (!r || (at_ < s_.size() && s_[at_] == '_')) return std::nullopt;  // 1011_2 names a base: text
    Value v = from_rational(*r);
    if (fraction.empty() && exponent == 0) {
      if (const Result part = mixed_part()) return plus(v, *part);
    }
    return v;
  }
  // 0.1\overline{6}: the figures under the line over as many nines.
  Result recurring(std::string_view whole, std::string_view fraction) {
    if (!take('{')) return std::nullopt;
    const std::string_view figures = digits();
    if (figures.empty() || figures.size() > 18 || !take('}')) return std::nullopt;
    const auto front = decimal(whole, fraction, 0);
    const auto numerator = Natural::from_digits(figures), zeros = Natural::power_of_ten(fraction.size());
    const auto nines = Natural::from_digits(std::string(figures.size(), '9'));
    if (!front || !numerator || !zeros || !nines) return std::nullopt;
    const auto tail = divide({false, *numerator, *nines}, {false, *zeros, Natural(1)});
    const auto sum = tail ? add(*front, *tail) : tail;
    return sum ? Result(from_rational(*sum)) : std::nullopt;
  }
  // e5, E-3 right after a number; 0 when there is none.
  long scientific() {
    if (at_ + 1 >= s_.size() || lower(s_[at_]) != 'e') return 0;
    std::size_t i = at_ + 1;
    const bool minus_sign = s_[i] == '-';
    if (s_[i] == '-' || s_[i] == '+') ++i;
    if (i >= s_.size() || !is_digit(s_[i])) return 0;
    long value = 0;
    for (; i < s_.size() && is_digit(s_[i]); ++i) value = std::min(value * 10 + (s_[i] - '0'), 1'000'000L);
    at_ = i;
    return minus_sign ? -value : value;
  }
  // The fraction of a mixed number, 1 1/2 or 1\frac{1}{2}: digits only.
  Result mixed_part() {
    const std::size_t start = at_;
    const auto back = [&]() -> Result {
      at_ = start;
      return std::nullopt;
    };
    const bool spaced = at_ < s_.size() && s_[at_] == ' ';
    blanks();
    std::string_view top, bottom;
    if (s_.substr(at_, 5) == "\\frac") {
      at_ += 5;
      const auto part = [&]() -> std::string_view {
        blanks();
        if (!take('{')) return at_ < s_.size() && is_digit(s_[at_]) ? s_.substr(at_++, 1) : std::string_view();
        blanks();
        const std::string_view d = digits();
        return take('}') ? d : std::string_view();
      };
      top = part();
      bottom = part();
    } else if (spaced) {
      top = digits();
      if (top.empty() || !take('/')) return back();
      bottom = digits();
    }
    if (top.empty() || bottom.empty()) return back();
    const auto t = Natural::from_digits(top), b = Natural::from_digits(bottom);
    if (!t || !b || b->is_zero() || compare(*t, *b) >= 0) return back();
    return from_rational({false, *t, *b});
  }

  Result command() {
    std::size_t end = at_ + 1;
    while (end < s_.size() && is_letter(s_[end])) ++end;
    const std::string_view name = s_.substr(at_ + 1, end - at_ - 1);
    at_ = end;
    if (name == "frac") {
      const Result top = argument(true), bottom = top ? argument(true) : top;
      return bottom && spend() ? over(*top, *bottom) : std::nullopt;
    }
    if (name == "binom") {
      const Result top = argument(true), bottom = top ? argument(true) : top;
      return bottom && spend() ? binomial(*top, *bottom) : std::nullopt;
    }
    if (name == "sqrt") return square_root(true);
    if (name == "max" || name == "min" || name == "gcd" || name == "lcm") return of_list(name);
    if (name == "lfloor" || name == "lceil") {
      const bool down = name == "lfloor";
      const Result x = sum();
      if (!x || !take_command(down ? "rfloor" : "rceil") || !spend()) return std::nullopt;
      return down ? rounded_down(*x) : rounded_up(*x);
    }
    if (name == "pi") return constant(pi);
    if (std::find(std::begin(functions), std::end(functions), name) != std::end(functions)) return call(name);
    return symbol(name);
  }

  // \max(1, 2), \gcd\{4, 6\}: of exact numbers.
  Result of_list(std::string_view name) {
    const bool braces = take_command("{");
    if (!braces && !take('(')) return std::nullopt;
    Result best;
    do {
      const Result next = sum();
      if (!next || !next->exact || !spend()) return std::nullopt;
      if (!best) {
        best = next;
      } else if (name == "max" || name == "min") {
        const Value gap = minus(*next, *best);
        if (!gap.exact) return std::nullopt;
        if (!gap.exact->is_zero() && gap.exact->negative == (name == "min")) best = next;
      } else {
        long a = 0, b = 0;
        if (!small_integer(best->exact, &a) || !small_integer(next->exact, &b)) return std::nullopt;
        const long common = std::gcd(a, b);
        if (name == "lcm" && common == 0) return std::nullopt;
        best = name == "gcd" ? Result(from_integer(common)) : times(from_integer(a / common), from_integer(b));
      }
    } while (take(','));
    return (braces ? take_command("}") : take(')')) ? best : std::nullopt;
  }

  Result square_root(bool latex) {
    int degree = 2;
    if (peek() == '[') {
      const Result n = group('[', ']');
      long d = 0;
      if (!n || !small_integer(n->exact, &d) || d < 2 || d > 100) return std::nullopt;
      degree = static_cast<int>(d);
    }
    const Result x = argument(latex);
    return x && spend() ? Result(root(*x, degree)) : std::nullopt;
  }

  // \sin^2 x, \log_{10} 2, \sin(x), \sin 2x
  Result call(std::string_view name) {
    Result base, exponent;
    for (int i = 0; i < 2; ++i) {
      if (take('_') && !(base = argument(true))) return std::nullopt;
      if (take('^') && !(exponent = superscript())) return std::nullopt;
    }
    if (++depth_ > max_depth || !spend()) return std::nullopt;
    Result x = peek() == '(' ? group('(', ')') : juxtaposed();
    --depth_;
    if (!x) return std::nullopt;
    static constexpr std::string_view inverted[] = {"sin", "cos", "tan"};
    long minus_one = 0;
    if (exponent && small_integer(exponent->exact, &minus_one) && minus_one == -1 &&
        std::find(std::begin(inverted), std::end(inverted), name) != std::end(inverted))
      return function("arc" + std::string(name), *x);  // \tan^{-1}
    if (!base && (name == "lg" || (name == "log" && reading_.decimal_log))) base = from_integer(10);
    Result v = function(name == "lg" ? "log" : name, *x);
    if (v && base) {
      const Result unit = function("log", *base);
      v = unit ? over(*v, *unit) : unit;
    }
    if (v && exponent) v = raised(*v, *exponent);
    return v;
  }
  Result juxtaposed() {
    if (!starts_factor(peek())) return std::nullopt;
    Result v = power_of_primary();
    while (v && starts_factor(peek()) && !function_follows()) {
      const Result next = power_of_primary();
      if (!next || !spend()) return std::nullopt;
      v = times(*v, *next);
    }
    return v;
  }
  bool function_follows() {
    std::string_view rest = s_.substr(at_);
    if (!rest.empty() && rest[0] == '\\') rest.remove_prefix(1);
    return std::any_of(std::begin(functions), std::end(functions),
                       [&](std::string_view f) { return rest.substr(0, f.size()) == f; });
  }

  // Plain text: known words, else one letter a variable; three letters and more are words.
  Result word() {
    std::size_t end = at_;
    while (end < s_.size() && is_letter(s_[end])) ++end;
    const std::string_view run = s_.substr(at_, end - at_);
    const auto is = [&](std::string_view w) { return run.substr(0, w.size()) == w; };
    if (is("sqrt")) {
      at_ += 4;
      return square_root(false);
    }
    for (std::string_view f : functions) {
      if (is(f)) {
        at_ += f.size();
        return call(f);
      }
    }
    if (is("pi")) {
      at_ += 2;
      return constant(pi);
    }
    if (run.size() > 2 && !spaced_product(run)) return std::nullopt;
    ++at_;
    if (run[0] == 'e') return constant(2.71828182845904523536);
    if (run[0] == 'i') return constant({0, 1});
    return symbol(run.substr(0, 1));
  }
  // abc may be a product of variables when the text holds nothing but such letters and signs, as in 3abc + 2.
  bool spaced_product(std::string_view run) const { return run.size() <= 4 && s_.size() > run.size() && at_ > 0; }

  // A variable with its subscript.
  Result symbol(std::string_view name) {
    std::string full(name);
    if (peek() == '_') {
      const std::size_t start = at_++;
      if (peek() == '{') {
        int depth = 0;
        while (at_ < s_.size()) {
          const char c = s_[at_++];
          if (c == '{') ++depth;
          if (c == '}' && --depth == 0) break;
        }
      } else if (at_ < s_.size()) {
        ++at_;
      }
      for (char c : s_.substr(start, at_ - start))
        if (c != ' ' && c != '{' && c != '}') full += c;
    }
    return variable(full, reading_.negative_variables);
  }

  std::string_view s_;
  Reading reading_;
  std::size_t at_ = 0;
  int depth_ = 0, bars_ = 0, operations_ = 0;
};

}  // namespace

std::optional<Value> evaluate(std::string_view cleaned, Reading reading) {
  if (cleaned.empty() || cleaned.size() > max_input) return std::nullopt;
  return Parser(cleaned, reading).all();
}

std::optional<std::size_t> decimal_places(std::string_view s) {
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  const std::size_t point = s.find('.');
  if (point == std::string_view::npos) return std::nullopt;
  const auto all_digits = [](std::string_view t) { return std::all_of(t.begin(), t.end(), is_digit); };
  if (!all_digits(s.substr(0, point)) || !all_digits(s.substr(point + 1))) return std::nullopt;
  return s.size() - point - 1;
}

}  // namespace grpo::kit::grading
