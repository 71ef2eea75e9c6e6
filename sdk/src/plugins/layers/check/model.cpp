// Models: descriptions that stay, tickets that end once, numbers that can be.
#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kinds.hpp"
#include "streams.hpp"
#include "tensors.hpp"

namespace grpo::plugins::check {

// ---- what a model says of itself

const grpo_model_info* ModelHandle::look_at_info(Run& run) {
  const grpo_model_info* now = table->describe(inner);
  if (!run.check_struct(now, "grpo_model_info")) return nullptr;
  grpo_model_info copy = copy_of(*now);
  copy.stream = 0;  // these two may change
  copy.device_peak_bytes = 0;
  if (!info) {
    info = now;
    said = copy;
    if (now->reserved != 0) run.broken(rule::struct_reserved, "grpo_model_info.reserved");
    if (now->group) run.check_name(now->group, "the group");
  } else if (now != info || std::memcmp(&copy, &said, sizeof copy) != 0) {
    run.broken(rule::struct_changed,
               now != info ? "describe gave another pointer than before" : "the description changed");
  }
  return now;
}

grpo_status ModelHandle::look_at_parameters(Run& run, std::int64_t* n, const grpo_parameter* const** out) {
  std::int64_t count = -1;
  const grpo_parameter* const* now = nullptr;
  const grpo_status status = table->parameters(inner, run.call(), &count, &now);
  if (status != GRPO_STATUS_OK) return status;
  if (count < 0 || (count > 0 && !now)) {
    run.broken(rule::struct_size,
               "parameters gave " + std::to_string(count) + " of them, and " + (now ? "a list" : "no list"));
    return status;
  }
  *n = count;
  *out = now;
  std::vector<grpo_parameter> copy;
  std::set<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string which = "parameter " + std::to_string(i);
    const grpo_parameter* p = now[i];
    if (!run.check_struct(p, which.c_str()) || !run.check_name(p->name, "the name of " + which)) continue;
    copy.push_back(copy_of(*p));
    if (!names.insert(p->name).second)
      run.broken(rule::name_repeated, "two parameters are called " + std::string(p->name));
    const std::string named = "parameter '" + std::string(p->name) + "'";
    if (auto problem = tensor_problem(p->value); !problem.empty()) {
      run.broken(rule::tensor_invalid, "the value of " + named + " " + problem);
      continue;
    }
    const bool frozen = (p->flags & GRPO_PARAMETER_FROZEN) != 0;
    if (!p->gradient && (frozen || !(said.flags & GRPO_MODEL_TRAIN))) continue;
    if (auto problem = tensor_problem(p->gradient); !problem.empty())
      run.broken(rule::tensor_invalid, "the gradient of " + named + " " + problem);
    else if (frozen)
      run.broken(rule::tensor_invalid, named + " is frozen, and has a gradient");
    else if (!same_shape(*p->value, *p->gradient))
      run.broken(rule::tensor_invalid, "the gradient of " + named + " has another shape than its value");
  }
  const auto differs = [](const grpo_parameter& a, const grpo_parameter& b) {
    return a.name != b.name || a.value != b.value || a.gradient != b.gradient || a.flags != b.flags;
  };
  if (!first_list) {
    first_list = now;
    parameters = std::move(copy);
  } else if (now != first_list || !std::equal(copy.begin(), copy.end(), parameters.begin(), parameters.end(),
                                              [&](const auto& a, const auto& b) { return !differs(a, b); })) {
    run.broken(rule::struct_changed, "the list of parameters changed");
  }
  return status;
}

std::uint64_t ModelHandle::values() const {
  std::uint64_t out = 0;
  for (const grpo_parameter& p : parameters) out = out * 31 + fingerprint(*p.value);
  return out;
}

bool ModelHandle::gradients(bool (*test)(const grpo_tensor&, std::int64_t), std::string& which) const {
  std::int64_t total = 0;
  for (const grpo_parameter& p : parameters)
    if (p.gradient) total += elements(*p.gradient);
  for (const grpo_parameter& p : parameters) {
    if (!p.gradient || test(*p.gradient, stride_for(total))) continue;
    which = p.name;
    return false;
  }
  return true;
}

