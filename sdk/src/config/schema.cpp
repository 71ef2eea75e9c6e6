// schema.cpp: the table as JSON Schema, so that an editor completes keys and marks mistakes.
#include <nlohmann/json.hpp>

#include "table.hpp"

namespace grpo::config {
namespace {

using json = nlohmann::ordered_json;

json default_json(const Key& key, const void* defaults) {
  return with_field(key.type, field_of(key, defaults), [](const auto& value) -> json {
    using T = std::remove_cvref_t<decltype(value)>;
    if constexpr (std::is_same_v<T, Path>) {
      return value.string();
    } else if constexpr (std::is_same_v<T, PathList>) {
      json out = json::array();
      for (const auto& path : value) out.push_back(path.string());
      return out;
    } else if constexpr (std::is_same_v<T, Options>) {
      return json::parse(value.json);
    } else {
      return value;
    }
  });
}

// Some of the choices, separated by commas.
std::string pattern_of(const std::vector<std::string>& choices) {
  std::string any;
  for (const auto& choice : choices) any += (any.empty() ? "" : "|") + choice;
  return "^( *(" + any + ") *(,|$))*$";
}

json scalar_schema(const char* type, const Constraint& constraint) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  json out = {{"type", type}};
  if (!constraint.choices.empty() && !constraint.several) out["enum"] = constraint.choices;
  if (constraint.several) out["pattern"] = pattern_of(constraint.choices);
  if (constraint.not_empty) out["minLength"] = 1;
  if (constraint.low > -infinity) out[constraint.low_excluded ? "exclusiveMinimum" : "minimum"] = constraint.low;
  if (constraint.high < infinity) out["maximum"] = constraint.high;
  return out;
}

json integer_schema(const Constraint& constraint) {
  json out = scalar_schema("integer", constraint);
  if (!constraint.wide && !out.contains("maximum")) out["maximum"] = largest_count;
  return out;
}

json list_schema(const json& element) {
  return {{"anyOf", json::array({element, {{"type", "array"}, {"items", element}}})}};
}

json type_schema(const Key& key) {
  switch (key.type) {
    case Type::text:
    case Type::path:
      return scalar_schema("string", key.constraint);
    case Type::boolean:
      return scalar_schema("boolean", key.constraint);
    case Type::integer:
      return integer_schema(key.constraint);
    case Type::number:
      return scalar_schema("number", key.constraint);
    case Type::text_list:
    case Type::path_list:
      return list_schema(scalar_schema("string", key.constraint));
    case Type::integer_list:
      return list_schema(integer_schema(key.constraint));
    case Type::options:
      break;
  }
  return {{"type", "object"}};
}

json section_schema(const Section& section) {
  json keys = json::object();
  for (const auto& key : section.keys) {
    json schema = type_schema(key);
    schema["description"] = key.text;
    schema["default"] = default_json(key, section.defaults);
    for (const auto& alias : key.aliases) {
      json same = schema;
      same["description"] = "Same as `" + key.name + "`. " + key.text;
      keys[alias] = same;
    }
    keys[key.name] = std::move(schema);
  }
  for (const Section* inside : section.lists_inside()) keys[inside->leaf()] = section_schema(*inside);
  json object = {{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(keys)}};
  if (section.list)
    object = {{"type", "array"}, {"items", {{"anyOf", json::array({std::move(object), {{"type", "string"}}})}}}};
  object["description"] = section.text;
  return object;
}

}  // namespace

std::string json_schema() {
  json all = json::object();
  for (const auto& section : sections())
    if (!section.is_nested()) all[section.name] = section_schema(section);
  return json{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "grpo-host configuration"},
              {"type", "object"},
              {"additionalProperties", false},
              {"properties", std::move(all)}}
      .dump(2);
}

}  // namespace grpo::config
