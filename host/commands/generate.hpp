// generate.hpp: what the two ways of `generate` share: JSON Lines through a sampler, and text streamed to a person.
#ifndef GRPO_HOST_GENERATE_HPP
#define GRPO_HOST_GENERATE_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "commands.hpp"

namespace grpo::host {

struct GenerateArguments {
  ModelArguments model;
  bool greedy = false, logprobs = false;
  double temperature = 1, top_p = 1, min_p = 0, repetition_penalty = 1;
  std::int64_t max_new_tokens = 256, min_new_tokens = 0, top_k = 0, samples = 1, seed = 42;
  std::vector<std::string> stop;
  std::string chat_template;
  std::size_t batch = 64;
  bool interactive = false, raw = false;
  std::string system;
  std::vector<std::string> prompt;  // words; "-": standard input
};

config::Config config_of(const GenerateArguments& a);
// A reply to a.prompt, or a chat.
int generate_text(const GenerateArguments& a);

}  // namespace grpo::host

#endif
