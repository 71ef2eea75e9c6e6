// The arrays of a row: [rows][tokens], ragged or padded, under any of the names that people use.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "objective_row_parts.hpp"
#include "text.hpp"

namespace grpo::algorithm {

namespace {

using nlohmann::json;

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

enum class Array { logprob, old, reference, sampled, entropy, mask, tool_mask, advantage, reward, scores, ratio };

// "old_per_token_logps", "old_logp", "logp_old", "old": one of these heads or tails around one of the stems.
constexpr std::array<std::string_view, 9> stems = {"per_token_logps", "per_token_logp", "logps",    "logp", "logprobs",
                                                   "logprob",         "log_probs",      "log_prob", "logpi"};
constexpr std::array<Named<Array>, 9> qualifiers = {{
    {"old", Array::old},
    {"ref", Array::reference},
    {"reference", Array::reference},
    {"sampling", Array::sampled},
    {"sampled", Array::sampled},
    {"sampler", Array::sampled},
    {"rollout", Array::sampled},
    {"roll", Array::sampled},
    {"vllm", Array::sampled},
}};
constexpr std::array<Named<Array>, 13> others = {{
    {"entropies", Array::entropy},
    {"entropy", Array::entropy},
    {"completion_mask", Array::mask},
    {"mask", Array::mask},
    {"loss_mask", Array::mask},
    {"response_mask", Array::mask},
    {"tool_mask", Array::tool_mask},
    {"advantages", Array::advantage},
    {"advantage", Array::advantage},
    {"rewards", Array::reward},
    {"rewards_per_func", Array::scores},
    {"importance_sampling_ratio", Array::ratio},
    {"rollout_is_weights", Array::ratio},
}};

std::optional<Array> array_of(std::string_view key) {
  for (const auto& [name, array] : others) {
    if (key == name) return array;
  }
  for (std::string_view stem : stems) {
    if (key == stem) return Array::logprob;
    for (const auto& [word, array] : qualifiers) {
      const std::string w(word), s(stem);
      if (key == w || key == w + "_" + s || key == s + "_" + w) return array;
    }
  }
  return std::nullopt;
}

// The array's key and value in this row; null counts as absent.
struct Found {
  std::string key;
  const json* value = nullptr;
};

Found find(const json& row, Array wanted) {
  Found found;
  for (const auto& [key, value] : row.items()) {
    if (array_of(key) != wanted || value.is_null()) continue;
    if (found.value) fail("objective: \"", found.key, "\" and \"", key, "\" are two names of the same array: give one");
    found = {key, &value};
  }
  return found;
}

double number(const std::string& key, const json& value, bool null_is_nan) {
  if (value.is_number()) return value.get<double>();
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_null() && null_is_nan) return unknown;
  fail("objective: \"", key, "\" holds ", value.dump(), " where a number belongs");
}

// Rows of tokens, flat. `shape` null: this array makes the shape. A row that is null is all unknown where null is
// allowed.
std::vector<double> token_values(const Found& found, bool single, std::vector<int64_t>* make_start,
                                 const std::vector<int64_t>* shape, bool null_is_nan) {
  const json wrapped = single ? json::array({*found.value}) : json();
  const json& rows = single ? wrapped : *found.value;
  if (!rows.is_array()) fail("objective: \"", found.key, "\" must be a list of rows of numbers");
  if (shape && rows.size() != shape->size() - 1) {
    fail("objective: \"", found.key, "\" has ", rows.size(), " rows, the log-probabilities have ", shape->size() - 1);
  }
  std::vector<double> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    const json& row = rows[i];
    const int64_t wanted = shape ? (*shape)[i + 1] - (*shape)[i] : 0;
    if (row.is_null() && null_is_nan && shape) {
      out.insert(out.end(), static_cast<size_t>(wanted), unknown);
      continue;
    }
    if (!row.is_array()) fail("objective: \"", found.key, "\", row ", i, " must be a list of numbers");
    if (shape && static_cast<int64_t>(row.size()) != wanted) {
      fail("objective: \"", found.key, "\", row ", i, " has ", row.size(), " values, the log-probabilities have ",
           wanted);
    }
    for (const json& value : row) out.push_back(number(found.key, value, null_is_nan));
    if (make_start) make_start->push_back(static_cast<int64_t>(out.size()));
  }
  return out;
}

