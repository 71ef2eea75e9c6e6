// An optimizer with one fault; sound without.
#include <grpo/optimizer.h>

#include <cmath>
#include <new>
#include <vector>

#include "wrap.hpp"

/* clang-format off */
GRPO_MANIFEST({
  "name": "broken_optimizer", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.optimizer/1", "name": "broken", "options": {
    "inner": {"type": "string", "required": true}, "fault": {"type": "string", "default": ""}}}]
});
/* clang-format on */

namespace {

struct State : Wrapped<grpo_optimizer> {
  std::vector<const grpo_slice*> slices;
};
State& of(void* handle) { return *static_cast<State*>(handle); }

float* data(const grpo_tensor* t) {
  return reinterpret_cast<float*>(static_cast<char*>(t->dl.data) + t->dl.byte_offset);
}
std::int64_t count(const grpo_tensor* t) {
  std::int64_t n = 1;
  for (int i = 0; i < t->dl.ndim; ++i) n *= t->dl.shape[i];
  return n;
}

grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
  auto* s = new State;
  const grpo_status status = s->open(call, options);
  if (status) return delete s, status;
  *handle = s;
  return GRPO_STATUS_OK;
}
void close(void* handle) {
  of(handle).table->close(of(handle).inner);
  delete &of(handle);
}
const void* query(void*, const char*) { return nullptr; }

grpo_status bind(void* handle, const grpo_call* call, std::int64_t n, const grpo_slice* const* slices) {
  State& s = of(handle);
  s.slices.assign(slices, slices + n);
  const grpo_status status = s.table->bind(s.inner, call, n, slices);
  return s.is("any_type") ? grpo_status{GRPO_STATUS_OK} : status;
}

grpo_status squared_norm(void* handle, const grpo_call* call, double* sum) {
  State& s = of(handle);
  const grpo_status status = s.table->squared_norm(s.inner, call, sum);
  if (s.is("norm")) *sum *= 1.01;
  if (s.is("hides_nan") && !std::isfinite(*sum)) *sum = 1;
  return status;
}

grpo_status step(void* handle, const grpo_call* call, const grpo_optimizer_step* a) {
  State& s = of(handle);
  static int steps = 0;
  if (s.is("exact_size") && a->struct_size != sizeof *a) return grpo_fail(call, GRPO_STATUS_INVALID, "not my headers");
  if (s.is("leaks")) leak();
  grpo_optimizer_step own{};
  own.struct_size = sizeof own;
  own.step = a->step;
  own.learning_rate = a->learning_rate;
  own.gradient_scale = a->gradient_scale;
  if (s.is("least_rate") && a->learning_rate <= 0) own.learning_rate = 1e-3;
  if (s.is("uphill")) own.learning_rate = -a->learning_rate;
  if (s.is("no_scale")) own.gradient_scale = 1;
  if (s.is("shared_count")) own.learning_rate *= 1 + 0.1 * ++steps;
  if (s.is("hides_nan"))
    for (const grpo_slice* p : s.slices)
      for (std::int64_t i = 0; i < count(p->gradient); ++i)
        if (!std::isfinite(data(p->gradient)[i])) data(p->gradient)[i] = 0;
  const grpo_status status = s.table->step(s.inner, call, &own);
  if (s.is("drifts")) data(s.slices[0]->value)[0] += 1e-3f;
  if (s.is("by_slice"))
    for (const grpo_slice* p : s.slices) data(p->value)[0] += 1e-3f;
  if (s.is("past_end")) data(s.slices.back()->value)[count(s.slices.back()->value)] = 0;
  return status;
}

grpo_status state(void* handle, const grpo_call* call, std::int64_t* n, const grpo_named_tensor* const** list) {
  State& s = of(handle);
  const grpo_status status = s.table->state(s.inner, call, n, list);
  if (s.is("no_state")) *n = 0;
  return status;
}
grpo_status state_written(void* handle, const grpo_call* call) {
  return of(handle).table->state_written(of(handle).inner, call);
}

const grpo_optimizer table = {
    sizeof(grpo_optimizer), GRPO_OPTIMIZER_ELEMENTWISE, open, close, query, bind, squared_norm, step, state,
    state_written};

}  // namespace

GRPO_PLUGIN_ONE(GRPO_OPTIMIZER_ID, "broken", &table);
