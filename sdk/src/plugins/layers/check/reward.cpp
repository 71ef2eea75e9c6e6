// Rewards: what goes into a batch and what comes out of it.
#include <grpo/reward.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <list>

#include "kinds.hpp"
#include "text.hpp"

namespace grpo::plugins::check {
namespace {

struct RewardHandle final : Opened {
  static constexpr Kind kind = Kind::reward;
  RewardHandle(const Reporter& r, const grpo_reward* t) : Opened(r, kind), table(t) {
    watched = 4;
    concurrent = (t->flags & GRPO_REWARD_CONCURRENT) != 0;
  }
  const grpo_reward* table;
};

// ---- what goes in

std::string in_range_problem(const std::int64_t* start, std::int64_t n, const char* what) {
  if (start[0] != 0) return std::string(what) + " does not begin with 0";
  for (std::int64_t i = 0; i < n; ++i)
    if (start[i + 1] < start[i]) return std::string(what) + " decreases at " + std::to_string(i);
  return {};
}

std::string columns_problem(const grpo_column* const* columns, std::int64_t n) {
  if (n < 0 || (n > 0 && !columns)) return "columns are missing";
  for (std::int64_t i = 0; i < n; ++i) {
    const grpo_column* c = columns[i];
    if (!c || !c->name) return "column " + std::to_string(i) + " has no name";
    const bool set = c->type == GRPO_COLUMN_TEXT || c->type == GRPO_COLUMN_JSON ? c->text != nullptr
                     : c->type == GRPO_COLUMN_INTEGER                           ? c->integer != nullptr
                     : c->type == GRPO_COLUMN_NUMBER                            ? c->number != nullptr
                                                                                : false;
    if (!set) return std::string("column '") + c->name + "' lacks the array of its type";
  }
  return {};
}

std::string batch_problem(const grpo_reward_batch* b, const grpo_reward_result* r) {
  if (!b || !r) return "the batch or the result is NULL";
  if (too_short(b) || too_short(r)) return "struct_size of the batch or the result is too small";
  if (b->n_rows < 0 || b->n_samples < 0) return "a negative number of rows or samples";
  if (!b->prompt || !b->messages || !b->ground_truth || !b->prompt_start || !b->prompt_ids || !b->row || !b->index ||
      !b->completion || !b->finish || !b->completion_start || !b->completion_ids || !r->score || !r->status ||
      !r->message || !r->component)
    return "an array is NULL";
  if (auto problem = in_range_problem(b->prompt_start, b->n_rows, "prompt_start"); !problem.empty()) return problem;
  if (auto problem = in_range_problem(b->completion_start, b->n_samples, "completion_start"); !problem.empty())
    return problem;
  for (std::int64_t i = 0; i < b->n_samples; ++i)
    if (b->row[i] < 0 || b->row[i] >= b->n_rows)
      return "sample " + std::to_string(i) + " names row " + std::to_string(b->row[i]) + " of " +
             std::to_string(b->n_rows);
  if (auto problem = columns_problem(b->columns, b->n_columns); !problem.empty()) return problem;
  return columns_problem(b->sample_columns, b->n_sample_columns);
}

const grpo_column* const* copy(Scratch& m, const grpo_column* const* from, std::int64_t n, std::int64_t rows,
                               const char* whose) {
  if (n == 0) return from;
  std::vector<const grpo_column*> list;
  for (std::int64_t i = 0; i < n; ++i) {
    grpo_column* c = m.structure(*from[i]);
    c->name = m.name(c->name, "a column's name");
    c->text = m.texts(c->text, rows, from[i]->name, whose);
    c->integer = m.input(c->integer, rows, from[i]->name);
    c->number = m.input(c->number, rows, from[i]->name);
    m.lock(c, "a column");
    list.push_back(c);
  }
  return m.list(list, "the list of columns");
}

const grpo_reward_batch* copy(Scratch& m, const grpo_reward_batch* from) {
  grpo_reward_batch* b = m.structure(*from);
  const std::int64_t rows = b->n_rows, samples = b->n_samples;
  b->prompt = m.texts(b->prompt, rows, "prompt", "row");
  b->messages = m.texts(b->messages, rows, "messages", "row");
  b->ground_truth = m.texts(b->ground_truth, rows, "ground_truth", "row");
  b->prompt_ids = m.input(b->prompt_ids, b->prompt_start[rows], "prompt_ids");
  b->prompt_start = m.input(b->prompt_start, rows + 1, "prompt_start");
  b->columns = copy(m, b->columns, b->n_columns, rows, "row");
  b->row = m.input(b->row, samples, "row");
  b->index = m.input(b->index, samples, "index");
  b->completion = m.texts(b->completion, samples, "completion", "sample");
  b->finish = m.input(b->finish, samples, "finish");
  b->completion_ids = m.input(b->completion_ids, b->completion_start[samples], "completion_ids");
  b->completion_start = m.input(b->completion_start, samples + 1, "completion_start");
  b->sample_columns = copy(m, b->sample_columns, b->n_sample_columns, samples, "sample");
  m.lock(b, "the batch");
  return b;
}

// ---- what comes out

struct Result {
  Run& run;
  const grpo_reward_result* outer;
  std::int64_t n;
  std::mutex mutex;
  struct Column {
    double *mine, *theirs;
    std::string name;
  };
  std::list<Column> columns;

