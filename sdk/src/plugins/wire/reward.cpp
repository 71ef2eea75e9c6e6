#include <algorithm>

#include "grpo/sdk/error.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::wire {
namespace {

using std::int32_t;
using std::int64_t;

void add_text(const grpo_str& text, std::string& out) {
  if (text.data && text.size > 0) out.assign(text.data, static_cast<std::size_t>(text.size));
}

void add_texts(const grpo_str* texts, int64_t n, google::protobuf::RepeatedPtrField<std::string>& out) {
  out.Reserve(static_cast<int>(n));
  for (int64_t i = 0; i < n; ++i) add_text(texts[i], *out.Add());
}

template <class T, class Repeated>
void add_numbers(const T* numbers, int64_t n, Repeated& out) {
  out.Clear();
  if (n > 0) out.Add(numbers, numbers + n);
}

void add_columns(const grpo_column* const* columns, int64_t n, int64_t length,
                 google::protobuf::RepeatedPtrField<Column>& out) {
  for (int64_t i = 0; i < n; ++i) {
    const grpo_column& c = *columns[i];
    Column& column = *out.Add();
    column.set_name(c.name);
    column.set_type(c.type);
    column.set_flags(c.flags);
    if (c.text) add_texts(c.text, length, *column.mutable_text());
    if (c.integer) add_numbers(c.integer, length, *column.mutable_integer());
    if (c.number) add_numbers(c.number, length, *column.mutable_number());
  }
}

[[noreturn]] void wrong(const std::string& what, int64_t got, int64_t due) {
  throw Error("a recorded batch has " + std::to_string(got) + " elements in " + what + "; " + std::to_string(due) +
              " are due");
}

void check_starts(const int64_t* start, int64_t n, const char* what) {
  if (start[0] != 0) throw Error(std::string("a recorded batch: ") + what + " does not begin with 0");
  for (int64_t i = 0; i < n; ++i) {
    if (start[i + 1] < start[i]) throw Error(std::string("a recorded batch: ") + what + " falls");
  }
}

}  // namespace

void write(const grpo_reward_batch& b, RewardBatch& out) {
  out.Clear();
  out.set_flags(b.flags);
  out.set_n_rows(b.n_rows);
  out.set_n_samples(b.n_samples);
  out.set_step(b.step);
  add_texts(b.prompt, b.n_rows, *out.mutable_prompt());
  add_texts(b.messages, b.n_rows, *out.mutable_messages());
  add_texts(b.ground_truth, b.n_rows, *out.mutable_ground_truth());
  add_numbers(b.prompt_start, b.n_rows + 1, *out.mutable_prompt_start());
  add_numbers(b.prompt_ids, b.prompt_start[b.n_rows], *out.mutable_prompt_ids());
  add_columns(b.columns, b.n_columns, b.n_rows, *out.mutable_column());
  add_numbers(b.row, b.n_samples, *out.mutable_row());
  add_numbers(b.index, b.n_samples, *out.mutable_index());
  add_texts(b.completion, b.n_samples, *out.mutable_completion());
  add_numbers(b.finish, b.n_samples, *out.mutable_finish());
  add_numbers(b.completion_start, b.n_samples + 1, *out.mutable_completion_start());
  add_numbers(b.completion_ids, b.completion_start[b.n_samples], *out.mutable_completion_ids());
  add_columns(b.sample_columns, b.n_sample_columns, b.n_samples, *out.mutable_sample_column());
}

void write(const RewardArrays& a, RewardResult& out) {
  out.Clear();
  add_numbers(a.score, a.n, *out.mutable_score());
  add_numbers(a.status, a.n, *out.mutable_status());
  const bool any = std::any_of(a.message, a.message + a.n, [](const grpo_str& m) { return m.data && m.size > 0; });
  if (any) add_texts(a.message, a.n, *out.mutable_message());
  for (const auto& [name, values] : a.components) {
    Scores& scores = *out.add_component();
    scores.set_name(name);
    add_numbers(values, a.n, *scores.mutable_value());
  }
}

