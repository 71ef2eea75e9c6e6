// compare.cpp: equality, order and membership.
#include <algorithm>

#include "operations.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

// Integers and reals compare exactly: 2**53 + 1 is not 2.0**53.
int compare_numbers(const Value& left, const Value& right, bool& unordered) {
  unordered = false;
  if (left.is_integral() && right.is_integral()) {
    return left.integer() < right.integer() ? -1 : left.integer() > right.integer() ? 1 : 0;
  }
  const auto a = left.is_integral() ? static_cast<long double>(left.integer()) : static_cast<long double>(left.real());
  const auto b =
      right.is_integral() ? static_cast<long double>(right.integer()) : static_cast<long double>(right.real());
  unordered = a != a || b != b;
  return a < b ? -1 : a > b ? 1 : 0;
}

bool equal_dicts(const Dict& left, const Dict& right, Budget& budget) {
  if (left.items.size() != right.items.size()) return false;
  for (const auto& [key, value] : left.items) {
    const Value* other = right.find(key, budget);
    if (!other || !(same(value, *other) || equal(value, *other, budget))) return false;
  }
  return true;
}

[[noreturn]] void fail_order(const Value& left, const Value& right, const char* sign) {
  if (left.is_undefined()) fail_undefined(left);
  if (right.is_undefined()) fail_undefined(right);
  throw Failure("'" + std::string(sign) + "' not supported between instances of '" + left.type_name() + "' and '" +
                right.type_name() + "'");
}

// -1, 0, 1; 2 for unordered numbers (nan)
int order(const Value& left, const Value& right, Budget& budget, const char* sign) {
  budget.step();
  budget.check_stack();
  if (left.is_number() && right.is_number()) {
    bool unordered = false;
    const int result = compare_numbers(left, right, unordered);
    return unordered ? 2 : result;
  }
  if (left.is_string() && right.is_string()) {
    budget.step(std::min(left.text().size(), right.text().size()) / 64);
    const int result = left.text().compare(right.text());  // UTF-8 sorts as code points do
    return result < 0 ? -1 : result > 0 ? 1 : 0;
  }
  const bool sequences =
      (left.is(Kind::list) && right.is(Kind::list)) || (left.is(Kind::tuple) && right.is(Kind::tuple));
  if (!sequences) fail_order(left, right, sign);
  const auto& a = left.items();
  const auto& b = right.items();
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (!same(a[i], b[i]) && !equal(a[i], b[i], budget)) return order(a[i], b[i], budget, sign);
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

}  // namespace

void fail_undefined(const Value& value) { throw Failure(value.as<Undefined>().message); }

bool same(const Value& left, const Value& right) {
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::none:
    case Kind::missing:
      return true;
    case Kind::boolean:
    case Kind::integer:
      return left.integer() == right.integer();
    case Kind::real:
      return false;
    default:
      return left.object() == right.object();
  }
}

bool equal(const Value& left, const Value& right, Budget& budget) {
  budget.step();
  budget.check_stack();
  if (left.is_number() && right.is_number()) {
    bool unordered = false;
    const int result = compare_numbers(left, right, unordered);
    return !unordered && result == 0;
  }
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      budget.step(left.text().size() == right.text().size() ? left.text().size() / 64 : 0);
      return left.text() == right.text();
    case Kind::list:
    case Kind::tuple: {
      const auto& a = left.items();
      const auto& b = right.items();
      if (a.size() != b.size()) return false;
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (!same(a[i], b[i]) && !equal(a[i], b[i], budget)) return false;
      }
      return true;
    }
    case Kind::dict:
      return equal_dicts(left.as<Dict>(), right.as<Dict>(), budget);
    case Kind::range: {
      const auto& a = left.as<Range>();
      const auto& b = right.as<Range>();
      const auto size = a.size();
      return size == b.size() && (size == 0 || (a.start == b.start && (size == 1 || a.step == b.step)));
    }
    case Kind::view: {
      const auto& a = left.as<View>();
      const auto& b = right.as<View>();
      if (a.part != b.part || a.part == View::Part::values) return left.object() == right.object();
      if (a.part == View::Part::items) return equal_dicts(*a.dict, *b.dict, budget);
      if (a.dict->items.size() != b.dict->items.size()) return false;
      return std::all_of(a.dict->items.begin(), a.dict->items.end(),
                         [&](const auto& item) { return b.dict->find(item.first, budget) != nullptr; });
    }
    default:
      return left.object() == right.object();
  }
}

bool less(const Value& left, const Value& right, Budget& budget, const char* sign) {
  return order(left, right, budget, sign) == -1;
}

bool less_equal(const Value& left, const Value& right, Budget& budget, const char* sign) {
  const int result = order(left, right, budget, sign);
  return result == -1 || result == 0;
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  switch (container.kind()) {
    case Kind::string:
      if (!item.is_string()) {
        throw Failure("'in <string>' requires string as left operand, not " + std::string(item.type_name()));
      }
      budget.step(container.text().size() / 64);
      return container.text().find(item.text()) != std::string::npos;
    case Kind::dict:
      return container.as<Dict>().find(item, budget) != nullptr;
    default:
      break;
  }
  if (!is_iterable(container)) {
    throw Failure("argument of type '" + std::string(container.type_name()) + "' is not iterable");
  }
  const Next next = iterate(container, budget);
  for (Value other; next(other);) {
    if (same(other, item) || equal(other, item, budget)) return true;
  }
  return false;
}

}  // namespace grpo::text::jinja