  double* component(const char* name) {
    if (!name || !*name || !is_utf8(name, static_cast<std::int64_t>(std::char_traits<char>::length(name)))) {
      run.opened().broken(rule::reward_component_name, run.function(), "a component without a name in UTF-8");
      return nullptr;
    }
    double* theirs = outer->component(outer, name);
    if (!theirs) return nullptr;
    std::lock_guard lock(mutex);
    for (const Column& c : columns)
      if (c.theirs == theirs) return c.mine;
    columns.push_back({run.memory().result(theirs, n, "a component's column"), theirs, name});
    return columns.back().mine;
  }
};

// An error of this sample alone: told, and in its message.
void spoil(Run& run, const grpo_reward_result& r, std::int64_t i, std::int64_t n, const Rule& rule,
           const std::string& what) {
  const std::string detail = "sample " + std::to_string(i) + " of " + std::to_string(n) + ": " + what;
  const std::string text =
      run.opened().reporter.component->label() + ": " + run.opened().tell(rule, run.function(), detail, false);
  r.status[i] = GRPO_SAMPLE_ERROR;
  r.score[i] = std::numeric_limits<double>::quiet_NaN();
  const auto size = static_cast<std::int64_t>(text.size());
  auto* copied = static_cast<char*>(run.outer()->alloc(run.outer(), size + 1));
  if (copied) std::copy_n(text.c_str(), size + 1, copied);
  r.message[i] = copied ? grpo_str{copied, size} : grpo_str{"the sample broke a rule", 23};
}

// The message in the caller's memory: the plugin's goes with the call.
void keep_message(Run& run, grpo_str& message) {
  if (message.size == 0) {
    message = {"", 0};
    return;
  }
  auto* copied = static_cast<char*>(run.outer()->alloc(run.outer(), message.size + 1));
  if (copied) std::copy_n(message.data, message.size, copied);
  message = copied ? grpo_str{copied, message.size} : grpo_str{"no memory for the message", 25};
}

void look_at(Run& run, const grpo_reward_result& r, std::int64_t n, bool complete) {
  for (std::int64_t i = 0; i < n; ++i) {
    const bool has_text = r.message[i].size != 0 || !r.message[i].data;
    if (has_text && !run.check_text(r.message[i], "the message of sample " + std::to_string(i))) r.message[i] = {"", 0};
    keep_message(run, r.message[i]);
    switch (r.status[i]) {
      case GRPO_SAMPLE_OK:
        if (std::isfinite(r.score[i])) break;
        if (std::isinf(r.score[i]))
          spoil(run, r, i, n, rule::reward_infinite, "gave an infinite score");
        else if (complete)
          spoil(run, r, i, n, rule::reward_nan, "left the sample without a score (NaN)");
        break;
      case GRPO_SAMPLE_ERROR:
        if (r.message[i].size == 0)
          run.broken(rule::reward_message, "sample " + std::to_string(i) + " is an error without a message");
        break;
      case GRPO_SAMPLE_NOT_APPLICABLE:
      case GRPO_SAMPLE_TIMEOUT:
        break;
      default:
        spoil(run, r, i, n, rule::reward_status, "gave the sample the unknown status " + std::to_string(r.status[i]));
    }
  }
}

grpo_status score(void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                  const grpo_reward_result* result) noexcept {
  return perform<RewardHandle>(
      handle, "score", Threads::as_declared, call, [&](RewardHandle& h, Run& run) -> grpo_status {
        if (const std::string problem = batch_problem(batch, result); !problem.empty()) {
          run.wrong(rule::reward_arguments, problem);
          return GRPO_STATUS_INVALID;
        }
        Scratch& m = run.memory();
        const std::int64_t n = batch->n_samples;
        Result state{run, result, n, {}, {}};
        grpo_reward_result* r = m.structure(*result);
        r->host = &state;
        r->score = m.result(result->score, n, "score");
        r->status = m.result(result->status, n, "status");
        r->message = m.result(result->message, n, "message");
        r->component = [](const grpo_reward_result* table, const char* name) noexcept -> double* {
          return static_cast<Result*>(table->host)->component(name);
        };
        m.lock(r, "the result");
        const grpo_status status = h.table->score(h.inner, run.call(), copy(m, batch), r);
        m.copy_out();
        for (const Result::Column& c : state.columns)
          for (std::int64_t i = 0; i < n; ++i)
            if (std::isinf(c.mine[i]))
              run.broken(rule::reward_component_infinite,
                         "'" + c.name + "' of sample " + std::to_string(i) + " is infinite");
        const bool ended_early = status == GRPO_STATUS_CANCELLED || status == GRPO_STATUS_DEADLINE;
        if (status == GRPO_STATUS_OK || ended_early) look_at(run, *result, n, !ended_early);
        return status;
      });
}

const void* query(void* handle, const char* id) noexcept {
  return visit<RewardHandle>(handle, "query", Threads::one_at_a_time, static_cast<const void*>(nullptr),
                             [&](RewardHandle& h, Run& run) -> const void* {
                               if (!id) {
                                 run.wrong(rule::query_id, "the id is NULL");
                                 return nullptr;
                               }
                               if (h.table->query(h.inner, id)) run.broken(rule::query_unknown, id);
                               return nullptr;
                             });
}

class CheckReward final : public LayerOf<grpo_reward> {
 public:
  explicit CheckReward(const Reporter& reporter) : LayerOf(reporter.component), reporter_(reporter) {
    table_.close = [](void* handle) noexcept {
      check::close<RewardHandle>(handle, "close", Threads::one_at_a_time,
                                 [](RewardHandle& h, Run&) { h.table->close(h.inner); });
    };
    if (inner_table()->query) table_.query = query;
    table_.score = score;
  }
  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    return check::open(std::make_unique<RewardHandle>(reporter_, inner_table()), inner().table, call, options, handle,
                       [](Run&) {});
  }

 private:
  const Reporter reporter_;
};

}  // namespace

std::shared_ptr<const Layer> check_reward(const Reporter& reporter) { return std::make_shared<CheckReward>(reporter); }

}  // namespace grpo::plugins::check
