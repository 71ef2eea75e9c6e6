// table.hpp: keys.def as data, to loop over.
#ifndef GRPO_SRC_CONFIG_TABLE_HPP
#define GRPO_SRC_CONFIG_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <grpo/sdk/config/config.hpp>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace grpo::config {

enum class Type { text, boolean, integer, number, path, text_list, integer_list, path_list, options };

// The largest of any integer that counts something: products of two stay within 64 bits, and plugins take 32.
inline constexpr Integer largest_count = std::numeric_limits<std::int32_t>::max();

// What a value must be beyond its type. On a list: every element.
struct Constraint {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_excluded = false;
  std::vector<std::string> choices{};
  bool several = false;  // of the choices, separated by commas; none is good too
  bool not_empty = false, file_reference = false;
  bool wide = false;  // an integer of 64 bits, not a count

  bool holds(double value) const { return (low_excluded ? value > low : value >= low) && value <= high; }
  bool holds(std::string_view value) const;
  std::optional<std::string> first_wrong(std::string_view value) const;  // what is none of the choices
  std::string text() const;  // "at least 0", "one of `a`, `b`"; "" for any()
};

struct Key {
  std::string name;
  Type type;
  Constraint constraint;
  std::vector<std::string> aliases;
  std::string text;
  void* (*field)(void* section);  // of a section's struct

  bool is(std::string_view spelling) const;  // its name or an alias
};

struct Section {
  std::string name, text;  // name: "evaluation"; of a list inside it, "evaluation.datasets"
  bool list = false;
  std::vector<Key> keys{};
  void* (*element)(Config& config, std::size_t index) = nullptr;  // a list grows to hold it
  std::size_t (*count)(const Config& config) = nullptr;           // 1 where it is no list
  void (*clear)(Config& config) = nullptr;                        // back to the defaults
  const void* defaults = nullptr;                                 // a struct with the default values

  const Key* find(std::string_view spelling) const;
  const Section* list_inside(std::string_view spelling) const;  // "datasets" of `evaluation`
  std::vector<const Section*> lists_inside() const;
  bool is_nested() const { return name.find('.') != std::string::npos; }
  std::string leaf() const { return name.substr(name.find('.') + 1); }
  std::vector<std::string> names() const;  // of its keys and of the lists inside
};

const std::vector<Section>& sections();
const Section* find_section(std::string_view name);

// The parts of a text between commas, without blanks and without empty ones.
std::vector<std::string> comma_list(std::string_view text);

// "a text", "a number": for messages and documentation.
std::string type_name(Type type);

// Calls use(field as its C++ type).
template <class Use>
decltype(auto) with_field(Type type, const void* field, Use&& use) {
  switch (type) {
    case Type::text:
      return use(*static_cast<const Text*>(field));
    case Type::boolean:
      return use(*static_cast<const bool*>(field));
    case Type::integer:
      return use(*static_cast<const Integer*>(field));
    case Type::number:
      return use(*static_cast<const Number*>(field));
    case Type::path:
      return use(*static_cast<const Path*>(field));
    case Type::text_list:
      return use(*static_cast<const TextList*>(field));
    case Type::integer_list:
      return use(*static_cast<const IntegerList*>(field));
    case Type::path_list:
      return use(*static_cast<const PathList*>(field));
    case Type::options:
      break;
  }
  return use(*static_cast<const Options*>(field));
}

inline const void* field_of(const Key& key, const void* section) { return key.field(const_cast<void*>(section)); }

}  // namespace grpo::config

#endif
