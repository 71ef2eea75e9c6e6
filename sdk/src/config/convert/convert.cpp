#include <algorithm>
#include <grpo/sdk/config/config.hpp>
#include <grpo/sdk/config/convert.hpp>
#include <grpo/sdk/config/nearest.hpp>
#include <grpo/sdk/error.hpp>
#include <regex>

#include "../print.hpp"
#include "../table.hpp"
#include "draft.hpp"

namespace grpo::config {
namespace {

std::size_t known(const System& system, const Theirs& theirs) {
  return static_cast<std::size_t>(std::count_if(theirs.all().begin(), theirs.all().end(), [&](const Option& option) {
    return system.find(option.name) || system.reason(option.name);
  }));
}

const System& system_for(const Theirs& theirs, const std::string& wanted, const std::string& file) {
  if (!wanted.empty()) {
    for (const auto& system : all_systems())
      if (system.name == wanted) return system;
    throw Error("there is no system `" + wanted + "`." + did_you_mean(wanted, systems()));
  }
  const System* best = nullptr;
  std::size_t most = 0;
  for (const auto& system : all_systems())
    if (const auto n = known(system, theirs); n > most) {
      best = &system;
      most = n;
    }
  if (!best) throw Error(file + ": no option in it is one of TRL, EasyR1, verl, AReaL or MindSpeed-RL");
  return *best;
}

std::string text_of(const json& value) {
  std::string out;
  if (value.is_string()) return scalar_text(value.get<std::string>());
  if (value.is_number_float()) return number_text(value.get<double>());
  if (!value.is_structured()) return value.dump();
  for (const auto& [name, inside] : value.items())
    out += (out.empty() ? "" : ", ") + (value.is_object() ? scalar_text(name) + ": " : "") + text_of(inside);
  return value.is_object() ? "{" + out + "}" : "[" + out + "]";
}

// Where several of ours or none take the value of theirs, what the page says.
std::string told_text(const Told& told) {
  std::string out;
  for (const auto& key : told.keys) out += (out.empty() ? "" : ", ") + key;
  return out + (told.note.empty() ? "" : ": " + told.note);
}

// What holds memory there is bounded by options of our plugins, whose defaults suit: nothing to decide.
bool is_of_memory(const Told& told) {
  return told.keys.size() == 1 && (told.keys[0] == "model.options" || told.keys[0] == "sampler.options");
}

// Does the table's row alone say what becomes of the value?
bool take(Draft& draft, const Told& told, const Option& option) {
  if (!told.here || told.key.empty() || option.name.find('*') != option.name.npos) return false;
  for (const auto& name : told.names)
    if (name.find('*') != name.npos && !name.ends_with(option.name)) return false;
  const auto dot = told.key.find('.');
  const Section* section = find_section(told.key.substr(0, dot));
  if (!section || section->list) return false;
  const Key* key = section->find(told.key.substr(dot + 1));
  if (!told.first && !(key && key->is(option.name.substr(option.name.rfind('.') + 1)))) return draft.has(told.key);
  json value = option.value;
  if (value.is_boolean() && told.note.find("the other way round") != told.note.npos) value = !value.get<bool>();
  if (draft.set(told.key, value, option.name)) return true;
  // -1 is "off" there
  return value.is_number() && value.get<double>() < 0 && draft.set(told.key, 0, option.name + ": off");
}

class Converter {
 public:
  Converter(const Theirs& theirs, const System& system) : draft_(theirs, system) {}

  Conversion run(const std::string& file) {
    apply_rules(draft_);
    for (const auto& option : draft_.theirs.all()) place(option);
    for (const auto& line : draft_.system.defaults) add_default(line);
    check();
    Conversion out;
    out.system = draft_.system.name;
    out.taken = taken_;
    out.open = draft_.looks.size() + unknown_.size();
    out.dropped = dropped_;
    out.yaml = text(file, out);
    return out;
  }

