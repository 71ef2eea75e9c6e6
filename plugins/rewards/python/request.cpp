#include "request.hpp"

#include <cmath>
#include <map>

namespace grpo_python {
namespace {

using nlohmann::json;

std::string_view text_of(const grpo_str& s) { return {s.data, static_cast<std::size_t>(s.size)}; }

json value_of(const grpo_column& c, std::size_t at) {
  if (c.text) return text_of(c.text[at]);
  if (c.integer) return c.integer[at];
  return std::isnan(c.number[at]) ? json() : json(c.number[at]);  // JSON knows neither NaN nor infinity
}

// Columns at the places `at`, by name; the names of those that hold JSON are added to `as_json`.
json columns_of(const grpo_column* const* columns, std::int64_t n, const std::vector<std::size_t>& at, json& as_json) {
  json out = json::object();
  for (std::int64_t c = 0; c < n; ++c) {
    json values = json::array();
    for (const std::size_t i : at) values.push_back(value_of(*columns[c], i));
    if (columns[c]->type == GRPO_COLUMN_JSON) as_json.push_back(columns[c]->name);
    out[columns[c]->name] = std::move(values);
  }
  return out;
}

}  // namespace

Request request_of(const grpo_reward_batch& b, std::size_t begin, std::size_t end, bool with_ids) {
  Request out;
  std::vector<std::size_t> rows, samples;
  std::map<std::int64_t, std::size_t> place;  // of a row of the batch among `rows`
  json row = json::array(), completion = json::array(), length = json::array(), sizes = json::array();
  for (std::size_t i = begin; i < end; ++i) {
    const auto [at, added] = place.try_emplace(b.row[i], rows.size());
    if (added) rows.push_back(static_cast<std::size_t>(b.row[i]));
    samples.push_back(i);
    row.push_back(at->second);
    completion.push_back(text_of(b.completion[i]));
    length.push_back(b.completion_start[i + 1] - b.completion_start[i]);
  }
  json prompt = json::array(), messages = json::array(), truth = json::array();
  for (const std::size_t r : rows) {
    prompt.push_back(text_of(b.prompt[r]));
    messages.push_back(text_of(b.messages[r]));
    truth.push_back(text_of(b.ground_truth[r]));
  }
  if (with_ids) {
    const auto add = [&](const std::int32_t* ids, const std::int64_t* start, std::size_t i) {
      sizes.push_back(start[i + 1] - start[i]);
      out.ids.insert(out.ids.end(), ids + start[i], ids + start[i + 1]);
    };
    for (const std::size_t r : rows) add(b.prompt_ids, b.prompt_start, r);
    for (const std::size_t i : samples) add(b.completion_ids, b.completion_start, i);
  }
  json as_json = json::array(), sample_json = json::array();
  json columns = columns_of(b.columns, b.n_columns, rows, as_json);
  json sample_columns = columns_of(b.sample_columns, b.n_sample_columns, samples, sample_json);
  out.message = {{"step", b.step},
                 {"rows",
                  {{"prompt", std::move(prompt)},
                   {"messages", std::move(messages)},
                   {"truth", std::move(truth)},
                   {"columns", std::move(columns)}}},
                 {"row", std::move(row)},
                 {"completion", std::move(completion)},
                 {"completion_length", std::move(length)},
                 {"ids", std::move(sizes)},
                 {"sample_columns", std::move(sample_columns)},
                 {"json_columns", std::move(as_json)},
                 {"sample_json_columns", std::move(sample_json)}};
  return out;
}

}  // namespace grpo_python
