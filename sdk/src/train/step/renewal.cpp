#include "step/renewal.hpp"

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/reference.hpp"

namespace grpo::train {

Renewal::Renewal(const config::Config& config, Session& session) : config_(config), session_(session) {
  if (config.reference.refresh_every_steps == 0) return;
  if (&session.reference() == &session.model())
    throw Error(config.where("reference.refresh_every_steps") +
                ": with model.lora the reference is the base weights, which are not trained, so there is nothing "
                "to renew; name a model of its own (reference.path), or set it to 0");
  check_can_renew(session.reference());
}

void Renewal::take_up(Run& run) {
  if (config_.algorithm.kl_coefficient == 0) return;
  if (run.resumed()) renewed_ = restore_reference(session_.reference(), *run.resumed(), run.state().step);
  run.also_save([this](const std::filesystem::path& directory) {
    if (renewed_) save_reference(session_.reference(), directory);
  });
}

void Renewal::after(std::int64_t step) {
  const auto& r = config_.reference;
  if (r.refresh_every_steps == 0 || step % r.refresh_every_steps != 0) return;
  renew_reference(session_.reference(), session_.model(), r.mixup_alpha, step);
  renewed_ = true;
}

}  // namespace grpo::train
