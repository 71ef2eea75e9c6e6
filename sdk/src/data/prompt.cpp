#include <fstream>
#include <grpo/sdk/config/nearest.hpp>
#include <grpo/sdk/data/prompt.hpp>
#include <grpo/sdk/error.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

namespace grpo::data {
namespace {

using json = nlohmann::ordered_json;

// A value that may be "file:PATH": its text, and what to call it.
std::string text_or_file(const config::Config& config, const std::string& key, const std::string& value,
                         std::string* name = nullptr) {
  constexpr std::string_view prefix = "file:";
  if (!value.starts_with(prefix)) return value;
  const std::string path = value.substr(prefix.size());
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) throw Error(config.where(key) + ": cannot read " + path);
  if (name) *name = path;
  // As EasyR1 and verl do with a prompt file: the newline at its end is not meant to reach the model.
  const std::string all = text.str();
  const auto first = all.find_first_not_of(" \t\r\n\v\f"), last = all.find_last_not_of(" \t\r\n\v\f");
  return first == std::string::npos ? "" : all.substr(first, last - first + 1);
}

std::string keys_of(const Record& record) {
  std::string out;
  for (const auto& [name, value] : record.items()) out.append(out.empty() ? "" : ", ").append(name);
  return out;
}

const json& column(const Record& record, const std::string& name, const std::string& where) {
  const auto found = record.find(name);
  if (found != record.end()) return *found;
  throw Error(where + ": has no column `" + name + "`. There are: " + keys_of(record));
}

void check_messages(const json& messages, const std::string& name, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw Error(where + ": column `" + name + "` " + what); };
  if (!messages.is_array()) fail(std::string("must be a list of {role, content}, found ") + messages.type_name());
  if (messages.empty()) fail("is an empty list of messages");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto& message = messages[i];
    const auto role = message.is_object() ? message.find("role") : message.end();
    if (!message.is_object() || role == message.end() || !role->is_string())
      fail("must be a list of {role, content}; element " + std::to_string(i) + " has no role that is a text");
  }
}

PromptOptions common(const config::Config& config) {
  PromptOptions out;
  out.prompt_key = config.data.prompt_key;
  out.answer_key = config.data.answer_key;
  out.messages_key = config.data.messages_key;
  out.raw = config.data.raw_prompt;
  out.system_prompt = text_or_file(config, "data.system_prompt", config.data.system_prompt);
  out.prompt_template = text_or_file(config, "data.prompt_template", config.data.prompt_template, &out.template_name);
  return out;
}

void require(PromptOptions& options, const config::Config& config, const std::string& column, const std::string& key,
             const std::string& hint = "") {
  if (column.empty()) return;
  options.required.push_back(column);
  options.required_by.push_back(config.where(key) + hint);
}

constexpr const char* no_answer = " (set it to \"\" if there is none)";

}  // namespace

PromptOptions PromptOptions::of_training(const config::Config& config) {
  PromptOptions out = common(config);
  const bool messages = !out.messages_key.empty();
  require(out, config, messages ? out.messages_key : out.prompt_key,
          messages ? "data.messages_key" : "data.prompt_key");
  require(out, config, out.answer_key, "data.answer_key", no_answer);
  return out;
}

PromptOptions PromptOptions::of_evaluation(const config::Config& config) {
  PromptOptions out = common(config);
  const bool own_prompt = !config.evaluation.prompt_key.empty(), own_answer = !config.evaluation.answer_key.empty();
  if (own_prompt) {
    out.prompt_key = config.evaluation.prompt_key;
    out.messages_key.clear();
  }
  if (own_answer) out.answer_key = config.evaluation.answer_key;
  const bool messages = !out.messages_key.empty();
  require(out, config, messages ? out.messages_key : out.prompt_key,
          own_prompt ? "evaluation.prompt_key"
          : messages ? "data.messages_key"
                     : "data.prompt_key");
  require(out, config, out.answer_key, own_answer ? "evaluation.answer_key" : "data.answer_key");
  return out;
}

PromptOptions PromptOptions::of_evaluation(const config::Config& config, std::size_t dataset) {
  const auto& set = config.evaluation_datasets.at(dataset);
  const std::string own = "evaluation.datasets." + std::to_string(dataset) + ".";
  PromptOptions out = common(config);
  if (!set.prompt_style.empty()) out.raw = set.prompt_style == "raw";
  if (!set.prompt_template.empty()) {
    out.template_name = own + "prompt_template";
    out.prompt_template = text_or_file(config, own + "prompt_template", set.prompt_template, &out.template_name);
  }
  // The nearest of the three places that says which column it is.
  const auto nearest = [&](const std::string& mine, const std::string& shared, const char* key, std::string& column) {
    if (mine.empty() && shared.empty()) return std::string("data.") + key;
    column = mine.empty() ? shared : mine;
    return (mine.empty() ? "evaluation." : own) + key;
  };
  const std::string prompt_from = nearest(set.prompt_key, config.evaluation.prompt_key, "prompt_key", out.prompt_key),
                    answer_from = nearest(set.answer_key, config.evaluation.answer_key, "answer_key", out.answer_key);
  if (!prompt_from.starts_with("data.")) out.messages_key.clear();
  const bool messages = !out.messages_key.empty();
  require(out, config, messages ? out.messages_key : out.prompt_key, messages ? "data.messages_key" : prompt_from);
  require(out, config, out.answer_key, answer_from);
  return out;
}

