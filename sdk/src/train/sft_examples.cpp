#include "sft_examples.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

using OrderedJson = nlohmann::ordered_json;

void append(Example& out, const std::vector<std::int32_t>& ids, bool learnt) {
  out.ids.insert(out.ids.end(), ids.begin(), ids.end());
  out.learnt.insert(out.learnt.end(), ids.size(), learnt);
}

void finish(Example& out, std::int64_t max_length) {
  const auto n = std::min(out.ids.size(), static_cast<std::size_t>(max_length));
  out.ids.resize(n);
  out.learnt.resize(n);
  if (n > 0) out.learnt[0] = 0;
  out.targets = std::count(out.learnt.begin(), out.learnt.end(), 1);
}

}  // namespace

std::string what_is_learnt(const config::Config& c) {
  if (c.sft.assistant_only_loss) {
    if (c.data.messages_key.empty())
      throw Error(c.where("sft.assistant_only_loss") +
                  ": is for conversations; name their column with data.messages_key");
    if (!c.sft.completion_key.empty())
      throw Error(c.where("sft.assistant_only_loss") +
                  ": learns the assistant's messages, sft.completion_key another column; leave one of them out");
    if (!c.sft.completion_only_loss)
      throw Error(c.where("sft.assistant_only_loss") +
                  ": learns the assistant's messages alone, sft.completion_only_loss: false all of the text; leave one "
                  "of them out");
    return "every assistant message of '" + c.data.messages_key + "'";
  }
  const std::string prompt = c.sft.completion_only_loss ? "" : " and the prompt before it";
  if (!c.sft.completion_key.empty()) return "the column '" + c.sft.completion_key + "'" + prompt;
  if (!c.data.messages_key.empty()) return "the last message of '" + c.data.messages_key + "'" + prompt;
  if (!c.data.answer_key.empty()) return "the column '" + c.data.answer_key + "'" + prompt;
  throw Error(c.where("sft.completion_key") +
              ": not given, and data.answer_key neither: which column is to be learnt?");
}

SftExamples::SftExamples(std::shared_ptr<const ModelText> text, const config::Config& config,
                         const std::filesystem::path& path, std::int64_t max_rows, std::int64_t max_length)
    : text_(text),
      config_(config),
      max_length_(max_length),
      prompts_(std::move(text), path, data::PromptOptions::of_sft(config), config.data, max_rows,
               // Of a conversation that is learnt throughout, a part is worth having.
               config.sft.assistant_only_loss ? std::numeric_limits<std::int64_t>::max() : max_length - 1) {}

Example SftExamples::example(std::int64_t row) const {
  Prompt prompt = prompts_.prompt(row);
  return config_.sft.assistant_only_loss ? from_conversation(prompt) : from_prompt(std::move(prompt));
}

// A prompt with the one completion to learn; it ends with the token that ends a text.
Example SftExamples::from_prompt(Prompt prompt) const {
  Example out;
  append(out, prompt.ids, !config_.sft.completion_only_loss);
  auto ids = text_->tokenizer.encode(prompt.ground_truth);
  if (const auto eos = text_->tokenizer.eos_id(); eos && (ids.empty() || ids.back() != *eos)) ids.push_back(*eos);
  append(out, ids, true);
  finish(out, max_length_);
  return out;
}

Example SftExamples::from_conversation(const Prompt& prompt) const {
  OrderedJson messages = OrderedJson::parse(prompt.messages);
  messages.push_back(OrderedJson(prompt.record->at(config_.data.messages_key).back()));  // that a prompt leaves out
  const std::string where = prompts_.dataset().where(prompt.row);
  std::string whole;
  const auto spans = assistant_spans(messages, whole, where);
  Example out;
  std::size_t at = 0;
  const auto encode = [&](std::size_t begin, std::size_t end) {
    return text_->tokenizer.encode(std::string_view(whole).substr(begin, end - begin));
  };
  for (const auto& span : spans) {
    append(out, encode(at, span.begin), false);
    const std::size_t begin = out.ids.size();
    append(out, encode(span.begin, span.end), true);
    learn_until_end_of_turn(out, begin);
    at = span.end;
  }
  append(out, encode(at, whole.size()), false);
  finish(out, max_length_);
  return out;
}

// What follows the last token of a turn that ends it is not the model's to say.
void SftExamples::learn_until_end_of_turn(Example& out, std::size_t begin) const {
  const auto& ends = text_->tokenizer.eos_ids();
  for (std::size_t i = out.ids.size(); i-- > begin;)
    if (std::find(ends.begin(), ends.end(), out.ids[i]) != ends.end())
      return std::fill(out.learnt.begin() + static_cast<std::ptrdiff_t>(i) + 1, out.learnt.end(), 0);
}

// Where the assistant speaks in the rendered conversation: the template says so itself, or each of its messages is what
// rendering one message more adds.
std::vector<text::TextSpan> SftExamples::assistant_spans(const OrderedJson& messages, std::string& whole,
                                                         const std::string& where) const {
  const auto& chat = *text_->chat_template;
  const auto extra = OrderedJson::parse(config_.data.chat_template_kwargs.json);
  std::vector<text::TextSpan> spans;
  whole = chat.render(messages, nullptr, /*add_generation_prompt=*/false, extra, spans);
  if (!spans.empty()) return spans;
  OrderedJson so_far = OrderedJson::array();
  for (const auto& message : messages) {
    const bool assistant = message.at("role") == "assistant";
    const std::string before = assistant ? chat.render(so_far, nullptr, true, extra) : "";
    so_far.push_back(message);
    if (!assistant) continue;
    const std::string after = chat.render(so_far, nullptr, false, extra);
    if (!after.starts_with(before) || !whole.starts_with(after))
      throw Error(where + ": message " + std::to_string(so_far.size() - 1) +
                  " is printed by the chat template in another way when the conversation goes on (such as without its "
                  "reasoning), so it cannot be told which part of the text is the assistant's. Give a template with "
                  "{% generation %} blocks (data.chat_template), or learn the last message alone "
                  "(sft.assistant_only_loss: false)");
    spans.push_back({before.size(), after.size()});
  }
  if (spans.empty()) throw Error(where + ": no message of the assistant: there is nothing to learn");
  return spans;
}

std::vector<ExampleBatch> batches_of(const std::vector<Example>& examples, std::int64_t max_tokens) {
  std::vector<ExampleBatch> batches;
  for (const Example& example : examples) {
    if (example.targets == 0) continue;
    const auto n = static_cast<std::int64_t>(example.ids.size());
    if (batches.empty() || (max_tokens > 0 && batches.back().tokens + n > max_tokens)) batches.emplace_back();
    ExampleBatch& batch = batches.back();
    batch.forest.add_scored(plugins::Forest::root, example.ids, example.learnt);
    batch.tokens += n;
    batch.targets += example.targets;
  }
  return batches;
}

}  // namespace grpo::train
