// Optimizers: bound once, norms that are norms, values that stay finite, state that stays the same tensors.
#include <grpo/optimizer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "kinds.hpp"
#include "tensors.hpp"

namespace grpo::plugins::check {
namespace {

struct OptimizerHandle final : Opened {
  static constexpr Kind kind = Kind::optimizer;
  OptimizerHandle(const Reporter& r, const grpo_optimizer* t) : Opened(r, kind), table(t) { watch_threads = false; }

  bool all(bool (*test)(const grpo_tensor&, std::int64_t), const grpo_tensor* grpo_slice::*member,
           std::string& which) const;
  std::uint64_t values() const;

  const grpo_optimizer* table;
  std::vector<const grpo_slice*> slices;  // the host's, [handle]
  std::int64_t total = 0;                 // elements of all slices
  bool bound = false;
  struct Named {
    const grpo_named_tensor* tensor;
    std::string name;
    void* data;
  };
  std::vector<Named> state;  // at first
  bool has_state = false;
};

bool OptimizerHandle::all(bool (*test)(const grpo_tensor&, std::int64_t), const grpo_tensor* grpo_slice::*member,
                          std::string& which) const {
  for (const grpo_slice* slice : slices) {
    if (test(*(slice->*member), stride_for(total))) continue;
    which = slice->name;
    return false;
  }
  return true;
}

std::uint64_t OptimizerHandle::values() const {
  std::uint64_t out = 0;
  for (const grpo_slice* slice : slices) out = out * 31 + fingerprint(*slice->value);
  return out;
}

bool is_bound(const OptimizerHandle& h, Run& run) {
  if (!h.bound) run.wrong(rule::optimizer_unbound, "it is not bound yet");
  return h.bound;
}

std::string slices_problem(std::int64_t n, const grpo_slice* const* slices) {
  if (n < 1 || !slices) return std::to_string(n) + " slices, or no list of them";
  for (std::int64_t i = 0; i < n; ++i) {
    const grpo_slice* s = slices[i];
    const std::string which = "slice " + std::to_string(i);
    if (!s || too_short(s)) return which + " is NULL, or too short";
    if (!s->name) return which + " has no name";
    if (auto problem = tensor_problem(s->value); !problem.empty()) return "the value of " + which + " " + problem;
    if (auto problem = tensor_problem(s->gradient); !problem.empty()) return "the gradient of " + which + " " + problem;
    if (!same_shape(*s->value, *s->gradient)) return "the gradient of " + which + " has another shape than its value";
    if (s->whole_ndim < 0 || (s->whole_ndim > 0 && !s->whole_shape) || s->offset < 0)
      return which + " has no whole shape";
  }
  return {};
}

grpo_status bind(void* handle, const grpo_call* call, std::int64_t n, const grpo_slice* const* slices) noexcept {
  return perform<OptimizerHandle>(
      handle, "bind", Threads::same, call, [&](OptimizerHandle& h, Run& run) -> grpo_status {
        if (h.bound) return run.wrong(rule::optimizer_unbound, "it is bound already"), GRPO_STATUS_INVALID;
        if (const auto problem = slices_problem(n, slices); !problem.empty())
          return run.wrong(rule::optimizer_arguments, problem), GRPO_STATUS_INVALID;
        h.slices.assign(slices, slices + n);
        h.total = 0;
        for (const grpo_slice* slice : h.slices) h.total += elements(*slice->value);
        const std::uint64_t before = h.values();
        const grpo_status status = h.table->bind(h.inner, run.call(), n, slices);
        if (h.values() != before) run.broken(rule::optimizer_changed, "bind wrote values");
        h.bound = status == GRPO_STATUS_OK;
        return status;
      });
}

// The sum as it should be, where it costs little; NaN: not computed.
double expected_norm(const OptimizerHandle& h) {
  constexpr std::int64_t most = 1 << 20;
  double sum = 0;
  if (h.total > most) return std::numeric_limits<double>::quiet_NaN();
  for (const grpo_slice* slice : h.slices) {
    if (slice->flags & GRPO_SLICE_DUPLICATE) continue;
    if (!readable(*slice->gradient) || slice->gradient->dl.bits == 16) return std::numeric_limits<double>::quiet_NaN();
    sum += squares(*slice->gradient);
  }
  return sum;
}

grpo_status squared_norm(void* handle, const grpo_call* call, double* sum) noexcept {
  return perform<OptimizerHandle>(
      handle, "squared_norm", Threads::same, call, [sum](OptimizerHandle& h, Run& run) -> grpo_status {
        if (!is_bound(h, run)) return GRPO_STATUS_INVALID;
        if (!sum) return run.wrong(rule::optimizer_arguments, "no place for the sum"), GRPO_STATUS_INVALID;
        constexpr double unwritten = -1;
        double* mine = run.memory().result(sum, 1, "sum");
        *mine = unwritten;
        const std::uint64_t before = h.values();
        const grpo_status status = h.table->squared_norm(h.inner, run.call(), mine);
        if (h.values() != before) run.broken(rule::optimizer_changed, "squared_norm wrote values");
        if (status != GRPO_STATUS_OK) return status;
        run.memory().copy_out();
        std::string which;
        const double expected = expected_norm(h);
        if (*mine < 0)
          run.broken(rule::optimizer_norm,
                     *mine == unwritten ? "the sum was not written" : "the sum is " + std::to_string(*mine));
        else if (!std::isfinite(*mine) && h.all(finite, &grpo_slice::gradient, which) && !(expected > 1e300))
          run.broken(rule::optimizer_norm, "the sum is " + std::to_string(*mine) + " on finite gradients");
        else if (std::isfinite(expected) && std::isfinite(*mine) &&
                 std::fabs(*mine - expected) > 1e-3 * expected + 1e-30)
          run.broken(rule::optimizer_norm,
                     "the sum is " + std::to_string(*mine) + "; of these gradients it is " + std::to_string(expected));
        return status;
      });
}

grpo_status step(void* handle, const grpo_call* call, const grpo_optimizer_step* step) noexcept {
  return perform<OptimizerHandle>(
      handle, "step", Threads::same, call, [step](OptimizerHandle& h, Run& run) -> grpo_status {
        if (!is_bound(h, run)) return GRPO_STATUS_INVALID;
        if (!step || too_short(step) || step->step < 1 || !std::isfinite(step->learning_rate) ||
            !std::isfinite(step->gradient_scale))
          return run.wrong(rule::optimizer_arguments,
                           "the step is NULL, too short, under 1, or has a number that is not finite"),
                 GRPO_STATUS_INVALID;
        std::string which;
        const bool sound = h.all(finite, &grpo_slice::value, which) && h.all(finite, &grpo_slice::gradient, which);
        const std::uint64_t before = h.values();
        grpo_optimizer_step* s = run.memory().structure(*step);
        run.memory().lock(s, "the arguments");
        const grpo_status status = h.table->step(h.inner, run.call(), s);
        if (status != GRPO_STATUS_OK && h.values() != before)
          run.broken(rule::optimizer_changed, "step failed, and values changed all the same");
        if (status == GRPO_STATUS_OK && sound && !h.all(finite, &grpo_slice::value, which))
          run.broken(rule::optimizer_nan, "the value of '" + which + "' is not finite");
        return status;
      });
}

grpo_status look_at_state(OptimizerHandle& h, Run& run, std::int64_t* n, const grpo_named_tensor* const** out) {
  std::int64_t count = -1;
  const grpo_named_tensor* const* list = nullptr;
  const grpo_status status = h.table->state(h.inner, run.call(), &count, &list);
  if (status != GRPO_STATUS_OK) return status;
  if (count < 0 || (count > 0 && !list)) {
    run.broken(rule::optimizer_state, std::to_string(count) + " tensors, and " + (list ? "a list" : "no list"));
    return status;
  }
  std::vector<OptimizerHandle::Named> now;
  std::set<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string which = "tensor " + std::to_string(i) + " of state";
    if (!run.check_struct(list[i], which.c_str()) || !run.check_name(list[i]->name, "the name of " + which))
      return status;
    const std::string name = list[i]->name;
    if (const auto problem = tensor_problem(list[i]->tensor); !problem.empty()) {
      run.broken(rule::tensor_invalid, "'" + name + "' of state " + problem);
      return status;
    }
    if (!names.insert(name).second) run.broken(rule::optimizer_state, "two tensors are called '" + name + "'");
    if (list[i]->tensor->dl.device_type == GRPO_DEVICE_CUDA)
      run.broken(rule::optimizer_state, "'" + name + "' is on a device");
    now.push_back({list[i], name, list[i]->tensor->dl.data});
  }
  const auto same = [](const auto& a, const auto& b) {
    return a.tensor == b.tensor && a.name == b.name && a.data == b.data;
  };
  if (h.has_state && !std::equal(now.begin(), now.end(), h.state.begin(), h.state.end(), same))
    run.broken(rule::optimizer_state, "the list is another one than before");
  h.has_state = true;
  h.state = std::move(now);
  *n = count;
  *out = list;
  return status;
}

grpo_status state(void* handle, const grpo_call* call, std::int64_t* n,
                  const grpo_named_tensor* const** list) noexcept {
  return perform<OptimizerHandle>(handle, "state", Threads::same, call,
                                  [n, list](OptimizerHandle& h, Run& run) -> grpo_status {
                                    if (!is_bound(h, run)) return GRPO_STATUS_INVALID;
                                    if (n && list) return look_at_state(h, run, n, list);
                                    run.wrong(rule::optimizer_arguments, "no place for the list or its number");
                                    return GRPO_STATUS_INVALID;
                                  });
}

grpo_status state_written(void* handle, const grpo_call* call) noexcept {
  return perform<OptimizerHandle>(
      handle, "state_written", Threads::same, call, [](OptimizerHandle& h, Run& run) -> grpo_status {
        return is_bound(h, run) ? h.table->state_written(h.inner, run.call()) : grpo_status{GRPO_STATUS_INVALID};
      });
}

const void* query(void* handle, const char* id) noexcept {
  return visit<OptimizerHandle>(handle, "query", Threads::same, static_cast<const void*>(nullptr),
                                [id](OptimizerHandle& h, Run& run) -> const void* {
                                  if (!id)
                                    run.wrong(rule::query_id, "the id is NULL");
                                  else if (h.table->query(h.inner, id))
                                    run.broken(rule::query_unknown, id);
                                  return nullptr;
                                });
}

class CheckOptimizer final : public LayerOf<grpo_optimizer> {
 public:
  explicit CheckOptimizer(const Reporter& reporter) : LayerOf(reporter.component), reporter_(reporter) {
    table_.close = [](void* handle) noexcept {
      check::close<OptimizerHandle>(handle, "close", Threads::same,
                                    [](OptimizerHandle& h, Run&) { h.table->close(h.inner); });
    };
    if (inner_table()->query) table_.query = query;
    table_.bind = bind;
    table_.squared_norm = squared_norm;
    table_.step = step;
    table_.state = state;
    table_.state_written = state_written;
  }
  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    return check::open(std::make_unique<OptimizerHandle>(reporter_, inner_table()), inner().table, call, options,
                       handle, [](Run&) {});
  }

 private:
  const Reporter reporter_;
};

}  // namespace

std::shared_ptr<const Layer> check_optimizer(const Reporter& reporter) {
  return std::make_shared<CheckOptimizer>(reporter);
}

}  // namespace grpo::plugins::check
