// renewal.hpp: a reference model that follows the policy (reference.refresh_every_steps), also over checkpoints.
#ifndef GRPO_SRC_TRAIN_STEP_RENEWAL_HPP
#define GRPO_SRC_TRAIN_STEP_RENEWAL_HPP

#include <cstdint>

#include "grpo/sdk/train/session.hpp"
#include "run.hpp"

namespace grpo::train {

class Renewal {
 public:
  // Both outlive this object. Throws grpo::Error where the configuration asks for what the reference cannot do.
  Renewal(const config::Config& config, Session& session);

  // The reference as the run that is gone on from had it; and every checkpoint from now on has it as it is then.
  void take_up(Run& run);
  // After step number `step`, if it is due.
  void after(std::int64_t step);

 private:
  const config::Config& config_;
  Session& session_;
  bool renewed_ = false;
};

}  // namespace grpo::train

#endif
