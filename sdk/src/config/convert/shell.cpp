// shell.cpp: the options in a shell script that starts a trainer.
//
// Not a shell: assignments (also of arrays), quotes, comments, $NAME, ${NAME}, ${NAME:-else} and "${NAME[@]}" are
// known, which is what such scripts are made of. Branches are not followed: what stands in one counts as given.
#include <cctype>
#include <fstream>
#include <grpo/sdk/error.hpp>
#include <map>
#include <sstream>

#include "theirs.hpp"

namespace grpo::config {
namespace {

class Script {
 public:
  explicit Script(const std::string& text) : text_(text) { variables_["HOME"] = {"~"}; }

  // The next command's words; empty at the end.
  bool next(std::vector<std::string>& words) {
    words.clear();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') {
        at_ += 2;
      } else if (c == '\n' || c == ';' || c == '&' || c == '|') {
        ++at_;
        if (!words.empty()) return true;
      } else if (std::isspace(static_cast<unsigned char>(c))) {
        ++at_;
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        word(words);
      }
    }
    return !words.empty();
  }

 private:
  static bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

  void word(std::vector<std::string>& words) {
    std::string out;
    std::vector<std::string> spread;  // of "${NAME[@]}"
    bool quoted = false;
    const std::size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (std::isspace(static_cast<unsigned char>(c)) || c == ';' || c == '&' || c == '|' || c == ')') break;
      if (c == '(' && !out.empty() && out.back() == '=') return array(out.substr(0, out.size() - 1));
      if (c == '\'') {
        const auto end = std::min(text_.find('\'', at_ + 1), text_.size());
        out += text_.substr(at_ + 1, end - at_ - 1);
        at_ = std::min(end + 1, text_.size());
        quoted = true;
      } else if (c == '"') {
        ++at_;
        quoted = true;
        while (at_ < text_.size() && text_[at_] != '"') character(out, spread);
        ++at_;
      } else {
        character(out, spread);
      }
    }
    if (at_ == begin) ++at_;  // a bracket that stands alone
    if (!spread.empty()) words.insert(words.end(), spread.begin(), spread.end());
    if (out.empty() && !quoted) return;
    const auto equals = out.find('=');
    if (words.empty() && equals != out.npos && equals > 0 && out.find_first_of(".-+[") > equals)
      variables_[out.substr(0, equals)] = {out.substr(equals + 1)};
    else
      words.push_back(out);
  }

  void character(std::string& out, std::vector<std::string>& spread) {
    const char c = text_[at_];
    if (c == '\\' && at_ + 1 < text_.size()) {
      if (text_[at_ + 1] != '\n') out += text_[at_ + 1];
      at_ += 2;
    } else if (c == '$') {
      ++at_;
      variable(out, spread);
    } else {
      out += c;
      ++at_;
    }
  }

  void variable(std::string& out, std::vector<std::string>& spread) {
    if (at_ >= text_.size()) return;
    if (text_[at_] == '@' || text_[at_] == '*' || std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      ++at_;
      return;
    }
    if (text_[at_] != '{') {
      const auto begin = at_;
      while (at_ < text_.size() && is_name(text_[at_])) ++at_;
      out += value(text_.substr(begin, at_ - begin), "$" + text_.substr(begin, at_ - begin));
      return;
    }
    const auto begin = ++at_;
    for (int depth = 1; at_ < text_.size(); ++at_) {
      if (text_[at_] == '{') ++depth;
      if (text_[at_] == '}' && --depth == 0) break;
    }
    const std::string inside = text_.substr(begin, at_ - begin);
    at_ = std::min(at_ + 1, text_.size());
    std::size_t n = 0;
    while (n < inside.size() && is_name(inside[n])) ++n;
    const std::string name = inside.substr(0, n), rest = inside.substr(n);
    if (rest == "[@]" || rest == "[*]") {
      const auto found = variables_.find(name);
      if (found != variables_.end()) spread.insert(spread.end(), found->second.begin(), found->second.end());
    } else if (rest.starts_with(":-") || rest.starts_with("-")) {
      out += value(name, unquoted(rest.substr(rest[0] == ':' ? 2 : 1)));
    } else {
      out += value(name, "${" + inside + "}");
    }
  }

  // The text after `:-`, with what it names.
  std::string unquoted(const std::string& text) const {
    Script inside(text);
    inside.variables_ = variables_;
    std::string out;
    std::vector<std::string> spread;
    while (inside.at_ < text.size())
      if (text[inside.at_] == '"' || text[inside.at_] == '\'')
        ++inside.at_;
      else
        inside.character(out, spread);
    return out;
  }

  std::string value(const std::string& name, const std::string& otherwise) const {
    const auto found = variables_.find(name);
    return found == variables_.end() || found->second.empty() ? otherwise : found->second[0];
  }

  void array(const std::string& name) {
    ++at_;
    std::vector<std::string> elements;
    while (at_ < text_.size() && text_[at_] != ')') {
      const char c = text_[at_];
      if (std::isspace(static_cast<unsigned char>(c)) || c == '\\') {
        ++at_;
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        elements.emplace_back();  // so that an element a=b is no assignment
        word(elements);
        std::erase(elements, "");
      }
    }
    ++at_;
    variables_[name] = elements;
  }

  const std::string& text_;
  std::size_t at_ = 0;
  std::map<std::string, std::vector<std::string>> variables_;
};