PromptOptions PromptOptions::of_sft(const config::Config& config) {
  PromptOptions out = common(config);
  const bool own = !config.sft.completion_key.empty(), messages = !out.messages_key.empty();
  if (own) out.answer_key = config.sft.completion_key;
  // A conversation that ends with the assistant holds its own completion.
  out.last_message_is_answer = messages && !own;
  require(out, config, messages ? out.messages_key : out.prompt_key,
          messages ? "data.messages_key" : "data.prompt_key");
  if (!out.last_message_is_answer) require(out, config, out.answer_key, own ? "sft.completion_key" : "data.answer_key");
  return out;
}

PromptBuilder::PromptBuilder(PromptOptions options, const Compile& compile) : options_(std::move(options)) {
  if (options_.prompt_template.empty()) return;
  if (!compile) throw Error(options_.template_name + ": a prompt template needs a template engine");
  render_ = compile(options_.prompt_template, options_.template_name);
}

Prompt PromptBuilder::build(const Record& record, const std::string& where) const {
  Prompt out;
  const bool from_messages = !options_.messages_key.empty();
  const std::string& name = from_messages ? options_.messages_key : options_.prompt_key;
  const json& value = column(record, name, where);
  if (!options_.answer_key.empty() && !options_.last_message_is_answer)
    out.ground_truth = ground_truth_text(column(record, options_.answer_key, where));

  if (!from_messages && !value.is_string() && !value.is_array())
    throw Error(where + ": column `" + name + "` must be a text or a list of messages, found " + value.type_name());
  if (value.is_string() && !from_messages) {
    std::string text = value.get<std::string>();
    if (render_) {
      json variables = record;
      variables["content"] = text;
      text = render_(variables);
    }
    if (options_.raw) return out.text = std::move(text), out;
    return out.messages = with_system({{{"role", "user"}, {"content", std::move(text)}}}).dump(), out;
  }

  check_messages(value, name, where);
  if (options_.raw) throw Error(where + ": column `" + name + "` holds messages, but data.raw_prompt asks for a text");
  json messages = value;
  const bool answered = messages.back()["role"] == "assistant";
  if (options_.last_message_is_answer) {
    if (!answered) throw Error(where + ": column `" + name + "` must end with an assistant message, the text to learn");
    out.ground_truth = ground_truth_text(messages.back().value("content", json()));
    messages.erase(messages.size() - 1);
  } else if (answered) {
    throw Error(where + ": column `" + name +
                "` ends with an assistant message, so the prompt would hold the answer: " + "leave it out of the data");
  }
  out.messages = with_system(std::move(messages)).dump();
  return out;
}

json PromptBuilder::with_system(json messages) const {
  if (options_.system_prompt.empty() || has_system_message(messages)) return messages;
  messages.insert(messages.begin(), json{{"role", "system"}, {"content", options_.system_prompt}});
  return messages;
}

bool PromptBuilder::has_system_message(const Record& messages) {
  for (const auto& message : messages)
    if (const auto role = message.find("role"); role != message.end() && (*role == "system" || *role == "developer"))
      return true;
  return false;
}

Overlong overlong_from(const std::string& name) {
  if (name == "error") return Overlong::error;
  if (name == "drop") return Overlong::drop;
  if (name == "truncate_left") return Overlong::truncate_left;
  throw Error("data.overlong_prompts must be one of error, drop, truncate_left, found " + name + "." +
              config::did_you_mean(name, {"error", "drop", "truncate_left"}));
}

bool fit_prompt(std::vector<std::int32_t>& ids, std::int64_t limit, Overlong policy, const std::string& where) {
  const auto length = static_cast<std::int64_t>(ids.size());
  if (length <= limit) return true;
  switch (policy) {
    case Overlong::drop:
      return false;
    case Overlong::truncate_left:
      ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(limit));
      return true;
    case Overlong::error:
      break;
  }
  throw Error(
      where + ": the prompt has " + std::to_string(length) + " tokens, the limit is " + std::to_string(limit) +
      " (data.max_prompt_length, or what the model leaves beside sampler.max_new_tokens). Raise the limit, or set "
      "data.overlong_prompts to drop or truncate_left");
}

}  // namespace grpo::data
