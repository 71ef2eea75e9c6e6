#include "print.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "scalar.hpp"

namespace grpo::config {
namespace {

std::string text_of(const std::string& value) { return scalar_text(value); }
std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(Integer value) { return std::to_string(value); }
std::string text_of(double value) { return number_text(value); }
// Absolute, so that the text means the same wherever it is saved.
std::string text_of(const Path& value) {
  return scalar_text(value.empty() ? "" : std::filesystem::absolute(value).lexically_normal().string());
}
std::string text_of(const Options& value) { return value.json; }

template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string out = "[";
  for (const auto& value : values) {
    if (out.size() > 1) out.append(", ");
    out.append(text_of(value));
  }
  out.push_back(']');
  return out;
}

bool is_plain(const std::string& text) {
  for (const char c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '/' && c != '-') return false;
  // A text that would be read as a number, a boolean or null needs quotes; other readers still know those of YAML 1.1.
  for (const char* word : {"yes", "no", "on", "off", "y", "n"})
    if (std::equal(text.begin(), text.end(), word, word + std::strlen(word),
                   [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; }))
      return false;
  return !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '/') &&
         plain_scalar(text).is_string();
}

}  // namespace

std::string number_text(double value) {
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  // PyYAML takes 1e-06 for a text: it wants the point.
  const auto e = text.find('e');
  if (e != std::string::npos && text.find('.') == std::string::npos) text.insert(e, ".0");
  return text;
}

// A JSON string is a YAML double-quoted scalar.
std::string scalar_text(const std::string& text) {
  if (is_plain(text)) return text;
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string value_text(Type type, const void* field) {
  return with_field(type, field, [](const auto& value) { return text_of(value); });
}

std::string effective_yaml(const Config& config, bool with_origins) {
  std::string out;
  const auto line = [&](const std::string& indent, const std::string& name, const Key& key, const void* section,
                        const std::string& full) {
    std::string text = indent + name + ": " + value_text(key.type, field_of(key, section));
    if (with_origins) {
      text.resize(std::max(text.size(), std::size_t{40}), ' ');
      text += "  # " + config.origin(full).text();
    }
    out += text + '\n';
  };
  auto& open = const_cast<Config&>(config);  // element() of an index that is there changes nothing
  const auto print = [&](const Section& section, const std::string& margin) {
    const std::size_t count = section.count(config);
    out += margin + section.leaf() + (section.list && count == 0 ? ": []\n" : ":\n");
    for (std::size_t i = 0; i < count; ++i) {
      const std::string prefix = section.name + '.' + (section.list ? std::to_string(i) + '.' : "");
      for (const auto& key : section.keys) {
        const bool first = &key == section.keys.data();
        const std::string indent = margin + (!section.list ? "  " : first ? "  - " : "    ");
        line(indent, key.name, key, section.element(open, i), prefix + key.name);
      }
    }
  };
  for (const auto& section : sections()) {
    if (section.is_nested()) continue;
    print(section, "");
    for (const Section* inside : section.lists_inside()) print(*inside, "  ");
  }
  return out;
}

}  // namespace grpo::config
