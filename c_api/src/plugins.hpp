// plugins.hpp: the registry behind a grpo_embed_plugins, and the tokenizer behind a grpo_embed_tokenizer.
#ifndef GRPO_C_API_PLUGINS_HPP
#define GRPO_C_API_PLUGINS_HPP

#include <grpo/embed.h>

#include <mutex>

#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/text/tokenizer.hpp"

struct grpo_embed_plugins {
  grpo::plugins::Registry registry;
  std::mutex mutex;  // a registry is for one thread at a time
};

struct grpo_embed_tokenizer {
  grpo::text::Tokenizer tokenizer;
};

#endif
