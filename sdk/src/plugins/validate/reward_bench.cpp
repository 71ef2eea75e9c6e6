#include "reward_bench.hpp"

#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>

#include "grpo/sdk/plugins/reward.hpp"

namespace grpo::plugins::conformance {
namespace {

using nlohmann::json;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// The arrays of a batch, copied to where nobody writes.
class GuardedBatch {
 public:
  GuardedBatch(const grpo_reward_batch& from, Fields fields) : batch_("the grpo_reward_batch", fields) {
    grpo_reward_batch& to = *batch_.get();
    const auto rows = static_cast<std::size_t>(from.n_rows), samples = static_cast<std::size_t>(from.n_samples);
    to.n_rows = from.n_rows;
    to.n_samples = from.n_samples;
    to.step = from.step;
    to.prompt = texts(from.prompt, rows, "batch->prompt");
    to.messages = texts(from.messages, rows, "batch->messages");
    to.ground_truth = texts(from.ground_truth, rows, "batch->ground_truth");
    to.prompt_start = array(from.prompt_start, rows + 1, "batch->prompt_start");
    to.prompt_ids = array(from.prompt_ids, static_cast<std::size_t>(from.prompt_start[rows]), "batch->prompt_ids");
    to.n_columns = from.n_columns;
    to.columns = columns(from.columns, from.n_columns, rows, fields);
    to.row = array(from.row, samples, "batch->row");
    to.index = array(from.index, samples, "batch->index");
    to.completion = texts(from.completion, samples, "batch->completion");
    to.finish = array(from.finish, samples, "batch->finish");
    to.completion_start = array(from.completion_start, samples + 1, "batch->completion_start");
    to.completion_ids =
        array(from.completion_ids, static_cast<std::size_t>(from.completion_start[samples]), "batch->completion_ids");
    to.n_sample_columns = from.n_sample_columns;
    to.sample_columns = columns(from.sample_columns, from.n_sample_columns, samples, fields);
    batch_.seal();
  }
  const grpo_reward_batch* get() const { return batch_.get(); }
  void end() {
    for (Pages& p : kept_) p.inaccessible();
    batch_.pages().inaccessible();
  }

 private:
  template <class T>
  T* array(const T* from, std::size_t n, const char* what) {
    kept_.push_back(copied(from, n, what));
    kept_.back().read_only();
    return kept_.back().as<T>();
  }
  const grpo_str* texts(const grpo_str* from, std::size_t n, const char* what) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < n; ++i) size += static_cast<std::size_t>(from[i].size) + 1;
    Pages bytes(size, std::string("the text of ") + what);
    std::vector<grpo_str> list(from, from + n);
    char* at = bytes.as<char>();
    for (grpo_str& text : list) {
      std::memcpy(at, text.data, static_cast<std::size_t>(text.size));
      text.data = at;
      at += text.size + 1;
    }
    bytes.read_only();
    kept_.push_back(std::move(bytes));
    return array(list.data(), n, what);
  }
  const grpo_column* const* columns(const grpo_column* const* from, std::int64_t n, std::size_t height, Fields fields) {
    std::vector<const grpo_column*> list;
    for (std::int64_t i = 0; i < n; ++i) {
      Struct<grpo_column> column("a grpo_column", fields);
      column->type = from[i]->type;
      column->name = array(from[i]->name, std::strlen(from[i]->name) + 1, "a column's name");
      if (from[i]->text) column->text = texts(from[i]->text, height, "column->text");
      if (from[i]->integer) column->integer = array(from[i]->integer, height, "column->integer");
      if (from[i]->number) column->number = array(from[i]->number, height, "column->number");
      column.seal();
      list.push_back(column.get());
      kept_.push_back(std::move(column.pages()));
    }
    return array(list.data(), list.size(), "batch->columns");
  }

  Struct<grpo_reward_batch> batch_;
  std::deque<Pages> kept_;
};

