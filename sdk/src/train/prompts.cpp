#include "grpo/sdk/train/prompts.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/services.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::train {
namespace {

data::Compile jinja() {
  return [](const std::string& source, const std::string& name) -> data::Render {
    return [compiled = text::Template(source, name)](const nlohmann::ordered_json& variables) {
      return compiled.render(variables);
    };
  };
}

data::OpenOptions open_options(const data::PromptOptions& prompts, std::int64_t max_rows,
                               std::vector<std::string> further) {
  data::OpenOptions options{.required = prompts.required, .max_rows = max_rows, .required_by = prompts.required_by};
  options.required.insert(options.required.end(), further.begin(), further.end());
  return options;
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void check_data_file(const config::Config& config, const char* key, const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    throw Error(config.where(key) + ": " + path.string() + " is a directory; name one .jsonl or .json file in it");
  if (!std::filesystem::exists(path, error))
    throw Error(config.where(key) + ": " + path.string() + ": " + (error ? error.message() : "there is no such file"));
}

ModelText ModelText::load(const std::filesystem::path& model_directory, const std::filesystem::path& chat_template) {
  ModelText text{text::Tokenizer::load(model_directory), std::nullopt, {}};
  try {
    text.chat_template = text::ChatTemplate::load(
        model_directory.string(), chat_template.empty() ? std::nullopt : std::optional(chat_template.string()));
  } catch (const Error& e) {
    if (!chat_template.empty()) throw;
    text.template_missing = e.what();
  }
  return text;
}

PromptSet::PromptSet(std::shared_ptr<const ModelText> text, const std::filesystem::path& path,
                     data::PromptOptions options, const config::DataConfig& settings, std::int64_t max_rows,
                     std::int64_t limit, std::vector<std::string> further_columns)
    : text_(std::move(text)),
      dataset_(data::Dataset::open(path, open_options(options, max_rows, std::move(further_columns)))),
      builder_(std::move(options), jinja()),
      template_kwargs_(settings.chat_template_kwargs.json),
      limit_(limit),
      overlong_(data::overlong_from(settings.overlong_prompts)),
      threads_(usable_cores()) {
  if (!builder_.options().raw && !text_->chat_template)
    throw Error(
        text_->template_missing +
        "\n  Give one with data.chat_template, or set data.raw_prompt: true for prompts that are already rendered");
  find_usable_rows();
}

PromptSet::~PromptSet() { stop_ = true; }  // and then rest_ is joined

std::int64_t PromptSet::size() const {
  return dropped_ == 0 ? dataset_.size() : static_cast<std::int64_t>(rows_.size());
}

std::int64_t PromptSet::dropped() const { return dropped_; }

Prompt PromptSet::prompt(std::int64_t i) const {
  dataset_.check();
  if (failed_) {
    const std::lock_guard lock(mutex_);
    std::rethrow_exception(failure_);
  }
  const std::int64_t row = dropped_ == 0 ? i : rows_.at(static_cast<std::size_t>(i));
  auto prompt = build(row);
  if (!prompt) throw Error(dataset_.where(row) + ": this row is no longer usable; has the file changed?");
  return std::move(*prompt);
}

std::optional<Prompt> PromptSet::build(std::int64_t row) const {
  const data::Record record = dataset_.row(row);
  const auto where = [&] { return dataset_.where(row); };
  const std::string name = "row " + std::to_string(row);
  data::Prompt built;
  try {
    built = builder_.build(record, name);
  } catch (const Error& e) {  // finding the line costs a read of the file: only when it is needed
    const std::string what = e.what();
    throw Error(where() + ": " + (what.starts_with(name + ": ") ? what.substr(name.size() + 2) : what));
  }
  Prompt prompt;
  prompt.row = row;
  prompt.record = std::make_shared<const nlohmann::json>(record);
  prompt.messages = std::move(built.messages);
  prompt.ground_truth = std::move(built.ground_truth);
  if (prompt.messages.empty()) {
    prompt.text = std::move(built.text);
    const auto bos = text_->tokenizer.bos_id();
    prompt.ids = text_->tokenizer.encode(prompt.text, /*add_special_tokens=*/true);
    // A text that was rendered elsewhere may bring its own beginning: never two of them.
    if (bos && prompt.ids.size() > 1 && prompt.ids[0] == *bos && prompt.ids[1] == *bos)
      prompt.ids.erase(prompt.ids.begin());
  } else {
    prompt.text =
        text_->chat_template->render(nlohmann::ordered_json::parse(prompt.messages), nullptr,
                                     /*add_generation_prompt=*/true, nlohmann::ordered_json::parse(template_kwargs_));
    prompt.ids = text_->tokenizer.encode(prompt.text, /*add_special_tokens=*/false);
  }
  if (prompt.ids.empty()) throw Error(where() + ": the prompt is empty");
  if (static_cast<std::int64_t>(prompt.ids.size()) > limit_) {
    if (overlong_ == data::Overlong::drop) return std::nullopt;
    if (!data::fit_prompt(prompt.ids, limit_, overlong_, where())) return std::nullopt;
    prompt.text = text_->tokenizer.decode(prompt.ids);
  }
  return prompt;
}

// A text has at most as many tokens as bytes, so a short row needs no look; the margin is for what a chat template
// adds. A prompt template may repeat columns, so nothing is sure with one.
bool PromptSet::surely_fits(std::int64_t row) const {
  constexpr std::size_t template_bytes = 4096;
  const auto& options = builder_.options();
  if (!options.prompt_template.empty()) return false;
  const auto bytes =
      dataset_.text(row).size() + options.system_prompt.size() + template_kwargs_.size() + template_bytes;
  return static_cast<std::int64_t>(bytes) <= limit_;
}

// Rows that are looked at before the first step whatever happens to long ones: all of a data set of usual size.
constexpr std::int64_t rows_at_start = 1 << 14;

void PromptSet::find_usable_rows() {
  const std::int64_t n = dataset_.size();
  build(0);  // tells at once whether template and columns fit
  if (overlong_ != data::Overlong::drop && n > rows_at_start) {
    look_at(0, rows_at_start, nullptr);
    return look_at_rest(rows_at_start);
  }
  // Which rows there are decides their order, so all of them are looked at.
  std::vector<std::uint8_t> usable(static_cast<std::size_t>(n));
  look_at(0, n, &usable);
  dropped_ = std::count(usable.begin(), usable.end(), 0);
  if (dropped_ == n)
    throw Error(dataset_.path().string() + ": every prompt is longer than " + std::to_string(limit_) +
                " tokens; raise data.max_prompt_length, or set data.overlong_prompts: truncate_left");
  if (dropped_ == 0) return;
  for (std::int64_t row = 0; row < n; ++row)
    if (usable[static_cast<std::size_t>(row)]) rows_.push_back(row);
  report::log(report::Level::warning, dataset_.path().string() + ": " + std::to_string(dropped_) + " of " +
                                          std::to_string(n) + " rows are left out: their prompts are longer than " +
                                          std::to_string(limit_) + " tokens (data.overlong_prompts: drop)");
}

// On all cores. The lowest row that fails is the one told.
void PromptSet::look_at(std::int64_t first, std::int64_t last, std::vector<std::uint8_t>* usable) const {
  std::mutex mutex;
  std::exception_ptr failure;
  std::int64_t failed_row = last;
  plugins::TaskPool pool(threads_);
  pool.parallel_for(
      last - first, 256,
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = first + begin; row < first + end; ++row) {
          try {
            const bool fits = surely_fits(row) || build(row);
            if (usable) (*usable)[static_cast<std::size_t>(row)] = fits;
          } catch (...) {
            const std::lock_guard lock(mutex);
            if (row < failed_row) failed_row = row, failure = std::current_exception();
            return;
          }
        }
      },
      [&] {
        const std::lock_guard lock(mutex);
        return failure != nullptr;
      });
  if (failure) std::rethrow_exception(failure);
}

void PromptSet::look_at_rest(std::int64_t begin) {
  rest_ = std::jthread([this, begin] {
    // The model computes on every core meanwhile: this thread takes what is left of them.
    ::setpriority(PRIO_PROCESS, 0, 19);  // on Linux: of the thread
    try {
      const std::int64_t n = dataset_.size();
      for (std::int64_t row = begin; row < n && !stop_; ++row)
        if (!surely_fits(row)) build(row);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      failed_ = true;
    }
  });
}

plugins::ColumnTypes PromptSet::column_types() const {
  plugins::ColumnTypes types;
  for (const auto& column : dataset_.columns()) {
    switch (column.type) {
      case data::ColumnType::text:
        types[column.name] = GRPO_COLUMN_TEXT;
        break;
      case data::ColumnType::integer:
        types[column.name] = GRPO_COLUMN_INTEGER;
        break;
      case data::ColumnType::number:
        types[column.name] = GRPO_COLUMN_NUMBER;
        break;
      case data::ColumnType::json:
        types[column.name] = GRPO_COLUMN_JSON;
        break;
    }
  }
  return types;
}

}  // namespace grpo::train
