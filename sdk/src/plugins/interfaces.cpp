#include "interfaces.hpp"

#include <grpo/model.h>
#include <grpo/optimizer.h>
#include <grpo/reward.h>
#include <grpo/sampler.h>

#include <cstddef>
#include <cstring>

#include "grpo/sdk/error.hpp"
#include "released_sizes.hpp"

namespace grpo::plugins {
namespace {

struct Function {
  const char* name;
  std::size_t offset;
};

struct Interface {
  const char* id;
  std::size_t least;                // bytes of the table when it was first released
  std::size_t now;                  // and in these headers
  std::vector<Function> functions;  // that may not be NULL
};

#define GRPO_FUNCTION(table, name) \
  { #name, offsetof(table, name) }

const std::vector<Interface>& interfaces() {
  static const std::vector<Interface> all{
      {GRPO_REWARD_ID,
       released_size<grpo_reward>,
       sizeof(grpo_reward),
       {GRPO_FUNCTION(grpo_reward, open), GRPO_FUNCTION(grpo_reward, close), GRPO_FUNCTION(grpo_reward, score)}},
      {GRPO_MODEL_ID,
       released_size<grpo_model>,
       sizeof(grpo_model),
       {GRPO_FUNCTION(grpo_model, open), GRPO_FUNCTION(grpo_model, close), GRPO_FUNCTION(grpo_model, describe),
        GRPO_FUNCTION(grpo_model, parameters), GRPO_FUNCTION(grpo_model, forward)}},
      {GRPO_SAMPLER_ID,
       released_size<grpo_sampler>,
       sizeof(grpo_sampler),
       {GRPO_FUNCTION(grpo_sampler, open), GRPO_FUNCTION(grpo_sampler, close), GRPO_FUNCTION(grpo_sampler, describe),
        GRPO_FUNCTION(grpo_sampler, generate), GRPO_FUNCTION(grpo_sampler, cancel)}},
      {GRPO_OPTIMIZER_ID,
       released_size<grpo_optimizer>,
       sizeof(grpo_optimizer),
       {GRPO_FUNCTION(grpo_optimizer, open), GRPO_FUNCTION(grpo_optimizer, close), GRPO_FUNCTION(grpo_optimizer, bind),
        GRPO_FUNCTION(grpo_optimizer, squared_norm), GRPO_FUNCTION(grpo_optimizer, step),
        GRPO_FUNCTION(grpo_optimizer, state), GRPO_FUNCTION(grpo_optimizer, state_written)}}};
  return all;
}

#undef GRPO_FUNCTION

}  // namespace

void check_table(const grpo_table& table, const ComponentManifest& component, std::uint32_t header_revision) {
  for (const Interface& known : interfaces()) {
    if (component.interface_id != known.id) continue;
    const std::string who = kind_of(component.interface_id) + " '" + component.name + "'";
    if (table.struct_size < known.least || table.struct_size > (1u << 20)) {
      throw Error("the table of " + who + " has " + std::to_string(table.struct_size) + " bytes; " + known.id +
                  " has at least " + std::to_string(known.least) + ": set struct_size = sizeof of the right table");
    }
    // Headers later than ours may have a longer one.
    if (header_revision <= GRPO_HEADER_REVISION && table.struct_size > known.now) {
      throw Error("the table of " + who + " has " + std::to_string(table.struct_size) + " bytes; that of " + known.id +
                  " has " + std::to_string(known.now) + ": struct_size is that of another struct");
    }
    for (const Function& f : known.functions) {
      void* pointer;
      std::memcpy(&pointer, reinterpret_cast<const char*>(&table) + f.offset, sizeof pointer);
      if (!pointer) throw Error("the table of " + who + " lacks its function " + f.name);
    }
  }
}

}  // namespace grpo::plugins
