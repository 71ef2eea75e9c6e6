// sequences.cpp: length, iteration, items and slices.
#include <algorithm>
#include <optional>

#include "operations.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

Value view_item(const View& view, std::size_t at, Budget& budget) {
  const auto& [key, value] = view.dict->items[at];
  switch (view.part) {
    case View::Part::keys:
      return key;
    case View::Part::values:
      return value;
    default:
      return Value::tuple({key, value}, budget);
  }
}

std::optional<std::int64_t> slice_part(const Value& value) {
  if (value.is_none()) return std::nullopt;
  if (value.is_undefined())
    throw Failure("slice indices must be integers or None, but " + value.as<Undefined>().message);
  if (!value.is_integral()) throw Failure("slice indices must be integers or None");
  return value.integer();
}

struct Bounds {
  std::int64_t start, stop, step;
};

// start:stop:step of `size` items, as positions.
Bounds slice_bounds(const Value& from, const Value& to, const Value& by, std::int64_t size) {
  constexpr std::int64_t far = std::int64_t{1} << 62;  // steps beyond pick the same items and cannot overflow
  const std::int64_t step = std::clamp(slice_part(by).value_or(1), -far, far);
  if (step == 0) throw Failure("slice step cannot be zero");
  const auto clamp = [&](std::optional<std::int64_t> at, std::int64_t otherwise) {
    if (!at) return otherwise;
    if (*at < 0) return std::max<std::int64_t>(*at < -size ? -1 : *at + size, step < 0 ? -1 : 0);
    return std::min(*at, step < 0 ? size - 1 : size);
  };
  return {clamp(slice_part(from), step < 0 ? size - 1 : 0), clamp(slice_part(to), step < 0 ? -1 : size), step};
}

// The positions that it picks.
std::vector<std::size_t> slice_positions(const Value& from, const Value& to, const Value& by, std::int64_t size) {
  const Bounds bounds = slice_bounds(from, to, by, size);
  std::vector<std::size_t> positions;
  const std::int64_t step = bounds.step;
  for (std::int64_t at = bounds.start; step > 0 ? at < bounds.stop : at > bounds.stop; at += step) {
    positions.push_back(static_cast<std::size_t>(at));
  }
  return positions;
}

Value slice_range(const Range& range, const Bounds& bounds) {
  auto result = std::make_shared<Range>();
  if (__builtin_mul_overflow(range.step, bounds.step, &result->step)) throw Failure("the step of a range is too large");
  result->start = range.start + bounds.start * range.step;
  result->stop = range.start + bounds.stop * range.step;
  return Value::of(Kind::range, std::move(result));
}

}  // namespace

bool has_length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::range:
    case Kind::view:
      return true;
    case Kind::special:
      return value.as<Special>().length() >= 0;
    default:
      return false;
  }
}

std::int64_t length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<std::int64_t>(count_code_points(value.text()));
    case Kind::list:
    case Kind::tuple:
      return static_cast<std::int64_t>(value.items().size());
    case Kind::dict:
      return static_cast<std::int64_t>(value.as<Dict>().items.size());
    case Kind::range:
      return value.as<Range>().size();
    case Kind::view:
      return static_cast<std::int64_t>(value.as<View>().dict->items.size());
    case Kind::special: {
      const std::int64_t size = value.as<Special>().length();
      if (size >= 0) return size;
      break;
    }
    default:
      break;
  }
  throw Failure("object of type '" + std::string(value.type_name()) + "' has no len()");
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::iterator:
      return true;
    case Kind::special:
      return false;
    default:
      return has_length(value);
  }
}

Next iterate(const Value& value, Budget& budget) {
  Budget* const cost = &budget;
  switch (value.kind()) {
    case Kind::undefined:
      return [](Value&) { return false; };
    case Kind::string:
      return [value, position = std::size_t{0}, cost](Value& item) mutable {
        cost->step();
        const std::string& text = value.text();
        if (position >= text.size()) return false;
        const std::size_t start = position;
        next_code_point(text, position);
        item = Value(text.substr(start, position - start));
        return true;
      };
    case Kind::list:
    case Kind::tuple:
      return [value, at = std::size_t{0}, cost](Value& item) mutable {
        cost->step();
        if (at >= value.items().size()) return false;
        item = value.items()[at++];
        return true;
      };
    case Kind::dict:
      return [value, at = std::size_t{0}, cost](Value& item) mutable {
        cost->step();
        if (at >= value.as<Dict>().items.size()) return false;
        item = value.as<Dict>().items[at++].first;
        return true;
      };
    case Kind::view:
      return [value, at = std::size_t{0}, cost](Value& item) mutable {
        cost->step();
        if (at >= value.as<View>().dict->items.size()) return false;
        item = view_item(value.as<View>(), at++, *cost);
        return true;
      };
    case Kind::range:
      return [value, at = std::int64_t{0}, cost](Value& item) mutable {
        cost->step();
        const auto& range = value.as<Range>();
        if (at >= range.size()) return false;
        item = Value(range.start + range.step * at++);
        return true;
      };
    case Kind::iterator:
      return [value, cost](Value& item) {
        cost->step();
        cost->check_stack();
        return value.as<Iterator>().next(item);
      };
    default:
      throw Failure("'" + std::string(value.type_name()) + "' object is not iterable");
  }
}

