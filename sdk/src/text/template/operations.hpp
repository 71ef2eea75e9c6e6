// operations.hpp: Python's operators on values.
#ifndef GRPO_TEXT_TEMPLATE_OPERATIONS_HPP
#define GRPO_TEXT_TEMPLATE_OPERATIONS_HPP

#include "value.hpp"

namespace grpo::text::jinja {

enum class Operator : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
const char* symbol(Operator op);

bool equal(const Value& left, const Value& right, Budget& budget);
/// `is` in Python: the same object.
bool same(const Value& left, const Value& right);
/// left < right; Failure where Python has no order. `sign` is for the message.
bool less(const Value& left, const Value& right, Budget& budget, const char* sign = "<");
bool less_equal(const Value& left, const Value& right, Budget& budget, const char* sign = "<=");
bool contains(const Value& container, const Value& item, Budget& budget);

Value binary(Operator op, const Value& left, const Value& right, Budget& budget);
Value negate(const Value& value);
Value plus(const Value& value);

/// len(); Failure where there is none.
std::int64_t length(const Value& value);
bool has_length(const Value& value);
/// iter(); Failure where there is none. What it returns keeps `value` alive.
Next iterate(const Value& value, Budget& budget);
bool is_iterable(const Value& value);
/// All items. Uses up an iterator.
std::vector<Value> collect(const Value& value, Budget& budget);
/// reversed(): Failure for what cannot be read backwards.
std::vector<Value> collect_reversed(const Value& value, Budget& budget);

/// value[index] where that is an item of a sequence or mapping; missing() where Python raises LookupError or TypeError.
Value item_or_missing(const Value& value, const Value& index, Budget& budget);
/// value[start:stop:step], each part none where it is left out.
Value slice(const Value& value, const Value& start, const Value& stop, const Value& step, Budget& budget);

/// An integer argument; Failure naming `what` otherwise.
std::int64_t to_integer(const Value& value, const char* what);

/// HTML-escaped, as markupsafe does.
std::string escape_html(std::string_view text);
/// Markup of any value: escaped unless it is Markup.
Value escape(const Value& value, Budget& budget);

/// text % value
Value format_percent(const Value& text, const Value& value, Budget& budget);

[[noreturn]] void fail_undefined(const Value& value);

}  // namespace grpo::text::jinja

#endif
