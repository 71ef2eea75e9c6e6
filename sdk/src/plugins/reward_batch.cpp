#include <algorithm>
#include <deque>
#include <limits>
#include <nlohmann/json.hpp>

#include "grpo/sdk/plugins/reward.hpp"
#include "utf8.hpp"

namespace grpo::plugins {
namespace {

using nlohmann::json;

constexpr std::int32_t only_missing = -1;

const char* type_name(std::int32_t type) {
  switch (type) {
    case GRPO_COLUMN_TEXT:
      return "text";
    case GRPO_COLUMN_INTEGER:
      return "integers";
    case GRPO_COLUMN_NUMBER:
      return "numbers";
    default:
      return "JSON";
  }
}

std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

bool is_int64(const json& value) {
  if (value.is_boolean()) return true;
  return value.is_number_integer() &&
         !(value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
}

// One column in the contract's form, with what it points to.
struct Column {
  std::string name;
  std::vector<grpo_str> text;
  std::vector<std::int64_t> integer;
  std::vector<double> number;
  grpo_column table{};
};

const json& value_at(const json& record, const std::string& name) {
  static const json missing;
  const auto at = record.find(name);
  return at == record.end() ? missing : *at;
}

}  // namespace

std::int32_t wider_column_type(std::int32_t type, const json& value) {
  if (value.is_null())
    return type == 0 ? only_missing : type == GRPO_COLUMN_INTEGER ? std::int32_t{GRPO_COLUMN_NUMBER} : type;
  const std::int32_t own = value.is_string()   ? GRPO_COLUMN_TEXT
                           : is_int64(value)   ? GRPO_COLUMN_INTEGER
                           : value.is_number() ? GRPO_COLUMN_NUMBER
                                               : GRPO_COLUMN_JSON;
  if (type == 0 || type == own) return own;
  if (type == only_missing) return own == GRPO_COLUMN_INTEGER ? std::int32_t{GRPO_COLUMN_NUMBER} : own;
  const auto numeric = [](std::int32_t t) { return t == GRPO_COLUMN_INTEGER || t == GRPO_COLUMN_NUMBER; };
  return numeric(type) && numeric(own) ? GRPO_COLUMN_NUMBER : GRPO_COLUMN_JSON;
}

ColumnTypes infer_column_types(std::span<const json> records) {
  ColumnTypes types;
  for (const json& record : records) {
    for (const auto& [name, value] : record.items()) types.emplace(name, 0);
  }
  for (const json& record : records) {
    for (auto& [name, type] : types) type = wider_column_type(type, value_at(record, name));
  }
  for (auto& [name, type] : types) {
    if (type <= 0) type = GRPO_COLUMN_TEXT;  // nothing but missing values
  }
  return types;
}

struct RewardBatch::State {
  std::int64_t step = 0;
  ColumnTypes given;
  std::deque<std::string> texts;  // what every grpo_str points to: a deque does not move its elements
  std::vector<grpo_str> prompt, messages, ground_truth, completion;
  std::vector<std::int64_t> prompt_start{0}, completion_start{0}, row, index;
  std::vector<std::int32_t> prompt_ids, completion_ids, finish;
  std::vector<json> records;

  std::mutex mutex;  // several rewards may ask for the arrays at once
  bool sealed = false;
  std::deque<std::string> column_texts;
  std::deque<Column> columns;
  std::vector<const grpo_column*> column_list;
  grpo_reward_batch table{};

  static grpo_str keep(std::deque<std::string>& texts, std::string text) {
    const std::string& kept = texts.emplace_back(std::move(text));
    return {kept.c_str(), static_cast<std::int64_t>(kept.size())};
  }
  grpo_str keep(std::string_view text) { return keep(texts, valid_utf8(text)); }

  void build_columns() {
    column_texts.clear();
    columns.clear();
    column_list.clear();
    ColumnTypes types = infer_column_types(records);
    for (auto& [name, type] : types) {
      if (const auto at = given.find(name); at != given.end()) type = at->second;
    }
    for (const auto& [name, type] : given) types.emplace(name, type);  // a column that every row of this batch lacks
    for (const auto& [name, type] : types) {
      Column& c = columns.emplace_back();
      c.name = name;
      c.table.struct_size = sizeof c.table;
      c.table.name = c.name.c_str();
      c.table.type = type;
      for (std::size_t r = 0; r < records.size(); ++r) add_value(c, type, value_at(records[r], name), r);
      c.text.reserve(1);  // so that data() is not null in a batch without rows
      c.integer.reserve(1);
      c.number.reserve(1);
      if (type == GRPO_COLUMN_TEXT || type == GRPO_COLUMN_JSON) c.table.text = c.text.data();
      if (type == GRPO_COLUMN_INTEGER) c.table.integer = c.integer.data();
      if (type == GRPO_COLUMN_NUMBER) c.table.number = c.number.data();
    }
    for (const Column& c : columns) column_list.push_back(&c.table);
  }