// One number a row, or one a token.
void read_advantages(const json& row, RowArrays& arrays) {
  const Found found = find(row, Array::advantage);
  if (!found.value) return;
  const json value = arrays.single && found.value->is_number() ? json::array({*found.value}) : *found.value;
  if (!value.is_array()) fail("objective: \"", found.key, "\" must be a list, a number a row");
  const auto is_list = [](const json& element) { return element.is_array(); };
  const auto is_one = [](const json& element) { return element.is_array() && element.size() == 1; };
  const bool nested = std::any_of(value.begin(), value.end(), is_list);
  const bool column = nested && std::all_of(value.begin(), value.end(), is_one);  // TRL's (B, 1)
  if ((nested && !column) || (arrays.single && value.size() != 1)) {
    arrays.token_advantage = token_values(found, arrays.single, nullptr, &arrays.start, false);
    return;
  }
  if (value.size() != arrays.rows()) {
    fail("objective: \"", found.key, "\" has ", value.size(), " values for ", arrays.rows(), " rows");
  }
  for (const json& element : value) {
    arrays.advantage.push_back(number(found.key, column ? element.front() : element, false));
  }
}

void read_rewards(const json& row, RowArrays& arrays) {
  const Found found = find(row, Array::reward);
  if (!found.value) return;
  if (!found.value->is_array() || found.value->size() != arrays.rows()) {
    fail("objective: \"", found.key, "\" must be a list of ", arrays.rows(), " numbers, one a row");
  }
  for (const json& element : *found.value) arrays.reward.push_back(number(found.key, element, true));
}

// Every reward by itself, [rows][rewards].
void read_scores(const json& row, RowArrays& arrays) {
  const Found found = find(row, Array::scores);
  if (!found.value) return;
  if (!found.value->is_array() || found.value->size() != arrays.rows()) {
    fail("objective: \"", found.key, "\" must be a list of ", arrays.rows(), " lists, the rewards of a row");
  }
  for (const json& of_row : *found.value) {
    if (!of_row.is_array() || of_row.empty() || (arrays.n_scores != 0 && of_row.size() != arrays.n_scores))
      fail("objective: \"", found.key, "\" must hold a list of equally many rewards for every row");
    arrays.n_scores = of_row.size();
    for (const json& element : of_row) arrays.scores.push_back(number(found.key, element, true));
  }
}

// TRL's shapes: one ratio a token, or a list of one for the whole row.
void read_ratio(const json& row, RowArrays& arrays) {
  Found found = find(row, Array::ratio);
  if (!found.value) return;
  json spread = *found.value;
  if (!arrays.single && spread.is_array() && spread.size() == arrays.rows()) {
    for (size_t i = 0; i < arrays.rows(); ++i) {
      const auto wanted = static_cast<size_t>(arrays.start[i + 1] - arrays.start[i]);
      if (spread[i].is_array() && spread[i].size() == 1) spread[i] = json(wanted, spread[i][0]);
    }
  }
  found.value = &spread;
  arrays.importance_ratio = token_values(found, arrays.single, nullptr, &arrays.start, false);
}

void read_masks(const json& row, RowArrays& arrays) {
  arrays.mask.assign(arrays.logprob.size(), 1);
  for (Array kind : {Array::mask, Array::tool_mask}) {
    const Found found = find(row, kind);
    if (!found.value) continue;
    const auto values = token_values(found, arrays.single, nullptr, &arrays.start, false);
    for (size_t t = 0; t < values.size(); ++t) {
      if (values[t] != 0 && values[t] != 1)
        fail("objective: \"", found.key, "\" holds ", values[t], "; it must be 0 or 1");
      if (values[t] == 0) arrays.mask[t] = 0;
    }
  }
}

}  // namespace

bool is_array_key(const std::string& key) { return array_of(key).has_value(); }

RowArrays read_arrays(const nlohmann::json& row) {
  RowArrays arrays;
  const Found logprob = find(row, Array::logprob);
  if (!logprob.value) fail("objective: \"per_token_logps\" is missing");
  arrays.single = logprob.value->is_array() && !logprob.value->empty() && !logprob.value->front().is_array();
  arrays.start.push_back(0);
  arrays.logprob = token_values(logprob, arrays.single, &arrays.start, nullptr, true);

  const auto read = [&](Array kind) {
    const Found found = find(row, kind);
    if (!found.value) return std::vector<double>();
    return token_values(found, arrays.single, nullptr, &arrays.start, true);
  };
  arrays.old_logprob = read(Array::old);
  arrays.reference_logprob = read(Array::reference);
  arrays.sampled_logprob = read(Array::sampled);
  arrays.entropy = read(Array::entropy);
  read_masks(row, arrays);
  read_advantages(row, arrays);
  read_rewards(row, arrays);
  read_scores(row, arrays);
  read_ratio(row, arrays);
  return arrays;
}

nlohmann::json in_shape(const RowArrays& arrays, const std::vector<double>& values) {
  if (arrays.single) return values;
  json out = json::array();
  for (size_t i = 0; i < arrays.rows(); ++i) {
    out.push_back(std::vector<double>(values.begin() + arrays.start[i], values.begin() + arrays.start[i + 1]));
  }
  return out;
}

}  // namespace grpo::algorithm
