// optimizer.hpp (host side): an optimizer plugin, bound to a model's parameters.
//
//     Optimizer optimizer(registry, "adamw", {{"weight_decay", 0.01}}, {.where = "optimizer"});
//     optimizer.bind(model, [](const grpo_parameter& p) { return p.value->dl.ndim < 2; });
//     const double norm = std::sqrt(optimizer.squared_norm());
//     optimizer.step(step, learning_rate, std::min(1.0, max_norm / norm));
//     model.commit(step);
//
// All functions belong to the thread that made the object, which is the model's.
#ifndef GRPO_SDK_PLUGINS_OPTIMIZER_HPP
#define GRPO_SDK_PLUGINS_OPTIMIZER_HPP

#include <grpo/optimizer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/handle.hpp"
#include "grpo/sdk/plugins/model.hpp"

namespace grpo::plugins {

class Optimizer final : public Handle {
 public:
  Optimizer(Registry& registry, const std::string& name, const nlohmann::json& options,
            const OpenSettings& settings = {});
  Optimizer(std::shared_ptr<const Component> component, const nlohmann::json& options,
            const OpenSettings& settings = {});
  ~Optimizer();

  // Once. Every parameter that is not frozen becomes one slice; no_decay (may be null) says which are spared the weight
  // decay. The model outlives this object. Throws grpo::Error if nothing is trainable.
  void bind(const Model& model, const std::function<bool(const grpo_parameter&)>& no_decay = nullptr);

  double squared_norm();  // of this rank's gradients
  void step(std::int64_t step, double learning_rate, double gradient_scale);

  // All that the next step depends on, by name; the tensors stay the same objects. To restore: write into them, then
  // state_written.
  std::span<const grpo_named_tensor* const> state();
  void state_written();

 private:
  struct Slices;
  void need_bound(const char* function) const;
  const grpo_optimizer* table_ = nullptr;
  std::unique_ptr<Slices> slices_;
  Call call_;
};

}  // namespace grpo::plugins

#endif
