#include "draft.hpp"

#include <algorithm>
#include <cmath>
#include <grpo/sdk/config/config.hpp>
#include <grpo/sdk/error.hpp>

namespace grpo::config {
namespace {

// Whether the key takes it. Lists of mappings are looked at when the whole is loaded.
bool takes(const std::string& key, const json& value) {
  const auto dot = key.find('.');
  if (dot == key.npos) return true;
  try {
    const std::string inside = key.substr(dot + 1);
    load(Source{"a", key.substr(0, dot) + ":\n  " + inside + ": " + value.dump() + "\n", {}});
    return true;
  } catch (const Error& error) {
    // A mistake between two keys reads otherwise, and is told when the whole is loaded.
    const std::string text = error.what();
    for (const char* own : {" expects", " must be", " is beyond", ": ", "["})
      if (text.find(key + own) != text.npos) return false;
    return true;
  }
}

}  // namespace

double Draft::number(const std::string& option, double otherwise) const {
  const json* value = theirs.find(option);
  return value && value->is_number() ? value->get<double>() : otherwise;
}

bool Draft::flag(const std::string& option, bool otherwise) const {
  const json* value = theirs.find(option);
  return value && value->is_boolean() ? value->get<bool>() : otherwise;
}

std::string Draft::text(const std::string& option, const std::string& otherwise) const {
  const json* value = theirs.find(option);
  return !value ? otherwise : value->is_string() ? value->get<std::string>() : value->dump();
}

bool Draft::set(const std::string& key, json value, const std::string& comment) {
  if (value.is_number_float() &&
      value.get<double>() == static_cast<double>(static_cast<std::int64_t>(value.get<double>())) &&
      std::abs(value.get<double>()) < 1e9)
    value = static_cast<std::int64_t>(value.get<double>());  // 4 out of 1024 / 256; ours takes integers as numbers
  if (!takes(key, value)) return false;
  if (keys_.insert(key).second) lines.push_back({key, std::move(value), comment});
  return true;
}

void Draft::told(const std::vector<std::string>& patterns) {
  told_.insert(told_.end(), patterns.begin(), patterns.end());
}

bool Draft::is_told(const std::string& option) const {
  return std::any_of(told_.begin(), told_.end(), [&](const auto& pattern) { return matches(pattern, option); });
}

}  // namespace grpo::config
