// A reward that uses all that a reward may, so that what comes back isolated can be compared with what comes back here.
#include <grpo/host.h>
#include <grpo/reward.hpp>

#include <string>
#include <vector>

GRPO_MANIFEST({"name": "gentle", "version": "1.2.3", "licence": "MIT", "components": [
  {"interface": "grpo.reward/1", "name": "gentle", "options": {
    "factor": {"type": "number", "default": 2}, "words": {"type": "list", "default": []}}}]});

namespace {

struct open_reward {
  const grpo_log* log;
  const grpo_metrics* metrics;
  const grpo_tokenizer* tokenizer;
  const void* tasks;
  double factor;
  std::string words;
};

grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
  auto* self = new open_reward{};
  self->log = static_cast<const grpo_log*>(call->service(call, GRPO_LOG_ID));
  self->metrics = static_cast<const grpo_metrics*>(call->service(call, GRPO_METRICS_ID));
  self->tokenizer = static_cast<const grpo_tokenizer*>(call->service(call, GRPO_TOKENIZER_ID));
  self->tasks = call->service(call, "grpo.surprise/9");
  self->factor = grpo_option_number(options, "factor", 0);
  grpo_str words{"", 0};
  options->text(options, "words", &words);
  self->words.assign(words.data, static_cast<std::size_t>(words.size));
  if (self->log) self->log->write(self->log, GRPO_LOG_WARNING, "open", 4);
  *handle = self;
  return GRPO_STATUS_OK;
}

void close(void* handle) { delete static_cast<open_reward*>(handle); }

double hash(const grpo_str& s) {
  double h = static_cast<double>(s.size);
  for (std::int64_t i = 0; i < s.size; ++i) h = h * 0.5 + static_cast<unsigned char>(s.data[i]);
  return h + (s.data[s.size] == 0 ? 0 : 1e9);  // every text ends in a 0
}

double column_hash(const grpo_column& c, std::int64_t i) {
  double h = hash({c.name, grpo_text_size(c.name)}) + c.type;
  if (c.text) h += hash(c.text[i]);
  if (c.integer) h += static_cast<double>(c.integer[i]);
  if (c.number && c.number[i] == c.number[i]) h += c.number[i];
  return h;
}

grpo_status score(void* handle, const grpo_call* call, const grpo_reward_batch* b, const grpo_reward_result* r) {
  const auto& self = *static_cast<open_reward*>(handle);
  for (std::int64_t i = 0; i < b->n_samples; ++i) {
    const std::int64_t row = b->row[i];
    const std::string text(b->completion[i].data, static_cast<std::size_t>(b->completion[i].size));
    if (text == "fail") return grpo_fail(call, GRPO_STATUS_FAILED, "the judge said no");
    if (text == "na") {
      r->status[i] = GRPO_SAMPLE_NOT_APPLICABLE;
      r->message[i] = {"no opinion", 10};
      continue;
    }
    double h = hash(b->completion[i]) + hash(b->prompt[row]) + hash(b->messages[row]) + hash(b->ground_truth[row]);
    for (std::int64_t k = b->completion_start[i]; k < b->completion_start[i + 1]; ++k) h += b->completion_ids[k];
    for (std::int64_t k = b->prompt_start[row]; k < b->prompt_start[row + 1]; ++k) h -= b->prompt_ids[k];
    for (std::int64_t c = 0; c < b->n_columns; ++c) h += column_hash(*b->columns[c], row);
    for (std::int64_t c = 0; c < b->n_sample_columns; ++c) h += column_hash(*b->sample_columns[c], i);
    h += static_cast<double>(b->index[i]) * 3 + b->finish[i] + static_cast<double>(b->step) * 7;
    if (self.tokenizer) {
      std::vector<std::int32_t> ids(text.size() + 8);
      const auto n = self.tokenizer->encode(self.tokenizer, 0, text.data(), b->completion[i].size, ids.data(),
                                            static_cast<std::int64_t>(ids.size()));
      for (std::int64_t k = 0; k < n; ++k) h += ids[static_cast<std::size_t>(k)];
      char back[64] = {};
      const auto size = self.tokenizer->decode(self.tokenizer, 0, ids.data(), n, back, sizeof back);
      h += hash({back, size < 63 ? size : 0}) + self.tokenizer->vocabulary + self.tokenizer->eos;
    }
    r->score[i] = h * self.factor + static_cast<double>(self.words.size());
    if (double* even = r->component(r, "even")) even[i] = static_cast<double>(i % 2);
    if (i % 3 == 0)
      if (double* third = r->component(r, "third")) third[i] = 0.25;
    if (self.metrics) self.metrics->add(self.metrics, "samples", 1);
  }
  if (self.log) self.log->write(self.log, GRPO_LOG_INFO, "scored", 6);
  return GRPO_STATUS_OK;
}

const grpo_reward table{
    sizeof(grpo_reward), GRPO_REWARD_CONCURRENT | GRPO_REWARD_WHOLE_GROUPS, open, close, nullptr, score};

}  // namespace

GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "gentle", &table);
