// Rewards: the caller's arrays become a batch, the scores go into the caller's arrays.
#include <nlohmann/json.hpp>

#include "boundary.hpp"
#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/plugins/left_behind.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/option_paths.hpp"
#include "grpo/sdk/train/session.hpp"
#include "plugins.hpp"

using namespace grpo;
using embed::guarded;
using embed::Invalid;
using embed::needed;

struct grpo_embed_reward {
  plugins::LeavableReward reward;
  std::chrono::nanoseconds timeout{0};  // where a batch names none
};

namespace {

// The reward as an entry of a run's configuration. So its keys, its checks and all that can stand in front of a reward
// are those of a run.
config::Config config_of(const grpo_embed_reward_wanted& w) {
  nlohmann::json entry = embed::object_of(w.settings, "wanted.settings"), run = nlohmann::json::object();
  if (entry.contains("check_plugins")) {
    run["check_plugins"] = entry["check_plugins"];
    entry.erase("check_plugins");
  }
  for (const char* key : {"plugin", "options"})
    if (entry.contains(key)) throw Invalid(std::string("wanted.settings has a key ") + key + ", which is a field beside it");
  for (const char* key : {"name", "record"})  // in YAML, which this becomes, a number is a text too
    if (entry.contains(key) && !entry[key].is_string())
      throw Invalid(std::string(&needed(w.name, "wanted.name")) + "." + key + " is " + entry[key].dump() +
                    "; it must be a text");
  entry["plugin"] = &needed(w.name, "wanted.name");
  entry["options"] = embed::object_of(w.options, "wanted.options");
  const nlohmann::json sections = {{"run", run}, {"rewards", nlohmann::json::array({entry})}};
  return config::load(config::Source{"reward", sections.dump(), {}});
}

// A mistake in the entry, told under the reward's name in place of a file's line and the number in a list.
std::string under_name(std::string text, const std::string& name) {
  const auto replace = [&text](std::string_view what, const std::string& by) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) text.replace(at, what.size(), by);
  };
  replace("reward:1: ", "");
  replace("rewards.0.", name + ".");
  return text;
}

std::unique_ptr<grpo_embed_reward> opened(grpo_embed_plugins& plugins, const grpo_embed_reward_wanted& w) {
  config::Config config = config_of(w);
  std::shared_ptr<train::ModelText> text;
  if (w.tokenizer) text.reset(new train::ModelText{w.tokenizer->tokenizer, std::nullopt, {}});
  std::chrono::nanoseconds timeout{0};
  if (config.origin("rewards.0.timeout_seconds").kind != config::Origin::Kind::built_in)
    timeout = plugins::duration_of(config.rewards[0].timeout_seconds);
  const std::lock_guard lock(plugins.mutex);
  train::resolve_option_paths(config, plugins.registry);
  auto entry = std::move(train::open_rewards(plugins.registry, config, train::make_services(text, 1))[0]);
  const auto warn = [](const std::string& text) { report::log(report::Level::warning, text); };
  return std::unique_ptr<grpo_embed_reward>(
      new grpo_embed_reward{{std::move(entry.reward), {.reopen = std::move(entry.reopen), .warn = warn}}, timeout});
}

// A column as the values that RewardBatch takes.
class Column {
 public:
  Column(const grpo_embed_column* given, std::int64_t rows)
      : column_(GRPO_EMBED_TAKEN(grpo_embed_column, given, number)), name_(&needed(column_.name, "a column's name")) {
    const std::string where = "the column \"" + name_ + "\"";
    embed::check_flags(column_.flags, 0, where.c_str());
    switch (column_.type) {
      case GRPO_COLUMN_TEXT:
      case GRPO_COLUMN_JSON:
        texts_.emplace(column_.text, (where + ": text").c_str());
        if (texts_->size() != rows)
          throw Invalid(where + " has " + std::to_string(texts_->size()) + " texts for " + std::to_string(rows) + " rows");
        break;
      case GRPO_COLUMN_INTEGER:
        if (rows > 0) needed(column_.integer, (where + ": integer").c_str());
        break;
      case GRPO_COLUMN_NUMBER:
        if (rows > 0) needed(column_.number, (where + ": number").c_str());
        break;
      default:
        throw Invalid(where + ": its type is " + std::to_string(column_.type) + ", which is none of GRPO_COLUMN_*");
    }
  }
  const std::string& name() const { return name_; }
  std::int32_t type() const { return column_.type; }
  nlohmann::json value(std::int64_t row) const {
    switch (column_.type) {
      case GRPO_COLUMN_TEXT:
        return std::string((*texts_)[row]);
      case GRPO_COLUMN_INTEGER:
        return column_.integer[row];
      case GRPO_COLUMN_NUMBER:
        return std::isnan(column_.number[row]) ? nlohmann::json(nullptr) : nlohmann::json(column_.number[row]);
      default:
        return parsed((*texts_)[row], row);
    }
  }

