#include "request.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "sampler.hpp"

namespace local {
namespace {

[[noreturn]] void refuse(const grpo_request& r, grpo_status status, const std::string& why) {
  throw grpo::failure(status, "request " + std::to_string(r.id) + ": " + why);
}

std::string names_of(uint32_t sampling) {
  static constexpr struct {
    uint32_t bit;
    const char* name;
  } all[] = {{GRPO_SAMPLING_TOP_K, "top_k"},     {GRPO_SAMPLING_TOP_P, "top_p"},
             {GRPO_SAMPLING_MIN_P, "min_p"},     {GRPO_SAMPLING_REPETITION_PENALTY, "repetition_penalty"},
             {GRPO_SAMPLING_MIN_NEW, "min_new"}, {GRPO_SAMPLING_STOP_TEXT, "stop texts"}};
  std::string names;
  for (const auto& one : all)
    if (sampling & one.bit) names += (names.empty() ? "" : ", ") + std::string(one.name);
  return names;
}

void check_prompt(const sampler& s, const grpo_request& r) {
  if (r.n_samples < 0) refuse(r, GRPO_STATUS_INVALID, "n_samples is " + std::to_string(r.n_samples));
  if (r.n_prompt < 1) refuse(r, GRPO_STATUS_INVALID, "the prompt is empty; a model needs one token to begin with");
  if (r.n_extras > 0)
    refuse(r, GRPO_STATUS_UNSUPPORTED,
           "it has named tensors (extras) beside its tokens, which this sampler does not take");
  if (r.n_prompt >= s.max_positions)
    refuse(r, GRPO_STATUS_INVALID,
           "the prompt has " + std::to_string(r.n_prompt) + " tokens and the model takes " +
               std::to_string(s.max_positions) + " with at least one new: shorten or drop the prompt");
  for (int64_t i = 0; i < r.n_prompt; ++i)
    if (r.prompt[i] < 0 || r.prompt[i] >= s.vocabulary)
      refuse(r, GRPO_STATUS_INVALID,
             "token " + std::to_string(i) + " of the prompt is " + std::to_string(r.prompt[i]) +
                 ", and the model's ids are 0 to " + std::to_string(s.vocabulary - 1) +
                 ": is the tokenizer the model's?");
}

void check_sampling(const sampler& s, const grpo_request& r) {
  const grpo_sampling* o = r.sampling;
  if (!o) refuse(r, GRPO_STATUS_INVALID, "it has no sampling options");
  if (o->flags != 0)
    refuse(r, GRPO_STATUS_UNSUPPORTED, "its sampling options have a flag that this sampler does not know");
  const auto want = [&](bool ok, const char* name, double value, const char* range) {
    if (!ok)
      refuse(r, GRPO_STATUS_INVALID, std::string(name) + " is " + std::to_string(value) + ", and must be " + range);
  };
  want(o->temperature >= 0 && std::isfinite(o->temperature), "temperature", o->temperature, "0 or more");
  want(o->top_p >= 0 && o->top_p <= 1, "top_p", o->top_p, "in 0 .. 1");
  want(o->min_p >= 0 && o->min_p <= 1, "min_p", o->min_p, "in 0 .. 1");
  want(o->repetition_penalty >= 0 && std::isfinite(o->repetition_penalty), "repetition_penalty", o->repetition_penalty,
       "0 or more");
  want(o->top_k >= 0, "top_k", o->top_k, "0 or more");
  want(o->min_new >= 0, "min_new", o->min_new, "0 or more");
  want(o->max_new >= 0, "max_new", o->max_new, "0 or more");
  want(o->n_stop >= 0 && o->n_stop_text >= 0, "the number of stop ids or stop texts",
       std::min(o->n_stop, o->n_stop_text), "0 or more");
  for (int32_t i = 0; i < o->n_stop_text; ++i)
    if (o->stop_text[i].size < 1) refuse(r, GRPO_STATUS_INVALID, "stop text " + std::to_string(i) + " is empty");
  const uint32_t missing = grpo_sampling_used(o) & ~s.info().sampling;
  if (missing & GRPO_SAMPLING_STOP_TEXT)
    refuse(r, GRPO_STATUS_UNSUPPORTED,
           "it has stop texts, and this host offers no grpo.tokenizer/1 to read them with: give stop ids instead");
  if (missing)
    refuse(r, GRPO_STATUS_UNSUPPORTED, "the model's decoder does not offer " + names_of(missing) + ": leave it out");
}

// The request's options without its stop texts, which are this sampler's job. Field by field: the host's struct may be
// longer than ours, and is never copied whole.
void without_stop_text(const grpo_sampling& from, grpo_sampling& to) {
  to.struct_size = sizeof to;
  to.temperature = from.temperature;
  to.top_p = from.top_p;
  to.min_p = from.min_p;
  to.repetition_penalty = from.repetition_penalty;
  to.top_k = from.top_k;
  to.min_new = from.min_new;
  to.max_new = from.max_new;
  to.n_stop = from.n_stop;
  to.stop = from.stop;
}

}  // namespace

void take_request(const sampler& s, const grpo_request& request, group& g) {
  check_prompt(s, request);
  check_sampling(s, request);
  g.request = &request;
  g.id = request.id;
  g.n_samples = request.n_samples;
  g.sampling = request.sampling;
  if (request.sampling->n_stop_text > 0) {
    without_stop_text(*request.sampling, g.own);
    g.sampling = &g.own;
  }
  const int64_t positions = s.max_positions - request.n_prompt;
  g.longest = request.sampling->max_new > 0 ? std::min<int64_t>(request.sampling->max_new, positions) : positions;
}

}  // namespace local
