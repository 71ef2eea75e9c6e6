#include "theirs.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <grpo/sdk/error.hpp>
#include <sstream>

#include "../scalar.hpp"

namespace grpo::config {
namespace {

void flatten(const json& value, const std::string& path, Theirs& to) {
  if (!value.is_object() || (value.empty() && !path.empty())) return to.set(path, value);
  for (const auto& [name, inside] : value.items()) flatten(inside, path.empty() ? name : path + "." + name, to);
}

// OmegaConf's ${a.b}: alone it is that value, inside a text its text. One that names nothing, or a section, stays.
json resolved(const json& value, const Theirs& all, int depth = 0) {
  if (!value.is_string() || depth > 8) return value;
  const auto text = value.get<std::string>();
  const auto begin = text.find("${"), end = text.find('}', begin);
  if (begin == text.npos || end == text.npos) return value;
  const json* found = all.find(text.substr(begin + 2, end - begin - 2));
  if (!found) return value;
  if (begin == 0 && end + 1 == text.size()) return resolved(*found, all, depth + 1);
  const std::string inside = found->is_string() ? found->get<std::string>() : found->dump();
  return resolved(text.substr(0, begin) + inside + text.substr(end + 1), all, depth + 1);
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) throw Error(file.string() + ": cannot open the file");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

void Theirs::set(const std::string& name, json value) {
  for (auto& option : options_)
    if (option.name == name) {
      option.value = std::move(value);
      return;
    }
  options_.push_back({name, std::move(value)});
}

const json* Theirs::find(std::string_view name) const {
  for (const auto& option : options_)
    if (option.name == name) return option.value.is_null() ? nullptr : &option.value;
  return nullptr;
}

json value_of(const std::string& text) {
  try {
    return to_json(YAML::Load(text));
  } catch (const std::exception&) {
    return text;
  }
}

void read_yaml(const std::string& text, const std::string& name, Theirs& to) {
  json root;
  try {
    root = to_json(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    throw Error(name + ":" + std::to_string(error.mark.line + 1) + ": not YAML: " + error.msg);
  } catch (const std::runtime_error& error) {
    throw Error(name + ": " + error.what());
  }
  if (!root.is_object()) throw Error(name + ": expects options by name, `section:` with `option: value` below");
  root.erase("defaults");  // Hydra's list of other files
  flatten(root, "", to);
}

Theirs read_theirs(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const std::string text = read_text(file);
  Theirs out;
  if (file.extension() == ".sh")
    read_shell(text, file, out);
  else if (file.extension() == ".py")
    read_python(text, out);
  else
    read_yaml(text, file.string(), out);
  for (const auto& override_text : overrides) {
    const auto equals = override_text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error("command line: " + override_text + ": expects an option of theirs, option=value");
    out.set(override_text.substr(0, equals), value_of(override_text.substr(equals + 1)));
  }
  const Theirs given = out;
  for (auto& option : out.all()) option.value = resolved(option.value, given);
  return out;
}

}  // namespace grpo::config
