#include "grpo/sdk/plugins/optimizer.hpp"

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>

#include "running.hpp"

namespace grpo::plugins {

struct Optimizer::Slices {
  std::deque<std::string> names;
  std::deque<grpo_slice> slices;
  std::vector<const grpo_slice*> list;
  bool bound = false;
};

Optimizer::Optimizer(Registry& registry, const std::string& name, const nlohmann::json& options,
                     const OpenSettings& settings)
    : Optimizer(registry.load(GRPO_OPTIMIZER_ID, name), options, settings) {}

Optimizer::Optimizer(std::shared_ptr<const Component> loaded, const nlohmann::json& options,
                     const OpenSettings& settings)
    : Handle(std::move(loaded), options, settings), call_(services_) {
  table_ = reinterpret_cast<const grpo_optimizer*>(component().table);
}

Optimizer::~Optimizer() { close(); }

void Optimizer::bind(const Model& model, const std::function<bool(const grpo_parameter&)>& no_decay) {
  on_own_thread("bind");
  const Component& who = component();
  if (slices_) throw Error(who.label() + ": bind: it is bound already");
  auto slices = std::make_unique<Slices>();
  for (const grpo_parameter* parameter : model.parameters()) {
    if (parameter->flags & GRPO_PARAMETER_FROZEN) continue;
    if (!parameter->value || !parameter->gradient) {
      throw Error(model.component().label() + ": the parameter '" + parameter->name +
                  "' is not frozen, but has no gradient");
    }
    grpo_slice& slice = slices->slices.emplace_back();
    slice.struct_size = sizeof slice;
    slice.flags = no_decay && no_decay(*parameter) ? GRPO_SLICE_NO_DECAY : 0;
    slice.name = slices->names.emplace_back(parameter->name).c_str();
    slice.whole_ndim = parameter->value->dl.ndim;
    slice.whole_shape = parameter->value->dl.shape;
    slice.value = parameter->value;
    slice.gradient = parameter->gradient;
    slices->list.push_back(&slice);
  }
  if (slices->list.empty())
    throw Error(model.component().label() + ": nothing in it can be trained: every parameter is frozen");
  slices_ = std::move(slices);  // a bind that fails may have kept pointers: they last until close
  call_.reset();
  const Running mark(who, "bind");
  const auto n = static_cast<std::int64_t>(slices_->list.size());
  call_.need(table_->bind(raw(), call_, n, slices_->list.data()), who, "bind");
  slices_->bound = true;
}

double Optimizer::squared_norm() {
  need_bound("squared_norm");
  double sum = 0;
  const Running mark(component(), "squared_norm");
  call_.reset();
  call_.need(table_->squared_norm(raw(), call_, &sum), component(), "squared_norm");
  return sum;
}

void Optimizer::step(std::int64_t step, double learning_rate, double gradient_scale) {
  need_bound("step");
  grpo_optimizer_step arguments{};
  arguments.struct_size = sizeof arguments;
  arguments.step = step;
  arguments.learning_rate = learning_rate;
  arguments.gradient_scale = gradient_scale;
  const Running mark(component(), "step");
  call_.reset();
  call_.need(table_->step(raw(), call_, &arguments), component(), "step");
}

std::span<const grpo_named_tensor* const> Optimizer::state() {
  need_bound("state");
  const Running mark(component(), "state");
  std::int64_t n = 0;
  const grpo_named_tensor* const* list = nullptr;
  call_.reset();
  call_.need(table_->state(raw(), call_, &n, &list), component(), "state");
  return {list, static_cast<std::size_t>(n)};
}

void Optimizer::state_written() {
  need_bound("state_written");
  const Running mark(component(), "state_written");
  call_.reset();
  call_.need(table_->state_written(raw(), call_), component(), "state_written");
}

void Optimizer::need_bound(const char* function) const {
  on_own_thread(function);
  if (!slices_ || !slices_->bound) throw Error(component().label() + ": " + function + ": bind it to a model first");
}

}  // namespace grpo::plugins
