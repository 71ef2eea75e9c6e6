// chat_template.hpp: a conversation to the text a model was trained on, by the template that ships with the model.
//
//   auto chat = grpo::text::ChatTemplate::load("SmolLM2-135M-Instruct");
//   std::string prompt = chat.render({{{"role", "user"}, {"content", "2+2?"}}});
//
// Same text as `tokenizer.apply_chat_template(messages, tools=..., add_generation_prompt=..., tokenize=False)` of
// transformers 5.23.
#ifndef GRPO_SDK_TEXT_CHAT_TEMPLATE_HPP
#define GRPO_SDK_TEXT_CHAT_TEMPLATE_HPP

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "grpo/sdk/text/template.hpp"

namespace grpo::text {

/// Immutable; render from any thread, also several at a time.
class ChatTemplate {
 public:
  /// Finds a model's template. With `override_file` that file is the template; without, the first of these in
  /// `model_directory`: `chat_template.jinja`, `chat_template.json`, `chat_template` in `tokenizer_config.json` (a
  /// string, or a list of {name, template}, of which "default" and "tool_use" are used).
  /// `additional_chat_templates/NAME.jinja` add named templates. Special tokens (bos_token, eos_token, ...) come from
  /// `tokenizer_config.json` and `special_tokens_map.json`, as plain strings or as {"content": ...}.
  /// Throws grpo::Error: no template (it says where it looked), unreadable file, bad JSON, bad template.
  static ChatTemplate load(const std::string& model_directory, const std::optional<std::string>& override_file = {});

  /// A template given as text, without special tokens. `name` is how errors call it.
  static ChatTemplate from_source(std::string source, std::string name);

  /// The conversation as text. `messages`: array of {"role", "content", ...}. `tools`: array of JSON-schema functions,
  /// or null. `add_generation_prompt`: end with the opening of an assistant turn. `extra`: an object of further
  /// variables (enable_thinking, date_string, ...), or null; its members win over special tokens.
  /// Throws grpo::Error as Template::render does.
  std::string render(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools,
                     bool add_generation_prompt, const nlohmann::ordered_json& extra) const;

  /// The same, and the parts inside `{% generation %}` blocks: what the assistant said, where the template tells.
  std::string render(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools,
                     bool add_generation_prompt, const nlohmann::ordered_json& extra,
                     std::vector<TextSpan>& generated) const;

  /// Without tools or further variables.
  std::string render(const nlohmann::ordered_json& messages, bool add_generation_prompt = true) const;

  /// The special tokens the template can name, such as {"bos_token": "<s>"}.
  const std::map<std::string, std::string>& special_tokens() const { return special_tokens_; }

  /// The template's text, the one used without tools.
  const std::string& source() const { return pick(false).source(); }

 private:
  ChatTemplate() = default;
  const Template& pick(bool with_tools) const;

  std::string origin_;
  std::map<std::string, Template> templates_;  // "default", "tool_use", ...
  std::map<std::string, std::string> special_tokens_;
};

}  // namespace grpo::text

#endif
