// filters_sequence.cpp: filters over lists, dicts and other things with items.
#include <algorithm>

#include "filters.hpp"
#include "interpreter.hpp"
#include "operations.hpp"
#include "print.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

using Values = std::vector<Value>;

Value ignore_case(const Value& value, Budget& budget) {
  if (!value.is_string()) return value;
  budget.build(value.text().size());
  return to_lower(value.text());
}

bool flag(const Value& given) { return !given.is_missing() && given.truth(); }

Value listed(std::vector<Value> items, Interpreter& interpreter) {
  return Value::list(std::move(items), interpreter.budget());
}

/// A generator over items that are already there.
Value generated(std::vector<Value> items, Interpreter& interpreter, const char* type = "generator") {
  Budget& budget = interpreter.budget();
  const Value list = Value::list(std::move(items), budget);
  return Value::iterator(iterate(list, budget), list, budget, type);
}

Value length_filter(Interpreter& interpreter, const Value& input, Values&) {
  if (input.is_string()) interpreter.budget().step(input.text().size() / 64);
  return length(input);
}

Value first(Interpreter& interpreter, const Value& input, Values&) {
  Value item;
  return iterate(input, interpreter.budget())(item) ? item : Value::undefined("No first item, sequence was empty.");
}

Value last(Interpreter& interpreter, const Value& input, Values&) {
  if (input.is(Kind::list) || input.is(Kind::tuple)) {
    return input.items().empty() ? Value::undefined("No last item, sequence was empty.") : input.items().back();
  }
  const std::vector<Value> items = collect_reversed(input, interpreter.budget());
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.front();
}

Value list(Interpreter& interpreter, const Value& input, Values&) {
  return listed(collect(input, interpreter.budget()), interpreter);
}

Value items(Interpreter& interpreter, const Value& input, Values&) {
  Budget& budget = interpreter.budget();
  if (input.is_undefined()) return generated({}, interpreter);
  if (!input.is(Kind::dict)) {
    return Value::iterator([](Value&) -> bool { throw Failure("Can only get item pairs from a mapping."); }, input,
                           budget);
  }
  auto view = std::make_shared<View>();
  view->dict = input.share<Dict>();
  view->part = View::Part::items;
  return Value::iterator(iterate(Value::of(Kind::view, std::move(view)), budget), input, budget);
}

Value join_filter(Interpreter& interpreter, const Value& input, Values& given) {
  Budget& budget = interpreter.budget();
  const std::string separator = given[0].is_missing() ? "" : to_text(given[0], budget);
  const auto path = attribute_path(given[1], budget);
  std::string out;
  bool is_first = true;
  const Next next = iterate(input, budget);
  for (Value item; next(item);) {
    if (!is_first) out += separator;
    is_first = false;
    const std::string text = to_text(follow_path(interpreter, item, path), budget);
    budget.build(text.size() + separator.size());
    out += text;
  }
  return out;
}

Value reverse(Interpreter& interpreter, const Value& input, Values&) {
  Budget& budget = interpreter.budget();
  if (input.is_string()) return slice(input, Value::none(), Value::none(), Value(-1), budget);
  std::vector<Value> all = collect(input, budget);
  std::reverse(all.begin(), all.end());
  // an iterator is turned into a list, what can be read backwards into an iterator
  if (input.is(Kind::iterator)) return listed(std::move(all), interpreter);
  const char* type = input.is(Kind::list)    ? "list_reverseiterator"
                     : input.is(Kind::range) ? "range_iterator"
                                             : "reversed";
  return generated(std::move(all), interpreter, type);
}

// -- order

struct Keyed {
  Value key, item;
};

void sort_keyed(std::vector<Keyed>& keyed, bool reverse, Budget& budget) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(b.key, a.key, budget) : less(a.key, b.key, budget);
  });
}

std::vector<Value> sorted_items(std::vector<Keyed> keyed, bool reverse, Budget& budget) {
  sort_keyed(keyed, reverse, budget);
  std::vector<Value> result;
  for (Keyed& one : keyed) result.push_back(std::move(one.item));
  return result;
}

Value sort(Interpreter& interpreter, const Value& input, Values& given) {
  Budget& budget = interpreter.budget();
  std::vector<std::vector<Value>> paths;
  if (given[2].is_string()) {
    const std::string& text = given[2].text();
    for (std::size_t start = 0; start <= text.size();) {
      const std::size_t end = std::min(text.find(',', start), text.size());
      paths.push_back(attribute_path(Value(text.substr(start, end - start)), budget));
      start = end + 1;
    }
  } else {
    paths.push_back(attribute_path(given[2], budget));
  }
  const bool case_sensitive = flag(given[1]);
  std::vector<Keyed> keyed;
  for (const Value& item : collect(input, budget)) {
    std::vector<Value> keys;
    for (const auto& path : paths) {
      const Value key = follow_path(interpreter, item, path);
      keys.push_back(case_sensitive ? key : ignore_case(key, budget));
    }
    keyed.push_back({Value::list(std::move(keys), budget), item});
  }
  return listed(sorted_items(std::move(keyed), flag(given[0]), budget), interpreter);
}

Value dictsort(Interpreter& interpreter, const Value& input, Values& given) {
  Budget& budget = interpreter.budget();
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is(Kind::dict)) throw Failure("'" + std::string(input.type_name()) + "' object has no attribute 'items'");
  const std::string by = given[1].is_missing() ? "key" : to_text(given[1], budget);
  if (by != "key" && by != "value") throw Failure("You can only sort by either \"key\" or \"value\"");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : input.as<Dict>().items) {
    const Value& sort_key = by == "key" ? key : value;
    keyed.push_back({flag(given[0]) ? sort_key : ignore_case(sort_key, budget), Value::tuple({key, value}, budget)});
  }
  return listed(sorted_items(std::move(keyed), flag(given[2]), budget), interpreter);
}