 private:
  void place(const Option& option) {
    if (option.value.is_null() || draft_.is_told(option.name)) {
      taken_ += !option.value.is_null();
      return;
    }
    const Told* told = draft_.system.find(option.name);
    if (told && take(draft_, *told, option)) {
      ++taken_;
    } else if (told && told->here && is_of_memory(*told)) {
      drop(option.name, told_text(*told));
    } else if (told && told->here) {
      draft_.look(option.name + ": " + text_of(option.value) + ": " + told_text(*told));
    } else if (told) {
      drop(option.name, told->note);
    } else if (const std::string* reason = draft_.system.reason(option.name)) {
      drop(option.name, *reason);
    } else if (take_by_name(option)) {
      ++taken_;
    } else {
      unknown_.push_back(option.name);
    }
  }

  // An option of an earlier or later version, which one key of ours is called too.
  bool take_by_name(const Option& option) {
    std::vector<std::string> keys;
    for (const auto& section : sections())
      if (const Key* key = section.find(option.name); key && !section.list && !section.is_nested())
        keys.push_back(section.name + "." + key->name);
    return keys.size() == 1 && draft_.set(keys[0], option.value, option.name);
  }

  void drop(const std::string& option, const std::string& reason) {
    ++dropped_;
    for (auto& [known, options] : reasons_)
      if (known == reason) {
        options += ", " + option;
        return;
      }
    reasons_.emplace_back(reason, option);
  }

  void add_default(const Default& line) {
    if (draft_.given(line.option) || draft_.has(line.key) || draft_.keeps_default(line.key)) return;
    const json value = value_of(line.theirs);
    if (line.key.starts_with("sft.") || line.key.starts_with("rewards.")) return;
    if (line.option.find("--") == 0 || line.option.starts_with("eval_and_aggregate")) return;
    if (!draft_.set(line.key, value, line.option + ", left out there") && value.is_number() && value < 0)
      draft_.set(line.key, 0, line.option + ", left out there: off");
  }

  // What its keys say of each other.
  void check() {
    std::string sections_alone;
    for (const auto& section : sections()) sections_alone += section_text(section);
    try {
      load(Source{"this file", sections_alone, {}});
    } catch (const Error& error) {
      draft_.look(std::regex_replace(std::string(error.what()), std::regex("\n"), "\n#   "));
    }
  }

  std::string text(const std::string& file, const Conversion& c) const {
    std::string out = "# From " + file + ", which is " + c.system + "'s, by grpo-host convert.\n";
    out += "# What each key is called there stands beside it; the whole table: docs/coming-from/" + draft_.system.page +
           ".\n# Paths are relative to this file.\n";
    for (const auto& section : sections()) out += section_text(section);
    if (c.open) out += "\n# To look at:\n";
    for (const auto& look : draft_.looks) out += "#   " + look + "\n";
    for (const auto& name : unknown_) out += "#   " + name + ": nothing is known of it\n";
    if (!reasons_.empty()) out += "\n# Not here, because\n";
    for (const auto& [reason, options] : reasons_) out += "#   " + reason + ": " + options + "\n";
    return out;
  }

  std::string section_text(const Section& section) const {
    std::string out;
    const auto add = [&](std::string line, const std::string& comment) {
      line.resize(std::max(line.size(), std::size_t{44}), ' ');
      out += line + "  # " + comment + "\n";
    };
    for (const auto& line : draft_.lines)
      if (section.list && line.key == section.name) {
        add(section.name + ":", line.comment);
        for (const auto& element : line.value) out += "  - " + text_of(element) + "\n";
      }
    for (const auto& key : section.keys)
      for (const auto& line : draft_.lines)
        if (line.key == section.name + "." + key.name) {
          if (out.empty()) out = section.name + ":\n";
          add("  " + key.name + ": " + text_of(line.value), line.comment);
        }
    return out;
  }

  Draft draft_;
  std::vector<std::string> unknown_;
  std::vector<std::pair<std::string, std::string>> reasons_;  // and the options
  std::size_t taken_ = 0, dropped_ = 0;
};

}  // namespace

std::vector<std::string> systems() {
  std::vector<std::string> out;
  for (const auto& system : all_systems()) out.push_back(system.name);
  return out;
}

Conversion convert(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                   const std::string& wanted) {
  const Theirs theirs = read_theirs(file, overrides);
  return Converter(theirs, system_for(theirs, wanted, file.string())).run(file.filename().string());
}

}  // namespace grpo::config