 private:
  nlohmann::json parsed(std::string_view text, std::int64_t row) const {
    if (text.empty()) return nullptr;
    embed::check_depth(text, "the column \"" + name_ + "\", row " + std::to_string(row) + ",");
    try {
      return nlohmann::json::parse(text);
    } catch (const nlohmann::json::exception& e) {
      throw Invalid("the column \"" + name_ + "\", row " + std::to_string(row) + ", is not JSON: " + e.what());
    }
  }
  grpo_embed_column column_;
  std::string name_;
  std::optional<embed::Texts> texts_;
};

// A list that may be absent, and must have `n` elements where it is there.
template <class List, class Given>
std::optional<List> list_of(const Given* given, std::int64_t n, const char* name) {
  if (!given) return std::nullopt;
  List list(given, name);
  if (list.size() != n)
    throw Invalid(std::string(name) + " has " + std::to_string(list.size()) + " elements; it should have " + std::to_string(n));
  return list;
}

void add_rows(plugins::RewardBatch& batch, const grpo_embed_batch& b, const std::vector<Column>& columns) {
  const auto prompt = list_of<embed::Texts>(b.prompt, b.n_rows, "batch.prompt");
  const auto messages = list_of<embed::Texts>(b.messages, b.n_rows, "batch.messages");
  const auto truth = list_of<embed::Texts>(b.ground_truth, b.n_rows, "batch.ground_truth");
  const auto ids = list_of<embed::IdLists>(b.prompt_ids, b.n_rows, "batch.prompt_ids");
  nlohmann::json record = nlohmann::json::object();
  for (std::int64_t r = 0; r < b.n_rows; ++r) {
    for (const Column& column : columns) record[column.name()] = column.value(r);
    plugins::RewardRow row;
    if (prompt) row.prompt = (*prompt)[r];
    if (messages) row.messages = (*messages)[r];
    if (truth) row.ground_truth = (*truth)[r];
    if (ids) row.prompt_ids = (*ids)[r];
    if (!columns.empty()) row.columns = &record;
    batch.add_row(row);
  }
}

void add_samples(plugins::RewardBatch& batch, const grpo_embed_batch& b) {
  const auto completion = list_of<embed::Texts>(&needed(b.completion, "batch.completion"), b.n_samples, "batch.completion");
  const auto ids = list_of<embed::IdLists>(b.completion_ids, b.n_samples, "batch.completion_ids");
  if (!b.row && b.n_samples > 0 && (b.n_rows == 0 || b.n_samples % b.n_rows != 0))
    throw Invalid("batch.row is NULL, so every row has as many samples, but " + std::to_string(b.n_samples) +
                  " samples do not divide into " + std::to_string(b.n_rows) + " rows; set row");
  const std::int64_t each = b.n_rows > 0 ? b.n_samples / b.n_rows : 0;
  std::vector<std::int64_t> seen(static_cast<std::size_t>(b.n_rows));
  for (std::int64_t i = 0; i < b.n_samples; ++i) {
    plugins::RewardSample sample{.row = b.row ? b.row[i] : i / each};
    if (sample.row < 0 || sample.row >= b.n_rows)
      throw Invalid("batch.row[" + std::to_string(i) + "] is " + std::to_string(sample.row) + "; there are " +
                    std::to_string(b.n_rows) + " rows");
    const std::int64_t place = seen[static_cast<std::size_t>(sample.row)]++;
    sample.index = b.index ? b.index[i] : place;
    sample.completion = (*completion)[i];
    if (b.finish) sample.finish = b.finish[i];
    if (sample.finish < GRPO_FINISH_NONE || sample.finish > GRPO_FINISH_CANCELLED)
      throw Invalid("batch.finish[" + std::to_string(i) + "] is " + std::to_string(sample.finish) +
                    ", which is none of GRPO_FINISH_*");
    if (ids) sample.ids = (*ids)[i];
    batch.add_sample(sample);
  }
}