  void add_value(Column& c, std::int32_t type, const json& value, std::size_t r) {
    const bool missing = value.is_null();
    const auto wrong = [&]() -> Error {
      const std::string got = missing ? "missing" : dumped(value).substr(0, 80);
      return Error("row " + std::to_string(r) + " of the batch: the column \"" + c.name + "\" holds " +
                   type_name(type) + ", but this value is " + got);
    };
    switch (type) {
      case GRPO_COLUMN_TEXT:
        if (!missing && !value.is_string()) throw wrong();
        c.text.push_back(keep(column_texts, missing ? std::string() : valid_utf8(value.get_ref<const std::string&>())));
        break;
      case GRPO_COLUMN_INTEGER:
        if (!is_int64(value)) throw wrong();
        c.integer.push_back(value.is_boolean() ? value.get<bool>() : value.get<std::int64_t>());
        break;
      case GRPO_COLUMN_NUMBER:
        if (!missing && !value.is_number() && !value.is_boolean()) throw wrong();
        c.number.push_back(missing              ? std::numeric_limits<double>::quiet_NaN()
                           : value.is_boolean() ? static_cast<double>(value.get<bool>())
                                                : value.get<double>());
        break;
      default:
        c.text.push_back(keep(column_texts, missing ? std::string() : dumped(value)));
    }
  }
};

RewardBatch::RewardBatch(std::int64_t step, ColumnTypes types) : state_(std::make_unique<State>()) {
  state_->step = step;
  state_->given = std::move(types);
}
RewardBatch::~RewardBatch() = default;
RewardBatch::RewardBatch(RewardBatch&&) noexcept = default;
RewardBatch& RewardBatch::operator=(RewardBatch&&) noexcept = default;

std::int64_t RewardBatch::add_row(const RewardRow& row) {
  State& s = *state_;
  if (row.columns && !row.columns->is_object())
    throw Error("a row's columns are not an object: " + dumped(*row.columns).substr(0, 80));
  s.sealed = false;
  s.prompt.push_back(s.keep(row.prompt));
  s.messages.push_back(s.keep(row.messages));
  s.ground_truth.push_back(s.keep(row.ground_truth));
  s.prompt_ids.insert(s.prompt_ids.end(), row.prompt_ids.begin(), row.prompt_ids.end());
  s.prompt_start.push_back(static_cast<std::int64_t>(s.prompt_ids.size()));
  s.records.push_back(row.columns ? *row.columns : json::object());
  return rows() - 1;
}

std::int64_t RewardBatch::add_sample(const RewardSample& sample) {
  State& s = *state_;
  if (sample.row < 0 || sample.row >= rows()) {
    throw Error("a sample of row " + std::to_string(sample.row) + "; the batch has " + std::to_string(rows()) +
                " rows");
  }
  s.sealed = false;
  s.row.push_back(sample.row);
  s.index.push_back(sample.index);
  s.completion.push_back(s.keep(sample.completion));
  s.finish.push_back(sample.finish);
  s.completion_ids.insert(s.completion_ids.end(), sample.ids.begin(), sample.ids.end());
  s.completion_start.push_back(static_cast<std::int64_t>(s.completion_ids.size()));
  return samples() - 1;
}

std::int64_t RewardBatch::rows() const { return static_cast<std::int64_t>(state_->prompt.size()); }
std::int64_t RewardBatch::samples() const { return static_cast<std::int64_t>(state_->row.size()); }

const grpo_reward_batch* RewardBatch::get() const {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (s.sealed) return &s.table;
  s.build_columns();
  for (auto* texts : {&s.prompt, &s.messages, &s.ground_truth, &s.completion}) texts->reserve(1);  // no array is NULL
  for (auto* ids : {&s.prompt_ids, &s.completion_ids, &s.finish}) ids->reserve(1);
  for (auto* numbers : {&s.row, &s.index}) numbers->reserve(1);
  s.column_list.reserve(1);
  grpo_reward_batch& t = s.table;
  t = {};
  t.struct_size = sizeof t;
  t.n_rows = rows();
  t.n_samples = samples();
  t.step = s.step;
  t.prompt = s.prompt.data();
  t.messages = s.messages.data();
  t.ground_truth = s.ground_truth.data();
  t.prompt_start = s.prompt_start.data();
  t.prompt_ids = s.prompt_ids.data();
  t.n_columns = static_cast<std::int64_t>(s.column_list.size());
  t.columns = s.column_list.data();
  t.row = s.row.data();
  t.index = s.index.data();
  t.completion = s.completion.data();
  t.finish = s.finish.data();
  t.completion_start = s.completion_start.data();
  t.completion_ids = s.completion_ids.data();
  t.sample_columns = s.column_list.data();  // none, and not NULL
  s.sealed = true;
  return &t;
}

}  // namespace grpo::plugins