Value extreme(Interpreter& interpreter, const Value& input, Values& given, bool greatest) {
  Budget& budget = interpreter.budget();
  const auto path = attribute_path(given[1], budget);
  Value best = Value::missing(), best_key;
  for (const Value& item : collect(input, budget)) {
    Value key = follow_path(interpreter, item, path);
    if (!flag(given[0])) key = ignore_case(key, budget);
    const bool better =
        best.is_missing() || (greatest ? less(best_key, key, budget, ">") : less(key, best_key, budget));
    if (!better) continue;
    best = item;
    best_key = key;
  }
  return best.is_missing() ? Value::undefined("No aggregated item, sequence was empty.") : best;
}

Value min_filter(Interpreter& interpreter, const Value& input, Values& given) {
  return extreme(interpreter, input, given, false);
}

Value max_filter(Interpreter& interpreter, const Value& input, Values& given) {
  return extreme(interpreter, input, given, true);
}

Value unique(Interpreter& interpreter, const Value& input, Values& given) {
  Budget& budget = interpreter.budget();
  const auto path = attribute_path(given[1], budget);
  const bool case_sensitive = flag(given[0]);
  return Value::iterator(
      [&interpreter, &budget, path, case_sensitive, seen = std::make_shared<Dict>(),
       next = iterate(input, budget)](Value& item) {
        while (next(item)) {
          Value key = follow_path(interpreter, item, path);
          if (!case_sensitive) key = ignore_case(key, budget);
          if (seen->find(key, budget)) continue;
          seen->set(key, Value::none(), budget);
          return true;
        }
        return false;
      },
      input, budget);
}

Value sum(Interpreter& interpreter, const Value& input, Values& given) {
  Budget& budget = interpreter.budget();
  const auto path = attribute_path(given[0], budget);
  Value total = given[1].is_missing() ? Value(0) : given[1];
  if (total.is_string()) throw Failure("sum() can't sum strings [use ''.join(seq) instead]");
  const Next next = iterate(input, budget);
  for (Value item; next(item);) total = binary(Operator::add, total, follow_path(interpreter, item, path), budget);
  return total;
}

// -- parts

Value batch(Interpreter& interpreter, const Value& input, Values& given) {
  Budget& budget = interpreter.budget();
  const std::int64_t size = to_integer(given[0], "the line count of batch");
  std::vector<Value> lines, line;
  for (const Value& item : collect(input, budget)) {
    if (static_cast<std::int64_t>(line.size()) == size) lines.push_back(Value::list(std::exchange(line, {}), budget));
    line.push_back(item);
  }
  if (!line.empty()) {
    const bool fill = !given[1].is_missing() && !given[1].is_none();
    while (fill && static_cast<std::int64_t>(line.size()) < size) {
      budget.build(sizeof(Value));
      line.push_back(given[1]);
    }
    lines.push_back(Value::list(std::move(line), budget));
  }
  return generated(std::move(lines), interpreter);
}

Value slices(Interpreter& interpreter, const Value& input, Values& given) {
  Budget& budget = interpreter.budget();
  const std::int64_t count = to_integer(given[0], "the number of slices");
  const std::vector<Value> all = collect(input, budget);
  const auto size = static_cast<std::int64_t>(all.size());
  if (count == 0) throw Failure("integer division or modulo by zero");
  std::vector<Value> result;
  auto at = all.begin();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t items = size / count + (i < size % count ? 1 : 0);
    std::vector<Value> part(at, at + items);
    at += items;
    if (!given[1].is_missing() && !given[1].is_none() && i >= size % count) part.push_back(given[1]);
    result.push_back(Value::list(std::move(part), budget));
  }
  return generated(std::move(result), interpreter);
}

Value attr(Interpreter& interpreter, const Value& input, Values& given) {
  if (!given[0].is_string()) throw Failure("attribute name must be string");
  const Value value = interpreter.attribute(input, given[0].text());
  // keys of a dict are no attributes
  const bool is_key = input.is(Kind::dict) && !value.is(Kind::special) && !value.is_undefined();
  return is_key ? Value::undefined("'dict object' has no attribute '" + given[0].text() + "'") : value;
}

}  // namespace

void add_sequence_filters(FilterTable& table) {
  table["count"] = table["length"] = {{}, 0, length_filter, nullptr};
  table["first"] = {{}, 0, first, nullptr};
  table["last"] = {{}, 0, last, nullptr};
  table["list"] = {{}, 0, list, nullptr};
  table["items"] = {{}, 0, items, nullptr};
  table["join"] = {{"d", "attribute"}, 0, join_filter, nullptr};
  table["reverse"] = {{}, 0, reverse, nullptr};
  table["sort"] = {{"reverse", "case_sensitive", "attribute"}, 0, sort, nullptr};
  table["dictsort"] = {{"case_sensitive", "by", "reverse"}, 0, dictsort, nullptr};
  table["min"] = {{"case_sensitive", "attribute"}, 0, min_filter, nullptr};
  table["max"] = {{"case_sensitive", "attribute"}, 0, max_filter, nullptr};
  table["unique"] = {{"case_sensitive", "attribute"}, 0, unique, nullptr};
  table["sum"] = {{"attribute", "start"}, 0, sum, nullptr};
  table["batch"] = {{"linecount", "fill_with"}, 1, batch, nullptr};
  table["slice"] = {{"slices", "fill_with"}, 1, slices, nullptr};
  table["attr"] = {{"name"}, 1, attr, nullptr};
}

}  // namespace grpo::text::jinja
