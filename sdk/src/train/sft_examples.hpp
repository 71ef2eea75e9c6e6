// sft_examples.hpp: rows of a dataset as token sequences with a mark on those to learn.
//
// Main idea. What is learnt is encoded apart from what comes before it, as it will be when the model has to say it: a
// prompt ends where the reply begins, whatever the tokenizer would have joined there. A reply ends with the token that
// ends a turn; what a template prints after that (often a newline) is never the model's to say and is not learnt.
#ifndef GRPO_SRC_TRAIN_SFT_EXAMPLES_HPP
#define GRPO_SRC_TRAIN_SFT_EXAMPLES_HPP

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/forest.hpp"
#include "grpo/sdk/train/prompts.hpp"

namespace grpo::train {

struct Example {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> learnt;  // [ids] the first is never
  std::int64_t targets = 0;
};

// What is learnt, for people. Throws grpo::Error: nothing is, or keys that contradict each other.
std::string what_is_learnt(const config::Config& config);

// [any thread]
class SftExamples {
 public:
  // max_length: of a sequence, in tokens; a longer one loses its end. Throws grpo::Error as PromptSet does.
  SftExamples(std::shared_ptr<const ModelText> text, const config::Config& config, const std::filesystem::path& path,
              std::int64_t max_rows, std::int64_t max_length);

  std::int64_t size() const { return prompts_.size(); }
  const PromptSet& prompts() const { return prompts_; }
  // Throws grpo::Error naming the row: a template that changes what it printed before when the conversation goes on, so
  // that nobody can say which part is the assistant's.
  Example example(std::int64_t row) const;

 private:
  Example from_prompt(Prompt prompt) const;
  Example from_conversation(const Prompt& prompt) const;
  std::vector<text::TextSpan> assistant_spans(const nlohmann::ordered_json& messages, std::string& whole,
                                              const std::string& where) const;
  void learn_until_end_of_turn(Example& out, std::size_t begin) const;

  std::shared_ptr<const ModelText> text_;
  const config::Config& config_;
  std::int64_t max_length_;
  PromptSet prompts_;
};

// Sequences that go through the model together: separate roots of one forest, up to a budget of tokens (0: all).
struct ExampleBatch {
  plugins::Forest forest;
  std::int64_t tokens = 0, targets = 0;
};
std::vector<ExampleBatch> batches_of(const std::vector<Example>& examples, std::int64_t max_tokens);

}  // namespace grpo::train

#endif
