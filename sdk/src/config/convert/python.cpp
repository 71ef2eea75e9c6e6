// python.cpp: the arguments of GRPOConfig, LoraConfig and GRPOTrainer in a Python script.
//
// Nothing of it is run: literals are read as they stand, and a name that a line `name = literal` gives is that literal.
#include <cctype>
#include <map>
#include <regex>

#include "theirs.hpp"

namespace grpo::config {
namespace {

// Past a text in quotes, a comment, or one character.
std::size_t past(const std::string& text, std::size_t at) {
  const char c = text[at];
  if (c == '#') return std::min(text.find('\n', at), text.size());
  if (c != '"' && c != '\'') return at + 1;
  const std::string quotes = text.compare(at, 3, std::string(3, c)) == 0 ? std::string(3, c) : std::string(1, c);
  for (at += quotes.size(); at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text.compare(at, quotes.size(), quotes) == 0) {
      return at + quotes.size();
    }
  }
  return text.size();
}

std::string trimmed(const std::string& text) {
  std::string out;  // without comments
  for (std::size_t at = 0; at < text.size();) {
    const auto next = past(text, at);
    if (text[at] != '#') out += text.substr(at, next - at);
    at = next;
  }
  const auto first = out.find_first_not_of(" \t\r\n"), last = out.find_last_not_of(" \t\r\n");
  return first == out.npos ? "" : out.substr(first, last - first + 1);
}

// The arguments of the call whose bracket is at `open`.
std::vector<std::string> arguments(const std::string& text, std::size_t open) {
  std::vector<std::string> out;
  int depth = 0;
  std::size_t begin = open + 1;
  for (std::size_t at = open; at < text.size();) {
    const char c = text[at];
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    if (depth == 0 || (depth == 1 && c == ',')) {
      if (const auto argument = trimmed(text.substr(begin, at - begin)); !argument.empty()) out.push_back(argument);
      begin = at + 1;
    }
    if (depth == 0) break;
    at = past(text, at);
  }
  return out;
}

bool is_literal(const std::string& text) {
  static const std::regex literal(R"(("[^"\n]*"|'[^'\n]*'|[-+]?[0-9][0-9_.]*([eE][-+]?[0-9]+)?|True|False|None))");
  return std::regex_match(text, literal);
}

class Script {
 public:
  explicit Script(const std::string& text) : text_(text) {
    static const std::regex assignment(R"(^[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*([^=\n][^\n]*)$)",
                                       std::regex::ECMAScript | std::regex::multiline);
    for (std::sregex_iterator at(text.begin(), text.end(), assignment), end; at != end; ++at)
      if (const auto value = trimmed((*at)[2]); is_literal(value)) literals_[(*at)[1]] = value;
  }

  // name=value of every call of `function`, under `prefix`.
  void read(const std::string& function, const std::string& prefix, Theirs& to) const {
    for (auto at = text_.find(function + "("); at != text_.npos; at = text_.find(function + "(", at + 1)) {
      if (at > 0 && (std::isalnum(static_cast<unsigned char>(text_[at - 1])) || text_[at - 1] == '_')) continue;
      for (const auto& argument : arguments(text_, at + function.size())) {
        static const std::regex named(R"(([A-Za-z_][A-Za-z0-9_]*)\s*=\s*([^=][\s\S]*))");
        std::smatch parts;
        if (std::regex_match(argument, parts, named)) to.set(prefix + parts[1].str(), value(parts[2]));
      }
    }
  }

 private:
  json value(std::string text) const {
    if (const auto known = literals_.find(text); known != literals_.end()) text = known->second;
    if (text == "None") return nullptr;
    if (is_literal(text)) {
      if (text[0] != '"' && text[0] != '\'') std::erase(text, '_');
      return value_of(text);
    }
    if (!text.starts_with('[')) return text;
    json list = json::array();
    for (const auto& element : arguments(text, 0)) list.push_back(value(element));
    return list;
  }

  const std::string& text_;
  std::map<std::string, std::string> literals_;
};

}  // namespace

void read_python(const std::string& text, Theirs& to) {
  const Script script(text);
  script.read("GRPOConfig", "", to);
  script.read("LoraConfig", "lora.", to);
  script.read("GRPOTrainer", "", to);
}

}  // namespace grpo::config
