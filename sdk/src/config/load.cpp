// load.cpp: defaults, then the file, then the command line. Mistakes are collected, so that one run shows them all.
#include <utf8proc.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <grpo/sdk/config/nearest.hpp>
#include <grpo/sdk/error.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "check.hpp"
#include "scalar.hpp"
#include "suggest.hpp"
#include "table.hpp"

namespace grpo::config {
namespace {

// Where the first byte is that is no text: 0, or not UTF-8. The size: there is none.
std::size_t first_not_text(const std::string& text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t character = 0;
    const auto n = utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &character);
    if (n <= 0 || character == 0) return at;
    at += static_cast<std::size_t>(n);
  }
  return text.size();
}

class Loader {
 public:
  Loader(std::string name, Path base) : name_(std::move(name)), base_(std::move(base)) {}

  void read_file(const std::string& text) {
    const YAML::Node root = parse(text);
    if (root.IsNull()) return;
    if (!root.IsMap()) throw Error(name_ + ":1: expects `section:` mappings, found " + found(root));
    std::set<std::string> seen;
    for (const auto& pair : root) {
      const std::string name = pair.first.IsScalar() ? pair.first.Scalar() : "";
      if (!seen.insert(name).second) {
        mistake(pair.first, "section `" + name + "` is given twice: merge them");
        continue;
      }
      read_section(name, pair.first, pair.second);
    }
  }

  void override_with(const std::string& text) {
    name_ = "command line";
    base_.clear();
    override_ = text;
    try {
      read_override(text);
    } catch (const YAML::Exception& error) {
      mistake({}, "the value is not YAML: " + error.msg);
    }
    override_.clear();
  }

  Config finish() {
    derive(config_, name_of_file_);
    if (mistakes_.empty()) check(config_, mistakes_);
    if (mistakes_.empty()) return std::move(config_);
    std::string text;
    const std::size_t told = std::min<std::size_t>(mistakes_.size(), 20);
    for (std::size_t i = 0; i < told; ++i) text += (i ? "\n" : "") + mistakes_[i];
    if (told < mistakes_.size()) text += "\nand " + std::to_string(mistakes_.size() - told) + " mistakes more";
    throw Error(text);
  }

  void set_run_name(std::string name) { name_of_file_ = std::move(name); }

 private:
  YAML::Node parse(const std::string& text) const {
    require_text(text);
    const auto at = [&](const YAML::Mark& mark) {
      return name_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
    };
    try {
      std::vector<YAML::Node> documents = YAML::LoadAll(text);
      std::erase_if(documents, [](const YAML::Node& node) { return node.IsNull(); });
      if (documents.size() > 1)
        throw Error(at(documents[1].Mark()) + ": a second document (after `---`); a configuration is one: merge them");
      return documents.empty() ? YAML::Node() : documents[0];
    } catch (const YAML::DeepRecursion& error) {
      throw Error(at(error.mark) + ": nested too deeply");
    } catch (const YAML::Exception& error) {
      throw Error(at(error.mark) + ": not YAML: " + error.msg);
    }
  }

