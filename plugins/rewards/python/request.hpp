// request.hpp: samples of a batch as the driver wants them.
#ifndef GRPO_REWARD_PYTHON_REQUEST_HPP
#define GRPO_REWARD_PYTHON_REQUEST_HPP

#include <grpo/reward.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace grpo_python {

struct Request {
  nlohmann::json message;
  std::vector<std::int32_t> ids;  // of the prompts, then of the completions; only when asked for
};

// The samples `begin` .. `end` - 1 with the rows that they belong to.
Request request_of(const grpo_reward_batch& batch, std::size_t begin, std::size_t end, bool with_ids);

}  // namespace grpo_python

#endif
