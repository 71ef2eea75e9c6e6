// prompt.hpp: from a record to what is asked of the model and what the answer should be.
//
// Main idea. A record gives a conversation (or, raw, a text). Rendering it with the chat template and turning it into
// tokens is the text room's work; this one needs neither, it takes the Jinja engine as a function.
//
//   prompt column is a text      -> prompt template, if any -> one user message, after the system prompt
//   ... is a list of messages    -> these, after the system prompt if they have none; the prompt template is not for
//   them data.messages_key            -> the same from that column data.raw_prompt              -> prompt template, if
//   any -> the text alone
#ifndef GRPO_SDK_DATA_PROMPT_HPP
#define GRPO_SDK_DATA_PROMPT_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <grpo/sdk/config/config.hpp>
#include <grpo/sdk/data/dataset.hpp>
#include <string>
#include <vector>

namespace grpo::data {

struct Prompt {
  std::string messages;  // JSON list of {role, content, ...}; "" for a raw prompt
  std::string text;      // a raw prompt; else ""
  std::string ground_truth;
};

// Renders the prompt template with these variables (an object).
using Render = std::function<std::string(const nlohmann::ordered_json& variables)>;
// Compiles a template; name stands for it in messages.
using Compile = std::function<Render(const std::string& source, const std::string& name)>;

// Which columns hold what: of the training set, of the held-out set (whose own keys win), of supervised training (where
// the ground truth is the text to learn).
struct PromptOptions {
  std::string prompt_key = "prompt", answer_key = "answer", messages_key{}, system_prompt{};
  std::string prompt_template{};  // the source; "": none
  std::string template_name = "data.prompt_template";
  bool raw = false;
  bool last_message_is_answer = false;  // a conversation ends with what is to be learnt, which becomes the ground truth
  std::vector<std::string> required{}, required_by{};  // for OpenOptions

  // These read file:PATH texts. Throw grpo::Error.
  static PromptOptions of_training(const config::Config& config);
  static PromptOptions of_evaluation(const config::Config& config);                       // evaluation.path
  static PromptOptions of_evaluation(const config::Config& config, std::size_t dataset);  // evaluation.datasets.N
  static PromptOptions of_sft(const config::Config& config);
};

// [any thread] if what Compile made is.
class PromptBuilder {
 public:
  // compile is called when there is a prompt template, and may be empty otherwise.
  explicit PromptBuilder(PromptOptions options, const Compile& compile = {});

  // where: the record's place, for messages. Throws grpo::Error: a column is missing, or not of a kind that fits.
  Prompt build(const Record& record, const std::string& where) const;

  // Did a conversation bring its own system message, so that the configured one was not used? For one warning a run.
  static bool has_system_message(const Record& messages);
  const PromptOptions& options() const { return options_; }

 private:
  Record with_system(Record messages) const;

  PromptOptions options_;
  Render render_;
};

// A value as text that a reward compares with: a text as it is; a number as Python prints it (27.0 stays "27.0"); null
// is ""; a list of one text or number is that element; anything else is its JSON.
std::string ground_truth_text(const nlohmann::ordered_json& value);

enum class Overlong { error, drop, truncate_left };
Overlong overlong_from(const std::string& name);  // data.overlong_prompts

// Makes a prompt fit `limit` tokens (limit > 0). False: leave this row out. Throws grpo::Error that names where, both
// lengths and the keys to change.
bool fit_prompt(std::vector<std::int32_t>& ids, std::int64_t limit, Overlong policy, const std::string& where);

}  // namespace grpo::data

#endif