namespace {

constexpr float tolerance = 1e-4f;  // of rounding, above 0

const grpo_model_info* describe(void* handle) noexcept {
  return visit<ModelHandle>(handle, "describe", Threads::same, static_cast<const grpo_model_info*>(nullptr),
                            [](ModelHandle& h, Run& run) { return h.look_at_info(run); });
}

grpo_status parameters(void* handle, const grpo_call* call, std::int64_t* n,
                       const grpo_parameter* const** list) noexcept {
  return perform<ModelHandle>(handle, "parameters", Threads::same, call,
                              [n, list](ModelHandle& h, Run& run) -> grpo_status {
                                if (n && list) return h.look_at_parameters(run, n, list);
                                run.wrong(rule::call_null, "parameters without a place for them");
                                return GRPO_STATUS_INVALID;
                              });
}

const void* query(void* handle, const char* id) noexcept {
  return visit<ModelHandle>(handle, "query", Threads::same, static_cast<const void*>(nullptr),
                            [id](ModelHandle& h, Run& run) -> const void* {
                              if (!id) {
                                run.wrong(rule::query_id, "the id is NULL");
                                return nullptr;
                              }
                              const void* found = h.table->query(h.inner, id);
                              if (!found) return nullptr;
                              if (std::strcmp(id, GRPO_DECODE_ID) != 0) {
                                run.broken(rule::query_unknown, id);
                                return nullptr;
                              }
                              const auto& offers = h.reporter.component->manifest.offers;
                              if (std::find(offers.begin(), offers.end(), id) == offers.end())
                                run.broken(rule::query_not_announced, id);
                              const auto* decode = static_cast<const grpo_decode*>(found);
                              if (h.decode && h.decode != decode)
                                run.broken(rule::query_changed, std::string(id) + " has another table than before");
                              if (!run.check_struct(decode, "the table of " GRPO_DECODE_ID)) return nullptr;
                              h.decode = decode;
                              return &checked_decode;
                            });
}

// ---- forward and backward

// For the functions that may not write values.
template <class F>
grpo_status without_writing_values(ModelHandle& h, Run& run, F&& f) {
  const std::uint64_t before = h.values();
  const grpo_status status = f();
  if (h.values() != before) run.broken(rule::model_values_changed, "values of parameters were written");
  return status;
}

void look_at(Run& run, const float* values, std::int64_t n, const char* what, float most) {
  for (std::int64_t i = 0; i < n; ++i) {
    const bool is_entropy = most > 0;
    const std::string which = std::string(what) + " of target " + std::to_string(i) + " of " + std::to_string(n);
    if (std::isnan(values[i]) || std::isinf(values[i]))
      return run.broken(rule::model_logprob_nan, "the " + which + " is " + std::to_string(values[i]));
    if (is_entropy && (values[i] < -tolerance || values[i] > most))
      return run.broken(rule::model_entropy_range, "the " + which + " is " + std::to_string(values[i]));
    if (!is_entropy && values[i] > tolerance)
      return run.broken(rule::model_logprob_positive, "the " + which + " is " + std::to_string(values[i]));
  }
}

grpo_status forward(void* handle, const grpo_call* call, const grpo_forward* forward) noexcept {
  return perform<ModelHandle>(handle, "forward", Threads::same, call, [&](ModelHandle& h, Run& run) -> grpo_status {
    if (const auto problem = forward_problem(forward, h.said); !problem.empty())
      return run.wrong(rule::model_arguments, problem), GRPO_STATUS_INVALID;
    const bool train = forward->ticket != nullptr;
    if (train && h.said.max_tickets > 0 && static_cast<std::int64_t>(h.tickets.size()) >= h.said.max_tickets)
      return run.wrong(rule::model_ticket_many, std::to_string(h.tickets.size()) + " tickets are open"),
             GRPO_STATUS_INVALID;
    Scratch& m = run.memory();
    const std::int64_t n = forward->n_targets;
    grpo_forward* f = m.structure(*forward);
    f->forest = copy_forest(m, *forward->forest, h.said.n_axes);
    f->target_at = m.input(f->target_at, n, "target_at");
    f->target_token = m.input(f->target_token, n, "target_token");
    f->logprob = m.result(f->logprob, n, "logprob");
    f->entropy = m.result(f->entropy, n, "entropy");
    f->ticket = m.result(f->ticket, 1, "ticket");
    for (float* out : {f->logprob, f->entropy})
      if (out) std::fill_n(out, n, std::numeric_limits<float>::quiet_NaN());
    constexpr std::uint64_t unwritten = 0xDBDBDBDBDBDBDBDB;
    if (train) *f->ticket = unwritten;
    m.lock(f, "the arguments");
    const grpo_status status = without_writing_values(h, run, [&] { return h.table->forward(h.inner, run.call(), f); });
    if (status != GRPO_STATUS_OK) return status;
    m.copy_out();
    look_at(run, f->logprob, n, "log-probability", 0);
    if (f->entropy) look_at(run, f->entropy, n, "entropy", std::log(static_cast<float>(h.said.vocabulary)) + 0.01f);
    if (!train) return status;
    const std::uint64_t ticket = *f->ticket;
    if (ticket == unwritten || h.tickets.contains(ticket)) {
      run.broken(rule::model_ticket_missing, ticket == unwritten
                                                 ? "no ticket was written"
                                                 : "ticket " + std::to_string(ticket) + " is open already");
      return status;
    }
    run.look_at_memory();
    if (run.failing())
      h.table->drop(h.inner, ticket);  // the caller is told of a failure, and knows no ticket
    else
      h.tickets[ticket] = n;
    return status;
  });
}

grpo_status backward(void* handle, const grpo_call* call, const grpo_backward* backward) noexcept {
  return perform<ModelHandle>(handle, "backward", Threads::same, call, [&](ModelHandle& h, Run& run) -> grpo_status {
    if (!backward || too_short(backward))
      return run.wrong(rule::model_backward_arguments, "the arguments are NULL, or too short"), GRPO_STATUS_INVALID;
    const auto at = h.tickets.find(backward->ticket);
    if (at == h.tickets.end())
      return run.wrong(rule::model_ticket_unknown, "ticket " + std::to_string(backward->ticket) + " is not open"),
             GRPO_STATUS_INVALID;
    const std::int64_t n = at->second;
    h.tickets.erase(at);
    const auto sound = [n](const float* d) {
      return d && std::all_of(d, d + n, [](float x) { return std::isfinite(x); });
    };
    if (!sound(backward->dlogprob) || (backward->dentropy && !sound(backward->dentropy))) {
      run.wrong(rule::model_backward_arguments, "a derivative is missing or not finite");
      h.table->drop(h.inner, backward->ticket);
      return GRPO_STATUS_INVALID;
    }
    Scratch& m = run.memory();
    grpo_backward* b = m.structure(*backward);
    b->dlogprob = m.input(b->dlogprob, n, "dlogprob");
    b->dentropy = m.input(b->dentropy, n, "dentropy");
    m.lock(b, "the arguments");
    const grpo_status status =
        without_writing_values(h, run, [&] { return h.table->backward(h.inner, run.call(), b); });
    std::string which;
    if (status == GRPO_STATUS_OK && !h.gradients(finite, which))
      run.broken(rule::model_gradient_nan, "the gradient of '" + which + "' is not finite");
    return status;
  });
}

void drop(void* handle, std::uint64_t ticket) noexcept {
  visit<ModelHandle>(handle, "drop", Threads::same, 0, [ticket](ModelHandle& h, Run& run) {
    if (h.tickets.erase(ticket) == 0)
      run.wrong(rule::model_ticket_unknown, "ticket " + std::to_string(ticket) + " is not open");
    else
      h.table->drop(h.inner, ticket);
    return 0;
  });
}

grpo_status zero_grad(void* handle, const grpo_call* call) noexcept {
  return perform<ModelHandle>(handle, "zero_grad", Threads::same, call, [](ModelHandle& h, Run& run) -> grpo_status {
    const grpo_status status = without_writing_values(h, run, [&] { return h.table->zero_grad(h.inner, run.call()); });
    std::string which;
    if (status == GRPO_STATUS_OK && !h.gradients(zero, which))
      run.broken(rule::model_zero_grad, "the gradient of '" + which + "' is not 0");
    return status;
  });
}

// ---- weights

grpo_status commit(void* handle, const grpo_call* call, std::int64_t version) noexcept {
  return perform<ModelHandle>(
      handle, "commit", Threads::same, call, [version](ModelHandle& h, Run& run) -> grpo_status {
        if (!h.tickets.empty())
          return run.wrong(rule::model_ticket_leaked, std::to_string(h.tickets.size()) + " tickets are open"),
                 GRPO_STATUS_INVALID;
        const grpo_status status =
            without_writing_values(h, run, [&] { return h.table->commit(h.inner, run.call(), version); });
        h.look_at_info(run);
        std::int64_t n;
        const grpo_parameter* const* list;
        if (status == GRPO_STATUS_OK) h.look_at_parameters(run, &n, &list);
        return status;
      });
}

grpo_status export_weights(void* handle, const grpo_call* call, const grpo_tensor_sink* sink) noexcept {
  return perform<ModelHandle>(
      handle, "export_weights", Threads::same, call, [sink](ModelHandle& h, Run& run) -> grpo_status {
        if (!sink || too_short(sink) || !sink->put)
          return run.wrong(rule::sampler_sink, "the sink is NULL, too short, or lacks put"), GRPO_STATUS_INVALID;
        CheckedSink& checked = h.sink("export_weights", *sink, false);
        const grpo_status status = without_writing_values(
            h, run, [&] { return h.table->export_weights(h.inner, run.call(), &checked.table); });
        checked.live.store(false);
        return status;
      });
}

grpo_status import_weights(void* handle, const grpo_call* call, std::int64_t version,
                           const grpo_tensor_source* source) noexcept {
  return perform<ModelHandle>(
      handle, "import_weights", Threads::same, call, [&](ModelHandle& h, Run& run) -> grpo_status {
        if (!source || too_short(source) || !source->get || source->n < 0)
          return run.wrong(rule::model_arguments, "the source is NULL, too short, or lacks get"), GRPO_STATUS_INVALID;
        if (!h.tickets.empty())
          return run.wrong(rule::model_ticket_leaked, std::to_string(h.tickets.size()) + " tickets are open"),
                 GRPO_STATUS_INVALID;
        const std::uint64_t before = h.values();
        CheckedSource& checked = h.source(*source);
        const grpo_status status = h.table->import_weights(h.inner, run.call(), version, &checked.table);
        checked.live.store(false);
        if (status != GRPO_STATUS_OK && h.values() != before)
          run.broken(rule::model_values_changed, "import_weights failed, and values changed all the same");
        return status;
      });
}

void close_model(void* handle) noexcept {
  check::close<ModelHandle>(handle, "close", Threads::same, [](ModelHandle& h, Run& run) {
    if (!h.sessions.empty())
      run.wrong(rule::model_sessions_leaked, std::to_string(h.sessions.size()) + " sessions are open");
    if (!h.tickets.empty())
      run.wrong(rule::model_ticket_leaked, std::to_string(h.tickets.size()) + " tickets are open");
    h.table->close(h.inner);
  });
}

class CheckModel final : public LayerOf<grpo_model> {
 public:
  explicit CheckModel(const Reporter& reporter) : LayerOf(reporter.component), reporter_(reporter) {
    const grpo_model& t = *inner_table();
    table_.close = close_model;
    table_.describe = describe;
    table_.parameters = parameters;
    table_.forward = forward;
    if (t.query) table_.query = query;
    if (t.backward) table_.backward = backward;
    if (t.drop) table_.drop = drop;
    if (t.zero_grad) table_.zero_grad = zero_grad;
    if (t.commit) table_.commit = commit;
    if (t.export_weights) table_.export_weights = export_weights;
    if (t.import_weights) table_.import_weights = import_weights;
  }
  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    auto opened = std::make_unique<ModelHandle>(reporter_, inner_table());
    ModelHandle& h = *opened;
    return check::open(std::move(opened), inner().table, call, options, handle, [&h](Run& run) {
      std::int64_t n;
      const grpo_parameter* const* list;
      if (h.look_at_info(run)) h.look_at_parameters(run, &n, &list);
    });
  }

 private:
  const Reporter reporter_;
};

}  // namespace

std::shared_ptr<const Layer> check_model(const Reporter& reporter) { return std::make_shared<CheckModel>(reporter); }

}  // namespace grpo::plugins::check