class GuardedResult {
 public:
  GuardedResult(std::size_t n, Fields fields, bool no_components)
      : table_("the grpo_reward_result", fields),
        n_(n),
        score_(n * sizeof(double), "result->score"),
        status_(n * sizeof(std::int32_t), "result->status"),
        message_(n * sizeof(grpo_str), "result->message"),
        no_components_(no_components) {
    for (std::size_t i = 0; i < n; ++i) {
      score_.as<double>()[i] = nan;
      message_.as<grpo_str>()[i] = {"", 0};
    }
    table_->host = this;
    table_->score = score_.as<double>();
    table_->status = status_.as<std::int32_t>();
    table_->message = message_.as<grpo_str>();
    table_->component = [](const grpo_reward_result* r, const char* name) noexcept -> double* {
      return static_cast<GuardedResult*>(r->host)->column(name);
    };
    table_.seal();
  }
  const grpo_reward_result* get() const { return table_.get(); }

  // The answers, in the order of the call.
  std::vector<Answer> read() const {
    std::vector<Answer> out(n_);
    for (std::size_t i = 0; i < n_; ++i) {
      out[i] = {score_.as<double>()[i], status_.as<std::int32_t>()[i], {}, {}};
      const grpo_str m = message_.as<grpo_str>()[i];
      need(m.size >= 0 && m.size < (1 << 24) && (m.data || m.size == 0),
           "it left a message of " + std::to_string(m.size) + " bytes" + (m.data ? "" : " at NULL"),
           "message takes a grpo_str: data and its size in bytes");
      if (m.data) out[i].message.assign(m.data, static_cast<std::size_t>(m.size));
      for (const auto& [name, values] : components_) out[i].components[name] = values.as<double>()[i];
    }
    return out;
  }
  void check() const {
    for (const Pages* p : {&score_, &status_, &message_})
      need(p->intact(), "it wrote before the first element of " + p->what(), "indices run from 0 to n_samples - 1");
    for (const auto& [name, values] : components_)
      need(values.intact(), "it wrote before the first element of the component '" + name + "'",
           "indices run from 0 to n_samples - 1");
  }
  void end() {
    for (Pages* p : {&score_, &status_, &message_}) p->inaccessible();
    for (auto& [name, values] : components_) values.inaccessible();
    table_.pages().inaccessible();
  }

 private:
  double* column(const char* name) noexcept {
    if (no_components_ || !name || !*name) return nullptr;
    try {
      std::lock_guard lock(mutex_);
      const auto [at, is_new] = components_.try_emplace(name, n_ * sizeof(double), std::string("a component"));
      if (is_new)
        for (std::size_t i = 0; i < n_; ++i) at->second.as<double>()[i] = nan;
      return at->second.as<double>();
    } catch (...) {
      return nullptr;
    }
  }

  Struct<grpo_reward_result> table_;
  std::size_t n_;
  Pages score_, status_, message_;
  std::map<std::string, Pages> components_;
  std::mutex mutex_;
  bool no_components_;
};

// The samples and the rows that they need, in that order.
RewardBatch batch_of(const Rollout& rollout, const Order& order) {
  RewardBatch batch(1);
  std::map<std::size_t, std::int64_t> rows;
  const std::vector<std::int32_t> ids{7, 1, 3};
  for (const std::size_t i : order) {
    const Rollout::Sample& s = rollout.samples[i];
    const Rollout::Row& r = rollout.rows[s.row];
    if (!rows.contains(s.row))
      rows[s.row] = batch.add_row({r.prompt, r.messages, r.truth, ids, r.columns.empty() ? nullptr : &r.columns});
    std::vector<std::int32_t> tokens;  // one for each four bytes
    for (std::size_t k = 0; k < s.text.size(); k += 4) tokens.push_back(static_cast<unsigned char>(s.text[k]));
    batch.add_sample({rows[s.row], s.index, s.text, s.finish, tokens});
  }
  return batch;
}

