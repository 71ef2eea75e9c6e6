#include "grpo/sdk/train/microbatch.hpp"

#include <algorithm>

namespace grpo::train {

plugins::Forest MicroBatch::forest() const {
  plugins::Forest forest;
  for (const GroupPart& part : parts) {
    const auto root = forest.add(plugins::Forest::root, part.prompt->ids);
    for (const Sample* sample : part.samples) forest.add_scored(root, sample->ids);
  }
  return forest;
}

std::vector<std::int64_t> MicroBatch::starts() const {
  std::vector<std::int64_t> start{0};
  for (const GroupPart& part : parts)
    for (const Sample* sample : part.samples)
      start.push_back(start.back() + static_cast<std::int64_t>(sample->ids.size()));
  return start;
}

std::vector<Sample*> MicroBatch::samples() const {
  std::vector<Sample*> all;
  for (const GroupPart& part : parts) all.insert(all.end(), part.samples.begin(), part.samples.end());
  return all;
}

std::vector<MicroBatch> cut_into_microbatches(std::span<Group* const> groups, std::int64_t max_tokens) {
  std::vector<MicroBatch> batches;
  MicroBatch open;
  const auto close = [&] {
    if (open.targets > 0) batches.push_back(std::move(open));
    open = {};
  };
  for (Group* group : groups) {
    const auto prompt = static_cast<std::int64_t>(group->prompt.ids.size());
    const GroupPart* part = nullptr;  // of this group in the open batch
    for (Sample& sample : group->samples) {
      const auto n = static_cast<std::int64_t>(sample.ids.size());
      if (n == 0) continue;
      const bool full = max_tokens > 0 && open.tokens > 0 && open.tokens + n + (part ? 0 : prompt) > max_tokens;
      if (full) close();
      if (full || !part) {
        open.parts.push_back({&group->prompt, {}});
        open.tokens += prompt;
      }
      part = &open.parts.back();
      open.parts.back().samples.push_back(&sample);
      open.tokens += n;
      open.targets += n;
    }
  }
  close();
  return batches;
}

std::int64_t tokens_of_a_pass(std::int64_t configured, const plugins::Model& model) {
  constexpr std::int64_t enough = 1024;
  const std::int64_t cheapest = model.info().rollout_tokens;
  return configured == 0 || cheapest == 0 ? configured : std::min(configured, std::max(cheapest, enough));
}

}  // namespace grpo::train
