// prompts.hpp: rows of a dataset as prompts the model can take.
//
// Main idea. The data room says what is asked, the text room how the model is to be asked, and this puts the two
// together: record -> conversation -> chat template -> token ids, with the limit on length applied before any training
// time is spent. Beyond some ten thousand rows a thread does that while the run goes on, and a row that is met before
// it has come there is looked at then; only where long prompts are dropped must all rows be known before the first
// step.
#ifndef GRPO_SDK_TRAIN_PROMPTS_HPP
#define GRPO_SDK_TRAIN_PROMPTS_HPP

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/data/dataset.hpp"
#include "grpo/sdk/data/prompt.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "grpo/sdk/text/chat_template.hpp"
#include "grpo/sdk/text/tokenizer.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::train {

// How a model is spoken to.
struct ModelText {
  text::Tokenizer tokenizer;
  std::optional<text::ChatTemplate> chat_template;  // none: only raw prompts
  std::string template_missing;                     // why there is none, for the error

  // From the model's directory; chat_template: a file in its place, empty: the model's own.
  static ModelText load(const std::filesystem::path& model_directory, const std::filesystem::path& chat_template);
};

// Throws grpo::Error, which names the key, where a data file is not there: before anything is loaded.
void check_data_file(const config::Config& config, const char* key, const std::filesystem::path& path);

// Cores that this process may run on, at least 1.
int usable_cores();

class PromptSet {
 public:
  // Opens the file and finds the rows that can be used. limit: the longest prompt in tokens.
  // Throws grpo::Error: see data::Dataset::open, data::PromptBuilder and data::fit_prompt.
  PromptSet(std::shared_ptr<const ModelText> text, const std::filesystem::path& path, data::PromptOptions options,
            const config::DataConfig& settings, std::int64_t max_rows, std::int64_t limit,
            std::vector<std::string> further_columns = {});
  ~PromptSet();
  PromptSet(const PromptSet&) = delete;
  PromptSet& operator=(const PromptSet&) = delete;

  std::int64_t size() const;     // rows that can be used
  std::int64_t dropped() const;  // rows left out because their prompt was too long
  // 0 <= i < size(). Throws grpo::Error: what is wrong with that row, or with any that has been looked at meanwhile.
  Prompt prompt(std::int64_t i) const;
  plugins::ColumnTypes column_types() const;  // waits until every row has been checked
  const data::Dataset& dataset() const { return dataset_; }

 private:
  std::optional<Prompt> build(std::int64_t row) const;  // nothing: dropped
  bool surely_fits(std::int64_t row) const;
  void find_usable_rows();
  void look_at(std::int64_t begin, std::int64_t end, std::vector<std::uint8_t>* usable) const;
  void look_at_rest(std::int64_t begin);

  std::shared_ptr<const ModelText> text_;
  data::Dataset dataset_;
  data::PromptBuilder builder_;
  std::string template_kwargs_;  // JSON
  std::int64_t limit_;
  data::Overlong overlong_;
  int threads_;
  std::vector<std::int64_t> rows_;  // the usable ones, when some are not; else empty
  std::int64_t dropped_ = 0;

  mutable std::mutex mutex_;
  std::exception_ptr failure_;  // of the thread that looks at the rest
  std::atomic<bool> failed_{false}, stop_{false};
  std::jthread rest_;  // last: it uses all of the above
};

}  // namespace grpo::train

#endif