// The rules for one answer.
void check_answer(const Answer& a, const std::string& which) {
  need(a.status >= GRPO_SAMPLE_OK && a.status <= GRPO_SAMPLE_TIMEOUT,
       which + " got the unknown status " + std::to_string(a.status), "use GRPO_SAMPLE_*");
  if (a.status == GRPO_SAMPLE_OK) {
    need(!std::isnan(a.score), which + " was left without an answer: status OK and score NaN",
         "write a score, or GRPO_SAMPLE_ERROR with a message, for every sample");
    need(std::isfinite(a.score), which + " got an infinite score", "give a finite number, or GRPO_SAMPLE_ERROR");
  }
  need(a.status != GRPO_SAMPLE_ERROR || !a.message.empty(), which + " is an error without a message",
       "say why in result->message");
}

// "sample 4 (completion "no number here", ground truth "72")": what its author has to look at.
std::string which_sample(const Rollout& rollout, std::size_t i) {
  const auto shown = [](const std::string& text) {
    constexpr std::size_t most = 60;
    const std::string begin = json(text.substr(0, most)).dump(-1, ' ', true, json::error_handler_t::replace);
    return text.size() > most ? begin + "... of " + std::to_string(text.size()) + " bytes" : begin;
  };
  const Rollout::Sample& sample = rollout.samples[i];
  return "sample " + std::to_string(i) + " (completion " + shown(sample.text) + ", ground truth " +
         shown(rollout.rows[sample.row].truth) + ")";
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

}  // namespace

bool Answer::same_as(const Answer& other) const {
  if (status != other.status || (status == GRPO_SAMPLE_OK && !same_bits(score, other.score))) return false;
  // A component that nobody asked for in this call is one that says nothing of this sample.
  const auto covers = [](const Answer& a, const Answer& b) {
    for (const auto& [name, value] : a.components) {
      const auto at = b.components.find(name);
      if (!same_bits(value, at == b.components.end() ? nan : at->second)) return false;
    }
    return true;
  };
  return covers(*this, other) && covers(other, *this);
}

std::string Answer::text() const {
  if (status != GRPO_SAMPLE_OK)
    return "status " + std::to_string(status) + (message.empty() ? "" : " (" + message + ")");
  std::string out = json(score).dump();
  for (const auto& [name, value] : components) out += ", " + name + " " + json(value).dump();
  return out;
}

Order all_of(const Rollout& rollout) {
  Order out;
  for (std::size_t i = 0; i < rollout.samples.size(); ++i) out.push_back(i);
  return out;
}

Answers score(Subject& subject, const Opened& handle, const Rollout& rollout, const Order& order, const Scoring& how) {
  const RewardBatch plain = batch_of(rollout, order);
  GuardedBatch batch(*plain.get(), how.fields);
  GuardedResult result(order.size(), how.fields, how.no_components);
  Caller own(how.fields);
  Caller& caller = how.caller ? *how.caller : own;
  caller.no_memory = how.no_memory;
  subject.at("score of " + std::to_string(order.size()) + " samples");
  const grpo_status status = handle.table_as<grpo_reward>()->score(handle.handle(), caller, batch.get(), result.get());
  const bool ended_early = status == GRPO_STATUS_CANCELLED || status == GRPO_STATUS_DEADLINE;
  const bool may_end = caller.stop || caller.stop_after >= 0 || how.caller;
  const bool may_fail = how.no_memory && caller.spoke();
  if (!may_fail && !(ended_early && may_end))
    need(status == GRPO_STATUS_OK,
         "score failed: " + (caller.spoke() ? caller.error() : "without a message") + " (" + status_text(status) + ")",
         "what cannot be graded is the sample's error (result->status), not the batch's");
  result.check();
  const std::vector<Answer> list = result.read();
  Answers out;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!ended_early && status == GRPO_STATUS_OK) check_answer(list[i], which_sample(rollout, order[i]));
    out[order[i]] = list[i];
  }
  if (!how.caller) own.end();
  result.end();
  batch.end();
  return out;
}

void need_same(const Answers& got, const Answers& expected, const std::string& when, const std::string& way_out) {
  for (const auto& [sample, answer] : got)
    need(answer.same_as(expected.at(sample)),
         "sample " + std::to_string(sample) + " gets " + answer.text() + " " + when + ", and " +
             expected.at(sample).text() + " otherwise",
         way_out);
}

}  // namespace grpo::plugins::conformance
