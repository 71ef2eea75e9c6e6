#include "table.hpp"

#include <algorithm>
#include <initializer_list>
#include <sstream>

#include "print.hpp"

namespace grpo::config {
namespace {

// The constraints of keys.def.
[[maybe_unused]] Constraint any() { return {}; }
Constraint at_least(double low) { return {.low = low}; }
Constraint wide(double low) { return {.low = low, .wide = true}; }
Constraint above(double low) { return {.low = low, .low_excluded = true}; }
Constraint between(double low, double high) { return {.low = low, .high = high}; }
Constraint above_to(double low, double high) { return {.low = low, .high = high, .low_excluded = true}; }
Constraint one_of(std::initializer_list<std::string> choices) { return {.choices = choices}; }
Constraint some_of(std::initializer_list<std::string> choices) { return {.choices = choices, .several = true}; }
Constraint required() { return {.not_empty = true}; }
Constraint text_or_file() { return {.file_reference = true}; }

template <class T>
constexpr Type type_of() {
  if constexpr (std::is_same_v<T, Text>) return Type::text;
  if constexpr (std::is_same_v<T, bool>) return Type::boolean;
  if constexpr (std::is_same_v<T, Integer>) return Type::integer;
  if constexpr (std::is_same_v<T, Number>) return Type::number;
  if constexpr (std::is_same_v<T, Path>) return Type::path;
  if constexpr (std::is_same_v<T, TextList>) return Type::text_list;
  if constexpr (std::is_same_v<T, IntegerList>) return Type::integer_list;
  if constexpr (std::is_same_v<T, PathList>) return Type::path_list;
  if constexpr (std::is_same_v<T, Options>) return Type::options;
}

std::vector<std::string> words(const char* text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

template <class T>
const void* defaults_of() {
  static const T defaults{};
  return &defaults;
}

std::vector<Section> expand() {
  std::vector<Section> all;
#define SECTION(section, type, text)                                        \
  {                                                                         \
    using S = type;                                                         \
    Section s{#section, text};                                              \
    s.element = [](Config& c, std::size_t) -> void* { return &c.section; }; \
    s.count = [](const Config&) -> std::size_t { return 1; };               \
    s.clear = [](Config& c) { c.section = S{}; };                           \
    s.defaults = defaults_of<S>();
#define LIST_SECTION(section, type, text)                       \
  {                                                             \
    using S = type;                                             \
    Section s{#section, text};                                  \
    s.list = true;                                              \
    s.element = [](Config& c, std::size_t i) -> void* {         \
      if (i >= c.section.size()) c.section.resize(i + 1);       \
      return &c.section[i];                                     \
    };                                                          \
    s.count = [](const Config& c) { return c.section.size(); }; \
    s.clear = [](Config& c) { c.section.clear(); };             \
    s.defaults = defaults_of<S>();
#define NESTED_LIST_SECTION(section, inner, type, text) \
  LIST_SECTION(section##_##inner, type, text) s.name = #section "." #inner;
#define KEY(type, name, fallback, constraint, aliases, text)                  \
  s.keys.push_back({#name, type_of<type>(), constraint, words(aliases), text, \
                    [](void* section) -> void* { return &static_cast<S*>(section)->name; }});
#define END_SECTION()          \
  all.push_back(std::move(s)); \
  }
#include <grpo/sdk/config/keys.def>
#undef SECTION
#undef LIST_SECTION
#undef NESTED_LIST_SECTION
#undef KEY
#undef END_SECTION
  return all;
}

}  // namespace

const std::vector<Section>& sections() {
  static const std::vector<Section> all = expand();
  return all;
}

const Section* find_section(std::string_view name) {
  for (const auto& section : sections())
    if (section.name == name) return &section;
  return nullptr;
}

bool Key::is(std::string_view spelling) const {
  return name == spelling || std::find(aliases.begin(), aliases.end(), spelling) != aliases.end();
}

const Key* Section::find(std::string_view spelling) const {
  for (const auto& key : keys)
    if (key.is(spelling)) return &key;
  return nullptr;
}

const Section* Section::list_inside(std::string_view spelling) const {
  const Section* found = find_section(name + '.' + std::string(spelling));
  return found && found->is_nested() ? found : nullptr;
}

std::vector<const Section*> Section::lists_inside() const {
  std::vector<const Section*> out;
  for (const auto& other : sections())
    if (other.is_nested() && other.name.starts_with(name + '.')) out.push_back(&other);
  return out;
}

std::vector<std::string> Section::names() const {
  std::vector<std::string> out;
  for (const auto& key : keys) out.push_back(key.name);
  for (const auto* list : lists_inside()) out.push_back(list->leaf());
  return out;
}

bool Constraint::holds(std::string_view value) const {
  if (not_empty && value.empty()) return false;
  return choices.empty() || !first_wrong(value);
}

std::optional<std::string> Constraint::first_wrong(std::string_view value) const {
  const auto known = [this](std::string_view one) {
    return std::find(choices.begin(), choices.end(), one) != choices.end();
  };
  if (!several) return known(value) ? std::nullopt : std::optional<std::string>(value);
  for (const auto& one : comma_list(value))
    if (!known(one)) return one;
  return std::nullopt;
}

std::vector<std::string> comma_list(std::string_view text) {
  std::vector<std::string> parts;
  std::istringstream in{std::string(text)};
  for (std::string part; std::getline(in, part, ',');) {
    std::erase(part, ' ');
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string Constraint::text() const {
  if (not_empty) return "not empty";
  if (!choices.empty()) {
    std::string out = several ? "some, separated by commas, of " : "one of ";
    for (const auto& choice : choices)
      out += (&choice == choices.data() ? "" : ", ") + (choice.empty() ? std::string("empty") : "`" + choice + "`");
    return out;
  }
  const bool has_low = low > -std::numeric_limits<double>::infinity();
  const bool has_high = high < std::numeric_limits<double>::infinity();
  if (has_low && has_high && !low_excluded) return "between " + number_text(low) + " and " + number_text(high);
  std::string out;
  if (has_low) out = (low_excluded ? "above " : "at least ") + number_text(low);
  if (has_high) out += (has_low ? " and at most " : "at most ") + number_text(high);
  return out;
}

std::string type_name(Type type) {
  switch (type) {
    case Type::text:
      return "text";
    case Type::boolean:
      return "true or false";
    case Type::integer:
      return "integer";
    case Type::number:
      return "number";
    case Type::path:
      return "path";
    case Type::text_list:
      return "list of texts";
    case Type::integer_list:
      return "list of integers";
    case Type::path_list:
      return "list of paths";
    case Type::options:
      break;
  }
  return "mapping";
}

}  // namespace grpo::config