plugins::RewardBatch batch_of(const grpo_embed_batch& b) {
  embed::check_flags(b.flags, 0, "batch");
  embed::check_count(b.n_rows, "batch.n_rows");
  embed::check_count(b.n_samples, "batch.n_samples");
  embed::check_count(b.n_columns, "batch.n_columns");
  if (b.timeout_ns < 0) throw Invalid("batch.timeout_ns is negative; 0: as the reward's settings say");
  if (!b.prompt && !b.messages && !b.ground_truth && !b.prompt_ids && b.n_columns == 0 && b.n_rows > b.n_samples)
    throw Invalid("batch.n_rows is " + std::to_string(b.n_rows) + ", but no row has anything in it, and there are only " +
                  std::to_string(b.n_samples) + " samples");
  if (b.n_columns > 0) needed(b.columns, "batch.columns");
  std::vector<Column> columns;
  plugins::ColumnTypes types;
  for (std::int64_t c = 0; c < b.n_columns; ++c) {
    columns.emplace_back(b.columns[c], b.n_rows);
    if (!types.emplace(columns.back().name(), columns.back().type()).second)
      throw Invalid("two columns are called \"" + columns.back().name() + "\"");
  }
  plugins::RewardBatch batch(b.step, std::move(types));
  add_rows(batch, b, columns);
  add_samples(batch, b);
  return batch;
}

struct OwnedComponents final : embed::Owner {
  std::map<std::string, std::vector<double>> components;
  std::vector<const char*> name;
  std::vector<const double*> value;
};

void give(grpo_embed_components* to, std::map<std::string, std::vector<double>> components) {
  if (!to) return;
  auto owned = std::make_unique<OwnedComponents>();
  owned->components = std::move(components);
  for (const auto& [name, values] : owned->components) {
    owned->name.push_back(name.c_str());
    owned->value.push_back(values.data());
  }
  *to = {static_cast<std::int64_t>(owned->name.size()), owned->name.data(), owned->value.data(), nullptr};
  to->owner = static_cast<embed::Owner*>(owned.release());
}

}  // namespace

grpo_status grpo_embed_reward_open(grpo_embed_plugins* plugins, const grpo_embed_reward_wanted* wanted,
                                   grpo_embed_reward** reward, grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    needed(reward, "reward") = nullptr;
    const auto w = GRPO_EMBED_TAKEN(grpo_embed_reward_wanted, wanted, settings);
    embed::check_flags(w.flags, 0, "grpo_embed_reward_open");
    auto& from = needed(plugins, "plugins");
    try {
      *reward = opened(from, w).release();
    } catch (const plugins::CallError&) {  // the plugin's own
      throw;
    } catch (const Invalid&) {
      throw;
    } catch (const Error& e) {
      throw Error(under_name(e.what(), &needed(w.name, "wanted.name")));
    }
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_reward_describe(const grpo_embed_reward* reward, grpo_embed_text* json, grpo_embed_error* error) {
  embed::clear(json);
  return guarded(error, [&]() -> grpo_status {
    const auto handle = needed(reward, "reward").reward.handle();
    const auto& r = *handle;
    const auto& c = r.component();
    embed::give(&needed(json, "json"), nlohmann::json{{"name", r.name()},
                                                      {"plugin", c.plugin},
                                                      {"version", c.version},
                                                      {"path", c.path},
                                                      {"options", r.options()},
                                                      {"concurrent", r.concurrent()},
                                                      {"whole_groups", r.whole_groups()},
                                                      {"whole_batch", r.whole_batch()}});
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_reward_score(grpo_embed_reward* reward, const grpo_embed_batch* batch, const grpo_embed_scores* scores,
                                    grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    const auto to = GRPO_EMBED_TAKEN(grpo_embed_scores, scores, components);
    embed::clear(to.message);
    embed::clear(to.components);
    embed::check_flags(to.flags, 0, "scores");
    const auto b = GRPO_EMBED_TAKEN(grpo_embed_batch, batch, timeout_ns);
    auto& r = needed(reward, "reward").reward;
    plugins::RewardBatch samples = batch_of(b);
    if (b.n_samples > 0) needed(to.score, "scores.score");
    const auto timeout = b.timeout_ns > 0 ? std::chrono::nanoseconds(b.timeout_ns) : reward->timeout;
    plugins::RewardScores out = r.score(std::move(samples), {.timeout = timeout, .cancel = nullptr});
    embed::give(to.message, out.message);
    give(to.components, std::move(out.components));
    std::copy(out.score.begin(), out.score.end(), to.score);
    if (to.status) std::copy(out.status.begin(), out.status.end(), to.status);
    return GRPO_STATUS_OK;
  });
}

void grpo_embed_reward_close(grpo_embed_reward* reward) { delete reward; }