  // yaml-cpp takes any bytes; a name with a 0 in it would end early where the system reads it.
  void require_text(const std::string& text) const {
    if (text.starts_with("\xFE\xFF") || text.starts_with("\xFF\xFE")) return;  // UTF-16, which it converts
    const std::size_t bad = first_not_text(text);
    if (bad == text.size()) return;
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(bad), '\n');
    throw Error(name_ + ":" + std::to_string(line) + ": a byte that is " +
                (text[bad] ? "not UTF-8" : "0, which is no text") + "; save the file as UTF-8");
  }

  Origin origin(int line) const {
    if (override_.empty()) return {Origin::Kind::file, name_, line};
    return {Origin::Kind::command_line, "", 0};
  }

  void mistake(const YAML::Node& at, const std::string& what) {
    if (!override_.empty())
      mistakes_.push_back("command line: " + override_ + ": " + what);
    else
      mistakes_.push_back(name_ + ":" + std::to_string(at.Mark().line + 1) + ": " + what);
  }

  void read_section(const std::string& name, const YAML::Node& at, const YAML::Node& value) {
    const Section* section = find_section(name);
    if (!section || section->is_nested()) return mistake(at, unknown_section(name));
    if (value.IsNull()) return;
    if (!section->list) {
      if (!value.IsMap()) return mistake(value, name + " expects a mapping of keys, found " + found(value));
      return read_keys(*section, section->element(config_, 0), name + ".", value);
    }
    read_list(*section, value);
  }

  // An element that is a text stands for its first key: `rewards: [math, format]`.
  void read_list(const Section& section, const YAML::Node& value) {
    if (!value.IsSequence()) return mistake(value, section.name + " expects a list, found " + found(value));
    section.clear(config_);
    forget(section.name + ".");
    std::size_t index = 0;
    for (const auto& element : value) {
      const std::string prefix = section.name + "." + std::to_string(index) + ".";
      void* fields = section.element(config_, index++);
      const Key& first = section.keys[0];
      if (element.IsScalar())
        assign(first, fields, prefix + first.name, element);
      else if (element.IsMap())
        read_keys(section, fields, prefix, element);
      else
        mistake(element, section.name + " expects a mapping in each element, found " + found(element));
    }
  }

  void read_keys(const Section& section, void* fields, const std::string& prefix, const YAML::Node& map) {
    std::map<const Key*, std::string> seen;
    for (const auto& pair : map) {
      const std::string spelling = pair.first.IsScalar() ? pair.first.Scalar() : "";
      const Key* key = section.find(spelling);
      if (const Section* inside = section.list_inside(spelling)) {
        if (!pair.second.IsNull()) read_list(*inside, pair.second);
        continue;
      }
      if (!key) {
        mistake(pair.first, unknown_key(section, prefix, spelling));
        continue;
      }
      const auto [before, first] = seen.emplace(key, spelling);
      if (!first)
        mistake(pair.first, prefix + spelling + " is given twice" +
                                (before->second == spelling ? "" : ", before as `" + before->second + "`"));
      else
        assign(*key, fields, prefix + key->name, pair.second);
    }
  }

  void read_override(const std::string& text) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return mistake({}, "expects section.key=value");
    const std::string value = text.substr(equals + 1);
    std::vector<std::string> parts;
    std::istringstream path(text.substr(0, equals));
    for (std::string part; std::getline(path, part, '.');) parts.push_back(part);
    const Section* section = find_section(parts[0]);
    if (!section) return mistake({}, unknown_section(parts[0], parts.back()));

    std::size_t next = 1;
    if (const Section* inside = parts.size() > 1 ? section->list_inside(parts[1]) : nullptr) {
      section = inside;
      next = 2;
    }
    std::string prefix = section->name + ".";
    void* fields = nullptr;
    if (section->list) {
      if (parts.size() == next) return read_list(*section, YAML::Load(value));
      const std::size_t index = element_index(*section, parts[next]);
      if (index == none) return;
      fields = section->element(config_, index);
      prefix += std::to_string(index) + ".";
      ++next;
    } else {
      fields = section->element(config_, 0);
    }
    if (parts.size() <= next) return mistake({}, "expects a key after `" + text.substr(0, equals) + ".`");
    const Key* key = section->find(parts[next]);
    if (!key) return mistake({}, unknown_key(*section, prefix, parts[next]));
    const std::string full = prefix + key->name;
    if (parts.size() == next + 1) return assign(*key, fields, full, override_value(*key, value));
    const std::vector<std::string> inside(parts.begin() + static_cast<std::ptrdiff_t>(next) + 1, parts.end());
    if (key->type != Type::options)
      return mistake({}, full + " has no keys inside" + not_nested(*section, prefix, inside));
    set_option(*static_cast<Options*>(key->field(fields)), full, inside, YAML::Load(value));
  }

  // Texts come from the shell as they are meant, without YAML's rules about colons and quotes.
  static YAML::Node override_value(const Key& key, const std::string& value) {
    const bool literal = key.type == Type::text || key.type == Type::path;
    const bool list = key.type == Type::text_list || key.type == Type::path_list;
    const bool quoted = value.size() > 1 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0];
    if (quoted || !(literal || (list && !value.starts_with('[')))) return YAML::Load(value);
    YAML::Node node(value);
    node.SetTag("!");
    return node;
  }

  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  // "0", or the name of a reward that is there.
  std::size_t element_index(const Section& section, const std::string& part) {
    const std::size_t count = section.count(config_);
    if (!part.empty() && part.size() < 6 && part.find_first_not_of("0123456789") == std::string::npos) {
      const auto index = static_cast<std::size_t>(std::stoul(part));
      if (index <= count) return index;
      mistake({}, section.name + " has " + std::to_string(count) + " elements: the next is " + section.name + "." +
                      std::to_string(count));
      return none;
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i) {
      void* fields = section.element(config_, i);
      for (const char* label : {"name", "plugin"})
        if (const Key* key = section.find(label))
          if (*static_cast<const Text*>(key->field(fields)) == part) return i;
      if (const Key* key = section.find("plugin")) names.push_back(*static_cast<const Text*>(key->field(fields)));
    }
    mistake({}, section.name + " has no element `" + part + "`." + did_you_mean(part, names) +
                    " Elements are named by number from 0, or by their name");
    return none;
  }

  void assign(const Key& key, void* fields, const std::string& full, const YAML::Node& value) {
    void* field = key.field(fields);
    if (value.IsNull() || (value.IsScalar() && value.Tag() != "!" && plain_scalar(value.Scalar()).is_null())) {
      if (override_.ends_with('=')) return mistake(value, "has no value (null goes back to the default)");
      return reset(key, field, full);
    }
    const std::size_t before = mistakes_.size();
    switch (key.type) {
      case Type::text:
        text(key, full, value, *static_cast<Text*>(field));
        break;
      case Type::boolean:
        boolean(full, value, *static_cast<bool*>(field));
        break;
      case Type::integer:
        integer(key, full, value, *static_cast<Integer*>(field));
        break;
      case Type::number:
        number(key, full, value, *static_cast<Number*>(field));
        break;
      case Type::path:
        path(key, full, value, *static_cast<Path*>(field));
        break;
      case Type::text_list:
        list(key, full, value, *static_cast<TextList*>(field), &Loader::text);
        break;
      case Type::integer_list:
        list(key, full, value, *static_cast<IntegerList*>(field), &Loader::integer);
        break;
      case Type::path_list:
        list(key, full, value, *static_cast<PathList*>(field), &Loader::path);
        break;
      case Type::options:
        options(full, value, *static_cast<Options*>(field));
        break;
    }
    if (mistakes_.size() == before) config_.origins[full] = origin(value.Mark().line + 1);
  }

  void reset(const Key& key, void* field, const std::string& full) {
    config_.origins.erase(full);
    for (const auto& section : sections())
      for (const auto& candidate : section.keys)
        if (&candidate == &key)
          with_field(key.type, field_of(key, section.defaults), [&](const auto& fallback) {
            *static_cast<std::remove_cvref_t<decltype(fallback)>*>(field) = fallback;
          });
  }

  void expected(const std::string& full, const std::string& what, const YAML::Node& value,
                const std::string& hint = "") {
    mistake(value, full + " expects " + what + ", found " + found(value) + hint);
  }

  static std::string nested_hint(const std::string& full, const YAML::Node& value) {
    const auto dot = full.find('.');
    const Section* section = find_section(full.substr(0, dot));
    std::vector<std::string> inside;
    if (value.IsMap())
      for (const auto& pair : value)
        if (pair.first.IsScalar()) inside.push_back(pair.first.Scalar());
    return section ? not_nested(*section, full.substr(0, dot + 1), inside) : "";
  }

  void text(const Key& key, const std::string& full, const YAML::Node& value, Text& out) {
    if (!value.IsScalar()) return expected(full, "a text", value, nested_hint(full, value));
    const bool plain = value.Tag() != "!";
    if (plain && plain_scalar(value.Scalar()).is_boolean())
      return expected(full, key.constraint.choices.empty() ? "a text" : key.constraint.text(), value,
                      key.constraint.choices.empty() ? ": put it in quotes if that is meant" : "");
    if (!key.constraint.holds(value.Scalar())) {
      const auto wrong = key.constraint.first_wrong(value.Scalar());
      const std::string hint = did_you_mean(wrong.value_or(""), key.constraint.choices);
      return mistake(value, full + " must be " + key.constraint.text() + ", found `" + value.Scalar() + "`." + hint);
    }
    out = value.Scalar();
    constexpr std::string_view file = "file:";
    if (key.constraint.file_reference && out.starts_with(file))
      out = std::string(file) + resolve(out.substr(file.size())).string();
  }

  void boolean(const std::string& full, const YAML::Node& value, bool& out) {
    if (!value.IsScalar() || value.Tag() == "!" || !plain_scalar(value.Scalar()).is_boolean())
      return expected(full, "true or false", value);
    out = plain_scalar(value.Scalar()).get<bool>();
  }

  void integer(const Key& key, const std::string& full, const YAML::Node& value, Integer& out) {
    const auto scalar =
        value.IsScalar() && value.Tag() != "!" ? plain_scalar(value.Scalar()) : nlohmann::ordered_json();
    if (!scalar.is_number_integer()) return expected(full, "an integer", value, digits_hint(value));
    if (!in_range(key, full, value, scalar.get<double>())) return;
    if (!key.constraint.wide && scalar.get<Integer>() > largest_count)
      return mistake(value, full + " must be at most " + std::to_string(largest_count) + ", found " + value.Scalar());
    out = scalar.get<Integer>();
  }

  void number(const Key& key, const std::string& full, const YAML::Node& value, Number& out) {
    const auto scalar =
        value.IsScalar() && value.Tag() != "!" ? plain_scalar(value.Scalar()) : nlohmann::ordered_json();
    if (!scalar.is_number()) return expected(full, "a number", value, digits_hint(value));
    if (!in_range(key, full, value, scalar.get<double>())) return;
    constexpr double largest = std::numeric_limits<float>::max();  // what engines compute with
    if (std::isfinite(scalar.get<double>()) && std::abs(scalar.get<double>()) > largest)
      return mistake(value, full + " is beyond the range of 32-bit numbers: " + value.Scalar());
    out = scalar.get<double>();
  }

  bool in_range(const Key& key, const std::string& full, const YAML::Node& value, double given) {
    if (key.constraint.holds(given)) return true;
    mistake(value, full + " must be " + key.constraint.text() + ", found " + value.Scalar());
    return false;
  }

  static std::string digits_hint(const YAML::Node& value) {
    if (!value.IsScalar()) return "";
    std::string bare = value.Scalar();
    std::erase_if(bare, [](char c) { return c == '_' || c == ','; });
    if (value.Tag() == "!" && plain_scalar(bare).is_number()) return ": take off the quotes";
    if (bare != value.Scalar() && plain_scalar(bare).is_number()) return ": write " + bare;
    return "";
  }

  void path(const Key&, const std::string& full, const YAML::Node& value, Path& out) {
    if (!value.IsScalar() || (value.Tag() != "!" && plain_scalar(value.Scalar()).is_boolean()))
      return expected(full, "a path", value);
    out = resolve(value.Scalar());
  }

  Path resolve(const std::string& given) const { return resolve_path(base_, given); }

  template <class T>
  void list(const Key& key, const std::string& full, const YAML::Node& value, std::vector<T>& out,
            void (Loader::*element)(const Key&, const std::string&, const YAML::Node&, T&)) {
    if (value.IsMap()) return expected(full, "a " + type_name(key.type), value);
    std::vector<T> read;
    const auto add = [&](const YAML::Node& node, const std::string& name) {
      T one{};
      (this->*element)(key, name, node, one);
      read.push_back(std::move(one));
    };
    if (value.IsScalar()) add(value, full);
    if (value.IsSequence())
      for (const auto& node : value) add(node, full + "[" + std::to_string(read.size()) + "]");
    out = std::move(read);
  }

  void options(const std::string& full, const YAML::Node& value, Options& out) {
    if (!value.IsMap()) return expected(full, "a mapping of options", value);
    Options read;
    read.base = base_;
    forget(full + ".");
    try {
      read.json = to_json(value, [&](const std::string& inside, int line) {
                    if (inside.empty()) return;
                    read.origins[inside] = origin(line);
                    config_.origins[full + "." + inside] = origin(line);
                  }).dump();
      out = std::move(read);
    } catch (const std::runtime_error& error) {
      mistake(value, full + ": " + error.what());
    }
  }

  // model.options.a.b=value: into what is there already.
  void set_option(Options& out, const std::string& full, const std::vector<std::string>& inside,
                  const YAML::Node& value) {
    auto all = nlohmann::ordered_json::parse(out.json);
    auto* place = &all;
    std::string name;
    for (const auto& part : inside) {
      if (!place->is_object() && !place->is_null())
        return mistake({}, full + "." + name + " is no mapping: it has no `" + part + "`");
      place = &(*place)[part];
      name += (name.empty() ? "" : ".") + part;
    }
    try {
      *place = to_json(value);
    } catch (const std::runtime_error& error) {
      return mistake({}, full + ": " + error.what());
    }
    out.json = all.dump();
    std::erase_if(out.origins, [&](const auto& entry) { return entry.first.starts_with(name + "."); });
    forget(full + "." + name + ".");
    out.origins[name] = config_.origins[full + "." + name] = origin(0);
  }

  void forget(const std::string& prefix) {
    std::erase_if(config_.origins, [&](const auto& entry) { return entry.first.starts_with(prefix); });
  }

  std::string name_, override_, name_of_file_;
  Path base_;
  Config config_;
  std::vector<std::string> mistakes_;
};

std::string read_text(const Path& file) {
  if (std::filesystem::is_directory(file))
    throw Error(file.string() + ": is a directory, expected a configuration file");
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(file.string() + ": cannot open the configuration file");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Config run(Loader& loader, const std::string& text, const std::vector<std::string>& overrides) {
  loader.read_file(text);
  for (const auto& override_text : overrides) loader.override_with(override_text);
  return loader.finish();
}

}  // namespace

Config load(const std::optional<Path>& file, const std::vector<std::string>& overrides) {
  if (!file) return load(Source{"defaults", "", {}}, overrides);
  Loader loader(file->string(), file->parent_path());
  loader.set_run_name(file->stem().string());
  return run(loader, read_text(*file), overrides);
}

Config load(const Source& source, const std::vector<std::string>& overrides) {
  Loader loader(source.name, source.base);
  loader.set_run_name(source.text.empty() ? "run" : Path(source.name).stem().string());
  return run(loader, source.text, overrides);
}

}  // namespace grpo::config
