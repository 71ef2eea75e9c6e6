// novelty: a completion's share of the prompt's completions that differ from it. Compares within a group, logs and
// counts.
#include <grpo/reward.hpp>

#include <stdexcept>
#include <string>

GRPO_MANIFEST({"name": "novelty", "version": "1.0.0", "licence": "MIT", "components": [
  {"interface": "grpo.reward/1", "name": "novelty", "options": {"loud": {"type": "boolean", "default": true}}}]});

struct novelty {
  grpo::host host;
  bool loud;
  novelty(grpo::options o, grpo::host h) : host(h), loud(o.boolean("loud", false)) {
    if (loud) host.log(GRPO_LOG_INFO, "novelty is open");
  }
  void operator()(const grpo::group& g) const {
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (g[i].completion() == "refuse") throw std::runtime_error("a group with a refusal");
      double different = 0;
      for (std::size_t j = 0; j < g.size(); ++j) different += g[i].completion() != g[j].completion();
      g.set(i, different / double(g.size()));
      double ids = 0;
      for (std::int32_t id : g[i].ids()) ids += id;
      g[i].component("ids", ids + 100 * double(g[i].prompt_ids().size()) + 1000 * double(g[i].index()));
    }
    host.metric("groups", double(g.size()));
  }
};
GRPO_REWARD(novelty, "novelty");
