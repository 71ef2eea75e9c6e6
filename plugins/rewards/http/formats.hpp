// formats.hpp: what goes to a service, and what comes back.
//
//   grpo      {"prompts", "completions", "ground_truths", "messages", "columns", "step"}: a list for each, by sample
//   openrlhf  {"query": [prompt + completion], "prompts", "labels"}, as for its remote_rm_url
//   slime     {"prompt", "response", "label"}: one sample a request, as for its rm_url
//
// Answers are read alike: a list; {"scores": [...]} or {"rewards": [...]}, with {"errors": [...]} and {"components":
// {name: [...]}} beside it; for a request with one sample also a number. An element is a number, null (not applicable)
// or {"score": ..., "error": ..., name: number}.
#ifndef GRPO_REWARD_HTTP_FORMATS_HPP
#define GRPO_REWARD_HTTP_FORMATS_HPP

#include <grpo/reward.h>

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace grpo_http {

enum class Format { grpo, openrlhf, slime };

// The body for the samples begin .. end - 1.
std::string body_of(const grpo_reward_batch& batch, std::size_t begin, std::size_t end, Format format, bool columns);

struct Result {
  std::optional<double> score;  // none: not applicable, or an error
  std::string error;
  std::map<std::string, double> components;
};

// The n results of an answer. Throws grpo::failure that says what is wrong with it.
std::vector<Result> results_of(const std::string& body, std::size_t n);

}  // namespace grpo_http

#endif
