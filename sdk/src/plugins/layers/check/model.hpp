// model.hpp: a model's handle behind the checks, and the sessions of its decoder.
#ifndef GRPO_PLUGINS_CHECK_MODEL_HPP
#define GRPO_PLUGINS_CHECK_MODEL_HPP

#include <grpo/decode.h>
#include <grpo/model.h>

#include <map>
#include <set>
#include <vector>

#include "opened.hpp"

namespace grpo::plugins::check {

struct Session;

struct ModelHandle final : Opened {
  static constexpr Kind kind = Kind::model;
  ModelHandle(const Reporter& r, const grpo_model* t) : Opened(r, kind), table(t) { watch_threads = false; }

  // What the plugin says of itself now; compared with what it said before.
  const grpo_model_info* look_at_info(Run& run);
  grpo_status look_at_parameters(Run& run, std::int64_t* n, const grpo_parameter* const** list);
  std::uint64_t values() const;  // a fingerprint
  bool gradients(bool (*test)(const grpo_tensor&, std::int64_t stride), std::string& which) const;

  const grpo_model* table;
  const grpo_decode* decode = nullptr;
  const grpo_decode_info* decode_info = nullptr;
  grpo_decode_info decode_said{};
  const grpo_model_info* info = nullptr;
  grpo_model_info said{};                  // at first
  std::vector<grpo_parameter> parameters;  // at first
  const grpo_parameter* const* first_list = nullptr;
  std::map<std::uint64_t, std::int64_t> tickets;  // open ones, with their targets
  std::set<Session*> sessions;
};

// What of the arguments breaks the contract or is more than the model takes; empty: nothing.
std::string forward_problem(const grpo_forward* forward, const grpo_model_info& info);
// In the memory of the call.
const grpo_forest* copy_forest(Scratch& memory, const grpo_forest& forest, std::int32_t axes);

extern const grpo_decode checked_decode;

}  // namespace grpo::plugins::check

#endif