const grpo_str* RewardBatchView::texts(const Texts& from, int64_t n, const char* what) {
  if (from.size() != n) wrong(what, from.size(), n);
  auto& list = text_lists_.emplace_back();
  list.reserve(static_cast<std::size_t>(std::max<int64_t>(n, 1)));  // no array is NULL
  for (const std::string& text : from) {
    const std::string& kept = text_.emplace_back(text);
    list.push_back({kept.c_str(), static_cast<int64_t>(kept.size())});
  }
  return list.data();
}

template <class T, class Repeated>
const T* RewardBatchView::numbers(const Repeated& from, int64_t n, const char* what, std::deque<std::vector<T>>& kept) {
  if (from.size() != n) wrong(what, from.size(), n);
  auto& list = kept.emplace_back(from.begin(), from.end());
  list.reserve(1);
  return list.data();
}

const grpo_column* const* RewardBatchView::columns(const google::protobuf::RepeatedPtrField<Column>& from, int64_t n,
                                                   Columns& into) {
  for (const Column& c : from) {
    const std::string& name = text_.emplace_back(c.name());
    grpo_column& column = into.columns.emplace_back();
    column.struct_size = sizeof column;
    column.name = name.c_str();
    column.type = c.type();
    const std::string what = "the column '" + name + "'";
    if (c.type() == GRPO_COLUMN_TEXT || c.type() == GRPO_COLUMN_JSON)
      column.text = texts(c.text(), n, what.c_str());
    else if (c.type() == GRPO_COLUMN_INTEGER)
      column.integer = numbers(c.integer(), n, what.c_str(), integers_);
    else if (c.type() == GRPO_COLUMN_NUMBER)
      column.number = numbers(c.number(), n, what.c_str(), doubles_);
    else
      throw Error("a recorded batch: " + what + " has the unknown type " + std::to_string(c.type()));
  }
  for (const grpo_column& column : into.columns) into.list.push_back(&column);
  into.list.reserve(1);
  return into.list.data();
}

RewardBatchView::RewardBatchView(const RewardBatch& m) {
  if (m.n_rows() < 0 || m.n_samples() < 0) throw Error("a recorded batch has a negative number of rows or samples");
  batch_.struct_size = sizeof batch_;
  batch_.flags = m.flags();
  const int64_t rows = batch_.n_rows = m.n_rows(), samples = batch_.n_samples = m.n_samples();
  batch_.step = m.step();
  batch_.prompt = texts(m.prompt(), rows, "prompt");
  batch_.messages = texts(m.messages(), rows, "messages");
  batch_.ground_truth = texts(m.ground_truth(), rows, "ground_truth");
  batch_.prompt_start = numbers(m.prompt_start(), rows + 1, "prompt_start", integers_);
  check_starts(batch_.prompt_start, rows, "prompt_start");
  batch_.prompt_ids = numbers(m.prompt_ids(), batch_.prompt_start[rows], "prompt_ids", ids_);
  batch_.n_columns = m.column_size();
  batch_.columns = columns(m.column(), rows, columns_);
  batch_.row = numbers(m.row(), samples, "row", integers_);
  for (int64_t i = 0; i < samples; ++i) {
    if (batch_.row[i] < 0 || batch_.row[i] >= rows)
      throw Error("a recorded batch: sample " + std::to_string(i) + " belongs to row " + std::to_string(batch_.row[i]) +
                  " of " + std::to_string(rows));
  }
  batch_.index = numbers(m.index(), samples, "index", integers_);
  batch_.completion = texts(m.completion(), samples, "completion");
  batch_.finish = numbers(m.finish(), samples, "finish", ids_);
  batch_.completion_start = numbers(m.completion_start(), samples + 1, "completion_start", integers_);
  check_starts(batch_.completion_start, samples, "completion_start");
  batch_.completion_ids = numbers(m.completion_ids(), batch_.completion_start[samples], "completion_ids", ids_);
  batch_.n_sample_columns = m.sample_column_size();
  batch_.sample_columns = columns(m.sample_column(), samples, sample_columns_);
}

}  // namespace grpo::plugins::wire