bool is_option_name(const std::string& text) {
  if (text.empty() || !(std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '_')) return false;
  for (const char c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '-') return false;
  return true;
}

// A configuration that the script names: beside where it is started, which mostly is a folder above the script.
void read_named(const std::string& name, const std::filesystem::path& script, Theirs& to) {
  std::filesystem::path folder = std::filesystem::absolute(script).parent_path();
  for (int up = 0; up < 4; ++up, folder = folder.parent_path()) {
    std::ifstream in(folder / name);
    if (!in) continue;
    std::ostringstream text;
    text << in.rdbuf();
    return read_yaml(text.str(), (folder / name).string(), to);
  }
  throw Error(script.string() + ": it starts from the configuration " + name +
              ", which is in no folder above the script: put it there");
}

void read_command(const std::vector<std::string>& words, const std::filesystem::path& file, Theirs& to) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    std::string word = words[i];
    word.erase(0, word.starts_with("++") ? 2 : word.starts_with("+") ? 1 : 0);
    const auto equals = word.find('=');
    if (word.starts_with("--")) {
      std::string name = word.substr(2, equals == word.npos ? word.npos : equals - 2);
      json value;
      if (equals != word.npos) {
        value = value_of(word.substr(equals + 1));
      } else {
        std::vector<std::string> values;
        while (i + 1 < words.size() && !words[i + 1].starts_with("--")) {
          std::string element = words[++i];
          if (element.ends_with(',')) element.pop_back();
          values.push_back(element);
        }
        if (values.empty()) value = true;
        if (values.size() == 1) value = value_of(values[0]);
        if (values.size() > 1) value = values;
      }
      if (name == "config" && value.is_string()) read_named(value.get<std::string>(), file, to);
      // another program's: of accelerate launch, torchrun
      else if (name != "config_file" && !name.starts_with("nproc") && !name.starts_with("num_processes"))
        to.set(name, std::move(value));
    } else if (equals != word.npos && is_option_name(word.substr(0, equals))) {
      const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
      if (name == "config")
        read_named(value, file, to);
      else
        to.set(name, value_of(value));
    }
  }
}

}  // namespace

void read_shell(const std::string& text, const std::filesystem::path& file, Theirs& to) {
  Script script(text);
  for (std::vector<std::string> words; script.next(words);)
    if (words[0] != "export" && words[0] != "echo" && words[0] != "source") read_command(words, file, to);
}

}  // namespace grpo::config
