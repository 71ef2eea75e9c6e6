#include "grpo/sdk/plugins/options.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "grpo/sdk/config/nearest.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::plugins {
namespace {

using nlohmann::json;

const std::vector<std::string> type_names{"number", "integer", "boolean", "string", "list", "object"};
const std::vector<std::string> attribute_names{"type", "default",  "minimum",     "maximum",
                                               "enum", "required", "description", "format"};

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

// A whole number, however it is written: YAML users write 1e6.
bool is_whole(const json& value) {
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double x = value.get<double>();
  return x >= -9007199254740992.0 && x <= 9007199254740992.0 && x == static_cast<double>(static_cast<std::int64_t>(x));
}

bool fits_int64(const json& value) {
  return !value.is_number_unsigned() ||
         value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

bool has_type(const json& value, const std::string& type) {
  if (type == "number") return value.is_number();
  if (type == "integer") return is_whole(value) && fits_int64(value);
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "list") return value.is_array();
  return value.is_object();
}

std::string article(const std::string& type) { return (type == "integer" || type == "object" ? "an " : "a ") + type; }

// Type, limits and choices of one value.
void check_value(const json& value, const json& option, const std::string& where) {
  const std::string type = option["type"];
  const std::string got = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (!has_type(value, type)) throw Error(where + ": " + got + " is not " + article(type));
  if (const auto low = option.find("minimum"); low != option.end() && value.get<double>() < low->get<double>()) {
    throw Error(where + ": " + got + " is under the minimum " + low->dump());
  }
  if (const auto high = option.find("maximum"); high != option.end() && value.get<double>() > high->get<double>()) {
    throw Error(where + ": " + got + " is over the maximum " + high->dump());
  }
  if (const auto choices = option.find("enum");
      choices != option.end() && std::find(choices->begin(), choices->end(), value) == choices->end()) {
    std::vector<std::string> all, texts;
    for (const json& choice : *choices) {
      all.push_back(choice.dump());
      if (choice.is_string()) texts.push_back(choice.get<std::string>());
    }
    const std::string near = value.is_string() ? config::nearest(value.get<std::string>(), texts) : "";
    throw Error(where + ": " + got + " is none of " + joined(all) +
                (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
}

void check_option(const json& option, const std::string& where) {
  if (!option.is_object()) throw Error(where + " is not an object such as {\"type\": \"number\", \"default\": 1}");
  for (const auto& [key, value] : option.items()) {
    if (std::find(attribute_names.begin(), attribute_names.end(), key) != attribute_names.end()) continue;
    // An attribute of a later SDK is passed over; one that looks like a slip of the pen is not.
    if (const std::string near = config::nearest(key, attribute_names); !near.empty()) {
      throw Error(where + ": \"" + key + "\" is not known; did you mean \"" + near + "\"?");
    }
  }
  const auto type = option.find("type");
  if (type == option.end() || !type->is_string()) throw Error(where + " lacks a \"type\": " + joined(type_names));
  if (std::find(type_names.begin(), type_names.end(), type->get<std::string>()) == type_names.end()) {
    throw Error(where + " has the type " + type->dump() + ", which is none of " + joined(type_names));
  }
  const bool numeric = *type == "number" || *type == "integer";
  for (const char* limit : {"minimum", "maximum"}) {
    if (option.contains(limit) && !(numeric && option[limit].is_number())) {
      throw Error(where + ": \"" + limit + "\" is for numbers, and is a number");
    }
  }
  if (option.contains("enum") && (!option["enum"].is_array() || option["enum"].empty())) {
    throw Error(where + ": \"enum\" is not a list of choices");
  }
  if (option.contains("required") && !option["required"].is_boolean()) {
    throw Error(where + ": \"required\" is neither true nor false");
  }
  if (option.contains("format")) {  // of a later SDK: passed over
    if (!option["format"].is_string()) throw Error(where + ": \"format\" is not a string");
    if (option["format"] == "path" && *type != "string" && *type != "list")
      throw Error(where + ": \"format\": \"path\" is for a string, or a list of them");
  }
  if (option.contains("description") && !option["description"].is_string()) {
    throw Error(where + ": \"description\" is not a string");
  }
  if (option.contains("default")) check_value(option["default"], option, where + ": the default");
}

}  // namespace

void check_option_schema(const json& schema, const std::string& where) {
  if (!schema.is_object()) throw Error(where + ": \"options\" is not an object");
  for (const auto& [key, option] : schema.items()) check_option(option, where + ": the option \"" + key + "\"");
}

struct Options::State {
  json values;
  std::string text;                          // all of them
  std::map<std::string, std::string> texts;  // strings, and lists and objects as JSON
  std::map<std::string, double> numbers;
  std::map<std::string, std::int64_t> integers;
  grpo_options table{};
};

namespace {

template <class Map, class Value>
std::int32_t look_up(const Map& map, const char* key, Value* value) noexcept {
  try {
    const auto at = map.find(key);
    if (at == map.end()) return 0;
    *value = at->second;
    return 1;
  } catch (...) {
    return 0;  // no memory for the key: as absent
  }
}

json checked(const json& values, const json& schema, const std::string& where) {
  if (!values.is_null() && !values.is_object())
    throw Error(where + ": the options are not a mapping of keys to values");
  std::vector<std::string> known;
  for (const auto& [key, option] : schema.items()) known.push_back(key);
  json out = json::object();
  for (const auto& [key, value] : values.items()) {
    if (value.is_null()) continue;
    const auto option = schema.find(key);
    if (option == schema.end()) {
      const std::string near = config::nearest(key, known);
      throw Error(where + "." + key + ": no such option" + (near.empty() ? "" : "; did you mean '" + near + "'?") +
                  (known.empty() ? "; it has none" : "; known: " + joined(known)));
    }
    check_value(value, *option, where + "." + key);
    out[key] = (*option)["type"] == "integer" && !value.is_number_integer()
                   ? json(static_cast<std::int64_t>(value.get<double>()))
                   : value;
  }
  for (const auto& [key, option] : schema.items()) {
    if (out.contains(key)) continue;
    if (option.contains("default")) {
      out[key] = option["default"];
    } else if (option.value("required", false)) {
      const std::string about = option.value("description", "");
      throw Error(where + "." + key + ": required, and not given (" + article(option["type"].get<std::string>()) +
                  (about.empty() ? "" : ": " + about) + ")");
    }
  }
  return out;
}

}  // namespace

Options::Options(const json& values, const json& schema, const std::string& where) : state_(std::make_unique<State>()) {
  check_option_schema(schema, where);
  State& s = *state_;
  s.values = checked(values, schema, where);
  s.text = s.values.dump(-1, ' ', false, json::error_handler_t::replace);
  for (const auto& [key, value] : s.values.items()) {
    if (value.is_number()) s.numbers[key] = value.get<double>();
    if (is_whole(value))
      s.integers[key] =
          value.is_number_integer() ? value.get<std::int64_t>() : static_cast<std::int64_t>(value.get<double>());
    if (value.is_boolean()) s.integers[key] = value.get<bool>();
    if (value.is_string()) s.texts[key] = value.get<std::string>();
    if (value.is_structured()) s.texts[key] = value.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  s.table.struct_size = sizeof s.table;
  s.table.host = &s;
  s.table.json = {s.text.c_str(), static_cast<std::int64_t>(s.text.size())};
  s.table.number = [](const grpo_options* o, const char* key, double* value) -> std::int32_t {
    return look_up(static_cast<State*>(o->host)->numbers, key, value);
  };
  s.table.integer = [](const grpo_options* o, const char* key, std::int64_t* value) -> std::int32_t {
    return look_up(static_cast<State*>(o->host)->integers, key, value);
  };
  s.table.text = [](const grpo_options* o, const char* key, grpo_str* value) noexcept -> std::int32_t {
    const auto& texts = static_cast<State*>(o->host)->texts;
    for (const auto& [name, text] : texts) {
      if (name == key) {
        *value = {text.c_str(), static_cast<std::int64_t>(text.size())};
        return 1;
      }
    }
    return 0;
  };
}

Options::~Options() = default;
Options::Options(Options&&) noexcept = default;
Options& Options::operator=(Options&&) noexcept = default;
const json& Options::values() const { return state_->values; }
void Options::set_component(const grpo_component* component) { state_->table.component = component; }
const grpo_options* Options::get() const { return &state_->table; }

}  // namespace grpo::plugins
