#include "value.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "operations.hpp"

namespace grpo::text::jinja {
namespace {

constexpr std::size_t small_dict = 12;

}  // namespace

Value::Value(std::string text, bool markup) : kind_(Kind::string) {
  bits_.integer = 0;
  auto object = std::make_shared<String>();
  object->text = std::move(text);
  object->markup = markup;
  object_ = std::move(object);
}

Value Value::undefined(std::string message) {
  auto object = std::make_shared<Undefined>();
  object->message = std::move(message);
  return of(Kind::undefined, std::move(object));
}

Value Value::of(Kind kind, std::shared_ptr<Object> object) {
  Value value(kind);
  value.object_ = std::move(object);
  return value;
}

void deepen(Object& container, const Value& value) {
  if (value.depth() + 1 > container.depth) container.depth = value.depth() + 1;
  if (container.depth > max_value_depth) throw Failure("values are nested too deeply");
}

Value Value::sequence(Kind kind, std::vector<Value> items, Budget& budget) {
  budget.build(items.size() * sizeof(Value));
  auto object = std::make_shared<List>();
  for (const Value& item : items) deepen(*object, item);
  object->items = std::move(items);
  return of(kind, std::move(object));
}

Value Value::iterator(Next next, const Value& source, Budget& budget, const char* type) {
  budget.build(sizeof(Iterator));
  auto object = std::make_shared<Iterator>();
  object->next = std::move(next);
  object->type = type;
  deepen(*object, source);
  return of(Kind::iterator, std::move(object));
}

Value Value::from_json(const nlohmann::ordered_json& json, Budget& budget) {
  using Type = nlohmann::ordered_json::value_t;
  budget.check_stack();
  switch (json.type()) {
    case Type::boolean:
      return json.get<bool>();
    case Type::number_integer:
      return json.get<std::int64_t>();
    case Type::number_unsigned:
      if (json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
        throw Failure("the integer " + json.dump() + " does not fit 64 bits");
      }
      return json.get<std::int64_t>();
    case Type::number_float:
      return json.get<double>();
    case Type::string: {
      const auto& text = json.get_ref<const std::string&>();
      budget.build(text.size());
      return text;
    }
    case Type::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(item, budget));
      return list(std::move(items), budget);
    }
    case Type::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, item] : json.items()) dict->set(key, from_json(item, budget), budget);
      return of(Kind::dict, std::move(dict));
    }
    default:
      return none();
  }
}

bool Value::truth() const {
  switch (kind_) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return bits_.integer != 0;
    case Kind::real:
      return bits_.real != 0;
    case Kind::string:
      return !text().empty();
    case Kind::list:
    case Kind::tuple:
      return !items().empty();
    case Kind::dict:
      return !as<Dict>().items.empty();
    case Kind::range:
      return as<Range>().size() != 0;
    case Kind::view:
      return !as<View>().dict->items.empty();
    case Kind::iterator:
    case Kind::space:
    case Kind::special:
      return true;
  }
  return true;
}

const char* Value::type_name() const {
  switch (kind_) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return as<String>().markup ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::range:
      return "range";
    case Kind::view: {
      static constexpr const char* names[] = {"dict_keys", "dict_values", "dict_items"};
      return names[static_cast<int>(as<View>().part)];
    }
    case Kind::iterator:
      return as<Iterator>().type;
    case Kind::space:
      return "Namespace";
    case Kind::special:
      return as<Special>().type();
  }
  return "object";
}

std::int64_t Range::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

const Value* Dict::find(const Value& key, Budget& budget) const {
  if (index_.empty()) {
    hash_key(key, budget);  // refuses what cannot be a key
    for (const auto& [known, value] : items) {
      if (equal(known, key, budget)) return &value;
    }
    return nullptr;
  }
  const auto [from, to] = index_.equal_range(hash_key(key, budget));
  for (auto at = from; at != to; ++at) {
    if (equal(items[at->second].first, key, budget)) return &items[at->second].second;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  if (index_.empty()) {
    for (const auto& [known, value] : items) {
      if (known.is_string() && known.text() == key) return &value;
    }
    return nullptr;
  }
  const auto [from, to] = index_.equal_range(std::hash<std::string_view>{}(key));
  for (auto at = from; at != to; ++at) {
    const auto& [known, value] = items[at->second];
    if (known.is_string() && known.text() == key) return &value;
  }
  return nullptr;
}

void Dict::set(Value key, Value value, Budget& budget) {
  deepen(*this, key);
  deepen(*this, value);
  if (const Value* known = find(key, budget)) {
    *const_cast<Value*>(known) = std::move(value);  // a dict in the making
    return;
  }
  budget.build(2 * sizeof(Value));
  items.emplace_back(std::move(key), std::move(value));
  if (!index_.empty()) {
    index_.emplace(hash_key(items.back().first, budget), items.size() - 1);
  } else if (items.size() > small_dict) {
    for (std::size_t i = 0; i < items.size(); ++i) index_.emplace(hash_key(items[i].first, budget), i);
  }
}

std::size_t hash_key(const Value& value, Budget& budget) {
  budget.step();
  switch (value.kind()) {
    case Kind::string:
      return std::hash<std::string_view>{}(value.text());
    case Kind::boolean:
    case Kind::integer:
      return std::hash<std::int64_t>{}(value.integer());
    case Kind::real: {
      const double real = value.real();
      if (std::floor(real) == real && std::abs(real) < 9e18) {
        return std::hash<std::int64_t>{}(static_cast<std::int64_t>(real));
      }
      return std::hash<double>{}(real);
    }
    case Kind::tuple: {
      std::size_t sum = 17;
      for (const Value& item : value.items()) sum = sum * 1000003 + hash_key(item, budget);
      return sum;
    }
    case Kind::list:
    case Kind::dict:
    case Kind::view:
      throw Failure("unhashable type: '" + std::string(value.type_name()) + "'");
    default:
      return static_cast<std::size_t>(value.kind());
  }
}

std::vector<Value> bind_arguments(const std::string& function, const Arguments& arguments,
                                  const std::vector<const char*>& parameters, std::size_t required) {
  if (arguments.positional.size() > parameters.size()) {
    throw Failure(function + "() takes at most " + std::to_string(parameters.size()) + " arguments, but " +
                  std::to_string(arguments.positional.size()) + " were given");
  }
  std::vector<Value> bound = arguments.positional;
  bound.resize(parameters.size(), Value::missing());
  for (const auto& [name, value] : arguments.named) {
    std::size_t at = 0;
    while (at < parameters.size() && name != parameters[at]) ++at;
    if (at == parameters.size()) throw Failure(function + "() got an unexpected keyword argument '" + name + "'");
    if (!bound[at].is_missing()) throw Failure(function + "() got multiple values for argument '" + name + "'");
    bound[at] = value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (bound[i].is_missing()) {
      const char* name = parameters[i];
      throw Failure(function + "() is missing its argument '" + (name[0] == '/' ? name + 1 : name) + "'");
    }
  }
  return bound;
}

Value Special::attribute(Interpreter&, const std::string&) { return Value::missing(); }

Value Special::call(Interpreter&, const Arguments&) {
  throw Failure("'" + std::string(type()) + "' object is not callable");
}

}  // namespace grpo::text::jinja
