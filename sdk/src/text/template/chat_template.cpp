#include "grpo/sdk/text/chat_template.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"

namespace grpo::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

Json read_object(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  try {
    Json json = Json::parse(read_text(path));
    if (json.is_object()) return json;
  } catch (const Json::parse_error& error) {
    throw Error(path.string() + " is not JSON: " + error.what());
  }
  throw Error(path.string() + " must hold a JSON object");
}

// "<s>" or {"content": "<s>", ...}
std::optional<std::string> token_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    return value["content"].get<std::string>();
  return std::nullopt;
}

// bos_token, eos_token, ... and tokens that only this model has, such as image_token
void add_special_tokens(const Json& config, std::map<std::string, std::string>& tokens) {
  for (const auto& [key, value] : config.items()) {
    const bool is_token = key.size() > 6 && key.compare(key.size() - 6, 6, "_token") == 0;
    if (!is_token) continue;
    if (const auto text = token_text(value)) tokens.emplace(key, *text);
  }
  const auto extra = config.find("extra_special_tokens");
  if (extra == config.end() || !extra->is_object()) return;
  for (const auto& [key, value] : extra->items()) {
    if (const auto text = token_text(value)) tokens.emplace(key, *text);
  }
}

using Templates = std::map<std::string, Template>;

// A string, or a list of {name, template}.
void add_templates(const Json& value, const std::string& origin, Templates& templates) {
  if (value.is_string()) {
    templates.emplace("default", Template(value.get<std::string>(), origin));
    return;
  }
  if (!value.is_array()) throw Error(origin + ": a chat template is a string or a list of {name, template}");
  for (const Json& entry : value) {
    const bool complete = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                          entry.contains("template") && entry["template"].is_string();
    if (!complete) throw Error(origin + ": each entry of the list needs a name and a template");
    const std::string name = entry["name"];
    templates.insert_or_assign(name, Template(entry["template"].get<std::string>(), origin + " '" + name + "'"));
  }
}

Templates find_templates(const fs::path& directory, const Json& tokenizer_config) {
  Templates templates;
  const fs::path jinja = directory / "chat_template.jinja";
  if (fs::exists(jinja)) templates.emplace("default", Template(read_text(jinja), jinja.string()));
  const fs::path additional = directory / "additional_chat_templates";
  if (fs::is_directory(additional)) {
    for (const auto& entry : fs::directory_iterator(additional)) {
      if (entry.path().extension() != ".jinja") continue;
      templates.emplace(entry.path().stem().string(), Template(read_text(entry.path()), entry.path().string()));
    }
  }
  if (!templates.empty()) return templates;
  const fs::path json = directory / "chat_template.json";
  if (const Json object = read_object(json); object.contains("chat_template")) {
    add_templates(object["chat_template"], json.string(), templates);
    return templates;
  }
  const auto config = tokenizer_config.find("chat_template");
  if (config != tokenizer_config.end() && !config->is_null()) {
    add_templates(*config, (directory / "tokenizer_config.json").string() + " chat_template", templates);
  }
  return templates;
}

// What transformers does to messages before a template sees them: keys without a value are dropped, and the reasoning
// of a message is there under the names that templates ask for.
Json prepared(const Json& messages) {
  if (!messages.is_array()) throw Error("messages must be a list of {\"role\", \"content\"}");
  if (messages.empty()) throw Error("a chat template needs at least one message");
  Json result = Json::array();
  for (const Json& message : messages) {
    if (!message.is_object()) throw Error("each message must be an object, but one is " + message.dump());
    const Json* reasoning = nullptr;
    for (const char* field : {"reasoning_content", "thinking", "reasoning"}) {
      const auto found = message.find(field);
      if (found == message.end() || found->is_null()) continue;
      reasoning = &*found;
      break;
    }
    Json copy = Json::object();
    if (reasoning) copy["thinking"] = *reasoning;
    for (const auto& [key, value] : message.items()) {
      if (!value.is_null()) copy[key] = value;
    }
    if (reasoning) copy["reasoning_content"] = *reasoning;
    result.push_back(std::move(copy));
  }
  return result;
}

}  // namespace

ChatTemplate ChatTemplate::load(const std::string& model_directory, const std::optional<std::string>& override_file) {
  const fs::path directory = model_directory;
  if (!fs::is_directory(directory)) throw Error("there is no model directory " + model_directory);
  ChatTemplate chat;
  chat.origin_ = model_directory;
  const Json config = read_object(directory / "tokenizer_config.json");
  add_special_tokens(config, chat.special_tokens_);
  add_special_tokens(read_object(directory / "special_tokens_map.json"), chat.special_tokens_);
  if (override_file) {
    chat.templates_.emplace("default", Template(read_text(*override_file), *override_file));
    return chat;
  }
  chat.templates_ = find_templates(directory, config);
  if (chat.templates_.empty()) {
    throw Error(model_directory +
                " has no chat template: looked for chat_template.jinja, additional_chat_templates/*.jinja, "
                "chat_template.json and the key chat_template of tokenizer_config.json. A base model has none: give "
                "a template file, or use raw prompts");
  }
  return chat;
}

ChatTemplate ChatTemplate::from_source(std::string source, std::string name) {
  ChatTemplate chat;
  chat.origin_ = name;
  chat.templates_.emplace("default", Template(std::move(source), std::move(name)));
  return chat;
}

const Template& ChatTemplate::pick(bool with_tools) const {
  if (with_tools) {
    const auto tool_use = templates_.find("tool_use");
    if (tool_use != templates_.end()) return tool_use->second;
  }
  const auto found = templates_.find("default");
  if (found != templates_.end()) return found->second;
  std::string names;
  for (const auto& [name, value] : templates_) names += (names.empty() ? "" : ", ") + name;
  throw Error(origin_ + " has several chat templates and none is called \"default\": " + names);
}

std::string ChatTemplate::render(const Json& messages, const Json& tools, bool add_generation_prompt,
                                 const Json& extra) const {
  std::vector<TextSpan> generated;
  return render(messages, tools, add_generation_prompt, extra, generated);
}

std::string ChatTemplate::render(const Json& messages, const Json& tools, bool add_generation_prompt, const Json& extra,
                                 std::vector<TextSpan>& generated) const {
  Json variables = Json::object();
  for (const auto& [name, text] : special_tokens_) variables[name] = text;
  variables["documents"] = nullptr;
  if (!extra.is_null() && !extra.is_object()) throw Error("extra variables of a chat template must be an object");
  for (const auto& [name, value] : extra.items()) variables[name] = value;
  variables["messages"] = prepared(messages);
  variables["tools"] = tools;
  variables["add_generation_prompt"] = add_generation_prompt;
  return pick(!tools.is_null()).render(variables, generated);
}

std::string ChatTemplate::render(const Json& messages, bool add_generation_prompt) const {
  return render(messages, nullptr, add_generation_prompt, nullptr);
}

}  // namespace grpo::text