std::vector<Value> collect(const Value& value, Budget& budget) {
  if (value.is(Kind::list) || value.is(Kind::tuple)) {
    budget.build(value.items().size() * sizeof(Value));
    return value.items();
  }
  std::vector<Value> items;
  const Next next = iterate(value, budget);
  for (Value item; next(item);) {
    budget.build(sizeof(Value));
    items.push_back(item);
  }
  return items;
}

std::vector<Value> collect_reversed(const Value& value, Budget& budget) {
  if (value.is(Kind::iterator) || !is_iterable(value)) {
    throw Failure("'" + std::string(value.type_name()) + "' object is not reversible");
  }
  std::vector<Value> items = collect(value, budget);
  std::reverse(items.begin(), items.end());
  return items;
}

Value item_or_missing(const Value& value, const Value& index, Budget& budget) {
  if (value.is(Kind::dict)) {
    const bool can_be_key = !index.is(Kind::list) && !index.is(Kind::dict) && !index.is(Kind::view);
    const Value* found = can_be_key ? value.as<Dict>().find(index, budget) : nullptr;
    return found ? *found : Value::missing();
  }
  if (!index.is_integral()) return Value::missing();
  std::int64_t at = index.integer();
  switch (value.kind()) {
    case Kind::list:
    case Kind::tuple: {
      const auto size = static_cast<std::int64_t>(value.items().size());
      if (at < 0) at += size;
      return at >= 0 && at < size ? value.items()[static_cast<std::size_t>(at)] : Value::missing();
    }
    case Kind::range: {
      const auto& range = value.as<Range>();
      if (at < 0) at += range.size();
      return at >= 0 && at < range.size() ? Value(range.start + range.step * at) : Value::missing();
    }
    case Kind::string: {
      const std::string& text = value.text();
      budget.step(text.size() / 64);
      if (at < 0) at += length(value);
      if (at < 0) return Value::missing();
      const std::size_t start = byte_position(text, static_cast<std::size_t>(at));
      if (start >= text.size()) return Value::missing();
      std::size_t end = start;
      next_code_point(text, end);
      return Value(text.substr(start, end - start), value.is_markup());
    }
    default:
      return Value::missing();
  }
}

Value slice(const Value& value, const Value& start, const Value& stop, const Value& step, Budget& budget) {
  switch (value.kind()) {
    case Kind::undefined:
      fail_undefined(value);
    case Kind::dict:
      throw Failure("unhashable type: 'slice'");
    case Kind::string: {
      const std::string& text = value.text();
      budget.build(text.size());
      const auto starts = code_point_starts(text);
      std::string out;
      for (const std::size_t at : slice_positions(start, stop, step, static_cast<std::int64_t>(starts.size()) - 1)) {
        out.append(text, starts[at], starts[at + 1] - starts[at]);
      }
      return Value(std::move(out), value.is_markup());
    }
    case Kind::list:
    case Kind::tuple: {
      const auto& all = value.items();
      std::vector<Value> items;
      budget.build(all.size() * sizeof(Value));
      for (const std::size_t at : slice_positions(start, stop, step, static_cast<std::int64_t>(all.size()))) {
        items.push_back(all[at]);
      }
      return value.is(Kind::list) ? Value::list(std::move(items), budget) : Value::tuple(std::move(items), budget);
    }
    case Kind::range: {
      const auto& range = value.as<Range>();
      return slice_range(range, slice_bounds(start, stop, step, range.size()));
    }
    default:
      throw Failure("'" + std::string(value.type_name()) + "' object is not subscriptable");
  }
}

}  // namespace grpo::text::jinja
