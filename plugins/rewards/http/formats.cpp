#include "formats.hpp"

#include <cmath>
#include <grpo/author.hpp>
#include <nlohmann/json.hpp>

namespace grpo_http {
namespace {

using nlohmann::json;

std::string_view text_of(const grpo_str& s) { return {s.data, static_cast<std::size_t>(s.size)}; }

// A value that holds JSON goes in as what it is.
json value_of(const grpo_column& c, std::size_t at) {
  if (c.text && c.type == GRPO_COLUMN_JSON) {
    if (c.text[at].size == 0) return nullptr;
    json value = json::parse(text_of(c.text[at]), nullptr, false);
    return value.is_discarded() ? json(text_of(c.text[at])) : value;
  }
  if (c.text) return text_of(c.text[at]);
  if (c.integer) return c.integer[at];
  return std::isfinite(c.number[at]) ? json(c.number[at]) : json();
}

std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json grpo_body(const grpo_reward_batch& b, std::size_t begin, std::size_t end, bool with_columns) {
  json prompts = json::array(), completions = json::array(), truths = json::array(), messages = json::array(),
       columns = json::object();
  bool any_messages = false;
  for (std::size_t i = begin; i < end; ++i) {
    const auto r = static_cast<std::size_t>(b.row[i]);
    prompts.push_back(text_of(b.prompt[r]));
    completions.push_back(text_of(b.completion[i]));
    truths.push_back(text_of(b.ground_truth[r]));
    messages.push_back(b.messages[r].size ? json::parse(text_of(b.messages[r]), nullptr, false) : json());
    any_messages |= b.messages[r].size > 0;
  }
  if (with_columns) {
    for (std::int64_t c = 0; c < b.n_columns; ++c)
      for (std::size_t i = begin; i < end; ++i)
        columns[b.columns[c]->name].push_back(value_of(*b.columns[c], static_cast<std::size_t>(b.row[i])));
    for (std::int64_t c = 0; c < b.n_sample_columns; ++c) {
      json values = json::array();
      for (std::size_t i = begin; i < end; ++i) values.push_back(value_of(*b.sample_columns[c], i));
      columns[b.sample_columns[c]->name] = std::move(values);
    }
  }
  json out = {{"prompts", std::move(prompts)},
              {"completions", std::move(completions)},
              {"ground_truths", std::move(truths)},
              {"step", b.step}};
  if (any_messages) out["messages"] = std::move(messages);
  if (with_columns) out["columns"] = std::move(columns);
  return out;
}

[[noreturn]] void refuse(const std::string& what) { throw grpo::failure("the answer " + what); }

std::string start_of(const std::string& text) { return text.size() <= 120 ? text : text.substr(0, 120) + "..."; }

double number_of(const json& value, const std::string& what) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_number()) refuse("has " + start_of(dumped(value)) + " as " + what + ", which is no number");
  return value.get<double>();
}

Result result_of(const json& value) {
  Result out;
  if (value.is_null()) return out;
  if (!value.is_object()) return out.score = number_of(value, "a score"), out;
  const char* key = value.contains("score") ? "score" : "reward";
  if (const auto error = value.find("error"); error != value.end() && !error->is_null()) {
    out.error = error->is_string() ? error->get<std::string>() : dumped(*error);
  } else if (!value.contains(key)) {
    refuse("has a result without `score`: " + start_of(dumped(value)));
  } else if (!value[key].is_null()) {
    out.score = number_of(value[key], key);
  }
  for (const auto& [name, part] : value.items())
    if (name != key && (part.is_number() || part.is_boolean())) out.components[name] = number_of(part, name);
  return out;
}

// The list `name` of an answer, as long as it must be; NULL: there is none.
const json* list_of(const json& answer, const std::string& name, std::size_t n) {
  const auto at = answer.find(name);
  if (at == answer.end() || at->is_null()) return nullptr;
  if (!at->is_array()) refuse("has `" + name + "` that is no list");
  if (at->size() != n)
    refuse("has " + std::to_string(at->size()) + " " + name + " for " + std::to_string(n) + " completions");
  return &*at;
}

void add_components(std::vector<Result>& out, const json& parts) {
  for (const auto& [name, values] : parts.items()) {
    if (!values.is_array()) continue;  // OpenRLHF's extra_logs may hold a number of the batch
    if (values.size() != out.size())
      refuse("has " + std::to_string(values.size()) + " values of `" + name + "` for " + std::to_string(out.size()) +
             " completions");
    for (std::size_t i = 0; i < out.size(); ++i)
      if (values[i].is_number() || values[i].is_boolean()) out[i].components[name] = number_of(values[i], name);
  }
}

}  // namespace

std::string body_of(const grpo_reward_batch& b, std::size_t begin, std::size_t end, Format format, bool columns) {
  if (format == Format::grpo) return dumped(grpo_body(b, begin, end, columns));
  if (format == Format::slime) {
    const auto r = static_cast<std::size_t>(b.row[begin]);
    return dumped({{"prompt", text_of(b.prompt[r])},
                   {"response", text_of(b.completion[begin])},
                   {"label", text_of(b.ground_truth[r])}});
  }
  json query = json::array(), prompts = json::array(), labels = json::array();
  for (std::size_t i = begin; i < end; ++i) {
    const auto r = static_cast<std::size_t>(b.row[i]);
    query.push_back(std::string(text_of(b.prompt[r])) + std::string(text_of(b.completion[i])));
    prompts.push_back(text_of(b.prompt[r]));
    labels.push_back(text_of(b.ground_truth[r]));
  }
  return dumped({{"query", std::move(query)}, {"prompts", std::move(prompts)}, {"labels", std::move(labels)}});
}

std::vector<Result> results_of(const std::string& body, std::size_t n) {
  const json answer = json::parse(body, nullptr, false);
  if (answer.is_discarded()) refuse("is no JSON: " + start_of(body));
  std::vector<Result> out;
  const bool alone = answer.is_number() || answer.is_boolean() ||
                     (answer.is_object() && (answer.contains("score") || answer.contains("reward")));
  if (alone && n == 1) return {result_of(answer)};
  if (answer.is_array()) {
    if (answer.size() != n)
      refuse("has " + std::to_string(answer.size()) + " scores for " + std::to_string(n) + " completions");
    for (const json& value : answer) out.push_back(result_of(value));
    return out;
  }
  if (!answer.is_object()) refuse("is neither a list nor an object: " + start_of(body));
  const json* scores = list_of(answer, "scores", n);
  if (!scores || answer.contains("rewards")) scores = list_of(answer, "rewards", n);
  if (!scores) {
    if (const auto error = answer.find("error"); error != answer.end()) refuse("says: " + start_of(dumped(*error)));
    refuse("has neither `scores` nor `rewards`: " + start_of(body));
  }
  for (const json& value : *scores) out.push_back(result_of(value));
  if (const json* errors = list_of(answer, "errors", n))
    for (std::size_t i = 0; i < n; ++i)
      if (!(*errors)[i].is_null() && (*errors)[i] != "") {
        out[i].error = (*errors)[i].is_string() ? (*errors)[i].get<std::string>() : dumped((*errors)[i]);
        out[i].score.reset();
      }
  for (const char* name : {"components", "extra_logs"})
    if (const auto parts = answer.find(name); parts != answer.end() && parts->is_object()) add_components(out, *parts);
  return out;
}

}  // namespace grpo_http
